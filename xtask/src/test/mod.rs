//! `cargo xtask test`: everything that is tested, ring by ring, from the format of the sources to the guarantees on each kernel.
//!
//! The last line is `N passed, N failed`, summed over the rings. A ring that fails doesn't keep the others from running.

mod counts;
mod guarantees;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

pub(crate) use self::counts::Counts;
use self::guarantees::KernelFailed;
use crate::kernels::Choice;
use crate::workspace::Workspace;
use crate::{build, check, setup};

/// The options of `test`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Try the guarantees on this kernel only: 6.1, 6.12, any other version the mirror has, `newest`, or a file. May be
    /// repeated.
    #[arg(long)]
    kernel: Vec<Choice>,
    /// Only the rings whose name contains this.
    #[arg(long, value_name = "FILTER")]
    only: Option<String>,
    /// Only the guarantees whose name contains this, and no other ring.
    #[arg(long, value_name = "NAME")]
    guarantee: Option<String>,
    /// Name the rings and run nothing.
    #[arg(long)]
    list: bool,
}

/// What a ring does.
type Run<'a> = dyn Fn(&Workspace) -> Result<Counts> + 'a;

/// A group of tests with a name.
struct Ring<'a> {
    name: String,
    /// Whether it takes anything beyond what builds this task itself.
    needs_setup: bool,
    run: Box<Run<'a>>,
}

impl<'a> Ring<'a> {
    fn new(name: impl Into<String>, run: impl Fn(&Workspace) -> Result<Counts> + 'a) -> Self {
        Self { name: name.into(), needs_setup: true, run: Box::new(run) }
    }

    fn without_setup(mut self) -> Self {
        self.needs_setup = false;
        self
    }
}

/// Runs the rings and prints their sum. The status is 1 if a test failed, or that of the [`crate::vm::Outcome`] if a kernel did.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let rings = selected(workspace, options);
    if rings.is_empty() {
        bail!("no ring is named so; `cargo xtask test --list` names them");
    }
    if options.list {
        for ring in &rings {
            say(&ring.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if rings.iter().any(|ring| ring.needs_setup) {
        setup::ensure()?;
    }
    let mut total = Counts::default();
    let mut status = 0;
    for ring in rings {
        say(&format!("{} ...", ring.name));
        let begin = Instant::now();
        let counts = (ring.run)(workspace).unwrap_or_else(|error| {
            say(&format!("{error:#}"));
            if let Some(KernelFailed(outcome)) = error.downcast_ref() {
                status = outcome.status();
            }
            Counts::ONE_FAILED
        });
        let verdict = if counts.failed == 0 { "ok" } else { "FAILED" };
        say(&format!("{} {verdict}: {counts} ({:.0} s)", ring.name, begin.elapsed().as_secs_f32()));
        total += counts;
    }
    say(&total.to_string());
    if status == 0 && total.failed > 0 {
        status = 1;
    }
    Ok(ExitCode::from(status))
}

fn selected<'a>(workspace: &Workspace, options: &'a Options) -> Vec<Ring<'a>> {
    let mut rings = if options.guarantee.is_some() { Vec::new() } else { rings_of_the_sources() };
    if guarantees::exist(workspace) {
        rings.extend(rings_of_the_kernels(options));
    }
    rings.retain(|ring| options.only.as_ref().is_none_or(|only| ring.name.contains(only.as_str())));
    rings
}

/// Quick ones first.
fn rings_of_the_sources<'a>() -> Vec<Ring<'a>> {
    vec![
        Ring::new("format", check::format).without_setup(),
        Ring::new("layering", check::layering).without_setup(),
        Ring::new("build", |workspace| build::everything(workspace).map(|_| Counts::ONE_PASSED)),
        Ring::new("lints", check::lints),
        Ring::new("lints of the eBPF side", check::ebpf_lints),
        Ring::new("documentation", check::documentation),
        Ring::new("unit and golden tests", check::unit),
        Ring::new("reproducible object", check::reproducible_object),
    ]
}

fn rings_of_the_kernels(options: &Options) -> Vec<Ring<'_>> {
    let only = options.guarantee.as_deref();
    let kernels = if options.kernel.is_empty() { Choice::matrix() } else { options.kernel.clone() };
    let last = kernels.last().cloned();
    let mut rings: Vec<Ring<'_>> = Vec::new();
    for kernel in kernels {
        let name = format!("guarantees on {kernel}");
        let tools = format!("tools of Debian on {kernel}");
        let same = kernel.clone();
        rings.push(Ring::new(name, move |workspace| guarantees::hold(workspace, &kernel, only)));
        if only.is_none() {
            rings.push(Ring::new(tools, move |workspace| guarantees::hold_for_tools(workspace, &same)));
        }
    }
    if let Some(kernel) = last.filter(|_| only.is_none()) {
        let (service, same) = (format!("service of systemd on {kernel}"), kernel.clone());
        rings.push(Ring::new(service, move |workspace| guarantees::hold_for_service(workspace, &same)));
        let name = format!("refusal without BPF LSM on {kernel}");
        rings.push(Ring::new(name, move |workspace| guarantees::refused_without_bpf_lsm(workspace, &kernel)));
    }
    rings
}

/// Prints a line of the report. A reader that has gone away is no reason to stop testing.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
