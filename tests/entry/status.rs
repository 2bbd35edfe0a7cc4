//! What goes in and comes out: bytes, and the status that a shell would tell.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::process::{Output, Stdio};

use anyhow::{Context as _, Result};
use rustix::fs::{Mode, OFlags};
use vs_common::hook::Hook;
use vs_tests::report::Checks;
use vs_tests::world::World;

use super::state::said;
use super::{FEW_WAYS, OUTSIDE, Way};

/// Commands and their statuses. What a shell would say of them outside, `vs` says of them inside.
const STATUSES: [(&[&str], i32); 8] = [
    (&["true"], 0),
    (&["sh", "-c", "exit 7"], 7),
    (&["sh", "-c", "exit 255"], 255),
    (&["sh", "-c", "kill -TERM $$"], 128 + libc::SIGTERM),
    (&["sh", "-c", "kill -KILL $$"], 128 + libc::SIGKILL),
    (&["/bin"], 126),
    (&["/tmp/suite.toml"], 126),
    (&["no-such-command"], 127),
];

/// Bytes, statuses, and what is refused.
pub(crate) fn run(_world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    for way in FEW_WAYS {
        for (words, expected) in STATUSES {
            let output = way.command(words).stdin(Stdio::null()).output()?;
            checks.check(output.status.code() == Some(expected), || {
                format!("{}: {}: {}, expected {expected}", way.name(), words.join(" "), said(&output))
            });
        }
        bytes(way, checks)?;
    }
    contexts_that_are_not_there(checks)?;
    descriptors_that_lead_out(checks)?;
    tracers(checks)
}

/// More than a pipe holds, through standard input, output and error.
fn bytes(way: Way, checks: &mut Checks) -> Result<()> {
    let sent: Vec<u8> =
        (0..200_000_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
    let mut child = way
        .command(&["sh", "-c", "cat; echo said >&2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("a pipe")?;
    let bytes = sent.clone();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output()?;
    let is_written = writer.join().is_ok_and(|result| result.is_ok());
    checks.check(is_written && output.stdout == sent, || format!("{}: other bytes came out", way.name()));
    checks.equal(
        &format!("{}: standard error", way.name()),
        &output.stderr.as_slice(),
        &b"said\n".as_slice(),
    );
    Ok(())
}

/// A failure before the command is 125, whatever it was: the others are the command's own. Commands without one tell it by its code.
fn contexts_that_are_not_there(checks: &mut Checks) -> Result<()> {
    for (words, code) in [
        (&["vs", "run", "--context", "nobody", "--", "true"][..], 125),
        (&["vs", "run", "--xid", "4000", "--", "true"], 125),
        (&["vs", "run", "--", "true"], 125),
        (&["vs", "enter", "nobody", "--", "true"], 125),
        (&["vs", "kill", "nobody"], 12),
        (&["vs", "ps", "--context", "nobody"], 12),
    ] {
        let output = OUTSIDE.command(words).stdin(Stdio::null()).output()?;
        let is_told = !output.stderr.is_empty();
        checks.check(output.status.code() == Some(code) && is_told, || {
            format!("{}: {}, expected {code}", words.join(" "), said(&output))
        });
    }
    Ok(())
}

fn opened(path: &str, flags: OFlags) -> Result<OwnedFd> {
    rustix::fs::open(path, flags, Mode::empty()).with_context(|| format!("open {path}"))
}

/// 0, 1 and 2 go in if they carry bytes and lead nowhere.
fn descriptors_that_lead_out(checks: &mut Checks) -> Result<()> {
    let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())?;
    let leads_out: [(&str, OwnedFd); 6] = [
        ("a directory", opened("/", OFlags::RDONLY)?),
        ("a path", opened("/dev/null", OFlags::PATH)?),
        ("a file of /proc", opened("/proc/self/mem", OFlags::RDONLY)?),
        ("a namespace", opened("/proc/self/ns/mnt", OFlags::RDONLY)?),
        ("a pin's folder", opened("/sys/fs/bpf/vs", OFlags::RDONLY)?),
        ("a pidfd", own),
    ];
    for way in FEW_WAYS {
        for (what, descriptor) in &leads_out {
            let output = way.command(&["true"]).stdin(descriptor.try_clone()?).output()?;
            checks.check(refuses(&output, "descriptor 0"), || {
                format!("{}: {what}: {}", way.name(), said(&output))
            });
        }
        let file = File::open("/bin/busybox")?;
        let output = way.command(&["true"]).stdin(file).output()?;
        checks.check(output.status.success(), || format!("{}: a file: {}", way.name(), said(&output)));
    }
    Ok(())
}

fn refuses(output: &Output, why: &str) -> bool {
    output.status.code() == Some(125) && String::from_utf8_lossy(&output.stderr).contains(why)
}

/// Nobody enters with a tracer: one that follows what `vs` forks is noticed, one that does not is left behind.
fn tracers(checks: &mut Checks) -> Result<()> {
    let traced = |how: &str, way: Way| -> Result<Output> {
        let mut words = vec!["vs-actor", "trace", how];
        words.extend(way.0);
        words.extend(["cat", "/proc/self/status"]);
        Ok(OUTSIDE.command(&words).stdin(Stdio::null()).output()?)
    };
    let has_none = |output: &Output| String::from_utf8_lossy(&output.stdout).contains("TracerPid:\t0\n");
    let outside = traced("follow", OUTSIDE)?;
    checks.check(outside.status.success() && !has_none(&outside), || format!("outside: {}", said(&outside)));
    for way in FEW_WAYS {
        let alone = traced("alone", way)?;
        checks.check(alone.status.success() && has_none(&alone), || {
            format!("{}: under a tracer that does not follow: {}", way.name(), said(&alone))
        });
        let followed = traced("follow", way)?;
        checks.check(refuses(&followed, "traces vs") && followed.stdout.is_empty(), || {
            format!("{}: under a tracer that follows: {}", way.name(), said(&followed))
        });
    }
    Ok(())
}
