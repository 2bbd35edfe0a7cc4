//! `/run/vs/contexts`: the files that keep the namespaces of contexts alive.
//!
//! Nothing here is the truth about what runs: that is in the maps and in the tags of processes, and whatever is missing here is
//! found or made again from them. The directory is a tmpfs of its own whose mount is private, because the kernel refuses to
//! keep a mount namespace alive on a mount that spreads to others.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags,
};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::syscall;
use crate::lock::STATE_FOLDER;

/// The directory.
pub const STATE_DIRECTORY: &str = "/run/vs/contexts";

/// How often it asks.
const INTERVAL: Duration = Duration::from_millis(20);

/// Why state cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A step failed.
    #[error("cannot {act} {}: {cause}", .path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// Where.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// Another command starts or stops the context.
    #[error("another vs command is starting or stopping the context {0}; try again when it is done")]
    Busy(String),
}

fn at<E: Into<io::Error>>(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> StateError {
    move |cause| StateError::Io { act, path: path.into(), cause: cause.into() }
}

/// The lock of one context, until it is dropped.
#[derive(Debug)]
pub struct ContextLock {
    file: OwnedFd,
}

impl Drop for ContextLock {
    fn drop(&mut self) {
        // Closing would release it only with the last copy of the descriptor, and a forked child has one. Unlocking cannot fail
        // for a descriptor that was locked; if it did, the close that follows is what is left to do.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

/// The state directory.
#[derive(Debug)]
pub struct StateDirectory {
    root: OwnedFd,
}

impl StateDirectory {
    /// Opens it, and mounts it where it is not yet. The caller is in the host's mount tree ([`super::host_tree::join`]).
    ///
    /// # Errors
    /// The kernel refused.
    pub fn open() -> Result<Self, StateError> {
        for (path, mode) in [("/run", 0o755), (STATE_FOLDER, 0o700), (STATE_DIRECTORY, 0o700)] {
            make_directory(CWD, path, mode).map_err(at("make", path))?;
        }
        let mut root = open_root()?;
        if !is_mount(&root)? {
            // Whoever comes second waits for the first on what is below the mount, and finds it mounted then.
            rustix::fs::flock(&root, FlockOperation::LockExclusive).map_err(at("lock", STATE_DIRECTORY))?;
            if !is_mount(&open_root()?)? {
                let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
                rustix::mount::mount("vs", link_of(&root), "tmpfs", flags, c"mode=0700,size=16m")
                    .map_err(at("mount a tmpfs on", STATE_DIRECTORY))?;
            }
            root = open_root()?;
        }
        rustix::mount::mount_change(link_of(&root), MountPropagationFlags::PRIVATE)
            .map_err(at("make private the mount on", STATE_DIRECTORY))?;
        Ok(Self { root })
    }

    /// Removes what was kept of contexts that are not among `known`: the policy that named them is no longer in force. Whoever calls holds
    /// the lock over what is loaded, in either way.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn forget_others(&self, known: &BTreeSet<&str>) -> Result<(), StateError> {
        let listing = Dir::read_from(&self.root).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        for entry in listing.map_err(at("list", STATE_DIRECTORY))? {
            let Ok(name) = entry.file_name().to_str() else { continue };
            if entry.file_type() == FileType::Directory
                && ![".", ".."].contains(&name)
                && !known.contains(name)
            {
                self.context(name)?.remove()?;
            }
        }
        Ok(())
    }

    /// The directory of a context, made if it is not there.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn context(&self, name: &str) -> Result<ContextDirectory, StateError> {
        let path = PathBuf::from(STATE_DIRECTORY).join(name);
        make_directory(&self.root, name, 0o700).map_err(at("make", &path))?;
        let directory = open_directory(&self.root, name).map_err(at("open", &path))?;
        let parent = self.root.try_clone().map_err(at("open", STATE_DIRECTORY))?;
        Ok(ContextDirectory { parent, directory, name: name.to_owned(), path })
    }
}

/// A namespace that is kept alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pin {
    /// The mount namespace.
    Mount,
    /// The PID namespace.
    Process,
    /// The UTS namespace.
    Hostname,
}

impl Pin {
    /// All, in the order in which they are removed.
    const ALL: [Self; 3] = [Self::Mount, Self::Process, Self::Hostname];

    /// Its name here, and below `/proc/PID/ns`.
    pub(super) const fn file_name(self) -> &'static str {
        match self {
            Self::Mount => "mnt",
            Self::Process => "pid",
            Self::Hostname => "uts",
        }
    }

    const fn kind(self) -> libc::c_int {
        match self {
            Self::Mount => libc::CLONE_NEWNS,
            Self::Process => libc::CLONE_NEWPID,
            Self::Hostname => libc::CLONE_NEWUTS,
        }
    }
}

/// `/run/vs/contexts/NAME`.
#[derive(Debug)]
pub struct ContextDirectory {
    parent: OwnedFd,
    directory: OwnedFd,
    name: String,
    path: PathBuf,
}

impl ContextDirectory {
    /// Takes the lock under which one command at a time starts this context.
    ///
    /// # Errors
    /// Another command holds it for longer than `patience`, or the kernel refused.
    pub fn lock(&self, patience: Duration) -> Result<ContextLock, StateError> {
        let file = open_readable(&self.directory).map_err(at("open", &self.path))?;
        let deadline = Instant::now() + patience;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(ContextLock { file }),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(INTERVAL),
                Err(Errno::WOULDBLOCK) => return Err(StateError::Busy(self.name.clone())),
                Err(Errno::INTR) => {}
                Err(error) => return Err(at("lock", &self.path)(error)),
            }
        }
    }

    /// A number that was left here under a name. What is no number is nothing: it is found anew from the maps.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn number(&self, name: &str) -> Result<Option<u64>, StateError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.directory, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            result => result.map_err(at("open", self.path.join(name)))?,
        };
        let mut buffer = [0; 32];
        let length = rustix::io::read(&file, &mut buffer).map_err(at("read", self.path.join(name)))?;
        Ok(std::str::from_utf8(&buffer[..length]).ok().and_then(|text| text.trim_end().parse().ok()))
    }

    /// Leaves a number here under a name.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn put_number(&self, name: &str, number: u64) -> Result<(), StateError> {
        let temporary = format!("{name}.new");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.directory, temporary.as_str(), flags, Mode::from_raw_mode(0o600))
            .and_then(|file| rustix::io::write(&file, format!("{number}\n").as_bytes()))
            .and_then(|_| rustix::fs::renameat(&self.directory, temporary.as_str(), &self.directory, name))
            .map_err(at("write", self.path.join(name)))
    }

    /// Keeps a namespace alive until [`Self::unpin`].
    ///
    /// # Errors
    /// The kernel refused.
    pub fn pin(&self, pin: Pin, namespace: BorrowedFd<'_>) -> Result<(), StateError> {
        let name = pin.file_name();
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::from_raw_mode(0o400))
            .map_err(at("make", self.path.join(name)))?;
        rustix::mount::mount_bind(link_of(&namespace), link_of(&file))
            .map_err(at("keep a namespace alive on", self.path.join(name)))
    }

    /// The namespace that is kept alive here.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn pinned(&self, pin: Pin) -> Result<Option<OwnedFd>, StateError> {
        let name = pin.file_name();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.directory, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            result => result.map_err(at("open", self.path.join(name)))?,
        };
        // A file on which nothing is mounted is left from a command that was killed.
        Ok(syscall::namespace_type(file.as_fd()).is_ok_and(|kind| kind == pin.kind()).then_some(file))
    }

    /// Lets the namespaces go.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn unpin(&self) -> Result<(), StateError> {
        for pin in Pin::ALL {
            let name = pin.file_name();
            while self.pinned(pin)?.is_some() {
                let path = format!("{}/{name}", link_of(&self.directory));
                rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
                    .map_err(at("unmount", self.path.join(name)))?;
            }
            remove(&self.directory, name, AtFlags::empty()).map_err(at("remove", self.path.join(name)))?;
        }
        Ok(())
    }

    /// Removes the directory and all that is in it.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn remove(self) -> Result<(), StateError> {
        self.unpin()?;
        for name in [REAPER, GENERATION, TREE, "reaper.new", "generation.new", "tree.new"] {
            remove(&self.directory, name, AtFlags::empty()).map_err(at("remove", self.path.join(name)))?;
        }
        remove(&self.parent, &self.name, AtFlags::REMOVEDIR).map_err(at("remove", &self.path))
    }
}

/// The file with the reaper's process id.
pub(super) const REAPER: &str = "reaper";
/// The file with the generation that the namespaces belong to.
pub(super) const GENERATION: &str = "generation";
/// The file with the number of the mount tree that is kept.
pub(super) const TREE: &str = "tree";

fn make_directory(parent: impl AsFd, name: &str, mode: u32) -> rustix::io::Result<()> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

fn open_directory(parent: impl AsFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

/// An `O_PATH` descriptor cannot be locked.
fn open_readable(directory: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(directory, ".", flags, Mode::empty())
}

fn open_root() -> Result<OwnedFd, StateError> {
    open_directory(CWD, STATE_DIRECTORY)
        .and_then(|directory| open_readable(&directory))
        .map_err(at("open", STATE_DIRECTORY))
}

fn is_mount(directory: &OwnedFd) -> Result<bool, StateError> {
    rustix::fs::statx(directory, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)
        .map(|facts| facts.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
        .map_err(at("examine", STATE_DIRECTORY))
}

fn remove(parent: &OwnedFd, name: &str, flags: AtFlags) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, flags) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// A path that leads to an open file, for the calls that take nothing else.
fn link_of(file: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

#[cfg(test)]
impl StateDirectory {
    /// One for tests, without a mount of its own: it cannot keep namespaces.
    pub(super) fn at(path: &std::path::Path) -> Self {
        Self { root: rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_at_a_time_starts_a_context() {
        let folder = tempfile::tempdir().unwrap();
        let context = StateDirectory::at(folder.path()).context("x").unwrap();
        let first = context.lock(Duration::ZERO).unwrap();
        assert!(matches!(context.lock(Duration::ZERO), Err(StateError::Busy(_))));
        drop(first);
        context.lock(Duration::ZERO).unwrap();
    }

    #[test]
    fn what_no_policy_names_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDirectory::at(folder.path());
        for name in ["kept", "gone"] {
            state.context(name).unwrap().put_number(GENERATION, 1).unwrap();
        }
        state.forget_others(&BTreeSet::from(["kept"])).unwrap();
        assert!(folder.path().join("kept").exists() && !folder.path().join("gone").exists());
    }

    #[test]
    fn numbers_are_kept_and_nonsense_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let context = StateDirectory::at(folder.path()).context("x").unwrap();
        assert_eq!(context.number(REAPER).unwrap(), None);
        context.put_number(REAPER, 4711).unwrap();
        context.put_number(REAPER, 12).unwrap();
        assert_eq!(context.number(REAPER).unwrap(), Some(12));
        std::fs::write(folder.path().join("x").join(REAPER), "12x").unwrap();
        assert_eq!(context.number(REAPER).unwrap(), None);
        std::fs::write(folder.path().join("x/mnt"), "").unwrap();
        assert!(context.pinned(Pin::Mount).unwrap().is_none(), "an ordinary file is no namespace");
        assert!(context.remove().is_ok() && !folder.path().join("x").exists());
    }
}
