//! What is handed on, what is left behind, and what is the process's own.

use std::collections::BTreeSet;
use std::process::Output;

use anyhow::{Context as _, Result};
use vs_common::capability::DEFAULT_SET;
use vs_common::hook::Hook;
use vs_tests::finding::Finding;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::World;

use super::caller::{BLOCKED, Caller, ENVIRONMENT, EXTRA, IGNORED, SECUREBITS};
use super::{OUTSIDE, WAYS, Way};

/// The lines of `/proc/PID/status` that hold a set of capabilities.
const CAPABILITY_SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

/// Compares what a command finds inside with what it would find outside.
pub(crate) fn run(_world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    let caller = Caller::new()?;
    the_callers_things_are_there_outside(&caller, checks)?;
    for way in WAYS {
        let name = way.name();
        let finding = finding(&caller, way)?;
        checks.equal(&format!("{name}: descriptors"), &finding.descriptors, &vec![0, 1, 2]);
        checks.equal(&format!("{name}: session"), &finding.session, &finding.pid);
        checks.equal(&format!("{name}: process group"), &finding.group, &finding.pid);
        checks.check(finding.keyring > 0 && finding.keyring != caller.keyring, || {
            format!("{name}: session keyring {}, the caller's is {}", finding.keyring, caller.keyring)
        });
        checks.equal(&format!("{name}: look for the caller's key"), &finding.key_search, &libc::ENOKEY);
        checks.check(finding.key_read != 0, || format!("{name}: reads the caller's key by its number"));
        checks.equal(&format!("{name}: securebits"), &finding.securebits, &0);
        checks.equal(&format!("{name}: root"), &finding.root.as_str(), &"/");
        environment(&name, &finding, checks);
        status(&caller, way, checks)?;
    }
    Ok(())
}

/// Otherwise their absence inside would say nothing.
fn the_callers_things_are_there_outside(caller: &Caller, checks: &mut Checks) -> Result<()> {
    let outside = finding(caller, OUTSIDE)?;
    for number in EXTRA {
        checks.check(outside.descriptors.contains(&number), || format!("outside: no descriptor {number}"));
    }
    checks.equal("outside: session keyring", &outside.keyring, &caller.keyring);
    checks.equal("outside: look for the caller's key", &errno_name(outside.key_search), &"0");
    checks.equal("outside: read the caller's key", &errno_name(outside.key_read), &"0");
    checks.equal("outside: securebits", &outside.securebits, &SECUREBITS);
    checks.check(outside.session != outside.pid, || "outside: a session of its own");
    let has_all = ENVIRONMENT
        .iter()
        .all(|(name, value, _)| outside.environment.get(*name).is_some_and(|found| found == value));
    checks.check(has_all, || format!("outside: the environment is {:?}", outside.environment));
    let status = Status::of(caller, OUTSIDE)?;
    checks.check(status.signals("SigBlk")? == set_of(&BLOCKED), || "outside: other signals are blocked");
    checks.check(status.signals("SigIgn")? == set_of(&IGNORED), || "outside: other signals are ignored");
    checks.check(status.word("Umask")? == "0077", || "outside: another umask");
    checks.check(
        status.signals("CapEff")? & !DEFAULT_SET != 0,
        || "outside: no capability beyond the safe ones",
    );
    Ok(())
}

fn finding(caller: &Caller, way: Way) -> Result<Finding> {
    let output = caller.output(way, &["vs-actor", "find", &caller.key.to_string()])?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("{}: {}", way.name(), said(&output)))
}

/// What a command said in its distress.
pub(super) fn said(output: &Output) -> String {
    format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
}

/// What is documented to be handed on has the caller's value, what belongs to the user has the user's, and there is nothing else.
fn environment(name: &str, finding: &Finding, checks: &mut Checks) {
    for (variable, value, is_handed_on) in ENVIRONMENT {
        let found = finding.environment.get(variable).map(String::as_str);
        checks.check(found == is_handed_on.then_some(value), || format!("{name}: {variable} is {found:?}"));
    }
    let handed_on = ENVIRONMENT.iter().filter(|(.., is_handed_on)| *is_handed_on).map(|(name, ..)| *name);
    let expected: BTreeSet<&str> = handed_on.chain(["HOME", "SHELL", "USER", "LOGNAME"]).collect();
    let excess: Vec<_> =
        finding.environment.keys().filter(|name| !expected.contains(name.as_str())).collect();
    checks.check(excess.is_empty(), || format!("{name}: {excess:?} in the environment"));
}

/// `/proc/self/status` of a program that changes nothing of what is looked at.
struct Status(String);

impl Status {
    fn of(caller: &Caller, way: Way) -> Result<Self> {
        let output = caller.output(way, &["cat", "/proc/self/status"])?;
        anyhow::ensure!(output.status.success(), "{}: {}", way.name(), said(&output));
        Ok(Self(String::from_utf8(output.stdout)?))
    }

    fn word(&self, name: &str) -> Result<&str> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.with_context(|| format!("{name} in /proc/self/status"))?.trim())
    }

    /// A line in hexadecimal.
    fn signals(&self, name: &str) -> Result<u64> {
        Ok(u64::from_str_radix(self.word(name)?, 16)?)
    }
}

fn set_of(signals: &[i32]) -> u64 {
    signals.iter().fold(0, |set, signal| set | 1 << (signal - 1))
}

fn status(caller: &Caller, way: Way, checks: &mut Checks) -> Result<()> {
    let (name, status) = (way.name(), Status::of(caller, way)?);
    for set in ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"] {
        checks.equal(&format!("{name}: {set}"), &status.signals(set)?, &0);
    }
    for set in CAPABILITY_SETS {
        let excess = status.signals(set)? & !DEFAULT_SET;
        checks.check(excess == 0, || format!("{name}: {set} has {excess:#x} beyond the safe ones"));
    }
    // What is safe is there: a context's root is to be root.
    checks.equal(&format!("{name}: CapEff"), &status.signals("CapEff")?, &DEFAULT_SET);
    // Programs inside may be setuid; the bounding set holds them, too.
    for (line, expected) in [("NoNewPrivs", "0"), ("TracerPid", "0"), ("Umask", "0022"), ("Groups", "")] {
        let what = format!("{name}: {line}");
        checks.equal(&what, &status.word(line)?, &expected);
    }
    Ok(())
}
