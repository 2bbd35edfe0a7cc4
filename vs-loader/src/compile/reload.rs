//! Whether processes that are alive allow a new policy, and what stays in force for them if the operator wants both.
//!
//! A running context must not lose its rules, change its number or what it sees of the host under its processes' feet. A load that would
//! do so is refused with the list. The operator then either stops those processes first (`--stop`), or keeps the contexts as they are
//! (`--keep-orphans`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use vs_common::id::Xid;
use vs_common::policy_entry::{ContextRules, context_flag};

use super::context::{ContextLabel, name_of, proc_mode_name};
use super::entries::{CompileError, EpochRows, MapEntries, Rows};
use super::network::Networks;

/// A context whose processes stand in the way of a new policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{context} has {}, and {kind}", processes_text(*processes))]
pub struct Conflict {
    /// The context as it is in force; for [`ConflictKind::Leftover`] as the new policy has it.
    pub context: ContextLabel,
    /// How many processes of it are alive.
    pub processes: usize,
    /// What the new policy would do to them.
    pub kind: ConflictKind,
}

/// What a new policy would do to processes that are alive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConflictKind {
    /// The context is not in it.
    Missing,
    /// The context has another number in it.
    XidChanged {
        /// That number.
        to: Xid,
    },
    /// It gives the number to another context.
    XidTaken {
        /// That context's name.
        by: String,
    },
    /// The context would see other processes than it does.
    ProcModeChanged {
        /// The number of what is in force.
        from: u32,
        /// The number of what would be.
        to: u32,
    },
    /// The second lock on `/proc` would come or go.
    ProcLockChanged {
        /// Whether it would come.
        is_set: bool,
    },
    /// Its sockets would belong to it, or no longer: it would have addresses of its own, or the host's.
    NetworkChanged {
        /// Whether it would have its own.
        is_set: bool,
    },
    /// It would confine its processes, or no longer more than their addresses.
    ConfineChanged {
        /// Whether their addresses alone from now on.
        is_network: bool,
    },
    /// It would change files in its own directories only, or no longer.
    FilesChanged {
        /// Whether from now on.
        is_set: bool,
    },
    /// Its mount tree would begin elsewhere.
    RootChanged,
    /// No row in force is for these processes: they are left from an earlier use of the number.
    Leftover,
}

/// Why contexts cannot be kept as they are beside a new policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeepError {
    /// Conflicts that keeping does not cure.
    #[error("{}\nkeeping the old rules is no cure for this; stop these processes, or choose another xid", lines(.0))]
    Uncured(Vec<Conflict>),
    /// There would be too many contexts, or two with one address.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// One conflict a line.
fn lines(conflicts: &[Conflict]) -> String {
    conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// `1 live process`, `2 live processes`.
fn processes_text(count: usize) -> String {
    format!("{count} live process{}", if count == 1 { "" } else { "es" })
}

impl fmt::Display for ConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the new policy has no such context"),
            Self::XidChanged { to } => write!(f, "the new policy gives it xid {to}"),
            Self::XidTaken { by } => {
                write!(f, "the new policy gives its xid to context {}", by.escape_debug())
            }
            Self::ProcModeChanged { from, to } => {
                write!(
                    f,
                    "the new policy changes proc from {} to {}",
                    proc_mode_name(*from),
                    proc_mode_name(*to)
                )
            }
            Self::ProcLockChanged { is_set } => {
                write!(f, "the new policy turns proc_lock {}", if *is_set { "on" } else { "off" })
            }
            Self::NetworkChanged { is_set: true } => {
                f.write_str("the new policy gives it addresses of its own, while it uses the host's")
            }
            Self::NetworkChanged { is_set: false } => {
                f.write_str("the new policy gives it the host's addresses, while it has its own")
            }
            Self::ConfineChanged { is_network: true } => {
                f.write_str("the new policy confines their addresses only")
            }
            Self::ConfineChanged { is_network: false } => {
                f.write_str("the new policy confines them, and they are the host's but for their addresses")
            }
            Self::FilesChanged { is_set: true } => {
                f.write_str("the new policy keeps it to directories of its own")
            }
            Self::FilesChanged { is_set: false } => {
                f.write_str("the new policy no longer keeps it to directories of its own")
            }
            Self::RootChanged => f.write_str("the new policy gives it another root"),
            Self::Leftover => {
                f.write_str("they are left from an earlier use of this xid, so it cannot be given yet")
            }
        }
    }
}

/// Finds what stands in the way of replacing `old` by `new` while `live` processes run, by number; nothing: it can be replaced.
pub fn reload_conflicts(old: &Rows, new: &Rows, live: &BTreeMap<Xid, usize>) -> Vec<Conflict> {
    let numbers: BTreeMap<_, _> = new.iter().map(|(xid, rules)| (name_of(rules), *xid)).collect();
    let mut conflicts = Vec::new();
    for (xid, processes) in live.iter().filter(|(_, processes)| **processes > 0) {
        let mut push = |rules: &ContextRules, kind: ConflictKind| {
            conflicts.push(Conflict { context: ContextLabel::of(*xid, rules), processes: *processes, kind });
        };
        match (old.get(xid), new.get(xid)) {
            (None, None) => {}
            (None, Some(after)) => push(after, ConflictKind::Leftover),
            (Some(before), after) => {
                for kind in kinds(before, after, numbers.get(&name_of(before)).copied()) {
                    push(before, kind);
                }
            }
        }
    }
    conflicts
}

/// What becomes of a context that has processes. `moved_to`: the number that the new policy gives to its name.
fn kinds(before: &ContextRules, after: Option<&ContextRules>, moved_to: Option<Xid>) -> Vec<ConflictKind> {
    let after = match (after, moved_to) {
        (Some(after), _) if after.name == before.name && after.generation == before.generation => after,
        (Some(after), _) if after.name == before.name => return vec![ConflictKind::Leftover],
        (_, Some(to)) => return vec![ConflictKind::XidChanged { to }],
        (Some(after), None) => return vec![ConflictKind::XidTaken { by: name_of(after).into_owned() }],
        (None, None) => return vec![ConflictKind::Missing],
    };
    let mut kinds = Vec::new();
    if before.proc_mode != after.proc_mode {
        kinds.push(ConflictKind::ProcModeChanged { from: before.proc_mode, to: after.proc_mode });
    }
    if (before.flags ^ after.flags) & context_flag::PROC_LOCK != 0 {
        kinds.push(ConflictKind::ProcLockChanged { is_set: after.flags & context_flag::PROC_LOCK != 0 });
    }
    if (before.flags ^ after.flags) & context_flag::NETWORK != 0 {
        kinds.push(ConflictKind::NetworkChanged { is_set: after.flags & context_flag::NETWORK != 0 });
    }
    if (before.flags ^ after.flags) & context_flag::NETWORK_ONLY != 0 {
        let is_network = after.flags & context_flag::NETWORK_ONLY != 0;
        kinds.push(ConflictKind::ConfineChanged { is_network });
    }
    if (before.flags ^ after.flags) & context_flag::FILES != 0 {
        kinds.push(ConflictKind::FilesChanged { is_set: after.flags & context_flag::FILES != 0 });
    }
    if (before.flags ^ after.flags) & context_flag::ROOT != 0 {
        kinds.push(ConflictKind::RootChanged);
    }
    kinds
}

/// Keeps the contexts in conflict as they are: the row in force stays with its addresses, marked as an orphan, and what the new policy says of that
/// name is left out. A name is one context still, under one number.
///
/// # Errors
/// The conflicts that this does not cure: the number is given to a context that is not itself kept, or the processes belong to no
/// row. Only `--stop` or another policy does. Or a context that is kept has an address that the policy gives to another.
pub fn keep_orphans(
    entries: &MapEntries,
    old: EpochRows<'_>,
    conflicts: &[Conflict],
) -> Result<MapEntries, KeepError> {
    let kept: BTreeMap<Xid, ContextRules> = conflicts
        .iter()
        .filter(|conflict| conflict.kind != ConflictKind::Leftover)
        .filter_map(|conflict| old.rows.get_key_value(&conflict.context.xid))
        .map(|(xid, rules)| (*xid, ContextRules { flags: rules.flags | context_flag::ORPHAN, ..*rules }))
        .collect();
    let names: BTreeSet<_> = kept.values().map(name_of).collect();
    let mut rows: Rows = entries
        .rows()
        .iter()
        .filter(|(_, rules)| !names.contains(&name_of(rules)))
        .map(|(xid, rules)| (*xid, *rules))
        .collect();
    let uncured: Vec<_> = conflicts
        .iter()
        .filter(|conflict| {
            conflict.kind == ConflictKind::Leftover || rows.contains_key(&conflict.context.xid)
        })
        .cloned()
        .collect();
    if !uncured.is_empty() {
        return Err(KeepError::Uncured(uncured));
    }
    let old_networks = old.networks.iter().filter(|(xid, _)| kept.contains_key(xid));
    let new_networks =
        entries.networks().iter().filter(|(xid, _)| **xid == Xid::HOST || rows.contains_key(xid));
    let networks: Networks =
        old_networks.chain(new_networks).map(|(xid, network)| (*xid, network.clone())).collect();
    rows.extend(kept);
    entries.with_rows(rows, networks).checked().map_err(KeepError::from)
}
