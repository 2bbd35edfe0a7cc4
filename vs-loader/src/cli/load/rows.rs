//! The rows that a policy comes to, once processes that stand in its way are stopped or kept.

use std::collections::BTreeMap;

use anyhow::anyhow;
use vs_common::context::Tag;
use vs_common::id::{ContextKind, Generation, Xid};
use vs_common::policy_entry::Mode;

use super::Arguments;
use crate::cli::addresses::Foreseen;
use crate::cli::processes::{live_processes, stop_contexts};
use crate::cli::{Failure, exit_code};
use crate::compile::files::file_claims;
use crate::compile::{
    Conflict, ContextLabel, EpochRows, Known, MapEntries, Networks, Rows, compile, keep_orphans,
    reload_conflicts,
};
use crate::host_files;
use crate::kernel::attach::boot_clock;
use crate::maps::apply::next_generation;
use crate::maps::live::LiveStore;
use crate::policy::Policy;

/// What a load puts in force: every context's rules, and the addresses of those that have some.
///
/// # Errors
/// The policy does not fit what is in force, or processes are in the way and nobody said what is to become of them.
pub(super) fn wanted(
    arguments: &Arguments,
    policy: &Policy,
    old: EpochRows<'_>,
    store: &mut LiveStore,
) -> Result<(Rows, Networks), Failure> {
    let entries = compiled(policy, old, next_generation(store, boot_clock())?)?;
    let mut conflicts = reload_conflicts(old.rows, entries.rows(), &live_processes(store)?);
    if arguments.stop && !conflicts.is_empty() {
        // Before anything dies for a policy that the machine cannot have.
        Foreseen::of(Some(policy), entries.rows(), entries.networks())?;
        host_files::open(file_claims(policy, entries.rows()))?.foresee(label_of(entries.rows()))?;
        stop_contexts(store, old.rows, conflicts.iter().map(|conflict| conflict.context.xid))?;
        conflicts = reload_conflicts(old.rows, entries.rows(), &live_processes(store)?);
    }
    if conflicts.is_empty() {
        return Ok(rows_of(&entries, arguments.observe));
    }
    if !arguments.keep_orphans {
        return Err(refused(&conflicts));
    }
    let kept = keep_orphans(&entries, old, &conflicts);
    let kept = kept.map_err(|error| Failure::new(exit_code::PROCESSES_ALIVE, error))?;
    Ok(rows_of(&kept, arguments.observe))
}

/// Whose a directory is, by these rows.
pub(super) fn label_of(rows: &Rows) -> impl Fn(&Tag) -> ContextLabel {
    |tag| rows.get(&tag.xid).map_or_else(ContextLabel::host, |rules| ContextLabel::of(tag.xid, rules))
}

/// What a load would put in force with these processes alive, and what stands in its way.
///
/// # Errors
/// The policy does not fit what is in force.
pub(super) fn foreseen(
    arguments: &Arguments,
    policy: &Policy,
    old: EpochRows<'_>,
    live: &BTreeMap<Xid, usize>,
) -> Result<((Rows, Networks), Vec<Conflict>), Failure> {
    let entries = compiled(policy, old, Generation(1))?;
    let conflicts = reload_conflicts(old.rows, entries.rows(), live);
    if arguments.keep_orphans && !conflicts.is_empty() {
        let kept = keep_orphans(&entries, old, &conflicts);
        let kept = kept.map_err(|error| Failure::new(exit_code::PROCESSES_ALIVE, error))?;
        return Ok((rows_of(&kept, arguments.observe), Vec::new()));
    }
    let conflicts = if arguments.stop { Vec::new() } else { conflicts };
    Ok((rows_of(&entries, arguments.observe), conflicts))
}

fn compiled(policy: &Policy, old: EpochRows<'_>, next_generation: Generation) -> Result<MapEntries, Failure> {
    let known = Known { rows: old.rows, networks: old.networks, next_generation };
    compile(policy, &known).map_err(|error| Failure::new(exit_code::BAD_POLICY, error))
}

/// The rows, every guest's in mode observe if that is asked for, and the addresses.
fn rows_of(entries: &MapEntries, is_observing: bool) -> (Rows, Networks) {
    let mut rows = entries.rows().clone();
    for (xid, rules) in &mut rows {
        if is_observing && xid.kind() == ContextKind::Guest {
            rules.mode = Mode::Observe as u32;
        }
    }
    (rows, entries.networks().clone())
}

/// The refusal of a load because of processes.
pub(super) fn refused(conflicts: &[Conflict]) -> Failure {
    let list: Vec<_> = conflicts.iter().map(ToString::to_string).collect();
    let error = anyhow!(
        "processes stand in the way of this policy; --stop ends them, --keep-orphans leaves them under the rules they have:\n{}",
        list.join("\n")
    );
    Failure { code: exit_code::PROCESSES_ALIVE, error }
}
