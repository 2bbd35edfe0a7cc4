//! Holds the parts together: what comes from the ring and from the spool goes to the sinks and to whoever follows.
//!
//! It knows the directory and the sinks, and neither sockets nor waiting: [`super::stream`] calls it when there is something to read,
//! once a second, and at the end.
//!
//! In the role [`Role::Collect`] records go to the sinks, and the spool is emptied into them. In the role [`Role::Hold`], which
//! `vs audit follow` takes on when nobody collects, they go to the spool, where the next collector finds them; those who follow are
//! shown what is appended to the spool, whoever appended it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::maps::store::Store;

use super::collector::Collector;
use super::control::{CollectorGap, CollectorStart, CollectorStop, CollectorTrouble, Role, cut};
use super::directory::Directory;
use super::json;
use super::lost::Totals;
use super::names::Names;
use super::printable::Printable;
use super::record::{AuditRecord, Event, Lost};
use super::saved::Saved;
use super::sink::{Line, Outlet, Sink, Unwritten};
use super::spool::{Position, Spool};
use super::time::{BootId, Now};

/// See the module.
pub struct Keeper {
    directory: Directory,
    role: Role,
    boot: BootId,
    collector: Collector,
    /// The map that the collector's totals belong to.
    ring: Option<u32>,
    outlets: Vec<Outlet>,
    spool: Spool,
    position: Position,
    published: Vec<Arc<Line>>,
    troubles: HashMap<String, String>,
    saved: Option<Saved>,
    records: u64,
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// Records passed on.
    pub records: u64,
    /// Sinks that lack some.
    pub unwritten: Vec<Unwritten>,
}

impl Keeper {
    /// For the owner of the ring, which holds the directory's lock. `proc` is where processes are looked up.
    pub fn new(
        directory: Directory,
        role: Role,
        boot: BootId,
        sinks: Vec<Box<dyn Sink>>,
        proc: &str,
    ) -> Self {
        let spool = Spool::of(&directory);
        Self {
            position: spool.end(),
            collector: Collector::new(boot.clone(), Names::new(proc), Totals::default()),
            outlets: sinks.into_iter().map(Outlet::new).collect(),
            directory,
            role,
            boot,
            ring: None,
            spool,
            published: Vec::new(),
            troubles: HashMap::new(),
            saved: None,
            records: 0,
        }
    }

    /// Says that it is there, and for how long nobody was; then takes what waits in the spool.
    pub fn start(&mut self, now: Now) {
        let version = Printable::from_escaped(env!("CARGO_PKG_VERSION"));
        let start = CollectorStart { pid: std::process::id(), role: self.role, version };
        self.emit(now, Event::CollectorStart(start));
        if let Some(gap) = self.resume(now) {
            self.emit(now, Event::CollectorGap(gap));
        }
        self.fetch_spool(now);
        self.save(now, false);
    }

    /// Goes on from what the last collector of this boot reported; since when there was none.
    pub fn resume(&mut self, now: Now) -> Option<CollectorGap> {
        match Saved::read(&self.directory.saved(), &self.boot) {
            Ok(saved) => {
                let (saved, since) = saved?;
                self.collector.resume(saved.totals);
                self.ring = saved.ring;
                Some(CollectorGap { since, clean: saved.clean })
            }
            Err(error) => {
                self.trouble(now, "saved", Some(error.to_string()));
                None
            }
        }
    }

    /// The ring with this id is read from here on. Another than before: its counters began at zero.
    pub fn attach(&mut self, ring: u32) {
        if self.ring != Some(ring) {
            self.collector.begin_anew();
            self.ring = Some(ring);
        }
    }

    /// To be called before each batch from the ring: what commands announced comes before what it led to.
    pub fn fetch_spool(&mut self, now: Now) {
        let fetched = match self.role {
            Role::Collect => self.empty_spool(now),
            Role::Hold => self.read_along(),
        };
        self.trouble(now, "spool", fetched.err());
    }

    /// To be called after a batch: who follows is shown what it put into the spool.
    pub fn show(&mut self, now: Now) {
        if self.role == Role::Hold {
            self.fetch_spool(now);
        }
    }

    /// Takes one record of the ring. When this returns it is in every sink that works.
    pub fn receive(&mut self, bytes: &[u8], now: Now, store: &dyn Store) {
        if let Some(record) = self.collector.receive(bytes, now, store) {
            self.pass_on(now, record);
        }
    }

    /// Once a second: reads what was counted, fetches the spool, tries sinks that failed, makes durable what was written.
    pub fn tick(&mut self, now: Now, store: Option<&mut dyn Store>) {
        self.poll(now, store);
        self.fetch_spool(now);
        self.tend_sinks(now);
        self.save(now, false);
    }

    /// Reads what was counted. Also called for the last time before a ring is let go.
    pub fn poll(&mut self, now: Now, store: Option<&mut dyn Store>) {
        let Some(store) = store else { return };
        for record in self.collector.poll(now, store) {
            self.pass_on(now, record);
        }
    }

    /// Tells of a trouble that was not there before, or forgets one that is gone.
    pub fn trouble(&mut self, now: Now, place: &str, error: Option<String>) {
        match error {
            None => {
                self.troubles.remove(place);
            }
            Some(error) if self.troubles.get(place) == Some(&error) => {}
            Some(error) => {
                let event = Event::CollectorTrouble(CollectorTrouble { error: cut(error.as_bytes()) });
                self.troubles.insert(place.to_owned(), error);
                self.emit(now, event);
            }
        }
    }

    /// Ends in order. The ring was read to its end before.
    pub fn stop(mut self, now: Now, store: Option<&mut dyn Store>) -> (Ending, Vec<Arc<Line>>) {
        self.poll(now, store);
        self.fetch_spool(now);
        let stop = CollectorStop { pid: std::process::id(), role: self.role, records: self.records };
        self.emit(now, Event::CollectorStop(stop));
        self.show(now);
        self.tend_sinks(now);
        self.save(now, true);
        let unwritten = self.outlets.iter().filter_map(Outlet::unwritten).collect();
        (Ending { records: self.records, unwritten }, self.published)
    }

    /// What those who follow have not been given yet.
    pub fn take_published(&mut self) -> Vec<Arc<Line>> {
        std::mem::take(&mut self.published)
    }

    /// How many records it passed on.
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Whether there were sinks and none of them will ever take a record again.
    pub fn is_gone(&self) -> bool {
        !self.outlets.is_empty() && self.outlets.iter().all(|outlet| outlet.sink().is_gone())
    }

    fn emit(&mut self, now: Now, event: Event) {
        let record = self.collector.record(now, event);
        self.pass_on(now, record);
    }

    fn pass_on(&mut self, now: Now, record: AuditRecord) {
        self.records += 1;
        let line = Line::new(record);
        match self.role {
            Role::Collect => self.write(now, line),
            Role::Hold => {
                if let Err(error) = self.spool.append(&line.json) {
                    // Who follows sees it all the same; the spool counts what it lacks.
                    self.published.push(line);
                    self.hold_failed(now, &error.to_string());
                }
            }
        }
    }

    /// Told to those who follow only: the spool takes nothing.
    fn hold_failed(&mut self, now: Now, error: &str) {
        if self.troubles.get("hold").is_none_or(|before| before != error) {
            self.troubles.insert("hold".to_owned(), error.to_owned());
            let event = Event::CollectorTrouble(CollectorTrouble { error: cut(error.as_bytes()) });
            self.published.push(Line::new(self.collector.record(now, event)));
        }
    }

    /// Writes a line to all sinks, and the news of those that failed over it to the others. Each fails once, so this ends.
    fn write(&mut self, now: Now, line: Arc<Line>) {
        let mut pending = VecDeque::from([(line, None)]);
        while let Some((line, except)) = pending.pop_front() {
            for (index, outlet) in self.outlets.iter_mut().enumerate() {
                if except == Some(index) {
                    continue;
                }
                if let Some(failed) = outlet.put(&line, now) {
                    let news = self.collector.record(now, Event::SinkFailed(failed));
                    pending.push_back((Line::new(news), Some(index)));
                }
            }
            self.published.push(line);
        }
    }

    fn tend_sinks(&mut self, now: Now) {
        for index in 0..self.outlets.len() {
            if let Some(recovered) = self.outlets[index].retry() {
                self.emit(now, Event::SinkRecovered(recovered));
            } else if let Some(failed) = self.outlets[index].sync(now) {
                self.emit(now, Event::SinkFailed(failed));
            }
            let sink = self.outlets[index].sink();
            let (name, trouble) = (sink.name(), sink.trouble().map(str::to_owned));
            self.trouble(now, &name, trouble);
        }
    }

    /// What is taken is removed once a sink has it; one that fails gets it later, like any other record. While all of them fail nothing is
    /// taken: the spool keeps it over the death of this process, the memory in which records wait for a sink does not.
    fn empty_spool(&mut self, now: Now) -> Result<(), String> {
        if self.spool.is_empty() || self.has_no_sink() {
            return Ok(());
        }
        let Some(taken) = self.spool.take().map_err(|error| error.to_string())? else { return Ok(()) };
        let mut lost = taken.lost;
        for bytes in &taken.lines {
            match parse(bytes) {
                Some(line) => {
                    self.records += 1;
                    self.write(now, line);
                }
                None => lost += 1,
            }
        }
        if lost > 0 {
            self.emit(now, Event::Lost(Lost::Spool { count: lost }));
        }
        for index in 0..self.outlets.len() {
            if let Some(failed) = self.outlets[index].sync(now) {
                self.emit(now, Event::SinkFailed(failed));
            }
        }
        if self.has_no_sink() {
            // It stays, and is read again when a sink works: some of it twice then, and none of it missing.
            return Ok(());
        }
        taken.finish().map_err(|error| error.to_string())
    }

    fn has_no_sink(&self) -> bool {
        self.outlets.iter().all(Outlet::is_failing)
    }

    fn read_along(&mut self) -> Result<(), String> {
        let lines = self.spool.read_from(&mut self.position).map_err(|error| error.to_string())?;
        // A damaged line is for the collector to report, which takes it.
        self.published.extend(lines.iter().filter_map(|line| parse(line)));
        Ok(())
    }

    /// Keeps what was reported for the next collector.
    pub fn save(&mut self, now: Now, is_clean: bool) {
        let path = self.directory.saved();
        let saved = Saved::new(self.boot.clone(), self.ring, is_clean, self.collector.totals().clone());
        let written =
            if self.saved.as_ref() == Some(&saved) { Saved::touch(&path) } else { saved.write(&path) };
        self.saved = written.is_ok().then_some(saved);
        self.trouble(now, "saved", written.err().map(|error| error.to_string()));
    }
}

/// A line of the spool as it stands there.
fn parse(bytes: &[u8]) -> Option<Arc<Line>> {
    let json = std::str::from_utf8(bytes).ok()?;
    let record = json::parse(json).ok()?;
    Some(Arc::new(Line { record, json: json.to_owned() }))
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
