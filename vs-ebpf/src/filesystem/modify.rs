//! Names and attributes on bpffs, where the enforcement is pinned, and on control file systems: out of every context's reach.

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Identity;
use vs_common::filesystem::decide_modify;
use vs_common::hook::Hook;
use vs_common::verdict::Verdict;

use crate::audit::Target;
use crate::context;
use crate::kernel::file::dentry_inode_at;
use crate::kernel::inode::InodeAddress;
use crate::kernel::task::Task;
use crate::kernel::{argument, layout};
use crate::verdict::{ALLOW, conclude};

/// Whether the running task may change the file system that the inode at an address is on: see [`decide_modify`].
#[inline(always)]
fn modify(hook: Hook, inode: u64, dentry: impl FnOnce() -> u64) -> i32 {
    let actor = context::current();
    if matches!(actor, Identity::Host) {
        return ALLOW;
    }
    let inode = InodeAddress(inode);
    let magic = inode.superblock_magic();
    let verdict = decide_modify(actor, magic);
    if verdict == Verdict::Allow {
        return ALLOW;
    }
    conclude(hook, verdict, actor, &Target::file(inode, magic, dentry(), None), 0)
}

/// A name in the directory that is argument `directory`; the name itself is argument `name`.
#[inline(always)]
fn modify_name(hook: Hook, ctx: &LsmContext, directory: u32, name: u32) -> i32 {
    if !Task::current().has_storage() {
        return ALLOW;
    }
    modify(hook, argument(ctx, directory), || argument(ctx, name))
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
    let dentry = argument(&ctx, if layout::SETATTR_IDMAP.load() == 0 { 0 } else { 1 });
    modify(Hook::InodeSetattr, dentry_inode_at(dentry), || dentry)
}
