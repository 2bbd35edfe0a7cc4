//! A forbidden act that must be denied, before anything is called enforced.
//!
//! Programs attach without an error where `bpf` is no active LSM, and never run. So a child is tagged with a number that no context
//! has, and it, and a child of its own, try to reach the host: signal 0 to this process, and `bpf(2)`. All must fail with EPERM, and
//! our counters must show that it was our doing. Beside it an untagged child does the same and must succeed: an enforcement that
//! denies everything would pass otherwise, and the host must never notice us.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use vs_common::context::Tag;
use vs_common::hook::Hook;
use vs_common::id::{Generation, Xid};

use crate::maps::store::{Store, StoreError};

/// How long a child may take for three system calls, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is tried, in the order of a child's report.
const ACTS: [&str; 3] = ["kill", "bpf", "kill by a child"];

/// Why nothing is called enforced.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// The act of a guest was not denied.
    #[error(
        "a guest's forbidden act was not denied ({act}: {outcome}), so nothing would be enforced on this kernel"
    )]
    NotDenied {
        /// The act.
        act: &'static str,
        /// What became of it.
        outcome: String,
    },
    /// It was denied, and not by us.
    #[error("a guest's forbidden acts were denied {counted} times by {} and not 2 times, so something else denies them here", Hook::TaskKill.name())]
    NotCounted {
        /// How many denials were counted.
        counted: u64,
    },
    /// The act of the host was denied.
    #[error("the host's own act was denied ({act}: {outcome}), so the programs would disturb the host")]
    HostDenied {
        /// The act.
        act: &'static str,
        /// What became of it.
        outcome: String,
    },
    /// The child could not be tagged, or the counters not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No child, or none that answers.
    #[error("cannot try a forbidden act: {action}: {cause}")]
    Child {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        cause: io::Error,
    },
}

fn failed<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> CanaryError {
    move |cause| CanaryError::Child { action, cause: cause.into() }
}

/// Tries the acts, as a guest and as the host. `generation` says which programs are tried ([`super::object::canary_of`]): to others,
/// which may be in force as well, the guest is the host's.
///
/// # Errors
/// The guest's was not denied, the host's was, or it could not be tried.
pub fn run(store: &mut dyn Store, generation: Generation) -> Result<(), CanaryError> {
    let before = store.hook_counters(Hook::TaskKill)?.tried;
    let outcomes =
        try_acts(|pidfd| store.set_task_tag(pidfd, Tag { xid: Xid::CANARY, lifecycle: 0, generation }))?;
    if let Some((act, errno)) = ACTS.into_iter().zip(outcomes).find(|(_, errno)| *errno != libc::EPERM) {
        return Err(CanaryError::NotDenied { act, outcome: describe(errno) });
    }
    let counted = store.hook_counters(Hook::TaskKill)?.tried.saturating_sub(before);
    if counted < 2 {
        return Err(CanaryError::NotCounted { counted });
    }
    let outcomes = try_acts(|_| Ok(()))?;
    match ACTS.into_iter().zip(outcomes).find(|(_, errno)| *errno != 0) {
        Some((act, errno)) => Err(CanaryError::HostDenied { act, outcome: describe(errno) }),
        None => Ok(()),
    }
}

fn describe(errno: i32) -> String {
    if errno == 0 { "it succeeded".to_owned() } else { io::Error::from_raw_os_error(errno).to_string() }
}

/// Forks a child, has it prepared, and lets it try; the errno of each act, 0 for success.
fn try_acts(
    prepare: impl FnOnce(BorrowedFd<'_>) -> Result<(), StoreError>,
) -> Result<[i32; ACTS.len()], CanaryError> {
    let (go_read, go_write) = pipe_with(PipeFlags::CLOEXEC).map_err(failed("pipe"))?;
    let (report_read, report_write) = pipe_with(PipeFlags::CLOEXEC).map_err(failed("pipe"))?;
    let parent = std::process::id().cast_signed();
    let mut pidfd: RawFd = -1;
    // SAFETY: without CLONE_VM the child has a copy of this memory, and it calls nothing but `act_as_child`, which keeps to system
    // calls: another thread may have held a lock. With CLONE_PIDFD the kernel writes a descriptor to the third argument.
    let child =
        unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_PIDFD | libc::SIGCHLD, 0, &raw mut pidfd, 0, 0) };
    if child == 0 {
        act_as_child(parent, &go_read, &go_write, &report_write);
    }
    if child < 0 {
        return Err(failed("clone")(io::Error::last_os_error()));
    }
    // SAFETY: the call above succeeded, and the kernel gave this descriptor to nobody else.
    let child = Child(unsafe { OwnedFd::from_raw_fd(pidfd) });
    drop((go_read, report_write));
    prepare(child.0.as_fd())?;
    rustix::io::write(&go_write, b"!").map_err(failed("write"))?;
    let mut ready = [PollFd::new(&report_read, PollFlags::IN)];
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    if poll(&mut ready, Some(&patience)).map_err(failed("poll"))? == 0 {
        return Err(failed("the child does not answer")(io::Error::from(io::ErrorKind::TimedOut)));
    }
    let mut report = [0; size_of::<[i32; ACTS.len()]>()];
    let length = rustix::io::read(&report_read, &mut report[..]).map_err(failed("read"))?;
    if length != report.len() {
        return Err(failed("the child ended early")(io::Error::from(io::ErrorKind::UnexpectedEof)));
    }
    let mut errnos = [0; ACTS.len()];
    for (errno, bytes) in errnos.iter_mut().zip(report.chunks_exact(size_of::<i32>())) {
        *errno = i32::from_ne_bytes(bytes.try_into().unwrap_or_default());
    }
    Ok(errnos)
}

/// The child, ended and reaped when it goes out of scope: it never outlives the attempt.
struct Child(OwnedFd);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.0, rustix::process::Signal::KILL);
        let id = rustix::process::WaitId::PidFd(self.0.as_fd());
        let _ = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED);
    }
}

/// What the child does: wait for its tag, act, report, end. System calls only, and no allocation.
fn act_as_child(parent: i32, go_read: &OwnedFd, go_write: &OwnedFd, report_write: &OwnedFd) -> ! {
    // SAFETY: system calls on descriptors that this process has, with the addresses of live locals. The other end of the pipe is
    // closed so that the parent's death ends the wait.
    unsafe {
        libc::close(go_write.as_raw_fd());
        let mut go = 0_u8;
        if libc::read(go_read.as_raw_fd(), (&raw mut go).cast(), 1) != 1 {
            libc::_exit(1);
        }
        let report = [kill_errno(parent), bpf_errno(), grandchild_errno(parent)];
        libc::write(report_write.as_raw_fd(), (&raw const report).cast(), size_of_val(&report));
        libc::_exit(0);
    }
}

/// The errno of the last call that returned -1.
fn errno() -> i32 {
    // SAFETY: the C library's own per-thread variable.
    unsafe { *libc::__errno_location() }
}

fn kill_errno(target: i32) -> i32 {
    // SAFETY: no memory is involved; signal 0 is only checked for.
    if unsafe { libc::kill(target, 0) } == 0 { 0 } else { errno() }
}

/// Asks for the first program's id, which any privileged process of the host may.
fn bpf_errno() -> i32 {
    const BPF_PROG_GET_NEXT_ID: i32 = 11;
    let mut attributes = [0_u32; 3];
    // SAFETY: the command reads and writes its three words, which are alive.
    let done = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_GET_NEXT_ID, &raw mut attributes, size_of_val(&attributes))
    };
    if done == 0 { 0 } else { errno() }
}

/// What a child's child gets to hear: it has inherited the tag.
fn grandchild_errno(target: i32) -> i32 {
    // SAFETY: as in `try_acts`; the new process makes one system call and ends.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    if child == 0 {
        // SAFETY: ends this process.
        unsafe { libc::_exit(kill_errno(target)) };
    }
    let mut status = 0;
    // SAFETY: any child is waited for, and its status written to a live local.
    if child < 0 || unsafe { libc::waitpid(-1, &raw mut status, 0) } < 0 {
        return errno();
    }
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { libc::EINTR }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::fake::FakeStore;

    /// On a kernel without our programs nothing denies, and the canary must say so. The acts of the host are tried for real.
    #[test]
    fn without_programs_the_canary_is_not_denied() {
        let error = run(&mut FakeStore::new(), Generation(1)).unwrap_err();
        assert!(matches!(error, CanaryError::NotDenied { act: "kill", .. }), "{error}");
        assert!(error.to_string().contains("kill: it succeeded"), "{error}");
    }

    #[test]
    fn a_child_that_cannot_be_tagged_does_not_act_and_is_gone() {
        let mut store = FakeStore::new();
        store.faults.set(crate::maps::fake::Plan::FailEvery(vs_common::map_name::TASKS, "write"));
        assert!(matches!(run(&mut store, Generation(1)), Err(CanaryError::Store(_))));
        assert!(store.tags.is_empty());
    }
}
