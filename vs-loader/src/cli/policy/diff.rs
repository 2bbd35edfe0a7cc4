//! `vs policy diff`: what changes if one policy is loaded while another is in force.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde::Serialize;
use vs_common::hook::Hook;

use super::compile_first;
use crate::cli::output::Output;
use crate::cli::{CommandResult, exit_code, policy_files};
use crate::compile::{Conflict, Direction, Known, MapChange, compile, diff, reload_conflicts};

/// The two policies.
#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// The policy in force: a file, `-` for standard input, or a folder for the *.toml in it.
    #[arg(value_hint = ValueHint::AnyPath)]
    old: PathBuf,
    /// The policy to be loaded.
    #[arg(value_hint = ValueHint::AnyPath)]
    new: PathBuf,
}

/// The answer.
#[derive(Serialize, Debug)]
struct DiffAnswer {
    changes: Vec<ChangeAnswer>,
    /// What a load refuses while the context has processes.
    refused_while_running: Vec<RefusalAnswer>,
    attached: Vec<&'static str>,
    detached: Vec<&'static str>,
}

/// One change.
#[derive(Serialize, Debug)]
struct ChangeAnswer {
    xid: u32,
    name: String,
    direction: &'static str,
    change: String,
    #[serde(skip)]
    line: String,
}

/// One refusal.
#[derive(Serialize, Debug)]
struct RefusalAnswer {
    xid: u32,
    name: String,
    cause: String,
    #[serde(skip)]
    line: String,
}

pub(super) fn run(arguments: &Arguments, output: Output) -> CommandResult {
    policy_files::check_standard_input([&arguments.old, &arguments.new])?;
    let old = compile_first(&policy_files::load(std::slice::from_ref(&arguments.old))?)?;
    let new = policy_files::load(std::slice::from_ref(&arguments.new))?;
    let known = Known { rows: old.rows(), networks: old.networks(), next_generation: old.next_generation() };
    let new = compile(&new, &known).map_err(anyhow::Error::from)?;
    let all_running: BTreeMap<_, _> = old.rows().keys().map(|xid| (*xid, 1)).collect();
    let (before, after) = (old.needed_hooks(), new.needed_hooks());
    let missing = |all: &[Hook], from: &[Hook]| -> Vec<_> {
        all.iter().filter(|hook| !from.contains(hook)).map(|hook| hook.name()).collect()
    };
    let answer = DiffAnswer {
        changes: diff(old.epoch_rows(), new.epoch_rows()).iter().map(ChangeAnswer::of).collect(),
        refused_while_running: reload_conflicts(old.rows(), new.rows(), &all_running)
            .iter()
            .map(RefusalAnswer::of)
            .collect(),
        attached: missing(&after, &before),
        detached: missing(&before, &after),
    };
    output.answer(&answer, print)?;
    Ok(exit_code::SUCCESS)
}

impl ChangeAnswer {
    fn of(change: &MapChange) -> Self {
        let direction = match change.change.direction() {
            Direction::Tightens => "tightens",
            Direction::Neutral => "neutral",
            Direction::Loosens => "loosens",
        };
        let (xid, name) = (change.context.xid.0, change.context.name.clone());
        Self { xid, name, direction, change: change.change.to_string(), line: change.to_string() }
    }
}

impl RefusalAnswer {
    fn of(conflict: &Conflict) -> Self {
        let (xid, name) = (conflict.context.xid.0, conflict.context.name.clone());
        let cause = conflict.kind.to_string();
        Self { xid, name, line: format!("{}: {cause}", conflict.context), cause }
    }
}

fn print(answer: &DiffAnswer, out: &mut dyn Write) -> io::Result<()> {
    if answer.changes.is_empty() {
        return writeln!(out, "no changes");
    }
    for change in &answer.changes {
        writeln!(out, "{}", change.line)?;
    }
    if !answer.attached.is_empty() {
        writeln!(out, "hooks attached: {}", answer.attached.join(", "))?;
    }
    if !answer.detached.is_empty() {
        writeln!(out, "hooks detached: {}", answer.detached.join(", "))?;
    }
    for refusal in &answer.refused_while_running {
        writeln!(out, "refused while it has processes: {}", refusal.line)?;
    }
    Ok(())
}
