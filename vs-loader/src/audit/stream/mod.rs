//! Where the audit waits: for the ring, for followers, for the next second. All that knows tokio, and aya's ring buffer.
//!
//! One thread does everything. The keeper's work is short and does not wait, and a follower that does not read waits by itself
//! ([`followers`]); only a disk that hangs holds all of this up, and then the ring has room for some four thousand records, and the kernel
//! side counts what comes after.

pub mod client;
pub mod followers;
pub mod pinned;
pub mod settle;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::maps::store::Store;

use super::control::Role;
use super::directory::Directory;
use super::keeper::{Ending, Keeper};
use super::time::Now;
use followers::Followers;

/// How often counters are read and files made durable.
pub const TICK: Duration = Duration::from_secs(1);
/// Records taken from the ring before anything else gets its turn.
const BATCH: usize = 256;
/// Records taken at the end. The ring holds fewer; whoever writes faster than they are read does not keep the collector from ending.
const LAST_BATCH: usize = 16 * 1024;

/// A ring of records.
pub trait Ring {
    /// Waits until there may be something in it. To be called only after it was taken from to its end.
    ///
    /// # Errors
    /// It cannot be waited for.
    fn ready(&mut self) -> impl Future<Output = io::Result<()>>;

    /// Shows the next records, so many at most, and returns how many there were. One leaves the ring when `visit` has returned.
    fn take(&mut self, limit: usize, visit: &mut dyn FnMut(&[u8])) -> usize;
}

/// A ring with the maps that belong to it.
pub struct Opened<R> {
    /// The id of the ring's map.
    pub id: u32,
    /// The ring.
    pub ring: R,
    /// The maps.
    pub store: Box<dyn Store>,
}

/// What is pinned cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the ring buffer at {path}: {cause}", path = path.display())]
pub struct SourceError {
    /// The pin.
    pub path: PathBuf,
    /// Why.
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

/// Where rings come from: policies are unloaded and loaded again while a collector runs.
pub trait Source {
    /// The rings.
    type Ring: Ring;

    /// The id of the ring that programs write to now; `None`: nothing is loaded.
    ///
    /// # Errors
    /// It cannot be told.
    fn current(&mut self) -> Result<Option<u32>, SourceError>;

    /// Opens it; `None`: nothing is loaded.
    ///
    /// # Errors
    /// It is there and cannot be opened.
    fn open(&mut self) -> Result<Option<Opened<Self::Ring>>, SourceError>;
}

/// What is going on, for a service manager.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Everything is open: followers can attach, and the ring is read if there is one.
    Ready,
    /// Another second has passed.
    Alive,
    /// It ends.
    Stopping,
}

/// Opens the socket for followers. Only for the owner of the ring: it replaces the socket of one that was killed.
///
/// # Errors
/// The kernel refused.
pub fn listen(directory: &Directory) -> io::Result<UnixListener> {
    let path = directory.socket();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Nobody can connect before its mode is set: the directory is its owner's alone.
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// A keeper at work.
struct Service<S: Source> {
    source: S,
    keeper: Keeper,
    opened: Option<Opened<S::Ring>>,
    has_more: bool,
}

/// Runs until `stop` is over, or until no sink will ever take a record again.
pub async fn serve<S: Source>(
    source: S,
    keeper: Keeper,
    role: Role,
    listener: UnixListener,
    tick: Duration,
    stop: impl Future<Output = ()>,
    mut report: impl FnMut(Stage),
) -> Ending {
    let mut service = Service { source, keeper, opened: None, has_more: false };
    let (settlers, mut settling) = mpsc::channel(1);
    let mut followers = Followers::new(role, settlers);
    service.keeper.start(Now::read());
    service.follow_source();
    report(Stage::Ready);
    let mut ticks = interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = pin!(stop);
    let mut may_accept = true;
    loop {
        followers.publish(service.keeper.take_published());
        tokio::select! {
            biased;
            () = &mut stop => break,
            _ = ticks.tick() => {
                service.tick();
                may_accept = true;
                report(Stage::Alive);
                if service.keeper.is_gone() {
                    break;
                }
            }
            accepted = listener.accept(), if may_accept => match accepted {
                Ok((stream, _)) => followers.admit(stream),
                Err(error) => {
                    // Out of descriptors, say. Tried again when the next second has passed, not at once for ever.
                    may_accept = false;
                    let error = format!("no follower can attach: {error}");
                    service.keeper.trouble(Now::read(), "socket", Some(error));
                }
            },
            Some(settler) = settling.recv() => {
                service.settle();
                // Whoever asked may have gone.
                let _ = settler.send(());
            }
            ready = wait(service.opened.as_mut(), service.has_more) => service.read(ready),
        }
    }
    report(Stage::Stopping);
    let (ending, rest) = service.stop();
    followers.publish(rest);
    drop(settling);
    followers.finish().await;
    ending
}

/// Waits for the ring; without one, for ever.
async fn wait<R: Ring>(opened: Option<&mut Opened<R>>, has_more: bool) -> io::Result<()> {
    match opened {
        // Those who write to followers get their turn.
        Some(_) if has_more => {
            tokio::task::yield_now().await;
            Ok(())
        }
        Some(opened) => opened.ring.ready().await,
        None => std::future::pending().await,
    }
}

impl<S: Source> Service<S> {
    fn read(&mut self, ready: io::Result<()>) {
        let now = Now::read();
        match ready {
            Ok(()) => self.take(now, BATCH),
            Err(error) => {
                self.keeper.trouble(now, "ring", Some(format!("cannot wait for the ring buffer: {error}")));
                // Opened again when the next second has passed.
                self.let_go(now);
            }
        }
    }

    fn take(&mut self, now: Now, limit: usize) {
        let Some(Opened { ring, store, .. }) = &mut self.opened else { return };
        self.keeper.fetch_spool(now);
        let keeper = &mut self.keeper;
        let taken = ring.take(limit, &mut |bytes| keeper.receive(bytes, now, &**store));
        self.has_more = taken == limit;
        if taken > 0 {
            keeper.show(now);
        }
    }

    fn tick(&mut self) {
        let now = Now::read();
        self.follow_source();
        // Also without having been woken: a wake-up that is missed costs a second, not a record.
        self.take(now, BATCH);
        self.keeper.tick(now, self.opened.as_mut().map(|opened| &mut *opened.store as &mut dyn Store));
    }

    /// Reads everything there is to read now.
    fn settle(&mut self) {
        let now = Now::read();
        self.take(now, LAST_BATCH);
        self.keeper.tick(now, self.opened.as_mut().map(|opened| &mut *opened.store as &mut dyn Store));
    }

    /// Lets go of a ring that nobody writes to any more, after reading it to its end, and opens the one that is written to.
    fn follow_source(&mut self) {
        let now = Now::read();
        let current = match self.source.current() {
            Ok(current) => current,
            Err(error) => return self.keeper.trouble(now, "source", Some(error.to_string())),
        };
        if self.opened.as_ref().is_some_and(|opened| current != Some(opened.id)) {
            self.let_go(now);
        }
        if self.opened.is_none() && current.is_some() {
            match self.source.open() {
                Ok(Some(opened)) => {
                    self.keeper.attach(opened.id);
                    self.opened = Some(opened);
                    self.has_more = true;
                }
                Ok(None) => {}
                Err(error) => return self.keeper.trouble(now, "source", Some(error.to_string())),
            }
        }
        self.keeper.trouble(now, "source", None);
    }

    fn let_go(&mut self, now: Now) {
        self.take(now, LAST_BATCH);
        if let Some(mut opened) = self.opened.take() {
            self.keeper.poll(now, Some(&mut *opened.store));
        }
        self.has_more = false;
    }

    fn stop(mut self) -> (Ending, Vec<std::sync::Arc<super::sink::Line>>) {
        let now = Now::read();
        self.take(now, LAST_BATCH);
        let mut opened = self.opened;
        self.keeper.stop(now, opened.as_mut().map(|opened| &mut *opened.store as &mut dyn Store))
    }
}

#[cfg(test)]
mod tests;
