//! The first process of a context with a PID namespace.
//!
//! A PID namespace lives as long as its process 1, and processes whose parents end become that one's children. Ours is a
//! program of some hundred bytes (`vs-loader/reaper/main.rs`) that does nothing but wait for them. It runs from sealed memory,
//! so that `/proc/1/exe` inside is no file of the host's, with the tag and the capabilities of any other process of the
//! context: the context may kill it, and is stopped then.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, Signal};
use rustix::thread::UnshareFlags;

use super::Witness;
use super::channel::{Channel, Message};
use super::enter::capabilities::{self, CapabilityError};
use super::namespaces::tree::Visibility;
use super::namespaces::{self, MakeError};
use super::processes::{self, Member, ProcessError};
use super::registry::{self, Context, RegistryError};
use super::sealed::{self, SealError};
use super::state::{ContextDirectory, Pin, REAPER, StateError};
use super::syscall::{self, SingleThreaded, StringArray};
use crate::maps::store::{Store, StoreError};

/// The program, as the build made it.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vs-reaper"));

/// Its name.
const NAME: &str = "vs-reaper";

/// Why a reaper is not found or not started.
#[derive(Debug, thiserror::Error)]
pub enum ReaperError {
    /// A step failed.
    #[error("cannot {act}: {cause}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// State cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// Processes cannot be found.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The context cannot be entered.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The child that was to become the reaper failed.
    #[error("cannot start the context's reaper: {0}")]
    NotStarted(String),
}

fn failed<E: Into<io::Error>>(act: &'static str) -> impl FnOnce(E) -> ReaperError {
    move |cause| ReaperError::Io { act, cause: cause.into() }
}

/// The running reaper of a context: the one whose number was kept, or the member that is a namespace's first process.
///
/// # Errors
/// Processes cannot be listed or their tags not be read.
pub(super) fn find(
    store: &dyn Store,
    directory: &ContextDirectory,
    context: &Context,
) -> Result<Option<Member>, ReaperError> {
    let kept = directory.number(REAPER)?.and_then(|pid| i32::try_from(pid).ok()).and_then(processes::pid);
    if let Some(pid) = kept
        && let Some(member) = Member::find(store, pid)?
        && is_reaper(&member, context)?
    {
        return Ok(Some(member));
    }
    Ok(search(store, context)?)
}

/// Looks through all processes for a context's reaper.
///
/// # Errors
/// As [`find`].
pub fn search(store: &dyn Store, context: &Context) -> Result<Option<Member>, ProcessError> {
    let mut found = None;
    processes::for_each_member(store, |member| {
        if found.is_none() && is_reaper(&member, context)? {
            found = Some(member);
        }
        Ok::<_, ProcessError>(())
    })?;
    Ok(found)
}

/// Whether a process is a context's reaper. Nobody in a context can make a PID namespace, so that there is one first process in
/// it.
///
/// # Errors
/// `/proc` cannot be read.
pub fn is_reaper(member: &Member, context: &Context) -> Result<bool, ProcessError> {
    if !context.has(&member.tag) {
        return Ok(false);
    }
    Ok(member.describe()?.is_some_and(|description| description.is_first_of_namespace()))
}

/// Starts a context's reaper in new namespaces, and keeps them alive.
///
/// # Errors
/// The kernel refused a step; nothing is left of the context then.
pub(super) fn start(
    store: &mut dyn Store,
    directory: &ContextDirectory,
    context: &Context,
    witness: &mut dyn Witness,
    token: SingleThreaded,
) -> Result<Member, ReaperError> {
    let (ours, theirs) = Channel::pair().map_err(failed("make a channel to the reaper"))?;
    let (our_launcher, launchers) = Channel::pair().map_err(failed("make a channel to a child"))?;
    // The reaper must not be this command's child: it outlives it. So a child makes it and ends.
    let launcher = syscall::fork(token, || {
        // SAFETY: the parent's end; this child has no use for it and ends with `_exit`.
        unsafe { our_launcher.close_copy() };
        let launched = launch(token, context, || first_process(&mut *store, context, &theirs));
        // It stays until the reaper is held: until then nobody else may take leave of it and free its number.
        namespaces::report(&launchers, &launched.map_or_else(|error| Message::failed(&error), Message::Born))
    })
    .map_err(failed("make a child"))?;
    drop((theirs, launchers));
    let held = hold(&our_launcher);
    drop(our_launcher);
    let waited = namespaces::wait_for(launcher);
    let (pid, pidfd) = held?;
    let started = waited
        .map_err(|error| ReaperError::NotStarted(error.to_string()))
        .and_then(|()| accompany(store, directory, context, witness, &ours, (pid, &pidfd)));
    match started {
        Ok(()) => Ok(Member { pid, pidfd, tag: context.entering_tag() }),
        Err(error) => {
            // With it goes its namespace. If it has ended, there is nothing to kill.
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            directory.unpin()?;
            Err(error)
        }
    }
}

/// In the launcher: makes the namespaces, and their first process.
fn launch(
    token: SingleThreaded,
    context: &Context,
    first_process: impl FnOnce() -> u8,
) -> Result<Pid, MakeError> {
    namespaces::unshare_host_tree(token, UnshareFlags::NEWPID | namespaces::flags_of(context))?;
    syscall::fork(token, first_process).map_err(MakeError::Fork)
}

/// Takes hold of the reaper that the launcher has made.
fn hold(launcher: &Channel) -> Result<(Pid, OwnedFd), ReaperError> {
    match launcher.receive().map_err(failed("listen to the child"))? {
        Some((Message::Born(pid), _)) => {
            let pidfd =
                rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(failed("hold the reaper"))?;
            Ok((pid, pidfd))
        }
        Some((Message::Failed { reason, .. }, _)) => Err(ReaperError::NotStarted(reason)),
        _ => Err(ReaperError::NotStarted("the child that was to make it ended without a word".to_owned())),
    }
}

/// In the launching `vs`: verifies the reaper's tag, keeps its namespaces alive and sees it execute its program.
fn accompany(
    store: &dyn Store,
    directory: &ContextDirectory,
    context: &Context,
    witness: &mut dyn Witness,
    channel: &Channel,
    (pid, pidfd): (Pid, &OwnedFd),
) -> Result<(), ReaperError> {
    let ended = || ReaperError::NotStarted("it ended without a word".to_owned());
    loop {
        match channel.receive().map_err(failed("listen to the reaper"))? {
            Some((Message::Noticed(text), _)) => witness.notice(&text),
            Some((Message::Tagged, _)) => break registry::verify_entering(store, context, pidfd.as_fd())?,
            Some((Message::Failed { reason, .. }, _)) => return Err(ReaperError::NotStarted(reason)),
            _ => return Err(ended()),
        }
    }
    let member = Member {
        pid,
        pidfd: pidfd.try_clone().map_err(failed("hold the reaper"))?,
        tag: context.entering_tag(),
    };
    let namespace = |pin| {
        namespaces::namespace_of(&member, pin).map_err(|error| ReaperError::NotStarted(error.to_string()))
    };
    namespaces::pin(directory, &namespace(Pin::Mount)?, Some(&namespace(Pin::Process)?), None)?;
    directory.put_number(REAPER, u64::from(pid.as_raw_nonzero().get().unsigned_abs()))?;
    channel.send(&Message::Go).map_err(failed("speak to the reaper"))?;
    // The end of the channel means that it has executed its program, or is gone.
    match channel.receive().map_err(failed("listen to the reaper"))? {
        None if !processes::has_ended(pidfd).map_err(failed("ask whether the reaper lives"))? => Ok(()),
        Some((Message::Failed { reason, .. }, _)) => Err(ReaperError::NotStarted(reason)),
        _ => Err(ended()),
    }
}

/// Why the first process of a namespace did not become a reaper.
#[derive(Debug, thiserror::Error)]
enum FirstProcessError {
    #[error("cannot {act}: {cause}")]
    Io { act: &'static str, cause: io::Error },
    #[error(transparent)]
    Make(#[from] MakeError),
    #[error(transparent)]
    Capabilities(#[from] CapabilityError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn unable<E: Into<io::Error>>(act: &'static str) -> impl FnOnce(E) -> FirstProcessError {
    move |cause| FirstProcessError::Io { act, cause: cause.into() }
}

/// Process 1: makes the mount tree, gives up what is the host's and becomes the reaper.
fn first_process(store: &mut dyn Store, context: &Context, channel: &Channel) -> u8 {
    match become_reaper(store, context, channel) {
        Ok(never) => match never {},
        Err(error) => {
            // A parent that is gone has nobody to tell it to.
            let _ = channel.send(&Message::failed(&error));
            1
        }
    }
}

fn become_reaper(
    store: &mut dyn Store,
    context: &Context,
    channel: &Channel,
) -> Result<Infallible, FirstProcessError> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(unable("close this process's memory to others"))?;
    rustix::process::setsid().map_err(unable("begin a session"))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let notices = namespaces::build_tree(&mut *store, context, Visibility::Namespace)?;
    namespaces::send_notices(channel, notices).map_err(unable("report to the launching vs"))?;
    let nothing = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(unable("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&nothing)
        .and_then(|()| rustix::stdio::dup2_stdout(&nothing))
        .and_then(|()| rustix::stdio::dup2_stderr(&nothing))
        .map_err(unable("let go of the caller's input and output"))?;
    syscall::join_new_session_keyring().map_err(unable("begin a session keyring"))?;
    rustix::thread::set_thread_groups(&[]).map_err(unable("give up the caller's groups"))?;
    // Nobody is in the namespace yet who could see it without a tag.
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
        .map_err(unable("hold this process"))?;
    store.set_task_tag(own.as_fd(), context.entering_tag())?;
    // What is closed below must not be closed once more.
    drop((own, nothing));
    // SAFETY: what is closed is the store's, the locks' and the parent's; this process uses none of them again and leaves by
    // `_exit` or `execve`, never by dropping them.
    unsafe { syscall::close_from(3, Some(channel.number())) }
        .map_err(unable("close the host's descriptors"))?;
    let program = sealed::seal(NAME, &mut &*PROGRAM)?;
    capabilities::drop_to(context.entry_capabilities)?;
    capabilities::drop_the_rest(context.entry_capabilities)?;
    channel.send(&Message::Tagged).map_err(unable("report to the launching vs"))?;
    channel.wait_for_go().map_err(unable("go on"))?;
    syscall::reset_signals().map_err(unable("reset the signals"))?;
    let arguments = StringArray::new(vec![CString::from(c"vs-reaper")]);
    syscall::execute_descriptor(program, &arguments, &StringArray::new(Vec::new()))
        .map_err(unable("execute the reaper"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    /// Not as process 1 here, so that who sends SIGTERM is always in its namespace; as process 1 it is tried in a context.
    #[test]
    fn the_program_runs_under_its_name_and_does_not_end_for_a_sigterm_from_inside() {
        let program = sealed::seal(NAME, &mut &*PROGRAM).unwrap();
        let path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&program));
        let mut reaper = Command::new(path).arg0(NAME).spawn().unwrap();
        let pid = i32::try_from(reaper.id()).ok().and_then(processes::pid).unwrap();
        let comm = || std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        while comm() != "vs-reaper\n" {
            assert!(reaper.try_wait().unwrap().is_none(), "it has ended");
            sleep(Duration::from_millis(1));
        }
        // It sleeps nowhere but where it waits for the two signals, which it has blocked by then.
        let state = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            processes::Status::parse(&status).unwrap().state
        };
        while state() != 'S' {
            sleep(Duration::from_millis(1));
        }
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        sleep(Duration::from_millis(50));
        assert!(reaper.try_wait().unwrap().is_none(), "it has ended");
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        reaper.wait().unwrap();
    }

    #[test]
    fn the_program_is_a_small_static_executable() {
        assert_eq!(&PROGRAM[..4], b"\x7fELF");
        assert!(PROGRAM.len() < 64 * 1024, "{} bytes", PROGRAM.len());
        // Type 2, ET_EXEC; no program header of type 3, PT_INTERP.
        assert_eq!(PROGRAM[16..18], [2, 0]);
        let word = |at: usize, size: usize| {
            PROGRAM[at..at + size].iter().rev().fold(0_usize, |value, byte| value << 8 | usize::from(*byte))
        };
        let (table, size, count) = (word(32, 8), word(54, 2), word(56, 2));
        assert!((0..count).all(|index| word(table + index * size, 4) != 3), "it asks for a dynamic linker");
    }
}
