//! A context's own `/dev`: the harmless character devices, its own terminals, and nothing of the host's.
//!
//! The directory is a tmpfs on which device nodes work, and the only one in the tree: nobody inside has the capability to make
//! further nodes on it, and everything else is mounted `nodev`. There is no `console`: it would be the host's.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::MountAttrFlags;

use super::fresh::{self, HARMLESS, MountError};

/// The nodes: name, major, minor. The same as [`vs_common::filesystem::is_harmless_device`] without `ptmx`, which is a link
/// here.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// The links that programs expect. `ptmx` is that of the context's own devpts.
const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// The group that owns terminals, `tty` in every distribution's `/etc/group`.
const TTY_GROUP: &str = "5";

/// The mounts that make up `/dev`.
#[derive(Debug)]
pub(super) struct Devices {
    /// `/dev`.
    pub directory: OwnedFd,
    /// `/dev/pts`.
    pub terminals: OwnedFd,
}

/// Mounts `/dev` and what is below it.
///
/// # Errors
/// The kernel refused a step.
pub(super) fn mount() -> Result<Devices, MountError> {
    let target = fresh::directory(CWD, "/dev")?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let directory = fresh::filesystem("tmpfs", &[("mode", "0755"), ("size", "1m")], attributes)?;
    for (name, major, minor) in NODES {
        let mode = Mode::from_raw_mode(0o666);
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(&directory, name, FileType::CharacterDevice, mode, device)
            .and_then(|()| rustix::fs::chmodat(&directory, name, mode, rustix::fs::AtFlags::empty()))
            .map_err(MountError::at("make the device", name))?;
    }
    for (name, text) in LINKS {
        rustix::fs::symlinkat(text, &directory, name).map_err(MountError::at("make the link", name))?;
    }
    for name in ["pts", "shm"] {
        rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(0o755))
            .map_err(MountError::at("make the directory", name))?;
    }
    fresh::attach(directory.as_fd(), target, "/dev")?;

    let terminals = fresh::filesystem(
        "devpts",
        // Since 4.7 every mount of devpts is an instance of its own (`fs/devpts/inode.c:devpts_mount`).
        &[("gid", TTY_GROUP), ("mode", "0620"), ("ptmxmode", "0666")],
        attributes,
    )?;
    fresh::attach(terminals.as_fd(), fresh::directory(&directory, "pts")?, "/dev/pts")?;
    // Programs map code there.
    let attributes = HARMLESS.difference(MountAttrFlags::MOUNT_ATTR_NOEXEC);
    let shared_memory = fresh::filesystem("tmpfs", &[("mode", "1777")], attributes)?;
    fresh::attach(shared_memory, fresh::directory(&directory, "shm")?, "/dev/shm")?;
    Ok(Devices { directory, terminals })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_are_those_that_the_kernel_side_takes_for_harmless() {
        for (name, major, minor) in NODES {
            assert!(vs_common::filesystem::is_harmless_device(major << 20 | minor), "{name}");
        }
    }

    #[test]
    fn no_name_is_made_twice() {
        let mut names: Vec<_> =
            NODES.iter().map(|node| node.0).chain(LINKS.iter().map(|link| link.0)).collect();
        names.extend(["pts", "shm"]);
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
