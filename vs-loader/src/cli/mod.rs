//! The command `vs`: one file per subcommand, output and exit code decided once.

mod addresses;
mod audit;
mod chbind;
mod context;
mod doctor;
mod enter;
mod entry;
pub mod exit_code;
mod failures;
mod ground;
mod kill;
mod load;
pub mod output;
mod policy;
pub mod policy_files;
mod processes;
mod ps;
mod reducecap;
mod run;
mod services;
mod status;
mod steer;
mod unload;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::Output;

/// Linux-VServer's contexts on a stock kernel: load policy, run programs in contexts, see every attempt to cross.
#[derive(Parser, Debug)]
#[command(name = "vs", version, max_term_width = 100)]
pub struct Arguments {
    /// Print answers as JSON, one object per line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Say what this kernel can enforce, per guarantee: full, partial or none, why, and what to change.
    ///
    /// Exits with 0 if every guarantee is full, with 14 if not. Where no policy is loaded, the programs are attached for a moment to
    /// see whether a forbidden act is really denied. Names the services on 0.0.0.0 and ::, whose ports no context with addresses can have;
    /// that does not change the status.
    #[command(after_help = "Example:\n  vs doctor --json")]
    Doctor,
    /// Put a policy in force: check it, compile it, attach what it needs, all or nothing. Again: replace it without a gap.
    #[command(after_help = "Examples:\n  vs load /etc/vs/policy.d\n  vs load --observe web.toml db.toml")]
    Load(load::Arguments),
    /// Take everything out of force.
    #[command(after_help = "Example:\n  vs unload --stop")]
    Unload(unload::Arguments),
    /// Show what is enforced now, per hook and context, and who loaded it.
    ///
    /// Exits with 0 if all is well, with 9 if no policy is loaded, and with 15 if not all that is loaded is enforced. Calls of bpf
    /// and capable are this command's, too.
    #[command(after_help = "Example:\n  vs status --calls 5")]
    Status(status::Arguments),
    /// Run a command in a context, which is started if it is not running.
    ///
    /// Exits with the command's status, 128 and the number of the signal that ended it, 125 if something failed before the command, 126 if
    /// it cannot be executed, 127 if it was not found. Processes that the command leaves behind go on in the context.
    #[command(
        after_help = "Examples:\n  vs run --context web -- nginx\n  vs run --context web --user www-data --env LANG=C -- sh\n  vs run --spectator -- ps -ef\n  vs run --new -- make -C /src"
    )]
    Run(run::Arguments),
    /// Become a command that has some of the host's addresses and no other, and is the host's in all else.
    ///
    /// For the host's own services, beside those of contexts; `chbind` as the name of a link to vs is the same. The addresses stay with
    /// whatever the command starts, and there is no way back. Exits as `vs run` does.
    #[command(
        after_help = "Examples:\n  vs chbind --ip 192.0.2.1 -- /usr/sbin/sshd -D\n  vs chbind --ip eth0 -- nginx"
    )]
    Chbind(chbind::Arguments),
    /// Become a command with fewer capabilities, of all its sets and for good.
    ///
    /// Needs no policy; `reducecap` as the name of a link to vs is the same, with VServer's options: `--CAP_NET_RAW` for `--drop CAP_NET_RAW`.
    /// Exits as `vs run` does.
    #[command(
        after_help = "Examples:\n  vs reducecap --secure -- make install\n  vs reducecap --drop net_raw,mknod --show -- sh\n  vs reducecap --show"
    )]
    Reducecap(reducecap::Arguments),
    /// Run a shell, or another command, in a context that is running.
    ///
    /// Exits as `vs run` does.
    #[command(after_help = "Examples:\n  vs enter web\n  vs enter web -- ps -ef")]
    Enter(enter::Arguments),
    /// Give sockets for datagrams that are bound to ANY those for every address of their context, not only for the primary one.
    ///
    /// Runs until it is ended, through every load. Without it a server on UDP has its primary address and its own loopback.
    #[command(after_help = "Example:\n  systemctl enable --now vs-steer")]
    Steer,
    /// Make, list, show and remove contexts.
    #[command(subcommand)]
    Context(context::ContextCommand),
    /// Show the processes that are in contexts.
    #[command(after_help = "Example:\n  vs ps --context web")]
    Ps(ps::Arguments),
    /// Signal processes of contexts, or stop whole contexts.
    #[command(after_help = "Examples:\n  vs kill -s HUP web\n  vs kill 4711\n  vs kill --all web")]
    Kill(kill::Arguments),
    /// Collect, follow and sum up what was denied, and who did what to the enforcement.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Check, show, compare and explain policies; needs no kernel that enforces.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
}

/// A failure with the exit code that scripts tell it by.
#[derive(Debug)]
pub struct Failure {
    /// One of [`exit_code`].
    pub code: u8,
    /// What happened and what to do about it.
    pub error: anyhow::Error,
}

impl Failure {
    /// A failure with its code.
    pub fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { code: exit_code::FAILURE, error }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { code: exit_code::FAILURE, error: error.into() }
    }
}

/// What a subcommand comes to: an exit code, or a failure to print.
pub type CommandResult = Result<u8, Failure>;

/// Parses the command line, runs the subcommand, prints its failure, and returns the status for the shell.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse_from(words()) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let output = Output { is_json: arguments.json };
    match dispatch(arguments.command, output) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("vs: {:#}", failure.error);
            ExitCode::from(failure.code)
        }
    }
}

/// The command line; called by a classic name, as if that were the subcommand's.
fn words() -> Vec<OsString> {
    let mut words: Vec<_> = std::env::args_os().collect();
    let name = words.first().and_then(|name| Path::new(name).file_name()).unwrap_or_default();
    if let Some(classic) = ["chbind", "reducecap"].into_iter().find(|classic| *classic == name) {
        words.insert(1, classic.into());
    }
    if words.get(1).is_some_and(|word| word == "reducecap") {
        let options = words.split_off(2);
        words.extend(reducecap::modernize(options));
    }
    words
}

/// Prints what is wrong with the command line, or the help that was asked for. A wrong one of `vs run` is a failure before the command,
/// whose statuses include 2.
fn refuse(error: &clap::Error) -> ExitCode {
    // A closed pipe, or no standard error at all: there is nobody to be told.
    let _ = error.print();
    let is_run = words()
        .into_iter()
        .skip(1)
        .find(|word| word != "--json")
        .is_some_and(|word| word == "run" || word == "enter" || word == "chbind" || word == "reducecap");
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if is_run => ExitCode::from(exit_code::RUN_FAILED),
        _ => ExitCode::from(exit_code::USAGE),
    }
}

fn dispatch(command: Command, output: Output) -> CommandResult {
    match command {
        Command::Doctor => doctor::run(output),
        Command::Load(arguments) => load::run(&arguments, output),
        Command::Unload(arguments) => unload::run(&arguments, output),
        Command::Status(arguments) => status::run(&arguments, output),
        Command::Run(arguments) => run::run(arguments),
        Command::Chbind(arguments) => chbind::run(&arguments),
        Command::Reducecap(arguments) => reducecap::run(&arguments),
        Command::Enter(arguments) => enter::run(arguments),
        Command::Steer => steer::run(),
        Command::Context(command) => context::run(command, output),
        Command::Ps(arguments) => ps::run(&arguments, output),
        Command::Kill(arguments) => kill::run(&arguments),
        Command::Audit(command) => audit::run(command, output),
        Command::Policy(command) => policy::run(command, output),
    }
}
