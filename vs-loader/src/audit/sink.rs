//! Where records go, and what becomes of them while one of these places cannot be written.
//!
//! A sink that fails does not stop the others, and the ring is read on: a record that a sink cannot take waits for it in memory, up
//! to [`MAX_WAITING`] of them, and those beyond are counted. Once a second the sink is tried again; when it takes records again it
//! first gets what waited, then a `sink-recovered` record that says how many are missing in it. The other sinks and the followers are
//! told at once when a sink fails and when it recovers. What still waits when the collector ends is reported by its exit code.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::control::{SinkFailed, SinkRecovered, cut};
use super::json;
use super::printable::Printable;
use super::record::AuditRecord;
use super::time::{Now, Time};

/// Records that wait for a sink that fails: some 3 MiB.
pub const MAX_WAITING: usize = 4096;

/// A record and its line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The record.
    pub record: AuditRecord,
    /// The same as JSON, without a line break.
    pub json: String,
}

impl Line {
    /// The line of a record.
    pub fn new(record: AuditRecord) -> Arc<Self> {
        Arc::new(Self { json: json::line(&record), record })
    }
}

/// A place that records go to.
pub trait Sink {
    /// What the operator knows it by.
    fn name(&self) -> String;

    /// Writes one record, whole or not at all.
    ///
    /// # Errors
    /// It is not written.
    fn write(&mut self, line: &Line) -> io::Result<()>;

    /// Called about once a second and at the end: makes what was written durable, as far as the sink promises that.
    ///
    /// # Errors
    /// It may not be durable.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Something that does not keep records from being written, and that the operator should know; told until it changes.
    fn trouble(&self) -> Option<&str> {
        None
    }

    /// Whether it will never take a record again.
    fn is_gone(&self) -> bool {
        false
    }
}

/// A sink, and what waits for it.
pub struct Outlet {
    sink: Box<dyn Sink>,
    failure: Option<Failure>,
}

struct Failure {
    since: Time,
    error: Printable,
    waiting: VecDeque<Arc<Line>>,
    lost: u64,
}

/// What a sink still lacks at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unwritten {
    /// The sink.
    pub sink: String,
    /// Records that are missing in it.
    pub records: u64,
    /// Why.
    pub error: Printable,
}

impl Outlet {
    /// A sink that works.
    pub fn new(sink: Box<dyn Sink>) -> Self {
        Self { sink, failure: None }
    }

    /// The sink.
    pub fn sink(&self) -> &dyn Sink {
        &*self.sink
    }

    /// Whether it fails at present.
    pub const fn is_failing(&self) -> bool {
        self.failure.is_some()
    }

    /// Writes a record, or keeps it. The event is for the other sinks: this one just failed.
    pub fn put(&mut self, line: &Arc<Line>, now: Now) -> Option<SinkFailed> {
        if let Some(failure) = &mut self.failure {
            failure.keep(line);
            return None;
        }
        let error = self.sink.write(line).err()?;
        let failed = self.fail(&error, now);
        if let Some(failure) = &mut self.failure {
            failure.keep(line);
        }
        Some(failed)
    }

    /// Makes durable what was written. The event is for the other sinks: this one just failed.
    pub fn sync(&mut self, now: Now) -> Option<SinkFailed> {
        if self.is_failing() {
            return None;
        }
        let error = self.sink.sync().err()?;
        Some(self.fail(&error, now))
    }

    /// Tries a sink that failed. The event is for all of them: it works again, and what waited is written.
    pub fn retry(&mut self) -> Option<SinkRecovered> {
        let failure = self.failure.as_mut()?;
        let mut written = 0;
        while let Some(line) = failure.waiting.front() {
            self.sink.write(line).ok()?;
            failure.waiting.pop_front();
            written += 1;
        }
        self.sink.sync().ok()?;
        let Failure { since, error, lost, .. } = self.failure.take()?;
        let sink = cut(self.sink.name().as_bytes());
        Some(SinkRecovered { sink, since, error, kept: written, lost })
    }

    /// What is missing in it.
    pub fn unwritten(&self) -> Option<Unwritten> {
        let failure = self.failure.as_ref()?;
        let records = failure.waiting.len() as u64 + failure.lost;
        Some(Unwritten { sink: self.sink.name(), records, error: failure.error.clone() })
    }

    fn fail(&mut self, error: &io::Error, now: Now) -> SinkFailed {
        let error = cut(error.to_string().as_bytes());
        self.failure =
            Some(Failure { since: now.wall, error: error.clone(), waiting: VecDeque::new(), lost: 0 });
        SinkFailed { sink: cut(self.sink.name().as_bytes()), error }
    }
}

impl Failure {
    fn keep(&mut self, line: &Arc<Line>) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(Arc::clone(line));
        } else {
            self.lost += 1;
        }
    }
}

/// A stream, standard output for one: lines as they come, no rotation, nothing durable. A reader that stops reading stops the
/// collector; the ring then fills, and the kernel side counts what it has no room for.
pub struct StreamSink<W> {
    name: &'static str,
    stream: W,
    is_gone: bool,
}

impl<W: Write> StreamSink<W> {
    /// A sink over a stream.
    pub const fn new(name: &'static str, stream: W) -> Self {
        Self { name, stream, is_gone: false }
    }
}

impl<W: Write + AsFd> Sink for StreamSink<W> {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let text = format!("{}\n", line.json);
        let written = self.stream.write_all(text.as_bytes()).and_then(|()| self.stream.flush());
        self.is_gone |= written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        written
    }

    /// Finds out that the reader left, also while there is nothing to write.
    fn sync(&mut self) -> io::Result<()> {
        let mut wait = [PollFd::new(&self.stream, PollFlags::empty())];
        poll(&mut wait, Some(&Timespec::default()))?;
        if wait[0].revents().contains(PollFlags::ERR) {
            self.is_gone = true;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    fn is_gone(&self) -> bool {
        self.is_gone
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::audit::samples;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A sink in memory that fails while it is told to.
    #[derive(Clone, Default)]
    pub(crate) struct FakeSink {
        pub(crate) lines: Rc<RefCell<Vec<String>>>,
        pub(crate) is_full: Rc<RefCell<bool>>,
    }

    impl FakeSink {
        pub(crate) fn kinds(&self) -> Vec<String> {
            let kind = |line: &String| json::parse(line).unwrap().event.kind().to_owned();
            self.lines.borrow().iter().map(kind).collect()
        }
    }

    impl Sink for FakeSink {
        fn name(&self) -> String {
            "fake".to_owned()
        }

        fn write(&mut self, line: &Line) -> io::Result<()> {
            if *self.is_full.borrow() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.lines.borrow_mut().push(line.json.clone());
            Ok(())
        }
    }

    fn lines() -> Vec<Arc<Line>> {
        samples::all().into_iter().map(Line::new).collect()
    }

    #[test]
    fn what_a_failing_sink_cannot_take_waits_for_it_in_order() {
        let fake = FakeSink::default();
        let mut outlet = Outlet::new(Box::new(fake.clone()));
        let lines = lines();
        assert_eq!(outlet.put(&lines[0], samples::now()), None);
        *fake.is_full.borrow_mut() = true;
        let failed = outlet.put(&lines[1], samples::now()).unwrap();
        assert_eq!((failed.sink.as_str(), failed.error.as_str()), ("fake", "no storage space"));
        // It is told once.
        assert_eq!(outlet.put(&lines[2], samples::now()), None);
        assert_eq!(outlet.retry(), None);
        assert_eq!(outlet.unwritten().unwrap().records, 2);
        *fake.is_full.borrow_mut() = false;
        let recovered = outlet.retry().unwrap();
        assert_eq!((recovered.kept, recovered.lost), (2, 0));
        assert_eq!(outlet.unwritten(), None);
        assert_eq!(*fake.lines.borrow(), lines[..3].iter().map(|line| line.json.clone()).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_wait_is_counted() {
        let fake = FakeSink::default();
        *fake.is_full.borrow_mut() = true;
        let mut outlet = Outlet::new(Box::new(fake.clone()));
        let line = &lines()[0];
        for _ in 0..MAX_WAITING + 3 {
            outlet.put(line, samples::now());
        }
        assert_eq!(outlet.unwritten().unwrap().records, MAX_WAITING as u64 + 3);
        *fake.is_full.borrow_mut() = false;
        let recovered = outlet.retry().unwrap();
        assert_eq!((recovered.kept, recovered.lost), (MAX_WAITING as u64, 3));
        assert_eq!(fake.lines.borrow().len(), MAX_WAITING);
    }

    #[test]
    fn a_reader_that_went_away_is_gone_for_good() {
        let (reader, writer) = io::pipe().unwrap();
        let mut sink = StreamSink::new("pipe", writer);
        sink.write(&lines()[0]).unwrap();
        assert!(!sink.is_gone());
        sink.sync().unwrap();
        drop(reader);
        sink.sync().unwrap_err();
        assert!(sink.is_gone());
    }

    #[test]
    fn a_reader_that_went_away_is_noticed_by_writing_too() {
        let (reader, writer) = io::pipe().unwrap();
        let mut sink = StreamSink::new("pipe", writer);
        drop(reader);
        sink.write(&lines()[0]).unwrap_err();
        assert!(sink.is_gone());
    }
}
