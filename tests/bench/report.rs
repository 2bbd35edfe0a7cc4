//! Several runs on the same machine: the figures of the first, and how far the others differ from them.

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use vs_common::hook::Hook;

use crate::limit::{self, Check};
use crate::measure::{Row, Run};

/// Where figures come from.
#[derive(Args, Clone, Debug, Serialize)]
pub(crate) struct Origin {
    /// The machine.
    #[arg(long)]
    pub(crate) machine: String,
    /// The day.
    #[arg(long)]
    pub(crate) date: String,
    /// The command that does it again.
    #[arg(long)]
    pub(crate) command: String,
}

/// How far runs differ: the largest of |a - b| / a over all figures, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// Of the rows that make no processes.
    pub(crate) steady: f64,
    /// Of those that do.
    pub(crate) processes: f64,
}

/// What there is to say.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Where it comes from.
    #[serde(flatten)]
    pub(crate) origin: Origin,
    /// How the promises are kept, in the worst of the runs.
    pub(crate) checks: Vec<Check>,
    /// How far the runs differ.
    pub(crate) spread: Spread,
    /// The runs, of which the first has the figures.
    pub(crate) runs: Vec<Run>,
}

impl Report {
    /// The report of these runs.
    pub(crate) fn of(origin: Origin, runs: Vec<Run>) -> Result<Self> {
        let Some((first, others)) = runs.split_first() else { bail!("no run to report") };
        let mut spread = Spread::default();
        let mut checks = limit::check(first);
        for other in others {
            if rows(first).map(identity).ne(rows(other).map(identity)) {
                bail!("the runs are not of the same: other rows, or other hooks crossed");
            }
            for (a, b) in rows(first).zip(rows(other)) {
                let makes_processes = a.host_crossings.contains_key(Hook::TaskAlloc.name());
                let place = if makes_processes { &mut spread.processes } else { &mut spread.steady };
                *place = difference(a, b).max(*place);
            }
            for (check, other) in checks.iter_mut().zip(limit::check(other)) {
                if check.holds && !other.holds {
                    *check = other;
                }
            }
        }
        Ok(Self { origin, checks, spread, runs })
    }

    /// The run whose figures are shown.
    pub(crate) fn first(&self) -> &Run {
        // `of` refuses to make a report without one.
        &self.runs[0]
    }
}

fn rows(run: &Run) -> impl Iterator<Item = &Row> {
    run.scenarios.iter().flat_map(|scenario| &scenario.rows)
}

fn identity(row: &Row) -> (&str, &crate::measure::Crossings, &crate::measure::Crossings) {
    (&row.name, &row.host_crossings, &row.guest_crossings)
}

/// In percent of the first.
fn difference(a: &Row, b: &Row) -> f64 {
    [(a.bare, b.bare), (a.empty, b.empty), (a.host, b.host), (a.guest, b.guest)]
        .into_iter()
        .chain(a.veth.zip(b.veth))
        .map(|(a, b)| 100.0 * (a.usual - b.usual).abs() / a.usual)
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::samples::{row, run};

    fn origin() -> Origin {
        Origin { machine: "m".to_owned(), date: "d".to_owned(), command: "c".to_owned() }
    }

    #[test]
    fn runs_that_differ_say_how_far() {
        let quiet = row("kill", &["task_kill"], [1000.0, 1180.0, 1200.0, 1300.0]);
        let fork = row("fork", &["task_alloc"], [2000.0, 2180.0, 2200.0, 2600.0]);
        let first = run(vec![quiet.clone(), fork.clone()]);
        let mut second = first.clone();
        second.scenarios[0].rows[0].host.usual = 1206.0;
        second.scenarios[0].rows[1].bare.usual = 1960.0;
        let report = Report::of(origin(), vec![first, second]).expect("of the same rows");
        assert_eq!(report.spread, Spread { steady: 0.5, processes: 2.0 });
        assert!(!report.checks[0].holds, "the worse run counts");
    }

    #[test]
    fn runs_of_other_rows_or_hooks_are_refused() {
        let first = run(vec![row("kill", &["task_kill"], [1.0; 4])]);
        for other in [row("getpgid", &["task_kill"], [1.0; 4]), row("kill", &["capable"], [1.0; 4])] {
            assert!(Report::of(origin(), vec![first.clone(), run(vec![other])]).is_err());
        }
        assert!(Report::of(origin(), vec![]).is_err());
    }
}
