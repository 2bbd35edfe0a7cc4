//! The collector: what goes in once comes out once, with the names it had.

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
    // Violations are still recorded, by the names known from before, or without.
    let label = |mut collector: Collector| {
        let record = collector.receive(&encode(&signal()), now(), &maps).unwrap();
        record.contexts()[0].unwrap().label()
    };
    assert_eq!(label(collector), "web(100)");
    assert_eq!(label(self::collector()), "?(100)");
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
