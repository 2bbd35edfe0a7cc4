//! An actor as the suite holds it: a `vs-actor` in some context, with a line to it.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// What an order came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// 0, or the errno.
    pub errno: i32,
    /// The process that tried, in the actor's own PID namespace.
    pub pid: i32,
}

/// What leads to an actor's standard input.
#[derive(Debug)]
enum Orders {
    Pipe(ChildStdin),
    File(File),
}

/// A running actor.
#[derive(Debug)]
pub struct Actor {
    /// Its name, which is in the name of its target, too.
    pub name: String,
    /// Its target's number in the host's PID namespace.
    pub target: i32,
    /// Its target's number in its own PID namespace.
    pub own_target: i32,
    child: Child,
    orders: Orders,
    answers: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts an actor by a command that ends in `vs-actor NAME`, in whatever context the command puts it.
    ///
    /// # Errors
    /// The command does not start, or what it starts is no actor.
    pub fn start(mut command: Command, name: &str) -> Result<Self> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start an actor")?;
        let orders = Orders::Pipe(child.stdin.take().context("the actor's standard input")?);
        Self::meet(child, orders, name)
    }

    /// The same with a standard input that the caller has given the command, and what leads there.
    ///
    /// # Errors
    /// As for [`Actor::start`].
    pub fn start_with_orders(mut command: Command, name: &str, orders: File) -> Result<Self> {
        let child = command.stdout(Stdio::piped()).spawn().context("start an actor")?;
        Self::meet(child, Orders::File(orders), name)
    }

    fn meet(mut child: Child, orders: Orders, name: &str) -> Result<Self> {
        let mut answers = BufReader::new(child.stdout.take().context("the actor's standard output")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let own_target = match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["ready", pid] => pid.parse()?,
            _ => bail!("actor {name} did not start: {line:?}, {:?}", child.wait()?),
        };
        let target = find_process(&format!("t-{name}")).with_context(|| format!("the target of {name}"))?;
        Ok(Self { name: name.to_owned(), target, own_target, child, orders, answers })
    }

    /// Has an order carried out.
    ///
    /// # Errors
    /// The actor is gone, or does not know the order.
    pub fn order(&mut self, order: &str) -> Result<Answer> {
        match &mut self.orders {
            Orders::Pipe(pipe) => writeln!(pipe, "{order}"),
            Orders::File(file) => writeln!(file, "{order}"),
        }
        .with_context(|| format!("tell {} to {order}", self.name))?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["done", "255", _] => bail!("{} does not know how to {order}", self.name),
            ["done", errno, pid] => Ok(Answer { errno: errno.parse()?, pid: pid.parse()? }),
            _ => bail!("{} answered {line:?} to {order}", self.name),
        }
    }

    /// The number by which this actor would call a target: its own by its own number, everybody else's by the host's.
    pub fn number_of(&self, owner: &Self) -> i32 {
        if self.name == owner.name { self.own_target } else { owner.target }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Killed already or not, it ends; the status tells nothing that matters here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Nobody else ends the host's, and one that is left would be taken for the next one's.
        // SAFETY: Numbers only.
        unsafe { libc::kill(self.target, libc::SIGKILL) };
    }
}

/// The process of this name, in the host's numbers. It may take an instant until it has its name.
pub fn find_process(comm: &str) -> Option<i32> {
    for _ in 0..500 {
        for entry in std::fs::read_dir("/proc").ok()?.flatten() {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            if name.trim_end() == comm
                && let Ok(pid) = entry.file_name().to_string_lossy().parse()
            {
                return Some(pid);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    None
}
