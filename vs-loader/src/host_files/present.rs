//! Whether a path leads to the directory that policy gave.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use vs_common::filesystem::FileKey;

/// `FS_IOC_GETVERSION`.
const GET_GENERATION: libc::c_ulong = 0x8008_7601;

/// Whether a path leads there still, without symbolic links.
pub fn is_there(path: &str, key: &FileKey) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .is_ok_and(|directory| is_given(&directory, key).is_ok_and(|is_given| is_given))
}

/// Whether a directory that was opened by its path is the one that policy gave: by its file system, its number, and its generation where the
/// file system tells that.
///
/// # Errors
/// It cannot be looked at.
pub fn is_given(directory: &OwnedFd, key: &FileKey) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    if rustix::fs::fstat(&directory)?.st_ino != key.inode || device_of(&directory)? != key.device {
        return Ok(false);
    }
    let mut generation = 0_u32;
    // SAFETY: the request writes four bytes, into a live local; its number says eight, for what it was once.
    let answer = unsafe { libc::ioctl(directory.as_raw_fd(), GET_GENERATION, &raw mut generation) };
    Ok(answer == -1 || generation == key.generation)
}

/// `super_block.s_dev` of the file system that a directory is on: what stat(2) says is another number on btrfs.
fn device_of(directory: &OwnedFd) -> io::Result<u32> {
    let facts = fs::read_to_string(format!("/proc/self/fdinfo/{}", directory.as_raw_fd()))?;
    let mount = facts.lines().find_map(|line| line.strip_prefix("mnt_id:")).unwrap_or_default().trim();
    // Names of mounts need not be text.
    let mounts = fs::read("/proc/self/mountinfo")?;
    device_in(&String::from_utf8_lossy(&mounts), mount).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The device of a mount, in the kernel's own form.
fn device_in(mounts: &str, mount: &str) -> Option<u32> {
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(mount))?;
    let (major, minor) = line.split(' ').nth(2)?.split_once(':')?;
    Some(major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?)
}

#[cfg(test)]
mod tests {
    use vs_common::id::Epoch;

    use super::*;

    #[test]
    fn a_mounts_device_is_in_its_line() {
        let mounts = "36 35 98:0 /mnt1 /mnt rw - ext3 /dev/root rw\n6 36 0:33 / /x rw - btrfs /dev/a rw\n";
        assert_eq!(device_in(mounts, "6"), Some(33));
        assert_eq!(device_in(mounts, "36"), Some(98 << 20));
        assert_eq!(device_in(mounts, "3"), None);
    }

    #[test]
    fn another_directory_is_not_the_one_that_was_given() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_str().unwrap();
        let directory = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let mut generation = 0_u32;
        // SAFETY: As above.
        unsafe { libc::ioctl(directory.as_raw_fd(), GET_GENERATION, &raw mut generation) };
        let key = FileKey {
            epoch: Epoch(1),
            device: device_of(&directory).unwrap(),
            inode: rustix::fs::fstat(&directory).unwrap().st_ino,
            generation,
            filesystem: 0,
        };
        assert!(is_there(path, &key));
        assert!(!is_there(path, &FileKey { inode: key.inode + 1, ..key }));
        assert!(!is_there(path, &FileKey { device: key.device + 1, ..key }));
        assert!(!is_there("/no/such", &key));
    }
}
