//! A valid policy. Its fields are private and only validation makes one, so whoever holds it need not check it again.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use vs_common::id::Xid;
use vs_common::limits::{CONTEXT_NAME_SIZE, DEFAULT_RECORD_BURST, DEFAULT_RECORDS_PER_SECOND, RING_SIZE};
use vs_common::policy_entry::{Mode, ProcMode};
use vs_common::violation::Violation;

use super::capabilities::CapabilityPolicy;
use super::error::NameError;
use super::files::{Directory, FilesPolicy};
use super::network::{HostNetworkPolicy, NetworkPolicy};
use super::place::{Place, PolicySource};

/// A value that policy gives, and where; without a place it is the default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule<T> {
    pub(super) value: T,
    pub(super) place: Option<Place>,
}

impl<T: Copy> Rule<T> {
    /// The value.
    pub const fn value(&self) -> T {
        self.value
    }

    /// Where policy gives it; `None`: nowhere, it is the default.
    pub const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

/// A context's name: 1 to 32 characters of `a-z`, `0-9`, `_`, `.` and `-`, the first a letter or a digit, and no word that always
/// means something else.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ContextName(String);

impl ContextName {
    /// What can stand where a context's name does, and is none.
    pub const RESERVED: [&'static str; 3] = ["host", "spectator", "unknown"];

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as the maps have it, padded with zeros.
    pub fn to_padded(&self) -> [u8; CONTEXT_NAME_SIZE] {
        pad(&self.0)
    }
}

/// Text padded with zeros; what does not fit is cut.
pub(crate) fn pad(text: &str) -> [u8; CONTEXT_NAME_SIZE] {
    let mut padded = [0; CONTEXT_NAME_SIZE];
    for (to, from) in padded.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    padded
}

impl FromStr for ContextName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = text.chars().next().ok_or(NameError::Empty)?;
        let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if let Some(bad) = text.chars().find(|c| !is_alphanumeric(*c) && !matches!(c, '_' | '.' | '-')) {
            return Err(NameError::BadCharacter(bad));
        }
        if !is_alphanumeric(first) {
            return Err(NameError::BadStart(first));
        }
        if text.len() > CONTEXT_NAME_SIZE {
            return Err(NameError::TooLong(text.len()));
        }
        match Self::RESERVED.into_iter().find(|reserved| *reserved == text) {
            Some(reserved) => Err(NameError::Reserved(reserved)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for ContextName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 over the contents of all files in the order given: what `cat FILE... | sha256sum` prints.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub(super) fn of(sources: &[PolicySource]) -> Self {
        let mut hash = Sha256::new();
        for source in sources {
            hash.update(&source.contents);
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How much a context may write to the audit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordRate {
    pub(super) per_second: Rule<u32>,
    pub(super) burst: Rule<u32>,
}

impl RecordRate {
    /// What `records_per_second` can be. The greatest is what a collector writes and syncs without falling behind; 0 would hide a
    /// context from the audit.
    pub const PER_SECOND: RangeInclusive<u32> = 1..=10_000;
    /// What `record_burst` can be: at most half of the ring buffer, so that no context alone can fill it before it is read.
    pub const BURST: RangeInclusive<u32> = 1..=RING_SIZE / 2 / RECORD_SIZE;
    /// What they are unless policy says otherwise.
    pub const DEFAULT: (u32, u32) = (DEFAULT_RECORDS_PER_SECOND, DEFAULT_RECORD_BURST);
}

/// Bytes of a record in the ring buffer: a violation behind the kernel's header of 8 (`BPF_RINGBUF_HDR_SZ`).
const RECORD_SIZE: u32 = 240;
const _: () = assert!(RECORD_SIZE as usize == size_of::<Violation>() + 8);

/// How much of its processes a context confines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Confine {
    /// All that this release can.
    All,
    /// Their addresses; beyond these they are the host's.
    Network,
}

impl Confine {
    /// The word in policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Network => "network",
        }
    }
}

/// What policy says of one context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContextPolicy {
    pub(super) name: ContextName,
    pub(super) place: Place,
    pub(super) xid: Rule<Xid>,
    pub(super) mode: Rule<Mode>,
    pub(super) proc_mode: Rule<ProcMode>,
    pub(super) confine: Rule<Confine>,
    pub(super) rate: RecordRate,
    pub(super) description: Option<String>,
    pub(super) network: Option<NetworkPolicy>,
    pub(super) files: Option<FilesPolicy>,
    pub(super) capabilities: CapabilityPolicy,
}

impl ContextPolicy {
    /// Its name.
    pub const fn name(&self) -> &ContextName {
        &self.name
    }

    /// Where its table is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Its number, from [`Xid::FIRST_STATIC`] to [`Xid::LAST_STATIC`]; no other context of the policy has it.
    pub const fn xid(&self) -> &Rule<Xid> {
        &self.xid
    }

    /// What becomes of its denials.
    pub const fn mode(&self) -> &Rule<Mode> {
        &self.mode
    }

    /// How it sees processes.
    pub const fn proc_mode(&self) -> &Rule<ProcMode> {
        &self.proc_mode
    }

    /// How much of its processes it confines.
    pub const fn confine(&self) -> &Rule<Confine> {
        &self.confine
    }

    /// Audit records per second.
    pub const fn records_per_second(&self) -> &Rule<u32> {
        &self.rate.per_second
    }

    /// Audit records at once.
    pub const fn record_burst(&self) -> &Rule<u32> {
        &self.rate.burst
    }

    /// What the operator says about it: one line.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Its addresses; `None`: it uses the host's.
    pub const fn network(&self) -> Option<&NetworkPolicy> {
        self.network.as_ref()
    }

    /// Its capabilities.
    pub const fn capabilities(&self) -> &CapabilityPolicy {
        &self.capabilities
    }

    /// Its directories; `None`: it changes files as the host's permissions let it.
    pub const fn files(&self) -> Option<&FilesPolicy> {
        self.files.as_ref()
    }
}

/// What policy says of the spectator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpectatorPolicy {
    pub(super) place: Place,
    pub(super) rate: RecordRate,
    pub(super) description: Option<String>,
}

impl SpectatorPolicy {
    /// Where its table is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Audit records per second.
    pub const fn records_per_second(&self) -> &Rule<u32> {
        &self.rate.per_second
    }

    /// Audit records at once.
    pub const fn record_burst(&self) -> &Rule<u32> {
        &self.rate.burst
    }

    /// What the operator says about it: one line.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }
}

/// A valid policy: it names the spectator or at least one context, every name and every number once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    pub(super) contexts: BTreeMap<Xid, ContextPolicy>,
    pub(super) spectator: Option<SpectatorPolicy>,
    pub(super) proc_lock: Rule<bool>,
    pub(super) host_network: Option<HostNetworkPolicy>,
    pub(super) host_directories: Vec<Directory>,
    pub(super) host_barriers: Vec<Directory>,
    pub(super) digest: Digest,
}

impl Policy {
    /// The contexts, by number.
    pub fn contexts(&self) -> impl ExactSizeIterator<Item = &ContextPolicy> {
        self.contexts.values()
    }

    /// The context with this number.
    pub fn context(&self, xid: Xid) -> Option<&ContextPolicy> {
        self.contexts.get(&xid)
    }

    /// The context with this name.
    pub fn context_named(&self, name: &str) -> Option<&ContextPolicy> {
        self.contexts().find(|context| context.name.as_str() == name)
    }

    /// The spectator, if policy makes it usable.
    pub const fn spectator(&self) -> Option<&SpectatorPolicy> {
        self.spectator.as_ref()
    }

    /// Whether the hooks on `/proc` are wanted as a second lock for all contexts.
    pub const fn proc_lock(&self) -> &Rule<bool> {
        &self.proc_lock
    }

    /// The host's own addresses; `None`: its services on ANY have every address.
    pub const fn host_network(&self) -> Option<&HostNetworkPolicy> {
        self.host_network.as_ref()
    }

    /// Directories that are the host's alone.
    pub fn host_directories(&self) -> &[Directory] {
        &self.host_directories
    }

    /// Directories that no guest passes: those above roots, and what the host has beside.
    pub fn barriers(&self) -> impl Iterator<Item = &Directory> {
        let roots = self.contexts().filter_map(|context| context.files.as_ref()?.barrier());
        self.host_barriers.iter().chain(roots)
    }

    /// Whether it gives any directory to anybody, or keeps a context to its own.
    pub fn judges_files(&self) -> bool {
        !self.host_directories.is_empty() || self.contexts().any(|context| context.files.is_some())
    }

    /// The digest of the files.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}
