//! What a program writes into the ring buffer when it denies: fixed size, versioned, no padding.

use crate::context::Tag;
use crate::limits::EXECUTABLE_NAME_SIZE;

/// The version of [`Violation`]. A reader skips, and counts, a record of a version it does not know.
pub const VIOLATION_VERSION: u16 = 1;

/// One violation, or a run of equal ones.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation {
    /// [`VIOLATION_VERSION`].
    pub version: u16,
    /// `size_of::<Violation>()`.
    pub size: u16,
    /// A [`crate::hook::Hook`]'s number.
    pub hook: u16,
    /// A [`crate::verdict::Reason`]'s number.
    pub reason: u16,
    /// An [`crate::verdict::Errno`]'s number; in mode observe, the one that would have been returned.
    pub errno: u16,
    /// A [`crate::policy_entry::Mode`]'s number: what became of it.
    pub mode: u16,
    /// The epoch in force.
    pub epoch: u32,
    /// Nanoseconds of the boot clock (`CLOCK_BOOTTIME`).
    pub time: u64,
    /// Violations of the same actor, hook, reason and target context that came before this one and had no record of their own.
    pub repeated: u64,
    /// What was asked for, by hook: the signal, the ptrace mode, the capability, the `bpf(2)` command; 0 where there is nothing.
    pub detail: u64,
    /// Who acted.
    pub actor: ActorRecord,
    /// What it acted on.
    pub target: TargetRecord,
}

const _: () = assert!(size_of::<Violation>() == 40 + size_of::<ActorRecord>() + size_of::<TargetRecord>());
const _: () = assert!(size_of::<Violation>() == 232 && align_of::<Violation>() == 8);

/// The actor as the kernel knew it at that moment.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActorRecord {
    /// Its tag. xid [`u32::MAX`]: the tag could not be read.
    pub tag: Tag,
    /// The thread's id in the host's numbers; 0 where the act was set up earlier and no process stands behind it now (SIGIO).
    pub pid: u32,
    /// The process's id in the host's numbers.
    pub tgid: u32,
    /// Its real uid in the initial user namespace.
    pub uid: u32,
    /// The uid that logged in; `u32::MAX`: none.
    pub loginuid: u32,
    /// The device of its executable (`super_block.s_dev`); 0: it has none.
    pub executable_device: u64,
    /// The inode number of its executable.
    pub executable_inode: u64,
    /// The thread's name, padded with zeros.
    pub comm: [u8; 16],
    /// The last component of its executable's path, cut at the end, padded with zeros.
    pub executable: [u8; EXECUTABLE_NAME_SIZE],
}

const _: () = assert!(size_of::<ActorRecord>() == 96);

/// What kind of thing the actor acted on: which of [`TargetRecord`]'s words mean what.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TargetKind {
    /// Nothing in particular: the kernel.
    None = 0,
    /// A process: `tag`, `words[0]` pid, `words[1]` tgid; `text` its comm.
    Process = 1,
    /// A file: `words[0]` device, `words[1]` inode, `words[2]` superblock magic; `text` the last component; `tag` its owner.
    File = 2,
    /// A capability: `words[0]` its number.
    Capability = 3,
    /// A network address: `words[0]` family, `words[1]` port, `words[2..4]` the address in network order, IPv4 mapped into IPv6,
    /// `words[4]` protocol.
    Address = 4,
    /// An object of System V IPC, a message queue or a key: `words[0]` its kind, `words[1]` its id.
    Ipc = 5,
}

impl TargetKind {
    /// The member with this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Process),
            2 => Some(Self::File),
            3 => Some(Self::Capability),
            4 => Some(Self::Address),
            5 => Some(Self::Ipc),
            _ => None,
        }
    }
}

/// What the actor acted on.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TargetRecord {
    /// A [`TargetKind`]'s number.
    pub kind: u32,
    /// 1: `tag` could not be read.
    pub is_unknown: u32,
    /// The context it belongs to; xid 0 is the host.
    pub tag: Tag,
    /// By kind.
    pub words: [u64; 5],
    /// By kind.
    pub text: [u8; 32],
}

const _: () = assert!(size_of::<TargetRecord>() == 96);

/// Which violations are one: the same process, at the same hook, for the same reason, against the same context.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AggregateKey {
    /// The actor's context.
    pub actor_xid: u32,
    /// The actor's process.
    pub tgid: u32,
    /// The target's context.
    pub target_xid: u32,
    /// The hook's number.
    pub hook: u16,
    /// The reason's number.
    pub reason: u16,
}

const _: () = assert!(size_of::<AggregateKey>() == 16);

/// How many there were in the interval that began at `since`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Aggregate {
    /// When the interval began, in nanoseconds of the boot clock.
    pub since: u64,
    /// Violations after the first, which was written as a record.
    pub repeated: u64,
}

#[cfg(feature = "user")]
mod user {
    //! SAFETY of all: `repr(C)`, `Copy`, no padding (the sizes are asserted above), every bit pattern is a value.
    use super::{Aggregate, AggregateKey};

    // SAFETY: see the module.
    unsafe impl aya::Pod for AggregateKey {}
    // SAFETY: see the module.
    unsafe impl aya::Pod for Aggregate {}
}
