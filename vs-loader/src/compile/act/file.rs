//! Files and capabilities as decisions tell them apart.

use vs_common::filesystem::{FileFacts, file_type, magic};

use super::Target;
use crate::policy::capability_named;

/// Which file is meant: what the hook reads of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileKind {
    /// The word for it.
    pub name: &'static str,
    /// Which files these are.
    pub meaning: &'static str,
    /// Whether it stands for a process, the target.
    pub has_process: bool,
    superblock_magic: u64,
    mode: u32,
    device: u32,
}

/// `S_IFREG | 0644`; decisions read nothing but the type of it.
const REGULAR: u32 = 0o100_644;
/// `EXT4_SUPER_MAGIC`.
const EXT4: u64 = 0xef53;
/// `TMPFS_MAGIC`, which devtmpfs has too.
const TMPFS: u64 = 0x0102_1994;

impl FileKind {
    /// What a hook would read of such a file; without a kind, of an ordinary one.
    pub(super) fn facts(target: &Target<'_>, is_write: bool) -> FileFacts {
        let kind = target.file.unwrap_or(&Self::ORDINARY);
        FileFacts {
            superblock_magic: kind.superblock_magic,
            mode: kind.mode,
            device: kind.device,
            process: kind.has_process.then_some(target.process),
            is_write,
        }
    }

    /// A file of a file system that holds files.
    const ORDINARY: Self = on("ordinary", EXT4, "a file or directory of a file system that holds files");

    /// The same for who holds references.
    pub const ORDINARY_KIND: &'static Self = &Self::ORDINARY;

    /// Whether it is somebody's by the directory that it lies in: whether it is on a file system that holds files.
    pub(super) fn has_owner(target: &Target<'_>) -> bool {
        target.file.unwrap_or(&Self::ORDINARY).name == Self::ORDINARY.name
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FILE_KINDS.iter().find(|kind| kind.name == name)
    }
}

/// A file of that file system.
const fn on(name: &'static str, superblock_magic: u64, meaning: &'static str) -> FileKind {
    FileKind { name, meaning, has_process: false, superblock_magic, mode: REGULAR, device: 0 }
}

/// A device file, by the kernel's `dev_t`: 12 bits of major above 20 of minor.
const fn device(
    name: &'static str,
    file_type: u32,
    major: u32,
    minor: u32,
    meaning: &'static str,
) -> FileKind {
    let device = major << 20 | minor;
    FileKind { name, meaning, has_process: false, superblock_magic: TMPFS, mode: file_type | 0o600, device }
}

/// Every kind of file that decisions tell apart.
pub const FILE_KINDS: &[FileKind] = &[
    FileKind::ORDINARY,
    FileKind {
        has_process: true,
        ..on("proc-pid", magic::PROC, "/proc/PID of the target, or a file or directory in it")
    },
    on("proc", magic::PROC, "/proc outside of /proc/PID: /proc/sys, /proc/sysrq-trigger"),
    on("sysfs", magic::SYSFS, "/sys"),
    on("bpffs", magic::BPF_FS, "/sys/fs/bpf, where the enforcement is pinned"),
    on("cgroup", magic::CGROUP, "a cgroup hierarchy of version 1"),
    on("cgroup2", magic::CGROUP2, "/sys/fs/cgroup, version 2"),
    on("debugfs", magic::DEBUGFS, "/sys/kernel/debug"),
    on("tracefs", magic::TRACEFS, "/sys/kernel/tracing"),
    on("securityfs", magic::SECURITYFS, "/sys/kernel/security"),
    on("apparmorfs", magic::AAFS, "AppArmor's own file system"),
    on("selinuxfs", magic::SELINUX, "/sys/fs/selinux"),
    on("smackfs", magic::SMACK, "/sys/fs/smackfs"),
    on("binfmt-misc", magic::BINFMT, "/proc/sys/fs/binfmt_misc"),
    on("efivarfs", magic::EFIVARFS, "/sys/firmware/efi/efivars"),
    on("configfs", magic::CONFIGFS, "/sys/kernel/config"),
    on("pstore", magic::PSTORE, "/sys/fs/pstore"),
    device(
        "null",
        file_type::CHARACTER,
        1,
        3,
        "/dev/null; zero, full, random, urandom, tty and ptmx are like it",
    ),
    device("terminal", file_type::CHARACTER, 136, 0, "a terminal of the host, /dev/pts/0"),
    device("memory", file_type::CHARACTER, 1, 1, "/dev/mem"),
    device("kernel-log", file_type::CHARACTER, 1, 11, "/dev/kmsg"),
    device("disk", file_type::BLOCK, 8, 0, "a block device, /dev/sda"),
];

/// The number of a capability that is given by its name, in whatever case, with or without `CAP_`, or by its number.
pub fn capability_number(text: &str) -> Option<u32> {
    capability_named(text).or_else(|| text.parse().ok())
}
