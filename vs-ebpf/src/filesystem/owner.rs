//! Whose a file is, and whether the running task may read or change it.

use core::ptr;

use vs_common::context::{Access, Identity, Tag};
use vs_common::filesystem::{
    FILTER_WORDS, FileKey, FileOwner, FilesJudged, FilesystemClass, IS_ROOT, MAX_DEPTH, ReceivedFrom,
    TOO_DEEP, classify, decide_file, decide_received_directory, filter_bit, has_owner, magic,
};
use vs_common::hook::Hook;
use vs_common::id::{ContextKind, Epoch, Xid};
use vs_common::verdict::{Reason, Verdict};

use crate::audit::Target;
use crate::context;
use crate::kernel::file::{Dentry, named_inode};
use crate::kernel::inode::Inode;
use crate::kernel::task::Task;
use crate::maps::{FILE_EPOCHS, FILE_FILTERS, FILES, epoch};
use crate::verdict::{ALLOW, Denial, allow_host, carry_out_denial};

/// The row of a file that lies too deep.
static TOO_DEEP_ROW: Tag = TOO_DEEP;

/// An act on a file, in a word that functions hand on.
#[derive(Clone, Copy)]
pub(super) struct Act(u32);

impl Act {
    /// It changes something.
    const CHANGE: u32 = 1 << 16;
    /// What the name leads to is judged beside the directory that the name is in.
    const NAMED: u32 = 1 << 17;
    /// A directory is handed over: see [`decide_received_directory`].
    const RECEIVED: u32 = 1 << 18;
    /// It was opened in the mount namespace of who gets it.
    const IN_OWN_TREE: u32 = 1 << 19;

    /// Looks.
    #[inline(always)]
    pub(super) const fn read(hook: Hook) -> Self {
        Self(hook as u32)
    }

    /// Gets a directory that somebody else has open.
    #[inline(always)]
    pub(super) const fn receive(hook: Hook, is_in_own_tree: bool) -> Self {
        let own = if is_in_own_tree { Self::IN_OWN_TREE } else { 0 };
        Self(hook as u32 | Self::RECEIVED | own)
    }

    /// Changes contents or attributes.
    #[inline(always)]
    pub(super) const fn change(hook: Hook) -> Self {
        Self(hook as u32 | Self::CHANGE)
    }

    /// Takes a name away, and what it leads to from its place.
    #[inline(always)]
    pub(super) const fn unname(hook: Hook) -> Self {
        Self(hook as u32 | Self::CHANGE | Self::NAMED)
    }
}

/// Whether files on a file system have owners: not so what the kernel shows or is controlled by, and message queues, which are no files.
#[inline(always)]
fn has_owners(inode: Inode, superblock_magic: u64) -> bool {
    matches!(classify(superblock_magic), FilesystemClass::Ordinary)
        && superblock_magic != magic::MQUEUE
        && inode.has_place()
}

/// Why files are judged in the epoch in force: bits of [`FilesJudged`].
#[inline(always)]
fn reasons_to_judge() -> u32 {
    let epoch = epoch();
    FILE_EPOCHS.get(epoch.0 & 1).map_or(0, |judged| judged.in_epoch(epoch))
}

/// The row of a directory itself that says whose it is.
#[inline(always)]
fn owner_row(key: &FileKey) -> *const Tag {
    let found = row(key);
    // SAFETY: A map's value, which lives until the program returns.
    if !found.is_null() && has_owner(unsafe { &*found }) { found } else { ptr::null() }
}

/// The row of an inode itself.
#[inline(always)]
pub(super) fn row_of(inode: Inode, epoch: Epoch) -> *const Tag {
    let (number, generation) = inode.numbers();
    if !may_have_row(epoch, number, generation) {
        return ptr::null();
    }
    let (device, filesystem) = (inode.superblock_device(), inode.superblock_identity());
    row(&FileKey { epoch, device, inode: number, generation, filesystem })
}

/// Whether a directory may have a row, as the filter says.
#[inline(always)]
fn may_have_row(epoch: Epoch, inode: u64, generation: u32) -> bool {
    let (word, bit) = filter_bit(inode, generation);
    let index = (epoch.0 & 1) * FILTER_WORDS as u32 + word;
    FILE_FILTERS.get(index).is_none_or(|word| *word & bit != 0)
}

/// The row of a directory itself.
#[inline(always)]
fn row(key: &FileKey) -> *const Tag {
    if !may_have_row(key.epoch, key.inode, key.generation) {
        return ptr::null();
    }
    match FILES.get_ptr(key) {
        // SAFETY: A map's value, of which only the address is taken; rows are freed after a grace period.
        Some(row) => unsafe { &raw const (*row).owner },
        None => ptr::null(),
    }
}

/// The row that a file or directory on a device, or whatever is above it on its file system, has; null: none has one.
///
/// Without a lock: what moves meanwhile is found in its old place or its new one. A guest moves things only within its own directories.
#[inline(never)]
fn nearest_row(place: Dentry, device: u32, filesystem: u32, epoch: u32) -> *const Tag {
    let mut key = FileKey { epoch: Epoch(epoch), device, inode: 0, generation: 0, filesystem };
    let mut place = place;
    let mut depth = 0;
    while depth < MAX_DEPTH {
        (key.inode, key.generation) = place.numbers();
        let found = owner_row(&key);
        if !found.is_null() {
            return found;
        }
        let parent = place.parent();
        if parent == place {
            return ptr::null();
        }
        place = parent;
        depth += 1;
    }
    &raw const TOO_DEEP_ROW
}

/// The row of what a dentry at an address names, if it names anything, and nothing above it.
#[inline(never)]
fn row_of_named(dentry: u64, device: u32, filesystem: u32, epoch: u32) -> *const Tag {
    let inode = named_inode(dentry);
    if inode.0 == 0 {
        return ptr::null();
    }
    let (inode, generation) = (inode.number(), inode.generation());
    owner_row(&FileKey { epoch: Epoch(epoch), device, inode, generation, filesystem })
}

/// Whether a file system is a context's as a whole: one in memory that entry made for it.
#[inline(never)]
fn is_own_filesystem(inode: Inode, xid: u32, generation: u64) -> u32 {
    let Some(root) = inode.superblock_root() else { return 0 };
    let tag = context::inode_tag(root);
    // SAFETY: A map's value, which lives until the program returns.
    u32::from(!tag.is_null() && unsafe { (*tag).xid.0 == xid && (*tag).generation.0 == generation })
}

/// The guest that a file is of by the policy in force; null: no guest, or nobody in particular. What lies too deep is as if it were one's.
#[inline(always)]
pub(super) fn guest_of(place: Dentry, inode: Inode) -> *const Tag {
    if reasons_to_judge() & FilesJudged::BY_OWNER == 0 || !has_owners(inode, inode.superblock_magic()) {
        return ptr::null();
    }
    let row = nearest_row(place, inode.superblock_device(), inode.superblock_identity(), epoch().0);
    // SAFETY: Not null: a map's value or a constant, which live until the program returns.
    if row.is_null() || unsafe { (*row).xid == Xid::HOST } { ptr::null() } else { row }
}

/// Whether a row is of the context that a tag is of.
#[inline(always)]
fn is_of(row: *const Tag, tag: &Tag) -> bool {
    // SAFETY: A map's value, which lives until the program returns.
    unsafe { (*row).is_same_context(tag) }
}

/// What becomes of an act by a task that has some storage, see [`judge`]. Where policy gives no directory to anybody it is about the spectator
/// only, who changes nothing anywhere. Nothing is read before it is known to be needed.
#[inline(always)]
pub(super) fn judge_if_needed(
    current: Task,
    place: impl FnOnce() -> Dentry,
    inode: Inode,
    act: Act,
    named: impl FnOnce() -> u64,
) -> i32 {
    let reasons = reasons_to_judge();
    if reasons & FilesJudged::BY_OWNER == 0 {
        let may_be_spectator = act.0 & Act::CHANGE != 0 && reasons & FilesJudged::SPECTATOR != 0;
        if !may_be_spectator || is_spectator(current) == 0 {
            return ALLOW;
        }
    }
    // Of whatever file system a directory is, `..` leads out of it.
    if act.0 & Act::RECEIVED != 0 || has_owners(inode, inode.superblock_magic()) {
        judge(current, place(), inode, act, named())
    } else {
        ALLOW
    }
}

/// Whether a task is the spectator's: 0 or 1.
#[inline(never)]
fn is_spectator(current: Task) -> u32 {
    match context::actor(current) {
        Identity::Member(tag) => u32::from(matches!(tag.xid.kind(), ContextKind::Spectator)),
        Identity::Host | Identity::Unknown => 0,
    }
}

/// What becomes of an act by a task that has some storage, on what `place` names; `inode` is on the same file system. `named`: the address
/// of the dentry that a record tells of. See [`decide_file`].
#[inline(never)]
fn judge(current: Task, place: Dentry, inode: Inode, act: Act, named: u64) -> i32 {
    let actor = context::actor(current);
    if matches!(actor, Identity::Host) {
        return allow_host();
    }
    let tag = match actor {
        Identity::Member(tag) => tag,
        Identity::Host | Identity::Unknown => context::NOBODY,
    };
    let is_change = act.0 & Act::CHANGE != 0;
    let access = if is_change { Access::Change } else { Access::Read };
    let epoch = epoch();
    let (device, filesystem) = (inode.superblock_device(), inode.superblock_identity());
    let mut found = ptr::null();
    if act.0 & Act::NAMED != 0 {
        found = row_of_named(named, device, filesystem, epoch.0);
    }
    if found.is_null() || is_of(found, &tag) {
        found = nearest_row(place, device, filesystem, epoch.0);
    }
    let owner = if found.is_null() {
        FileOwner::Shared
    } else {
        // SAFETY: A map's value or a constant, which live until the program returns.
        FileOwner::of(unsafe { &*found })
    };
    // As one number, read back: of an errno that an allow does not have LLVM leaves the register unset, and the verifier refuses.
    let verdict = if act.0 & Act::RECEIVED != 0 {
        // SAFETY: As above.
        let is_below_root = !found.is_null() && unsafe { (*found).lifecycle & IS_ROOT != 0 };
        let is_in_own_tree = act.0 & Act::IN_OWN_TREE != 0;
        decide_received_directory(actor, owner, ReceivedFrom { is_in_own_tree, is_below_root })
    } else {
        decide_file(actor, owner, access)
    };
    let denied: u32 = match verdict {
        Verdict::Allow => 0,
        Verdict::Deny(errno, reason) => {
            errno as u32 | (reason as u32) << 8 | u32::from(reason.is_between_contexts()) << 16
        }
    };
    // SAFETY: A reference to a live local.
    let denied = unsafe { ptr::read_volatile(&raw const denied) };
    if denied == 0 {
        return ALLOW;
    }
    // By a directory of it that was opened elsewhere he would be outside all the same.
    let may_be_own = found.is_null() && act.0 & Act::RECEIVED == 0;
    if may_be_own && is_own_filesystem(inode, tag.xid.0, tag.generation.0) != 0 {
        return ALLOW;
    }
    let mut denial = Denial::NONE;
    denial.actor = tag;
    denial.target = Target::file(inode.address(), inode.superblock_magic(), named, None);
    if !found.is_null() {
        // SAFETY: As above.
        denial.target.set_owner(unsafe { &*found });
    }
    denial.detail = u64::from(is_change);
    denial.hook = act.0 as u16;
    denial.reason = (denied >> 8 & 0xff) as u16;
    denial.errno = (denied & 0xff) as u16;
    denial.is_between = (denied >> 16) as u16;
    carry_out_denial(&denial)
}

// Every reason fits.
const _: () = assert!(Reason::ALL.len() < 256);
