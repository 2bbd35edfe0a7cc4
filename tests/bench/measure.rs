//! One whole run: every operation, bare, with empty programs, with ours, as the host's and as a context's.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use vs_common::hook::Need;

use crate::clock::Unit;
use crate::figure::Figure;
use crate::operation::{Kind, OPERATIONS, Operation};
use crate::program_set::{self, EmptyPrograms};
use crate::worker::{self, Worker};
use crate::interim::Real;

/// How long a machine needs to come to rest after boot.
const SETTLE: Duration = Duration::from_secs(3);
/// How long it needs after programs came or went: the kernel frees in the background.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);
const BATCHES: u32 = 31;
/// Operations to count crossings over, at least: enough that what a worker does between two operations is no whole crossing of one.
const COUNTED: u32 = 200;

/// The result of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) unit: Unit,
    pub(crate) scenarios: Vec<Scenario>,
}

/// What is measured under one policy.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// How the context sees processes, in the word of policy.
    pub(crate) proc_mode: String,
    pub(crate) rows: Vec<Row>,
}

/// An operation's figures.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) bare: Figure,
    pub(crate) empty: Figure,
    pub(crate) host: Figure,
    pub(crate) guest: Figure,
    pub(crate) host_crossings: Crossings,
    pub(crate) guest_crossings: Crossings,
}

/// Which hooks one operation crosses, and how often.
pub(crate) type Crossings = BTreeMap<String, u64>;

type Figures = BTreeMap<&'static str, Figure>;

pub(crate) fn measure(unit: Unit, empty: &Path, real: &str) -> Result<Run> {
    unit.check()?;
    crate::system_call::fix_addresses()?;
    thread::sleep(SETTLE);
    let bare = figures(&mut host_worker()?, OPERATIONS)?;
    let mut scenarios = Vec::new();
    for (proc_mode, needs) in [("pidns", &[Need::Always][..]), ("plain", &[Need::Always, Need::HostTree, Need::HostProc])] {
        let programs = EmptyPrograms::attach(empty, needs)?;
        thread::sleep(SETTLE_AGAIN);
        let mut worker = host_worker()?;
        let host_crossings = crossings(&mut worker)?;
        thread::sleep(SETTLE_AGAIN);
        let with_empty = figures(&mut worker, OPERATIONS)?;
        drop(worker);
        drop(programs);

        let real = Real::attach(real, needs)?;
        thread::sleep(SETTLE_AGAIN);
        let host = figures(&mut host_worker()?, OPERATIONS)?;
        let mut command = real.command(env::current_exe()?.to_str().context("a name")?)?;
        command.arg(worker::ARGUMENT);
        let mut worker = Worker::start(command, true)?;
        let guest_crossings = crossings(&mut worker)?;
        thread::sleep(SETTLE_AGAIN);
        let guest = figures(&mut worker, OPERATIONS)?;
        drop(worker);
        drop(real);
        let rows = OPERATIONS.iter().map(|o| Row {
            name: o.name.to_owned(), kind: o.kind, bare: bare[o.name], empty: with_empty[o.name], host: host[o.name], guest: guest[o.name],
            host_crossings: host_crossings[o.name].clone(), guest_crossings: guest_crossings[o.name].clone() }).collect();
        scenarios.push(Scenario { proc_mode: proc_mode.to_owned(), rows });
    }
    Ok(Run { kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(), processor: String::new(), unit, scenarios })
}

fn host_worker() -> Result<Worker> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(worker::ARGUMENT);
    Worker::start(command, false)
}

fn figures(worker: &mut Worker, operations: &[Operation]) -> Result<Figures> {
    operations.iter().map(|operation| {
        let batches = worker.perform(operation, BATCHES)?;
        Ok((operation.name, Figure::of(&batches).context("no batches")?))
    }).collect()
}

fn crossings(worker: &mut Worker) -> Result<BTreeMap<&'static str, Crossings>> {
    OPERATIONS.iter().map(|operation| {
        let batches = COUNTED.div_ceil(operation.batch);
        let (_, counts) = program_set::count(|| worker.perform(operation, batches))?;
        let done = u64::from((batches + 1) * operation.batch);
        let mut crossings = Crossings::new();
        for (hook, count) in counts {
            let each = (count + done / 2) / done;
            if count.abs_diff(each * done) > done / 10 {
                bail!("`{}` crosses {hook} {count} times in {done}", operation.name);
            }
            if each > 0 { crossings.insert(hook.to_owned(), each); }
        }
        Ok((operation.name, crossings))
    }).collect()
}
