//! A service with a ring in memory, and real sockets.

use super::client::{AttachError, Client};
use super::*;
use crate::audit::decode::encode;
use crate::audit::enrich::tests::signal;
use crate::audit::fake::FakeMaps;
use crate::audit::follow::{Frame, MAX_BEHIND, MAX_FOLLOWERS, REMEMBERED};
use crate::audit::json;
use crate::audit::samples::boot;
use crate::audit::sink::Sink;
use crate::audit::sink::tests::FakeSink;
use crate::audit::time::BootId;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Notify;

/// A ring in memory, which several handles share.
#[derive(Clone, Default)]
struct FakeRing {
    records: Rc<RefCell<VecDeque<Vec<u8>>>>,
    wake: Rc<Notify>,
}

impl FakeRing {
    /// nginx sends a signal with this number.
    fn write(&self, number: u64) {
        let mut violation = signal();
        violation.detail = number;
        self.records.borrow_mut().push_back(encode(&violation));
        self.wake.notify_one();
    }
}

impl Ring for FakeRing {
    async fn ready(&mut self) -> io::Result<()> {
        self.wake.notified().await;
        Ok(())
    }

    fn take(&mut self, limit: usize, visit: &mut dyn FnMut(&[u8])) -> usize {
        for taken in 0..limit {
            let Some(record) = self.records.borrow_mut().pop_front() else { return taken };
            visit(&record);
        }
        limit
    }
}

#[derive(Clone, Default)]
struct FakeSource {
    current: Rc<Cell<Option<u32>>>,
    ring: Rc<RefCell<FakeRing>>,
}

impl Source for FakeSource {
    type Ring = FakeRing;

    fn current(&mut self) -> Result<Option<u32>, SourceError> {
        Ok(self.current.get())
    }

    fn open(&mut self) -> Result<Option<Opened<FakeRing>>, SourceError> {
        let Some(id) = self.current.get() else { return Ok(None) };
        let ring = self.ring.borrow().clone();
        Ok(Some(Opened { id, ring, store: Box::new(FakeMaps::with_web()) }))
    }
}

struct Bench {
    root: tempfile::TempDir,
    source: FakeSource,
    sink: FakeSink,
}

impl Bench {
    fn new() -> Self {
        let source = FakeSource::default();
        source.current.set(Some(7));
        Self { root: tempfile::tempdir().unwrap(), source, sink: FakeSink::default() }
    }

    fn directory(&self) -> Directory {
        Directory::at(self.root.path())
    }

    fn write(&self, number: u64) {
        self.source.ring.borrow().write(number);
    }

    /// Runs a service until the script ends.
    async fn serve(&self, role: Role, script: impl Future<Output = ()>) -> Ending {
        self.serve_with(Duration::from_millis(20), role, script).await
    }

    async fn serve_with(&self, tick: Duration, role: Role, script: impl Future<Output = ()>) -> Ending {
        let sinks: Vec<Box<dyn Sink>> = match role {
            Role::Collect => vec![Box::new(self.sink.clone())],
            Role::Hold => Vec::new(),
        };
        let keeper = Keeper::new(self.directory(), role, BootId::read().unwrap(), sinks, "/nowhere");
        let listener = listen(&self.directory()).unwrap();
        let stop = Notify::new();
        let script = async {
            script.await;
            stop.notify_one();
        };
        let serving = serve(self.source.clone(), keeper, role, listener, tick, stop.notified(), |_| {});
        tokio::join!(serving, script).0
    }

    async fn attach(&self, last: usize) -> Client {
        Client::attach(&self.directory().socket(), last).await.unwrap().0
    }
}

async fn until(is_so: impl Fn() -> bool) {
    let soon = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), soon).await.expect("it does not come to pass");
}

/// The signal's number, or the kind of another record, of the next frame.
async fn next(client: &mut Client) -> Option<String> {
    match client.next().await.unwrap()? {
        Frame::Record(raw) => Some(describe(raw.get())),
        Frame::Cut(cut) => Some(format!("cut {}", cut.missed)),
        other => panic!("{other:?}"),
    }
}

fn describe(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let number = value["detail"]["number"].as_u64();
    number.map_or_else(|| value["kind"].as_str().unwrap().to_owned(), |number| number.to_string())
}

#[tokio::test]
async fn what_is_in_the_ring_reaches_sink_and_follower() {
    let bench = Bench::new();
    bench.write(1);
    let script = async {
        until(|| bench.sink.lines.borrow().len() == 2).await;
        let mut client = bench.attach(1).await;
        bench.write(2);
        assert_eq!(next(&mut client).await.unwrap(), "1");
        assert_eq!(next(&mut client).await.unwrap(), "2");
    };
    let ending = bench.serve(Role::Collect, script).await;
    assert_eq!((ending.records, ending.unwritten), (4, vec![]));
    assert_eq!(bench.sink.kinds(), ["collector-start", "violation", "violation", "collector-stop"]);
}

#[tokio::test]
async fn the_greeting_says_what_is_remembered() {
    let bench = Bench::new();
    let script = async {
        bench.write(1);
        until(|| bench.sink.lines.borrow().len() == 2).await;
        let (_, greeting) = Client::attach(&bench.directory().socket(), 0).await.unwrap();
        assert_eq!((greeting.remembered, greeting.role), (2, Role::Collect));
        let first = json::parse(&bench.sink.lines.borrow()[0]).unwrap().time;
        assert_eq!(greeting.oldest, Some(first));
    };
    bench.serve(Role::Collect, script).await;
}

#[tokio::test]
async fn the_end_is_the_last_that_a_follower_sees() {
    let bench = Bench::new();
    let client = Cell::new(None);
    let script = async {
        client.set(Some(bench.attach(0).await));
        // Still in the ring when the service is told to stop.
        bench.write(5);
    };
    bench.serve(Role::Collect, script).await;
    let mut client = client.take().unwrap();
    let mut seen = Vec::new();
    while let Some(next) = next(&mut client).await {
        seen.push(next);
    }
    assert_eq!(seen, ["5", "collector-stop"]);
}

#[tokio::test]
async fn a_slow_follower_is_let_go_with_a_count_and_delays_nobody() {
    const RECORDS: u64 = 8_000;
    let bench = Bench::new();
    let seen = RefCell::new(Vec::new());
    let script = async {
        let mut slow = bench.attach(0).await;
        let mut quick = bench.attach(0).await;
        for number in 0..RECORDS {
            bench.write(number);
            assert_eq!(next(&mut quick).await.unwrap(), number.to_string());
        }
        while let Some(next) = next(&mut slow).await {
            seen.borrow_mut().push(next);
        }
    };
    bench.serve(Role::Collect, script).await;
    let mut seen = seen.into_inner();
    let cut = seen.pop().unwrap();
    // What it was sent is the beginning, unbroken; the rest is counted.
    let sent: Vec<_> = (0..seen.len()).map(|number| number.to_string()).collect();
    assert_eq!(seen, sent);
    assert!(seen.len() >= MAX_BEHIND, "{}", seen.len());
    assert_eq!(cut, format!("cut {}", RECORDS - seen.len() as u64));
}

#[tokio::test]
async fn only_so_many_are_remembered() {
    let bench = Bench::new();
    let script = async {
        let all = REMEMBERED as u64 + 10;
        (0..all).for_each(|number| bench.write(number));
        until(|| bench.sink.lines.borrow().len() as u64 == all + 1).await;
        let mut client = bench.attach(usize::MAX).await;
        assert_eq!(next(&mut client).await.unwrap(), "10");
    };
    bench.serve(Role::Collect, script).await;
}

#[tokio::test]
async fn a_ring_that_is_replaced_is_read_to_its_end_first() {
    let bench = Bench::new();
    let script = async {
        until(|| bench.sink.lines.borrow().len() == 1).await;
        // Unloaded: no wake-up tells of what is still in it.
        let old = bench.source.ring.replace(FakeRing::default());
        old.records.borrow_mut().push_back(encode(&signal()));
        bench.source.current.set(None);
        until(|| bench.sink.lines.borrow().len() == 2).await;
        // Loaded again.
        bench.source.current.set(Some(8));
        bench.write(3);
        until(|| bench.sink.lines.borrow().len() == 3).await;
    };
    bench.serve(Role::Collect, script).await;
    let seen: Vec<_> = bench.sink.lines.borrow().iter().map(|line| describe(line)).collect();
    assert_eq!(seen, ["collector-start", "9", "3", "collector-stop"]);
}

#[tokio::test]
async fn a_collector_waits_for_the_first_load() {
    let bench = Bench::new();
    bench.source.current.set(None);
    let script = async {
        bench.write(1);
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(bench.sink.kinds(), ["collector-start"]);
        bench.source.current.set(Some(1));
        until(|| bench.sink.lines.borrow().len() == 2).await;
    };
    bench.serve(Role::Collect, script).await;
}

#[tokio::test]
async fn whoever_asks_for_nonsense_is_refused_and_the_others_are_served() {
    let bench = Bench::new();
    let script = async {
        for (request, why) in [
            (&b"nonsense\n"[..], "expected value"),
            (b"{\"follow\":{\"version\":2,\"last\":0}}\n", "protocol 1 is spoken here"),
            (b"{\"follow\":{\"version\":1,\"last\":-1}}\n", "invalid value"),
        ] {
            let mut stream = UnixStream::connect(bench.directory().socket()).await.unwrap();
            stream.write_all(request).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("{\"refused\"") && answer.contains(why), "{answer}");
        }
        let mut client = bench.attach(0).await;
        bench.write(1);
        assert_eq!(next(&mut client).await.unwrap(), "1");
    };
    bench.serve(Role::Collect, script).await;
}

#[tokio::test]
async fn followers_are_limited_and_those_who_left_make_room() {
    let bench = Bench::new();
    let script = async {
        let mut clients = Vec::new();
        for _ in 0..MAX_FOLLOWERS {
            clients.push(bench.attach(0).await);
        }
        let refused = Client::attach(&bench.directory().socket(), 0).await.err().unwrap();
        assert!(matches!(&refused, AttachError::Refused { why } if why == "16 follow already"), "{refused}");
        clients.pop();
        let again = async {
            while Client::attach(&bench.directory().socket(), 0).await.is_err() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
    };
    bench.serve(Role::Collect, script).await;
}

#[tokio::test]
async fn without_a_collector_the_client_says_so() {
    let bench = Bench::new();
    let socket = bench.directory().socket();
    assert!(matches!(Client::attach(&socket, 0).await, Err(AttachError::NoCollector { .. })));
    // One that was killed leaves its socket; its successor replaces it.
    drop(listen(&bench.directory()).unwrap());
    assert!(matches!(Client::attach(&socket, 0).await, Err(AttachError::NoCollector { .. })));
    listen(&bench.directory()).unwrap();
}

#[tokio::test]
async fn a_follower_that_owns_the_ring_shows_what_it_keeps() {
    let bench = Bench::new();
    let script = async {
        let mut client = bench.attach(1).await;
        bench.write(1);
        assert_eq!(next(&mut client).await.unwrap(), "collector-start");
        assert_eq!(next(&mut client).await.unwrap(), "1");
    };
    bench.serve(Role::Hold, script).await;
    bench.serve(Role::Collect, async {}).await;
    let seen = bench.sink.kinds();
    assert_eq!(
        seen,
        [
            "collector-start",
            "collector-gap",
            "collector-start",
            "violation",
            "collector-stop",
            "collector-stop"
        ]
    );
}

#[tokio::test]
async fn a_collector_whose_only_reader_left_ends() {
    let bench = Bench::new();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(crate::audit::sink::StreamSink::new("pipe", writer))];
    let keeper = Keeper::new(bench.directory(), Role::Collect, boot(), sinks, "/nowhere");
    let listener = listen(&bench.directory()).unwrap();
    let tick = Duration::from_millis(20);
    let mut stages = Vec::new();
    let never = std::future::pending();
    let ending =
        serve(bench.source.clone(), keeper, Role::Collect, listener, tick, never, |stage| stages.push(stage))
            .await;
    assert_eq!(ending.unwritten.len(), 1);
    assert_eq!((stages.first(), stages.last()), (Some(&Stage::Ready), Some(&Stage::Stopping)));
}

/// `settle` waits, so it has a thread of its own, as it has a process of its own in earnest.
async fn settle_beside(directory: Directory) -> Result<(), settle::SettleError> {
    // Sources in memory stay in their thread; one that has nothing is enough to ask a collector.
    tokio::task::spawn_blocking(move || settle::settle(&directory, FakeSource::default())).await.unwrap()
}

#[tokio::test]
async fn a_collector_settles_when_it_is_asked() {
    let bench = Bench::new();
    let script = async {
        until(|| bench.sink.lines.borrow().len() == 1).await;
        // No wake-up tells of these.
        for _ in 0..=BATCH {
            bench.source.ring.borrow().records.borrow_mut().push_back(encode(&signal()));
        }
        settle_beside(bench.directory()).await.unwrap();
        assert_eq!(bench.sink.lines.borrow().len(), BATCH + 2);
    };
    bench.serve_with(Duration::from_hours(1), Role::Collect, script).await;
}

#[tokio::test]
async fn a_collector_that_does_not_answer_is_told() {
    let bench = Bench::new();
    let _ownership = bench.directory().own(Role::Collect).unwrap();
    let error = settle_beside(bench.directory()).await.unwrap_err();
    assert!(matches!(error, settle::SettleError::Collector { .. }), "{error}");
}

#[tokio::test]
async fn without_a_collector_the_rest_of_a_ring_goes_to_the_spool() {
    let bench = Bench::new();
    bench.write(1);
    settle::settle(&bench.directory(), bench.source.clone()).unwrap();
    bench.source.current.set(None);
    settle::settle(&bench.directory(), bench.source.clone()).unwrap();
    bench.serve(Role::Collect, async {}).await;
    assert_eq!(bench.sink.kinds(), ["collector-start", "collector-gap", "violation", "collector-stop"]);
}
