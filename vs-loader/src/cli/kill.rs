//! `vs kill`: a signal to processes of contexts, or the end of a whole context.

use anyhow::anyhow;
use clap::Args;
use rustix::process::{Pid, Signal};

use super::ground::Ground;
use super::{CommandResult, Failure, exit_code};
use crate::context::processes::{self, Member};
use crate::context::reaper;
use crate::context::registry::{self, Context, Selector};
use crate::context::stop;
use crate::lock::{Lock, PATIENCE};

/// The arguments of `vs kill`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The signal, by name or number; TERM by default.
    #[arg(short, long, value_name = "SIGNAL", value_parser = signal_named, conflicts_with = "all")]
    signal: Option<Signal>,
    /// Stop the contexts: no process of theirs can fork any more, all are killed, their namespaces go.
    #[arg(long)]
    all: bool,
    /// A context by name, also if the name is a number. May be repeated.
    #[arg(long = "context", value_name = "NAME")]
    contexts: Vec<String>,
    /// Contexts by name, or processes by the host's number.
    #[arg(value_name = "CONTEXT|PID", required_unless_present = "contexts")]
    targets: Vec<String>,
}

/// The signals of Linux, by their names without SIG.
const SIGNALS: [(&str, Signal); 31] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("ILL", Signal::ILL),
    ("TRAP", Signal::TRAP),
    ("ABRT", Signal::ABORT),
    ("BUS", Signal::BUS),
    ("FPE", Signal::FPE),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("SEGV", Signal::SEGV),
    ("USR2", Signal::USR2),
    ("PIPE", Signal::PIPE),
    ("ALRM", Signal::ALARM),
    ("TERM", Signal::TERM),
    ("STKFLT", Signal::STKFLT),
    ("CHLD", Signal::CHILD),
    ("CONT", Signal::CONT),
    ("STOP", Signal::STOP),
    ("TSTP", Signal::TSTP),
    ("TTIN", Signal::TTIN),
    ("TTOU", Signal::TTOU),
    ("URG", Signal::URG),
    ("XCPU", Signal::XCPU),
    ("XFSZ", Signal::XFSZ),
    ("VTALRM", Signal::VTALARM),
    ("PROF", Signal::PROF),
    ("WINCH", Signal::WINCH),
    ("IO", Signal::IO),
    ("PWR", Signal::POWER),
    ("SYS", Signal::SYS),
];

fn signal_named(text: &str) -> Result<Signal, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    SIGNALS
        .iter()
        .find(|(known, signal)| *known == name || text == signal.as_raw().to_string())
        .map(|(_, signal)| *signal)
        .ok_or_else(|| "no signal; a name such as TERM, or a number from 1 to 31".to_owned())
}

/// What is to be signalled.
enum Target {
    Process(Pid),
    Context(Context),
}

/// Sends the signal, or stops the contexts.
pub(super) fn run(arguments: &Arguments) -> CommandResult {
    super::ground::require_root()?;
    let mut ground = Ground::reach()?;
    let mut targets = Vec::new();
    for name in &arguments.contexts {
        targets.push(Target::Context(registry::find(&ground.store, &Selector::Name(name.clone()))?));
    }
    for target in &arguments.targets {
        targets.push(match target.parse().ok().and_then(processes::pid) {
            Some(pid) => Target::Process(pid),
            None => Target::Context(registry::find(&ground.store, &Selector::Name(target.clone()))?),
        });
    }
    if arguments.all {
        return stop_all(&mut ground, targets);
    }
    let signal = arguments.signal.unwrap_or(Signal::TERM);
    for target in targets {
        match target {
            Target::Process(pid) => {
                let member = Member::find(&ground.store, pid)?.ok_or_else(|| not_a_member(pid))?;
                send(&member, signal)?;
            }
            Target::Context(context) => processes::for_each_member(&ground.store, |member| {
                // Process 1 is no command of the context's: SIGTERM from the host would stop the context.
                if context.has(&member.tag) && !reaper::is_reaper(&member, &context)? {
                    send(&member, signal)?;
                }
                Ok::<_, Failure>(())
            })?,
        }
    }
    Ok(exit_code::SUCCESS)
}

fn stop_all(ground: &mut Ground, targets: Vec<Target>) -> CommandResult {
    let _lock = Lock::exclusive(PATIENCE)?;
    for target in targets {
        match target {
            Target::Process(pid) => {
                let error = anyhow!(
                    "--all stops contexts, and {pid} is a process; a context with a number for a name is --context {pid}"
                );
                return Err(Failure { code: exit_code::USAGE, error });
            }
            Target::Context(context) => {
                stop::stop(
                    &mut ground.store,
                    &ground.state,
                    context.xid,
                    Some(&context.name),
                    stop::PATIENCE,
                )?;
            }
        }
    }
    Ok(exit_code::SUCCESS)
}

fn not_a_member(pid: Pid) -> Failure {
    anyhow!(
        "there is no process {pid} in any context; `vs ps` shows which there are, kill(1) is for the host's"
    )
    .into()
}

fn send(member: &Member, signal: Signal) -> Result<(), Failure> {
    match rustix::process::pidfd_send_signal(&member.pidfd, signal) {
        // It has ended: there is nobody to be told.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(anyhow!("cannot signal the process {}: {error}", member.pid).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_a_name_with_or_without_sig_and_a_number() {
        for text in ["TERM", "SIGTERM", "term", "sigterm", "15"] {
            assert_eq!(signal_named(text), Ok(Signal::TERM), "{text}");
        }
        for (index, (_, signal)) in (1..).zip(SIGNALS) {
            assert_eq!(signal.as_raw(), index, "the table is in the order of the numbers");
        }
        for bad in ["", "0", "32", "015", "SIG", "TERMINATE", "-9"] {
            assert!(signal_named(bad).is_err(), "{bad}");
        }
    }
}
