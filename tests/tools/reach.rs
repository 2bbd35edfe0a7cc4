//! Which processes the tools reach with a signal.

use anyhow::Result;
use vs_tests::report::Checks;
use vs_tests::world::Proc;

use super::sleeper::{Sleepers, names_of};
use super::{ask, guests};

/// Signals by name: a neighbour's and the host's are nobody; its own are.
pub(super) fn run(sleepers: &mut Sleepers, checks: &mut Checks) -> Result<()> {
    for (owner, _) in guests() {
        let neighbour =
            owner.strip_suffix("-a").map_or_else(|| owner.replace("-b", "-a"), |mode| format!("{mode}-b"));
        let mut commands = Vec::new();
        for other in ["host", &neighbour] {
            let [roots, nobodys] = names_of(other);
            commands.push(format!("pkill -KILL -x {roots}"));
            commands.push(format!("killall -KILL {nobodys}"));
        }
        // The numbers, which a guest can guess.
        for other in sleepers.0.iter().filter(|sleeper| sleeper.owner != owner) {
            commands.push(format!("kill -KILL {}", other.pid));
        }
        for (command, told) in commands.iter().zip(ask(owner, &commands)?) {
            checks.check(told.status == 1, || format!("{owner}: {command}: {told:?}"));
        }
    }
    let commands: Vec<String> = sleepers
        .names()
        .filter(|name| name.starts_with("z-") && !name.ends_with("spectator"))
        .map(|name| format!("pkill -KILL -x {name}"))
        .collect();
    for (command, told) in commands.iter().zip(ask("spectator", &commands)?) {
        checks.check(told.status == 1, || format!("spectator: {command}: {told:?}"));
    }
    checks.equal("ended by others", &sleepers.ended(), &Vec::new());

    for (owner, _) in guests().filter(|(owner, _)| owner.ends_with("-a")) {
        let [roots, nobodys] = names_of(owner);
        let commands = [format!("pkill -TERM -x {roots}"), format!("killall -TERM {nobodys}")];
        for (command, told) in commands.iter().zip(ask(owner, &commands)?) {
            checks.check(told.status == 0, || format!("{owner}: {command}: {told:?}"));
        }
        for sleeper in sleepers.of(owner) {
            let expected = Some(128 + libc::SIGTERM);
            checks.equal(&format!("{}: status", sleeper.name), &sleeper.status()?, &expected);
        }
    }
    the_ended_are_of(&|owner| owner.ends_with("-a"), sleepers, checks);
    Ok(())
}

/// `kill -1`: everybody that can be reached is the own context.
pub(super) fn all(sleepers: &mut Sleepers, checks: &mut Checks) -> Result<()> {
    for (owner, proc) in guests().filter(|(owner, _)| owner.ends_with("-b")) {
        let told = ask(owner, &["kill -KILL -1".to_owned()])?;
        checks.equal(&format!("{owner}: kill -KILL -1"), &told[0].status, &0);
        for sleeper in sleepers.of(owner) {
            let expected = Some(128 + libc::SIGKILL);
            checks.equal(&format!("{}: status", sleeper.name), &sleeper.status()?, &expected);
        }
        // Nobody is left. Where others have numbers, the kernel counts them, and those that may not be signalled are no failure.
        let alone = ask(owner, &["kill -KILL -1".to_owned()])?;
        let status = i32::from(proc == Proc::Pidns);
        checks.equal(&format!("{owner}: kill -KILL -1, alone"), &alone[0].status, &status);
    }
    the_ended_are_of(&|owner| owner != "host" && owner != "spectator", sleepers, checks);
    Ok(())
}

fn the_ended_are_of(is_ended: &dyn Fn(&str) -> bool, sleepers: &Sleepers, checks: &mut Checks) {
    let expected: Vec<&str> = sleepers
        .0
        .iter()
        .filter(|sleeper| is_ended(sleeper.owner))
        .map(|sleeper| sleeper.name.as_str())
        .collect();
    checks.equal("ended", &sleepers.ended(), &expected);
}
