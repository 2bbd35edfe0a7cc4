//! Which processes the tools see.

use std::collections::BTreeSet;

use anyhow::Result;
use vs_tests::report::Checks;
use vs_tests::world::{INHABITANTS, Proc};

use super::sleeper::{HOSTS, NOBODY, SHARED, Sleepers, names_of};
use super::{Told, ask};

/// Names of processes that a list may hold beside the sleepers: the tool, the shell that runs it, and process 1 of a PID namespace.
const ASIDE: [&str; 4] = ["ps", "sh", "top", "vs-reaper"];

/// What an inhabitant's tools are to see.
struct View {
    owner: &'static str,
    proc: Proc,
    /// The sleepers that root sees, and that nobody does.
    roots: BTreeSet<String>,
    nobodys: BTreeSet<String>,
}

impl View {
    fn of(owner: &'static str, proc: Proc, sleepers: &Sleepers) -> Self {
        let [root, nobody] = names_of(owner);
        let own = BTreeSet::from([root, nobody.clone()]);
        let all: BTreeSet<String> = sleepers.names().map(str::to_owned).collect();
        match proc {
            Proc::Host => Self { owner, proc, roots: all.clone(), nobodys: all },
            // Published: in a /proc that hides what may not be traced, users see their own.
            Proc::Hidepid => Self { owner, proc, roots: own, nobodys: BTreeSet::from([nobody]) },
            Proc::Pidns | Proc::Plain => Self { owner, proc, roots: own.clone(), nobodys: own },
        }
    }
}

/// A command, and what is looked at in what it says.
struct Question {
    command: String,
    verdict: Verdict,
}

/// What must come of a command.
enum Verdict {
    /// It lists these sleepers and no others; if it says nothing but names, nothing else at all.
    Lists { sleepers: BTreeSet<String>, is_only_names: bool },
    /// It finds one process, or says that there is none.
    Finds(bool),
    /// It shows a process of this name.
    Shows(&'static str),
    /// It says the numbers of those who have the file open that all sleepers have.
    Holders,
    /// It ends with this status.
    Ends(i32),
}

/// Asks the tools of every inhabitant.
pub(super) fn run(sleepers: &mut Sleepers, checks: &mut Checks) -> Result<()> {
    for (owner, _, proc) in INHABITANTS {
        let view = View::of(owner, proc, sleepers);
        let mut questions = lists(&view);
        questions.extend(names(&view));
        questions.extend(files(&view));
        let commands: Vec<String> = questions.iter().map(|question| question.command.clone()).collect();
        for (question, told) in questions.iter().zip(ask(owner, &commands)?) {
            let what = format!("{owner}: {}", question.command);
            judge(&what, question, &told, (&view, sleepers), checks);
        }
    }
    checks.equal("ended before anybody was signalled", &sleepers.ended(), &Vec::new());
    Ok(())
}

/// A command as the user nobody, without any group.
fn as_nobody(command: &str) -> String {
    format!("setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups {command}")
}

/// The tools that list what there is.
fn lists(view: &View) -> Vec<Question> {
    let list = |command: &str, sleepers: &BTreeSet<String>| Question {
        command: command.to_owned(),
        verdict: Verdict::Lists {
            sleepers: sleepers.clone(),
            is_only_names: view.proc != Proc::Host && command.ends_with("comm="),
        },
    };
    // A command that `vs run` starts has its parent outside, and pstree begins at process 1: in a PID namespace it shows who has gone to the
    // background.
    let none = BTreeSet::new();
    let in_trees = if view.proc == Proc::Pidns { &none } else { &view.roots };
    let mut questions = vec![
        list("ps -e -o comm=", &view.roots),
        list("ps -ef", &view.roots),
        list("top -b -n 1 -w 200", &view.roots),
        list("pstree -Al", in_trees),
        list(&as_nobody("ps -e -o comm="), &view.nobodys),
    ];
    if view.proc == Proc::Pidns {
        questions.push(Question {
            command:
                "(setsid sleep 77 &); until pgrep -x sleep >/dev/null; do :; done; pstree -Al; pkill -x sleep"
                    .to_owned(),
            verdict: Verdict::Shows("sleep"),
        });
    }
    questions
}

/// The tools that look for a name.
fn names(view: &View) -> Vec<Question> {
    let mut questions = Vec::new();
    let mut find = |command: String, is_there: bool| {
        questions.push(Question { command, verdict: Verdict::Finds(is_there) });
    };
    // Itself, another of its kind, and two who live elsewhere.
    let kind = view.owner.split('-').next().unwrap_or_default();
    for (owner, ..) in INHABITANTS {
        let [roots, _] = names_of(owner);
        let is_seen = view.roots.contains(&roots);
        if !owner.starts_with(kind) && owner != "host" && owner != "spectator" {
            continue;
        }
        find(format!("pgrep -x {roots}"), is_seen);
        if is_seen || owner == "host" {
            find(format!("pidof {roots}"), is_seen);
            find(as_nobody(&format!("pgrep -x {roots}")), view.nobodys.contains(&roots));
        }
    }
    questions
}

/// Who has a file open: those that are seen, by the numbers under which they are seen.
fn files(view: &View) -> Vec<Question> {
    let names: Vec<&str> = view.roots.iter().map(String::as_str).collect();
    let hosts = i32::from(view.proc != Proc::Host);
    vec![
        Question {
            // What fuser says on standard output are numbers, without an end of line.
            command: format!(
                "fuser {SHARED} 2>/dev/null && echo && pgrep -x '{}' | sed 's/^/pgrep /'",
                names.join("|")
            ),
            verdict: Verdict::Holders,
        },
        Question { command: format!("fuser {HOSTS}"), verdict: Verdict::Ends(hosts) },
    ]
}

fn judge(what: &str, question: &Question, told: &Told, (view, all): (&View, &Sleepers), checks: &mut Checks) {
    match &question.verdict {
        Verdict::Lists { sleepers, is_only_names } => {
            let is_listed = |name: &&str| told.lines.iter().any(|line| line.contains(name));
            let listed: BTreeSet<String> = all.names().filter(is_listed).map(str::to_owned).collect();
            checks.equal(what, &listed, sleepers);
            checks.equal(&format!("{what}: status"), &told.status, &0);
            let is_other = |line: &&String| !ASIDE.contains(&line.as_str()) && !sleepers.contains(*line);
            let others: Vec<_> = told.lines.iter().filter(is_other).collect();
            checks.check(!is_only_names || others.is_empty(), || format!("{what} shows {others:?} as well"));
        }
        Verdict::Finds(is_there) => {
            let (status, count) = if *is_there { (0, 1) } else { (1, 0) };
            let is_right = told.status == status && told.words().count() == count;
            checks.check(is_right, || format!("{what}: {told:?}"));
        }
        Verdict::Shows(name) => {
            let is_shown = told.lines.iter().any(|line| line.contains(name));
            checks.check(is_shown && told.status == 0, || format!("{what}: {told:?}"));
        }
        Verdict::Holders => {
            let (found, held): (Vec<_>, Vec<_>) =
                told.lines.iter().partition(|line| line.starts_with("pgrep "));
            let found: BTreeSet<&str> = found.iter().filter_map(|line| line.strip_prefix("pgrep ")).collect();
            let held: BTreeSet<&str> = held.iter().flat_map(|line| line.split_whitespace()).collect();
            // Who sees the host sees the commands that wait for the sleepers, too.
            let is_right = if view.proc == Proc::Host { held.is_superset(&found) } else { held == found };
            checks.check(is_right && found.len() == view.roots.len(), || format!("{what}: {told:?}"));
        }
        Verdict::Ends(status) => checks.check(told.status == *status, || format!("{what}: {told:?}")),
    }
}
