//! `vs audit collect`: the owner of the ring.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, ValueHint};
use sd_notify::NotifyState;

use super::super::{CommandResult, Failure, exit_code};
use super::{asked_to_stop, busy, directory, runtime, source};
use crate::audit::control::Role;
use crate::audit::file::{DEFAULT_PATH, FileSink, Rotation};
use crate::audit::journal::JournalSink;
use crate::audit::keeper::Keeper;
use crate::audit::sink::{Sink, StreamSink, Unwritten};
use crate::audit::stream::{Stage, TICK, listen, serve};
use crate::audit::time::BootId;

/// The arguments of `vs audit collect`.
#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// The file for JSON lines; `-` is standard output.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH, value_hint = ValueHint::FilePath)]
    output: PathBuf,
    /// Write no file.
    #[arg(long, conflicts_with = "output", requires = "journald")]
    no_file: bool,
    /// Write to systemd's journal.
    #[arg(long)]
    journald: bool,
    /// Begin a new file before this one has more bytes than that; 0: never.
    #[arg(long, value_name = "N", default_value_t = 64 << 20)]
    rotate_bytes: u64,
    /// Keep so many old files: FILE.1 is the youngest.
    #[arg(long, value_name = "N", default_value_t = 8)]
    keep: u32,
}

/// Collects until it is asked to stop.
pub(super) fn run(arguments: &Arguments) -> CommandResult {
    let directory = directory()?;
    let _ownership = directory.own(Role::Collect).map_err(busy)?;
    let sinks = sinks(arguments)?;
    let boot = BootId::read().context("cannot read the boot id; is /proc mounted?")?;
    let keeper = Keeper::new(directory.clone(), Role::Collect, boot, sinks, "/proc");
    let ending = runtime()?.block_on(async {
        let stop = asked_to_stop()?;
        let listener = listen(&directory)
            .with_context(|| format!("cannot listen at {}", directory.socket().display()))?;
        Ok::<_, Failure>(
            serve(source(), keeper, Role::Collect, listener, TICK, stop, service_manager()).await,
        )
    })?;
    if ending.unwritten.is_empty() {
        return Ok(exit_code::SUCCESS);
    }
    let lacking = ending.unwritten.iter().map(lacks).collect::<Vec<_>>().join("; ");
    Err(Failure::new(exit_code::AUDIT_INCOMPLETE, anyhow!("the audit is incomplete: {lacking}")))
}

fn sinks(arguments: &Arguments) -> Result<Vec<Box<dyn Sink>>, Failure> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    if arguments.output == Path::new("-") {
        sinks.push(Box::new(StreamSink::new("standard output", io::stdout())));
    } else if !arguments.no_file {
        let rotation = Rotation { bytes: arguments.rotate_bytes, keep: arguments.keep };
        sinks.push(Box::new(FileSink::open(&arguments.output, rotation).map_err(anyhow::Error::from)?));
    }
    if arguments.journald {
        sinks.push(Box::new(JournalSink::open().map_err(anyhow::Error::from)?));
    }
    Ok(sinks)
}

fn lacks(unwritten: &Unwritten) -> String {
    let Unwritten { sink, records, error } = unwritten;
    format!("{sink} lacks {records} records ({error})")
}

/// systemd's protocol. Without systemd there is nobody to tell, and a manager that cannot be told is no reason to stop.
fn service_manager() -> impl FnMut(Stage) {
    let mut has_failed = false;
    move |stage| {
        let news = match stage {
            Stage::Ready => NotifyState::Ready,
            Stage::Alive => NotifyState::Watchdog,
            Stage::Stopping => NotifyState::Stopping,
        };
        if let Err(error) = sd_notify::notify(&[news]) {
            // Once: it comes every second.
            if !std::mem::replace(&mut has_failed, true) {
                eprintln!("vs: cannot tell the service manager: {error}");
            }
        }
    }
}
