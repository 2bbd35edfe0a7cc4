//! One run: every operation, bare, with our programs, as the host's and as a context's, and with empty ones, and some through a veth pair.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use vs_common::hook::{Hook, Need};

use crate::clock::Unit;
use crate::enforcement::{self, Enforcement};
use crate::figure::Figure;
use crate::limit::Ratio;
use crate::network::Addresses;
use crate::operation::Operation;
use crate::place::Place;
use crate::policy::Policy;
use crate::program_set::{self, EmptyPrograms};
use crate::system_call;
use crate::worker::{self, Worker};

/// How long a machine needs to come to rest after it was started.
const SETTLE: Duration = Duration::from_secs(3);
/// And after programs came or went: the kernel frees in the background.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);
/// Batches of an operation: enough that some have nothing else of the kernel's in them.
const BATCHES: u32 = 101;
/// Operations to count crossings over, at least: enough that what a worker does between two of them is far from one crossing of each.
const COUNTED: u32 = 200;

/// The result of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// `uname -r`.
    pub(crate) kernel: String,
    /// The processor's name in `/proc/cpuinfo`.
    pub(crate) processor: String,
    /// What all figures count.
    pub(crate) unit: Unit,
    /// By policy.
    pub(crate) scenarios: Vec<Scenario>,
}

/// What was measured under one policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// The policy.
    pub(crate) policy: Policy,
    /// By operation.
    pub(crate) rows: Vec<Row>,
}

/// An operation's figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The operation.
    pub(crate) name: String,
    /// Whether a guest is denied it, so that its figure holds the record of the denial, too.
    pub(crate) is_denied: bool,
    /// Whether the hooks look whose a file is.
    #[serde(default)]
    pub(crate) is_walked: bool,
    /// How much more than the bare call is promised.
    pub(crate) ratio: Option<Ratio>,
    /// With nothing attached.
    pub(crate) bare: Figure,
    /// With nothing attached, between a network namespace and the host's, through a veth pair.
    pub(crate) veth: Option<Figure>,
    /// With empty programs on the same hooks.
    pub(crate) empty: Figure,
    /// With ours, in a process of the host's.
    pub(crate) host: Figure,
    /// With ours, in a process of a context's.
    pub(crate) guest: Figure,
    /// How often it crosses which hooks, by a hook's name, when the host does it.
    pub(crate) host_crossings: Crossings,
    /// And when a guest does.
    pub(crate) guest_crossings: Crossings,
}

/// How often an operation crosses which hooks, by their names.
pub(crate) type Crossings = BTreeMap<String, u64>;

type ByOperation<T> = BTreeMap<&'static str, T>;

/// Measures once, under each policy or under one.
pub(crate) fn measure(unit: Unit, empty: &Path, only: Option<Policy>) -> Result<Run> {
    enforcement::require_free_kernel()?;
    unit.check()?;
    // Early, so that a kernel that refuses programs says so before anything is measured in vain.
    drop(EmptyPrograms::attach(empty, &[Hook::TaskKill])?);
    system_call::fix_addresses().context("fixing the addresses of programs")?;
    let policies: Vec<Policy> =
        Policy::ALL.into_iter().filter(|policy| only.is_none_or(|only| only == *policy)).collect();
    let has_addresses = policies.iter().any(|policy| policy.has_addresses());
    let _addresses = if has_addresses { Some(Addresses::give()?) } else { None };
    thread::sleep(SETTLE);
    // One that is measured under several policies is measured bare once.
    let mut operations: Vec<&Operation> = Vec::new();
    for operation in policies.iter().flat_map(|policy| policy.operations()) {
        if operations.iter().all(|known| known.name != operation.name) {
            operations.push(operation);
        }
    }
    let bare = figures(unit, &mut start_worker(Place::Host)?, &operations)?;
    operations.retain(|operation| operation.has_ends);
    let veth = if operations.is_empty() {
        ByOperation::new()
    } else {
        figures(unit, &mut start_worker(Place::Veth)?, &operations)?
    };
    let mut scenarios = Vec::new();
    for policy in policies {
        let crossed_before = scenarios.first().map(|first: &Scenario| &first.rows[..]).unwrap_or_default();
        let rows = scenario(unit, policy, empty, (&bare, &veth), crossed_before)
            .with_context(|| format!("measuring under `{}`", policy.name()))?;
        scenarios.push(Scenario { policy, rows });
    }
    Ok(Run { kernel: kernel(), processor: processor()?, unit, scenarios })
}

/// The rows of one policy; without those that cross the same hooks as before, which would be the same again.
fn scenario(
    unit: Unit,
    policy: Policy,
    empty: &Path,
    (bare, veth): (&ByOperation<Figure>, &ByOperation<Figure>),
    crossed_before: &[Row],
) -> Result<Vec<Row>> {
    let others = program_set::loaded()?;
    let enforcement = Enforcement::load(policy)?;
    let hooks: Vec<Hook> = program_set::loaded()?.into_iter().filter(|hook| !others.contains(hook)).collect();

    let (mut host_worker, mut guest_worker) = (start_worker(Place::Host)?, enforcement.worker()?);
    let operations = policy.operations();
    let host_crossings = crossings(&mut host_worker, &operations)?;
    let guest_crossings = crossings(&mut guest_worker, &operations)?;
    let is_new = |operation: &&Operation| {
        let before = crossed_before.iter().find(|row| row.name == operation.name);
        before.is_none_or(|row| row.host_crossings != host_crossings[operation.name])
    };
    let operations: Vec<&Operation> = operations.into_iter().filter(is_new).collect();
    thread::sleep(SETTLE_AGAIN);
    let host = figures(unit, &mut host_worker, &operations)?;
    let guest = figures(unit, &mut guest_worker, &operations)?;
    drop((host_worker, guest_worker));
    enforcement.unload()?;

    let programs = EmptyPrograms::attach(empty, &hooks)?;
    thread::sleep(SETTLE_AGAIN);
    let with_empty = figures(unit, &mut start_worker(Place::Host)?, &operations)?;
    drop(programs);

    let row = |operation: &&Operation| {
        let name = operation.name;
        Row {
            name: name.to_owned(),
            is_denied: operation.is_denied(),
            is_walked: policy == Policy::Files,
            // Who asks for each packet to be looked at is promised no more than the figure.
            ratio: operation.ratio.filter(|_| policy != Policy::Strict),
            bare: bare[name],
            veth: veth.get(name).copied(),
            empty: with_empty[name],
            host: host[name],
            guest: guest[name],
            host_crossings: host_crossings[name].clone(),
            guest_crossings: guest_crossings[name].clone(),
        }
    };
    Ok(operations.iter().map(row).collect())
}

/// One that is no context's.
fn start_worker(place: Place) -> Result<Worker> {
    let mut command = Command::new(env::current_exe().context("finding this program")?);
    command.arg(worker::ARGUMENT).arg(place.name());
    Worker::start(command, false)
}

fn figures(unit: Unit, worker: &mut Worker, operations: &[&Operation]) -> Result<ByOperation<Figure>> {
    operations
        .iter()
        .map(|operation| {
            let batches = worker.perform(operation, BATCHES)?;
            Ok((operation.name, Figure::of(&batches, unit).context("a worker measured nothing")?))
        })
        .collect()
}

fn crossings(worker: &mut Worker, operations: &[&Operation]) -> Result<ByOperation<Crossings>> {
    operations
        .iter()
        .map(|operation| {
            let batches = COUNTED.div_ceil(operation.batch);
            let (_, counts) = program_set::count(|| worker.perform(operation, batches))?;
            // The first batch is done as well, though it is not told.
            let done = u64::from((batches + 1) * operation.batch);
            let mut crossings = Crossings::new();
            for (hook, count) in counts {
                let each = (count + done / 2) / done;
                // What a worker does between has paths of its own, and these components of theirs; and TCP acknowledges several segments at once,
                // as it comes.
                if hook.info().need != Need::Receive && count.abs_diff(each * done) > done / 10 + count / 20 {
                    bail!("`{}` crosses {} {count} times in {done}", operation.name, hook.name());
                }
                if each > 0 {
                    crossings.insert(hook.name().to_owned(), each);
                }
            }
            Ok((operation.name, crossings))
        })
        .collect()
}

fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn processor() -> Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    // Arm has no names there.
    Ok(name.map_or_else(|| env::consts::ARCH.to_owned(), |(_, name)| name.to_owned()))
}

#[cfg(test)]
pub(crate) mod samples {
    //! Runs for tests.

    use super::*;

    /// A row that both sides cross the same hooks in; the figures are bare, empty, host, guest.
    pub(crate) fn row(name: &str, hooks: &[&str], figures: [f64; 4]) -> Row {
        let [bare, empty, host, guest] =
            figures.map(|usual| Figure { minimum: usual - 1.0, usual, maximum: usual + 1.0 });
        let crossings: Crossings = hooks.iter().map(|hook| ((*hook).to_owned(), 1)).collect();
        Row {
            name: name.to_owned(),
            is_denied: false,
            is_walked: false,
            ratio: None,
            bare,
            veth: None,
            empty,
            host,
            guest,
            host_crossings: crossings.clone(),
            guest_crossings: crossings,
        }
    }

    /// A run with one policy.
    pub(crate) fn run(rows: Vec<Row>) -> Run {
        Run {
            kernel: "6.12.0".to_owned(),
            processor: "a processor".to_owned(),
            unit: Unit::Instructions,
            scenarios: vec![Scenario { policy: Policy::Pidns, rows }],
        }
    }
}
