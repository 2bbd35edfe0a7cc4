//! Directories that no guest passes.

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Identity;
use vs_common::filesystem::{decide_barrier, is_barrier};
use vs_common::hook::Hook;
use vs_common::verdict::Verdict;

use super::owner::row_of;
use crate::audit::Target;
use crate::context;
use crate::kernel::inode::Inode;
use crate::kernel::task::Task;
use crate::maps::epoch;
use crate::verdict::{ALLOW, allow_host, conclude};

/// `inode_permission(inode, mask)`: every directory that a path goes through, and whatever is opened or changed into at its end. Often
/// without a reference to the inode (`MAY_NOT_BLOCK`): it is looked at, and nothing is kept for it.
#[lsm(hook = "inode_permission")]
fn inode_permission(ctx: LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    passes(current, Inode::argument(ctx.arg(0)))
}

/// The same for a task that has some storage. Not inlined, see `visibility::interact`.
#[inline(never)]
fn passes(current: Task, inode: Inode) -> i32 {
    let row = row_of(inode, epoch());
    // SAFETY: A map's value, which lives until the program returns.
    if row.is_null() || !is_barrier(unsafe { &*row }) {
        return ALLOW;
    }
    stops(current, inode)
}

/// The same of a barrier.
#[inline(never)]
fn stops(current: Task, inode: Inode) -> i32 {
    let actor = context::actor(current);
    if matches!(actor, Identity::Host) {
        return allow_host();
    }
    let verdict = decide_barrier(actor);
    if verdict == Verdict::Allow {
        return ALLOW;
    }
    let target = Target::file(inode.address(), inode.superblock_magic(), 0, None);
    conclude(Hook::InodePermission, verdict, actor, &target, 0)
}
