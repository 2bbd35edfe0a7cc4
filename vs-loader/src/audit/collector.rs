//! From what the kernel side wrote and counted to records. No clock, no socket, no file: bytes and counters in, records out.

use std::collections::{BTreeMap, HashMap};

use vs_common::id::{Epoch, Xid};
use vs_common::limits::{AGGREGATE_INTERVAL_NS, MAX_AGGREGATES};
use vs_common::verdict::Reason;
use vs_common::violation::{Aggregate, AggregateKey, Violation};

use crate::maps::store::{Store, StoreError};

use super::control::{CollectorTrouble, cut};
use super::decode::{DecodeError, decode};
use super::enrich::{context_name, current_name, enrich, hook_word, reason_word};
use super::lost::{Growth, Step, Totals};
use super::names::Names;
use super::printable::Printable;
use super::record::{
    AuditRecord, ContextName, Counted, Event, Lost, Repeated, RepeatedActor, Unreadable, ViolationEvent,
};
use super::time::{BootId, Now};
use super::word::Word;

/// How old a run must be before it is taken out of the kernel's map. A program adds to a run only in its first interval; one whole
/// interval later none is left that could have looked the run up before and add to it after.
const RUN_AGE: u64 = 2 * AGGREGATE_INTERVAL_NS;

/// The state between one record and the next.
#[derive(Debug)]
pub struct Collector {
    boot: BootId,
    names: Names,
    totals: Totals,
    runs: HashMap<AggregateKey, Run>,
    unreadable: BTreeMap<DecodeError, u64>,
    trouble: Option<String>,
}

/// What the last record of a run said that its key does not.
#[derive(Clone, Debug)]
struct Run {
    errno: Word,
    mode: Word,
    actor: ContextName,
    comm: Printable,
    target: Option<ContextName>,
}

impl Collector {
    /// A collector that has reported `totals` before.
    pub fn new(boot: BootId, names: Names, totals: Totals) -> Self {
        Self { boot, names, totals, runs: HashMap::new(), unreadable: BTreeMap::new(), trouble: None }
    }

    /// What it has reported of the kernel's counters.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Goes on from what another collector has reported.
    pub fn resume(&mut self, totals: Totals) {
        self.totals = totals;
    }

    /// Forgets what it reported: the maps are new ones.
    pub fn begin_anew(&mut self) {
        self.totals = Totals::default();
        self.runs.clear();
    }

    /// A record with this event.
    pub fn record(&self, now: Now, event: Event) -> AuditRecord {
        AuditRecord::new(now.wall, self.boot.clone(), event)
    }

    /// Takes one record of the ring buffer. One that cannot be read is counted, and the next [`Collector::poll`] tells.
    pub fn receive(&mut self, bytes: &[u8], now: Now, store: &dyn Store) -> Option<AuditRecord> {
        let violation = match decode(bytes) {
            Ok(violation) => violation,
            Err(error) => {
                *self.unreadable.entry(error).or_default() += 1;
                return None;
            }
        };
        let event = enrich(&violation, &mut self.names.over(store));
        self.remember(&violation, &event);
        let time = now.at(violation.time);
        Some(AuditRecord::new(time, self.boot.clone(), Event::Violation(Box::new(event))))
    }

    /// Reads what was counted instead of recorded.
    pub fn poll(&mut self, now: Now, store: &mut dyn Store) -> Vec<AuditRecord> {
        let mut events = Vec::new();
        let read = self.take_runs(now, store, &mut events).and_then(|()| self.count(store, &mut events));
        match read {
            Ok(()) => self.trouble = None,
            Err(error) => events.extend(self.tell_once(error.to_string())),
        }
        events.extend(
            std::mem::take(&mut self.unreadable)
                .into_iter()
                .map(|(error, count)| Event::Unreadable(Unreadable { error, count })),
        );
        events.into_iter().map(|event| self.record(now, event)).collect()
    }

    fn remember(&mut self, violation: &Violation, event: &ViolationEvent) {
        if self.runs.len() >= MAX_AGGREGATES as usize {
            self.runs.clear();
        }
        let run = Run {
            errno: event.errno.clone(),
            mode: event.mode.clone(),
            actor: event.actor.context.clone(),
            comm: event.actor.comm.clone(),
            target: event.target.context().cloned(),
        };
        self.runs.insert(key(violation), run);
    }

    fn take_runs(
        &mut self,
        now: Now,
        store: &mut dyn Store,
        events: &mut Vec<Event>,
    ) -> Result<(), StoreError> {
        for (key, aggregate) in store.aggregates()? {
            if now.boot.saturating_sub(aggregate.since) < RUN_AGE {
                continue;
            }
            if let Some(taken) = store.take_aggregate(key)? {
                let run = self.runs.remove(&key);
                if taken.repeated > 0 {
                    events.push(Event::Repeated(Box::new(self.repeated(now, store, key, taken, run))));
                }
            }
        }
        Ok(())
    }

    fn repeated(
        &mut self,
        now: Now,
        store: &dyn Store,
        key: AggregateKey,
        aggregate: Aggregate,
        run: Option<Run>,
    ) -> Repeated {
        let mut lookup = self.names.over(store);
        let (errno, mode, comm, actor, target) = if let Some(run) = run {
            (Some(run.errno), Some(run.mode), Some(run.comm), run.actor, run.target)
        } else {
            let actor = current_name(Xid(key.actor_xid), &mut lookup);
            let has_target = key.target_xid != 0
                || Reason::from_number(key.reason).is_some_and(Reason::is_between_contexts);
            let target = has_target.then(|| current_name(Xid(key.target_xid), &mut lookup));
            (None, None, None, actor, target)
        };
        Repeated {
            hook: hook_word(key.hook),
            reason: reason_word(key.reason),
            errno,
            mode,
            actor: RepeatedActor { context: actor, tgid: key.tgid, comm },
            target,
            since: now.at(aggregate.since),
            repeated: aggregate.repeated,
        }
    }

    fn count(&mut self, store: &dyn Store, events: &mut Vec<Event>) -> Result<(), StoreError> {
        let totals = Totals::read(store)?;
        let epoch = store.epoch()?;
        for growth in self.totals.advance(totals) {
            events.push(self.grown(growth, epoch, store));
        }
        Ok(())
    }

    fn grown(&mut self, growth: Growth, epoch: Epoch, store: &dyn Store) -> Event {
        let mut counted = |xid, generation, Step { count, total }| {
            let context = context_name(xid, generation, epoch, &mut self.names.over(store));
            Counted { context, count, total }
        };
        match growth {
            Growth::Suppressed(xid, generation, step) => Event::Suppressed(counted(xid, generation, step)),
            Growth::Lost(xid, generation, step) => Event::Lost(Lost::Ring(counted(xid, generation, step))),
            Growth::HookLost(hook, Step { count, total }) => {
                Event::Lost(Lost::RingHook { hook: hook_word(hook as u16), count, total })
            }
        }
    }

    /// The event of a trouble that was not there before.
    fn tell_once(&mut self, error: String) -> Option<Event> {
        if self.trouble.as_ref() == Some(&error) {
            return None;
        }
        let event = Event::CollectorTrouble(CollectorTrouble { error: cut(error.as_bytes()) });
        self.trouble = Some(error);
        Some(event)
    }
}

/// The run that a violation belongs to, as `vs-ebpf` computes it.
fn key(violation: &Violation) -> AggregateKey {
    AggregateKey {
        actor_xid: violation.actor.tag.xid.0,
        tgid: violation.actor.tgid,
        target_xid: violation.target.tag.xid.0,
        hook: violation.hook,
        reason: violation.reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::decode::encode;
    use crate::audit::enrich::tests::signal;
    use crate::audit::fake::FakeMaps;
    use crate::audit::samples::{boot, now};
    use vs_common::hook::Hook;
    use vs_common::id::Generation;

    fn collector() -> Collector {
        Collector::new(boot(), Names::new("/nowhere"), Totals::default())
    }

    /// `now`, so many seconds later.
    fn later(seconds: u64) -> Now {
        let boot = now().boot + seconds * 1_000_000_000;
        Now { boot, wall: now().at(boot) }
    }

    fn kinds(records: &[AuditRecord]) -> Vec<String> {
        let kind = |record| serde_json::to_value(record).unwrap()["kind"].as_str().unwrap().to_owned();
        records.iter().map(kind).collect()
    }

    fn run(maps: &mut FakeMaps, violation: &Violation, repeated: u64) -> AggregateKey {
        let key = key(violation);
        maps.aggregates.insert(key, Aggregate { since: now().boot, repeated });
        key
    }

    #[test]
    fn a_violation_is_stamped_with_its_own_time_and_named_by_its_epoch() {
        let mut maps = FakeMaps::with_web();
        let violation = Violation { time: now().boot - 1_000_000_000, ..signal() };
        let record = collector().receive(&encode(&violation), now(), &maps).unwrap();
        assert_eq!(record.time.to_string(), "2026-11-21T11:59:59.000000000Z");
        assert_eq!(record.contexts()[0].unwrap().label(), "web(100)");

        // Its rows go with the next load, its records may come later.
        let mut collector = collector();
        collector.receive(&encode(&violation), now(), &maps);
        maps.rules.clear();
        let record = collector.receive(&encode(&violation), now(), &maps).unwrap();
        assert_eq!(record.contexts()[0].unwrap().label(), "web(100)");
    }

    #[test]
    fn a_run_that_ended_is_reported_once_and_taken_out() {
        let mut maps = FakeMaps::with_web();
        let mut collector = collector();
        collector.receive(&encode(&signal()), now(), &maps);
        run(&mut maps, &signal(), 500);
        assert!(collector.poll(later(1), &mut maps).is_empty());
        let records = collector.poll(later(2), &mut maps);
        assert!(maps.aggregates.is_empty());
        let [AuditRecord { event: Event::Repeated(repeated), .. }] = records.as_slice() else {
            panic!("{records:?}")
        };
        assert_eq!((repeated.repeated, repeated.actor.tgid), (500, 4711));
        assert!(repeated.errno.as_ref().unwrap().is("EPERM"));
        assert_eq!(repeated.actor.comm.as_ref().unwrap().as_str(), "nginx");
        assert_eq!(repeated.target.as_ref().unwrap().label(), "host");
        assert_eq!(repeated.since, now().wall);
        assert!(collector.poll(later(3), &mut maps).is_empty());
    }

    #[test]
    fn a_run_without_repetitions_makes_room_silently() {
        let mut maps = FakeMaps::with_web();
        run(&mut maps, &signal(), 0);
        assert!(collector().poll(later(2), &mut maps).is_empty());
        assert!(maps.aggregates.is_empty());
    }

    #[test]
    fn a_run_that_another_collector_saw_begin_has_what_the_key_says() {
        let mut maps = FakeMaps::with_web();
        run(&mut maps, &signal(), 3);
        let bpf = Violation { hook: Hook::Bpf as u16, reason: Reason::Enforcement as u16, ..signal() };
        run(&mut maps, &bpf, 4);
        let records = collector().poll(later(2), &mut maps);
        let repeated: Vec<_> = records
            .iter()
            .map(|record| match &record.event {
                Event::Repeated(repeated) => repeated,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(repeated.iter().all(|run| run.errno.is_none() && run.actor.context.label() == "web(100)"));
        let target = |count| {
            let run = repeated.iter().find(|run| run.repeated == count).unwrap();
            run.target.as_ref().map(ContextName::label)
        };
        assert_eq!(target(3).as_deref(), Some("host"));
        assert_eq!(target(4), None);
    }

    #[test]
    fn what_was_only_counted_is_reported_once() {
        let mut maps = FakeMaps::with_web();
        let state = maps.states.get_mut(&Xid(100)).unwrap();
        (state.suppressed, state.lost) = (5, 6);
        maps.lost_at.insert(Hook::Bpf, 7);
        let mut collector = collector();
        let records = collector.poll(now(), &mut maps);
        assert_eq!(kinds(&records), ["suppressed", "lost", "lost"]);
        assert_eq!(records[0].contexts()[0].unwrap().label(), "web(100)");
        assert!(collector.poll(later(1), &mut maps).is_empty());
    }

    #[test]
    fn a_collector_that_knows_the_totals_does_not_repeat_them() {
        let mut maps = FakeMaps::with_web();
        maps.states.get_mut(&Xid(100)).unwrap().suppressed = 5;
        let mut first = collector();
        assert_eq!(kinds(&first.poll(now(), &mut maps)), ["suppressed"]);
        let mut second = Collector::new(boot(), Names::new("/nowhere"), first.totals().clone());
        assert!(second.poll(now(), &mut maps).is_empty());
        second.begin_anew();
        assert_eq!(kinds(&second.poll(now(), &mut maps)), ["suppressed"]);
    }

    #[test]
    fn records_that_cannot_be_read_are_counted_by_cause() {
        let mut maps = FakeMaps::with_web();
        let mut collector = collector();
        for bytes in [&[0_u8][..], &[0], &[9, 9, 9, 9, 9]] {
            assert_eq!(collector.receive(bytes, now(), &maps), None);
        }
        let records = collector.poll(now(), &mut maps);
        let counts: Vec<_> = records
            .iter()
            .map(|record| match &record.event {
                Event::Unreadable(unreadable) => (unreadable.error, unreadable.count),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            counts,
            [
                (DecodeError::TooShort { length: 1 }, 2),
                (DecodeError::UnknownVersion { version: 0x0909, length: 5 }, 1)
            ]
        );
        assert!(collector.poll(now(), &mut maps).is_empty());
    }

    #[test]
    fn maps_that_cannot_be_read_are_told_once_and_again_after_they_could() {
        let mut maps = FakeMaps::with_web();
        let mut collector = collector();
        maps.is_broken = true;
        assert_eq!(kinds(&collector.poll(now(), &mut maps)), ["collector-trouble"]);
        assert!(collector.poll(now(), &mut maps).is_empty());
        maps.is_broken = false;
        assert!(collector.poll(now(), &mut maps).is_empty());
        maps.is_broken = true;
        assert_eq!(kinds(&collector.poll(now(), &mut maps)), ["collector-trouble"]);
        // Violations are still recorded, without the names that cannot be read.
        let record = collector.receive(&encode(&signal()), now(), &maps).unwrap();
        assert_eq!(record.contexts()[0].unwrap().label(), "?(100)");
    }

    #[test]
    fn a_name_follows_the_generation_not_the_number() {
        let mut maps = FakeMaps::with_web();
        let mut collector = collector();
        collector.receive(&encode(&signal()), now(), &maps);
        maps.name(3, 100, 8, "shop");
        let mut later_use = signal();
        later_use.actor.tag.generation = Generation(8);
        let label = |record: AuditRecord| record.contexts()[0].unwrap().label();
        assert_eq!(label(collector.receive(&encode(&later_use), now(), &maps).unwrap()), "shop(100)");
        assert_eq!(label(collector.receive(&encode(&signal()), now(), &maps).unwrap()), "web(100)");
    }
}
