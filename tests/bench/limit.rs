//! What is promised: the most a crossing may cost. In instructions, of which there is no promise in nanoseconds.

use serde::{Deserialize, Serialize};
use vs_common::hook::{Hook, Need};

use crate::clock::Unit;
use crate::measure::{Crossings, Row, Run};

/// The most that a crossed look-up hook costs a process of the host's above an empty program.
const HOST_ABOVE_EMPTY: f64 = 25.0;
/// The most that a crossed look-up hook costs a process of a context's in all.
const GUEST_IN_ALL: f64 = 320.0;
/// The most that a crossed hook which looks whose a file is costs a guest in all, in a directory that is four above the file.
const WALK_IN_ALL: f64 = 1500.0;
/// How much two runs of the same may differ without telling anything: this part, and a single instruction.
const NOISE: f64 = 0.001;

/// A promise of what a call takes in all, by what it takes bare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ratio {
    /// What is sent and received between sockets that are connected.
    Established,
    /// A connection, from the first packet to the last.
    Connection,
    /// A path, each directory of which is looked at.
    Walk,
}

impl Ratio {
    /// The most that host or guest may pay above bare, in percent.
    const fn limit(self) -> f64 {
        match self {
            Self::Established => 0.2,
            Self::Connection => 5.0,
            Self::Walk => 40.0,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Established => "sending and receiving on connected sockets",
            Self::Connection => "a connection",
            Self::Walk => "a path of eight components, with a barrier,",
        }
    }
}

/// How a promise is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Check {
    /// The promise.
    pub(crate) promise: String,
    /// The row that comes closest to breaking it, and under which policy.
    pub(crate) worst_row: String,
    /// Its figure.
    pub(crate) figure: f64,
    /// Whether it is kept.
    pub(crate) holds: bool,
}

/// What a hook's program does that it costs something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Work {
    /// Looks at the actor, and at the task or file that is acted upon.
    LooksUp,
    /// Keeps or finds what somebody set up earlier: a child's tag, the tag of a `/proc/PID` inode, the owner of a file.
    Keeps,
    /// Looks up, keeps or changes addresses of sockets.
    Addresses,
}

const fn work(hook: Hook) -> Work {
    match hook {
        Hook::TaskAlloc
        | Hook::BprmCommittedCreds
        | Hook::TaskToInode
        | Hook::FileSetFowner
        | Hook::FileSendSigiotask => Work::Keeps,
        _ if matches!(hook.info().need, Need::Network | Need::Receive) => Work::Addresses,
        _ => Work::LooksUp,
    }
}

impl Row {
    /// How many hooks the host crosses in one operation.
    pub(crate) fn host_count(&self) -> u64 {
        self.host_crossings.values().sum()
    }

    /// How many a guest does.
    pub(crate) fn guest_count(&self) -> u64 {
        self.guest_crossings.values().sum()
    }

    /// What one crossing costs the host above an empty program; none: it crosses nothing, or makes processes, whose own figure moves more.
    #[expect(clippy::cast_precision_loss, reason = "a handful of hooks")]
    pub(crate) fn host_above_empty(&self) -> Option<f64> {
        let is_steady = !crosses(&self.host_crossings, |hook| hook == Hook::TaskAlloc);
        let count = self.host_count();
        (is_steady && count > 0).then(|| (self.host.usual - self.empty.usual) / count as f64)
    }

    /// What one crossing costs a guest in all; none: it crosses nothing, is denied, has something kept, or is about addresses.
    #[expect(clippy::cast_precision_loss, reason = "a handful of hooks")]
    pub(crate) fn guest_in_all(&self) -> Option<f64> {
        let is_look_up = !crosses(&self.guest_crossings, |hook| work(hook) != Work::LooksUp);
        let count = self.guest_count();
        (is_look_up && !self.is_denied && !self.is_walked && count > 0)
            .then(|| (self.guest.usual - self.bare.usual) / count as f64)
    }

    /// The same where the hooks look whose a file is, and so walk up from it.
    #[expect(clippy::cast_precision_loss, reason = "a handful of hooks")]
    fn guest_walks(&self) -> Option<f64> {
        let count = self.guest_count();
        (self.is_walked && count > 0).then(|| (self.guest.usual - self.bare.usual) / count as f64)
    }

    /// What it costs the host more than nothing attached, if it crosses no hook and has no other promise.
    fn host_without_hooks(&self) -> Option<f64> {
        (self.host_count() == 0 && self.ratio.is_none()).then_some(self.host.usual - self.bare.usual)
    }

    /// What it costs the host or a guest more than nothing attached, whichever more, in percent, if that is promised so.
    fn above_bare(&self, ratio: Ratio) -> Option<f64> {
        let most = self.host.usual.max(self.guest.usual);
        (self.ratio == Some(ratio)).then_some(100.0 * (most - self.bare.usual) / self.bare.usual)
    }

    /// What a guest takes, of what the same takes through a veth pair, in percent.
    fn of_veth(&self) -> Option<f64> {
        self.veth.map(|veth| 100.0 * self.guest.usual / veth.usual)
    }
}

fn crosses(crossings: &Crossings, is: impl Fn(Hook) -> bool) -> bool {
    Hook::ALL.iter().any(|hook| is(*hook) && crossings.contains_key(hook.name()))
}

/// The promises, if the run counts what they are about.
pub(crate) fn check(run: &Run) -> Vec<Check> {
    if run.unit != Unit::Instructions {
        return Vec::new();
    }
    let at_most = |ratio: Ratio| {
        let limit = ratio.limit();
        let promise = format!("host and guest: {} takes at most {limit} % more than bare", ratio.words());
        worst(run, &promise, |row| row.above_bare(ratio), |figure, _| figure <= limit)
    };
    let look_up = |row: &Row| (row.guest_in_all().is_some() || row.is_denied).then(|| row.host_above_empty());
    [
        worst(
            run,
            &format!("host: at most {HOST_ABOVE_EMPTY} instructions per crossed look-up hook above an empty program"),
            |row| look_up(row).flatten(),
            |figure, _| figure <= HOST_ABOVE_EMPTY,
        ),
        worst(
            run,
            &format!("guest: at most {GUEST_IN_ALL} instructions per crossed look-up hook in all"),
            Row::guest_in_all,
            |figure, _| figure <= GUEST_IN_ALL,
        ),
        worst(
            run,
            &format!("guest: at most {WALK_IN_ALL} instructions per crossed hook that looks whose a file is"),
            Row::guest_walks,
            |figure, _| figure <= WALK_IN_ALL,
        ),
        worst(
            run,
            "host: +0 where no hook is crossed",
            Row::host_without_hooks,
            |figure, row| figure <= NOISE * row.bare.usual + 1.0,
        ),
        at_most(Ratio::Established),
        at_most(Ratio::Connection),
        at_most(Ratio::Walk),
        worst(
            run,
            "guest: at most what the same takes through a veth pair, in percent of that",
            Row::of_veth,
            |figure, _| figure <= 100.0,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn worst(
    run: &Run,
    promise: &str,
    figure: impl Fn(&Row) -> Option<f64>,
    holds: impl Fn(f64, &Row) -> bool,
) -> Option<Check> {
    let rows = run.scenarios.iter().flat_map(|scenario| scenario.rows.iter().map(move |row| (scenario, row)));
    let figures = rows.filter_map(|(scenario, row)| Some((scenario, row, figure(row)?)));
    let figures: Vec<_> = figures.collect();
    // What breaks the promise comes before what is only larger.
    let (scenario, row, worst) = figures.iter().max_by(|(_, a, x), (_, b, y)| {
        (!holds(*x, a), x).partial_cmp(&(!holds(*y, b), y)).unwrap_or(std::cmp::Ordering::Equal)
    })?;
    Some(Check {
        promise: promise.to_owned(),
        worst_row: format!("{}, {}", row.name, scenario.policy.name()),
        figure: *worst,
        holds: figures.iter().all(|(_, row, figure)| holds(*figure, row)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;
    use crate::measure::samples::{row, run};

    fn holds(run: &Run) -> Vec<bool> {
        check(run).iter().map(|check| check.holds).collect()
    }

    #[test]
    fn promises_hold_up_to_their_limit_and_not_beyond() {
        let kept = row("kill", &["task_kill"], [1000.0, 1180.0, 1205.0, 1320.0]);
        let idle = row("getpid", &[], [300.0, 300.0, 301.0, 300.0]);
        assert_eq!(holds(&run(vec![kept.clone(), idle.clone()])), [true, true, true]);
        let mut slow_host = kept.clone();
        slow_host.host.usual += 1.0;
        assert_eq!(holds(&run(vec![slow_host, idle.clone()])), [false, true, true]);
        let mut slow_guest = kept.clone();
        slow_guest.guest.usual += 1.0;
        assert_eq!(holds(&run(vec![slow_guest, idle.clone()])), [true, false, true]);
        let mut not_idle = idle;
        not_idle.host.usual += 1.0;
        assert_eq!(holds(&run(vec![kept, not_idle])), [true, true, false]);
    }

    #[test]
    fn a_figure_is_that_of_one_crossing() {
        let two = row("open", &["file_open", "ptrace_access_check"], [1000.0, 1360.0, 1400.0, 1600.0]);
        assert_eq!((two.host_above_empty(), two.guest_in_all()), (Some(20.0), Some(300.0)));
        let idle = row("getpid", &[], [300.0; 4]);
        assert_eq!((idle.host_above_empty(), idle.guest_in_all()), (None, None));
    }

    #[test]
    fn what_is_kept_or_denied_has_no_limit_for_a_guest() {
        let fork = row("fork", &["task_alloc"], [1000.0, 1200.0, 1300.0, 2000.0]);
        assert_eq!((fork.host_above_empty(), fork.guest_in_all()), (None, None));
        let mut denied = row("bpf", &["bpf"], [1000.0, 1180.0, 1200.0, 9000.0]);
        denied.is_denied = true;
        assert_eq!((denied.host_above_empty(), denied.guest_in_all()), (Some(20.0), None));
    }

    #[test]
    fn what_is_promised_by_the_bare_call_holds_for_host_and_guest() {
        let mut sent = row("send", &[], [1000.0, 1000.0, 1002.0, 1002.0]);
        sent.ratio = Some(Ratio::Established);
        let mut connected = row("connect", &["connect4"], [1000.0, 1100.0, 1050.0, 1050.0]);
        connected.ratio = Some(Ratio::Connection);
        assert_eq!(holds(&run(vec![sent.clone(), connected.clone()])), [true, true]);
        let mut slow_host = sent.clone();
        slow_host.host.usual += 1.0;
        assert_eq!(holds(&run(vec![slow_host, connected.clone()])), [false, true]);
        let mut slow_guest = connected;
        slow_guest.guest.usual += 1.0;
        assert_eq!(holds(&run(vec![sent, slow_guest])), [true, false]);
    }

    #[test]
    fn a_guest_is_below_a_veth_pair_where_there_is_one() {
        let mut sent = row("send", &[], [1000.0, 1000.0, 1000.0, 1500.0]);
        sent.ratio = Some(Ratio::Connection);
        sent.veth = Some(Figure { usual: 1500.0, ..sent.guest });
        assert_eq!(holds(&run(vec![sent.clone()])), [false, true]);
        sent.guest.usual += 1.0;
        assert_eq!(holds(&run(vec![sent])), [false, false]);
    }

    #[test]
    fn nothing_is_promised_in_nanoseconds() {
        let mut run = run(vec![row("kill", &["task_kill"], [1.0, 2.0, 900.0, 900.0])]);
        run.unit = Unit::Nanoseconds;
        assert_eq!(check(&run), []);
    }
}
