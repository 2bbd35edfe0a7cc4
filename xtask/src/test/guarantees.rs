//! The guarantees, tried inside of a machine on one kernel.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, fs};

use anyhow::{Context, Result, bail};

use super::{Counts, Say};
use crate::build;
use crate::kernels::{Choice, Kernels};
use crate::rootfs::Rootfs;
use crate::vm::{Machine, Outcome, Shared, Source};
use crate::workspace::{self, Workspace};

/// The program in the guest: one line a test, and at the end a summary.
const SUITE: &str = "vs-guarantees";

/// What is tried of the service.
const SERVICE: &str = include_str!("service.sh");

/// For one kernel. The suite takes a minute or two of it.
const TIMEOUT: Duration = Duration::from_mins(20);

/// The suite starts many processes, and servers in memory.
const MEMORY_MIB: u32 = 2048;

/// Held while something is built or fetched: machines run side by side, and what they need is got by one of them.
static PREPARING: Mutex<()> = Mutex::new(());

/// The module for another machine, which sees where packets come from.
const VETH: &str = "veth";

/// What the kernel has as modules of the file systems that are tried, and of what they lie on.
const FILE_SYSTEMS: [&str; 4] = ["loop", "xfs", "btrfs", "overlay"];

/// Guarantees that take Debian's tools begin so.
const IN_DEBIAN: [&str; 2] = ["tools", "file systems"];

/// Security modules without `bpf`: programs load and attach there, and nothing they say counts.
const WITHOUT_BPF_LSM: &str = "lsm=landlock,yama,apparmor";

/// The kernel or its machine failed, and not a test.
#[derive(Debug)]
pub(crate) struct KernelFailed(pub(crate) Outcome);

impl fmt::Display for KernelFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a test failed, but the machine: {}", self.0)?;
        self.0.console().map_or(Ok(()), |console| write!(f, "\n{console}"))
    }
}

impl std::error::Error for KernelFailed {}

/// Whether the suite exists.
pub(super) fn exist(workspace: &Workspace) -> bool {
    workspace.binaries_of("vs-tests").contains(&SUITE)
}

/// All guarantees, or those whose name contains `only`.
pub(super) fn hold(
    workspace: &Workspace,
    kernel: &Choice,
    only: Option<&str>,
    say: Say<'_>,
) -> Result<Counts> {
    if only.is_some_and(|only| IN_DEBIAN.iter().any(|begin| only.starts_with(begin))) {
        return hold_for_tools(workspace, kernel, only, say);
    }
    run(workspace, kernel, &command(&[], only), say, |_| {})
}

/// The suite with options, and with the word that names of its tests are to contain.
fn command(options: &[&str], only: Option<&str>) -> Vec<String> {
    let only = only.into_iter().flat_map(|only| ["--only", only]);
    [SUITE].iter().chain(options).copied().chain(only).map(str::to_owned).collect()
}

/// Debian's own tools inside of contexts, and the file systems that they make, in a machine with a Debian in it.
pub(super) fn hold_for_tools(
    workspace: &Workspace,
    kernel: &Choice,
    only: Option<&str>,
    say: Say<'_>,
) -> Result<Counts> {
    run(workspace, kernel, &command(&["--debian"], only), say, |machine| {
        machine.rootfs = Rootfs::Debian;
        if machine.kernel.has_modules() {
            machine.modules.extend(FILE_SYSTEMS.map(str::to_owned));
        }
    })
}

/// What runs as services of systemd, in a machine with a Debian in it.
pub(super) fn hold_for_service(workspace: &Workspace, kernel: &Choice, say: Say<'_>) -> Result<Counts> {
    const GUEST: &str = "/usr/local/lib/vs-test";
    let script = workspace.target().join("service.sh");
    fs::write(&script, SERVICE).with_context(|| format!("writing {}", script.display()))?;
    let unit = |name: &str| (workspace.root().join("vs-loader/systemd").join(name), name.to_owned());
    let command = ["bash".to_owned(), format!("{GUEST}/service.sh")];
    run(workspace, kernel, &command, say, |machine| {
        machine.rootfs = Rootfs::Debian;
        machine.with =
            [(script, "service.sh".to_owned()), unit("vs-audit.service"), unit("vs-steer.service")]
                .map(|(host, name)| Shared { host, guest: format!("{GUEST}/{name}").into() })
                .into();
    })
}

/// Where BPF is no active security module, `vs` has to notice and refuse, instead of promising what doesn't hold.
pub(super) fn refused_without_bpf_lsm(
    workspace: &Workspace,
    kernel: &Choice,
    say: Say<'_>,
) -> Result<Counts> {
    run(workspace, kernel, &[SUITE.to_owned(), "--no-bpf-lsm".to_owned()], say, |machine| {
        machine.append.push(WITHOUT_BPF_LSM.to_owned());
    })
}

fn run(
    workspace: &Workspace,
    kernel: &Choice,
    command: &[String],
    say: Say<'_>,
    adapt: impl FnOnce(&mut Machine),
) -> Result<Counts> {
    let mut machine = {
        let _guard = PREPARING.lock().unwrap_or_else(PoisonError::into_inner);
        let tools = build::everything(workspace)?;
        Machine::new(Kernels::new(&workspace::cache()?).get(kernel)?, tools).with_socket_lists()
    };
    if machine.kernel.has_modules() {
        machine.modules.push(VETH.to_owned());
    }
    machine.memory_mib = MEMORY_MIB;
    machine.timeout = TIMEOUT;
    adapt(&mut machine);
    say(&format!("  {}", machine.kernel.name));
    let mut summary = None;
    let outcome = machine.run_lines(command, &mut |source, line| {
        // The summary of one kernel would look like that of all.
        let counts = Counts::of_summary(line).filter(|_| source == Source::Stdout);
        match counts {
            Some(counts) => summary = Some(counts),
            None if source == Source::Kernel => say(&format!("  kernel: {line}")),
            None => say(&format!("  {line}")),
        }
    })?;
    match (outcome, summary) {
        (Outcome::Exited(0), Some(counts)) if counts.failed == 0 && counts.passed > 0 => Ok(counts),
        (Outcome::Exited(1), Some(counts)) if counts.failed > 0 => Ok(counts),
        (Outcome::Exited(status), Some(counts)) => {
            bail!("`{}` says `{counts}` and ends with status {status}", command.join(" "))
        }
        (Outcome::Exited(status), None) => {
            bail!("`{}` ended with status {status} and without its summary", command.join(" "))
        }
        (outcome, _) => Err(KernelFailed(outcome).into()),
    }
}
