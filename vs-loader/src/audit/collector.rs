//! From what the kernel side wrote and counted to records. No clock, no socket, no file: bytes and counters in, records out.

use std::collections::{BTreeMap, HashMap};

use vs_common::id::{Epoch, Xid};
use vs_common::limits::{AGGREGATE_INTERVAL_NS, MAX_AGGREGATES};
use vs_common::verdict::Reason;
use vs_common::violation::{Aggregate, AggregateKey, Violation};

use crate::maps::store::{Store, StoreError};

use super::control::{CollectorTrouble, cut};
use super::decode::{DecodeError, decode};
use super::enrich::{Lookup, context_name, current_name, enrich, hook_word, reason_word};
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
        // So that a context that is gone when its last records are read has its name in them.
        for (xid, generation) in totals.contexts() {
            self.names.over(store).name(epoch, xid, generation);
        }
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
#[path = "collector_tests.rs"]
mod tests;
