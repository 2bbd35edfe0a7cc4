//! A command that goes to the background lives on in its context: bound by it, seen in it, reached with it.

use std::fs;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use vs_common::hook::Hook;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{World, vs, vs_ok};
use vs_tests::{actor, daemon};

use super::OUTSIDE;
use super::state::said;

/// How long the daemon, or its end, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A line of `vs ps --json`, as far as it is looked at.
#[derive(Deserialize, Debug)]
struct Process {
    pid: i32,
    context: Option<String>,
    entering: bool,
}

/// A daemon of each kind of guest, and of the spectator.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    let host = world.inhabitant("host")?.actor.target;
    outside(host, checks)?;
    // Contexts of its own: they are stopped in the end, and the suite's live on.
    for (mode, errno) in [("pidns", libc::ESRCH), ("hidepid", libc::EPERM), ("plain", libc::EPERM)] {
        let name = format!("d-{mode}");
        vs_ok(&["context", "create", &name, "--proc", mode])?;
        let pid = started(&["vs", "run", "--context", &name, "--"], &name, host, errno, checks)?;
        is_listed(&name, &["--context", &name], pid, checks)?;
        is_reached(&name, pid, checks)?;
        vs_ok(&["kill", "--all", &name])?;
        checks.check(is_gone(pid)?, || format!("{name}: the daemon outlives its context"));
        vs_ok(&["context", "remove", &name])?;
    }
    let pid = started(&["vs", "run", "--spectator", "--"], "d-spectator", host, libc::EPERM, checks)?;
    is_listed("spectator", &["--spectator"], pid, checks)?;
    vs_ok(&["kill", "-s", "KILL", &pid.to_string()])?;
    checks.check(is_gone(pid)?, || "the spectator's daemon survives SIGKILL");
    Ok(())
}

/// The host's own daemon may signal the host, and is in no context.
fn outside(host: i32, checks: &mut Checks) -> Result<()> {
    let pid = started(&[], "d-outside", host, 0, checks)?;
    let output = vs(&["kill", "-s", "KILL", &pid.to_string()])?;
    checks
        .check(!output.status.success(), || format!("the host's daemon is in a context: {}", said(&output)));
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).context("a number")?,
        rustix::process::Signal::KILL,
    )?;
    Ok(())
}

/// Starts a daemon, waits until it has tried to signal the host, and gives its number.
fn started(way: &[&str], name: &str, host: i32, errno: i32, checks: &mut Checks) -> Result<i32> {
    let host = host.to_string();
    let words: Vec<&str> = way.iter().copied().chain(["vs-actor", "daemon", name, &host]).collect();
    // The pipes of `output` are at their end only when nobody has them any more: the daemon has left them behind.
    let output: Output = OUTSIDE.command(&words).stdin(Stdio::null()).output()?;
    checks.check(output.status.success(), || format!("{name}: {}", said(&output)));
    let title = daemon::title(name, errno);
    let daemon = actor::find_process(&title);
    checks.check(daemon.is_some(), || {
        format!("{name}: no daemon lives on that has come to {} with the host", errno_name(errno))
    });
    daemon.with_context(|| format!("there is no daemon {title}"))
}

fn is_listed(name: &str, which: &[&str], pid: i32, checks: &mut Checks) -> Result<()> {
    let mut arguments = vec!["--json", "ps"];
    arguments.extend(which);
    let text = vs_ok(&arguments)?;
    let processes: Vec<Process> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let found = processes.iter().find(|process| process.pid == pid);
    let is_right = found.is_some_and(|process| !process.entering && process.context.as_deref() == Some(name));
    checks.check(is_right, || format!("{name}: vs ps shows {found:?} for {pid}: {text}"));
    Ok(())
}

/// A signal to the context comes to its daemon, which has SIGUSR1 blocked.
fn is_reached(name: &str, pid: i32, checks: &mut Checks) -> Result<()> {
    let pending = || -> Result<bool> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mask = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).context("ShdPnd")?;
        Ok(u64::from_str_radix(mask.trim(), 16)? & (1 << (libc::SIGUSR1 - 1)) != 0)
    };
    checks.check(!pending()?, || format!("{name}: a signal waits for the daemon before one was sent"));
    vs_ok(&["kill", "-s", "USR1", name])?;
    checks.check(pending()?, || format!("{name}: a signal to the context does not come to its daemon"));
    Ok(())
}

fn is_gone(pid: i32) -> Result<bool> {
    let path = format!("/proc/{pid}");
    Ok(until(|| Ok((!fs::exists(&path)?).then_some(())))?.is_some())
}

/// Asks until there is an answer.
fn until<T>(mut ask: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = ask()?;
        if answer.is_some() || Instant::now() > end {
            return Ok(answer);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
