//! The audit as the suite reads it: the JSON lines that `vs audit collect` writes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};
use serde_json::Value;

/// How long a record may take on a loaded emulator.
const PATIENCE: Duration = Duration::from_secs(20);

/// A record that must come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// The actor's context.
    pub actor: u32,
    /// The process that acted, in the host's numbers; `None`: its numbers are another namespace's.
    pub pid: Option<i32>,
    /// The context of what it acted on; `None`: nothing with a context.
    pub target: Option<u32>,
    /// The hook.
    pub hook: &'static str,
    /// The errno's symbol.
    pub errno: &'static str,
    /// "enforce" or "observe".
    pub mode: &'static str,
}

impl Expected {
    fn is(&self, record: &Value) -> bool {
        let number = |value: &Value| value.as_u64();
        record["kind"] == "violation"
            && number(&record["actor"]["xid"]) == Some(self.actor.into())
            && self.pid.is_none_or(|pid| record["actor"]["tgid"].as_i64() == Some(pid.into()))
            && self.target.is_none_or(|target| number(&record["target"]["xid"]) == Some(target.into()))
            && record["hook"] == self.hook
            && record["errno"] == self.errno
            && record["mode"] == self.mode
    }
}

/// A running collector and what it has written.
#[derive(Debug)]
pub struct Audit {
    collector: Child,
    path: PathBuf,
    /// How long to wait for a record: long enough for a loaded emulator, unless a test knows that it will not come.
    pub patience: Duration,
    position: u64,
    tail: String,
    records: Vec<Value>,
}

impl Audit {
    /// Starts a collector that writes to a file.
    ///
    /// # Errors
    /// `vs audit collect` does not start.
    pub fn start(path: &Path) -> Result<Self> {
        File::create(path).with_context(|| format!("create {}", path.display()))?;
        let collector = Command::new("vs")
            .args(["audit", "collect", "--output"])
            .arg(path)
            .stdin(Stdio::null())
            .spawn()
            .context("start vs audit collect")?;
        Ok(Self {
            collector,
            path: path.to_owned(),
            patience: PATIENCE,
            position: 0,
            tail: String::new(),
            records: Vec::new(),
        })
    }

    /// Ends the collector.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn end(&mut self) -> Result<()> {
        self.collector.kill().context("end the collector")?;
        self.collector.wait().context("wait for the collector")?;
        Ok(())
    }

    /// Has the collector pause until the value is dropped: nobody reads the ring then.
    ///
    /// # Errors
    /// It does not stop.
    pub fn pause(&self) -> Result<Paused> {
        let collector = Pid::from_child(&self.collector);
        let paused = Paused(collector);
        rustix::process::kill_process(collector, Signal::STOP).context("pause the collector")?;
        let status = format!("/proc/{collector}/status");
        let deadline = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(&status)?.contains("\nState:\tT") {
            anyhow::ensure!(Instant::now() < deadline, "the collector does not pause");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(paused)
    }

    /// All records so far.
    ///
    /// # Errors
    /// The file cannot be read, or a line in it is not JSON.
    pub fn read(&mut self) -> Result<&[Value]> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.position))?;
        let mut text = String::new();
        self.position += file.read_to_string(&mut text)? as u64;
        self.tail.push_str(&text);
        while let Some(end) = self.tail.find('\n') {
            let line: String = self.tail.drain(..=end).collect();
            self.records
                .push(serde_json::from_str(&line).with_context(|| format!("the audit's line {line:?}"))?);
        }
        Ok(&self.records)
    }

    /// Waits until each expected record has come, for as long as a loaded emulator may take; what is missing then is returned.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn missing(&mut self, expected: &[Expected]) -> Result<Vec<Expected>> {
        let deadline = Instant::now() + self.patience;
        loop {
            let records = self.read()?;
            let missing: Vec<Expected> = expected
                .iter()
                .filter(|wanted| !records.iter().any(|record| wanted.is(record)))
                .cloned()
                .collect();
            if missing.is_empty() || Instant::now() > deadline {
                return Ok(missing);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a record comes that satisfies a condition.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn wait_for(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Result<Option<Value>> {
        let deadline = Instant::now() + self.patience;
        loop {
            if let Some(record) = self.read()?.iter().find(|record| is_wanted(record)) {
                return Ok(Some(record.clone()));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A collector that does nothing as long as this lives.
#[derive(Debug)]
pub struct Paused(Pid);

impl Drop for Paused {
    fn drop(&mut self) {
        // If it has ended there is nothing to wake, and the records that are missing then say so.
        let _ = rustix::process::kill_process(self.0, Signal::CONT);
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        let _ = self.collector.kill();
        let _ = self.collector.wait();
    }
}
