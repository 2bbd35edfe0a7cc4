//! `vs load --dry-run`: what a load would change, without changing anything.

use std::io::{self, Write};

use serde::Serialize;
use vs_common::hook::Hook;

use super::{Arguments, rows};
use crate::cli::output::Output;
use crate::cli::processes::live_processes;
use crate::cli::{CommandResult, exit_code};
use crate::compile::{diff, needed_hooks};
use crate::kernel::pins::Pins;
use crate::kernel::support::Support;
use crate::maps::apply::rows_of;
use crate::maps::live::LiveStore;
use crate::maps::store::Store;
use crate::policy::Policy;

#[derive(Serialize, Debug)]
struct Answer {
    changes: Vec<String>,
    attached: Vec<&'static str>,
    detached: Vec<&'static str>,
    /// What the load would be refused for.
    refused: Vec<String>,
}

pub(super) fn run(
    arguments: &Arguments,
    policy: &Policy,
    support: &Support,
    output: Output,
) -> CommandResult {
    let store = LiveStore::open_pinned(&Pins::default())?;
    let (old, live) = match &store {
        Some(store) => (rows_of(store, store.epoch()?)?, live_processes(store)?),
        None => Default::default(),
    };
    let (new, conflicts) = rows::foreseen(arguments, policy, &old, &live)?;
    let (before, after) = (if old.is_empty() { Vec::new() } else { needed_hooks(&old) }, needed_hooks(&new));
    support.require(&after)?;
    let missing = |all: &[Hook], from: &[Hook]| {
        all.iter().filter(|hook| !from.contains(hook)).map(|hook| hook.name()).collect()
    };
    let answer = Answer {
        changes: diff(&old, &new).iter().map(ToString::to_string).collect(),
        attached: missing(&after, &before),
        detached: missing(&before, &after),
        refused: conflicts.iter().map(ToString::to_string).collect(),
    };
    output.answer(&answer, print)?;
    if conflicts.is_empty() { Ok(exit_code::SUCCESS) } else { Err(rows::refused(&conflicts)) }
}

fn print(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    if answer.changes.is_empty() {
        writeln!(out, "no changes")?;
    }
    for change in &answer.changes {
        writeln!(out, "{change}")?;
    }
    for (what, hooks) in [("attached", &answer.attached), ("detached", &answer.detached)] {
        if !hooks.is_empty() {
            writeln!(out, "hooks {what}: {}", hooks.join(", "))?;
        }
    }
    Ok(())
}
