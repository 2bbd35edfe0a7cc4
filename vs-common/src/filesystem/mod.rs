//! Files through which a process could reach past its context: `/proc/PID`, control file systems, devices.
//!
//! They are judged for processes that live in the host's mount tree (`proc = "plain"` and the spectator), which their tag says; a context
//! with a mount namespace of its own has none of these files in it, and a `/dev/pts` that is its own. `/proc/PID` is judged for all where
//! policy asks for the second lock. A process whose tag could not be read is judged like one in the host's tree.

mod barrier;
mod owner;

use crate::context::{Identity, Tag};
use crate::id::ContextKind;
use crate::verdict::{Errno, Reason, Verdict};

pub use barrier::{
    BARRIER_ONLY, IS_BARRIER, ReceivedFrom, decide_barrier, decide_received_directory, has_owner, is_barrier,
};
pub use owner::{
    CHANGING_REQUESTS, FILTER_WORDS, FileFilter, FileKey, FileNumbers, FileOwner, FileRow, FilesJudged,
    IS_ROOT, MAX_DEPTH, PATH_SIZE, TOO_DEEP, decide_file, filter_bit, fold_uuid, is_changing_request,
};

/// Superblock magics (`include/uapi/linux/magic.h`).
pub mod magic {
    /// procfs.
    pub const PROC: u64 = 0x9fa0;
    /// sysfs.
    pub const SYSFS: u64 = 0x6265_6572;
    /// bpffs, where the enforcement is pinned.
    pub const BPF_FS: u64 = 0xcafe_4a11;
    /// cgroup version 1.
    pub const CGROUP: u64 = 0x0027_e0eb;
    /// cgroup version 2; `cgroup.kill` sends signals that no hook sees.
    pub const CGROUP2: u64 = 0x6367_7270;
    /// debugfs.
    pub const DEBUGFS: u64 = 0x6462_6720;
    /// tracefs.
    pub const TRACEFS: u64 = 0x7472_6163;
    /// securityfs.
    pub const SECURITYFS: u64 = 0x7363_6673;
    /// AppArmor's own file system.
    pub const AAFS: u64 = 0x5a3c_69f0;
    /// selinuxfs.
    pub const SELINUX: u64 = 0xf97c_ff8c;
    /// smackfs.
    pub const SMACK: u64 = 0x4341_5d53;
    /// `binfmt_misc`: a registered interpreter is run by the host too.
    pub const BINFMT: u64 = 0x4249_4e4d;
    /// EFI variables.
    pub const EFIVARFS: u64 = 0xde5e_81e4;
    /// configfs.
    pub const CONFIGFS: u64 = 0x6265_6570;
    /// pstore: other boots' kernel logs.
    pub const PSTORE: u64 = 0x6165_676c;
    /// POSIX message queues.
    pub const MQUEUE: u64 = 0x1980_0202;
}

/// What a file system lets its users do to the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FilesystemClass {
    /// Holds files.
    Ordinary,
    /// Information for everybody, control for whoever may write: procfs outside of `/proc/PID`, sysfs.
    ReadOnly,
    /// Control: closed to guests altogether.
    Control,
    /// bpffs: the pins of the enforcement itself.
    Enforcement,
}

/// The class of the file system with this superblock magic.
#[inline(always)]
pub const fn classify(superblock_magic: u64) -> FilesystemClass {
    match superblock_magic {
        magic::PROC | magic::SYSFS => FilesystemClass::ReadOnly,
        magic::BPF_FS => FilesystemClass::Enforcement,
        magic::CGROUP
        | magic::CGROUP2
        | magic::DEBUGFS
        | magic::TRACEFS
        | magic::SECURITYFS
        | magic::AAFS
        | magic::SELINUX
        | magic::SMACK
        | magic::BINFMT
        | magic::EFIVARFS
        | magic::CONFIGFS
        | magic::PSTORE => FilesystemClass::Control,
        _ => FilesystemClass::Ordinary,
    }
}

/// File types of `inode.i_mode` (`include/uapi/linux/stat.h`).
pub mod file_type {
    /// The bits that hold the type.
    pub const MASK: u32 = 0o170_000;
    /// A directory.
    pub const DIRECTORY: u32 = 0o040_000;
    /// A character device.
    pub const CHARACTER: u32 = 0o020_000;
    /// A block device.
    pub const BLOCK: u32 = 0o060_000;
    /// A pipe with a name.
    pub const FIFO: u32 = 0o010_000;
}

/// Whether the character device is one of null, zero, full, random, urandom, tty and ptmx.
///
/// `device` is `inode.i_rdev`, the kernel's own `dev_t`: 12 bits of major above 20 of minor. A terminal of the host's devpts
/// (majors 136 to 143) is not harmless: whoever opens it reads what its owner types.
#[inline(always)]
pub const fn is_harmless_device(device: u32) -> bool {
    matches!((device >> 20, device & 0xf_ffff), (1, 3 | 5 | 7 | 8 | 9) | (5, 0 | 2))
}

/// What a hook found out about a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileFacts {
    /// `inode.i_sb->s_magic`.
    pub superblock_magic: u64,
    /// `inode.i_mode`.
    pub mode: u32,
    /// `inode.i_rdev`.
    pub device: u32,
    /// For an inode of `/proc/PID` or below: the process it stands for; a process without a tag is [`Identity::Host`].
    pub process: Option<Identity>,
    /// Whether the file is opened for writing.
    pub is_write: bool,
}

/// Why the process behind a `/proc/PID` inode is none of the actor's, or nothing if it is its own.
#[inline(always)]
const fn foreign(actor: &Tag, process: Identity) -> Option<Reason> {
    match process {
        // A member that is still entering is shown: it is the context's, and what is dangerous in its /proc asks ptrace.
        Identity::Member(tag) if tag.is_same_context(actor) => None,
        Identity::Member(_) => Some(Reason::ForeignTarget),
        Identity::Host => Some(Reason::HostTarget),
        Identity::Unknown => Some(Reason::UnknownTarget),
    }
}

/// Whether everybody may open a file with this superblock and mode, so that it does not matter who does: the last row of
/// [`decide_open`]'s table, without an actor.
#[inline(always)]
pub const fn is_open_to_all(superblock_magic: u64, mode: u32) -> bool {
    let is_device = matches!(mode & file_type::MASK, file_type::CHARACTER | file_type::BLOCK);
    !is_device && matches!(classify(superblock_magic), FilesystemClass::Ordinary)
}

/// Whether a file may be opened.
///
/// A member that lives in a mount namespace of its own may open all that is there; of the others:
///
/// | file                                          | guest            | spectator           |
/// |-----------------------------------------------|------------------|---------------------|
/// | own `/proc/PID`                                | allow            | allow               |
/// | another's `/proc/PID`                          | ENOENT           | read; write EACCES  |
/// | procfs elsewhere, sysfs                       | read; write EACCES | read; write EACCES |
/// | bpffs, cgroupfs, tracefs and the like         | EACCES           | read; write EACCES  |
/// | block device, character device not harmless   | EACCES           | EACCES              |
/// | anything else                                 | allow            | allow               |
///
/// The host may open all; an unknown actor what a guest may, and no `/proc/PID` at all.
#[inline(always)]
pub const fn decide_open(actor: Identity, file: &FileFacts) -> Verdict {
    let (actor, is_known) = match actor {
        Identity::Host => return Verdict::Allow,
        Identity::Member(tag) => (tag, true),
        Identity::Unknown => (NOBODY, false),
    };
    let is_spectator = matches!(actor.xid.kind(), ContextKind::Spectator);
    if let Some(process) = file.process {
        if is_known && !actor.is_judged_in_proc() {
            return Verdict::Allow;
        }
        return match foreign(&actor, process) {
            None => Verdict::Allow,
            Some(_) if !is_known => Verdict::Deny(Errno::Enoent, Reason::UnknownActor),
            Some(reason) if !is_spectator => Verdict::Deny(Errno::Enoent, reason),
            Some(_) if file.is_write => Verdict::Deny(Errno::Eacces, Reason::SpectatorChange),
            Some(_) => Verdict::Allow,
        };
    }
    if is_known && !actor.is_in_host_tree() {
        return Verdict::Allow;
    }
    let kind = file.mode & file_type::MASK;
    if kind == file_type::BLOCK || (kind == file_type::CHARACTER && !is_harmless_device(file.device)) {
        return Verdict::Deny(Errno::Eacces, Reason::Device);
    }
    match classify(file.superblock_magic) {
        FilesystemClass::Ordinary => Verdict::Allow,
        FilesystemClass::ReadOnly if !file.is_write => Verdict::Allow,
        FilesystemClass::ReadOnly => Verdict::Deny(Errno::Eacces, Reason::ControlFilesystem),
        FilesystemClass::Control | FilesystemClass::Enforcement if is_spectator && !file.is_write => {
            Verdict::Allow
        }
        FilesystemClass::Control => Verdict::Deny(Errno::Eacces, Reason::ControlFilesystem),
        FilesystemClass::Enforcement => Verdict::Deny(Errno::Eacces, Reason::Enforcement),
    }
}

/// A guest whose tag could not be read: like every guest, and equal to none. Generation 0 is never given.
const NOBODY: Tag = Tag { xid: crate::id::Xid(u32::MAX), lifecycle: 0, generation: crate::id::Generation(0) };

/// A file's name, padded with zeros and cut at the sixteenth byte.
pub type ShortName = [u64; 2];

/// A name as [`ShortName`].
const fn short_name(name: &str) -> ShortName {
    let (bytes, mut words) = (name.as_bytes(), [[0_u8; 8]; 2]);
    let mut at = 0;
    while at < bytes.len() {
        words[at / 8][at % 8] = bytes[at];
        at += 1;
    }
    [u64::from_ne_bytes(words[0]), u64::from_ne_bytes(words[1])]
}

/// What a context with addresses may read below `/proc/net`: links, addresses, routes and sums, and no list of sockets, in which others'
/// would be.
pub const NETWORK_FILES: [&str; 9] =
    ["dev", "route", "if_inet6", "ipv6_route", "snmp", "snmp6", "netstat", "sockstat", "sockstat6"];

/// [`NETWORK_FILES`] as they are compared.
const NETWORK_NAMES: [ShortName; NETWORK_FILES.len()] = {
    let mut names = [[0; 2]; NETWORK_FILES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = short_name(NETWORK_FILES[at]);
        at += 1;
    }
    names
};

/// Whether a member of a context with addresses may open a file below `/proc/net`, by the name of its first component there.
///
/// | name                  | verdict |
/// |-----------------------|---------|
/// | of [`NETWORK_FILES`]  | allow   |
/// | any other             | ENOENT  |
#[inline(always)]
pub const fn decide_network_file(name: ShortName) -> Verdict {
    let mut at = 0;
    while at < NETWORK_NAMES.len() {
        if NETWORK_NAMES[at][0] == name[0] && NETWORK_NAMES[at][1] == name[1] {
            return Verdict::Allow;
        }
        at += 1;
    }
    Verdict::Deny(Errno::Enoent, Reason::SocketList)
}

/// Whether attributes or the link text of a `/proc/PID` inode may be read: `stat`, `readlink`.
///
/// | `/proc/PID` of  | guest  | spectator | unknown |
/// |-----------------|--------|-----------|---------|
/// | own context     | allow  | allow     | ENOENT  |
/// | another         | ENOENT | allow     | ENOENT  |
///
/// A file outside of `/proc/PID` (`process` is `None`) is nothing to this decision, nor is a member for whom `/proc/PID` is not judged.
#[inline(always)]
pub const fn decide_look(actor: Identity, process: Option<Identity>) -> Verdict {
    let Some(process) = process else { return Verdict::Allow };
    let actor = match actor {
        Identity::Host => return Verdict::Allow,
        Identity::Unknown => return Verdict::Deny(Errno::Enoent, Reason::UnknownActor),
        Identity::Member(tag) => tag,
    };
    if matches!(actor.xid.kind(), ContextKind::Spectator) || !actor.is_judged_in_proc() {
        return Verdict::Allow;
    }
    match foreign(&actor, process) {
        None => Verdict::Allow,
        Some(reason) => Verdict::Deny(Errno::Enoent, reason),
    }
}

/// Whether a name may be made, renamed or removed, or an inode's attributes changed.
///
/// | file system                 | host  | spectator, guest, unknown |
/// |-----------------------------|-------|---------------------------|
/// | bpffs                       | allow | EPERM `enforcement`       |
/// | procfs, sysfs, control ones | allow | EPERM `control-filesystem` |
/// | others                      | allow | allow                     |
///
/// A member that lives in a mount namespace of its own is not judged: what there is of these it sees read-only.
#[inline(always)]
pub const fn decide_modify(actor: Identity, superblock_magic: u64) -> Verdict {
    match actor {
        Identity::Host => return Verdict::Allow,
        Identity::Member(tag) if !tag.is_in_host_tree() => return Verdict::Allow,
        Identity::Member(_) | Identity::Unknown => {}
    }
    match classify(superblock_magic) {
        FilesystemClass::Ordinary => Verdict::Allow,
        FilesystemClass::Enforcement => Verdict::Deny(Errno::Eperm, Reason::Enforcement),
        FilesystemClass::ReadOnly | FilesystemClass::Control => {
            Verdict::Deny(Errno::Eperm, Reason::ControlFilesystem)
        }
    }
}
