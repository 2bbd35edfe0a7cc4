//! What a process has when it has entered a context: nothing of its caller's but what was meant for it.
//!
//! Everything is tried with `vs run` and `vs enter`, in each proc mode, and as the spectator; and, so that it is known that the trial can
//! fail, with the same command run by the same caller outside.

mod caller;
pub(crate) mod daemon;
pub(crate) mod directory;
pub(crate) mod reaper;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod terminal;

use std::process::Command;

/// A way in, by the words before the command; none: outside.
#[derive(Clone, Copy)]
struct Way(&'static [&'static str]);

const OUTSIDE: Way = Way(&[]);

/// Each context is running: the suite's actors live there.
const WAYS: [Way; 7] = [
    Way(&["vs", "run", "--context", "pidns-a", "--"]),
    Way(&["vs", "enter", "pidns-a", "--"]),
    Way(&["vs", "run", "--context", "hidepid-a", "--"]),
    Way(&["vs", "enter", "hidepid-a", "--"]),
    Way(&["vs", "run", "--context", "plain-a", "--"]),
    Way(&["vs", "enter", "plain-a", "--"]),
    Way(&["vs", "run", "--spectator", "--"]),
];

/// One of each mode, for what goes the same way in all: an entry takes its time on an emulated machine.
const FEW_WAYS: [Way; 3] = [WAYS[0], WAYS[3], WAYS[4]];

impl Way {
    /// A command that goes this way.
    fn command(self, words: &[&str]) -> Command {
        self.command_with(&[], words)
    }

    /// The same with options for the way itself.
    fn command_with(self, options: &[&str], words: &[&str]) -> Command {
        let (way, end) = self.0.split_at(self.0.len().saturating_sub(1));
        let mut all = way.iter().chain(options).chain(end).chain(words);
        let mut command = Command::new(all.next().unwrap_or(&"true"));
        command.args(all);
        command
    }

    /// For reports.
    fn name(self) -> String {
        if self.0.is_empty() { "outside".to_owned() } else { self.0[1..self.0.len() - 1].join(" ") }
    }

    /// Whether it leads into a mount tree of the context's own.
    fn has_own_tree(self) -> bool {
        self.0.iter().any(|word| word.starts_with("pidns") || word.starts_with("hidepid"))
    }
}
