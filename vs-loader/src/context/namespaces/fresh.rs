//! New mounts, made and attached by descriptor: no step follows a path that somebody could bend between two others.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use crate::context::syscall;

/// What every mount of ours is unless it must be otherwise.
pub(super) const HARMLESS: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// [`HARMLESS`], and nobody may write.
pub(super) const READ_ONLY: MountAttrFlags = HARMLESS.union(MountAttrFlags::MOUNT_ATTR_RDONLY);

/// A step that failed, and where.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {path}: {cause}")]
pub struct MountError {
    act: &'static str,
    path: String,
    cause: io::Error,
}

impl MountError {
    /// Names what was tried, and where, of an error.
    pub(super) fn at<E: Into<io::Error>>(
        act: &'static str,
        path: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        move |cause| Self { act, path: path.into(), cause: cause.into() }
    }

    /// Whether there is no such file.
    pub(super) fn is_not_found(&self) -> bool {
        self.cause.kind() == io::ErrorKind::NotFound
    }

    /// Whether there is a symbolic link on the way.
    pub(super) fn is_link(&self) -> bool {
        self.cause.raw_os_error() == Some(libc::ELOOP)
    }
}

/// A directory below another, or an absolute one with [`CWD`], reached without a single symbolic link.
///
/// # Errors
/// It is missing, no directory, or there is a link on the way.
pub(super) fn directory(parent: impl AsFd, path: &str) -> Result<OwnedFd, MountError> {
    rustix::fs::openat2(
        parent,
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS,
    )
    .map_err(MountError::at("open the directory", path))
}

/// The root directory.
///
/// # Errors
/// The kernel refused.
pub(super) fn root() -> Result<OwnedFd, MountError> {
    directory(CWD, "/")
}

/// A new mount of a file system, attached nowhere yet.
///
/// # Errors
/// The kernel does not have the file system, or refused an option.
pub(super) fn filesystem(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, MountError> {
    let configure = || -> rustix::io::Result<OwnedFd> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        // What mount(8) and df(1) show.
        rustix::mount::fsconfig_set_string(context.as_fd(), "source", kind)?;
        for (key, value) in options {
            rustix::mount::fsconfig_set_string(context.as_fd(), *key, *value)?;
        }
        rustix::mount::fsconfig_create(context.as_fd())?;
        rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    configure().map_err(MountError::at("make a mount of type", kind))
}

/// Puts a mount over a file or directory. `path` is for the error.
///
/// # Errors
/// The kernel refused.
pub(super) fn attach(mount: impl AsFd, target: impl AsFd, path: &str) -> Result<(), MountError> {
    rustix::mount::move_mount(
        mount,
        "",
        target,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
    .map_err(MountError::at("mount over", path))
}

/// Puts a second mount of `source`, a name in the attached mount `from`, over a file or directory.
///
/// # Errors
/// The kernel refused.
pub(super) fn bind(
    from: impl AsFd,
    source: &str,
    target: impl AsFd,
    path: &str,
    attributes: MountAttrFlags,
) -> Result<(), MountError> {
    let copy = rustix::mount::open_tree(
        from,
        source,
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW
            | OpenTreeFlags::AT_NO_AUTOMOUNT,
    )
    .map_err(MountError::at("make a second mount for", path))?;
    syscall::set_mount_attributes(copy.as_fd(), attributes.bits().into(), false)
        .map_err(MountError::at("set attributes of the mount for", path))?;
    attach(copy, target, path)
}

/// The id of the mount that a file is on, as mountinfo lists it.
///
/// # Errors
/// The kernel refused.
pub(super) fn mount_id(file: BorrowedFd<'_>) -> Result<u64, MountError> {
    rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
        .map(|facts| facts.stx_mnt_id)
        .map_err(MountError::at("ask for the mount of", "a descriptor"))
}

/// The device of the superblock that a file is on, as mountinfo lists it: major and minor.
///
/// # Errors
/// The kernel refused.
pub(super) fn device(file: BorrowedFd<'_>) -> Result<(u32, u32), MountError> {
    rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
        .map(|facts| (facts.stx_dev_major, facts.stx_dev_minor))
        .map_err(MountError::at("ask for the device of", "a descriptor"))
}
