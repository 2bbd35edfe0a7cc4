//! The other process, which is acted upon: a child that sleeps, and is a member of whatever context its parent is in.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result};
use rustix::process::Pid;

/// The argument that makes this program one.
pub(crate) const ARGUMENT: &str = "partner";

/// What is read of its memory.
static READABLE: u64 = 0;

/// A running one; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Partner {
    child: Child,
    readable: usize,
}

impl Partner {
    /// Starts one and waits until it sleeps.
    pub(crate) fn start() -> Result<Self> {
        let this = env::current_exe().context("finding this program")?;
        let mut child = Command::new(this)
            .arg(ARGUMENT)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting another process")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).context("listening to the other process")?;
        }
        let readable = line.trim().parse().with_context(|| format!("the other process said `{line}`"))?;
        Ok(Self { child, readable })
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The address of eight bytes in it that may be read.
    pub(crate) fn readable(&self) -> usize {
        self.readable
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill, and only its status to collect.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one does: says where it can be read, and sleeps until it is killed.
pub(crate) fn main() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .context("asking to end with the parent")?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", (&raw const READABLE).addr()).context("telling where it can be read")?;
    stdout.flush().context("telling where it can be read")?;
    loop {
        thread::park();
    }
}
