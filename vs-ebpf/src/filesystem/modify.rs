//! Names and attributes: on bpffs, where the enforcement is pinned, and on control file systems out of every context's reach, elsewhere by whose
//! the file is.

use core::ffi::c_void;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Identity;
use vs_common::filesystem::{FilesystemClass, classify, decide_modify};
use vs_common::hook::Hook;
use vs_common::verdict::Verdict;

use super::owner::{Act, judge_if_needed};
use crate::audit::Target;
use crate::context;
use crate::kernel::file::{Dentry, dentry_inode};
use crate::kernel::inode::{Inode, InodeAddress};
use crate::kernel::task::Task;
use crate::kernel::{argument, layout};
use crate::verdict::{ALLOW, allow_host, conclude};

/// Whether a task that has some storage may change what `place` names, on the file system that `inode` is on: see [`decide_modify`], and
/// [`vs_common::filesystem::decide_file`] of an ordinary one. `named`: the address of the dentry that a record tells of.
#[inline(always)]
fn modify(
    act: Act,
    hook: Hook,
    current: Task,
    inode: Inode,
    place: impl FnOnce() -> Dentry,
    named: impl FnOnce() -> u64,
) -> i32 {
    let magic = inode.superblock_magic();
    if matches!(classify(magic), FilesystemClass::Ordinary) {
        return judge_if_needed(current, place, inode, act, named);
    }
    member_modifies(current, inode.address(), magic, hook, named())
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

/// A new name, argument `NAME`, in the directory that is argument `DIRECTORY`. The host is let go after one load.
#[inline(always)]
fn new_name<const DIRECTORY: usize, const NAME: usize>(hook: Hook, ctx: &LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    name::<DIRECTORY, NAME, false>(ctx.as_ptr(), current, hook)
}

/// A name that goes, likewise.
#[inline(always)]
fn old_name<const DIRECTORY: usize, const NAME: usize>(hook: Hook, ctx: &LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    name::<DIRECTORY, NAME, true>(ctx.as_ptr(), current, hook)
}

/// The same for a task that has some storage; whether the name leads to something that goes with it. Not inlined, see `visibility::interact`.
#[inline(never)]
fn name<const DIRECTORY: usize, const NAME: usize, const GOES: bool>(
    ctx: *mut c_void,
    current: Task,
    hook: Hook,
) -> i32 {
    let ctx = LsmContext::new(ctx);
    // From the name, since the directory's own dentry is no argument.
    let place = || Dentry::argument(ctx.arg::<*const c_void>(NAME)).parent();
    let act = if GOES { Act::unname(hook) } else { Act::change(hook) };
    modify(act, hook, current, Inode::argument(ctx.arg(DIRECTORY)), place, || argument(&ctx, NAME as u32))
}

/// What argument `DENTRY` names is changed itself. The host is let go after one load.
#[inline(always)]
fn itself<const DENTRY: usize>(hook: Hook, ctx: &LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    change::<DENTRY>(ctx.as_ptr(), current, hook)
}

/// The same for a task that has some storage. Not inlined, see `visibility::interact`.
#[inline(never)]
fn change<const DENTRY: usize>(ctx: *mut c_void, current: Task, hook: Hook) -> i32 {
    let dentry: *const c_void = LsmContext::new(ctx).arg(DENTRY);
    let Some(inode) = dentry_inode(dentry) else { return ALLOW };
    modify(Act::change(hook), hook, current, inode, || Dentry::argument(dentry), || dentry as u64)
}

/// `vfs_create(dir, dentry, mode)`.
#[lsm(hook = "inode_create")]
fn inode_create(ctx: LsmContext) -> i32 {
    new_name::<0, 1>(Hook::InodeCreate, &ctx)
}

/// `vfs_mknod(dir, dentry, mode, device)`: pipes with a name, sockets of the file system; devices want a capability that no guest has.
#[lsm(hook = "inode_mknod")]
fn inode_mknod(ctx: LsmContext) -> i32 {
    new_name::<0, 1>(Hook::InodeMknod, &ctx)
}

/// `vfs_unlink(dir, dentry)`.
#[lsm(hook = "inode_unlink")]
fn inode_unlink(ctx: LsmContext) -> i32 {
    old_name::<0, 1>(Hook::InodeUnlink, &ctx)
}

/// `vfs_rmdir(dir, dentry)`.
#[lsm(hook = "inode_rmdir")]
fn inode_rmdir(ctx: LsmContext) -> i32 {
    old_name::<0, 1>(Hook::InodeRmdir, &ctx)
}

/// `vfs_rename(old_dir, old_dentry, new_dir, new_dentry)`: both directories are on one file system. What is exchanged is asked for the other
/// way round as well (`security/security.c:security_inode_rename`).
#[lsm(hook = "inode_rename")]
fn inode_rename(ctx: LsmContext) -> i32 {
    let outcome = old_name::<0, 1>(Hook::InodeRename, &ctx);
    if outcome == ALLOW { old_name::<2, 3>(Hook::InodeRename, &ctx) } else { outcome }
}

/// `vfs_mkdir(dir, dentry, mode)`.
#[lsm(hook = "inode_mkdir")]
fn inode_mkdir(ctx: LsmContext) -> i32 {
    new_name::<0, 1>(Hook::InodeMkdir, &ctx)
}

/// `vfs_symlink(dir, dentry, old_name)`.
#[lsm(hook = "inode_symlink")]
fn inode_symlink(ctx: LsmContext) -> i32 {
    new_name::<0, 1>(Hook::InodeSymlink, &ctx)
}

/// `vfs_link(old_dentry, dir, new_dentry)`. A second name is a change of what it leads to: by it others would reach that.
#[lsm(hook = "inode_link")]
fn inode_link(ctx: LsmContext) -> i32 {
    let outcome = itself::<0>(Hook::InodeLink, &ctx);
    if outcome == ALLOW { new_name::<1, 2>(Hook::InodeLink, &ctx) } else { outcome }
}

/// `notify_change`: chmod, chown, truncate, utimes. Since 6.2 the mount's id map comes first.
#[lsm(hook = "inode_setattr")]
fn inode_setattr(ctx: LsmContext) -> i32 {
    // A constant decides, but not LLVM's: of one load from an index that differs by kernel it computes an address within the context, which
    // the verifier refuses. Hence a function for each.
    if layout::SETATTR_IDMAP.load() == 0 {
        itself::<0>(Hook::InodeSetattr, &ctx)
    } else {
        itself::<1>(Hook::InodeSetattr, &ctx)
    }
}

/// `vfs_setxattr(idmap, dentry, name, value, size, flags)`.
#[lsm(hook = "inode_setxattr")]
fn inode_setxattr(ctx: LsmContext) -> i32 {
    itself::<1>(Hook::InodeSetxattr, &ctx)
}

/// `vfs_removexattr(idmap, dentry, name)`.
#[lsm(hook = "inode_removexattr")]
fn inode_removexattr(ctx: LsmContext) -> i32 {
    itself::<1>(Hook::InodeRemovexattr, &ctx)
}

/// `vfs_set_acl(idmap, dentry, name, acl)`, since 6.2.
#[lsm(hook = "inode_set_acl")]
fn inode_set_acl(ctx: LsmContext) -> i32 {
    itself::<1>(Hook::InodeSetAcl, &ctx)
}

/// `vfs_remove_acl(idmap, dentry, name)`, since 6.2.
#[lsm(hook = "inode_remove_acl")]
fn inode_remove_acl(ctx: LsmContext) -> i32 {
    itself::<1>(Hook::InodeRemoveAcl, &ctx)
}

/// `vfs_fileattr_set(dentry, attributes)`, since 6.17: what [`vs_common::filesystem::CHANGING_REQUESTS`] did before by a descriptor.
#[lsm(hook = "inode_file_setattr")]
fn inode_file_setattr(ctx: LsmContext) -> i32 {
    itself::<0>(Hook::InodeFileSetattr, &ctx)
}
