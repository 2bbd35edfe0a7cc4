//! How a run in a test machine can end, and the exit status that says so.
//!
//! | status | meaning |
//! |---|---|
//! | the command's own | it ran and ended; 128 + signal if a signal killed it |
//! | 120 | the kernel panicked |
//! | 121 | the kernel oopsed, or reported a bug of its own |
//! | 122 | the kernel reported that it hangs |
//! | 123 | the machine ended or fell silent without a report |
//! | 124 | the time was up |
//! | 125 | the machine could not be set up |
//! | 126, 127 | the command could not be started, was not found |

use std::fmt;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The command ended with this status.
    Exited(u8),
    /// The command could not be started: why, and the status a shell would give.
    NotStarted(u8, String),
    /// The time for the command was up.
    TimedOut,
    /// The kernel panicked; its last words.
    Panic(String),
    /// The kernel oopsed; the report.
    Oops(String),
    /// The kernel found a CPU or a task hanging; the report.
    Stall(String),
    /// The machine ended, or never came up, without saying how the command fared; the end of its console.
    Lost(String),
}

impl Outcome {
    /// The exit status that stands for it: see the table above.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Exited(status) | Self::NotStarted(status, _) => *status,
            Self::Panic(_) => 120,
            Self::Oops(_) => 121,
            Self::Stall(_) => 122,
            Self::Lost(_) => 123,
            Self::TimedOut => 124,
        }
    }

    /// The console's text that explains it, for those that have one.
    pub(crate) fn console(&self) -> Option<&str> {
        match self {
            Self::Panic(text) | Self::Oops(text) | Self::Stall(text) | Self::Lost(text) => Some(text),
            Self::Exited(_) | Self::NotStarted(..) | Self::TimedOut => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::NotStarted(_, why) => write!(f, "could not run the command: {why}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Panic(_) => f.write_str("the kernel panicked"),
            Self::Oops(_) => f.write_str("the kernel oopsed"),
            Self::Stall(_) => f.write_str("the kernel hangs"),
            Self::Lost(_) => f.write_str("the machine ended without a report"),
        }
    }
}
