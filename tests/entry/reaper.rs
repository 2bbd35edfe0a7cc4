//! A context's first process, which a command makes that finds the context not running: what that one's caller has does not stay in the
//! context with it.

use std::fs;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use vs_common::capability::DEFAULT_SET;
use vs_common::hook::Hook;
use vs_tests::report::Checks;
use vs_tests::world::{World, vs_ok};

use super::caller::Caller;
use super::state::said;
use super::{OUTSIDE, Way};

/// A context of this test's own.
const CONTEXT: &str = "e-pidns";
const FRESH: Way = Way(&["vs", "run", "--context", CONTEXT, "--"]);

/// A line of `vs ps --json`, as far as it is looked at.
#[derive(Deserialize, Debug)]
struct Process {
    pid: i32,
    pid_inside: i32,
}

fn processes() -> Result<Vec<Process>> {
    let text = vs_ok(&["--json", "ps", "--context", CONTEXT])?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// Starts a context as a caller with much to leave behind, and under a tracer.
pub(crate) fn run(_world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    vs_ok(&["context", "create", CONTEXT])?;
    let output = Caller::new()?.output(FRESH, &["true"])?;
    checks.check(output.status.success(), || format!("start a context: {}", said(&output)));
    let first =
        processes()?.into_iter().find(|process| process.pid_inside == 1).context("a first process")?;
    look_at(first.pid, checks)?;
    vs_ok(&["kill", "--all", CONTEXT])?;

    let words: Vec<&str> =
        ["vs-actor", "trace", "follow"].iter().chain(FRESH.0).chain(&["true"]).copied().collect();
    let traced = OUTSIDE.command(&words).stdin(Stdio::null()).output()?;
    let is_refused =
        traced.status.code() == Some(125) && String::from_utf8_lossy(&traced.stderr).contains("traces vs");
    checks.check(is_refused, || format!("start a context under a tracer: {}", said(&traced)));
    checks.equal("started under a tracer, in the context", &processes()?.len(), &0);
    vs_ok(&["context", "remove", "--stop", CONTEXT])?;
    Ok(())
}

/// From outside: of what is in its `/proc/PID`, nothing is the caller's.
fn look_at(pid: i32, checks: &mut Checks) -> Result<()> {
    let proc = format!("/proc/{pid}");
    let link = |name: &str| fs::read_link(format!("{proc}/{name}")).unwrap_or_default();
    let mut descriptors = Vec::new();
    for entry in fs::read_dir(format!("{proc}/fd"))? {
        let entry = entry?;
        descriptors.push((entry.file_name().to_string_lossy().into_owned(), fs::read_link(entry.path())?));
    }
    descriptors.sort();
    let expected: Vec<_> = ["0", "1", "2"].map(|number| (number.to_owned(), "/dev/null".into())).into();
    checks.equal("first process: descriptors", &descriptors, &expected);
    checks.equal("first process: environment", &fs::read(format!("{proc}/environ"))?, &Vec::new());
    checks.equal("first process: directory", &link("cwd"), &"/".into());
    let stat = fs::read_to_string(format!("{proc}/stat"))?;
    // After the name: state, parent, group, session, terminal.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    checks.equal("first process: session", &fields[3], &pid.to_string().as_str());
    checks.equal("first process: terminal", &fields[4], &"0");
    let status = fs::read_to_string(format!("{proc}/status"))?;
    for line in status.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name {
            "CapInh" | "CapPrm" | "CapEff" | "CapBnd" | "CapAmb" => {
                let excess = u64::from_str_radix(value, 16)? & !DEFAULT_SET;
                checks.check(excess == 0, || format!("first process: {name} has {excess:#x}"));
            }
            "TracerPid" => checks.equal("first process: tracer", &value, &"0"),
            "Umask" => checks.equal("first process: umask", &value, &"0022"),
            "Groups" => checks.equal("first process: groups", &value, &""),
            _ => {}
        }
    }
    Ok(())
}
