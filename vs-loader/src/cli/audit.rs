//! `vs audit`: what was denied, and who did what to the enforcement.

mod collect;
mod follow;
mod summary;

use std::io;

use anyhow::anyhow;
use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};

use super::output::Output;
use super::{CommandResult, Failure, exit_code};
use crate::audit::directory::{Directory, OwnError};
use crate::audit::stream::pinned::PinnedSource;
use crate::audit::stream::settle;
use crate::kernel::pins::Pins;
use crate::maps::live::LiveStore;
use crate::maps::store::Store;

/// The subcommands of `vs audit`.
#[derive(Subcommand, Debug)]
pub(super) enum AuditCommand {
    /// Collect records: from the kernel and from other commands, into a file of JSON lines and the journal.
    ///
    /// Runs until it gets SIGTERM or SIGINT. One collector runs at a time; it waits for the first policy and goes on over unload and
    /// load. Exits with 16 if a place that records go to lacks some.
    #[command(
        after_help = "Examples:\n  vs audit collect\n  vs audit collect --output /var/log/audit.jsonl --rotate-bytes 10000000 --keep 3\n  vs audit collect --no-file --journald\n  vs audit collect --output - | jq .kind"
    )]
    Collect(collect::Arguments),
    /// Show records as they come.
    ///
    /// Attaches to the collector. Where none runs it reads the kernel's records itself, and leaves them to the next collector.
    #[command(
        after_help = "Examples:\n  vs audit follow\n  vs audit follow --context web --hook task_kill\n  vs --json audit follow --since 10m"
    )]
    Follow(follow::Arguments),
    /// Count who crossed which line how often, and what the audit lacks.
    #[command(
        after_help = "Examples:\n  vs audit summary --since 1d\n  vs --json audit summary /var/log/vs/audit.jsonl"
    )]
    Summary(summary::Arguments),
}

/// Runs the subcommand.
pub(super) fn run(command: AuditCommand, output: Output) -> CommandResult {
    match command {
        AuditCommand::Collect(arguments) => collect::run(&arguments),
        AuditCommand::Follow(arguments) => follow::run(arguments, output),
        AuditCommand::Summary(arguments) => summary::run(&arguments, output),
    }
}

/// Has everything read that is in the ring and was counted. To be called by a command that is about to remove contexts or the maps, when
/// no process is left that could be denied anything more: what was only counted goes with them. It does not keep the command from its
/// work.
pub(super) fn settle() {
    if let Err(error) = settle::settle(&Directory::system(), source()) {
        eprintln!("vs: the audit may lack the last violations of what is removed now: {error}");
    }
}

/// The audit's directory, for root.
fn directory() -> Result<Directory, Failure> {
    if !rustix::process::geteuid().is_root() {
        let error = anyhow!(
            "only root may read the audit; the lines that a collector wrote can be read with vs audit summary FILE"
        );
        return Err(Failure::new(exit_code::NOT_ROOT, error));
    }
    let directory = Directory::system();
    directory.prepare().map_err(anyhow::Error::from)?;
    Ok(directory)
}

/// The ring of the policy in force.
fn source() -> PinnedSource {
    PinnedSource::system(Box::new(|| {
        let store = LiveStore::open_pinned(&Pins::default())?;
        Ok(store.map(|store| Box::new(store) as Box<dyn Store>))
    }))
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn busy(error: OwnError) -> Failure {
    let code = match error {
        OwnError::Busy { .. } => exit_code::LOCKED,
        OwnError::Lock { .. } => exit_code::FAILURE,
    };
    Failure::new(code, error)
}

/// Waits for a signal that asks to end. From the call on, not from the first wait, none of them kills.
fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
