//! `ioctl(2)` on files: what changes one by a descriptor that is open for reading.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::filesystem::is_changing_request;
use vs_common::hook::Hook;

use super::owner::{Act, judge_if_needed};
use crate::kernel::file::File;
use crate::kernel::task::Task;
use crate::verdict::ALLOW;

/// A request: of those that change a file whoever may change the file is let go.
#[inline(always)]
fn request(hook: Hook, ctx: &LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    let request: u32 = ctx.arg(1);
    if !is_changing_request(request) {
        return ALLOW;
    }
    changes(ctx.as_ptr(), current, hook)
}

/// The same for a task that has some storage, and a request that changes a file. Not inlined, see `visibility::interact`.
#[inline(never)]
fn changes(ctx: *mut c_void, current: Task, hook: Hook) -> i32 {
    let file = File::argument(LsmContext::new(ctx).arg::<*const c_void>(0));
    let Some(inode) = file.inode() else { return ALLOW };
    judge_if_needed(current, || file.place(), inode, Act::change(hook), || file.dentry())
}

/// `ioctl(2)`, before it acts.
#[lsm(hook = "file_ioctl")]
fn file_request(ctx: LsmContext) -> i32 {
    request(Hook::FileRequest, &ctx)
}

/// `ioctl(2)` of a 32-bit program, before it acts.
#[lsm(hook = "file_ioctl_compat")]
fn file_request_compat(ctx: LsmContext) -> i32 {
    request(Hook::FileRequestCompat, &ctx)
}
