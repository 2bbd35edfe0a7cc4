//! The tasks of people who work on VServer: `cargo xtask --help`.

mod apt;
mod build;
mod inputs;
mod kernels;
mod process;
mod rootfs;
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The tasks of people who work on VServer.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the eBPF object and the static binaries.
    Build,
    /// Run something on a stock kernel, in an emulated machine.
    #[command(subcommand)]
    Vm(vm::cli::Task),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = run(&arguments.task);
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        match arguments.task {
            // As for `timeout` and `env`: the command's own statuses lie below.
            Task::Vm(_) => ExitCode::from(125),
            _ => ExitCode::FAILURE,
        }
    })
}

fn run(task: &Task) -> Result<ExitCode> {
    let workspace = workspace::Workspace::open()?;
    match task {
        Task::Build => build::everything(&workspace).map(|_| ExitCode::SUCCESS),
        Task::Vm(task) => vm::cli::run(&workspace, task),
    }
}
