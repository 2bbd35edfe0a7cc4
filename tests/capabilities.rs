//! A context uses no capability beyond what policy gives it: the others are gone at entry, and where a process has them all the same, a
//! program holds them.

use anyhow::{Context as _, Result};
use vs_common::context::{Identity, Tag};
use vs_common::hook::Hook;
use vs_common::id::{Generation, Xid};
use vs_loader::maps::live::LiveStore;
use vs_tests::audit::Expected;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::World;

use crate::agreement::Subject;

pub(crate) mod policy;
mod programs;

/// A context of no policy, for a process that was never made to drop anything.
const STRANGER: u32 = 700;

/// What is left at entry, and what the second lock holds.
pub(crate) fn run(world: &mut World, checks: &mut Checks, only: Option<Hook>) -> Result<()> {
    if only.is_none() {
        for name in ["pidns-a", "hidepid-a", "plain-a", "spectator"] {
            let pid = world.inhabitant(name)?.actor.target;
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                let line = status.lines().find_map(|line| line.strip_prefix(&format!("{set}:")));
                let bits =
                    u64::from_str_radix(line.context("capability sets in /proc/PID/status")?.trim(), 16)?;
                let excess = bits & !vs_common::capability::DEFAULT_SET;
                checks.check(excess == 0, || format!("{name}: {set} has {excess:#x} beyond the safe ones"));
            }
        }
    }
    if only.is_none_or(|hook| hook == Hook::BprmCredsFromFile) {
        programs::run(world, checks)?;
    }
    if only == Some(Hook::BprmCredsFromFile) {
        return Ok(());
    }
    let mut store = LiveStore::open().context("open the pinned maps")?;
    let stranger = Tag { xid: Xid(STRANGER), lifecycle: 0, generation: Generation(1) };
    // With every capability of root's, and a tag: CAP_SYS_ADMIN is held, CAP_SYS_CHROOT is not.
    for (what, identity, errno) in [
        ("a guest with CAP_SYS_ADMIN sets the host's name", Identity::Member(stranger), libc::EPERM),
        ("the host sets the host's name", Identity::Host, 0),
    ] {
        // SAFETY: A constant string and its length.
        let subject = Subject::new(|| unsafe { libc::syscall(libc::SYS_sethostname, c"suite".as_ptr(), 5) })?;
        subject.tag(&mut store, identity)?;
        let found = subject.finish()?;
        checks.check(found == errno, || {
            format!("{what}: {}, expected {}", errno_name(found), errno_name(errno))
        });
    }
    // SAFETY: A constant string.
    let subject = Subject::new(|| unsafe { libc::syscall(libc::SYS_chroot, c"/".as_ptr()) })?;
    subject.tag(&mut store, Identity::Member(stranger))?;
    let found = subject.finish()?;
    checks
        .check(found == 0, || format!("a guest with CAP_SYS_CHROOT changes its root: {}", errno_name(found)));
    let record = Expected {
        actor: STRANGER,
        pid: None,
        target: None,
        hook: Hook::Capable.name(),
        errno: "EPERM",
        mode: "enforce",
    };
    let missing = world.audit.missing(&[record])?;
    checks.check(missing.is_empty(), || format!("no audit record: {missing:?}"));
    Ok(())
}
