//! The rows that a policy comes to, once processes that stand in its way are stopped or kept.

use std::collections::BTreeMap;

use anyhow::anyhow;
use vs_common::id::{ContextKind, Generation, Xid};
use vs_common::policy_entry::Mode;

use super::Arguments;
use crate::cli::processes::{live_processes, stop_contexts};
use crate::cli::{Failure, exit_code};
use crate::compile::{Conflict, Known, MapEntries, Rows, compile, keep_orphans, reload_conflicts};
use crate::kernel::attach::boot_clock;
use crate::maps::apply::next_generation;
use crate::maps::live::LiveStore;
use crate::policy::Policy;

/// What a load puts in force.
///
/// # Errors
/// The policy does not fit what is in force, or processes are in the way and nobody said what is to become of them.
pub(super) fn wanted(
    arguments: &Arguments,
    policy: &Policy,
    old: &Rows,
    store: &mut LiveStore,
) -> Result<Rows, Failure> {
    let entries = compiled(policy, old, next_generation(store, boot_clock())?)?;
    let mut conflicts = reload_conflicts(old, entries.rows(), &live_processes(store)?);
    if arguments.stop && !conflicts.is_empty() {
        stop_contexts(store, old, conflicts.iter().map(|conflict| conflict.context.xid))?;
        conflicts = reload_conflicts(old, entries.rows(), &live_processes(store)?);
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

/// What a load would put in force with these processes alive, and what stands in its way.
///
/// # Errors
/// The policy does not fit what is in force.
pub(super) fn foreseen(
    arguments: &Arguments,
    policy: &Policy,
    old: &Rows,
    live: &BTreeMap<Xid, usize>,
) -> Result<(Rows, Vec<Conflict>), Failure> {
    let entries = compiled(policy, old, Generation(1))?;
    let conflicts = reload_conflicts(old, entries.rows(), live);
    if arguments.keep_orphans && !conflicts.is_empty() {
        let kept = keep_orphans(&entries, old, &conflicts);
        let kept = kept.map_err(|error| Failure::new(exit_code::PROCESSES_ALIVE, error))?;
        return Ok((rows_of(&kept, arguments.observe), Vec::new()));
    }
    let conflicts = if arguments.stop { Vec::new() } else { conflicts };
    Ok((rows_of(&entries, arguments.observe), conflicts))
}

fn compiled(policy: &Policy, old: &Rows, next_generation: Generation) -> Result<MapEntries, Failure> {
    let known = Known { rows: old, next_generation };
    compile(policy, &known).map_err(|error| Failure::new(exit_code::BAD_POLICY, error))
}

/// The rows, every guest's in mode observe if that is asked for.
fn rows_of(entries: &MapEntries, is_observing: bool) -> Rows {
    let mut rows = entries.rows().clone();
    for (xid, rules) in &mut rows {
        if is_observing && xid.kind() == ContextKind::Guest {
            rules.mode = Mode::Observe as u32;
        }
    }
    rows
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
