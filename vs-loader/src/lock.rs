//! The lock over `/run/vs` and the pinned maps: exclusive for what changes them, shared for entering a context.
//!
//! Held by `flock(2)` on one file, so the kernel gives it back when its holder dies, however that happens. Whoever enters a context
//! holds it shared from before he looks whether the context exists to after its first process has its tag: nobody can take the rules
//! away in between, and whoever holds it exclusively and counts processes has counted all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// Where state lives that does not outlive a boot.
pub const STATE_FOLDER: &str = "/run/vs";
/// The lock's file in it.
const NAME: &str = "lock";
/// The file that whoever runs `vs steer` holds.
const STEER_NAME: &str = "steer";
/// How long a command waits for another one before it gives up: longer than a load takes.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How often it looks. `flock` has no time-out of its own.
const INTERVAL: Duration = Duration::from_millis(20);

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("another vs{} is changing something; try again when it is done", .holder.map_or_else(String::new, |pid| format!(" (process {pid})")))]
    Held {
        /// Who, if that can be told.
        holder: Option<u32>,
    },
    /// The file is not what it should be.
    #[error("{path} is not a folder or file of root's alone; remove it")]
    NotOurs {
        /// The folder or file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {path}: {cause}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
}

/// The lock, held until this is dropped or the process ends. It is not inherited through exec.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A forked child may have a copy of the descriptor, and closing this one would not give the lock back then. Unlocking what is
        // locked cannot fail, and if it did the close is what is left.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl Lock {
    /// For changing something. Waits up to `patience`.
    ///
    /// # Errors
    /// Somebody else has it all that time, or the file cannot be had.
    pub fn exclusive(patience: Duration) -> Result<Self, LockError> {
        Self::take(Path::new(STATE_FOLDER), NAME, FlockOperation::NonBlockingLockExclusive, patience)
    }

    /// For entering. Waits up to `patience`.
    ///
    /// # Errors
    /// Somebody has it exclusively all that time, or the file cannot be had.
    pub fn shared(patience: Duration) -> Result<Self, LockError> {
        Self::take(Path::new(STATE_FOLDER), NAME, FlockOperation::NonBlockingLockShared, patience)
    }

    /// For being the one who steers datagrams, which has nothing to do with changing something.
    ///
    /// # Errors
    /// Somebody else is, or the file cannot be had.
    pub fn steering() -> Result<Self, LockError> {
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        Self::take(Path::new(STATE_FOLDER), STEER_NAME, exclusive, Duration::ZERO)
    }

    /// Whether somebody steers datagrams.
    ///
    /// # Errors
    /// The file cannot be had.
    pub fn is_somebody_steering() -> Result<bool, LockError> {
        match Self::steering() {
            Ok(_) => Ok(false),
            Err(LockError::Held { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn take(
        folder: &Path,
        name: &str,
        operation: FlockOperation,
        patience: Duration,
    ) -> Result<Self, LockError> {
        let file = open(folder, name)?;
        let deadline = Instant::now() + patience;
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Self { file }),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => sleep(INTERVAL),
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(LockError::Held { holder: holder(&file) }),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(failed("lock", &folder.join(name))(errno.into())),
            }
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LockError {
    let path = path.to_owned();
    move |cause| LockError::Io { action, path, cause }
}

/// Opens the lock's file, making it and its folder if they are not there.
fn open(folder: &Path, name: &str) -> Result<File, LockError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("create", folder))?;
    let status = std::fs::symlink_metadata(folder).map_err(failed("look at", folder))?;
    if !status.is_dir() || !is_ours(&status) {
        return Err(LockError::NotOurs { path: folder.to_owned() });
    }
    let path = folder.join(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let file = options.open(&path).map_err(failed("open", &path))?;
    let status = file.metadata().map_err(failed("look at", &path))?;
    if status.is_file() && is_ours(&status) { Ok(file) } else { Err(LockError::NotOurs { path }) }
}

/// Whether nobody but this user, who is root in earnest, can write.
fn is_ours(status: &std::fs::Metadata) -> bool {
    status.uid() == rustix::process::geteuid().as_raw() && status.mode() & 0o022 == 0
}

/// Who holds a lock on the file, as far as this PID namespace can see.
fn holder(file: &File) -> Option<u32> {
    let inode = file.metadata().ok()?.ino();
    // Each read goes on at the lock with the next number in the list (`fs/locks.c:locks_start`), so that one that is given back in between
    // hides another: by reads as large as the kernel serves, and asked again.
    (0..ATTEMPTS).find_map(|_| holder_in(&read_at_once(Path::new("/proc/locks")).ok()?, inode))
}

/// How often the list is read before the holder is said to be unknown.
const ATTEMPTS: u32 = 3;

/// Reads a file of procfs, each time as much as the kernel gives.
fn read_at_once(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut text = Vec::new();
    let mut part = vec![0; 64 * 1024];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            size => text.extend_from_slice(&part[..size]),
        }
    }
}

/// Finds the holder in the text of `/proc/locks` (`fs/locks.c:lock_get_status`): number, kind, way, access, process, device:inode.
fn holder_in(locks: &str, inode: u64) -> Option<u32> {
    let wanted = format!(":{inode}");
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, _, process, place, ..] if place.ends_with(&wanted) => {
                process.parse().ok().filter(|process| *process != 0)
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;
    const EXCLUSIVE: FlockOperation = FlockOperation::NonBlockingLockExclusive;
    const SHARED: FlockOperation = FlockOperation::NonBlockingLockShared;

    fn folder(test: &str) -> tempfile::TempDir {
        tempfile::Builder::new().prefix(test).tempdir().unwrap()
    }

    #[test]
    fn entering_excludes_changing_and_not_entering() {
        let folder = folder("lock-shared");
        let path = folder.path().join("vs");
        let entering = Lock::take(&path, NAME, SHARED, AT_ONCE).unwrap();
        let another = Lock::take(&path, NAME, SHARED, AT_ONCE).unwrap();
        assert!(matches!(Lock::take(&path, NAME, EXCLUSIVE, AT_ONCE), Err(LockError::Held { .. })));
        drop((entering, another));
        let changing = Lock::take(&path, NAME, EXCLUSIVE, AT_ONCE).unwrap();
        assert!(matches!(Lock::take(&path, NAME, SHARED, AT_ONCE), Err(LockError::Held { .. })));
        drop(changing);
        assert!(Lock::take(&path, NAME, SHARED, AT_ONCE).is_ok());
    }

    #[test]
    fn a_copy_of_the_descriptor_does_not_prolong_it() {
        let folder = folder("lock-copy");
        let held = Lock::take(folder.path(), NAME, EXCLUSIVE, AT_ONCE).unwrap();
        let _copy = held.file.try_clone().unwrap();
        drop(held);
        assert!(Lock::take(folder.path(), NAME, EXCLUSIVE, AT_ONCE).is_ok());
    }

    #[test]
    fn the_holder_is_named() {
        let folder = folder("lock-holder");
        let _held = Lock::take(folder.path(), NAME, EXCLUSIVE, AT_ONCE).unwrap();
        let text = Lock::take(folder.path(), NAME, EXCLUSIVE, AT_ONCE).unwrap_err().to_string();
        let me = format!("another vs (process {}) is changing", std::process::id());
        assert!(text.contains(&me), "{text}");
    }

    #[test]
    fn a_line_of_proc_locks_is_understood() {
        let text = "1: FLOCK  ADVISORY  WRITE 4242 00:19:777 0 EOF\n2: POSIX  ADVISORY  WRITE 1 00:19:778 0 EOF\n\
                    3: FLOCK  ADVISORY  WRITE 0 00:19:779 0 EOF\n";
        assert_eq!(holder_in(text, 777), Some(4242));
        assert_eq!(holder_in(text, 77), None);
        assert_eq!(holder_in(text, 778), None);
        // A holder in another PID namespace has no number here.
        assert_eq!(holder_in(text, 779), None);
    }

    #[test]
    fn a_symbolic_link_in_the_place_of_the_lock_is_refused() {
        let folder = folder("lock-link");
        std::os::unix::fs::symlink("/dev/null", folder.path().join(NAME)).unwrap();
        assert!(Lock::take(folder.path(), NAME, SHARED, AT_ONCE).is_err());
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder("lock-mode");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Lock::take(folder.path(), NAME, SHARED, AT_ONCE), Err(LockError::NotOurs { .. })));
    }
}
