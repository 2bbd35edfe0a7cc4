//! `vs load --dry-run`: what a load would change, without changing anything.

use std::io::{self, Write};

use anyhow::anyhow;
use serde::Serialize;
use vs_common::hook::Hook;

use super::{Arguments, rows};
use crate::cli::addresses::{Foreseen, add_sources};
use crate::cli::output::Output;
use crate::cli::processes::live_processes;
use crate::cli::{CommandResult, Failure, exit_code};
use crate::compile::files::file_claims;
use crate::compile::{EpochRows, diff, needed_hooks};
use crate::host_files;
use crate::host_network::HostNetworkError;
use crate::kernel::pins::Pins;
use crate::kernel::support::Support;
use crate::maps::apply::{networks_of, rows_of};
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
    let (old, old_networks, live) = match &store {
        Some(store) => {
            let epoch = store.epoch()?;
            (rows_of(store, epoch)?, networks_of(store, epoch)?, live_processes(store)?)
        }
        None => Default::default(),
    };
    let in_force = EpochRows { rows: &old, networks: &old_networks };
    let ((new, mut new_networks), conflicts) = rows::foreseen(arguments, policy, in_force, &live)?;
    add_sources(&new, &mut new_networks)?;
    let (before, after) = (if old.is_empty() { Vec::new() } else { needed_hooks(&old) }, needed_hooks(&new));
    support.require(&after)?;
    let missing = |all: &[Hook], from: &[Hook]| {
        all.iter().filter(|hook| !from.contains(hook)).map(|hook| hook.name()).collect()
    };
    let (addresses, flaws) = match Foreseen::of(Some(policy), &new, &new_networks) {
        Ok(foreseen) => (foreseen.map(|foreseen| foreseen.lines()).unwrap_or_default(), Vec::new()),
        Err(HostNetworkError::Flaws(flaws)) => (Vec::new(), flaws),
        Err(error) => return Err(error.into()),
    };
    let changes = diff(in_force, EpochRows { rows: &new, networks: &new_networks });
    let answer = Answer {
        changes: changes.iter().map(ToString::to_string).chain(addresses).collect(),
        attached: missing(&after, &before),
        detached: missing(&before, &after),
        refused: conflicts
            .iter()
            .map(ToString::to_string)
            .chain(flaws.iter().map(ToString::to_string))
            .collect(),
    };
    output.answer(&answer, print)?;
    host_files::open(file_claims(policy, &new))?.foresee(rows::label_of(&new))?;
    match (conflicts.is_empty(), flaws.is_empty()) {
        (true, true) => Ok(exit_code::SUCCESS),
        (false, true) => Err(rows::refused(&conflicts)),
        (true, false) => Err(HostNetworkError::Flaws(flaws).into()),
        (false, false) => {
            let flaws = HostNetworkError::Flaws(flaws);
            let Failure { code, error } = rows::refused(&conflicts);
            Err(Failure { code, error: anyhow!("{error}\n{flaws}") })
        }
    }
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
