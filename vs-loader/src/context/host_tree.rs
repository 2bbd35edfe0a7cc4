//! The host's mount tree: that of process 1, seen from its root.
//!
//! State and the trees of contexts must not depend on where the administrator happens to stand: a service with `PrivateTmp=`, a
//! shell in a chroot. Whoever works on them moves here first; a `plain` context, which lives where its caller lives, is led
//! back.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::thread::LinkNameSpaceType;

use super::syscall::SingleThreaded;

/// Why the host's mount tree cannot be joined, or left again.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act}: {cause}")]
pub struct HostTreeError {
    act: &'static str,
    cause: io::Error,
}

fn failed<E: Into<io::Error>>(act: &'static str) -> impl FnOnce(E) -> HostTreeError {
    move |cause| HostTreeError { act, cause: cause.into() }
}

/// Where a process stood before it joined the host's tree.
#[derive(Debug)]
pub struct Origin {
    namespace: OwnedFd,
    root: OwnedFd,
    directory: OwnedFd,
}

impl Origin {
    /// Back to where the process stood: mount namespace, root and working directory.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn restore(&self, _: SingleThreaded) -> Result<(), HostTreeError> {
        rustix::thread::move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Mount))
            .and_then(|()| rustix::process::fchdir(&self.root))
            .and_then(|()| rustix::process::chroot("."))
            .and_then(|()| rustix::process::fchdir(&self.directory))
            .map_err(failed("return to the caller's mount tree"))
    }
}

/// Joins the host's tree, at its root, and returns where the caller stood; nothing, if it stood there already.
///
/// # Errors
/// The kernel refused, or `/proc` is not there.
pub fn join(token: SingleThreaded) -> Result<Option<Origin>, HostTreeError> {
    if is_in(token).map_err(failed("compare this mount tree with that of process 1"))? {
        return Ok(None);
    }
    let remember = |path| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let origin = Origin {
        namespace: open_namespace("/proc/self/ns/mnt").map_err(failed("open /proc/self/ns/mnt"))?,
        root: remember("/").map_err(failed("open /"))?,
        directory: remember(".").map_err(failed("open the working directory"))?,
    };
    enter_anew(token)?;
    Ok(Some(origin))
}

/// Joins the host's tree whatever the caller's was: its root and working directory are the tree's own root afterwards.
///
/// # Errors
/// The kernel refused, or `/proc` is not there.
pub(super) fn enter_anew(_: SingleThreaded) -> Result<(), HostTreeError> {
    let namespace = open_namespace("/proc/1/ns/mnt").map_err(failed("open /proc/1/ns/mnt"))?;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
        .map_err(failed("join the mount namespace of process 1"))
}

fn open_namespace(path: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

fn is_in(_: SingleThreaded) -> rustix::io::Result<bool> {
    let identity = |path: &str| -> rustix::io::Result<(u32, u32, u64, u64)> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        let facts = rustix::fs::statx(CWD, path, AtFlags::empty(), wanted)?;
        Ok((facts.stx_dev_major, facts.stx_dev_minor, facts.stx_ino, facts.stx_mnt_id))
    };
    let namespace = |path: &str| identity(path).map(|(major, minor, inode, _)| (major, minor, inode));
    Ok(namespace("/proc/self/ns/mnt")? == namespace("/proc/1/ns/mnt")?
        && identity("/")? == identity("/proc/1/root")?)
}
