//! Sockets in some context, as the suite holds them: a `vs-actor sockets` with a line to it.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};

thread_local! {
    /// Whoever was started while there is a [`WaitingRoom`].
    static STAFF: RefCell<Option<Vec<Rc<RefCell<Seat>>>>> = const { RefCell::new(None) };
}

/// As long as it lives, whoever is let go is there for the next who asks for somebody in his context: to enter one is most of the time that
/// a short test takes.
#[derive(Debug)]
pub struct WaitingRoom(());

impl WaitingRoom {
    /// Opens it.
    pub fn open() -> Self {
        STAFF.set(Some(Vec::new()));
        Self(())
    }
}

impl Drop for WaitingRoom {
    fn drop(&mut self) {
        STAFF.set(None);
    }
}

/// Somebody who holds sockets.
#[derive(Debug)]
pub struct Desk {
    /// In which context it is; `host` is in none.
    pub context: String,
    seat: Rc<RefCell<Seat>>,
}

/// The process.
#[derive(Debug)]
struct Seat {
    context: String,
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
        if let Some(waiting) = Self::waiting(context) {
            return Ok(waiting);
        }
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
        let started = Self::start_with(context, command, Stdio::inherit())?;
        STAFF.with_borrow_mut(|staff| staff.as_mut().map(|staff| staff.push(started.seat.clone())));
        Ok(started)
    }

    /// Somebody in a context who is let go already, without the sockets that he had.
    fn waiting(context: &str) -> Option<Self> {
        let is_free =
            |seat: &&Rc<RefCell<Seat>>| Rc::strong_count(seat) == 1 && seat.borrow().context == context;
        let seat = STAFF.with_borrow(|staff| staff.as_ref()?.iter().find(is_free).cloned())?;
        let has_closed = matches!(seat.borrow_mut().order("close-all"), Ok(Ok(_)));
        has_closed.then(|| Self { context: context.to_owned(), seat })
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
        let seat = Seat { context: context.to_owned(), child, orders, answers };
        Ok(Self { context: context.to_owned(), seat: Rc::new(RefCell::new(seat)) })
    }

    /// The process that was started: who holds the sockets, if that is the host.
    pub fn pid(&self) -> u32 {
        self.seat.borrow().child.id()
    }

    /// Has an order carried out: what it tells, or the errno.
    ///
    /// # Errors
    /// The actor is gone, or does not know the order.
    pub fn order(&mut self, order: &str) -> Result<std::result::Result<String, i32>> {
        self.seat.borrow_mut().order(order)
    }
}

impl Seat {
    fn order(&mut self, order: &str) -> Result<std::result::Result<String, i32>> {
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

impl Drop for Seat {
    fn drop(&mut self) {
        // Killed already or not, it ends; the status tells nothing that matters here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
