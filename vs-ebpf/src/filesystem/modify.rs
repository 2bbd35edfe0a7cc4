//! Names and attributes on bpffs, where the enforcement is pinned, and on control file systems: out of every context's reach.

use core::ffi::c_void;

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Identity;
use vs_common::filesystem::decide_modify;
use vs_common::hook::Hook;

use crate::audit::Target;
use crate::context;
use crate::kernel::file::dentry_inode;
use crate::kernel::inode::Inode;
use crate::kernel::layout;
use crate::kernel::task::Task;
use crate::verdict::{ALLOW, conclude};

/// Whether the running task may change a file system of this inode's: see [`decide_modify`].
#[inline(always)]
fn modify(hook: Hook, inode: Option<Inode>, dentry: u64) -> i32 {
    let actor = context::current();
    if matches!(actor, Identity::Host) {
        return ALLOW;
    }
    let Some(inode) = inode else { return ALLOW };
    let magic = inode.superblock_magic();
    conclude(hook, decide_modify(actor, magic), actor, &Target::file(inode, magic, dentry, None), 0)
}

/// A name in the directory that is argument `directory`; the name itself is argument `name`.
#[inline(always)]
fn modify_name(hook: Hook, ctx: &LsmContext, directory: usize, name: usize) -> i32 {
    if !Task::current().has_storage() {
        return ALLOW;
    }
    let inode = Inode::argument(ctx.arg(directory));
    modify(hook, Some(inode), ctx.arg::<*const c_void>(name) as u64)
}

/// `vfs_unlink(dir, dentry)`.
#[lsm(hook = "inode_unlink")]
fn inode_unlink(ctx: LsmContext) -> i32 {
    modify_name(Hook::InodeUnlink, &ctx, 0, 1)
}

/// `vfs_rmdir(dir, dentry)`.
#[lsm(hook = "inode_rmdir")]
fn inode_rmdir(ctx: LsmContext) -> i32 {
    modify_name(Hook::InodeRmdir, &ctx, 0, 1)
}

/// `vfs_rename(old_dir, old_dentry, new_dir, new_dentry)`: both directories are on one file system.
#[lsm(hook = "inode_rename")]
fn inode_rename(ctx: LsmContext) -> i32 {
    modify_name(Hook::InodeRename, &ctx, 0, 1)
}

/// `vfs_mkdir(dir, dentry, mode)`.
#[lsm(hook = "inode_mkdir")]
fn inode_mkdir(ctx: LsmContext) -> i32 {
    modify_name(Hook::InodeMkdir, &ctx, 0, 1)
}

/// `vfs_symlink(dir, dentry, old_name)`.
#[lsm(hook = "inode_symlink")]
fn inode_symlink(ctx: LsmContext) -> i32 {
    modify_name(Hook::InodeSymlink, &ctx, 0, 1)
}

/// `vfs_link(old_dentry, dir, new_dentry)`.
#[lsm(hook = "inode_link")]
fn inode_link(ctx: LsmContext) -> i32 {
    modify_name(Hook::InodeLink, &ctx, 1, 2)
}

/// `notify_change`: chmod, chown, truncate, utimes. Since 6.2 the mount's id map comes first.
#[lsm(hook = "inode_setattr")]
fn inode_setattr(ctx: LsmContext) -> i32 {
    if !Task::current().has_storage() {
        return ALLOW;
    }
    let dentry: *const c_void = if layout::SETATTR_IDMAP.load() == 0 { ctx.arg(0) } else { ctx.arg(1) };
    modify(Hook::InodeSetattr, dentry_inode(dentry), dentry as u64)
}
