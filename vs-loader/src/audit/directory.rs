//! Where the audit keeps what does not outlive a boot, and who owns the ring.
//!
//! `/run/vs/audit` is the host's root's alone (0700). What lies in it is trusted by nobody all the same: lines are parsed, files must
//! be regular.
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::geteuid;

use super::control::Role;

/// The directory of the system.
pub const SYSTEM: &str = "/run/vs/audit";

/// The audit's directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directory {
    path: PathBuf,
}

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be made or looked at.
    #[error("cannot make {path}: {cause}", path = path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// Somebody else made it.
    #[error("{path} belongs to uid {uid}, not to uid {own}: remove it, it was not made by vs", path = path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Who asks.
        own: u32,
    },
}

/// The ring could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// Somebody else has it.
    #[error("the audit is collected already{holder}: attach to it with vs audit follow, or stop that first")]
    Busy {
        /// " by ...", or nothing if the holder has not said yet who it is.
        holder: String,
    },
    /// The lock cannot be opened.
    #[error("cannot lock {path}: {cause}", path = path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
}

/// Proof that this process owns the ring, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Ownership {
    _lock: File,
}

impl Directory {
    /// The system's.
    pub fn system() -> Self {
        Self::at(SYSTEM)
    }

    /// Another one, for tests.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The socket that followers attach to.
    pub fn socket(&self) -> PathBuf {
        self.path.join("socket")
    }

    /// The file that commands append their records to.
    pub fn spool(&self) -> PathBuf {
        self.path.join("spool")
    }

    /// What the collector has reported.
    pub fn saved(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it if it is not there, for nobody but its owner.
    ///
    /// # Errors
    /// It cannot be made, or somebody else did.
    pub fn prepare(&self) -> Result<(), DirectoryError> {
        let make = |cause| DirectoryError::Make { path: self.path.clone(), cause };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(make)?;
        let metadata = std::fs::symlink_metadata(&self.path).map_err(make)?;
        let own = geteuid().as_raw();
        if metadata.uid() != own || !metadata.is_dir() {
            return Err(DirectoryError::Foreign { path: self.path.clone(), uid: metadata.uid(), own });
        }
        if metadata.mode() & 0o077 != 0 {
            std::fs::set_permissions(&self.path, Permissions::from_mode(0o700)).map_err(make)?;
        }
        Ok(())
    }

    /// Takes over the ring.
    ///
    /// # Errors
    /// Another process has it.
    pub fn own(&self, role: Role) -> Result<Ownership, OwnError> {
        let path = self.path.join("lock");
        let lock = |cause| OwnError::Lock { path: path.clone(), cause };
        let mut file = private_file().open(&path).map_err(lock)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                let said = file.take(128).read_to_string(&mut holder);
                let holder =
                    if said.is_err() || holder.is_empty() { holder } else { format!(" by {holder}") };
                return Err(OwnError::Busy { holder });
            }
            Err(errno) => return Err(lock(errno.into())),
        }
        let command = match role {
            Role::Collect => "vs audit collect",
            Role::Hold => "vs audit follow",
        };
        file.set_len(0).map_err(lock)?;
        file.rewind().map_err(lock)?;
        write!(file, "{command} (pid {})", std::process::id()).map_err(lock)?;
        Ok(Ownership { _lock: file })
    }
}

/// How files in the directory are opened: made for their owner alone, through no link.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(flags.bits().cast_signed());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_for_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::at(root.path().join("vs/audit"));
        directory.prepare().unwrap();
        let mode = || std::fs::metadata(directory.path()).unwrap().mode() & 0o777;
        assert_eq!(mode(), 0o700);
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        directory.prepare().unwrap();
        assert_eq!(mode(), 0o700);
    }

    #[test]
    fn a_link_in_its_place_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("audit");
        std::os::unix::fs::symlink(root.path(), &path).unwrap();
        assert!(matches!(Directory::at(path).prepare(), Err(DirectoryError::Foreign { .. })));
    }

    #[test]
    fn the_ring_has_one_owner_who_is_named() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::at(root.path());
        let ownership = directory.own(Role::Collect).unwrap();
        let error = directory.own(Role::Hold).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(error.contains(&format!("by vs audit collect (pid {pid})")), "{error}");
        drop(ownership);
        directory.own(Role::Hold).unwrap();
    }
}
