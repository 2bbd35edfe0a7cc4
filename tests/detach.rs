//! Every program is needed: with any one of them detached, something else in this suite fails.
//!
//! `capable` is a second lock: entry has really dropped what it holds. It is tried with a process that never dropped anything.

use std::fs;

use anyhow::{Context as _, Result};
use vs_common::hook::{Hook, Need};
use vs_tests::desk::WaitingRoom;
use vs_tests::detached::Detached;
use vs_tests::hooks;
use vs_tests::report::Checks;
use vs_tests::status::Status;
use vs_tests::world::World;

use crate::protection::links_of_epoch;
use crate::{barrier, capabilities, files, interaction, lifecycle, network, procfs, protection, sigio};

/// How often what rests on a hook is tried before its program is taken to be useless.
const ATTEMPTS: u32 = 4;
/// And the time before the second attempt; before each further one, as much more.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// Takes one pin away, which detaches its program.
pub(crate) fn detach(hook: Hook) -> Result<()> {
    let pin = pin(hook)?;
    fs::remove_file(&pin).with_context(|| format!("unpin {pin}"))
}

/// Where a hook's link is pinned.
fn pin(hook: Hook) -> Result<String> {
    Ok(format!("{}/{}", links_of_epoch()?, hook.name()))
}

/// The checks that rest on a hook.
fn rests_on(world: &mut World, hook: Hook) -> Result<Checks> {
    let mut checks = Checks::until_one_fails();
    let only = Some(hook);
    let tried = match hook {
        Hook::TaskAlloc | Hook::BprmCommittedCreds => lifecycle::run(world, &mut checks, only),
        Hook::FileFcntl
        | Hook::FileIoctl
        | Hook::FileIoctlCompat
        | Hook::FileSetFowner
        | Hook::FileSendSigiotask => sigio::run(world, &mut checks, only),
        Hook::TaskToInode | Hook::InodeGetattr | Hook::InodeReadlink => procfs::run(world, &mut checks, only),
        Hook::Capable | Hook::BprmCredsFromFile => capabilities::run(world, &mut checks, only),
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
        Hook::InodeCreate
        | Hook::InodeMknod
        | Hook::InodeSetxattr
        | Hook::InodeRemovexattr
        | Hook::InodeSetAcl
        | Hook::InodeRemoveAcl
        | Hook::InodeFileSetattr
        | Hook::FileRequest
        | Hook::FileRequestCompat => files::run(world, &mut checks, only),
        Hook::InodePermission | Hook::FileReceive => barrier::run(world, &mut checks, only),
        hook if matches!(hook.info().need, Need::Network | Need::Ping | Need::Receive) => {
            network::run(world, &mut checks, only)
        }
        _ => interaction::run(world, &mut checks, only),
    };
    tried?;
    Ok(checks)
}

/// Attaches it again, and has the world be as it was: where processes without a tag, or traced ones, may have been made meanwhile, everybody
/// begins anew.
fn attach_again(world: &mut World, hook: Hook, detached: Detached) -> Result<()> {
    detached.attach()?;
    match hook {
        Hook::TaskAlloc | Hook::BprmCommittedCreds | Hook::PtraceTraceme => world.restart(),
        // What was tried upon pins went through.
        Hook::InodeUnlink
        | Hook::InodeRmdir
        | Hook::InodeRename
        | Hook::InodeMkdir
        | Hook::InodeSymlink
        | Hook::InodeLink
        | Hook::InodeSetattr => world.reload(),
        _ => Ok(()),
    }
}

/// Detaches each in turn, then all of them: a load attaches what is missing.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    // Records of what is no longer denied do not come.
    let patience = std::mem::replace(&mut world.audit.patience, std::time::Duration::from_millis(500));
    let room = WaitingRoom::open();
    let hooks = hooks::all_here()?;
    for hook in hooks.iter().copied() {
        let detached = Detached::unpin(hook, pin(hook)?)?;
        // The kernel detaches behind the back of who unpins (`kernel/bpf/inode.c:bpf_any_put` leaves a link to a worker).
        let mut held = 0;
        let has_failed = (0..ATTEMPTS).try_fold(false, |has_failed, attempt| {
            if has_failed {
                return Ok(true);
            }
            std::thread::sleep(PAUSE * attempt);
            let without = rests_on(world, hook).with_context(|| format!("with {} detached", hook.name()))?;
            held = without.held;
            anyhow::Ok(!without.failures.is_empty())
        })?;
        checks.check(has_failed, || {
            format!("{} is detached, and all {held} checks that rest on it still hold", hook.name())
        });
        attach_again(world, hook, detached).with_context(|| format!("attach again after {}", hook.name()))?;
    }
    world.audit.patience = patience;
    drop(room);
    let status = Status::ask()?;
    for hook in hooks.iter().copied() {
        let state = &status.hook(hook)["state"];
        checks.check(state == "attached", || format!("{} is attached again: {state}", hook.name()));
    }
    hooks.iter().copied().try_for_each(detach)?;
    world.restart().context("load with every program detached")?;
    for hook in hooks.iter().copied() {
        let is_there = fs::exists(pin(hook)?)?;
        checks.check(is_there, || format!("a load has not attached {} again", hook.name()));
    }
    Ok(())
}
