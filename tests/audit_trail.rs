//! Every attempt is accounted for: as a record, as a repetition, as suppressed, or as lost; the sums are exact.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};
use serde_json::Value;
use vs_common::hook::Hook;
use vs_tests::audit::Audit;
use vs_tests::report::Checks;
use vs_tests::world::{AUDIT, POLICY, World, policy, vs_ok};

/// What the audit says of one context's `task_kill` so far: records, repetitions, suppressed, lost.
pub(crate) fn accounted(records: &[Value], xid: u64) -> u64 {
    let of_context = |value: &Value| value["xid"].as_u64() == Some(xid);
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    records
        .iter()
        .map(|record| match record["kind"].as_str() {
            Some("violation") if of_context(&record["actor"]) && record["hook"] == "task_kill" => {
                1 + count(&record["repeated"])
            }
            Some("repeated") if of_context(&record["actor"]) && record["hook"] == "task_kill" => {
                count(&record["repeated"])
            }
            Some("suppressed" | "lost") if of_context(record) || of_context(&record["context"]) => {
                count(&record["count"])
            }
            _ => 0,
        })
        .sum()
}

/// Waits until the audit has accounted for so many more attempts; gives what it came to.
pub(crate) fn wait_for_account(world: &mut World, xid: u64, wanted: u64) -> Result<u64> {
    let mut found = 0;
    for _ in 0..200 {
        found = accounted(world.audit.read()?, xid);
        if found >= wanted {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(found)
}

/// One process repeats itself; one context floods beyond its rate; meanwhile another context's record is seen.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    let host = world.inhabitant("host")?.actor.target;

    let before = accounted(world.audit.read()?, 122);
    let answer = world.order("plain-b", &format!("do kill-many {host} 500"))?;
    checks.equal("500 attempts of one process", &answer.errno, &libc::EPERM);
    let found = wait_for_account(world, 122, before + 500)? - before;
    checks.equal("attempts of one process that the audit accounts for", &found, &500);

    // A context with a small rate, and one process per attempt, so that nothing is folded together.
    let small = policy("enforce").replace(
        "xid = 112\nproc = \"hidepid\"\nmode = \"enforce\"\nrecords_per_second = 10000\nrecord_burst = 2184",
        "xid = 112\nproc = \"hidepid\"\nmode = \"enforce\"\nrecords_per_second = 10\nrecord_burst = 20",
    );
    checks.check(
        small.contains("record_burst = 20"),
        || "the suite's policy has another form than this test thinks",
    );
    fs::write("/tmp/small.toml", &small)?;
    vs_ok(&["load", "/tmp/small.toml"])?;
    let before = accounted(world.audit.read()?, 112);
    let answer = world.order("hidepid-b", &format!("do kill-storm {host} 300"))?;
    checks.equal("300 attempts of 300 processes", &answer.errno, &libc::EPERM);
    let quiet = world.order("hidepid-a", &format!("op kill {host}"))?;
    let seen = world.audit.wait_for(|record| {
        record["kind"] == "violation" && record["actor"]["tgid"].as_i64() == Some(quiet.pid.into())
    })?;
    checks.check(seen.is_some(), || "a flood of one context hides another's record");
    let found = wait_for_account(world, 112, before + 300)? - before;
    checks.equal("attempts of a flood that the audit accounts for", &found, &300);
    let suppressed = world.audit.wait_for(|record| record["kind"] == "suppressed")?;
    checks.check(suppressed.is_some(), || "a flood beyond the rate leaves no summary");
    vs_ok(&["load", POLICY])?;
    full_ring(world, checks)
}

/// Attempts that the ring has no room for, of a process each: it holds some 4 300 records.
const BEYOND_THE_RING: u64 = 5000;

/// Nobody reads, and the ring fills up: every attempt is denied all the same, and what is not a record is counted.
fn full_ring(world: &mut World, checks: &mut Checks) -> Result<()> {
    let host = world.inhabitant("host")?.actor.target;
    let is_lost = |record: &Value| record["kind"] == "lost";
    let count = |records: &[Value]| records.iter().filter(|record| is_lost(record)).count();
    let (before, lost) = (accounted(world.audit.read()?, 122), count(world.audit.read()?));
    let reader = world.audit.pause()?;
    let answer = world.order("plain-b", &format!("do kill-storm {host} {BEYOND_THE_RING}"))?;
    checks.equal("attempts while the ring is full", &answer.errno, &libc::EPERM);
    drop(reader);
    let found = wait_for_account(world, 122, before + BEYOND_THE_RING)? - before;
    checks.equal("attempts beyond the ring that the audit accounts for", &found, &BEYOND_THE_RING);
    checks.check(count(world.audit.read()?) > lost, || "a full ring leaves no record of what was lost");
    let next = world.order("hidepid-a", &format!("op kill {host}"))?;
    let seen = world.audit.wait_for(|record| {
        record["kind"] == "violation" && record["actor"]["tgid"].as_i64() == Some(next.pid.into())
    })?;
    checks.check(seen.is_some(), || "after a full ring nothing is recorded any more");
    Ok(())
}

/// A disk that is full: the collector goes on, and at its end it says with its status that the audit is incomplete, and what is missing.
pub(crate) fn incomplete(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    const FOLDER: &str = "/tmp/small";
    let host = world.inhabitant("host")?.actor.target;
    world.audit.end()?;
    fs::create_dir_all(FOLDER)?;
    rustix::mount::mount("tmpfs", FOLDER, "tmpfs", rustix::mount::MountFlags::empty(), c"size=16k")?;
    let mut collector = Command::new("vs")
        .args(["audit", "collect", "--output", "/tmp/small/audit.jsonl"])
        .stderr(Stdio::piped())
        .spawn()
        .context("start vs audit collect")?;
    let answer = world.order("hidepid-a", &format!("do kill-storm {host} 200"))?;
    checks.equal("attempts while the disk is full", &answer.errno, &libc::EPERM);
    std::thread::sleep(Duration::from_secs(2));
    checks.check(collector.try_wait()?.is_none(), || "a full disk ends the collector");
    rustix::process::kill_process(Pid::from_child(&collector), Signal::TERM)?;
    let output = collector.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    checks.check(output.status.code() == Some(16), || {
        format!("a collector on a full disk: {}, expected 16: {said}", output.status)
    });
    let names_all = ["the audit is incomplete", "/tmp/small/audit.jsonl", "lacks"];
    let is_clear = names_all.iter().all(|words| said.contains(words));
    checks.check(is_clear, || format!("a collector on a full disk says: {said}"));
    rustix::mount::unmount(FOLDER, rustix::mount::UnmountFlags::empty())?;
    world.audit = Audit::start(Path::new(AUDIT))?;
    Ok(())
}
