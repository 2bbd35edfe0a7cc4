//! Every attempt is accounted for: as a record, as a repetition, as suppressed, or as lost; the sums are exact.

use std::fs;

use anyhow::Result;
use serde_json::Value;
use vs_common::hook::Hook;
use vs_tests::report::Checks;
use vs_tests::world::{POLICY, World, policy, vs_ok};

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
        std::thread::sleep(std::time::Duration::from_millis(100));
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
    Ok(())
}
