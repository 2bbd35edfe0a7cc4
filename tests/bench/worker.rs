//! The process that does the operations, as the host's or as a context's.
//!
//! It reads requests from its standard input and answers on its standard output, a line of JSON each: all that a process keeps which
//! enters a context. Between two requests it waits, so that programs can be attached and detached meanwhile.

use std::io::{self, BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::operation::{Operation, Site};
use crate::place::Place;

/// The argument that makes this program one.
pub(crate) const ARGUMENT: &str = "worker";

/// One operation, so many batches of it.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    name: String,
    batches: u32,
    is_guest: bool,
}

/// What the clock said of each batch, in nanoseconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Batches {
    /// Operations in each.
    pub(crate) size: u32,
    /// How long each took.
    pub(crate) elapsed: Vec<u64>,
}

/// What a worker says: once it is ready, nothing; then to each request what the clock said, or what went wrong.
type Answer<T> = Result<T, String>;

/// What a worker does: answers until there are no more requests.
pub(crate) fn main(place: Place) -> Result<()> {
    let site = Site::make(place);
    say(&site.as_ref().map(drop).map_err(|error| format!("{error:#}")))?;
    let site = site?;
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?).context("reading a request")?;
        say(&perform(&site, &request).map_err(|error| format!("{error:#}")))?;
    }
    Ok(())
}

fn say<T: Serialize>(answer: &Answer<T>) -> Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, answer)?;
    stdout.write_all(b"\n").and_then(|()| stdout.flush()).context("answering")
}

fn perform(site: &Site, request: &Request) -> Result<Batches> {
    let operation = Operation::find(&request.name)?;
    let mut act = operation.prepare(site, request.is_guest)?;
    let mut elapsed = Vec::new();
    // The first batch warms caches up, the kernel's own included, and is not told.
    for _ in 0..=request.batches {
        let begin = Instant::now();
        for _ in 0..operation.batch {
            // It was tried, and its answer does not change: looking at it here would be part of what is measured.
            let _ = act();
        }
        elapsed.push(begin.elapsed().as_nanos().try_into()?);
    }
    elapsed.remove(0);
    Ok(Batches { size: operation.batch, elapsed })
}

/// A running worker, seen from outside; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    is_guest: bool,
}

impl Worker {
    /// Starts one by this command, which begins this program somewhere, and waits until it is ready and nothing else goes on.
    pub(crate) fn start(mut command: Command, is_guest: bool) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("a worker without pipes");
        };
        let mut worker = Self { child, requests: Some(requests), answers: BufReader::new(answers), is_guest };
        worker.answer::<()>().with_context(|| format!("starting {command:?}"))?;
        Ok(worker)
    }

    /// Has an operation done, in so many batches after one that is not told.
    pub(crate) fn perform(&mut self, operation: &Operation, batches: u32) -> Result<Batches> {
        let request = Request { name: operation.name.to_owned(), batches, is_guest: self.is_guest };
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        if let Some(requests) = &mut self.requests {
            requests.write_all(&line).and_then(|()| requests.flush()).context("asking a worker")?;
        }
        self.answer()
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line).context("listening to a worker")?;
        if line.is_empty() {
            bail!("a worker has ended: {}", self.child.wait()?);
        }
        let answer: Answer<T> =
            serde_json::from_str(&line).with_context(|| format!("a worker said `{}`", line.trim()))?;
        answer.map_err(anyhow::Error::msg)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without requests it ends by itself and takes its other process and its files along.
        self.requests = None;
        let _ = self.child.wait();
    }
}
