//! `[host] proc_lock = true`: what a namespace keeps from a context's sight, the programs keep from it as well.
//!
//! | attempt on another's `/proc/PID`                  | first lock                    | second lock, if policy asks for it        |
//! |---------------------------------------------------|-------------------------------|-------------------------------------------|
//! | in the context's own `/proc` (`hidepid`)          | `ptrace_access_check`: ENOENT | `file_open` and its kin: ENOENT           |
//! | below the host's `/proc`, by a descriptor handed over | none                      | the same; memory is `ptrace_access_check`'s in any case |
//!
//! Each lock is tried with the other one off.

use std::fs::{self, File};
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result};
use vs_common::hook::Hook;
use vs_tests::audit::Expected;
use vs_tests::handover::Giver;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{World, policy, vs_ok};

use crate::detach::detach;

/// The suite's policy with the second lock.
const LOCKED: &str = "/tmp/locked.toml";
/// Contexts that have a `/proc` of their own, and the xid of each.
const WITH_OWN_PROC: [(&str, u32); 2] = [("pidns-a", 101), ("hidepid-a", 111)];
/// Ways to look into a `/proc/PID`, which no check of the kernel's own forbids root, and the hook of the second lock.
const LOOKS: [(&str, &str, Hook); 4] = [
    ("read", "status", Hook::FileOpen),
    ("read", "environ", Hook::FileOpen),
    ("stat", "status", Hook::InodeGetattr),
    ("readlink", "exe", Hook::InodeReadlink),
];

/// The locks together, then each alone.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    // What the second lock is for: without it a descriptor leads past the namespace, except to what asks ptrace.
    for (who, xid) in WITH_OWN_PROC {
        handed_over(world, checks, (who, xid), ("stat", "status"), (0, None))?;
        handed_over(world, checks, (who, xid), ("read", "status"), (0, None))?;
        let ptrace = (libc::EACCES, Some((Hook::PtraceAccessCheck, "EPERM")));
        handed_over(world, checks, (who, xid), ("read", "environ"), ptrace)?;
    }
    fs::write(LOCKED, format!("[host]\nproc_lock = true\n\n{}", policy("enforce")))?;
    world.restart_with(LOCKED)?;
    for inhabitant in WITH_OWN_PROC {
        for (how, file, hook) in LOOKS {
            let denied = (libc::ENOENT, Some((hook, "ENOENT")));
            handed_over(world, checks, inhabitant, (how, file), denied)?;
        }
    }
    own_processes(world, checks)?;
    without_the_second(world, checks)?;
    // What is seen while the namespace hides nothing stays known to it: then a look comes to EPERM, and not to ENOENT.
    without_the_first(world, checks)?;
    world.restart()
}

/// Has somebody look below the host's `/proc`, handed over as a descriptor, into what is of the host's target: the errno, and the hook
/// that says so with the errno in its record.
fn handed_over(
    world: &mut World,
    checks: &mut Checks,
    (who, xid): (&str, u32),
    (how, file): (&str, &str),
    (errno, denied_by): (i32, Option<(Hook, &'static str)>),
) -> Result<()> {
    let host = world.inhabitant("host")?.actor.target;
    let found = receive(world, who, how, &format!("{host}/{file}"))?;
    checks.check(found == errno, || {
        format!(
            "{who}: {how} {file} below the host's /proc: {}, expected {}",
            errno_name(found),
            errno_name(errno)
        )
    });
    let Some((hook, errno)) = denied_by else { return Ok(()) };
    let record =
        Expected { actor: xid, pid: None, target: Some(0), hook: hook.name(), errno, mode: "enforce" };
    let missing = world.audit.missing(&[record])?;
    checks.check(missing.is_empty(), || format!("no audit record: {missing:?}"));
    Ok(())
}

/// Hands the host's `/proc` to somebody who does something below it; the errno.
fn receive(world: &mut World, who: &str, how: &str, path: &str) -> Result<i32> {
    let proc = File::open("/proc")?;
    let giver = Giver::new().context("hand a descriptor over")?;
    std::thread::scope(|scope| {
        let handing = scope.spawn(|| giver.give(proc.as_fd()));
        let answer = world.order(who, &format!("do received {how} {path}"))?;
        match handing.join() {
            Ok(handed) => handed.context("hand a descriptor over")?,
            Err(_) => anyhow::bail!("whoever hands a descriptor over panicked"),
        }
        Ok(answer.errno)
    })
}

/// The second lock leaves a context its own processes, in its own `/proc` and in the host's.
fn own_processes(world: &mut World, checks: &mut Checks) -> Result<()> {
    for (who, _) in WITH_OWN_PROC {
        let (own, number) = {
            let actor = &world.inhabitant(who)?.actor;
            (actor.own_target, actor.target)
        };
        for path in ["open-status", "open-environ", "stat-status", "readlink-exe"] {
            let errno = world.order(who, &format!("path {path} {own}"))?.errno;
            checks.check(errno == 0, || format!("{who}: {path} on its own: {}", errno_name(errno)));
        }
        let errno = receive(world, who, "read", &format!("{number}/status"))?;
        checks.check(errno == 0, || format!("{who}: its own below the host's /proc: {}", errno_name(errno)));
    }
    Ok(())
}

/// Waits until an act comes to an errno: the kernel detaches behind the back of who unpins.
fn wait_until(world: &mut World, who: &str, order: &str, errno: i32) -> Result<bool> {
    for _ in 0..40 {
        if world.order(who, order)?.errno == errno {
            return Ok(true);
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(false)
}

/// With `ptrace_access_check` detached a `/proc` mounted `hidepid=ptraceable` shows all: the second lock holds.
fn without_the_first(world: &mut World, checks: &mut Checks) -> Result<()> {
    detach(Hook::PtraceAccessCheck)?;
    let (host, neighbour) =
        (world.inhabitant("host")?.actor.target, world.inhabitant("hidepid-b")?.actor.target);
    // No hook sees access(2): it tells whether the mount still hides.
    let is_off = wait_until(world, "hidepid-a", &format!("path access {host}"), 0)?;
    checks.check(is_off, || "the first lock holds though its program is detached");
    let mut records = Vec::new();
    for (target, xid) in [(host, 0), (neighbour, 112)] {
        for (path, hook) in [
            ("open-status", Hook::FileOpen),
            ("open-environ", Hook::FileOpen),
            ("open-mem", Hook::FileOpen),
            ("stat-status", Hook::InodeGetattr),
            ("readlink-exe", Hook::InodeReadlink),
        ] {
            let answer = world.order("hidepid-a", &format!("path {path} {target}"))?;
            checks.check(answer.errno == libc::ENOENT, || {
                format!("without the first lock: {path} on xid {xid}: {}", errno_name(answer.errno))
            });
            records.push(Expected {
                actor: 111,
                pid: Some(answer.pid),
                target: Some(xid),
                hook: hook.name(),
                errno: "ENOENT",
                mode: "enforce",
            });
        }
    }
    let missing = world.audit.missing(&records)?;
    checks.check(missing.is_empty(), || format!("without the first lock: no audit record: {missing:?}"));
    Ok(())
}

/// With the second lock's programs detached the namespace hides what it did, and memory is kept past it, too.
fn without_the_second(world: &mut World, checks: &mut Checks) -> Result<()> {
    for hook in [Hook::FileOpen, Hook::InodeGetattr, Hook::InodeReadlink] {
        detach(hook)?;
    }
    let host = world.inhabitant("host")?.actor.target;
    let mut is_off = false;
    for _ in 0..40 {
        is_off = receive(world, "hidepid-a", "read", &format!("{host}/status"))? == 0
            && receive(world, "hidepid-a", "readlink", &format!("{host}/exe"))? != libc::ENOENT;
        if is_off {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    checks.check(is_off, || "the second lock holds though its programs are detached");
    for path in ["open-status", "open-environ", "open-mem", "stat-status", "readlink-exe"] {
        for who in ["hidepid-a", "pidns-a"] {
            let errno = world.order(who, &format!("path {path} {host}"))?.errno;
            checks.check(errno == libc::ENOENT, || {
                format!("without the second lock: {who}: {path} on the host's: {}", errno_name(errno))
            });
        }
    }
    for file in ["environ", "mem", "maps"] {
        let errno = receive(world, "hidepid-a", "read", &format!("{host}/{file}"))?;
        checks.check(errno == libc::EACCES, || {
            format!("without the second lock: {file} below the host's /proc: {}", errno_name(errno))
        });
    }
    vs_ok(&["load", LOCKED])?;
    Ok(())
}
