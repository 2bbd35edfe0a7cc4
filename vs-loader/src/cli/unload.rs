//! `vs unload`: nothing is in force any more, and nothing is left of it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use vs_common::id::{Epoch, Xid};

use super::output::Output;
use super::processes::{join_host, live_processes, stop_contexts};
use super::{CommandResult, Failure, addresses, audit, exit_code};
use crate::audit::control::{Caller, Unload};
use crate::audit::{Announcement, announce};
use crate::compile::{ContextLabel, Rows};
use crate::kernel::attach::Session;
use crate::kernel::object::EMBEDDED;
use crate::kernel::pins::Pins;
use crate::kernel::support::Support;
use crate::lock::{Lock, PATIENCE};
use crate::maps::apply::{self, rows_of};
use crate::maps::live::OpenError;
use crate::maps::store::Store;

/// The arguments of `vs unload`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Stop all contexts first.
    #[arg(long)]
    stop: bool,
}

/// What was in force.
#[derive(Serialize, Debug)]
struct Answer {
    /// 0: nothing was, and what an interrupted command had left is removed.
    epoch: u32,
}

/// Takes everything out of force.
pub(super) fn run(arguments: &Arguments, output: Output) -> CommandResult {
    let support = Support::probe();
    join_host(&support)?;
    let _lock = Lock::exclusive(PATIENCE)?;
    let pins = Pins::default();
    if !pins.is_there() {
        // An address may have outlived all else of a load that failed.
        if !addresses::remove_all() {
            return Err(OpenError::NotLoaded.into());
        }
        output.answer(&Answer { epoch: 0 }, print)?;
        return Ok(exit_code::SUCCESS);
    }
    let epoch = match Session::open_existing(EMBEDDED, support)? {
        Some(mut session) => {
            let epoch = session.store.epoch()?;
            let rows = rows_of(&session.store, epoch)?;
            let mut live = live_processes(&session.store)?;
            if arguments.stop && !live.is_empty() {
                stop_contexts(&mut session.store, &rows, live.keys().copied())?;
                live = live_processes(&session.store)?;
            }
            if !live.is_empty() {
                return Err(refused(&rows, &live));
            }
            audit::settle();
            apply::unload(&mut session.store, &mut session.programs)?;
            epoch
        }
        None => Epoch(0),
    };
    addresses::remove_all();
    pins.remove_maps()?;
    if epoch != Epoch(0) {
        let unload = Unload { epoch: epoch.0, by: Caller::current() };
        if let Err(error) = announce(Announcement::Unload(unload)) {
            eprintln!("vs: {error}");
        }
    }
    output.answer(&Answer { epoch: epoch.0 }, print)?;
    Ok(exit_code::SUCCESS)
}

fn print(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    match answer.epoch {
        0 => writeln!(out, "nothing was in force; what an interrupted command had left is removed"),
        epoch => writeln!(out, "epoch {epoch} is no longer in force, and nothing else is"),
    }
}

fn refused(rows: &Rows, live: &BTreeMap<Xid, usize>) -> Failure {
    let list: Vec<_> = live
        .iter()
        .map(|(xid, count)| {
            let context = rows.get(xid).map_or_else(
                || format!("xid {xid}, which no policy names,"),
                |rules| ContextLabel::of(*xid, rules).to_string(),
            );
            format!("{context} has {count} live process{}", if *count == 1 { "" } else { "es" })
        })
        .collect();
    let error = anyhow!(
        "contexts have processes, which would be the host's without enforcement; stop them, or vs unload --stop:\n{}",
        list.join("\n")
    );
    Failure { code: exit_code::PROCESSES_ALIVE, error }
}
