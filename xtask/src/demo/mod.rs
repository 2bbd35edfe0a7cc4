//! `cargo xtask demo`: README's first command. The tour of `tour.sh`, with nginx, curl, procps, strace and gdb of Debian, on the newest
//! stock kernel.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::kernels::{Choice, Kernels};
use crate::rootfs::Rootfs;
use crate::vm::{Machine, Outcome, Shared, Source};
use crate::workspace::{self, Workspace};
use crate::{build, setup};

/// The tour.
const TOUR: &str = include_str!("tour.sh");

/// The options of `demo`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// 6.1, 6.12, any other version the mirror has, or `newest`.
    #[arg(long, default_value = Choice::NEWEST)]
    kernel: Choice,
}

/// Installs what is missing, builds, boots, and shows each guarantee hold.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    setup::ensure()?;
    let tools = build::everything(workspace)?;
    let kernel = Kernels::new(&workspace::cache()?).get(&options.kernel)?;
    let tour = workspace.target().join("tour.sh");
    fs::write(&tour, TOUR).with_context(|| format!("writing {}", tour.display()))?;
    let share = |host: &Path, guest: &str| Shared { host: host.to_owned(), guest: guest.into() };
    let machine = Machine {
        rootfs: Rootfs::Debian,
        with: vec![
            share(&tour, "/usr/local/bin/tour.sh"),
            share(&workspace.root().join("examples/demo.toml"), "/etc/vs/demo.toml"),
        ],
        memory_mib: 2048,
        timeout: Duration::from_mins(10),
        ..Machine::new(kernel, tools).with_socket_lists()
    };
    let command = ["bash", "/usr/local/bin/tour.sh"].map(str::to_owned);
    let outcome = machine.run(&command, &mut |source, bytes| {
        // A reader that has gone away is no reason to stop the tour.
        let _ = match source {
            Source::Stdout | Source::Stderr => {
                io::stdout().write_all(bytes).and_then(|()| io::stdout().flush())
            }
            Source::Kernel => io::stderr().write_all(bytes),
        };
    })?;
    if !matches!(outcome, Outcome::Exited(_)) {
        eprintln!("{}: {outcome}", machine.kernel.name);
    }
    Ok(ExitCode::from(outcome.status()))
}
