//! The machine's directories that policy gives to somebody: which ones its paths lead to, and by which numbers the kernel knows them.

mod btrfs;
mod present;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use vs_common::filesystem::{FileKey, FileNumbers};
use vs_common::id::Epoch;
use vs_common::limits::MAX_FILES;

use crate::compile::ContextLabel;
use crate::compile::files::{FileClaim, Files, file_row, joint_owner, path_of};
use crate::policy::Place;

pub use present::{is_given, is_there};

/// Superblock magics of file systems whose numbers tell a directory from all others, today and after the next mount.
const NUMBERED: [(u64, &str); 6] = [
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (btrfs::MAGIC, "btrfs"),
    (0xf2f5_2010, "f2fs"),
    (0x0102_1994, "tmpfs"),
    // What a kernel starts from, and nothing else is on it.
    (0x8584_58f6, "ramfs"),
];

/// And of some whose numbers do not: by what their users call them.
const NOT_NUMBERED: [(u64, &str); 8] = [
    (0x794c_7630, "overlayfs"),
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
    (0x2fc1_2fc1, "ZFS"),
    (0x4d44, "FAT"),
    (0x7371_7368, "squashfs"),
];

/// What is wrong with one directory that policy names.
#[derive(Debug)]
pub struct Flaw {
    place: Place,
    path: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Missing,
    Link,
    NoDirectory,
    Unreadable(io::Error),
    NotNumbered(u64),
    Namesake(u64),
    Untold(io::Error),
    Twice { path: String, owner: String },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, path, cause } = self;
        write!(f, "{place}: {path:?} ")?;
        match cause {
            Cause::Missing => {
                write!(f, "is not there; make it, with the owner and permissions that its context needs")
            }
            Cause::Link => write!(
                f,
                "has a symbolic link in it, which could lead elsewhere tomorrow; write where it leads"
            ),
            Cause::NoDirectory => write!(f, "is no directory; name the one that it is in"),
            Cause::Unreadable(error) => write!(f, "cannot be opened: {error}"),
            Cause::NotNumbered(magic) => {
                let known: Vec<_> = NUMBERED.iter().map(|(_, name)| *name).collect();
                let name = NOT_NUMBERED.iter().find(|(other, _)| other == magic);
                let what = name.map_or_else(
                    || format!("a file system (magic {magic:#x})"),
                    |(_, name)| (*name).to_owned(),
                );
                write!(
                    f,
                    "is on {what}, which is not known to keep the numbers by which a directory is told; use one of {}",
                    known.join(", ")
                )
            }
            Cause::Namesake(subvolume) => write!(
                f,
                "has the same numbers as something in another subvolume (its id is {subvolume}), which would be given with it: both were made in one transaction of btrfs; make another directory now, move everything over, and rename it"
            ),
            Cause::Untold(error) => {
                write!(
                    f,
                    "is on btrfs, and whether other subvolumes have its numbers cannot be asked: {error}"
                )
            }
            Cause::Twice { path, owner } => {
                write!(f, "is the same directory as {path:?} of {owner}; a directory belongs to one")
            }
        }
    }
}

/// Why directories cannot be given to contexts.
#[derive(Debug, thiserror::Error)]
pub enum HostFilesError {
    /// Policy names some that cannot be given to anybody, all of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Flaws(Vec<Flaw>),
    /// More than the maps hold.
    #[error("{0} directories are more than {MAX_FILES}, which is what fits; give directories above them")]
    TooMany(usize),
    /// The kernel did not tell the numbers of a directory that is open.
    #[error(
        "the kernel did not tell by which numbers it knows {0:?}; is another tool closing descriptors of vs?"
    )]
    Untold(String),
}

/// The directories of a policy, open.
#[derive(Debug)]
pub struct Opened<'p>(Vec<(FileClaim<'p>, OwnedFd)>);

/// Opens every directory that policy gives to somebody.
///
/// Without symbolic links: whoever may write to a directory above could bend one, and be given what it leads to.
///
/// # Errors
/// All that cannot be opened.
pub fn open(claims: Vec<FileClaim<'_>>) -> Result<Opened<'_>, HostFilesError> {
    let (mut opened, mut flaws) = (Vec::new(), Vec::new());
    for claim in claims {
        let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat2(CWD, claim.directory.path(), how, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        {
            Ok(directory) => opened.push((claim, directory)),
            Err(error) => flaws.push(flaw(
                &claim,
                match error {
                    rustix::io::Errno::NOENT => Cause::Missing,
                    rustix::io::Errno::LOOP => Cause::Link,
                    rustix::io::Errno::NOTDIR => Cause::NoDirectory,
                    error => Cause::Unreadable(error.into()),
                },
            )),
        }
    }
    if flaws.is_empty() { Ok(Opened(opened)) } else { Err(HostFilesError::Flaws(flaws)) }
}

fn flaw(claim: &FileClaim<'_>, cause: Cause) -> Flaw {
    Flaw { place: claim.directory.place().clone(), path: claim.directory.path().to_owned(), cause }
}

impl Opened<'_> {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What [`Self::rows`] would refuse, as far as it can be told without the kernel's own numbers: before anything is done for it.
    ///
    /// # Errors
    /// Two are the same, or one is where directories cannot be told apart.
    pub fn foresee(
        &self,
        label_of: impl Fn(&vs_common::context::Tag) -> ContextLabel,
    ) -> Result<(), HostFilesError> {
        let mut flaws = Vec::new();
        let mut known: BTreeMap<(u64, u64), FileClaim<'_>> = BTreeMap::new();
        for (claim, directory) in &self.0 {
            let unreadable = |error: rustix::io::Errno| {
                HostFilesError::Flaws(vec![flaw(claim, Cause::Unreadable(error.into()))])
            };
            let system = rustix::fs::fstatfs(directory).map_err(unreadable)?;
            // Magics have 32 bits, and a sign where `long` has no more.
            let magic = system.f_type.cast_unsigned() & 0xffff_ffff;
            if NUMBERED.iter().all(|(known, _)| *known != magic) {
                flaws.push(flaw(claim, Cause::NotNumbered(magic)));
                continue;
            }
            let facts = rustix::fs::fstat(directory).map_err(unreadable)?;
            match known.entry((facts.st_dev, facts.st_ino)) {
                Entry::Vacant(vacant) => _ = vacant.insert(*claim),
                Entry::Occupied(mut other) => {
                    if let Some(owner) = joint_owner(other.get().owner, claim.owner) {
                        other.get_mut().owner = owner;
                    } else {
                        let owner = label_of(&other.get().owner).to_string();
                        let path = other.get().directory.path().to_owned();
                        flaws.push(flaw(claim, Cause::Twice { path, owner }));
                    }
                }
            }
        }
        if flaws.is_empty() { Ok(()) } else { Err(HostFilesError::Flaws(flaws)) }
    }

    /// The rows that they come to, beside those of contexts that go on. `numbers`: of every descriptor of this process.
    ///
    /// # Errors
    /// Two are the same, one is where directories cannot be told apart, or there are too many.
    pub fn rows(
        &self,
        kept: Files,
        numbers: &[FileNumbers],
        label_of: impl Fn(&vs_common::context::Tag) -> ContextLabel,
    ) -> Result<Files, HostFilesError> {
        let numbers: BTreeMap<_, _> = numbers.iter().map(|numbers| (numbers.descriptor, numbers)).collect();
        let mut files = kept;
        let mut flaws = Vec::new();
        for (claim, directory) in &self.0 {
            let path = claim.directory.path();
            let found = u32::try_from(directory.as_raw_fd()).ok().and_then(|number| numbers.get(&number));
            let numbers = found.ok_or_else(|| HostFilesError::Untold(path.to_owned()))?;
            if NUMBERED.iter().all(|(magic, _)| *magic != numbers.magic) {
                flaws.push(flaw(claim, Cause::NotNumbered(numbers.magic)));
                continue;
            }
            if numbers.magic == btrfs::MAGIC {
                match btrfs::namesake(directory.as_fd(), numbers.inode, numbers.generation) {
                    Ok(None) => {}
                    Ok(Some(subvolume)) => {
                        flaws.push(flaw(claim, Cause::Namesake(subvolume)));
                        continue;
                    }
                    Err(error) => {
                        flaws.push(flaw(claim, Cause::Untold(error)));
                        continue;
                    }
                }
            }
            let key = FileKey {
                epoch: Epoch(0),
                device: numbers.device,
                inode: numbers.inode,
                generation: numbers.generation,
                filesystem: numbers.filesystem,
            };
            match files.entry(key) {
                Entry::Vacant(vacant) => _ = vacant.insert(file_row(path, claim.owner)),
                Entry::Occupied(mut other) => {
                    if let Some(owner) = joint_owner(other.get().owner, claim.owner) {
                        other.get_mut().owner = owner;
                        continue;
                    }
                    let owner = label_of(&other.get().owner).to_string();
                    let path = path_of(other.get()).into_owned();
                    flaws.push(flaw(claim, Cause::Twice { path, owner }));
                }
            }
        }
        if !flaws.is_empty() {
            return Err(HostFilesError::Flaws(flaws));
        }
        if files.len() > MAX_FILES as usize {
            return Err(HostFilesError::TooMany(files.len()));
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests;
