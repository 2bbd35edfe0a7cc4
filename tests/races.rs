//! Nothing slips between: not a child that is born while its parent enters, not one that lives for an instant, not a reload in between.

use std::process::{Command, Stdio};

use anyhow::Result;
use vs_common::hook::Hook;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{POLICY, World};

/// Children that each try once to reach the host, for as long as it takes to enter and to reload several times.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    let host = world.inhabitant("host")?.actor.target;

    // Entries whose first act is to fork, over and over, each child trying at once. The command is the shell's, so that what is tried is
    // tried by whatever the entered process made, as early as it can.
    for context in ["hidepid-a", "plain-a"] {
        for _ in 0..8 {
            let output = Command::new("vs")
                .args(["run", "--context", context, "--", "vs-actor", "storm", &host.to_string(), "40"])
                .stdin(Stdio::null())
                .output()?;
            checks.check(output.status.code() == Some(libc::EPERM), || {
                format!(
                    "{context}: the first children of an entered process reach the host: {:?} {}",
                    output.status,
                    String::from_utf8_lossy(&output.stderr)
                )
            });
        }
    }

    // A storm in one context while others enter and the policy is loaded anew.
    let mut reloads = Command::new("sh")
        .args(["-c", "for i in 1 2 3 4 5 6; do vs load $0 || exit 1; done", POLICY])
        .stdout(Stdio::null())
        .spawn()?;
    let mut entries = Command::new("sh")
        .args(["-c", "for i in 1 2 3 4 5 6 7 8; do vs run --context hidepid-b -- true || exit 1; done"])
        .stdin(Stdio::null())
        .spawn()?;
    let mut storms = 0;
    while reloads.try_wait()?.is_none() || entries.try_wait()?.is_none() {
        let answer = world.order("plain-b", &format!("do kill-storm {host} 30"))?;
        storms += 1;
        checks.check(answer.errno == libc::EPERM, || {
            format!(
                "in a storm under reloads and entries a child reaches the host: {}",
                errno_name(answer.errno)
            )
        });
    }
    checks.check(reloads.wait()?.success(), || "a reload failed in the storm");
    checks.check(entries.wait()?.success(), || "an entry failed in the storm");
    checks.check(storms > 1, || "the storm was over before it began");
    Ok(())
}
