//! The root of a context that lives in the host's mount tree: nothing but the barrier above it keeps its processes there.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::context::namespaces::Root;
use crate::host_files;

/// Why a process does not begin at a root.
#[derive(Debug, thiserror::Error)]
pub(super) enum RootError {
    #[error("cannot {act} {}: {cause}", .path.display())]
    Io { act: &'static str, path: PathBuf, cause: io::Error },
    #[error(
        "the directory {} is not the one that was given to the context when policy was loaded; load the policy again",
        .0.display()
    )]
    Other(PathBuf),
    #[error(
        "the directory above {} is no barrier, and could be passed: it is another one than when policy was loaded; load the policy again, \
         and leave directories above roots where they are",
        .0.display()
    )]
    Open(PathBuf),
}

/// What is above the root of this process: a way out that the barrier has to close.
#[derive(Debug)]
pub(super) struct WayOut {
    above: OwnedFd,
    root: PathBuf,
}

const HOW: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Makes a directory of the host's tree the root and the working directory of this process.
pub(super) fn begin_at(root: &Root) -> Result<WayOut, RootError> {
    let failed = |act| {
        let path = root.path.clone();
        move |cause: Errno| RootError::Io { act, path, cause: cause.into() }
    };
    let directory = rustix::fs::openat2(CWD, &root.path, HOW, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .map_err(failed("open the root"))?;
    let is_given = host_files::is_given(&directory, &root.key).map_err(|cause| RootError::Io {
        act: "look at the root",
        path: root.path.clone(),
        cause,
    })?;
    if !is_given {
        return Err(RootError::Other(root.path.clone()));
    }
    // While this is outside, `..` is what a process inside would climb to.
    let above = rustix::fs::openat(&directory, "..", HOW, Mode::empty())
        .map_err(failed("open the directory above"))?;
    rustix::process::fchdir(&directory)
        .and_then(|()| rustix::process::chroot("."))
        .map_err(failed("change the root to"))?;
    Ok(WayOut { above, root: root.path.clone() })
}

impl WayOut {
    /// Tries it, as a process that has its tag: with all of the host's power left, and refused all the same.
    pub(super) fn prove_closed(self) -> Result<(), RootError> {
        match rustix::fs::openat(&self.above, ".", HOW, Mode::empty()) {
            Err(Errno::ACCESS) => Ok(()),
            Ok(_) => Err(RootError::Open(self.root)),
            Err(cause) => {
                Err(RootError::Io { act: "try the barrier above", path: self.root, cause: cause.into() })
            }
        }
    }
}
