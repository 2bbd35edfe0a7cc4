//! `cargo xtask vm run`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use super::{Machine, Outcome, Shared, Source};
use crate::build;
use crate::kernels::{Choice, Kernels};
use crate::rootfs::Rootfs;
use crate::workspace::{self, Workspace};

/// What can be done with a machine.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Boot, run a command as root, print its output, and end with its status.
    ///
    /// On PATH are `vs` and the test programs, beside busybox's or those of --rootfs. Mounted are proc, sysfs, devtmpfs,
    /// devpts, cgroup2, bpffs, securityfs, and tmpfs on /run and /tmp; lo is up; no policy is loaded.
    ///
    /// Exit status: the command's, or 120 the kernel panicked, 121 oopsed, 122 hangs; 123 the machine ended without a report;
    /// 124 the time was up; 125 it could not be set up; 126 and 127 the command could not be started, was not found. What the
    /// kernel said goes to standard error then.
    Run(Run),
}

/// The options of `vm run`.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// 6.1, 6.12, any other version the mirror has, `newest`, or a vmlinuz or vmlinux file.
    #[arg(long, default_value = Choice::NEWEST)]
    kernel: Choice,
    /// Copy a file or a folder into the guest; to the same absolute path, if no other is given.
    #[arg(long, value_name = "HOSTPATH[:GUESTPATH]")]
    with: Vec<Shared>,
    /// Whose programs the guest has: busybox's, those of a small Debian, or those in a folder.
    #[arg(long, value_name = "busybox|debian|DIR", default_value = "busybox")]
    rootfs: Rootfs,
    /// Load a kernel module, and those it needs, before the command runs: for example `overlay`.
    #[arg(long, value_name = "NAME")]
    module: Vec<String>,
    /// Memory of the machine. 512 by default, 1024 with another --rootfs, which lies in memory.
    #[arg(long, value_name = "MIB")]
    memory: Option<u32>,
    /// More than one takes another kind of machine, which boots more slowly.
    #[arg(long, default_value_t = 1)]
    cpus: u32,
    /// How many seconds the command may take.
    #[arg(long, value_name = "S", default_value_t = 600)]
    timeout: u64,
    /// More arguments for the kernel, for example `lsm=landlock,yama,apparmor`.
    #[arg(long, value_name = "ARGUMENTS")]
    append: Vec<String>,
    /// Make the guest's clock count executed instructions, so that figures repeat. For one CPU.
    #[arg(long)]
    icount: bool,
    /// Take the programs as they were built last.
    #[arg(long)]
    no_build: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

impl FromStr for Shared {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (host, guest) = match text.split_once(':') {
            Some((host, guest)) => (PathBuf::from(host), PathBuf::from(guest)),
            None => (PathBuf::from(text), std::path::absolute(text)?),
        };
        if !guest.is_absolute() {
            bail!("the path in the guest has to begin with /");
        }
        if !host.exists() {
            bail!("there is no {}", host.display());
        }
        Ok(Self { host, guest })
    }
}

/// Runs one of the tasks.
pub(crate) fn run(workspace: &Workspace, task: &Task) -> Result<ExitCode> {
    let Task::Run(options) = task;
    if options.icount && options.cpus > 1 {
        bail!("--icount counts the instructions of one CPU; leave --cpus away");
    }
    let tools =
        if options.no_build { build::already_built(workspace)? } else { build::everything(workspace)? };
    let kernel = Kernels::new(&workspace::cache()?).get(&options.kernel)?;
    let machine = Machine {
        rootfs: options.rootfs.clone(),
        with: options.with.clone(),
        modules: options.module.clone(),
        memory_mib: options.memory.unwrap_or(if options.rootfs == Rootfs::Busybox { 512 } else { 1024 }),
        cpus: options.cpus,
        timeout: Duration::from_secs(options.timeout),
        append: options.append.clone(),
        icount: options.icount,
        ..Machine::new(kernel, tools)
    };
    let mut kernel_spoke = false;
    let outcome = machine.run(&options.command, &mut |source, bytes| {
        kernel_spoke |= source == Source::Kernel;
        print(source, bytes);
    })?;
    if !matches!(outcome, Outcome::Exited(_)) {
        // What the kernel said while the command ran has been printed already.
        if let Some(console) = outcome.console().filter(|_| !kernel_spoke) {
            eprintln!("{console}");
        }
        eprintln!("{}: {outcome}", machine.kernel.name);
    }
    Ok(ExitCode::from(outcome.status()))
}

/// Prints a piece of output where it belongs. A reader that has gone away is no reason to stop the command.
fn print(source: Source, bytes: &[u8]) {
    let _ = match source {
        Source::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
        Source::Stderr => io::stderr().write_all(bytes),
        Source::Kernel => {
            let mut stderr = io::stderr();
            stderr
                .write_all(b"kernel: ")
                .and_then(|()| stderr.write_all(bytes))
                .and_then(|()| stderr.write_all(b"\n"))
        }
    };
}
