//! Signals by asynchronous input and output: a guest cannot have the kernel signal a process that it could not signal itself.

use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, FromRawFd as _, OwnedFd};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use vs_common::hook::Hook;
use vs_tests::actor::Actor;
use vs_tests::audit::Expected;
use vs_tests::relation::Party;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{World, actor_command};

/// The ways to give a file an owner, and the hook that sees each.
pub(crate) const WAYS: [(&str, Hook); 5] = [
    ("fcntl", Hook::FileFcntl),
    ("fcntl-ex", Hook::FileFcntl),
    ("ioctl", Hook::FileIoctl),
    ("ioctl-group", Hook::FileIoctl),
    ("ioctl-32", Hook::FileIoctlCompat),
];

/// Whether a signal waits for a process.
pub(crate) fn is_pending(pid: i32, signal: i32) -> Result<bool> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mask =
        status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).context("ShdPnd in /proc/PID/status")?;
    Ok(u64::from_str_radix(mask.trim(), 16)? & (1 << (signal - 1)) != 0)
}

/// Tries every way from guests, the spectator and the host, each with a signal of its own, so that it can be told who sent what.
pub(crate) fn run(world: &mut World, checks: &mut Checks, only: Option<Hook>) -> Result<()> {
    let mut records = Vec::new();
    // Targets and signals are used up: a signal that is pending stays pending.
    for (actor, target) in [
        ("plain-a", "host"),
        ("hidepid-a", "plain-a"),
        ("hidepid-b", "hidepid-b"),
        ("spectator", "pidns-a"),
        ("host", "plain-b"),
    ] {
        for (way, hook) in WAYS {
            if only.is_some() && only != Some(hook) && only != Some(Hook::FileSendSigiotask) {
                continue;
            }
            one(world, checks, &mut records, (actor, target), way)?;
            if checks.are_decided() {
                return Ok(());
            }
        }
    }
    for missing in world.audit.missing(&records)? {
        checks.check(false, || format!("no audit record: {missing:?}"));
    }
    if only.is_none() || only == Some(Hook::FileSetFowner) {
        host_takes_over(world, checks)?;
    }
    Ok(())
}

fn one(
    world: &mut World,
    checks: &mut Checks,
    records: &mut Vec<Expected>,
    (actor, target): (&str, &str),
    way: &str,
) -> Result<()> {
    let signal = next_signal(world, target)?;
    let target_party = world.inhabitant(target)?.party;
    let host_number = world.inhabitant(target)?.actor.target;
    let number = if actor == target { world.inhabitant(target)?.actor.own_target } else { host_number };
    let party = world.inhabitant(actor)?.party;
    let answer = world.order(actor, &format!("do set-owner {way} {number} {signal}"))?;
    checks.check(answer.errno == 0, || format!("{way}: {actor} sets an owner: {}", errno_name(answer.errno)));
    let is_allowed = party == Party::Host || party == target_party;
    let came = is_pending(host_number, signal)?;
    checks.check(came == is_allowed, || {
        let what = if came { "reached it" } else { "did not reach it" };
        format!("{way}: a signal that {actor} arranged for {target} {what}")
    });
    if !is_allowed {
        records.push(Expected {
            actor: party.xid(),
            pid: None,
            target: Some(target_party.xid()),
            hook: Hook::FileSendSigiotask.name(),
            errno: "EPERM",
            mode: "enforce",
        });
    }
    Ok(())
}

/// A real-time signal that does not wait for this target yet.
pub(crate) fn next_signal(world: &mut World, target: &str) -> Result<i32> {
    let pid = world.inhabitant(target)?.actor.target;
    for signal in 35..64 {
        if !is_pending(pid, signal)? {
            return Ok(signal);
        }
    }
    anyhow::bail!("{target} has every signal pending")
}

/// A guest sets an owner on a file that the host has open, too; then the host sets one: what the guest set is past, and the host's signal
/// reaches the host's process.
fn host_takes_over(world: &mut World, checks: &mut Checks) -> Result<()> {
    let (shared, writer): (OwnedFd, OwnedFd) = {
        let mut pair = [0_i32; 2];
        // SAFETY: Room for two descriptors, which are this function's own from here on.
        unsafe {
            anyhow::ensure!(libc::pipe2(pair.as_mut_ptr(), libc::O_CLOEXEC) == 0, "pipe2 failed");
            (OwnedFd::from_raw_fd(pair[0]), OwnedFd::from_raw_fd(pair[1]))
        }
    };
    let mut command = actor_command("plain-a", "taken");
    command.stdin(Stdio::from(shared.as_fd().try_clone_to_owned()?));
    let mut actor =
        Actor::start_with_orders(command, "taken", fs::File::from(writer.as_fd().try_clone_to_owned()?))?;
    let answer = actor.order("self own-standard-input")?;
    checks.check(answer.errno == 0, || format!("a guest owns its input: {}", errno_name(answer.errno)));
    let signal = next_signal(world, "host")?;
    let target = world.inhabitant("host")?.actor.target;
    // SAFETY: Numbers on a descriptor that is open.
    unsafe {
        libc::fcntl(shared.as_raw_fd(), libc::F_SETOWN, target);
        libc::fcntl(shared.as_raw_fd(), 10, signal);
        libc::fcntl(shared.as_raw_fd(), libc::F_SETFL, libc::O_ASYNC);
    }
    fs::File::from(writer).write_all(b"do fork\n")?;
    checks.check(is_pending(target, signal)?, || {
        "a signal that the host arranged for its own process, on a file that a guest had owned, did not reach it"
    });
    Ok(())
}
