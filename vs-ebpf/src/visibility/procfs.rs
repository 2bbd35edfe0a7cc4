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
use vs_common::filesystem::decide_look;
use vs_common::hook::Hook;
use vs_common::id::{Generation, Xid};
use vs_common::kernel_layout::inject;
use vs_common::verdict::Verdict;

use crate::audit::Target;
use crate::kernel::inode::Inode;
use crate::kernel::layout::is_injected;
use crate::kernel::task::Task;
use crate::kernel::{argument, file};
use crate::verdict::{ALLOW, conclude};
use crate::{context, counters};

/// `proc_pid_make_inode` makes the inode, `pid_update_inode` uses it again. The tag is created only while the inode is being made, when
/// its maker holds the one reference; later uses may be an RCU walk's, which holds none, and only overwrite. An inode without a tag is
/// foreign to every guest. Cannot deny (void).
///
/// A process that enters a context has an inode from before: it was made with the host's tag, and is overwritten here.
#[lsm(hook = "task_to_inode")]
fn task_to_inode(ctx: LsmContext) -> i32 {
    let mut tag = match context::target(Task::argument(ctx.arg(0))) {
        Identity::Member(tag) => tag,
        // Unknown, too: the host's tag is foreign to every guest.
        Identity::Host | Identity::Unknown => Tag { xid: Xid::HOST, lifecycle: 0, generation: Generation(0) },
    };
    tag.lifecycle |= lifecycle::PROCESS;
    let inode = Inode::argument(ctx.arg(1));
    let stored = if inode.address().is_unlinked() {
        if is_injected(inject::INODE_CREATE) {
            core::ptr::null_mut()
        } else {
            context::create_inode_tag(inode, &mut tag)
        }
    } else {
        context::inode_tag(inode)
    };
    if stored.is_null() {
        if inode.address().is_unlinked() {
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

/// Whether the running task may look at an inode: see [`decide_look`]. The dentry is asked for only when there is something to report.
#[inline(always)]
fn look(hook: Hook, inode: Option<Inode>, dentry: impl FnOnce() -> u64) -> i32 {
    let actor = context::current();
    if matches!(actor, Identity::Host) {
        return ALLOW;
    }
    let Some(inode) = inode else { return ALLOW };
    let address = inode.address();
    let magic = address.superblock_magic();
    if !address.is_process(magic) {
        return ALLOW;
    }
    let process = context::of_process_inode(inode);
    let verdict = decide_look(actor, Some(process));
    if verdict == Verdict::Allow {
        return ALLOW;
    }
    conclude(hook, verdict, actor, &Target::file(address, magic, dentry(), Some(process)), 0)
}

/// `vfs_getattr`: stat and its kin.
#[lsm(hook = "inode_getattr")]
fn inode_getattr(ctx: LsmContext) -> i32 {
    if !Task::current().has_storage() {
        return ALLOW;
    }
    let path: *const c_void = ctx.arg(0);
    look(Hook::InodeGetattr, file::path_inode(path), || file::path_dentry(path))
}

/// `readlinkat(2)`.
#[lsm(hook = "inode_readlink")]
fn inode_readlink(ctx: LsmContext) -> i32 {
    if !Task::current().has_storage() {
        return ALLOW;
    }
    let dentry: *const c_void = ctx.arg(0);
    look(Hook::InodeReadlink, file::dentry_inode(dentry), || argument(&ctx, 0))
}
