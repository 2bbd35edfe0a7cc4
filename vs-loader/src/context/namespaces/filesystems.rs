//! Which file systems a context's mount tree keeps: those that hold data. Whatever shows or steers the kernel, or its
//! processes, goes.
//!
//! The rule asks for a reason to keep, not for one to remove, so that a file system nobody here has heard of is not left in the
//! tree: kept is what needs a block device, and what is named in [`DATA`].

use std::collections::HashSet;

/// File systems without a block device that hold data.
const DATA: [&str; 24] = [
    "9p",
    "afs",
    "aufs",
    // Its mounts are made on demand by the host's daemon, in the host's tree.
    "autofs",
    "bcachefs",
    "btrfs",
    "ceph",
    "cifs",
    "coda",
    "ecryptfs",
    "fuse",
    "hugetlbfs",
    "lustre",
    "nfs",
    "nfs4",
    "orangefs",
    "overlay",
    "ramfs",
    "rootfs",
    "smb3",
    "tmpfs",
    "vboxsf",
    "virtiofs",
    "zfs",
];

/// File systems without a block device that are known to be none of a context's business. That they are named here only spares
/// the operator a warning.
const CONTROL: [&str; 31] = [
    "apparmorfs",
    "bdev",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cpuset",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "functionfs",
    "fusectl",
    "mqueue",
    "nfsd",
    "nsfs",
    "openpromfs",
    "pidfs",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
    "usbfs",
    "xenfs",
];

/// What becomes of a mount in a context's tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It holds data and stays.
    Kept,
    /// It shows or steers the kernel and goes.
    Detached,
    /// It is not known, so it goes, and the operator is told.
    DetachedUnknown,
}

/// The types that need a block device (without `nodev` in `/proc/filesystems`, `fs/filesystems.c:filesystems_proc_show`).
pub(super) fn on_devices(proc_filesystems: &str) -> HashSet<&str> {
    proc_filesystems.lines().filter_map(|line| line.strip_prefix('\t')).collect()
}

/// What becomes of mounts of a type. `on_devices` are the running kernel's types that need a block device.
pub(super) fn fate(filesystem: &str, on_devices: &HashSet<&str>) -> Fate {
    // FUSE names what is behind it after a dot: `fuse.sshfs`.
    let family = filesystem.split_once('.').map_or(filesystem, |(family, _)| family);
    if DATA.contains(&family) || on_devices.contains(family) {
        Fate::Kept
    } else if CONTROL.contains(&family) {
        Fate::Detached
    } else {
        Fate::DetachedUnknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate_of(filesystem: &str) -> Fate {
        fate(filesystem, &on_devices("nodev\tsysfs\nnodev\ttmpfs\n\text4\n\txfs\nnodev\tnewfs\n\tfuseblk\n"))
    }

    #[test]
    fn data_stays_whether_or_not_it_needs_a_device() {
        for kept in ["ext4", "xfs", "tmpfs", "overlay", "nfs4", "fuse", "fuse.sshfs", "fuseblk", "rootfs"] {
            assert_eq!(fate_of(kept), Fate::Kept, "{kept}");
        }
    }

    #[test]
    fn every_control_file_system_goes() {
        for gone in [
            "proc",
            "sysfs",
            "cgroup",
            "cgroup2",
            "bpf",
            "debugfs",
            "tracefs",
            "securityfs",
            "configfs",
            "efivarfs",
            "pstore",
            "binfmt_misc",
            "mqueue",
            "selinuxfs",
            "fusectl",
            "devtmpfs",
            "devpts",
            "nsfs",
        ] {
            assert_eq!(fate_of(gone), Fate::Detached, "{gone}");
        }
    }

    #[test]
    fn a_type_without_device_that_nobody_knows_goes_with_a_warning() {
        assert_eq!(fate_of("newfs"), Fate::DetachedUnknown);
        assert_eq!(fate_of("a-type-the-kernel-does-not-list"), Fate::DetachedUnknown);
    }

    #[test]
    fn no_type_is_in_both_lists_and_both_are_sorted() {
        assert!(DATA.is_sorted() && CONTROL.is_sorted());
        assert!(DATA.iter().all(|name| !CONTROL.contains(name)));
    }
}
