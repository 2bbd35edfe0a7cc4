//! `vs steer`: sockets for datagrams that are bound to ANY get them at every address of their context.

use std::io;
use std::os::fd::AsFd as _;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sd_notify::NotifyState;
use vs_common::id::Epoch;

use super::{CommandResult, Failure, exit_code};
use crate::kernel::gather::{BoundRing, gather};
use crate::kernel::pins::Pins;
use crate::lock::{Lock, LockError};
use crate::maps::live::LiveStore;
use crate::maps::store::Store as _;

/// How often it looks whether another policy is in force, in seconds.
const INTERVAL: i64 = 1;
/// When, after a socket was about to be bound, it looks for it: the word comes before the kernel has bound it, mostly by microseconds.
const DELAYS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(20)];

/// Steers until it is ended.
pub(super) fn run() -> CommandResult {
    let _lock = Lock::steering().map_err(|error| match error {
        LockError::Held { holder } => {
            let who = holder.map_or_else(String::new, |pid| format!(" (process {pid})"));
            Failure { code: exit_code::FAILURE, error: anyhow!("vs steer runs already{who}") }
        }
        error => error.into(),
    })?;
    // Whether anybody listens makes no difference.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let pins = Pins::default();
    loop {
        if let Some(store) = LiveStore::open_pinned(&pins)?
            && store.epoch()? != Epoch(0)
        {
            steer(&pins, &store)?;
        }
        sleep(Duration::from_secs(INTERVAL.unsigned_abs()));
    }
}

/// Steers until nothing is in force any more.
fn steer(pins: &Pins, store: &LiveStore) -> Result<(), Failure> {
    let mut ring = BoundRing::open(pins).context("opening the ring of bound sockets")?;
    let mut known = Epoch(0);
    loop {
        let epoch = store.epoch()?;
        if epoch == Epoch(0) {
            return Ok(());
        }
        let mut is_told = epoch != known;
        known = epoch;
        is_told |= ring.drain();
        if is_told {
            for delay in DELAYS {
                sleep(delay);
                // A load may have taken the pin of the epoch before: the next turn sees its own.
                gather(pins, epoch).context("going through the sockets of UDP")?;
            }
            continue;
        }
        let mut watched = [PollFd::from_borrowed_fd(ring.as_fd(), PollFlags::IN)];
        match poll(&mut watched, Some(&Timespec { tv_sec: INTERVAL, tv_nsec: 0 })) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(io::Error::from(errno).into()),
        }
    }
}
