//! The barrier: a directory that no guest passes upward, by whatever road it got to the other side.
//!
//! VServer put it on the parent of a context's root (`chroot-barrier`). A path walk asks for leave to search each directory that it goes
//! through (`fs/namei.c:may_lookup`), also the one that `..` led to, so what leads past the barrier is refused there; what ends at
//! it is refused where it is opened or changed into (`fs/open.c:chdir`, `fchdir`, `chroot`).

use super::owner::{FileOwner, decide_file};
use crate::context::{Access, Identity, Tag};
use crate::id::{ContextKind, Generation, Xid};
use crate::verdict::{Errno, Reason, Verdict};

/// The bit of [`Tag::lifecycle`] in the owner of a row of `FILES` that says that the directory is a barrier.
pub const IS_BARRIER: u32 = 1 << 1;

/// The owner in the row of a directory that is a barrier and given to nobody: whose the files below are, rows above say.
pub const BARRIER_ONLY: Tag = Tag { xid: BARRIER_ONLY_XID, lifecycle: IS_BARRIER, generation: Generation(0) };

const BARRIER_ONLY_XID: Xid = Xid(u32::MAX - 2);

/// Whether a row says whose the files below its directory are.
#[inline(always)]
pub const fn has_owner(row: &Tag) -> bool {
    row.xid.0 != BARRIER_ONLY_XID.0
}

/// Whether the directory of a row is a barrier.
#[inline(always)]
pub const fn is_barrier(row: &Tag) -> bool {
    row.lifecycle & IS_BARRIER != 0
}

/// Who may search, list, change into or change a directory that is a barrier.
///
/// | actor           | verdict           |
/// |-----------------|-------------------|
/// | host, spectator | allow             |
/// | guest           | EACCES `barrier`  |
/// | unknown         | EACCES            |
///
/// The spectator sees all, and changes nothing by other rules. `EACCES` is what `may_lookup` gives for a directory without permission; it
/// is final, in the walk without references too (`fs/namei.c:may_lookup`, 6.1 to 7.3).
#[inline(always)]
pub const fn decide_barrier(actor: Identity) -> Verdict {
    match actor {
        Identity::Host => Verdict::Allow,
        Identity::Unknown => Verdict::Deny(Errno::Eacces, Reason::UnknownActor),
        Identity::Member(tag) => match tag.xid.kind() {
            ContextKind::Host | ContextKind::Spectator => Verdict::Allow,
            ContextKind::Guest => Verdict::Deny(Errno::Eacces, Reason::Barrier),
        },
    }
}

/// Where a directory that is handed over comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceivedFrom {
    /// It was opened in the mount namespace of the receiver.
    pub is_in_own_tree: bool,
    /// The nearest row above it is a context's root.
    pub is_below_root: bool,
}

/// Who may be handed a directory that somebody else has open. What a directory leads to is everything around it, so one who has a root gets
/// only what is inside: by another he would be outside.
///
/// | receiver                                             | verdict                               |
/// |------------------------------------------------------|---------------------------------------|
/// | has a root, in a mount tree of its own: from there   | as for reading                        |
/// | from elsewhere: its own by another mount leads out   | EACCES `barrier`                      |
/// | has a root, in the host's mount tree: its root or below | allow                              |
/// | anything else, its other directories too             | EACCES `barrier`                      |
/// | all others                                           | as for reading, see [`decide_file`]   |
#[inline(always)]
pub const fn decide_received_directory(actor: Identity, owner: FileOwner, from: ReceivedFrom) -> Verdict {
    let verdict = decide_file(actor, owner, Access::Read);
    match (actor, verdict) {
        (Identity::Member(tag), Verdict::Allow) if tag.has_root() => {
            let is_inside = if tag.is_in_host_tree() {
                from.is_below_root && matches!(owner, FileOwner::Context(_))
            } else {
                from.is_in_own_tree
            };
            // Like the mount tree itself in force in every mode: what is outside is none of what `observe` lets pass.
            if is_inside { Verdict::Allow } else { Verdict::Deny(Errno::Eacces, Reason::Barrier) }
        }
        (_, verdict) => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::lifecycle;

    fn member(xid: u32) -> Identity {
        Identity::Member(Tag { xid: Xid(xid), lifecycle: 0, generation: Generation(1) })
    }

    #[test]
    fn a_barrier_holds_every_guest_and_nobody_else() {
        assert_eq!(decide_barrier(Identity::Host), Verdict::Allow);
        assert_eq!(decide_barrier(member(0)), Verdict::Allow);
        assert_eq!(decide_barrier(member(1)), Verdict::Allow);
        for xid in [2, 100, 49_151, 49_152, 65_535, u32::MAX - 2] {
            assert_eq!(decide_barrier(member(xid)), Verdict::Deny(Errno::Eacces, Reason::Barrier), "{xid}");
        }
        assert_eq!(decide_barrier(Identity::Unknown), Verdict::Deny(Errno::Eacces, Reason::UnknownActor));
    }

    #[test]
    fn who_has_a_root_gets_only_what_is_inside() {
        let tag = |lifecycle| Tag { xid: Xid(100), lifecycle, generation: Generation(1) };
        let (own, other) = (tag(0), Tag { xid: Xid(101), ..tag(0) });
        let allowed = |lifecycle, owner, is_in_own_tree, is_below_root| {
            let from = ReceivedFrom { is_in_own_tree, is_below_root };
            decide_received_directory(Identity::Member(tag(lifecycle)), owner, from) == Verdict::Allow
        };
        let pivoted = lifecycle::ROOT | lifecycle::FILES;
        let in_host_tree = pivoted | lifecycle::HOST_TREE;
        let outside = decide_received_directory(
            Identity::Member(tag(pivoted)),
            FileOwner::Shared,
            ReceivedFrom { is_in_own_tree: false, is_below_root: false },
        );
        assert_eq!(outside, Verdict::Deny(Errno::Eacces, Reason::Barrier), "in every mode");
        for is_below_root in [false, true] {
            assert!(allowed(pivoted, FileOwner::Shared, true, is_below_root));
            assert!(allowed(pivoted, FileOwner::Context(own), true, is_below_root));
            assert!(!allowed(pivoted, FileOwner::Shared, false, is_below_root));
            assert!(!allowed(pivoted, FileOwner::Context(own), false, is_below_root));
            assert!(!allowed(pivoted, FileOwner::Context(other), true, is_below_root));
        }
        for is_in_own_tree in [false, true] {
            assert!(allowed(in_host_tree, FileOwner::Context(own), is_in_own_tree, true));
            assert!(!allowed(in_host_tree, FileOwner::Context(own), is_in_own_tree, false));
            assert!(!allowed(in_host_tree, FileOwner::Context(other), is_in_own_tree, true));
            assert!(!allowed(in_host_tree, FileOwner::Shared, is_in_own_tree, false));
            assert!(allowed(lifecycle::FILES, FileOwner::Shared, is_in_own_tree, false));
            assert!(!allowed(lifecycle::FILES, FileOwner::Context(other), is_in_own_tree, true));
        }
    }

    #[test]
    fn a_barrier_alone_says_nothing_of_files() {
        assert!(is_barrier(&BARRIER_ONLY) && !has_owner(&BARRIER_ONLY));
        let hosts = Tag::default();
        assert!(has_owner(&hosts) && !is_barrier(&hosts));
        let both = Tag { lifecycle: IS_BARRIER, ..hosts };
        assert!(has_owner(&both) && is_barrier(&both));
    }
}
