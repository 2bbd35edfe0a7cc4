//! The keeper: nothing is lost between the ring, the spool and the sinks, and nothing is told twice that need not be.

use super::*;
use crate::audit::announce::{Announcement, announce_in};
use crate::audit::control::Enter;
use crate::audit::decode::encode;
use crate::audit::enrich::tests::signal;
use crate::audit::fake::FakeMaps;
use crate::audit::samples::{boot, now, web};
use crate::audit::sink::tests::FakeSink;
use vs_common::id::Xid;

struct Bench {
    root: tempfile::TempDir,
    sink: FakeSink,
    maps: FakeMaps,
}

impl Bench {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), sink: FakeSink::default(), maps: FakeMaps::with_web() }
    }

    fn directory(&self) -> Directory {
        Directory::at(self.root.path())
    }

    /// A keeper that has started on ring 7.
    fn keeper(&self, role: Role) -> Keeper {
        let sinks: Vec<Box<dyn Sink>> = match role {
            Role::Collect => vec![Box::new(self.sink.clone())],
            Role::Hold => Vec::new(),
        };
        let mut keeper = Keeper::new(self.directory(), role, boot(), sinks, "/nowhere");
        keeper.start(now());
        keeper.attach(7);
        keeper
    }

    fn enter(&self) {
        announce_in(&self.directory(), Announcement::Enter(Enter::new(web(), 1, b"sh"))).unwrap();
    }

    /// The kinds in the sink since the last time.
    fn kinds(&self) -> Vec<String> {
        let kinds = self.sink.kinds();
        self.sink.lines.borrow_mut().clear();
        kinds
    }

    fn suppress(&mut self, total: u64) {
        self.maps.states.get_mut(&Xid(100)).unwrap().suppressed = total;
    }
}

fn published(keeper: &mut Keeper) -> Vec<&'static str> {
    keeper.take_published().iter().map(|line| line.record.event.kind()).collect()
}

#[test]
fn a_first_collector_starts_without_a_gap_and_the_next_has_one() {
    let mut bench = Bench::new();
    let keeper = bench.keeper(Role::Collect);
    assert_eq!(bench.kinds(), ["collector-start"]);
    let (ending, _) = keeper.stop(now(), Some(&mut bench.maps));
    assert_eq!((ending.records, ending.unwritten), (2, vec![]));
    assert_eq!(bench.kinds(), ["collector-stop"]);

    let killed = bench.keeper(Role::Collect);
    assert!(bench.sink.lines.borrow()[1].contains("\"clean\":true"));
    assert_eq!(bench.kinds(), ["collector-start", "collector-gap"]);
    drop(killed);
    bench.keeper(Role::Collect);
    assert!(bench.sink.lines.borrow()[1].contains("\"clean\":false"));
}

#[test]
fn a_record_of_the_ring_is_in_the_sink_when_receive_returns() {
    let bench = Bench::new();
    let mut keeper = bench.keeper(Role::Collect);
    bench.kinds();
    published(&mut keeper);
    keeper.receive(&encode(&signal()), now(), &bench.maps);
    assert_eq!(bench.kinds(), ["violation"]);
    assert_eq!(published(&mut keeper), ["violation"]);
}

#[test]
fn what_waits_in_the_spool_is_written_at_the_start_and_before_each_batch() {
    let bench = Bench::new();
    bench.enter();
    let mut keeper = bench.keeper(Role::Collect);
    assert_eq!(bench.kinds(), ["collector-start", "enter"]);
    bench.enter();
    keeper.fetch_spool(now());
    keeper.receive(&encode(&signal()), now(), &bench.maps);
    assert_eq!(bench.kinds(), ["enter", "violation"]);
    assert!(Spool::of(&bench.directory()).is_empty());
}

#[test]
fn the_spool_keeps_what_a_failing_sink_cannot_take() {
    let bench = Bench::new();
    let mut keeper = bench.keeper(Role::Collect);
    bench.kinds();
    *bench.sink.is_full.borrow_mut() = true;
    bench.enter();
    keeper.tick(now(), None);
    bench.enter();
    keeper.tick(now(), None);
    // Killed here, the next collector finds both.
    drop(keeper);
    *bench.sink.is_full.borrow_mut() = false;
    bench.keeper(Role::Collect).tick(now(), None);
    assert_eq!(bench.kinds(), ["collector-start", "collector-gap", "enter", "enter"]);
}

#[test]
fn one_sink_that_works_is_enough_to_empty_the_spool() {
    let bench = Bench::new();
    let other = FakeSink::default();
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(bench.sink.clone()), Box::new(other.clone())];
    let mut keeper = Keeper::new(bench.directory(), Role::Collect, boot(), sinks, "/nowhere");
    *bench.sink.is_full.borrow_mut() = true;
    keeper.start(now());
    bench.enter();
    keeper.tick(now(), None);
    assert!(Spool::of(&bench.directory()).is_empty());
    assert_eq!(other.kinds(), ["collector-start", "sink-failed", "enter"]);
    *bench.sink.is_full.borrow_mut() = false;
    keeper.tick(now(), None);
    assert_eq!(bench.kinds(), ["collector-start", "enter", "sink-recovered"]);
}

#[test]
fn damage_and_loss_in_the_spool_are_counted() {
    let bench = Bench::new();
    bench.enter();
    let spool = bench.directory().spool();
    let mut text = std::fs::read_to_string(&spool).unwrap();
    text.insert_str(0, "no record\n\u{0}\n");
    std::fs::write(&spool, text).unwrap();
    std::fs::write(spool.with_extension("lost"), "5").unwrap();
    bench.keeper(Role::Collect);
    assert!(bench.sink.lines.borrow()[2].contains("\"where\":\"spool\",\"count\":7"));
    assert_eq!(bench.kinds(), ["collector-start", "enter", "lost"]);
}

#[test]
fn counts_are_told_once_over_the_death_of_a_collector() {
    let mut bench = Bench::new();
    bench.suppress(5);
    let mut keeper = bench.keeper(Role::Collect);
    keeper.tick(now(), Some(&mut bench.maps));
    assert_eq!(bench.kinds(), ["collector-start", "suppressed"]);
    drop(keeper);

    bench.suppress(8);
    bench.keeper(Role::Collect).tick(now(), Some(&mut bench.maps));
    assert!(bench.sink.lines.borrow()[2].contains("\"count\":3,\"total\":8"));
    assert_eq!(bench.kinds(), ["collector-start", "collector-gap", "suppressed"]);

    // Other maps count from zero, even if their numbers are the higher ones.
    let mut keeper = bench.keeper(Role::Collect);
    keeper.attach(8);
    bench.suppress(9);
    bench.kinds();
    keeper.tick(now(), Some(&mut bench.maps));
    assert!(bench.sink.lines.borrow()[0].contains("\"count\":9,\"total\":9"));
}

#[test]
fn a_damaged_state_is_told_and_not_fatal() {
    let bench = Bench::new();
    std::fs::write(bench.directory().saved(), "{").unwrap();
    bench.keeper(Role::Collect);
    assert_eq!(bench.kinds(), ["collector-start", "collector-trouble"]);
}

#[test]
fn one_failing_sink_is_news_to_the_others_and_followers() {
    let bench = Bench::new();
    let other = FakeSink::default();
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(bench.sink.clone()), Box::new(other.clone())];
    let mut keeper = Keeper::new(bench.directory(), Role::Collect, boot(), sinks, "/nowhere");
    keeper.start(now());
    published(&mut keeper);
    *bench.sink.is_full.borrow_mut() = true;
    keeper.receive(&encode(&signal()), now(), &bench.maps);
    keeper.receive(&encode(&signal()), now(), &bench.maps);
    assert_eq!(other.kinds(), ["collector-start", "violation", "sink-failed", "violation"]);
    assert_eq!(published(&mut keeper), ["violation", "sink-failed", "violation"]);
    *bench.sink.is_full.borrow_mut() = false;
    keeper.tick(now(), None);
    assert_eq!(bench.kinds(), ["collector-start", "violation", "violation", "sink-recovered"]);
    assert_eq!(other.kinds().last().unwrap(), "sink-recovered");
}

#[test]
fn both_sinks_failing_at_once_comes_to_an_end() {
    let bench = Bench::new();
    let other = FakeSink { is_full: bench.sink.is_full.clone(), ..FakeSink::default() };
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(bench.sink.clone()), Box::new(other.clone())];
    let mut keeper = Keeper::new(bench.directory(), Role::Collect, boot(), sinks, "/nowhere");
    *bench.sink.is_full.borrow_mut() = true;
    keeper.start(now());
    let (ending, _) = keeper.stop(now(), None);
    // Each lacks the start, the other's failure and the stop.
    let missing: Vec<_> = ending.unwritten.iter().map(|unwritten| unwritten.records).collect();
    assert_eq!(missing, [3, 3]);
}

#[test]
fn a_follower_that_owns_the_ring_leaves_everything_to_the_next_collector() {
    let mut bench = Bench::new();
    bench.enter();
    let mut holder = bench.keeper(Role::Hold);
    // It shows what comes from now on, not what waited before it came.
    assert_eq!(published(&mut holder), ["collector-start"]);
    holder.receive(&encode(&signal()), now(), &bench.maps);
    bench.enter();
    bench.suppress(5);
    holder.tick(now(), Some(&mut bench.maps));
    assert_eq!(published(&mut holder), ["violation", "enter", "suppressed"]);
    let (_, rest) = holder.stop(now(), Some(&mut bench.maps));
    assert_eq!(rest.iter().map(|line| line.record.event.kind()).collect::<Vec<_>>(), ["collector-stop"]);

    let mut keeper = bench.keeper(Role::Collect);
    keeper.tick(now(), Some(&mut bench.maps));
    assert_eq!(
        bench.kinds(),
        [
            "collector-start",
            "collector-gap",
            "enter",
            "collector-start",
            "violation",
            "enter",
            "suppressed",
            "collector-stop",
        ]
    );
}

#[test]
fn a_holder_without_room_in_the_spool_still_shows_everything() {
    let bench = Bench::new();
    let mut holder = bench.keeper(Role::Hold);
    published(&mut holder);
    std::fs::remove_file(bench.directory().spool()).unwrap();
    std::fs::create_dir(bench.directory().spool()).unwrap();
    holder.receive(&encode(&signal()), now(), &bench.maps);
    holder.receive(&encode(&signal()), now(), &bench.maps);
    assert_eq!(published(&mut holder), ["violation", "collector-trouble", "violation"]);
}
