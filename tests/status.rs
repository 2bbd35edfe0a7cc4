//! `vs status` and `vs doctor`: all is well when it is, and what is missing is named when something is.

use anyhow::Result;
use vs_common::hook::Hook;
use vs_tests::desk::Desk;
use vs_tests::hooks;
use vs_tests::report::Checks;
use vs_tests::status::Status;
use vs_tests::world::{POLICY, World, vs};

use crate::detach::detach;

/// Healthy, with each of several programs detached, and healthy again.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    healthy(world, checks)?;
    for hook in [Hook::TaskKill, Hook::FileOpen, Hook::Bpf] {
        detached(world, checks, hook)?;
    }
    healthy(world, checks)?;
    in_the_way(checks)
}

/// Services of the host on ANY are named, with who holds them, by `vs doctor` and `vs load`; once they are gone they are not.
fn in_the_way(checks: &mut Checks) -> Result<()> {
    let mut host = Desk::start("host")?;
    for order in [
        "socket tcp v4 tcp",
        "bind tcp 0.0.0.0 8150",
        "listen tcp",
        "socket udp v6 udp",
        "bind udp :: 8151",
        "socket own v4 tcp",
        "bind own 192.0.2.1 8152",
        "listen own",
        "socket sender v4 udp",
        "sendto sender 192.0.2.1 8153 x",
    ] {
        let done = host.order(order)?;
        checks.check(done.is_ok(), || format!("the host: {order}: {done:?}"));
    }
    let pid = host.pid();
    let expected =
        [format!("tcp 0.0.0.0:8150: vs-actor (pid {pid})"), format!("udp [::]:8151: vs-actor (pid {pid})")];
    let sender = host.order("name sender")?.unwrap_or_default();
    let unexpected = [":8152: ".to_owned(), format!("{}: ", sender.replace(' ', ":"))];
    for (arguments, takes_stderr) in [(&["doctor"][..], false), (&["load", POLICY], true)] {
        let output = vs(arguments)?;
        let said = if takes_stderr { &output.stderr } else { &output.stdout };
        let said = String::from_utf8_lossy(said).into_owned();
        checks.check(output.status.code() == Some(0), || {
            format!("vs {arguments:?}: {}: {said}", output.status)
        });
        for text in &expected {
            checks.check(said.contains(text), || format!("vs {arguments:?} does not name {text}: {said}"));
        }
        for text in &unexpected {
            checks.check(!said.contains(text), || format!("vs {arguments:?} names {text}: {said}"));
        }
    }
    let output = vs(&["--json", "doctor"])?;
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    checks.equal("what hides services", &answer["services_unknown"], &serde_json::Value::Null);
    let services = answer["services_in_the_way"].as_array().cloned().unwrap_or_default();
    let udp = services.iter().find(|service| service["port"] == 8151);
    let expected = serde_json::json!({
        "protocol": "udp", "address": "::", "port": 8151, "v6_only": false,
        "holders": [{"pid": pid, "comm": "vs-actor"}],
    });
    checks.equal("a service in JSON", &udp, &Some(&expected));
    drop(host);
    let said = String::from_utf8_lossy(&vs(&["doctor"])?.stdout).into_owned();
    checks.check(!said.contains(":8150"), || format!("vs doctor names what is gone: {said}"));
    Ok(())
}

/// The suite's policy needs every hook.
fn healthy(world: &mut World, checks: &mut Checks) -> Result<()> {
    let before = Status::ask()?;
    checks.equal("vs status", &before.code, &Some(0));
    checks.equal("alarms", &before.alarms(), &Vec::new());
    for hook in hooks::all_here()? {
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
    for hook in hooks::all_here()? {
        checks.check(counted.hook(hook)["calls"].is_u64(), || {
            format!("{}: calls are not counted", hook.name())
        });
    }
    // The command itself asks the kernel about each program.
    checks.check(counted.count(Hook::Bpf, "calls") > 0, || "no call of bpf is counted");
    let text = vs(&["status"])?;
    let said = String::from_utf8_lossy(&text.stdout).into_owned();
    let all = format!("{0} of {0} needed programs attached", hooks::all_here()?.len());
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
