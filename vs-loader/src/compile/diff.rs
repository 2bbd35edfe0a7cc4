//! What a load changes, for showing: the load itself writes a whole epoch.
//!
//! Changes come in an order in which they could be made one by one without a moment laxer than both ends: what tightens first, what
//! loosens last.

use std::fmt;

use vs_common::id::Xid;
use vs_common::policy_entry::{ContextRules, Mode, ProcMode, context_flag};

use super::context::{ContextLabel, flag_names, mode_name, proc_mode_name};
use super::entries::Rows;

/// One change of one context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapChange {
    /// The context.
    pub context: ContextLabel,
    /// What changes.
    pub change: Change,
}

/// What changes of a context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nobody can enter it any more.
    Removed,
    /// One bit of [`context_flag`] changes.
    Flag {
        /// The bit.
        flag: u32,
        /// Whether it is set from now on.
        is_set: bool,
    },
    /// [`ContextRules::mode`].
    Mode(u32, u32),
    /// [`ContextRules::proc_mode`].
    ProcMode(u32, u32),
    /// [`ContextRules::records_per_second`].
    RecordsPerSecond(u32, u32),
    /// [`ContextRules::record_burst`].
    RecordBurst(u32, u32),
    /// It can be entered from now on, under these rules.
    Added(ContextRules),
}

/// Which way a change goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Direction {
    /// Less is possible than before.
    Tightens,
    /// As much as before.
    Neutral,
    /// More is possible than before, or it cannot be told.
    Loosens,
}

impl Change {
    /// Which way it goes.
    pub fn direction(&self) -> Direction {
        let by = |is_tighter: bool| if is_tighter { Direction::Tightens } else { Direction::Loosens };
        match *self {
            Self::Removed => Direction::Tightens,
            Self::Added(_) => Direction::Loosens,
            Self::Flag { flag: context_flag::PROC_LOCK, is_set } => by(is_set),
            Self::Flag { flag: context_flag::DYNAMIC | context_flag::ORPHAN, .. } => Direction::Neutral,
            Self::Flag { .. } => Direction::Loosens,
            Self::Mode(_, to) => by(Mode::from_number(to) == Some(Mode::Enforce)),
            // The numbers rise with what a context sees of the host.
            Self::ProcMode(from, to) => by(to < from && ProcMode::from_number(from).is_some()),
            Self::RecordsPerSecond(..) | Self::RecordBurst(..) => Direction::Neutral,
        }
    }
}

impl MapChange {
    /// Makes the change in some rows. A change of a context that has no row is none.
    pub fn apply_to(&self, rows: &mut Rows) {
        let xid = self.context.xid;
        match self.change {
            Change::Removed => _ = rows.remove(&xid),
            Change::Added(rules) => _ = rows.insert(xid, rules),
            _ => {
                if let Some(rules) = rows.get_mut(&xid) {
                    self.change.apply_to_rules(rules);
                }
            }
        }
    }
}

impl Change {
    fn apply_to_rules(&self, rules: &mut ContextRules) {
        match *self {
            Self::Removed | Self::Added(_) => {}
            Self::Flag { flag, is_set: true } => rules.flags |= flag,
            Self::Flag { flag, is_set: false } => rules.flags &= !flag,
            Self::Mode(_, to) => rules.mode = to,
            Self::ProcMode(_, to) => rules.proc_mode = to,
            Self::RecordsPerSecond(_, to) => rules.records_per_second = to,
            Self::RecordBurst(_, to) => rules.record_burst = to,
        }
    }
}

impl fmt::Display for MapChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.context, self.change)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Removed => f.write_str("removed"),
            Self::Added(rules) => write!(
                f,
                "added with mode {}, proc {}, records_per_second {}, record_burst {}{}",
                mode_name(rules.mode),
                proc_mode_name(rules.proc_mode),
                rules.records_per_second,
                rules.record_burst,
                flag_names(rules.flags).iter().map(|flag| format!(", {flag}")).collect::<Vec<_>>().concat(),
            ),
            Self::Flag { flag, is_set } => {
                let (from, to) = if is_set { ("off", "on") } else { ("on", "off") };
                write!(f, "{} {from} -> {to}", flag_names(flag).concat())
            }
            Self::Mode(from, to) => write!(f, "mode {} -> {}", mode_name(from), mode_name(to)),
            Self::ProcMode(from, to) => {
                write!(f, "proc {} -> {}", proc_mode_name(from), proc_mode_name(to))
            }
            Self::RecordsPerSecond(from, to) => write!(f, "records_per_second {from} -> {to}"),
            Self::RecordBurst(from, to) => write!(f, "record_burst {from} -> {to}"),
        }
    }
}

/// The changes that lead from `old` to `new`: made one after the other they do.
///
/// A number under another name or generation is another context: the old one is removed and the new one added.
pub fn diff(old: &Rows, new: &Rows) -> Vec<MapChange> {
    let mut changes = Vec::new();
    let mut push = |xid: Xid, rules: &ContextRules, change: Change| {
        changes.push(MapChange { context: ContextLabel::of(xid, rules), change });
    };
    for (xid, before) in old {
        match new.get(xid) {
            Some(after) if is_same_context(before, after) => {
                for change in changes_of(before, after) {
                    push(*xid, after, change);
                }
            }
            _ => push(*xid, before, Change::Removed),
        }
    }
    for (xid, after) in new {
        if !old.get(xid).is_some_and(|before| is_same_context(before, after)) {
            push(*xid, after, Change::Added(*after));
        }
    }
    // Stable: within a direction removals come before what changes, by number, and additions last.
    changes.sort_by_key(|change| {
        let is_addition = matches!(change.change, Change::Added(_));
        let is_removal = matches!(change.change, Change::Removed);
        (change.change.direction(), !is_removal, is_addition, change.context.xid)
    });
    changes
}

/// Whether processes of the one are processes of the other.
fn is_same_context(a: &ContextRules, b: &ContextRules) -> bool {
    a.name == b.name && a.generation == b.generation && a.reserved == b.reserved
}

/// What differs between two rows of one context.
fn changes_of(before: &ContextRules, after: &ContextRules) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut number = |from: u32, to: u32, change: fn(u32, u32) -> Change| {
        if from != to {
            changes.push(change(from, to));
        }
    };
    number(before.mode, after.mode, Change::Mode);
    number(before.proc_mode, after.proc_mode, Change::ProcMode);
    number(before.records_per_second, after.records_per_second, Change::RecordsPerSecond);
    number(before.record_burst, after.record_burst, Change::RecordBurst);
    for bit in 0..u32::BITS {
        let flag = 1 << bit;
        if (before.flags ^ after.flags) & flag != 0 {
            changes.push(Change::Flag { flag, is_set: after.flags & flag != 0 });
        }
    }
    changes
}
