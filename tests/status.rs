//! `vs status` and `vs doctor`: all is well when it is, and what is missing is named when something is.

use anyhow::Result;
use vs_common::hook::Hook;
use vs_tests::report::Checks;
use vs_tests::status::Status;
use vs_tests::world::{World, vs};

use crate::detach::detach;

/// Healthy, with each of several programs detached, and healthy again.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    healthy(world, checks)?;
    for hook in [Hook::TaskKill, Hook::FileOpen, Hook::Bpf] {
        detached(world, checks, hook)?;
    }
    healthy(world, checks)
}

/// The suite's policy needs every hook.
fn healthy(world: &mut World, checks: &mut Checks) -> Result<()> {
    let before = Status::ask()?;
    checks.equal("vs status", &before.code, &Some(0));
    checks.equal("alarms", &before.alarms(), &Vec::new());
    for hook in Hook::ALL.iter().copied() {
        let row = before.hook(hook);
        checks.equal(hook.name(), &row["state"], &"attached".into());
        checks.equal(hook.name(), &row["needed"], &true.into());
        checks.equal(hook.name(), &row["missed"], &0.into());
        checks.check(row["calls"].is_null(), || format!("{}: calls that nobody counted", hook.name()));
        for counter in ["denials", "observed", "failures", "lost"] {
            checks.check(row[counter].is_u64(), || format!("{}: no count of {counter}", hook.name()));
        }
    }
    let host = world.inhabitant("host")?.actor.target;
    world.order("plain-a", &format!("op kill {host}"))?;
    let after = Status::ask()?;
    let grown = after.count(Hook::TaskKill, "denials") - before.count(Hook::TaskKill, "denials");
    checks.equal("denials counted of one denial", &grown, &1);
    let counted = Status::ask_with(&["--calls", "1"])?;
    for hook in Hook::ALL.iter().copied() {
        checks.check(counted.hook(hook)["calls"].is_u64(), || {
            format!("{}: calls are not counted", hook.name())
        });
    }
    // The command itself asks the kernel about each program.
    checks.check(counted.count(Hook::Bpf, "calls") > 0, || "no call of bpf is counted");
    let text = vs(&["status"])?;
    let said = String::from_utf8_lossy(&text.stdout).into_owned();
    let all = format!("{0} of {0} needed programs attached", Hook::COUNT);
    checks.check(said.contains(&all) && !said.contains("ALARM"), || format!("vs status says: {said}"));
    let doctor = vs(&["doctor"])?;
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    checks.check(doctor.status.code() == Some(0), || format!("vs doctor: {}: {said}", doctor.status));
    let levels: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let is_full = levels.contains(&"full") && !levels.contains(&"partial") && !levels.contains(&"none");
    checks.check(is_full, || format!("vs doctor does not promise all: {said}"));
    Ok(())
}

/// With a link unpinned, both name the hook and what it opens, and say so by their exit code.
fn detached(world: &mut World, checks: &mut Checks, hook: Hook) -> Result<()> {
    detach(hook)?;
    let status = Status::ask()?;
    checks.equal("vs status with a program detached", &status.code, &Some(15));
    checks.equal(hook.name(), &status.hook(hook)["state"], &"detached".into());
    let alarms = status.alarms();
    let is_named =
        alarms.len() == 1 && alarms[0].contains(hook.name()) && alarms[0].contains(hook.info().guarantee);
    checks.check(is_named, || format!("{} is detached, and the alarms are {alarms:?}", hook.name()));
    let doctor = vs(&["doctor"])?;
    checks.equal("vs doctor with a program detached", &doctor.status.code(), &Some(14));
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    checks.check(said.contains(hook.name()), || format!("vs doctor does not name {}: {said}", hook.name()));
    world.reload()
}
