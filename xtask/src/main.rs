//! The tasks of people who work on VServer: `cargo xtask --help`.

mod apt;
mod bench;
mod build;
mod check;
mod demo;
mod inputs;
mod kernels;
mod layering;
mod process;
mod rootfs;
mod setup;
mod test;
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
    /// Install whatever the build and the test machines need, from packages. Does nothing twice.
    ///
    /// Exit status 2: packages are missing that it can't install here; it names them.
    Setup(setup::Options),
    /// Build the eBPF object and the static binaries.
    Build,
    /// Show what VServer guarantees, on nginx, procps, strace and gdb of Debian and the newest stock kernel.
    Demo(demo::Options),
    /// Run all tests: of the sources, then of the guarantees on every kernel of the matrix.
    ///
    /// The last line says `N passed, N failed`. Exit status: 1 a test failed; 120 a kernel panicked, 121 oopsed, 122 hung, 123
    /// ended without a report, 124 took too long.
    Test(test::Options),
    /// Measure what the programs cost, in executed instructions, and print the table.
    ///
    /// Exit status with --native: 4 not root; 5 the kernel asks no LSM programs; 7 it refuses them; 10 a policy is in force.
    Bench(bench::Options),
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
            _ if error.is::<setup::CannotInstall>() => ExitCode::from(setup::CannotInstall::STATUS),
            _ => ExitCode::FAILURE,
        }
    })
}

fn run(task: &Task) -> Result<ExitCode> {
    let workspace = workspace::Workspace::open()?;
    match task {
        Task::Setup(options) => setup::run(options).map(|()| ExitCode::SUCCESS),
        Task::Demo(options) => demo::run(&workspace, options),
        Task::Build => build::everything(&workspace).map(|_| ExitCode::SUCCESS),
        Task::Test(options) => test::run(&workspace, options),
        Task::Bench(options) => bench::run(&workspace, options),
        Task::Vm(task) => vm::cli::run(&workspace, task),
    }
}
