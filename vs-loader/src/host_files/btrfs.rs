//! Subvolumes of btrfs: a number and a generation tell a file from others within one only, and the kernel side knows no more.
//!
//! Inodes are numbered from 256 on in each subvolume, and an inode's generation is the number of the transaction that it was made in, a
//! matter of half a minute. Two subvolumes made by one script have directories of the same numbers. What a load finds is all there will be:
//! it has the transaction end, and what is made afterwards has a greater generation. Snapshots hold copies, which have the numbers of what
//! they are copies of and are whose that is.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{Mode, OFlags};

/// `BTRFS_SUPER_MAGIC`.
pub(super) const MAGIC: u64 = 0x9123_683e;

/// `BTRFS_IOC_TREE_SEARCH` and `BTRFS_IOC_INO_LOOKUP` (`include/uapi/linux/btrfs.h`).
const TREE_SEARCH: libc::c_ulong = 0xd000_9411;
const INODE_LOOKUP: libc::c_ulong = 0xd000_9412;
/// What both take: a page.
type Page = [u8; 4096];

// Trees, and kinds of items (`include/uapi/linux/btrfs_tree.h`).
const ROOT_TREE: u64 = 1;
const TOP_LEVEL: u64 = 5;
const FIRST_SUBVOLUME: u64 = 256;
const LAST_SUBVOLUME: u64 = u64::MAX - 255;
const INODE_ITEM: u32 = 1;
const ROOT_ITEM: u32 = 132;
// Where in a `btrfs_root_item` something is, and how long a `btrfs_ioctl_search_header` is.
const UUID: usize = 247;
const PARENT_UUID: usize = 263;
const MADE_IN: usize = 303;
const HEADER: usize = 32;

/// A tree's name for all time.
type Uuid = [u8; 16];

/// A subvolume, as far as it matters whose copy it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Subvolume {
    uuid: Uuid,
    /// Zero: it is no snapshot.
    parent: Uuid,
    /// The transaction that it was made in.
    made_in: u64,
}

/// Another subvolume in which a file has the numbers that a directory has, and is no copy of it.
///
/// # Errors
/// The kernel does not tell.
pub(super) fn namesake(directory: BorrowedFd<'_>, inode: u64, generation: u32) -> io::Result<Option<u64>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    let raw = directory.as_raw_fd();
    rustix::fs::syncfs(&directory)?;
    let own = tree_of(raw)?;
    let subvolumes = subvolumes(raw)?;
    let origin = |tree| origin(&subvolumes, tree, generation);
    for tree in subvolumes.keys().copied().filter(|tree| *tree != own) {
        let has_it = generation_of(raw, tree, inode)?.is_some_and(|found| low_half(found) == generation);
        if has_it && origin(tree) != origin(own) {
            return Ok(Some(tree));
        }
    }
    Ok(None)
}

/// The lower half of a number, which is what `inode.i_generation` keeps of it.
const fn low_half(number: u64) -> u32 {
    (number & 0xffff_ffff) as u32
}

/// The subvolume in which a file of this generation was made that is in a tree now: what is older than a snapshot came with it.
fn origin(subvolumes: &BTreeMap<u64, Subvolume>, tree: u64, generation: u32) -> (u64, Uuid) {
    let by_uuid = |uuid: &Uuid| subvolumes.iter().find(|(_, subvolume)| subvolume.uuid == *uuid);
    let (mut tree, mut steps) = (tree, 0);
    loop {
        let Some(subvolume) = subvolumes.get(&tree) else { return (tree, Uuid::default()) };
        let is_copy = subvolume.parent != Uuid::default() && u64::from(generation) <= subvolume.made_in;
        if !is_copy || steps > subvolumes.len() {
            return (tree, Uuid::default());
        }
        match by_uuid(&subvolume.parent) {
            Some((parent, _)) => tree = *parent,
            // It has been deleted since; others may be snapshots of it, too.
            None => return (0, subvolume.parent),
        }
        steps += 1;
    }
}

/// The tree that a directory is in.
fn tree_of(directory: i32) -> io::Result<u64> {
    let mut page: Page = [0; 4096];
    put(&mut page, 8, FIRST_SUBVOLUME);
    request(directory, INODE_LOOKUP, &mut page)?;
    Ok(number(&page, 0))
}

/// Every subvolume of the file system.
fn subvolumes(directory: i32) -> io::Result<BTreeMap<u64, Subvolume>> {
    let mut found = BTreeMap::new();
    let (mut from, mut offset) = (TOP_LEVEL, 0);
    loop {
        let items = search(directory, ROOT_TREE, ROOT_ITEM, (from, LAST_SUBVOLUME), offset)?;
        let Some(last) = items.last() else { return Ok(found) };
        (from, offset) = (last.object, last.offset.saturating_add(1));
        for item in items {
            let is_subvolume = item.object == TOP_LEVEL || item.object >= FIRST_SUBVOLUME;
            if is_subvolume && item.data.len() >= MADE_IN + 8 {
                let subvolume = Subvolume {
                    uuid: bytes(&item.data, UUID),
                    parent: bytes(&item.data, PARENT_UUID),
                    made_in: number(&item.data, MADE_IN),
                };
                found.insert(item.object, subvolume);
            }
        }
    }
}

/// The generation of an inode of a tree, if it has that one.
fn generation_of(directory: i32, tree: u64, inode: u64) -> io::Result<Option<u64>> {
    match search(directory, tree, INODE_ITEM, (inode, inode), 0) {
        Ok(items) => Ok(items.first().map(|item| number(&item.data, 0))),
        // Deleted, and not yet taken away.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An item of a tree.
struct Item {
    object: u64,
    offset: u64,
    data: Vec<u8>,
}

/// The first items of a kind in a tree, as many as fit in a page.
fn search(
    directory: i32,
    tree: u64,
    kind: u32,
    (first, last): (u64, u64),
    offset: u64,
) -> io::Result<Vec<Item>> {
    let mut page: Page = [0; 4096];
    // `struct btrfs_ioctl_search_key`: the tree, then the least and the greatest object, offset and transaction.
    for (index, value) in [tree, first, last, offset, u64::MAX, 0, u64::MAX].into_iter().enumerate() {
        put(&mut page, index * 8, value);
    }
    // The least and the greatest kind, and how many.
    put(&mut page, 56, u64::from(kind) << 32 | u64::from(kind));
    put(&mut page, 64, 4096);
    request(directory, TREE_SEARCH, &mut page)?;
    let count = number(&page, 64) & 0xffff_ffff;
    let mut rest = page.get(104..).unwrap_or_default();
    let mut items = Vec::new();
    for _ in 0..count {
        let (object, offset) = (number(rest, 8), number(rest, 16));
        let (found, length) = (number(rest, 24) & 0xffff_ffff, number(rest, 24) >> 32);
        let end = HEADER + usize::try_from(length).unwrap_or(usize::MAX - HEADER);
        let Some(data) = rest.get(HEADER..end) else { return Err(io::ErrorKind::InvalidData.into()) };
        if found == u64::from(kind) {
            items.push(Item { object, offset, data: data.to_vec() });
        }
        rest = &rest[end..];
    }
    Ok(items)
}

/// A number of eight bytes; 0 beyond the end.
fn number(data: &[u8], at: usize) -> u64 {
    let bytes = data.get(at..at + 8).unwrap_or_default();
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn bytes(data: &[u8], at: usize) -> Uuid {
    let mut uuid = Uuid::default();
    if let Some(found) = data.get(at..at + uuid.len()) {
        uuid.copy_from_slice(found);
    }
    uuid
}

fn put(page: &mut Page, at: usize, value: u64) {
    page[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn request(directory: i32, request: libc::c_ulong, page: &mut Page) -> io::Result<()> {
    // SAFETY: both requests take a page, which is alive, and write nothing beyond it.
    match unsafe { libc::ioctl(directory, request, page.as_mut_ptr()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subvolume(uuid: u8, parent: u8, made_in: u64) -> Subvolume {
        Subvolume { uuid: [uuid; 16], parent: [parent; 16], made_in }
    }

    #[test]
    fn what_is_older_than_a_snapshot_came_with_it() {
        // 256 was made anew, 257 is its snapshot, 258 a snapshot of that; 259 and 260 are of one that is gone.
        let subvolumes = BTreeMap::from([
            (256, subvolume(1, 0, 7)),
            (257, subvolume(2, 1, 10)),
            (258, subvolume(3, 2, 12)),
            (259, subvolume(4, 9, 20)),
            (260, subvolume(5, 9, 22)),
        ]);
        let is_copy = |one, other, generation| {
            origin(&subvolumes, one, generation) == origin(&subvolumes, other, generation)
        };
        assert!(is_copy(256, 257, 10) && is_copy(256, 258, 9) && is_copy(257, 258, 11));
        assert!(!is_copy(256, 257, 11), "made in both after the snapshot");
        assert!(!is_copy(256, 258, 11), "the snapshot of the snapshot has it from that one");
        assert!(is_copy(259, 260, 20) && !is_copy(259, 260, 21) && !is_copy(256, 259, 5));
    }

    #[test]
    fn subvolumes_that_are_each_others_snapshots_end() {
        let subvolumes = BTreeMap::from([(256, subvolume(1, 2, 9)), (257, subvolume(2, 1, 9))]);
        origin(&subvolumes, 256, 1);
    }

    #[test]
    fn numbers_are_little_endian_and_end_with_their_data() {
        let mut page: Page = [0; 4096];
        put(&mut page, 8, 0x0102_0304_0506_0708);
        assert_eq!((page[8], number(&page, 8)), (8, 0x0102_0304_0506_0708));
        assert_eq!((number(&page[..12], 8), low_half(0x1_0000_0002)), (0, 2));
    }
}
