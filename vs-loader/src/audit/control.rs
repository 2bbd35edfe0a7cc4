//! What is recorded of the loader's own commands and of the collector: the other kinds of [`super::record::Event`].

use std::fmt::Write;

use rustix::process::{getpid, getuid};
use serde::{Deserialize, Serialize};

use super::printable::Printable;
use super::record::ContextName;
use super::time::Time;
use super::word::Word;

/// The file names of a policy that a record carries; further ones are counted.
const MAX_FILES: usize = 16;
/// The bytes of a command or a file name that a record carries.
const MAX_TEXT: usize = 1024;

/// Who ran a command of `vs`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Caller {
    /// The command's process.
    pub pid: u32,
    /// Its real uid.
    pub uid: u32,
    /// The uid that logged in; null: none.
    pub loginuid: Option<u32>,
}

impl Caller {
    /// This process.
    pub fn current() -> Self {
        let loginuid = std::fs::read_to_string("/proc/self/loginuid").ok();
        Self {
            pid: getpid().as_raw_nonzero().get().unsigned_abs(),
            uid: getuid().as_raw(),
            loginuid: loginuid.and_then(|text| text.trim().parse().ok()).filter(|uid| *uid != u32::MAX),
        }
    }
}

/// A policy was loaded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Load {
    /// The epoch now in force.
    pub epoch: u32,
    /// The one before; 0: there was none.
    pub previous_epoch: u32,
    /// Contexts in it.
    pub contexts: u32,
    /// SHA-256 over the policy files' contents, in hexadecimal.
    pub digest: String,
    /// The policy files, as given; the first sixteen.
    pub files: Vec<Printable>,
    /// How many there were.
    pub file_count: usize,
    /// Who did it.
    pub by: Caller,
}

impl Load {
    /// The record of a load by this process.
    pub fn new<'a>(
        (previous_epoch, epoch): (u32, u32),
        contexts: u32,
        digest: &[u8; 32],
        files: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let mut files = files.into_iter();
        let named: Vec<_> = files.by_ref().take(MAX_FILES).map(cut).collect();
        Self {
            epoch,
            previous_epoch,
            contexts,
            digest: hexadecimal(digest),
            file_count: named.len() + files.count(),
            files: named,
            by: Caller::current(),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Enforcement ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unload {
    /// The epoch that was in force.
    pub epoch: u32,
    /// Who did it.
    pub by: Caller,
}

/// A process entered a context.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Enter {
    /// The context.
    #[serde(flatten)]
    pub context: ContextName,
    /// The process that entered, in the host's numbers.
    pub pid: u32,
    /// What it executes, as given.
    pub command: Printable,
    /// Who let it in.
    pub by: Caller,
}

impl Enter {
    /// The record of an entry that this process arranged: `command` is the program's name as given, without its arguments, which
    /// may hold secrets.
    pub fn new(context: ContextName, pid: u32, command: &[u8]) -> Self {
        Self { context, pid, command: cut(command), by: Caller::current() }
    }
}

/// A context was created or removed by command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ContextChange {
    /// The context.
    #[serde(flatten)]
    pub context: ContextName,
    /// Who did it.
    pub by: Caller,
}

/// A context's mode changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ModeChange {
    /// The context.
    #[serde(flatten)]
    pub context: ContextName,
    /// The mode before.
    pub from: Word,
    /// The mode now.
    pub to: Word,
    /// Who did it.
    pub by: Caller,
}

/// What a context's processes may use changed, by command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CapabilityChange {
    /// The context.
    #[serde(flatten)]
    pub context: ContextName,
    /// The capabilities before: `default`, `none`, or what is different from the default.
    pub from: Printable,
    /// The capabilities now.
    pub to: Printable,
    /// Who did it.
    pub by: Caller,
}

impl CapabilityChange {
    /// The record of a change by this process.
    pub fn new(context: ContextName, from: &str, to: &str, by: Caller) -> Self {
        Self { context, from: cut(from.as_bytes()), to: cut(to.as_bytes()), by }
    }
}

/// Whose ring it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// `vs audit collect`: writes sinks, empties the spool.
    Collect,
    /// `vs audit follow` without a collector: keeps what it reads in the spool, for the next collector.
    Hold,
}

/// A collector took over the ring.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CollectorStart {
    /// Its process.
    pub pid: u32,
    /// What it does.
    pub role: Role,
    /// The version of `vs`.
    pub version: Printable,
}

/// A collector ended in order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CollectorStop {
    /// Its process.
    pub pid: u32,
    /// What it did.
    pub role: Role,
    /// Records that it passed on, this one not among them.
    pub records: u64,
}

/// Nobody read the ring from `since` until this record's time. What happened meanwhile follows as far as the ring had room for it;
/// the rest is in the `lost` records that follow.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CollectorGap {
    /// When the last collector was last alive.
    pub since: Time,
    /// Whether it ended in order.
    pub clean: bool,
}

/// Something the collector could not do, and what it did instead is less than it should. Recorded once per failure, not once per
/// attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CollectorTrouble {
    /// What was tried, and the answer.
    pub error: Printable,
}

/// A sink cannot be written. It is not among the sinks that this record reaches.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SinkFailed {
    /// Which.
    pub sink: Printable,
    /// The answer.
    pub error: Printable,
}

/// A sink can be written again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SinkRecovered {
    /// Which.
    pub sink: Printable,
    /// When it failed.
    pub since: Time,
    /// The first answer.
    pub error: Printable,
    /// Records that were kept meanwhile and have been written now.
    pub kept: u64,
    /// Records that are missing in it.
    pub lost: u64,
}

/// Bytes made printable, and not more of them than a record should carry.
pub(super) fn cut(bytes: &[u8]) -> Printable {
    Printable::from_bytes(&bytes[..bytes.len().min(MAX_TEXT)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_names_sixteen_files_and_counts_them_all() {
        let load = Load::new((0, 1), 2, &[0xab; 32], std::iter::repeat_n(b"a.toml".as_slice(), 20));
        assert_eq!((load.files.len(), load.file_count), (16, 20));
        assert_eq!(load.digest, "ab".repeat(32));
    }

    #[test]
    fn the_caller_is_this_process() {
        assert_eq!(Caller::current().pid, std::process::id());
    }
}
