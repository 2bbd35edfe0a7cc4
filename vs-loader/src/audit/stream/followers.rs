//! Those who attached: each has a queue and a task that writes from it, and nobody waits for any of them. And those who ask the owner of
//! the ring to settle the accounts, whom it answers between two other things that it does.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::audit::control::Role;
use crate::audit::follow::{
    Cut, Frame, Greeting, MAX_BEHIND, MAX_FOLLOWERS, MAX_REQUEST, PROTOCOL, REMEMBERED, Refused, Request,
    encode, encode_record,
};
use crate::audit::sink::Line;

/// How long a follower may take to say what it wants.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// How long a follower may take to read one line.
const READ_PATIENCE: Duration = Duration::from_secs(30);
/// How long the owner of the ring waits at its end for followers to read the rest.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Somebody who waits for the accounts to be settled, and is told by dropping or using this.
pub type Settler = oneshot::Sender<()>;

/// All of them.
pub struct Followers {
    role: Role,
    shared: Arc<Mutex<Shared>>,
    tasks: JoinSet<()>,
    settlers: mpsc::Sender<Settler>,
}

#[derive(Default)]
struct Shared {
    remembered: VecDeque<Arc<Line>>,
    attached: Vec<Attached>,
}

struct Attached {
    /// None: it was too slow, and is only to be told how much it missed.
    queue: Option<mpsc::Sender<Arc<Line>>>,
    missed: Arc<AtomicU64>,
}

impl Followers {
    /// Nobody yet. Whoever asks to settle comes through `settlers`.
    pub fn new(role: Role, settlers: mpsc::Sender<Settler>) -> Self {
        Self { role, shared: Arc::default(), tasks: JoinSet::new(), settlers }
    }

    /// Gives lines to everybody, and remembers them for those to come.
    pub fn publish(&mut self, lines: Vec<Arc<Line>>) {
        while self.tasks.try_join_next().is_some() {}
        if lines.is_empty() {
            return;
        }
        let mut shared = lock(&self.shared);
        for line in lines {
            shared.attached.retain_mut(|follower| follower.give(&line));
            if shared.remembered.len() == REMEMBERED {
                shared.remembered.pop_front();
            }
            shared.remembered.push_back(line);
        }
    }

    /// Lets somebody in.
    pub fn admit(&mut self, stream: UnixStream) {
        self.tasks.spawn(attend(stream, self.role, Arc::clone(&self.shared), self.settlers.clone()));
    }

    /// Lets everybody go, who may read what they have been given.
    pub async fn finish(mut self) {
        lock(&self.shared).attached.clear();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // Who has not read it by now is let go without the rest.
        let _ = timeout(LAST_PATIENCE, all).await;
    }
}

/// A panic elsewhere leaves these lists as they are, and they are whole after every step.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Attached {
    /// Gives it one line; `false`: it is gone.
    fn give(&mut self, line: &Arc<Line>) -> bool {
        let Some(queue) = &self.queue else {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return !self.is_gone();
        };
        match queue.try_send(Arc::clone(line)) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                self.queue = None;
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }

    fn is_gone(&self) -> bool {
        self.queue.as_ref().map_or_else(|| Arc::strong_count(&self.missed) == 1, mpsc::Sender::is_closed)
    }
}

/// One connection's task. One that fails is gone; there is nobody to tell.
async fn attend(stream: UnixStream, role: Role, shared: Arc<Mutex<Shared>>, settlers: mpsc::Sender<Settler>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let request = match timeout(REQUEST_PATIENCE, request(&mut read)).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => return refuse(&mut write, error.to_string()).await,
        Err(_) => return refuse(&mut write, "no request within five seconds".to_owned()).await,
    };
    if request.version() != PROTOCOL {
        let why = format!("protocol {PROTOCOL} is spoken here, not {}", request.version());
        return refuse(&mut write, why).await;
    }
    match request {
        Request::Follow { last, .. } => {
            let Some(place) = Place::take(&shared, last, role) else {
                return refuse(&mut write, format!("{MAX_FOLLOWERS} follow already")).await;
            };
            drop((shared, settlers));
            let _ = place.write_to(&mut read, &mut write).await;
        }
        Request::Settle { .. } => {
            let (settler, settled) = oneshot::channel();
            let is_settled = settlers.send(settler).await.is_ok() && settled.await.is_ok();
            if is_settled {
                let _ = send(&mut write, &encode(&Frame::Settled {})).await;
            } else {
                refuse(&mut write, "the collector is ending".to_owned()).await;
            }
        }
    }
}

/// A follower's place in the list.
struct Place {
    greeting: Greeting,
    past: Vec<Arc<Line>>,
    queue: mpsc::Receiver<Arc<Line>>,
    missed: Arc<AtomicU64>,
}

impl Place {
    /// Past and future meet here, under the lock: no line between them is missing or comes twice.
    fn take(shared: &Mutex<Shared>, last: usize, role: Role) -> Option<Self> {
        let mut shared = lock(shared);
        shared.attached.retain(|follower| !follower.is_gone());
        if shared.attached.len() >= MAX_FOLLOWERS {
            return None;
        }
        let (sender, queue) = mpsc::channel(MAX_BEHIND);
        let missed = Arc::new(AtomicU64::new(0));
        shared.attached.push(Attached { queue: Some(sender), missed: Arc::clone(&missed) });
        let remembered = &shared.remembered;
        let greeting = Greeting {
            version: PROTOCOL,
            pid: std::process::id(),
            role,
            remembered: remembered.len(),
            oldest: remembered.front().map(|line| line.record.time),
        };
        let past = remembered.iter().skip(remembered.len().saturating_sub(last)).cloned().collect();
        Some(Self { greeting, past, queue, missed })
    }

    async fn write_to(
        mut self,
        read: &mut BufReader<OwnedReadHalf>,
        write: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        send(write, &encode(&Frame::Greeting(self.greeting))).await?;
        for line in self.past {
            send(write, &encode_record(&line.json)).await?;
        }
        let mut ignored = [0; 256];
        loop {
            tokio::select! {
                biased;
                line = self.queue.recv() => match line {
                    Some(line) => send(write, &encode_record(&line.json)).await?,
                    None => break,
                },
                // It has nothing to say; the end of what it says is its own end.
                count = read.read(&mut ignored) => if count? == 0 {
                    return Ok(());
                },
            }
        }
        match self.missed.load(Ordering::Relaxed) {
            0 => Ok(()),
            missed => send(write, &encode(&Frame::Cut(Cut { missed }))).await,
        }
    }
}

async fn request(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Request> {
    let mut line = Vec::new();
    read.take(MAX_REQUEST as u64).read_until(b'\n', &mut line).await?;
    Ok(serde_json::from_slice(&line)?)
}

async fn refuse(write: &mut OwnedWriteHalf, why: String) {
    // Whoever was refused may have gone without listening.
    let _ = send(write, &encode(&Frame::Refused(Refused { why }))).await;
}

async fn send(write: &mut OwnedWriteHalf, line: &str) -> io::Result<()> {
    timeout(READ_PATIENCE, write.write_all(line.as_bytes())).await?
}
