//! Stopping a context: no process of it is left afterwards.
//!
//! First the context is marked as dying, so that no process of it can fork; then everything with its tag is killed, until a
//! look at all processes finds none. Without the mark a process that forks faster than it is found would never be caught. The
//! mark goes when the last process is gone: a later start is a new beginning.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::Signal;
use vs_common::id::Xid;
use vs_common::policy_entry::ContextState;

use super::processes::{self, Member, ProcessError};
use super::state::{StateDirectory, StateError};
use crate::maps::store::{Store, StoreError};

/// How long killed processes are waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Processes that are held at a time: each takes a descriptor.
const HELD: usize = 256;

/// Why a context was not stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Processes cannot be found.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The mark cannot be set or taken away.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was kept of it cannot be removed.
    #[error(transparent)]
    State(#[from] StateError),
    /// A process could not be killed, or not be waited for.
    #[error("cannot {act} the process {pid}: {cause}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// Its number.
        pid: String,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// Some do not die: they wait for a disk or a network in the kernel.
    #[error(
        "processes of xid {xid} were killed and have not ended: {pids}; they wait in the kernel. The context cannot fork any more; stop it again when they are gone"
    )]
    Undead {
        /// The context.
        xid: Xid,
        /// Their numbers.
        pids: String,
    },
}

/// Stops a context: ends all processes with its xid, of whatever generation, and lets its namespaces go. Returns how many
/// processes were killed. `name` is the context's, if a row of the epoch in force gives it one. The caller holds the exclusive
/// lock.
///
/// # Errors
/// A step failed. The context stays marked as dying then, and another stop takes it up.
pub fn stop(
    store: &mut dyn Store,
    state: &StateDirectory,
    xid: Xid,
    name: Option<&str>,
    patience: Duration,
) -> Result<usize, StopError> {
    let before = store.context_state(xid)?;
    if let Some(before) = before {
        mark(store, xid, before, 1)?;
    }
    let killed = end_all(store, xid, patience)?;
    if let Some(name) = name {
        state.context(name)?.remove()?;
    }
    // Counters have grown meanwhile.
    if let Some(state) = store.context_state(xid)? {
        mark(store, xid, state, 0)?;
    }
    Ok(killed)
}

/// Marks a context as dying, or takes the mark away. What a program adds to a counter between the read and the write is not
/// counted: the map has no finer write. That is the moment in which a context begins to die, or has no process left that could
/// be denied anything.
fn mark(store: &mut dyn Store, xid: Xid, state: ContextState, is_dying: u32) -> Result<(), StoreError> {
    store.put_context_state(xid, &ContextState { is_dying, ..state })
}

/// Kills every process with an xid until there is none, and says how many there were.
fn end_all(store: &dyn Store, xid: Xid, patience: Duration) -> Result<usize, StopError> {
    let deadline = Instant::now() + patience;
    let mut killed = 0;
    loop {
        let mut held = Vec::new();
        processes::for_each_member(store, |member| {
            if member.tag.xid == xid && held.len() < HELD {
                kill(&member)?;
                held.push(member);
            }
            Ok::<_, StopError>(())
        })?;
        if held.is_empty() {
            return Ok(killed);
        }
        killed += held.len();
        for member in &held {
            if !await_end(member, deadline)? {
                let alive = held.iter().filter(|member| member.has_ended().is_ok_and(|ended| !ended));
                let pids = alive.map(|member| member.pid.to_string()).collect::<Vec<_>>().join(", ");
                return Err(StopError::Undead { xid, pids });
            }
        }
    }
}

fn kill(member: &Member) -> Result<(), StopError> {
    match rustix::process::pidfd_send_signal(&member.pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(cause) => Err(StopError::Io { act: "kill", pid: member.pid.to_string(), cause: cause.into() }),
    }
}

/// Waits until a process has ended; whether it did before the deadline.
fn await_end(member: &Member, deadline: Instant) -> Result<bool, StopError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        let mut descriptors = [PollFd::new(&member.pidfd, PollFlags::IN)];
        match rustix::event::poll(&mut descriptors, timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(cause) => {
                return Err(StopError::Io {
                    act: "wait for",
                    pid: member.pid.to_string(),
                    cause: cause.into(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command};

    use vs_common::context::Tag;
    use vs_common::id::Generation;
    use vs_common::map_name;

    use super::*;
    use crate::maps::fake::{FakeStore, Plan};

    const XID: Xid = Xid(100);

    /// A store with the state of one context, and a process with its tag.
    fn running() -> (FakeStore, Child) {
        let mut store = FakeStore::new();
        store
            .states
            .insert(XID, ContextState { generation: Generation(7), lost: 3, ..ContextState::default() });
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let tag = Tag { xid: XID, lifecycle: 0, generation: Generation(7) };
        store.tags.insert(i32::try_from(child.id()).unwrap(), tag);
        (store, child)
    }

    #[test]
    fn its_processes_are_killed_and_the_state_is_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, mut child) = running();
        let before = store.states[&XID];
        let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
        let state = StateDirectory::at(folder.path());
        assert_eq!(stop(&mut store, &state, XID, Some("web"), PATIENCE).unwrap(), 1);
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert_eq!(store.states[&XID], before);
        assert!(!folder.path().join("web").exists());
        assert!(other.try_wait().unwrap().is_none(), "a process without the tag was killed");
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_stop_that_fails_leaves_the_context_dying() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, mut child) = running();
        store.faults.set(Plan::FailEvery(map_name::TASKS, "read"));
        let stopped = stop(&mut store, &StateDirectory::at(folder.path()), XID, None, PATIENCE);
        assert!(matches!(stopped, Err(StopError::Process(_))));
        assert_eq!(store.states[&XID].is_dying, 1);
        store.faults.set(Plan::Sound);
        stop(&mut store, &StateDirectory::at(folder.path()), XID, None, PATIENCE).unwrap();
        assert_eq!(store.states[&XID].is_dying, 0);
        child.wait().unwrap();
    }
}
