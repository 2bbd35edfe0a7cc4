//! Sockets in some context, as the suite holds them: a `vs-actor sockets` with a line to it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Somebody who holds sockets.
#[derive(Debug)]
pub struct Desk {
    /// In which context it is; `host` is in none.
    pub context: String,
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Desk {
    /// Puts one into a context, or into none by the name `host`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(context: &str) -> Result<Self> {
        let mut command;
        match context {
            "host" => command = Command::new("vs-actor"),
            "spectator" => {
                command = Command::new("vs");
                command.args(["run", "--spectator", "--", "vs-actor"]);
            }
            _ => {
                command = Command::new("vs");
                command.args(["run", "--context", context, "--", "vs-actor"]);
            }
        }
        command.arg("sockets");
        Self::start_with(context, command, Stdio::inherit())
    }

    /// The same by a command that ends in `vs-actor sockets`, and with something as its standard error.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_with(context: &str, mut command: Command, error: Stdio) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(error)
            .spawn()
            .with_context(|| format!("start somebody with sockets in {context}"))?;
        let orders = child.stdin.take().context("its standard input")?;
        let mut answers = BufReader::new(child.stdout.take().context("its standard output")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        if line.trim_end() != "ready" {
            bail!("nobody with sockets in {context}: {line:?}, {:?}", child.wait()?);
        }
        Ok(Self { context: context.to_owned(), child, orders, answers })
    }

    /// The process that was started: who holds the sockets, if that is the host.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has an order carried out: what it tells, or the errno.
    ///
    /// # Errors
    /// The actor is gone, or does not know the order.
    pub fn order(&mut self, order: &str) -> Result<std::result::Result<String, i32>> {
        writeln!(self.orders, "{order}").with_context(|| format!("tell {} to {order}", self.context))?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let (errno, text) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        match errno.parse() {
            Ok(0) => Ok(Ok(text.to_owned())),
            Ok(libc::ENOEXEC) => bail!("{} does not know how to {order}", self.context),
            Ok(errno) => Ok(Err(errno)),
            Err(_) => bail!("{} answered {line:?} to {order}", self.context),
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Killed already or not, it ends; the status tells nothing that matters here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
