//! The values of the maps that hold policy and state.

use crate::capability::{CapabilitySet, SYS_ADMIN};
use crate::context::lifecycle;
use crate::id::{Epoch, Generation, Xid};
use crate::limits::CONTEXT_NAME_SIZE;

/// What becomes of a denial between contexts.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// It is carried out and recorded.
    Enforce = 0,
    /// It is recorded only.
    Observe = 1,
}

impl Mode {
    /// The word in policy and audit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }

    /// The member with this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Enforce),
            1 => Some(Self::Observe),
            _ => None,
        }
    }
}

/// How a context sees processes.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProcMode {
    /// A PID namespace with a reaper, and a mount namespace with a procfs of its own.
    Pidns = 0,
    /// A mount namespace with a procfs of its own, mounted `hidepid=ptraceable`.
    Hidepid = 1,
    /// The host's mount namespace and procfs.
    Plain = 2,
}

impl ProcMode {
    /// The word in policy and audit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pidns => "pidns",
            Self::Hidepid => "hidepid",
            Self::Plain => "plain",
        }
    }

    /// The member with this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Pidns),
            1 => Some(Self::Hidepid),
            2 => Some(Self::Plain),
            _ => None,
        }
    }
}

/// The key of `CONTEXTS`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ContextKey {
    /// The load that the row belongs to.
    pub epoch: Epoch,
    /// The context.
    pub xid: Xid,
}

/// What policy says of one context in one epoch. Read only when something is about to be denied, and by the loader.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContextRules {
    /// The generation that the rules are for; a process of another one is not governed by them, and always enforced upon.
    pub generation: Generation,
    /// A [`Mode`]'s number.
    pub mode: u32,
    /// A [`ProcMode`]'s number.
    pub proc_mode: u32,
    /// [`context_flag`] bits.
    pub flags: u32,
    /// Records per second that it may write.
    pub records_per_second: u32,
    /// Records that it may write at once after a quiet time.
    pub record_burst: u32,
    /// Always 0.
    pub reserved: u32,
    /// The capabilities that its processes may use now. The one field that changes while the row is in force (`vs context set`).
    pub capabilities: CapabilitySet,
    /// What they can at most have been given at entry.
    pub capabilities_max: CapabilitySet,
    /// The name, UTF-8, padded with zeros.
    pub name: [u8; CONTEXT_NAME_SIZE],
}

const _: () = assert!(size_of::<ContextRules>() == 80);

impl ContextRules {
    /// What is left of the capabilities to who enters: all that may ever be used, and what a grant takes that is more, which the programs hold.
    pub const fn entry_capabilities(&self) -> CapabilitySet {
        let granted = if self.flags & context_flag::SET_UTSNAME != 0 { 1 << SYS_ADMIN } else { 0 };
        self.capabilities_max | granted
    }

    /// The bits of [`crate::context::lifecycle`] that a process of the context has for life, from where it lives: policy may not change it
    /// while the context has processes.
    pub const fn residence(&self, xid: Xid) -> u32 {
        let is_only = self.flags & context_flag::NETWORK_ONLY != 0;
        let is_in_host_tree =
            (self.proc_mode == ProcMode::Plain as u32 && !is_only) || xid.0 == Xid::SPECTATOR.0;
        let host_tree = if is_in_host_tree { lifecycle::HOST_TREE } else { 0 };
        let proc_lock = if self.flags & context_flag::PROC_LOCK != 0 { lifecycle::PROC_LOCK } else { 0 };
        let network = if self.flags & context_flag::NETWORK != 0 { lifecycle::NETWORK } else { 0 };
        let only = if is_only { lifecycle::NETWORK_ONLY } else { 0 };
        let files = if self.flags & context_flag::FILES != 0 { lifecycle::FILES } else { 0 };
        let root = if self.flags & context_flag::ROOT != 0 { lifecycle::ROOT } else { 0 };
        host_tree | proc_lock | network | only | files | root
    }
}

/// The bits of [`ContextRules::flags`].
pub mod context_flag {
    /// Made by `vs context create` or `vs run --new`, not by a policy file: a load carries it over.
    pub const DYNAMIC: u32 = 1;
    /// Missing in the policy last loaded, with processes left: its last rules stay (`--keep-orphans`).
    pub const ORPHAN: u32 = 1 << 1;
    /// In the row of the spectator or any context: the policy asked for the hooks on `/proc` as a second lock.
    pub const PROC_LOCK: u32 = 1 << 2;
    /// It has addresses of its own: there is a row in `NETWORKS` too.
    pub const NETWORK: u32 = 1 << 3;
    /// `confine = "network"`: it confines addresses and nothing else.
    pub const NETWORK_ONLY: u32 = 1 << 4;
    /// `ping = true`: it may ping from its own addresses.
    pub const PING: u32 = 1 << 5;
    /// What its sockets receive is judged: `receive = "strict"`, or it may have raw sockets.
    pub const RECEIVE: u32 = 1 << 6;
    /// `raw`: it may have raw sockets, and who enters it keeps `CAP_NET_RAW`.
    pub const RAW: u32 = 1 << 7;
    /// It has directories of its own, and changes files nowhere else.
    pub const FILES: u32 = 1 << 8;
    /// In the row of any context: some directory is given to somebody, so every guest's acts on files are judged.
    pub const FILES_JUDGED: u32 = 1 << 9;
    /// `root`: what it sees begins at a directory of its own.
    pub const ROOT: u32 = 1 << 10;
    /// In the row of any context: some directory is a barrier, so every directory that a guest goes through is looked at.
    pub const BARRIERS: u32 = 1 << 11;
    /// `context_capabilities = ["set_utsname"]`: it has a UTS namespace of its own and may set the names in it.
    pub const SET_UTSNAME: u32 = 1 << 12;
}

/// What outlives epochs, by xid. Programs write the counters with atomic additions, the loader writes the rest.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ContextState {
    /// The generation in use.
    pub generation: Generation,
    /// Tokens left for records, in thousandths.
    pub millitokens: u64,
    /// When tokens were last added, in nanoseconds of the boot clock.
    pub refilled_at: u64,
    /// Records that were not written because the context had no token left. Only grows.
    pub suppressed: u64,
    /// Records that found no room in the ring buffer. Only grows.
    pub lost: u64,
    /// Not 0: the context is being stopped and may not fork.
    pub is_dying: u32,
    /// Always 0.
    pub reserved: u32,
}

const _: () = assert!(size_of::<ContextState>() == 48);

/// Who loaded what when.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochInfo {
    /// Nanoseconds since 1970.
    pub loaded_at: u64,
    /// SHA-256 over the policy files' contents, in the order given.
    pub digest: [u8; 32],
    /// Who ran the loader: the effective uid.
    pub uid: u32,
    /// Who had logged in (`/proc/self/loginuid`); `u32::MAX`: nobody.
    pub loginuid: u32,
    /// Contexts in it.
    pub contexts: u32,
    /// Always 0.
    pub reserved: u32,
}

const _: () = assert!(size_of::<EpochInfo>() == 56);

/// What one processor counted at one hook. Calls are not among them: the kernel counts those itself when asked to
/// (`BPF_ENABLE_STATS`), and the host's path has no instruction to spare.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HookCounters {
    /// Denials carried out.
    pub denials: u64,
    /// Denials only recorded, in mode observe.
    pub observed: u64,
    /// Helpers that failed.
    pub failures: u64,
    /// Records lost of actors without a row in `CONTEXT_STATES`.
    pub lost: u64,
    /// Denials of the loader's canary, which are nobody's attempts.
    pub tried: u64,
}

#[cfg(feature = "user")]
mod user {
    //! SAFETY of all: `repr(C)`, `Copy`, no padding (the sizes are asserted above), every bit pattern is a value.
    use super::{ContextKey, ContextRules, ContextState, EpochInfo, HookCounters};

    // SAFETY: see the module.
    unsafe impl aya::Pod for ContextKey {}
    // SAFETY: see the module.
    unsafe impl aya::Pod for ContextRules {}
    // SAFETY: see the module.
    unsafe impl aya::Pod for ContextState {}
    // SAFETY: see the module.
    unsafe impl aya::Pod for EpochInfo {}
    // SAFETY: see the module.
    unsafe impl aya::Pod for HookCounters {}
}
