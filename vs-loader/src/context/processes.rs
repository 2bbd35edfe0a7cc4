//! The processes of contexts, found by looking at every process's tag.
//!
//! There is no list of members to go stale. A process is held by a pidfd from the moment it was found, so that its number
//! cannot be given to another between two looks; one that ends meanwhile is left out.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};
use vs_common::capability::CapabilitySet;
use vs_common::context::Tag;

use crate::maps::store::{Store, StoreError};

/// Why processes could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// `/proc` could not be read, or a process not be held.
    #[error("cannot {act}: {cause}")]
    Io {
        /// What was tried.
        act: String,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// The tags could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A process of a context.
#[derive(Debug)]
pub struct Member {
    /// Its number in the host's PID namespace.
    pub pid: Pid,
    /// What holds it.
    pub pidfd: OwnedFd,
    /// Its tag.
    pub tag: Tag,
}

impl Member {
    /// The process with this number, if it is in a context and has not ended. One that nobody has waited for yet has its number
    /// and its tag still, and can do nothing any more.
    ///
    /// # Errors
    /// The kernel refused for another reason than that there is no such process.
    pub fn find(store: &dyn Store, pid: Pid) -> Result<Option<Self>, ProcessError> {
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            // EINVAL: the number of a thread that leads no process; ENOENT likewise since 6.15.
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {
                return Ok(None);
            }
            result => result.map_err(|cause| ProcessError::Io {
                act: format!("hold the process {pid}"),
                cause: cause.into(),
            })?,
        };
        let tag = match store.task_tag(pidfd.as_fd()) {
            Err(error) if error.cause.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            result => result?,
        };
        let Some(tag) = tag else { return Ok(None) };
        let member = Self { pid, pidfd, tag };
        if member.has_ended()? { Ok(None) } else { Ok(Some(member)) }
    }

    /// Whether it has ended, though its parent may not have asked how. A process lives while one of its threads does.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn has_ended(&self) -> Result<bool, ProcessError> {
        has_ended(&self.pidfd).map_err(|cause| ProcessError::Io {
            act: format!("ask whether the process {} lives", self.pid),
            cause,
        })
    }

    /// Its bounding set; nothing, if it has ended.
    pub fn bounding_set(&self) -> Option<CapabilitySet> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
        // The folder was this process's only if the process is there still.
        let set = CapabilitySet::from_str_radix(line.trim(), 16).ok()?;
        self.has_ended().is_ok_and(|has_ended| !has_ended).then_some(set)
    }

    /// What `/proc` says of it; nothing, if it has ended.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn describe(&self) -> Result<Option<Description>, ProcessError> {
        let folder = format!("/proc/{}", self.pid);
        let read = || -> io::Result<Option<Description>> {
            let status = fs::read_to_string(format!("{folder}/status"))?;
            let command_line = fs::read(format!("{folder}/cmdline"))?;
            Ok(Status::parse(&status).map(|status| Description::new(status, &command_line)))
        };
        let description = match read() {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => {
                return Ok(None);
            }
            result => result.map_err(|cause| ProcessError::Io { act: format!("read {folder}"), cause })?,
        };
        // The folder was this process's only if the process is there still.
        if self.has_ended()? { Ok(None) } else { Ok(description) }
    }
}

/// A process number, if it can be one.
pub fn pid(number: i32) -> Option<Pid> {
    // `Pid::from_raw` takes a negative number for a mistake of the program's.
    if number > 0 { Pid::from_raw(number) } else { None }
}

/// Whether the process behind a pidfd has ended.
///
/// # Errors
/// The kernel refused.
pub(super) fn has_ended(pidfd: &OwnedFd) -> io::Result<bool> {
    let mut descriptors = [PollFd::new(pidfd, PollFlags::IN)];
    Ok(rustix::event::poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
}

/// Hands every process that is in a context to `visit`. Processes that start meanwhile may be missed.
///
/// # Errors
/// `/proc` or a tag could not be read, or `visit` failed.
pub fn for_each_member<E: From<ProcessError>>(
    store: &dyn Store,
    mut visit: impl FnMut(Member) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |cause| ProcessError::Io { act: "list /proc".to_owned(), cause };
    for entry in fs::read_dir("/proc").map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()).and_then(pid) else { continue };
        if let Some(member) = Member::find(store, number)? {
            visit(member)?;
        }
    }
    Ok(())
}

/// A process as `vs ps` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// The real user id.
    pub uid: u32,
    /// The state's letter, as in ps(1).
    pub state: char,
    /// Its command line with spaces between the arguments; in brackets its name, where it has none.
    pub command: String,
    /// Its numbers, from the host's PID namespace inwards.
    pub namespace_pids: Vec<i32>,
}

impl Description {
    fn new(status: Status, command_line: &[u8]) -> Self {
        let arguments: Vec<_> = command_line
            .split(|byte| *byte == 0)
            .filter(|argument| !argument.is_empty())
            .map(|argument| String::from_utf8_lossy(argument))
            .collect();
        // Whoever prints this must not be steered by what a guest calls itself.
        let command = if arguments.is_empty() { format!("[{}]", status.name) } else { arguments.join(" ") };
        let command = command.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        Self { uid: status.uid, state: status.state, command, namespace_pids: status.namespace_pids }
    }

    /// Whether it is the first process of a PID namespace below the host's.
    pub fn is_first_of_namespace(&self) -> bool {
        matches!(self.namespace_pids.as_slice(), [_, 1])
    }
}

/// The lines of `/proc/PID/status` (`fs/proc/array.c:proc_pid_status`) that are needed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Status {
    /// `Name`, as the kernel escapes it.
    pub name: String,
    /// The letter of `State`.
    pub state: char,
    /// The first number of `Uid`.
    pub uid: u32,
    /// `TracerPid`; 0: nobody traces it.
    pub tracer: i32,
    /// `NSpid`.
    pub namespace_pids: Vec<i32>,
}

impl Status {
    /// Parses the file; nothing, if a line is missing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        Some(Self {
            name: field("Name")?.to_owned(),
            state: field("State")?.chars().next()?,
            uid: field("Uid")?.split_whitespace().next()?.parse().ok()?,
            tracer: field("TracerPid")?.parse().ok()?,
            namespace_pids: field("NSpid")?
                .split_whitespace()
                .map(|pid| pid.parse().ok())
                .collect::<Option<_>>()?,
        })
    }

    /// This process's own.
    ///
    /// # Errors
    /// `/proc` cannot be read, or is not of the expected form.
    pub(super) fn own() -> io::Result<Self> {
        let text = fs::read_to_string("/proc/self/status")?;
        Self::parse(&text)
            .ok_or_else(|| io::Error::other("/proc/self/status is not of the form that proc(5) describes"))
    }
}

/// Why a child of `vs` does nothing of what it was made for.
#[derive(Debug, thiserror::Error)]
pub(super) enum TracerError {
    /// It has a tracer.
    #[error(
        "the process {0} traces vs; whoever traces a process that enters would have a hand in the context and the host: detach it"
    )]
    Traced(i32),
    /// Whether it has one is not known.
    #[error("cannot read /proc/self/status: {0}")]
    Unknown(#[from] io::Error),
}

/// Refuses to go on under a tracer, which followed the fork of this process.
///
/// # Errors
/// There is one.
pub(super) fn refuse_tracer() -> Result<(), TracerError> {
    match Status::own()?.tracer {
        0 => Ok(()),
        tracer => Err(TracerError::Traced(tracer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tre aper\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t812\nPid:\t812\nPPid:\t1\nTracerPid:\t0\n\
        Uid:\t33\t0\t0\t0\nGid:\t0\t0\t0\t0\nNStgid:\t812\t1\nNSpid:\t812\t1\nThreads:\t1\n";

    #[test]
    fn the_lines_that_are_needed() {
        assert_eq!(
            Status::parse(STATUS).unwrap(),
            Status { name: "re aper".into(), state: 'S', uid: 33, tracer: 0, namespace_pids: vec![812, 1] }
        );
        assert_eq!(Status::parse(&STATUS.replace("NSpid", "Nspid")), None);
        assert_eq!(Status::parse(&STATUS.replace("812\t1\nThreads", "812\tx\nThreads")), None);
        Status::own().unwrap();
    }

    #[test]
    fn the_first_process_of_a_namespace_below_the_hosts_is_a_reaper() {
        let described = |pids: &str| {
            let status =
                Status::parse(&STATUS.replace("NSpid:\t812\t1", &format!("NSpid:\t{pids}"))).unwrap();
            Description::new(status, b"").is_first_of_namespace()
        };
        assert!(described("812\t1"));
        assert!(!described("1"), "the host's own first process");
        assert!(!described("812\t2"));
        assert!(!described("812\t7\t1"), "of a namespace two levels down");
    }

    #[test]
    fn a_command_is_shown_without_what_steers_a_terminal() {
        let status = Status::parse(STATUS).unwrap();
        assert_eq!(Description::new(status.clone(), b"sh\0-c\0a\x1b[2Jb\0").command, "sh -c a?[2Jb");
        assert_eq!(Description::new(status, b"").command, "[re aper]");
    }
}
