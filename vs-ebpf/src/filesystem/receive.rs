//! Directories that somebody hands to a guest: by one that lies outside it would be outside.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::filesystem::file_type;
use vs_common::hook::Hook;

use super::owner::{Act, judge_if_needed};
use crate::kernel::file::File;
use crate::kernel::task::Task;
use crate::verdict::ALLOW;

/// `receive_fd`: by `SCM_RIGHTS`, `pidfd_getfd(2)`, a seccomp listener, and out of the table of an `io_uring`.
#[lsm(hook = "file_receive")]
fn file_receive(ctx: LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    receives(ctx.as_ptr(), current)
}

/// The same for a task that has some storage. Not inlined, see `visibility::interact`.
#[inline(never)]
fn receives(ctx: *mut c_void, current: Task) -> i32 {
    let file = File::argument(LsmContext::new(ctx).arg::<*const c_void>(0));
    let Some(inode) = file.inode() else { return ALLOW };
    if inode.mode() & file_type::MASK != file_type::DIRECTORY {
        return ALLOW;
    }
    let act = Act::receive(Hook::FileReceive, file.is_in_tree_of(current) != 0);
    judge_if_needed(current, || file.place(), inode, act, || file.dentry())
}
