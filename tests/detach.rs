//! Every program is needed: with any one of them detached, something else in this suite fails.
//!
//! A second lock is tried with its first lock detached as well; `capable` is the only one that is declared such.

use std::fs;

use anyhow::{Context as _, Result};
use vs_common::hook::Hook;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::World;

use crate::protection::links_of_epoch;
use crate::{interaction, lifecycle, procfs, protection, sigio};

/// Takes one pin away, which detaches its program.
fn detach(hook: Hook) -> Result<()> {
    let pin = format!("{}/{}", links_of_epoch()?, hook.name());
    fs::remove_file(&pin).with_context(|| format!("unpin {pin}"))
}

/// The checks that rest on a hook.
fn rests_on(world: &mut World, hook: Hook) -> Result<Checks> {
    let mut checks = Checks::default();
    let only = Some(hook);
    let tried = match hook {
        Hook::TaskAlloc | Hook::BprmCommittedCreds => lifecycle::run(world, &mut checks, only),
        Hook::FileFcntl
        | Hook::FileIoctl
        | Hook::FileIoctlCompat
        | Hook::FileSetFowner
        | Hook::FileSendSigiotask => sigio::run(world, &mut checks, only),
        Hook::TaskToInode | Hook::InodeGetattr | Hook::InodeReadlink => procfs::run(world, &mut checks, only),
        Hook::Capable => second_lock(world, &mut checks),
        Hook::Bpf
        | Hook::UsernsCreate
        | Hook::SbMount
        | Hook::KernelModuleRequest
        | Hook::PtraceTraceme
        | Hook::FileOpen
        | Hook::InodeUnlink
        | Hook::InodeRmdir
        | Hook::InodeRename
        | Hook::InodeMkdir
        | Hook::InodeSymlink
        | Hook::InodeLink
        | Hook::InodeSetattr => protection::run(world, &mut checks, only),
        _ => interaction::run(world, &mut checks, only),
    };
    tried?;
    Ok(checks)
}

/// In a user namespace, where every capability is back, the hook still holds what entry had dropped.
fn second_lock(world: &mut World, checks: &mut Checks) -> Result<()> {
    for name in ["pidns-a", "hidepid-a", "plain-a"] {
        let answer = world.order(name, "do host-name-in-user-namespace")?;
        checks.check(answer.errno == libc::EPERM, || {
            format!("{name}: sethostname in a user namespace: {}", errno_name(answer.errno))
        });
    }
    Ok(())
}

/// Detaches each in turn.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    for hook in Hook::ALL.iter().copied() {
        if hook == Hook::Capable {
            // The first lock is off: the second one holds, and only without it as well something gets through.
            detach(Hook::UsernsCreate)?;
            let held = rests_on(world, hook)?;
            for failure in held.failures {
                checks
                    .check(false, || format!("userns_create detached, capable is to hold alone: {failure}"));
            }
        }
        detach(hook)?;
        let without = rests_on(world, hook).with_context(|| format!("with {} detached", hook.name()))?;
        checks.check(!without.failures.is_empty(), || {
            format!("{} is detached, and all {} checks that rest on it still hold", hook.name(), without.held)
        });
        world.restart().with_context(|| format!("attach again after {}", hook.name()))?;
    }
    Ok(())
}
