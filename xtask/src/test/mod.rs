//! `cargo xtask test`: everything that is tested, ring by ring, from the format of the sources to the guarantees on each kernel.
//!
//! The last line is `N passed, N failed`, summed over the rings. A ring that fails doesn't keep the others from running.

mod counts;
mod guarantees;

use std::io::{self, Write};
use std::iter;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
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

/// Takes a line of the report.
pub(crate) type Say<'a> = &'a (dyn Fn(&str) + Sync);

/// What a ring does.
type Run<'a> = dyn Fn(&Workspace, Say<'_>) -> Result<Counts> + Sync + 'a;

/// Beside what a ring may run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing: all others rest on it, or are not worth running if it fails.
    Alone,
    /// Those in machines: cargo makes one check of the sources wait for the other.
    Sources,
    /// Everything: it has a machine of its own.
    Machine,
}

/// A group of tests with a name.
struct Ring<'a> {
    name: String,
    /// Whether it takes anything beyond what builds this task itself.
    needs_setup: bool,
    /// Beside what it may run.
    place: Place,
    run: Box<Run<'a>>,
}

impl<'a> Ring<'a> {
    fn new(name: impl Into<String>, run: impl Fn(&Workspace) -> Result<Counts> + Sync + 'a) -> Self {
        let run = move |workspace: &Workspace, _: Say<'_>| run(workspace);
        Self { name: name.into(), needs_setup: true, place: Place::Sources, run: Box::new(run) }
    }

    fn in_machine(
        name: impl Into<String>,
        run: impl Fn(&Workspace, Say<'_>) -> Result<Counts> + Sync + 'a,
    ) -> Self {
        Self { name: name.into(), needs_setup: true, place: Place::Machine, run: Box::new(run) }
    }

    fn without_setup(mut self) -> Self {
        self.needs_setup = false;
        self
    }

    fn alone(mut self) -> Self {
        self.place = Place::Alone;
        self
    }

    /// Runs it, and prints what it says: at once if it is alone, or when it is done.
    fn report(&self, workspace: &Workspace, is_alone: bool) -> Outcome {
        let begin = Instant::now();
        say(&format!("{} ...", self.name));
        let lines = Mutex::new(Vec::new());
        let later = |line: &str| lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        let mut outcome = Outcome { counts: Counts::ONE_FAILED, status: 0 };
        match (self.run)(workspace, if is_alone { &say } else { &later }) {
            Ok(counts) => outcome.counts = counts,
            Err(error) => {
                later(&format!("{error:#}"));
                if let Some(KernelFailed(kernel)) = error.downcast_ref() {
                    outcome.status = kernel.status();
                }
            }
        }
        let mut lines = lines.into_inner().unwrap_or_else(PoisonError::into_inner);
        let verdict = if outcome.counts.failed == 0 { "ok" } else { "FAILED" };
        let seconds = begin.elapsed().as_secs_f32();
        lines.push(format!("{} {verdict}: {} ({seconds:.0} s)", self.name, outcome.counts));
        say(&lines.join("\n"));
        outcome
    }
}

/// What came of a ring.
struct Outcome {
    counts: Counts,
    /// That of a kernel that failed, or 0.
    status: u8,
}

/// Rings at a time, at the most: a machine takes 2 GiB.
const WORKERS: usize = 4;

/// Runs rings. Those in machines run side by side, as many as there are processors, of which each machine takes one; and what checks the
/// sources, ring by ring, takes the place of one of them until it is done.
fn run_all(workspace: &Workspace, rings: &[Ring<'_>]) -> Vec<Outcome> {
    let at = |place| rings.iter().filter(move |ring| ring.place == place);
    let mut outcomes: Vec<Outcome> = at(Place::Alone).map(|ring| ring.report(workspace, true)).collect();
    let (sources, machines): (Vec<_>, Vec<_>) = (at(Place::Sources).collect(), at(Place::Machine).collect());
    let is_alone = sources.len() + machines.len() == 1;
    let waiting = Mutex::new(machines.into_iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = |first: Vec<_>| {
        let rings = first.into_iter().chain(iter::from_fn(next));
        rings.map(|ring| ring.report(workspace, is_alone)).collect::<Vec<_>>()
    };
    let work = &work;
    let count = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(WORKERS);
    let firsts = iter::once(sources).chain(iter::repeat_n(Vec::new(), count - 1));
    thread::scope(|scope| {
        let workers: Vec<_> = firsts.map(|first| scope.spawn(move || work(first))).collect();
        for worker in workers {
            match worker.join() {
                Ok(done) => outcomes.extend(done),
                Err(_) => outcomes.push(Outcome { counts: Counts::ONE_FAILED, status: 0 }),
            }
        }
    });
    outcomes
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
    let outcomes = run_all(workspace, &rings);
    let total: Counts = outcomes.iter().map(|outcome| outcome.counts).sum();
    let mut status = outcomes.iter().map(|outcome| outcome.status).max().unwrap_or(0);
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

/// Quick ones first. The programs are built beside the checks, by whoever is the first to need them.
fn rings_of_the_sources<'a>() -> Vec<Ring<'a>> {
    vec![
        Ring::new("format", check::format).without_setup().alone(),
        Ring::new("layering", check::layering).without_setup().alone(),
        Ring::new("eBPF object", |workspace| build::object::build(workspace).map(|_| Counts::ONE_PASSED))
            .alone(),
        Ring::new("lints", check::lints),
        Ring::new("lints of the eBPF side", check::ebpf_lints),
        Ring::new("documentation", check::documentation),
        Ring::new("unit and golden tests", check::unit),
        Ring::new("reproducible object", check::reproducible_object),
        Ring::new("build", |workspace| build::everything(workspace).map(|_| Counts::ONE_PASSED)),
    ]
}

/// Long ones first, so that at the end no processor waits for one.
fn rings_of_the_kernels(options: &Options) -> Vec<Ring<'_>> {
    let only = options.guarantee.as_deref();
    let kernels = if options.kernel.is_empty() { Choice::matrix() } else { options.kernel.clone() };
    let guarantees = |kernel: Choice| {
        Ring::in_machine(format!("guarantees on {kernel}"), move |workspace, say| {
            guarantees::hold(workspace, &kernel, only, say)
        })
    };
    let mut rings: Vec<Ring<'_>> = kernels.iter().cloned().map(guarantees).collect();
    if only.is_some() {
        return rings;
    }
    rings.extend(kernels.iter().cloned().map(|kernel| {
        Ring::in_machine(format!("tools of Debian on {kernel}"), move |workspace, say| {
            guarantees::hold_for_tools(workspace, &kernel, None, say)
        })
    }));
    if let Some(kernel) = kernels.last().cloned() {
        let same = kernel.clone();
        rings.push(Ring::in_machine(format!("service of systemd on {kernel}"), move |workspace, say| {
            guarantees::hold_for_service(workspace, &same, say)
        }));
        rings
            .push(Ring::in_machine(format!("refusal without BPF LSM on {kernel}"), move |workspace, say| {
                guarantees::refused_without_bpf_lsm(workspace, &kernel, say)
            }));
    }
    rings
}

/// Prints a line of the report. A reader that has gone away is no reason to stop testing.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
