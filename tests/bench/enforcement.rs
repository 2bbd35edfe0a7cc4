//! A policy in force, put there by `vs` itself.

use std::env;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};

use anyhow::{Context as _, Result, bail};
use vs_loader::cli::exit_code;
use vs_loader::kernel::lsm_list;

use crate::place::Place;
use crate::policy::Policy;
use crate::worker::{self, Worker};

/// Why nothing can be measured here, and the exit code that says so: that of `vs` for the same reason.
#[derive(Debug)]
pub(crate) struct Refused {
    code: u8,
    why: String,
}

impl Refused {
    /// The kernel refuses programs.
    pub(crate) fn by_kernel(why: &dyn std::fmt::Display) -> Self {
        Self { code: exit_code::NO_HOOK, why: format!("this kernel refuses LSM programs: {why}") }
    }

    /// What to end with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Refused {}

/// Refuses where programs cannot run, or where a policy is in force: it would be measured, and then replaced.
pub(crate) fn require_free_kernel() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        let why = "only root may attach programs; run it as root".to_owned();
        return Err(Refused { code: exit_code::NOT_ROOT, why }.into());
    }
    let active = lsm_list::active().context("finding out which LSMs are active")?;
    if !active.iter().any(|name| name == "bpf") {
        let why = format!(
            "this kernel asks no LSM programs, only {}; boot it with {}",
            active.join(", "),
            lsm_list::command_line_with_bpf(&active)
        );
        return Err(Refused { code: exit_code::NO_BPF_LSM, why }.into());
    }
    let status = vs(&["status"], "")?;
    match status.status.code().map(u8::try_from) {
        Some(Ok(exit_code::NOT_LOADED)) => Ok(()),
        Some(Ok(exit_code::SUCCESS)) => {
            let why =
                "a policy is in force, which would be measured instead; `vs unload` it first".to_owned();
            Err(Refused { code: exit_code::PROCESSES_ALIVE, why }.into())
        }
        _ => bail!("vs status: {}: {}", status.status, String::from_utf8_lossy(&status.stderr).trim()),
    }
}

/// A policy with one context; dropping it takes it out of force.
#[derive(Debug)]
pub(crate) struct Enforcement {
    /// The context that is measured in.
    context: String,
    is_in_force: bool,
}

impl Enforcement {
    /// Puts a policy in force.
    pub(crate) fn load(policy: Policy) -> Result<Self> {
        succeed(&["load", "-"], &policy.text())?;
        Ok(Self { context: policy.context(), is_in_force: true })
    }

    /// Starts a worker in the context.
    pub(crate) fn worker(&self) -> Result<Worker> {
        let mut command = Command::new(beside_this("vs")?);
        command
            .args(["run", "--context", &self.context, "--"])
            .arg(beside_this("vs-bench")?)
            .arg(worker::ARGUMENT)
            .arg(Place::Guest.name());
        Worker::start(command, true)
    }

    /// Takes it out of force.
    pub(crate) fn unload(mut self) -> Result<()> {
        self.is_in_force = false;
        succeed(&["unload", "--stop"], "")
    }
}

impl Drop for Enforcement {
    fn drop(&mut self) {
        if self.is_in_force {
            // On the way out of an error, which is what is told.
            let _ = succeed(&["unload", "--stop"], "");
        }
    }
}

fn succeed(arguments: &[&str], input: &str) -> Result<()> {
    let output = vs(arguments, input)?;
    if output.status.success() {
        return Ok(());
    }
    bail!("vs {}: {}: {}", arguments.join(" "), output.status, String::from_utf8_lossy(&output.stderr).trim())
}

/// Runs `vs` with a text on its standard input, short enough for a pipe to hold.
fn vs(arguments: &[&str], input: &str) -> Result<Output> {
    let vs = beside_this("vs")?;
    let mut command = Command::new(&vs);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {}", vs.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading says why in its status.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().with_context(|| format!("running {}", vs.display()))
}

/// A program that was built and installed together with this one.
fn beside_this(name: &str) -> Result<PathBuf> {
    Ok(env::current_exe().context("finding this program")?.with_file_name(name))
}
