//! `vs-bench`: what the programs cost, measured on the kernel it runs on. `cargo xtask bench` runs it in a machine whose clock counts
//! instructions, `cargo xtask bench --native` on the machine at hand.
//!
//! `measure` does every operation bare, with our programs attached, as the host's and as a context's, and with empty programs on the
//! same hooks, those between two ends also through a veth pair, and prints a run. `report` puts runs together into a table, and compares them with each other and with the limits.
//!
//! | module        | job                                                             |
//! |---------------|-----------------------------------------------------------------|
//! | `operation`   | the rows: system calls, and what they answer                     |
//! | `network`     | those on sockets                                                 |
//! | `place`       | their addresses                                                  |
//! | `namespace`   | a veth pair with a network namespace, to compare with            |
//! | `worker`      | the process that does them, in a context or not                  |
//! | `partner`     | the process that is acted upon                                   |
//! | `clock`       | whether the clock counts what the figures claim                  |
//! | `program_set` | empty programs, and how often each hook was crossed              |
//! | `policy`      | the policies that are measured under                             |
//! | `enforcement` | one of them in force, by `vs` itself                             |
//! | `measure`     | one run                                                          |
//! | `limit`       | what issue and README promise                                    |
//! | `report`      | several runs: the figures, how far they differ, JSON             |
//! | `markdown`    | the table                                                        |

mod clock;
mod enforcement;
mod figure;
mod limit;
mod markdown;
mod measure;
mod namespace;
mod network;
mod operation;
mod partner;
mod place;
mod policy;
mod program;
mod program_set;
mod report;
mod system_call;
mod worker;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::clock::Unit;
use crate::enforcement::Refused;
use crate::place::Place;
use crate::policy::Policy;
use crate::report::{Origin, Report};

/// What the programs cost.
#[derive(Debug, Parser)]
#[command(name = "vs-bench")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measure once, and print the run as JSON. Loads policies of its own, one after the other, and unloads them.
    ///
    /// Exit status 4: not root; 5: the kernel asks no BPF programs (no `bpf` among the active LSMs); 7: it refuses them; 10: a policy is in
    /// force, which would be measured instead.
    Measure {
        /// The object with the empty programs.
        #[arg(long, value_name = "FILE")]
        empty: PathBuf,
        /// What the clock counts.
        #[arg(long, value_enum, default_value_t = Unit::Nanoseconds)]
        unit: Unit,
        /// Under this policy only, instead of under each in turn.
        #[arg(long, value_enum)]
        only: Option<Policy>,
    },
    /// Print the table of several runs on the same machine.
    Report {
        /// JSON instead of Markdown.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        origin: Origin,
        /// What `measure` printed.
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<PathBuf>,
    },
    /// Do operations on request.
    #[command(hide = true, name = worker::ARGUMENT)]
    Worker {
        /// Where its sockets are.
        place: Place,
    },
    /// Be acted upon.
    #[command(hide = true, name = partner::ARGUMENT)]
    Partner,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vs-bench: {error:#}");
            error.downcast_ref::<Refused>().map_or(ExitCode::FAILURE, Refused::exit_code)
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Measure { empty, unit, only } => {
            let run = measure::measure(unit, &empty, only)?;
            let mut stdout = io::stdout().lock();
            serde_json::to_writer(&mut stdout, &run)?;
            writeln!(stdout).context("printing the run")
        }
        Task::Report { json, origin, runs } => {
            let runs = runs.iter().map(|path| {
                let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
                serde_json::from_reader(file).with_context(|| format!("{} is not a run", path.display()))
            });
            let report = Report::of(origin, runs.collect::<Result<_>>()?)?;
            let text = if json { serde_json::to_string_pretty(&report)? } else { markdown::table(&report) };
            writeln!(io::stdout(), "{}", text.trim_end()).context("printing the report")
        }
        Task::Worker { place } => worker::main(place),
        Task::Partner => partner::main(),
    }
}
