//! The answers of `vs context list` and `vs context show`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use vs_common::id::Xid;

use crate::cli::Failure;
use crate::cli::ground::Ground;
use crate::cli::output::Output;
use crate::cli::ps::{ProcessAnswer, print_processes};
use crate::context::processes::{self, ProcessError};
use crate::context::reaper;
use crate::context::registry::{self, Context};
use crate::policy::{capabilities_text, capability_names};

/// A context.
#[derive(Serialize, Debug)]
pub(super) struct ContextAnswer {
    name: String,
    xid: u32,
    generation: u64,
    mode: &'static str,
    proc: &'static str,
    /// "policy", "dynamic" or "orphan".
    origin: &'static str,
    /// What its processes may use now.
    capabilities: Vec<String>,
    /// What they may ever use.
    capabilities_max: Vec<String>,
    /// The same for people.
    #[serde(skip)]
    sets: [String; 2],
}

impl ContextAnswer {
    pub(super) fn of(context: &Context) -> Self {
        Self {
            name: context.name.clone(),
            xid: context.xid.0,
            generation: context.generation.0,
            mode: context.mode.name(),
            proc: context.proc_mode.name(),
            origin: match (context.is_dynamic, context.is_orphan) {
                (_, true) => "orphan",
                (true, false) => "dynamic",
                (false, false) => "policy",
            },
            capabilities: capability_names(context.capabilities),
            capabilities_max: capability_names(context.capabilities_max),
            sets: [context.capabilities, context.capabilities_max].map(capabilities_text),
        }
    }
}

pub(super) fn print_created(answer: &ContextAnswer, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} has xid {}", answer.name, answer.xid)
}

/// A context, and what runs in it.
#[derive(Serialize, Debug)]
struct RunningAnswer {
    #[serde(flatten)]
    context: ContextAnswer,
    /// "running", "stopped" or "dying".
    state: &'static str,
    /// The reaper included.
    processes: usize,
}

/// Lists all contexts.
pub(super) fn list(ground: &Ground, output: Output) -> Result<(), Failure> {
    let mut counts: BTreeMap<Xid, usize> = BTreeMap::new();
    processes::for_each_member(&ground.store, |member| {
        *counts.entry(member.tag.xid).or_default() += 1;
        Ok::<_, ProcessError>(())
    })?;
    let mut answers = Vec::new();
    for context in registry::contexts(&ground.store)? {
        let processes = counts.get(&context.xid).copied().unwrap_or(0);
        answers.push(running(ground, &context, processes)?);
    }
    output.lines(&answers, |answers, out| {
        let width = answers.iter().map(|answer| answer.context.name.len()).max().unwrap_or(0).max(7);
        writeln!(
            out,
            "{:<width$} {:>5} {:<8} {:<8} {:<8} {:<8} {:>9}",
            "CONTEXT", "XID", "MODE", "PROC", "ORIGIN", "STATE", "PROCESSES"
        )?;
        for RunningAnswer { context, state, processes } in answers {
            writeln!(
                out,
                "{:<width$} {:>5} {:<8} {:<8} {:<8} {:<8} {processes:>9}",
                context.name, context.xid, context.mode, context.proc, context.origin, state
            )?;
        }
        Ok(())
    })?;
    Ok(())
}

fn running(ground: &Ground, context: &Context, processes: usize) -> Result<RunningAnswer, Failure> {
    let state = match (registry::is_dying(&ground.store, context.xid)?, processes) {
        (true, _) => "dying",
        (false, 0) => "stopped",
        (false, _) => "running",
    };
    Ok(RunningAnswer { context: ContextAnswer::of(context), state, processes })
}

/// One context with its processes.
#[derive(Serialize, Debug)]
struct ShownAnswer {
    #[serde(flatten)]
    running: RunningAnswer,
    /// The reaper's process; null: there is none.
    reaper: Option<u32>,
    members: Vec<ProcessAnswer>,
}

/// Shows one context.
pub(super) fn show(ground: &Ground, context: &Context, output: Output) -> Result<(), Failure> {
    let mut members = Vec::new();
    processes::for_each_member(&ground.store, |member| {
        if member.tag.xid == context.xid
            && let Some(answer) = ProcessAnswer::of(&member, std::slice::from_ref(context))?
        {
            members.push(answer);
        }
        Ok::<_, ProcessError>(())
    })?;
    let reaper = reaper::search(&ground.store, context)?;
    let answer = ShownAnswer {
        running: running(ground, context, members.len())?,
        reaper: reaper.map(|reaper| reaper.pid.as_raw_nonzero().get().unsigned_abs()),
        members,
    };
    output.answer(&answer, |answer, out| {
        let RunningAnswer { context, state, processes } = &answer.running;
        writeln!(
            out,
            "context    {} (xid {}, generation {})",
            context.name, context.xid, context.generation
        )?;
        writeln!(out, "mode       {}", context.mode)?;
        writeln!(out, "proc       {}", context.proc)?;
        writeln!(out, "origin     {}", context.origin)?;
        let [current, max] = &context.sets;
        let most = if current == max { String::new() } else { format!(", at most {max}") };
        writeln!(out, "may use    {current}{most}")?;
        writeln!(out, "state      {state}")?;
        if let Some(reaper) = answer.reaper {
            writeln!(out, "reaper     {reaper}")?;
        }
        writeln!(out, "processes  {processes}")?;
        if answer.members.is_empty() {
            Ok(())
        } else {
            writeln!(out).and_then(|()| print_processes(&answer.members, out))
        }
    })?;
    Ok(())
}
