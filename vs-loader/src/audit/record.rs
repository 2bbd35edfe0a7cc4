//! One record of the audit, as it is written: the versioned schema of `doc/audit-schema.md`.
//!
//! Every record has `schema`, `time`, `boot` and `kind`; the kind says which other fields there are. Fields may be added to a kind
//! and kinds may be added; a field that changes its meaning, or goes, makes a new [`SCHEMA`].

use serde::{Deserialize, Serialize};

use super::control::{
    CapabilityChange, CollectorGap, CollectorStart, CollectorStop, CollectorTrouble, ContextChange, Enter,
    Load, ModeChange, SinkFailed, SinkRecovered, Unload,
};
use super::decode::DecodeError;
use super::detail::{Detail, Numbered};
use super::device::Device;
use super::printable::Printable;
use super::time::{BootId, Time};
use super::word::Word;

/// The version of the schema.
pub const SCHEMA: u32 = 1;

/// One record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When it happened; of what was counted, when the count was read.
    pub time: Time,
    /// The boot it happened in.
    pub boot: BootId,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened; in JSON its name is the field `kind`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// An act was denied, or would have been in mode observe.
    Violation(Box<ViolationEvent>),
    /// Repetitions of a violation that had no record of their own, after their run ended.
    Repeated(Box<Repeated>),
    /// Violations not recorded because their context used up its rate.
    Suppressed(Counted),
    /// Records that found no room.
    Lost(Lost),
    /// Records of the kernel side that this version cannot read.
    Unreadable(Unreadable),
    /// A policy was loaded where none was.
    Load(Load),
    /// A policy replaced another.
    Reload(Load),
    /// Enforcement ended.
    Unload(Unload),
    /// A process entered a context.
    Enter(Enter),
    /// A context was created by command.
    ContextCreate(ContextChange),
    /// A context was removed by command.
    ContextRemove(ContextChange),
    /// A context's mode changed.
    Mode(ModeChange),
    /// What a context's processes may use changed, by command.
    Capabilities(CapabilityChange),
    /// A collector took over the ring.
    CollectorStart(CollectorStart),
    /// A collector ended in order.
    CollectorStop(CollectorStop),
    /// Nobody read the ring for a while.
    CollectorGap(CollectorGap),
    /// The collector could not do something: read the kernel's counters or the spool, rotate a file.
    CollectorTrouble(CollectorTrouble),
    /// A sink cannot be written.
    SinkFailed(SinkFailed),
    /// A sink can be written again.
    SinkRecovered(SinkRecovered),
}

/// A use of a context: what `Tag` says, with the name that the policy of that epoch had for it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ContextName {
    /// The context; null: its tag could not be read.
    pub xid: Option<u32>,
    /// Its name, "host", "spectator", or null where no policy had one.
    pub context: Option<Printable>,
    /// Which use of the xid; 0 for the host.
    pub generation: u64,
}

impl ContextName {
    /// `web(100)`, `host`, `?(100)` without a name, `unknown` where the tag could not be read.
    pub fn label(&self) -> String {
        match (self.xid, &self.context) {
            (None, _) => "unknown".to_owned(),
            (Some(0 | 1), Some(name)) => name.to_string(),
            (Some(xid), Some(name)) => format!("{name}({xid})"),
            (Some(xid), None) => format!("?({xid})"),
        }
    }
}

/// A violation with names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ViolationEvent {
    /// The hook that denied.
    pub hook: Word,
    /// Why.
    pub reason: Word,
    /// What the actor was told; in mode observe, what it would have been told.
    pub errno: Word,
    /// "enforce": it was denied; "observe": it would have been.
    pub mode: Word,
    /// The load whose policy decided.
    pub epoch: u32,
    /// Who acted.
    pub actor: Actor,
    /// What it acted on.
    pub target: Target,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<Detail>,
    /// Violations of the same actor process, hook, reason and target context before this one that had no record of their own.
    pub repeated: u64,
}

/// Who acted, as the kernel knew it at that moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Actor {
    /// Its context.
    #[serde(flatten)]
    pub context: ContextName,
    /// Whether it had not yet executed its program in the context.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub entering: bool,
    /// The thread in the host's numbers; null: no process stands behind the act any more (SIGIO).
    pub pid: Option<u32>,
    /// The process in the host's numbers.
    pub tgid: Option<u32>,
    /// Its real uid in the host's numbers; null as `pid`.
    pub uid: Option<u32>,
    /// The uid that logged in; null: none.
    pub loginuid: Option<u32>,
    /// The thread's name, which the process chooses itself.
    pub comm: Printable,
    /// Its executable; null: it has none.
    pub executable: Option<Executable>,
}

/// An executable. The name and the path are hints, device and inode identify.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Executable {
    /// The path's last component, cut after 31 bytes.
    pub name: Printable,
    /// The path in the process's own mount tree, if the process was still there and still ran this very inode when the record was
    /// read; null otherwise.
    pub path: Option<Printable>,
    /// `major:minor` of the superblock.
    pub device: Device,
    /// The inode.
    pub inode: u64,
}

/// What was acted on; in JSON its name is the field `type`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Target {
    /// Nothing in particular: the kernel.
    Kernel {},
    /// A process.
    Process {
        /// Its context.
        #[serde(flatten)]
        context: ContextName,
        /// Whether it had not yet executed its program in the context.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        entering: bool,
        /// The thread in the host's numbers.
        pid: u64,
        /// The process in the host's numbers.
        tgid: u64,
        /// The thread's name.
        comm: Printable,
    },
    /// A file.
    File {
        /// The context it belongs to; of a `/proc/PID` file, the process's.
        #[serde(flatten)]
        context: ContextName,
        /// The last component of its path, cut after 31 bytes.
        name: Printable,
        /// The kind of file system, or its magic where there is no word for it.
        filesystem: Word,
        /// The superblock's device.
        device: Device,
        /// The inode.
        inode: u64,
    },
    /// A capability.
    Capability(Numbered),
    /// A network address, or a socket of such a kind.
    Address {
        /// "inet", "inet6", "netlink" and so on, or the family's number.
        family: Word,
        /// "tcp", "udp", of netlink "route" and so on, or the protocol's number; null: what the socket's type implies, or not known.
        #[serde(default)]
        protocol: Option<Word>,
        /// The address, IPv4 as IPv4 also where a socket of IPv6 used it; null where the act was on a socket and not on an address, and
        /// where the family has no text for it.
        address: Option<Printable>,
        /// The port in the host's byte order.
        port: u64,
    },
    /// An object of System V IPC, a message queue or a key.
    Ipc {
        /// The context it belongs to.
        #[serde(flatten)]
        context: ContextName,
        /// Its kind.
        object: u64,
        /// Its id.
        id: u64,
    },
    /// A kind that this version does not know.
    Other {
        /// The context that its tag names.
        #[serde(flatten)]
        context: ContextName,
        /// The kind's number.
        number: u32,
        /// As the program wrote them.
        words: [u64; 5],
        /// As the program wrote it.
        text: Printable,
    },
}

impl Target {
    /// The context that was acted on; none where the target is the kernel, a capability or an address.
    pub fn context(&self) -> Option<&ContextName> {
        match self {
            Self::Process { context, .. }
            | Self::File { context, .. }
            | Self::Ipc { context, .. }
            | Self::Other { context, .. } => Some(context),
            Self::Kernel {} | Self::Capability(_) | Self::Address { .. } => None,
        }
    }
}

/// Repetitions of one violation. Who is repeated is known by the run's key; the rest is taken from the last record of such a run,
/// and null if this collector read none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Repeated {
    /// The hook that denied.
    pub hook: Word,
    /// Why.
    pub reason: Word,
    /// What the actor was told.
    pub errno: Option<Word>,
    /// "enforce" or "observe".
    pub mode: Option<Word>,
    /// The process that acted.
    pub actor: RepeatedActor,
    /// The context acted on; null where the target was the kernel, a capability or an address.
    pub target: Option<ContextName>,
    /// When the first of the run was denied.
    pub since: Time,
    /// How many there were after the first.
    pub repeated: u64,
}

/// Whose violations were repeated.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RepeatedActor {
    /// Its context.
    #[serde(flatten)]
    pub context: ContextName,
    /// The process in the host's numbers.
    pub tgid: u32,
    /// The name of the thread that was recorded.
    pub comm: Option<Printable>,
}

/// Something that was counted for a context.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Counted {
    /// The context whose violations they are.
    #[serde(flatten)]
    pub context: ContextName,
    /// How many since the last record of this kind for this context.
    pub count: u64,
    /// How many since the context's state was created.
    pub total: u64,
}

/// Records that found no room; in JSON where they were lost is the field `where`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "where", rename_all = "kebab-case")]
pub enum Lost {
    /// The ring buffer was full: records of one context.
    Ring(Counted),
    /// The ring buffer was full: records of actors without a context's state, by hook.
    RingHook {
        /// The hook that denied.
        hook: Word,
        /// How many since the last such record.
        count: u64,
        /// How many since the policy was first loaded.
        total: u64,
    },
    /// The spool was full, or held a line that is no record.
    Spool {
        /// How many since the last such record.
        count: u64,
    },
}

/// Records of the kernel side that could not be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unreadable {
    /// Why not.
    #[serde(flatten)]
    pub error: DecodeError,
    /// How many since the last such record.
    pub count: u64,
}

impl Event {
    /// The word in the field `kind`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Violation(_) => "violation",
            Self::Repeated(_) => "repeated",
            Self::Suppressed(_) => "suppressed",
            Self::Lost(_) => "lost",
            Self::Unreadable(_) => "unreadable",
            Self::Load(_) => "load",
            Self::Reload(_) => "reload",
            Self::Unload(_) => "unload",
            Self::Enter(_) => "enter",
            Self::ContextCreate(_) => "context-create",
            Self::ContextRemove(_) => "context-remove",
            Self::Mode(_) => "mode",
            Self::Capabilities(_) => "capabilities",
            Self::CollectorStart(_) => "collector-start",
            Self::CollectorStop(_) => "collector-stop",
            Self::CollectorGap(_) => "collector-gap",
            Self::CollectorTrouble(_) => "collector-trouble",
            Self::SinkFailed(_) => "sink-failed",
            Self::SinkRecovered(_) => "sink-recovered",
        }
    }
}

impl AuditRecord {
    /// A record of this version.
    pub const fn new(time: Time, boot: BootId, event: Event) -> Self {
        Self { schema: SCHEMA, time, boot, event }
    }

    /// The contexts that it is about, the actor's first.
    pub fn contexts(&self) -> [Option<&ContextName>; 2] {
        match &self.event {
            Event::Violation(violation) => [Some(&violation.actor.context), violation.target.context()],
            Event::Repeated(repeated) => [Some(&repeated.actor.context), repeated.target.as_ref()],
            Event::Suppressed(counted) | Event::Lost(Lost::Ring(counted)) => [Some(&counted.context), None],
            Event::Enter(enter) => [Some(&enter.context), None],
            Event::ContextCreate(change) | Event::ContextRemove(change) => [Some(&change.context), None],
            Event::Mode(change) => [Some(&change.context), None],
            Event::Capabilities(change) => [Some(&change.context), None],
            _ => [None, None],
        }
    }

    /// The hook that it is about.
    pub fn hook(&self) -> Option<&Word> {
        match &self.event {
            Event::Violation(violation) => Some(&violation.hook),
            Event::Repeated(repeated) => Some(&repeated.hook),
            Event::Lost(Lost::RingHook { hook, .. }) => Some(hook),
            _ => None,
        }
    }
}
