//! `/proc/PID` of another context does not exist, on any procfs mount and through any descriptor.
//!
//! | hook             | job                                                                    |
//! |------------------|------------------------------------------------------------------------|
//! | `task_to_inode`  | copies the process's tag to its `/proc/PID` inode, and overwrites it on every use |
//! | `inode_getattr`  | stat: ENOENT                                                           |
//! | `inode_readlink` | readlink: ENOENT                                                       |
//!
//! Opening is `filesystem::open`'s. Not covered, for want of a hook that is not on every path walk: the numbers in a listing, access(2),
//! chdir, `O_PATH`.

use core::ffi::c_void;

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::{Identity, Tag, lifecycle};
use vs_common::filesystem::{decide_look, magic};
use vs_common::hook::Hook;
use vs_common::id::{Generation, Xid};
use vs_common::kernel_layout::inject;
use vs_common::verdict::Verdict;

use crate::audit::Target;
use crate::kernel::file;
use crate::kernel::inode::Inode;
use crate::kernel::layout::is_injected;
use crate::kernel::task::Task;
use crate::verdict::{ALLOW, allow_host, conclude};
use crate::{context, counters};

/// `proc_pid_make_inode` makes the inode, `pid_update_inode` uses it again. The tag is created only while the inode is being made, when
/// its maker holds the one reference; later uses may be an RCU walk's, which holds none, and only overwrite. An inode without a tag is
/// foreign to every guest. Cannot deny (void).
///
/// A process that enters a context has an inode from before: it was made with the host's tag, and is overwritten here.
#[lsm(hook = "task_to_inode")]
fn task_to_inode(ctx: LsmContext) -> i32 {
    let task = Task::argument(ctx.arg(0));
    let inode = Inode::argument(ctx.arg(1));
    let is_new = inode.is_unlinked();
    if !task.has_storage() && !is_new {
        // No process becomes the host's again: what the inode holds is the host's tag, or nothing.
        return ALLOW;
    }
    copy_tag(task, inode, u32::from(is_new))
}

/// Copies a task's tag. Not inlined, see [`super::interact`].
#[inline(never)]
fn copy_tag(task: Task, inode: Inode, is_new: u32) -> i32 {
    let mut tag = match context::target(task) {
        Identity::Member(tag) => tag,
        // Unknown, too: the host's tag is foreign to every guest.
        Identity::Host | Identity::Unknown => Tag { xid: Xid::HOST, lifecycle: 0, generation: Generation(0) },
    };
    tag.lifecycle |= lifecycle::PROCESS;
    let stored = if is_new == 0 {
        context::inode_tag(inode)
    } else if is_injected(inject::INODE_CREATE) {
        core::ptr::null_mut()
    } else {
        context::create_inode_tag(inode, &mut tag)
    };
    if stored.is_null() {
        if is_new != 0 {
            counters::count_failure(Hook::TaskToInode);
        }
        return ALLOW;
    }
    // SAFETY: Not null, and storage lives until the program returns. The generation before the xid, so that a reader between the two
    // stores sees a pair that no process has.
    unsafe {
        (*stored).generation = tag.generation;
        (*stored).xid = tag.xid;
        (*stored).lifecycle = tag.lifecycle;
    }
    ALLOW
}

/// Whether a task may look at an inode: see [`decide_look`].
#[inline(always)]
fn look(hook: Hook, current: Task, inode: Option<Inode>, dentry: u64) -> i32 {
    let Some(inode) = inode else { return ALLOW };
    // No other file system has processes in it, so that it does not matter who looks.
    if inode.superblock_magic() != magic::PROC {
        return ALLOW;
    }
    member_looks(current, inode, hook, dentry)
}

/// The same for a task that has some storage, and an inode of a procfs. Not inlined, see [`super::interact`].
#[inline(never)]
fn member_looks(current: Task, inode: Inode, hook: Hook, dentry: u64) -> i32 {
    let actor = context::actor(current);
    if matches!(actor, Identity::Host) {
        return allow_host();
    }
    let address = inode.address();
    if !address.is_process(magic::PROC) {
        return ALLOW;
    }
    let process = context::of_process_inode(inode);
    let verdict = decide_look(actor, Some(process));
    if verdict == Verdict::Allow {
        return ALLOW;
    }
    conclude(hook, verdict, actor, &Target::file(address, magic::PROC, dentry, Some(process)), 0)
}

/// `vfs_getattr`: stat and its kin.
#[lsm(hook = "inode_getattr")]
fn inode_getattr(ctx: LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    let path: *const c_void = ctx.arg(0);
    let Some(dentry) = file::path_dentry(path) else { return ALLOW };
    look(Hook::InodeGetattr, current, file::dentry_inode(dentry), dentry as u64)
}

/// `readlinkat(2)`.
#[lsm(hook = "inode_readlink")]
fn inode_readlink(ctx: LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    let dentry: *const c_void = ctx.arg(0);
    look(Hook::InodeReadlink, current, file::dentry_inode(dentry), dentry as u64)
}
