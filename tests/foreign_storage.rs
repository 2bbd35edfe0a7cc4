//! Another BPF tool stores something on every task, the host's and the guests': the host stays the host, guests stay guests.
//!
//! Whose storage it is, is told by the helper where it is not told at a glance: `vs-ebpf/src/kernel/storage.rs` looks into the first slots
//! of a task's storage, and where the tags lie beyond them, since other tools came first, all is left to the helper.

use std::process::Command;

use anyhow::{Context as _, Result};
use vs_common::hook::Hook;
use vs_tests::foreign::ForeignTool;
use vs_tests::hooks;
use vs_tests::report::{Checks, errno_name};
use vs_tests::status::Status;
use vs_tests::world::{World, vs_ok};

use crate::{interaction, lifecycle, procfs, sigio};

/// More tools than slots are looked at.
const TOOLS: usize = 5;
/// What is tried by everybody on everybody: of each kind of check one.
const OPERATIONS: [&str; 4] = ["kill", "ptrace-attach", "getpgid", "setpriority"];

/// One tool that comes later than we, then many that were there before.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    let tool = ForeignTool::start().context("start a tool that stores on tasks")?;
    checks.during("beside one that came later", |checks| undisturbed(world, checks, &[tool]))?;
    // The place in a task's storage is given when the map is made.
    world.stop()?;
    let mut tools = Vec::new();
    for _ in 0..TOOLS {
        tools.push(ForeignTool::start().context("start a tool that stores on tasks")?);
    }
    world.restart()?;
    tools.push(ForeignTool::start().context("start another tool")?);
    checks.during("beside many tools", |checks| undisturbed(world, checks, &tools))?;
    drop(tools);
    // With the tags in their usual place again.
    world.stop()
}

/// Whether all that was tried was tried on processes that other tools store on.
fn stores_on_all(world: &World, checks: &mut Checks, tools: &[ForeignTool]) -> Result<()> {
    for inhabitant in &world.inhabitants {
        for tool in tools {
            let has_stored = tool.has_stored_on(inhabitant.actor.target)?;
            checks.check(has_stored, || format!("no tool stores on the target of {}", inhabitant.actor.name));
        }
    }
    Ok(())
}

/// What must hold whoever stores what.
fn undisturbed(world: &mut World, checks: &mut Checks, tools: &[ForeignTool]) -> Result<()> {
    let before = Status::ask()?;
    interaction::run_those(world, checks, |operation| OPERATIONS.contains(&operation.name))?;
    for hook in [Hook::TaskToInode, Hook::InodeReadlink] {
        procfs::run(world, checks, Some(hook))?;
    }
    sigio::run(world, checks, Some(Hook::FileIoctlCompat))?;
    lifecycle::run(world, checks, None)?;
    let guest = world.inhabitant("pidns-a")?.actor.target;
    for order in [
        "do fork".to_owned(),
        "do bpf 11".to_owned(),
        "do mkdir /sys/fs/bpf/suite".to_owned(),
        "do rmdir /sys/fs/bpf/suite".to_owned(),
        "do open read /dev/kmsg".to_owned(),
        format!("path open-mem {guest}"),
        format!("path open-environ {guest}"),
    ] {
        // bpf(2) with no attributes succeeds, or finds no program with a greater id: it is not denied.
        let errno = world.order("host", &order)?.errno;
        checks.check(errno == 0, || format!("host: {order}: {}", errno_name(errno)));
    }
    for who in ["pidns-a", "hidepid-a", "plain-a", "spectator"] {
        for (order, errno) in
            [("do fork", 0), ("do bpf 11", libc::EPERM), ("do mount tmpfs /tmp", libc::EPERM)]
        {
            let found = world.order(who, order)?.errno;
            checks.check(found == errno, || format!("{who}: {order}: {}", errno_name(found)));
        }
    }
    // The host executes programs: nothing of the enforcement's fails there.
    for _ in 0..5 {
        let status = Command::new("vs-actor").args(["storm", "1", "2"]).status()?;
        checks.equal("two children of the host signal init", &status.code(), &Some(0));
    }
    let after = Status::ask()?;
    checks.equal("the status beside another tool", &after.alarms(), &Vec::new());
    for hook in hooks::all_here()? {
        let grown = after.count(hook, "failures") - before.count(hook, "failures");
        checks.check(grown == 0, || format!("{} counts {grown} failures", hook.name()));
    }
    // The host's processes are not among those of contexts.
    let own = format!("\"pid\":{},", std::process::id());
    let listed = vs_ok(&["--json", "ps"])?;
    checks.check(!listed.contains(&own), || format!("a process of the host is in a context: {listed}"));
    stores_on_all(world, checks, tools)
}
