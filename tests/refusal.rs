//! On a kernel where `bpf` is no active LSM, programs load and attach and are never asked: everything is refused, and nothing is left.

use anyhow::Result;
use vs_tests::report::Checks;
use vs_tests::world::{POLICY, policy, vs};

/// What each command says there, with its exit code.
pub(crate) fn run(checks: &mut Checks) -> Result<()> {
    std::fs::write(POLICY, policy("enforce"))?;
    for (arguments, code) in [
        (&["load", POLICY][..], 5),
        (&["doctor"], 14),
        (&["status"], 9),
        (&["run", "--context", "plain-a", "--", "true"], 125),
        (&["policy", "check", POLICY], 0),
    ] {
        let output = vs(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        checks.check(output.status.code() == Some(code), || {
            format!("vs {}: {:?}, expected {code}: {said}", arguments.join(" "), output.status)
        });
        if code == 5 {
            checks.check(said.contains("lsm="), || format!("the refusal names no cure: {said}"));
            checks.equal("lines of the refusal", &said.trim().lines().count(), &1);
        }
        checks.check(!said.contains("panicked"), || format!("vs {} panics: {said}", arguments.join(" ")));
    }
    let doctor = String::from_utf8_lossy(&vs(&["doctor"])?.stdout).into_owned();
    checks.check(!doctor.contains("\nfull "), || format!("vs doctor promises something: {doctor}"));
    checks.check(!std::path::Path::new("/sys/fs/bpf/vs").exists(), || "something is pinned");
    Ok(())
}
