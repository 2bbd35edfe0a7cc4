//! Whose a file is: the nearest directory above it that policy gives to somebody says so.
//!
//! Nothing is written to a file, and nothing is kept for one: a look at a file walks up from it, so that a file that is moved, made or
//! unpacked belongs to whoever has the directory it lies in, at once. A file with several names is judged by the one it is reached by; a
//! guest makes no second name for a file that is not its own.

use crate::context::{Access, Identity, Tag};
use crate::id::{ContextKind, Epoch, Generation, Xid};
use crate::verdict::{Errno, Reason, Verdict};

/// How many directories above a file are looked at. Whose a deeper one is cannot be told.
pub const MAX_DEPTH: u32 = 64;
/// Bytes of a directory's path in [`FileRow`], without a terminating zero.
pub const PATH_SIZE: usize = 240;

/// The key of `FILES`: a directory, as the kernel tells it from all others of its file system's life.
///
/// Numbers of inodes are given again, generations of a number are not: ext4, xfs, btrfs and tmpfs draw them at random or count them up. The
/// device is the superblock's, which on btrfs is not the one that stat(2) shows.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FileKey {
    /// The load that the row belongs to.
    pub epoch: Epoch,
    /// `super_block.s_dev`.
    pub device: u32,
    /// `inode.i_ino`.
    pub inode: u64,
    /// `inode.i_generation`.
    pub generation: u32,
    /// [`fold_uuid`] of `super_block.s_uuid`: a device number is given to another file system when one is unmounted.
    pub filesystem: u32,
}

const _: () = assert!(size_of::<FileKey>() == 24);

/// Thirty-two bits of what a file system is called by, from both halves of its UUID.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lower half, into which the upper one was folded")]
pub const fn fold_uuid(first: u64, second: u64) -> u32 {
    let both = first ^ second;
    (both ^ both >> 32) as u32
}

/// Words of a filter: 4096 bits.
pub const FILTER_WORDS: usize = 64;
/// For each of the directories of an epoch a bit, see [`filter_bit`]. What has none has no row: most directories that are walked past cost one
/// look into an array, and none into a hash.
pub type FileFilter = [u64; FILTER_WORDS];

/// The bit that stands for a directory: the word's number and the bit in it. Several may share one.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lower half, into which the upper one was folded")]
pub const fn filter_bit(inode: u64, generation: u32) -> (u32, u64) {
    // A file system counts its inodes up, so that neighbours differ by little, and draws generations at random or has none: Knuth's
    // multiplicative hash of both, of which the upper bits are good.
    let mixed = ((inode ^ inode >> 32) as u32 ^ generation).wrapping_mul(0x9e37_79b1);
    let at = mixed >> 20;
    (at >> 6, 1 << (at & 63))
}

/// The bit of [`Tag::lifecycle`] in a row's owner that says that the directory is the root of its context. No program reads it.
pub const IS_ROOT: u32 = 1;

/// What policy says of one directory, and of all below it that no other row is nearer to.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileRow {
    /// Whose it is; of xid 0: the host's alone.
    pub owner: Tag,
    /// Its path when policy was loaded, padded with zeros. No program reads it.
    pub path: [u8; PATH_SIZE],
}

const _: () = assert!(size_of::<FileRow>() == 256);
const _: () = assert!(size_of::<FilesJudged>() == 8);

/// What the program `file_numbers` tells of a descriptor.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FileNumbers {
    /// Its number in the process that asks.
    pub descriptor: u32,
    /// `super_block.s_dev`.
    pub device: u32,
    /// `inode.i_ino`.
    pub inode: u64,
    /// `inode.i_generation`.
    pub generation: u32,
    /// [`fold_uuid`] of `super_block.s_uuid`.
    pub filesystem: u32,
    /// `super_block.s_magic`.
    pub magic: u64,
}

const _: () = assert!(size_of::<FileNumbers>() == 32);

/// Whose a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileOwner {
    /// Nobody's in particular: the host's, for everybody to read.
    Shared,
    /// The host's alone.
    Host,
    /// A context's.
    Context(Tag),
    /// It lies too deep to tell.
    Unknown,
}

impl FileOwner {
    /// What a row says.
    #[inline(always)]
    pub const fn of(row: &Tag) -> Self {
        match row.xid {
            Xid::HOST => Self::Host,
            TOO_DEEP_XID => Self::Unknown,
            _ => Self::Context(*row),
        }
    }
}

const TOO_DEEP_XID: Xid = Xid(u32::MAX);

/// Why ordinary files are judged in an epoch at all, so that nobody is asked who he is for rules that policy does not have. 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FilesJudged {
    /// The epoch that this is about; of another one nothing is judged. No epoch in force is 0.
    pub epoch: Epoch,
    /// Bits: [`Self::BY_OWNER`], [`Self::SPECTATOR`].
    pub reasons: u32,
}

impl FilesJudged {
    /// Policy gives directories to somebody, or confines somebody to his own.
    pub const BY_OWNER: u32 = 1;
    /// There is a spectator, who changes no file.
    pub const SPECTATOR: u32 = 1 << 1;

    /// The reasons in an epoch.
    #[inline(always)]
    pub const fn in_epoch(self, epoch: Epoch) -> u32 {
        if self.epoch.0 == epoch.0 { self.reasons } else { 0 }
    }
}

/// What stands for the row of a file that lies too deep.
pub const TOO_DEEP: Tag = Tag { xid: TOO_DEEP_XID, lifecycle: 0, generation: Generation(0) };

/// Who may do what with a file's contents, names and attributes.
///
/// | whose it is               | guest: read            | guest: change                              | spectator: read, change |
/// |---------------------------|------------------------|--------------------------------------------|-------------------------|
/// | its context's             | allow                  | allow                                      | -                       |
/// | another context's         | EACCES `foreign-file`  | EACCES `foreign-file`                      | allow, EACCES           |
/// | the host's alone          | EACCES `host-file`     | EACCES `host-file`                         | allow, EACCES           |
/// | nobody's in particular    | allow                  | EACCES `host-file`; not confined: allow    | allow, EACCES           |
/// | too deep to tell          | EACCES `unknown-file`  | EACCES `unknown-file`                      | allow, EACCES           |
///
/// A guest is confined if policy gives it `directories`. The host may all; an unknown actor may read what is nobody's. `EACCES` is what a
/// file without permission gives, which every program expects.
#[inline(always)]
pub const fn decide_file(actor: Identity, owner: FileOwner, access: Access) -> Verdict {
    let is_read = matches!(access, Access::Read);
    let actor = match actor {
        Identity::Host => return Verdict::Allow,
        Identity::Unknown if is_read && matches!(owner, FileOwner::Shared) => return Verdict::Allow,
        Identity::Unknown => return Verdict::Deny(Errno::Eacces, Reason::UnknownActor),
        Identity::Member(tag) => tag,
    };
    if matches!(actor.xid.kind(), ContextKind::Spectator) {
        return if is_read { Verdict::Allow } else { Verdict::Deny(Errno::Eacces, Reason::SpectatorChange) };
    }
    let reason = match owner {
        FileOwner::Context(owner) if owner.is_same_context(&actor) => return Verdict::Allow,
        FileOwner::Context(_) => Reason::ForeignFile,
        FileOwner::Shared if is_read || !actor.has_files() => return Verdict::Allow,
        FileOwner::Shared | FileOwner::Host => Reason::HostFile,
        FileOwner::Unknown => Reason::UnknownFile,
    };
    Verdict::Deny(Errno::Eacces, reason)
}

/// Requests of `ioctl(2)` that change a file by a descriptor that is open for reading only (`include/uapi/linux/fs.h`, `fscrypt.h`,
/// `fsverity.h`, `btrfs.h`), in the form of 32-bit programs, too. Subvolumes come and go by such requests alone: no hook on names sees it.
pub const CHANGING_REQUESTS: [u32; 19] = [
    // FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS: chattr(1).
    0x4008_6602,
    0x4004_6602,
    // FS_IOC_FSSETXATTR: projects and flags.
    0x401c_5820,
    // FS_IOC_SETVERSION, FS_IOC32_SETVERSION: the generation.
    0x4008_7602,
    0x4004_7602,
    // FS_IOC_ENABLE_VERITY: never to be written again.
    0x4080_6685,
    // FS_IOC_SET_ENCRYPTION_POLICY.
    0x800c_6613,
    // EXT4_IOC_SETVERSION_OLD.
    0x4008_6604,
    // BTRFS_IOC_SNAP_CREATE, BTRFS_IOC_SUBVOL_CREATE, BTRFS_IOC_SNAP_DESTROY, and their later forms.
    0x5000_9401,
    0x5000_940e,
    0x5000_940f,
    0x5000_9417,
    0x5000_9418,
    0x5000_943f,
    // BTRFS_IOC_SUBVOL_SETFLAGS; BTRFS_IOC_SET_RECEIVED_SUBVOL, and that of 32-bit programs.
    0x4008_941a,
    0xc0c8_9425,
    0xc0c0_9425,
    // EXT4_IOC_MIGRATE: how a file is kept.
    0x6609,
    // F2FS_IOC_SET_PIN_FILE.
    0x4004_f50d,
];

/// Whether a request of `ioctl(2)` is one of [`CHANGING_REQUESTS`].
#[inline(always)]
pub const fn is_changing_request(request: u32) -> bool {
    let mut at = 0;
    while at < CHANGING_REQUESTS.len() {
        if CHANGING_REQUESTS[at] == request {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(feature = "user")]
mod user {
    // SAFETY: `repr(C)`, `Copy`, without padding (the size is asserted above), and every bit pattern is a value.
    unsafe impl aya::Pod for super::FileKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::FileRow {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::FilesJudged {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::lifecycle;

    const fn tag(xid: u32, generation: u64) -> Tag {
        Tag { xid: Xid(xid), lifecycle: lifecycle::FILES, generation: Generation(generation) }
    }

    const ALLOW: Verdict = Verdict::Allow;
    const fn eacces(reason: Reason) -> Verdict {
        Verdict::Deny(Errno::Eacces, reason)
    }

    fn both(actor: Identity, owner: FileOwner) -> [Verdict; 2] {
        [decide_file(actor, owner, Access::Read), decide_file(actor, owner, Access::Change)]
    }

    #[test]
    fn a_confined_guest_changes_its_own_and_reads_what_is_nobodys() {
        let guest = Identity::Member(tag(5, 1));
        for (owner, expected) in [
            (FileOwner::Context(tag(5, 1)), [ALLOW, ALLOW]),
            (FileOwner::Context(tag(6, 1)), [eacces(Reason::ForeignFile); 2]),
            // A number that was given again.
            (FileOwner::Context(tag(5, 2)), [eacces(Reason::ForeignFile); 2]),
            (FileOwner::Host, [eacces(Reason::HostFile); 2]),
            (FileOwner::Shared, [ALLOW, eacces(Reason::HostFile)]),
            (FileOwner::Unknown, [eacces(Reason::UnknownFile); 2]),
        ] {
            assert_eq!(both(guest, owner), expected, "{owner:?}");
        }
    }

    #[test]
    fn a_guest_without_directories_is_kept_from_others_only() {
        let guest = Identity::Member(Tag { lifecycle: 0, ..tag(5, 1) });
        assert_eq!(both(guest, FileOwner::Shared), [ALLOW, ALLOW]);
        assert_eq!(both(guest, FileOwner::Context(tag(6, 1))), [eacces(Reason::ForeignFile); 2]);
        assert_eq!(both(guest, FileOwner::Host), [eacces(Reason::HostFile); 2]);
    }

    #[test]
    fn the_spectator_reads_everything_and_changes_nothing() {
        let spectator = Identity::Member(Tag { lifecycle: 0, ..tag(1, 1) });
        for owner in [FileOwner::Shared, FileOwner::Host, FileOwner::Context(tag(5, 1)), FileOwner::Unknown] {
            assert_eq!(both(spectator, owner), [ALLOW, eacces(Reason::SpectatorChange)], "{owner:?}");
        }
    }

    #[test]
    fn the_host_may_all_and_who_cannot_be_told_reads_what_is_nobodys() {
        for owner in [FileOwner::Shared, FileOwner::Host, FileOwner::Context(tag(5, 1)), FileOwner::Unknown] {
            assert_eq!(both(Identity::Host, owner), [ALLOW, ALLOW], "{owner:?}");
        }
        assert_eq!(both(Identity::Unknown, FileOwner::Shared), [ALLOW, eacces(Reason::UnknownActor)]);
        assert_eq!(both(Identity::Unknown, FileOwner::Host), [eacces(Reason::UnknownActor); 2]);
    }

    #[test]
    fn neighbours_have_bits_of_their_own_within_the_filter() {
        let mut filter: FileFilter = [0; FILTER_WORDS];
        for inode in 0..256 {
            let (word, bit) = filter_bit(inode, 0);
            filter[word as usize] |= bit;
        }
        let set: u32 = filter.iter().map(|word| word.count_ones()).sum();
        assert!(set > 240, "{set}");
        assert_ne!(filter_bit(7, 1), filter_bit(7, 2));
        let (word, bit) = filter_bit(u64::MAX, u32::MAX);
        assert!((word as usize) < FILTER_WORDS && bit.is_power_of_two());
    }

    #[test]
    fn a_row_says_whose() {
        assert_eq!(FileOwner::of(&tag(5, 1)), FileOwner::Context(tag(5, 1)));
        assert_eq!(FileOwner::of(&Tag::default()), FileOwner::Host);
        assert_eq!(FileOwner::of(&TOO_DEEP), FileOwner::Unknown);
    }
}
