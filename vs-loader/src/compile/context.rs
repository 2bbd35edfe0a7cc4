//! One context's row: made from policy, and taken apart again for people.
//!
//! A row may come from the kernel's maps, where a newer loader may have written numbers this one has no word for: they are shown as
//! numbers and never lost.

use std::borrow::Cow;
use std::fmt;

use vs_common::capability::{DEFAULT_SET, NET_RAW};
use vs_common::id::{Generation, Xid};
use vs_common::policy_entry::{ContextRules, Mode, ProcMode, context_flag};

use crate::policy::{ContextPolicy, SpectatorPolicy, pad};

/// The spectator's name, in its row and wherever a context's name stands.
pub(super) const SPECTATOR_NAME: &str = "spectator";

/// The row of a context that policy names.
pub(super) fn context_rules(context: &ContextPolicy, generation: Generation, flags: u32) -> ContextRules {
    let raw = if flags & context_flag::RAW != 0 { 1 << NET_RAW } else { 0 };
    ContextRules {
        generation,
        mode: context.mode().value() as u32,
        proc_mode: context.proc_mode().value() as u32,
        flags,
        records_per_second: context.records_per_second().value(),
        record_burst: context.record_burst().value(),
        reserved: 0,
        capabilities: context.capabilities().current().value() | raw,
        capabilities_max: context.capabilities().max().value() | raw,
        name: context.name().to_padded(),
    }
}

/// The row of the spectator. It lives in the host's mount tree, and it has no mode: changing nothing is what it is.
pub(super) fn spectator_rules(
    spectator: &SpectatorPolicy,
    generation: Generation,
    flags: u32,
) -> ContextRules {
    ContextRules {
        generation,
        mode: Mode::Enforce as u32,
        proc_mode: ProcMode::Plain as u32,
        flags,
        records_per_second: spectator.records_per_second().value(),
        record_burst: spectator.record_burst().value(),
        reserved: 0,
        capabilities: DEFAULT_SET,
        capabilities_max: DEFAULT_SET,
        name: pad(SPECTATOR_NAME),
    }
}

/// The name in a row.
pub fn name_of(rules: &ContextRules) -> Cow<'_, str> {
    let end = rules.name.iter().position(|byte| *byte == 0).unwrap_or(rules.name.len());
    String::from_utf8_lossy(&rules.name[..end])
}

/// The word for a row's mode.
pub fn mode_name(number: u32) -> Cow<'static, str> {
    Mode::from_number(number).map_or_else(|| format!("mode {number}").into(), |mode| mode.name().into())
}

/// The word for a row's proc mode.
pub fn proc_mode_name(number: u32) -> Cow<'static, str> {
    ProcMode::from_number(number)
        .map_or_else(|| format!("proc mode {number}").into(), |proc_mode| proc_mode.name().into())
}

/// The words for the bits of [`context_flag`].
const FLAGS: [(u32, &str); 13] = [
    (context_flag::DYNAMIC, "dynamic"),
    (context_flag::ORPHAN, "orphan"),
    (context_flag::PROC_LOCK, "proc_lock"),
    (context_flag::NETWORK, "network"),
    (context_flag::NETWORK_ONLY, "network-only"),
    (context_flag::PING, "ping-sockets"),
    (context_flag::RECEIVE, "receive-judged"),
    (context_flag::RAW, "raw-sockets"),
    (context_flag::FILES, "files"),
    (context_flag::FILES_JUDGED, "files-judged"),
    (context_flag::ROOT, "root"),
    (context_flag::BARRIERS, "barriers"),
    (context_flag::SET_UTSNAME, "set_utsname"),
];

/// The words for a row's flags.
pub fn flag_names(flags: u32) -> Vec<Cow<'static, str>> {
    (0..u32::BITS)
        .map(|bit| flags & (1 << bit))
        .filter(|flag| *flag != 0)
        .map(|flag| match FLAGS.into_iter().find(|(known, _)| *known == flag) {
            Some((_, name)) => name.into(),
            None => format!("flag {flag:#x}").into(),
        })
        .collect()
}

/// How messages call a context: `context web (xid 100)`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ContextLabel {
    /// Its number.
    pub xid: Xid,
    /// Its name.
    pub name: String,
}

impl ContextLabel {
    /// Of the row with this number.
    pub fn of(xid: Xid, rules: &ContextRules) -> Self {
        Self { xid, name: name_of(rules).into_owned() }
    }

    /// Of the host, which has no row.
    pub const fn host() -> Self {
        Self { xid: Xid::HOST, name: String::new() }
    }
}

impl fmt::Display for ContextLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.xid {
            Xid::HOST => f.write_str("the host"),
            Xid::SPECTATOR => write!(f, "spectator (xid {})", self.xid),
            xid => write!(f, "context {} (xid {xid})", self.name.escape_debug()),
        }
    }
}
