//! Names and attributes on bpffs, where the enforcement is pinned, and on control file systems: out of every context's reach.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Identity;
use vs_common::filesystem::{FilesystemClass, classify, decide_modify};
use vs_common::hook::Hook;
use vs_common::verdict::Verdict;

use crate::audit::Target;
use crate::context;
use crate::kernel::file::dentry_inode;
use crate::kernel::inode::{Inode, InodeAddress};
use crate::kernel::task::Task;
use crate::kernel::{argument, layout};
use crate::verdict::{ALLOW, allow_host, conclude};

/// Whether a task that has some storage may change the file system that an inode is on: see [`decide_modify`]. Of an ordinary one it does
/// not matter who does.
#[inline(always)]
fn modify(hook: Hook, current: Task, inode: Inode, dentry: impl FnOnce() -> u64) -> i32 {
    let magic = inode.superblock_magic();
    if matches!(classify(magic), FilesystemClass::Ordinary) {
        return ALLOW;
    }
    member_modifies(current, inode.address(), magic, hook, dentry())
}

/// All else: who it is, and the verdict. Not inlined, see `visibility::interact`.
#[inline(never)]
fn member_modifies(current: Task, inode: InodeAddress, magic: u64, hook: Hook, dentry: u64) -> i32 {
    let actor = context::actor(current);
    if matches!(actor, Identity::Host) {
        return allow_host();
    }
    let verdict = decide_modify(actor, magic);
    if verdict == Verdict::Allow {
        return ALLOW;
    }
    conclude(hook, verdict, actor, &Target::file(inode, magic, dentry, None), 0)
}

/// A name in the directory that is argument `DIRECTORY`; the name itself is argument `NAME`. The host is let go after one load.
#[inline(always)]
fn modify_name<const DIRECTORY: usize, const NAME: u32>(hook: Hook, ctx: &LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    names::<DIRECTORY, NAME>(ctx.as_ptr(), current, hook)
}

/// The same for a task that has some storage. Not inlined, see `visibility::interact`.
#[inline(never)]
fn names<const DIRECTORY: usize, const NAME: u32>(ctx: *mut c_void, current: Task, hook: Hook) -> i32 {
    let ctx = LsmContext::new(ctx);
    modify(hook, current, Inode::argument(ctx.arg(DIRECTORY)), || argument(&ctx, NAME))
}

/// `vfs_unlink(dir, dentry)`.
#[lsm(hook = "inode_unlink")]
fn inode_unlink(ctx: LsmContext) -> i32 {
    modify_name::<0, 1>(Hook::InodeUnlink, &ctx)
}

/// `vfs_rmdir(dir, dentry)`.
#[lsm(hook = "inode_rmdir")]
fn inode_rmdir(ctx: LsmContext) -> i32 {
    modify_name::<0, 1>(Hook::InodeRmdir, &ctx)
}

/// `vfs_rename(old_dir, old_dentry, new_dir, new_dentry)`: both directories are on one file system.
#[lsm(hook = "inode_rename")]
fn inode_rename(ctx: LsmContext) -> i32 {
    modify_name::<0, 1>(Hook::InodeRename, &ctx)
}

/// `vfs_mkdir(dir, dentry, mode)`.
#[lsm(hook = "inode_mkdir")]
fn inode_mkdir(ctx: LsmContext) -> i32 {
    modify_name::<0, 1>(Hook::InodeMkdir, &ctx)
}

/// `vfs_symlink(dir, dentry, old_name)`.
#[lsm(hook = "inode_symlink")]
fn inode_symlink(ctx: LsmContext) -> i32 {
    modify_name::<0, 1>(Hook::InodeSymlink, &ctx)
}

/// `vfs_link(old_dentry, dir, new_dentry)`.
#[lsm(hook = "inode_link")]
fn inode_link(ctx: LsmContext) -> i32 {
    modify_name::<1, 2>(Hook::InodeLink, &ctx)
}

/// `notify_change`: chmod, chown, truncate, utimes. Since 6.2 the mount's id map comes first.
#[lsm(hook = "inode_setattr")]
fn inode_setattr(ctx: LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    // A constant decides, but not LLVM's: of one load from an index that differs by kernel it computes an address within the context, which
    // the verifier refuses. Hence a function for each.
    if layout::SETATTR_IDMAP.load() == 0 {
        set_attributes::<0>(ctx.as_ptr(), current)
    } else {
        set_attributes::<1>(ctx.as_ptr(), current)
    }
}

/// The same for a task that has some storage; the dentry is that argument of the hook.
#[inline(never)]
fn set_attributes<const DENTRY: usize>(ctx: *mut c_void, current: Task) -> i32 {
    let dentry: *const c_void = LsmContext::new(ctx).arg(DENTRY);
    let Some(inode) = dentry_inode(dentry) else { return ALLOW };
    modify(Hook::InodeSetattr, current, inode, || dentry as u64)
}
