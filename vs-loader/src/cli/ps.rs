//! `vs ps`: every process that is in a context.

use std::io::{self, Write};

use clap::{ArgGroup, Args};
use serde::Serialize;
use vs_common::id::Xid;

use super::ground::Ground;
use super::output::Output;
use super::{CommandResult, exit_code};
use crate::context::processes::{self, Member, ProcessError};
use crate::context::registry::{self, Context, Selector};

/// The arguments of `vs ps`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").multiple(false))]
pub(super) struct Arguments {
    /// Only those of the context of this name.
    #[arg(long, group = "which", value_name = "NAME")]
    context: Option<String>,
    /// Only those with this number, of whatever generation.
    #[arg(long, group = "which", value_name = "XID")]
    xid: Option<u32>,
    /// Only those of the spectator.
    #[arg(long, group = "which")]
    spectator: bool,
}

/// A process of a context.
#[derive(Serialize, Debug)]
pub(super) struct ProcessAnswer {
    pid: u32,
    xid: u32,
    /// Null: no row of the epoch in force is for its generation of the xid.
    context: Option<String>,
    generation: u64,
    /// Its number in its own PID namespace.
    pid_inside: u32,
    uid: u32,
    /// As in ps(1).
    state: char,
    /// It has its tag and has not executed its program yet.
    entering: bool,
    command: String,
}

impl ProcessAnswer {
    /// What is told of a process; nothing, if it has ended.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub(super) fn of(member: &Member, contexts: &[Context]) -> Result<Option<Self>, ProcessError> {
        let Some(description) = member.describe()? else { return Ok(None) };
        let context = contexts.iter().find(|context| context.has(&member.tag));
        let inside = description.namespace_pids.last().copied().unwrap_or(0);
        Ok(Some(Self {
            pid: member.pid.as_raw_nonzero().get().unsigned_abs(),
            xid: member.tag.xid.0,
            context: context.map(|context| context.name.clone()),
            generation: member.tag.generation.0,
            pid_inside: inside.unsigned_abs(),
            uid: description.uid,
            state: description.state,
            entering: member.tag.is_entering(),
            command: description.command,
        }))
    }
}

/// Shows the processes.
pub(super) fn run(arguments: &Arguments, output: Output) -> CommandResult {
    super::ground::require_root()?;
    let ground = Ground::reach()?;
    let contexts = registry::contexts(&ground.store)?;
    let wanted = match (&arguments.context, arguments.xid) {
        (Some(name), _) => Some(registry::find(&ground.store, &Selector::Name(name.clone()))?.xid),
        (None, Some(xid)) => Some(Xid(xid)),
        (None, None) => arguments.spectator.then_some(Xid::SPECTATOR),
    };
    let mut answers = Vec::new();
    processes::for_each_member(&ground.store, |member| {
        if wanted.is_none_or(|wanted| member.tag.xid == wanted) {
            answers.extend(ProcessAnswer::of(&member, &contexts)?);
        }
        Ok::<_, ProcessError>(())
    })?;
    answers.sort_by_key(|answer| (answer.xid, answer.pid));
    output.lines(&answers, print_processes)?;
    Ok(exit_code::SUCCESS)
}

/// Prints them as a table.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print_processes(answers: &[ProcessAnswer], out: &mut dyn Write) -> io::Result<()> {
    let name = |answer: &ProcessAnswer| answer.context.clone().unwrap_or_else(|| "-".to_owned());
    let width = answers.iter().map(|answer| name(answer).len()).max().unwrap_or(0).max(7);
    writeln!(out, "{:>7} {:>5} {:<width$} {:>7} {:>5} S COMMAND", "PID", "XID", "CONTEXT", "INSIDE", "UID")?;
    for answer in answers {
        let ProcessAnswer { pid, xid, pid_inside, uid, state, command, .. } = answer;
        writeln!(
            out,
            "{pid:>7} {xid:>5} {:<width$} {pid_inside:>7} {uid:>5} {state} {command}",
            name(answer)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_a_generation_without_a_row_has_no_context_name() {
        let answer = |context: Option<&str>| ProcessAnswer {
            pid: 812,
            xid: 5,
            context: context.map(str::to_owned),
            generation: 3,
            pid_inside: 1,
            uid: 0,
            state: 'S',
            entering: false,
            command: "vs-reaper".to_owned(),
        };
        let mut table = Vec::new();
        print_processes(&[answer(Some("web")), answer(None)], &mut table).unwrap();
        assert_eq!(
            String::from_utf8(table).unwrap(),
            "    PID   XID CONTEXT  INSIDE   UID S COMMAND\n    812     5 web           1     0 S vs-reaper\n    812     5 -             1     0 S vs-reaper\n"
        );
        let json = serde_json::to_value(answer(None)).unwrap();
        assert_eq!(json["context"], serde_json::Value::Null);
        assert_eq!(json["pid_inside"], 1);
    }
}
