//! The command `vs`: one file per subcommand, output and exit code decided once.

mod doctor;
pub mod exit_code;
mod failures;
mod load;
pub mod output;
mod policy;
pub mod policy_files;
mod processes;
mod status;
mod unload;

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
    /// see whether a forbidden act is really denied.
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
    /// Exits with 0 if all is well, with 9 if no policy is loaded, and with 15 if not all that is loaded is enforced.
    #[command(after_help = "Example:\n  vs status --calls 5")]
    Status(status::Arguments),
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
    let arguments = Arguments::parse();
    let output = Output { is_json: arguments.json };
    match dispatch(arguments.command, output) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("vs: {:#}", failure.error);
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(command: Command, output: Output) -> CommandResult {
    match command {
        Command::Doctor => doctor::run(output),
        Command::Load(arguments) => load::run(&arguments, output),
        Command::Unload(arguments) => unload::run(&arguments, output),
        Command::Status(arguments) => status::run(&arguments, output),
        Command::Policy(command) => policy::run(command, output),
    }
}
