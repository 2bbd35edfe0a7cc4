//! Signals by asynchronous input and output: a file's owner, set with `F_SETOWN` and its kin, is signalled when the file is ready.
//!
//! The kernel checks the uid of whoever set the owner, when it sends (`fs/fcntl.c:sigio_perm`): root in a context could have any process
//! signalled. So what a guest sets is remembered by file and compared when it is sent.
//!
//! | hook                              | job                                                             |
//! |-----------------------------------|-----------------------------------------------------------------|
//! | `file_fcntl`                      | a guest's `F_SETOWN`, `F_SETOWN_EX`: remember, or refuse         |
//! | `file_ioctl`, `file_ioctl_compat` | a guest's `FIOSETOWN`, `SIOCSPGRP`: remember, or refuse          |
//! | `file_set_fowner`                 | anybody sets an owner: forget, if it is the host                |
//! | `file_send_sigiotask`             | compare who set the owner with the task about to be signalled   |
//!
//! A file that is not in the map has an owner that the host set, or that a lease or a directory notification set, which is the setter
//! itself. The map has room for a fixed number of files; when it is full, a guest's request fails with ENOMEM.

use core::ffi::c_void;

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::{Access, Identity, decide_interaction};
use vs_common::hook::Hook;
use vs_common::kernel_layout::inject;
use vs_common::verdict::{Errno, Reason, Verdict};

use crate::audit::Target;
use crate::kernel::file::{self, File};
use crate::kernel::layout::is_injected;
use crate::kernel::task::Task;
use crate::maps::{FILE_OWNERS, OWNERS_USED};
use crate::verdict::{ALLOW, allow_host, conclude, conclude_deferred};
use crate::{context, counters};

/// `F_SETOWN` and `F_SETOWN_EX` of `include/uapi/asm-generic/fcntl.h`.
const SET_OWNER_COMMANDS: [u32; 2] = [8, 15];
/// `FIOSETOWN` and `SIOCSPGRP` of `include/uapi/asm-generic/sockios.h`.
const SET_OWNER_REQUESTS: [u32; 2] = [0x8901, 0x8902];

/// Whether any guest has given a file an owner since the maps were made: until then the host's signals need no look-up.
///
/// Written before the entry and the owner are, and read after the owner: a lock of the kernel's (`fown_struct.lock`) lies between.
#[inline(always)]
fn is_any_remembered() -> bool {
    match OWNERS_USED.get(0) {
        Some(used) => *used != 0,
        None => true,
    }
}

/// A guest is about to give a file an owner: remembers which guest, or refuses. The verdict on the owner comes when it is signalled.
#[inline(always)]
fn remember(hook: Hook, ctx: &LsmContext, commands: [u32; 2]) -> i32 {
    if !Task::current().has_storage() {
        return ALLOW;
    }
    let command: u32 = ctx.arg(1);
    if command != commands[0] && command != commands[1] {
        return ALLOW;
    }
    let actor = context::current();
    let verdict = match actor {
        Identity::Host => return allow_host(),
        Identity::Unknown => Verdict::Deny(Errno::Enomem, Reason::UnknownActor),
        Identity::Member(tag) => {
            let file = File::argument(ctx.arg::<*const c_void>(0)).address();
            if let Some(used) = OWNERS_USED.get_ptr_mut(0) {
                // SAFETY: The array's one element, which lives as long as the program; all who write it write the same.
                unsafe { *used = 1 };
            }
            if !is_injected(inject::OWNER_FULL) && FILE_OWNERS.insert(&file, &tag, 0).is_ok() {
                return ALLOW;
            }
            counters::count_failure(hook);
            Verdict::Deny(Errno::Enomem, Reason::NoStorage)
        }
    };
    conclude(hook, verdict, actor, &Target::NONE, u64::from(command))
}

/// `do_fcntl`, before it acts.
#[lsm(hook = "file_fcntl")]
fn file_fcntl(ctx: LsmContext) -> i32 {
    remember(Hook::FileFcntl, &ctx, SET_OWNER_COMMANDS)
}

/// `ioctl(2)`, before it acts.
#[lsm(hook = "file_ioctl")]
fn file_ioctl(ctx: LsmContext) -> i32 {
    remember(Hook::FileIoctl, &ctx, SET_OWNER_REQUESTS)
}

/// `ioctl(2)` of a 32-bit program, before it acts.
#[lsm(hook = "file_ioctl_compat")]
fn file_ioctl_compat(ctx: LsmContext) -> i32 {
    remember(Hook::FileIoctlCompat, &ctx, SET_OWNER_REQUESTS)
}

/// `__f_setown` and all that leads there. The host has set an owner: what a guest set on this file, or on an older file at the same
/// address, is past. A guest's entry was written by the hooks above, just before. Cannot deny (void).
#[lsm(hook = "file_set_fowner")]
fn file_set_fowner(ctx: LsmContext) -> i32 {
    if is_any_remembered() && (!Task::current().has_storage() || matches!(context::current(), Identity::Host))
    {
        let _ = FILE_OWNERS.remove(&File::argument(ctx.arg::<*const c_void>(0)).address());
    }
    ALLOW
}

/// `sigio_perm`, for each task about to be signalled, in whatever context the file became ready: the running task is nobody's actor here.
/// The detail is the signal.
#[lsm(hook = "file_send_sigiotask")]
fn file_send_sigiotask(ctx: LsmContext) -> i32 {
    if !is_any_remembered() {
        return ALLOW;
    }
    let signal: u32 = ctx.arg(2);
    delivered(Task::argument(ctx.arg(0)), ctx.arg(1), signal)
}

/// A file with an owner signals a task: see [`decide_interaction`], with whoever set the owner as the actor. Not inlined, see
/// [`super::interact`].
#[inline(never)]
fn delivered(task: Task, owner: *const c_void, signal: u32) -> i32 {
    let file = file::owner_file(owner);
    // SAFETY: The value is copied; entries are replaced whole.
    let Some(actor) = (unsafe { FILE_OWNERS.get(&file) }) else { return ALLOW };
    let actor = *actor;
    let target = context::target(task);
    let verdict = decide_interaction(Identity::Member(actor), target, Access::Change);
    if verdict == Verdict::Allow {
        return ALLOW;
    }
    conclude_deferred(
        Hook::FileSendSigiotask,
        verdict,
        actor,
        &Target::process(task, target),
        u64::from(signal),
    )
}
