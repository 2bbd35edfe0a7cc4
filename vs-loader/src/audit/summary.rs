//! How often who crossed which line, from the collector's files; and what these files lack.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Serialize;

use super::file::FileSink;
use super::json::{self, MAX_LINE};
use super::network::nobodys;
use super::printable::Printable;
use super::record::{AuditRecord, ContextName, Event, Lost, Repeated, ViolationEvent};
use super::time::Time;
use super::word::Word;

/// A summary of records.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Summary {
    /// The time of the oldest record.
    pub from: Option<Time>,
    /// The time of the youngest record.
    pub to: Option<Time>,
    /// Records read.
    pub records: u64,
    /// Violations, by who, whom, where and what they were told.
    #[serde(serialize_with = "rows")]
    violations: BTreeMap<Key, Counts>,
    /// What is missing.
    pub missing: Missing,
}

/// A context, whatever use of its number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
struct Party {
    xid: Option<u32>,
    context: Option<Printable>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
struct Key {
    actor: Party,
    /// None: the kernel, a capability, an address.
    target: Option<Party>,
    hook: Word,
    errno: Option<Word>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
struct Counts {
    denied: u64,
    observed: u64,
    /// Repetitions of which the collector did not see the first: denied or observed.
    unclear: u64,
}

/// What the records say is not among them, and what could not be read.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Missing {
    /// Violations over the rate of their context, by context.
    #[serde(serialize_with = "counted_parties")]
    suppressed: BTreeMap<Party, u64>,
    /// Violations that found no room in the ring, by context.
    #[serde(serialize_with = "counted_parties")]
    lost: BTreeMap<Party, u64>,
    /// The same of actors without a context's state, by hook.
    lost_at: BTreeMap<String, u64>,
    /// Records that found no room in the spool, or were damaged there.
    pub lost_in_spool: u64,
    /// Records that a sink lacks, by sink.
    pub lost_in_sinks: BTreeMap<String, u64>,
    /// Records of the kernel side that the collector could not read.
    pub unreadable: u64,
    /// Times without a collector. What the ring had room for was recorded after them.
    pub gaps: u64,
    /// Lines that are no record of a version known here.
    pub unreadable_lines: u64,
}

impl Summary {
    /// Adds one record.
    pub fn add(&mut self, record: &AuditRecord) {
        self.records += 1;
        self.from = Some(self.from.map_or(record.time, |from| from.min(record.time)));
        self.to = Some(self.to.map_or(record.time, |to| to.max(record.time)));
        let missing = &mut self.missing;
        match &record.event {
            Event::Violation(violation) => self.add_violation(violation),
            Event::Repeated(repeated) => self.add_repeated(repeated),
            Event::Suppressed(counted) => {
                *missing.suppressed.entry(Party::of(&counted.context)).or_default() += counted.count;
            }
            Event::Lost(Lost::Ring(counted)) => {
                *missing.lost.entry(Party::of(&counted.context)).or_default() += counted.count;
            }
            Event::Lost(Lost::RingHook { hook, count, .. }) => {
                *missing.lost_at.entry(hook.to_string()).or_default() += count;
            }
            Event::Lost(Lost::Spool { count }) => missing.lost_in_spool += count,
            Event::SinkRecovered(recovered) if recovered.lost > 0 => {
                *missing.lost_in_sinks.entry(recovered.sink.to_string()).or_default() += recovered.lost;
            }
            Event::Unreadable(unreadable) => missing.unreadable += unreadable.count,
            Event::CollectorGap(_) => missing.gaps += 1,
            _ => {}
        }
    }

    /// Reads a file of the collector and the rotated ones beside it; records older than `since` are left out.
    ///
    /// # Errors
    /// The file cannot be opened, or one of them not be read.
    pub fn add_file(&mut self, path: &Path, since: Option<Time>, seen: &mut Seen) -> io::Result<()> {
        // Youngest first: a rotation meanwhile moves a file that is open already to a name that is opened next, and it is known by
        // its inode; the other way round one would slip through.
        let mut files = vec![File::open(path)?];
        for number in 1.. {
            match File::open(FileSink::rotated(path, number)) {
                Ok(file) => files.push(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        for file in files {
            let metadata = file.metadata()?;
            if seen.0.insert((metadata.dev(), metadata.ino())) {
                self.add_lines(BufReader::new(file), since)?;
            }
        }
        Ok(())
    }

    /// Reads lines; one that is no record is counted.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn add_lines(&mut self, mut lines: impl BufRead, since: Option<Time>) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = (&mut lines).take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
            if length == 0 {
                return Ok(());
            }
            let is_whole = line.pop_if(|last| *last == b'\n').is_some() || length < MAX_LINE;
            if !is_whole {
                skip_line(&mut lines)?;
            }
            match std::str::from_utf8(&line).ok().and_then(|text| json::parse(text).ok()) {
                Some(record) if is_whole => {
                    if since.is_none_or(|since| record.time >= since) {
                        self.add(&record);
                    }
                }
                _ if line.is_empty() => {}
                _ => self.missing.unreadable_lines += 1,
            }
        }
    }

    fn add_violation(&mut self, violation: &ViolationEvent) {
        let target = violation.target.context();
        let errno = Some(violation.errno.clone());
        let counts = self.counts(&violation.actor.context, target, &violation.hook, errno);
        counts.add(Some(&violation.mode), 1 + violation.repeated);
    }

    fn add_repeated(&mut self, repeated: &Repeated) {
        let target = repeated.target.as_ref();
        let counts = self.counts(&repeated.actor.context, target, &repeated.hook, repeated.errno.clone());
        counts.add(repeated.mode.as_ref(), repeated.repeated);
    }

    fn counts(
        &mut self,
        actor: &ContextName,
        target: Option<&ContextName>,
        hook: &Word,
        errno: Option<Word>,
    ) -> &mut Counts {
        let key = Key { actor: Party::of(actor), target: target.map(Party::of), hook: hook.clone(), errno };
        self.violations.entry(key).or_default()
    }

    /// The summary for people.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.from.zip(self.to) {
            Some((from, to)) => writeln!(out, "{} records from {from} to {to}", self.records)?,
            None => writeln!(out, "no records")?,
        }
        if !self.violations.is_empty() {
            self.write_table(out)?;
        }
        self.missing.write(out)
    }

    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut rows =
            vec![["ACTOR", "TARGET", "HOOK", "ERRNO", "DENIED", "OBSERVED", "UNCLEAR"].map(str::to_owned)];
        rows.extend(self.violations.iter().map(|(key, counts)| {
            [
                key.actor.label(),
                key.target.as_ref().map_or_else(|| nobodys(&key.hook).to_owned(), Party::label),
                key.hook.to_string(),
                key.errno.as_ref().map_or_else(|| "?".to_owned(), Word::to_string),
                counts.denied.to_string(),
                counts.observed.to_string(),
                counts.unclear.to_string(),
            ]
        }));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 7] = std::array::from_fn(width);
        for row in &rows {
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                // Names to the left, numbers to the right.
                if column < 4 {
                    write!(out, "{gap}{cell:width$}")?;
                } else {
                    write!(out, "{gap}{cell:>width$}")?;
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

impl Party {
    fn of(context: &ContextName) -> Self {
        Self { xid: context.xid, context: context.context.clone() }
    }

    fn label(&self) -> String {
        ContextName { xid: self.xid, context: self.context.clone(), generation: 0 }.label()
    }
}

impl Counts {
    fn add(&mut self, mode: Option<&Word>, count: u64) {
        let counter = match mode {
            Some(mode) if mode.is("enforce") => &mut self.denied,
            Some(mode) if mode.is("observe") => &mut self.observed,
            _ => &mut self.unclear,
        };
        *counter += count;
    }
}

impl Missing {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for (context, count) in &self.suppressed {
            writeln!(
                out,
                "not recorded: {count} violations of {} beyond its records per second",
                context.label()
            )?;
        }
        for (who, count) in &self.lost {
            writeln!(out, "lost: {count} violations of {}, the ring buffer was full", who.label())?;
        }
        for (hook, count) in &self.lost_at {
            writeln!(out, "lost: {count} violations of unknown actors at {hook}, the ring buffer was full")?;
        }
        for (sink, count) in &self.lost_in_sinks {
            writeln!(out, "lost: {count} records that sink {sink} lacks")?;
        }
        for (count, what) in [
            (self.lost_in_spool, "records lost in the spool"),
            (self.unreadable, "records of the kernel side that the collector could not read"),
            (self.gaps, "times without a collector"),
            (self.unreadable_lines, "lines that are no record of a version known here"),
        ] {
            if count > 0 {
                writeln!(out, "{what}: {count}")?;
            }
        }
        Ok(())
    }
}

/// Files that were read, so that none counts twice.
#[derive(Debug, Default)]
pub struct Seen(HashSet<(u64, u64)>);

fn skip_line(lines: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = lines.fill_buf()?;
        let (used, is_end) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        lines.consume(used);
        if is_end {
            return Ok(());
        }
    }
}

fn counted_parties<S: serde::Serializer>(
    counts: &BTreeMap<Party, u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Row<'a> {
        #[serde(flatten)]
        party: &'a Party,
        count: u64,
    }
    serializer.collect_seq(counts.iter().map(|(party, count)| Row { party, count: *count }))
}

fn rows<S: serde::Serializer>(rows: &BTreeMap<Key, Counts>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Row<'a> {
        #[serde(flatten)]
        key: &'a Key,
        #[serde(flatten)]
        counts: &'a Counts,
    }
    serializer.collect_seq(rows.iter().map(|(key, counts)| Row { key, counts }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::file::Rotation;
    use crate::audit::samples;
    use crate::audit::sink::{Line, Sink};

    fn all() -> Summary {
        let mut summary = Summary::default();
        for record in samples::all() {
            summary.add(&record);
        }
        summary
    }

    #[test]
    fn golden_table() {
        let mut out = Vec::new();
        all().write(&mut out).unwrap();
        insta::assert_snapshot!("summary_table", String::from_utf8(out).unwrap());
    }

    #[test]
    fn golden_json() {
        insta::assert_snapshot!("summary_json", serde_json::to_string_pretty(&all()).unwrap());
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        let mut out = Vec::new();
        Summary::default().write(&mut out).unwrap();
        assert_eq!(out, b"no records\n");
    }

    #[test]
    fn rotated_files_count_each_record_once() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("audit.jsonl");
        let mut sink = FileSink::open(&path, Rotation { bytes: 3000, keep: 100 }).unwrap();
        for record in samples::all() {
            sink.write(&Line::new(record)).unwrap();
        }
        assert!(FileSink::rotated(&path, 2).exists());
        let mut summary = Summary::default();
        let mut seen = Seen::default();
        summary.add_file(&path, None, &mut seen).unwrap();
        // Named again, with what is rotated: read already.
        summary.add_file(&FileSink::rotated(&path, 1), None, &mut seen).unwrap();
        assert_eq!(summary, all());
        assert!(summary.add_file(&root.path().join("none"), None, &mut seen).is_err());
    }

    #[test]
    fn since_leaves_out_what_is_older() {
        let record = samples::all().remove(0);
        let later = Time::from_nanoseconds(record.time.nanoseconds() + 1);
        let lines = format!("{}\n", Line::new(record).json);
        let mut summary = Summary::default();
        summary.add_lines(lines.as_bytes(), Some(later)).unwrap();
        assert_eq!(summary, Summary::default());
    }

    #[test]
    fn lines_that_are_no_records_are_counted() {
        let record = Line::new(samples::all().remove(0)).json.clone();
        let long = "x".repeat(3 * MAX_LINE);
        let text = format!("\n{record}\n{long}\n{{\"schema\":2}}\n\u{0}\n{record}\n{{\"schema\":1,\"ti");
        let mut summary = Summary::default();
        summary.add_lines(text.as_bytes(), None).unwrap();
        assert_eq!((summary.records, summary.missing.unreadable_lines), (2, 4));
    }
}
