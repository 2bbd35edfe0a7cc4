//! `cargo xtask bench`: what the programs cost.
//!
//! The measuring is `vs-bench`'s (`tests/bench`), in a machine whose clock counts executed instructions: the figures say how much more the
//! kernel has to do, and are the same on whatever machine they are taken. With `--native` it runs on the machine at hand, and the clock
//! counts time. Here everything is built, run as often as it takes to see how far the figures move, and put together.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::build::{self, object};
use crate::kernels::{Choice, Kernels};
use crate::process;
use crate::vm::{self, Machine, Outcome, Shared, Source};
use crate::workspace::{self, Workspace};

/// The program that measures.
const BENCH: &str = "vs-bench";

/// Whole runs, a boot each: how far they differ is part of the report.
const RUNS: usize = 2;

/// The kernel that figures are promised on.
const KERNEL: &str = "6.12";

/// Where the machine has the empty programs.
const EMPTY: &str = "/vs-empty.o";

/// The module for pairs of links, which contexts with addresses are compared to.
const VETH: &str = "veth";

/// For one run. A minute is usual.
const TIMEOUT: Duration = Duration::from_mins(15);

/// The options of `bench`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Measure time on this machine, as root, where its kernel lets LSM programs in and has no policy in force.
    #[arg(long, conflicts_with = "kernel")]
    native: bool,
    /// 6.1, 6.12, any other version the mirror has, `newest`, or a vmlinuz or vmlinux file.
    #[arg(long, default_value = KERNEL)]
    kernel: Choice,
    /// Measure under this policy only: `pidns`, `plain`, `addresses` or `strict`.
    #[arg(long, value_name = "POLICY")]
    only: Option<String>,
    /// Print JSON instead of Markdown: every figure of every run.
    #[arg(long)]
    json: bool,
}

/// Builds, measures, and prints the table.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let tools = build::everything(workspace)?;
    let empty = object::build_empty(workspace)?;
    let bench = workspace.static_binaries().join(BENCH);
    let folder = workspace.target().join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let files: Vec<PathBuf> = (1..=RUNS).map(|number| folder.join(format!("run-{number}.json"))).collect();

    let machine = if options.native {
        for file in &files {
            if let Some(status) = measure_here(&bench, &empty, options, file)? {
                return Ok(status);
            }
        }
        "this machine".to_owned()
    } else {
        let kernel = Kernels::new(&workspace::cache()?).get(&options.kernel)?;
        let with = vec![Shared { host: empty, guest: EMPTY.into() }];
        let modules = vec![VETH.to_owned()];
        let machine =
            Machine { with, modules, icount: true, timeout: TIMEOUT, ..Machine::new(kernel, tools) };
        for file in &files {
            measure_in(&machine, options, file)?;
        }
        emulator()?
    };
    report(&bench, options, &machine, &files)
}

/// Measures in a machine, and writes the run to a file.
fn measure_in(machine: &Machine, options: &Options, to: &Path) -> Result<()> {
    let mut command =
        [BENCH, "measure", "--unit", "instructions", "--empty", EMPTY].map(str::to_owned).to_vec();
    command.extend(options.only.iter().map(|policy| format!("--only={policy}")));
    let mut run = Vec::new();
    let outcome = machine.run(&command, &mut |source, bytes| {
        // What cannot be shown is no reason to stop.
        let _ = match source {
            Source::Stdout => run.write_all(bytes),
            Source::Stderr => io::stderr().write_all(bytes),
            Source::Kernel => writeln!(io::stderr(), "kernel: {}", String::from_utf8_lossy(bytes)),
        };
    })?;
    match outcome {
        Outcome::Exited(0) => fs::write(to, run).with_context(|| format!("writing {}", to.display())),
        Outcome::Exited(status) => bail!("{BENCH} ended with status {status} on {}", machine.kernel.name),
        trouble => bail!("{}: {trouble}\n{}", machine.kernel.name, trouble.console().unwrap_or_default()),
    }
}

/// Measures on this machine, and writes the run to a file; some status: it refused, and has said why.
fn measure_here(bench: &Path, empty: &Path, options: &Options, to: &Path) -> Result<Option<ExitCode>> {
    let file = File::create(to).with_context(|| format!("creating {}", to.display()))?;
    let mut command = Command::new(bench);
    command.args(["measure", "--unit", "nanoseconds", "--empty"]).arg(empty);
    command.args(options.only.iter().map(|policy| format!("--only={policy}")));
    let status = command
        .stdin(Stdio::null())
        .stdout(file)
        .status()
        .with_context(|| format!("starting {}", bench.display()))?;
    if status.success() {
        return Ok(None);
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(Some(code.map_or(ExitCode::FAILURE, ExitCode::from)))
}

/// Prints the table of the runs.
fn report(bench: &Path, options: &Options, machine: &str, runs: &[PathBuf]) -> Result<ExitCode> {
    let kernel = options.kernel.to_string();
    let again = match (options.native, kernel.as_str()) {
        (true, _) => "cargo xtask bench --native".to_owned(),
        (false, KERNEL) => "cargo xtask bench".to_owned(),
        (false, other) => format!("cargo xtask bench --kernel {other}"),
    };
    let again = match &options.only {
        Some(policy) => format!("{again} --only {policy}"),
        None => again,
    };
    let date = process::text(Command::new("date").args(["-u", "+%F"]))?;
    let mut command = Command::new(bench);
    command.arg("report").args(options.json.then_some("--json"));
    command.args(["--machine", machine, "--date", date.trim(), "--command", &again]).args(runs);
    let text = process::output(&mut command)?;
    io::stdout().write_all(&text).context("printing the table")?;
    Ok(ExitCode::SUCCESS)
}

/// The machine that is emulated, and by what.
fn emulator() -> Result<String> {
    let version = process::text(Command::new(vm::QEMU).arg("--version"))?;
    let version = version.lines().next().unwrap_or_default();
    let version = version.split(" (").next().unwrap_or_default().replace("emulator version ", "");
    Ok(format!("{version}, microvm, `-cpu qemu64 -icount shift=0`, `mitigations=off`"))
}
