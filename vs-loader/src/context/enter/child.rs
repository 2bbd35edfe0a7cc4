//! The two steps of entering, each a process.
//!
//! The first is a child of the launching `vs`, in the host's PID namespace, where nobody in the context can see it. It joins
//! the namespaces, makes the terminal, tags itself, closes what is the host's and drops its capabilities; then its parent
//! verifies the tag. The second is its sibling and is born in the context's PID namespace: with the tag inherited in
//! `task_alloc`, entering, and with nothing left of the host's but its memory, which nobody may look at until `execve` has
//! replaced it. There is no instant at which the context could see a process with the host's power.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, PidfdFlags};
use rustix::thread::{Gid, LinkNameSpaceType, Uid};
use vs_common::capability::CapabilitySet;
use vs_common::context::Tag;

use super::capabilities::{self, CapabilityError};
use super::descriptors::Use;
use super::environment::Environment;
use super::root::{self, RootError};
use super::terminal::{self, TerminalError};
use super::user::User;
use crate::context::channel::{Channel, FailureKind, Message};
use crate::context::host_tree::{HostTreeError, Origin};
use crate::context::namespaces::{Namespaces, Root};
use crate::context::processes::{self, TracerError};
use crate::context::syscall::{self, SingleThreaded, StringArray};
use crate::maps::store::{Store, StoreError};

/// Why a process did not enter.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildError {
    #[error("cannot {act}: {cause}")]
    Io { act: &'static str, cause: io::Error },
    #[error("cannot change into {}: {cause}; choose another directory with --cwd", .path.display())]
    Directory { path: PathBuf, cause: io::Error },
    #[error("{} is not below the context's root; choose another directory with --cwd", .0.display())]
    Outside(PathBuf),
    #[error("the context is being stopped, and may not have new processes")]
    Dying,
    #[error("cannot make a process in the context: {0}; its first process has ended, or there is no memory")]
    Clone(io::Error),
    #[error(transparent)]
    Tracer(#[from] TracerError),
    #[error(transparent)]
    HostTree(#[from] HostTreeError),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    #[error(transparent)]
    Capabilities(#[from] CapabilityError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot execute {}: {cause}", .command.to_string_lossy())]
    Execute { command: CString, cause: io::Error },
    #[error("there is no command {} in the directories of PATH", .0.to_string_lossy())]
    NotFound(CString),
}

impl ChildError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Execute { cause, .. } if cause.kind() == io::ErrorKind::NotFound => FailureKind::NotFound,
            Self::Execute { .. } => FailureKind::CannotExecute,
            Self::NotFound(_) => FailureKind::NotFound,
            _ => FailureKind::Setup,
        }
    }
}

fn failed<E: Into<io::Error>>(act: &'static str) -> impl FnOnce(E) -> ChildError {
    move |cause| ChildError::Io { act, cause: cause.into() }
}

/// Where the command starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Directory {
    /// Here, or not at all.
    Given(PathBuf),
    /// Here, if it is there inside; else in `/`.
    Preferred(PathBuf),
}

/// All that a process needs to know to enter.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub namespaces: Option<&'a Namespaces>,
    /// Where a command that stays in its caller's mount tree is led back to.
    pub origin: Option<&'a Origin>,
    /// Where it begins in the host's tree, if not where that does.
    pub root: Option<&'a Root>,
    pub tag: Tag,
    /// What is left of the capabilities.
    pub capabilities: CapabilitySet,
    pub uses: [Use; 3],
    pub user: &'a User,
    pub directory: &'a Directory,
    pub command: &'a StringArray,
    pub environment: &'a Environment,
}

/// Says why it failed, if it did, to the parent.
fn report(channel: &Channel, result: Result<(), ChildError>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            let message = Message::Failed { kind: error.kind(), reason: error.to_string() };
            // A parent that is gone has nobody to tell it to.
            let _ = channel.send(&message);
            1
        }
    }
}

/// The first process. Returns its exit status.
pub(super) fn first(plan: &Plan<'_>, store: &mut dyn Store, channel: &Channel, token: SingleThreaded) -> u8 {
    let result = prepare(plan, store, channel, token).and_then(|()| {
        let second = || report(channel, become_command(plan, channel));
        let pid = syscall::clone_sibling(token, second).map_err(|cause| match cause.raw_os_error() {
            Some(libc::EPERM) => ChildError::Dying,
            _ => ChildError::Clone(cause),
        })?;
        channel.send(&Message::Born(pid)).map_err(failed("report to the launching vs"))
    });
    report(channel, result)
}

fn prepare(
    plan: &Plan<'_>,
    store: &mut dyn Store,
    channel: &Channel,
    token: SingleThreaded,
) -> Result<(), ChildError> {
    // From here on only root with CAP_SYS_PTRACE may look into this process, and of the context nobody.
    make_undumpable()?;
    processes::refuse_tracer()?;
    join(plan, token)?;
    let way_out = plan.root.map(root::begin_at).transpose()?;
    change_directory(plan.directory)?;
    replace_terminals(plan, channel)?;
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
        .map_err(failed("hold this process"))?;
    store.set_task_tag(own.as_fd(), plan.tag)?;
    if let Some(way_out) = way_out {
        way_out.prove_closed()?;
    }
    // What is closed below must not be closed once more.
    drop(own);
    // SAFETY: what is closed is the store's, the locks', the namespaces' and the parent's end of the channel; this process uses
    // none of them again and leaves by `_exit` or `execve`, never by dropping them.
    unsafe { syscall::close_from(3, Some(channel.number())) }
        .map_err(failed("close the host's descriptors"))?;
    capabilities::drop_to(plan.capabilities)?;
    channel.send(&Message::Tagged).map_err(failed("report to the launching vs"))?;
    channel.wait_for_go().map_err(failed("go on"))
}

fn make_undumpable() -> Result<(), ChildError> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(failed("close this process's memory to others"))
}

fn join(plan: &Plan<'_>, token: SingleThreaded) -> Result<(), ChildError> {
    let Some(namespaces) = plan.namespaces else {
        return plan.origin.map_or(Ok(()), |origin| Ok(origin.restore(token)?));
    };
    if let Some(process) = &namespaces.process {
        rustix::thread::move_into_link_name_space(process.as_fd(), Some(LinkNameSpaceType::ProcessID))
            .map_err(failed("join the context's PID namespace"))?;
    }
    if let Some(hostname) = &namespaces.hostname {
        rustix::thread::move_into_link_name_space(
            hostname.as_fd(),
            Some(LinkNameSpaceType::HostNameAndNISDomainName),
        )
        .map_err(failed("join the context's UTS namespace"))?;
    }
    // Sets the root and the working directory as well, to the root of the tree.
    rustix::thread::move_into_link_name_space(namespaces.mount.as_fd(), Some(LinkNameSpaceType::Mount))
        .map_err(failed("join the context's mount namespace"))
}

fn change_directory(directory: &Directory) -> Result<(), ChildError> {
    let changed = match directory {
        Directory::Given(path) => rustix::process::chdir(path)
            .map_err(|cause| ChildError::Directory { path: path.clone(), cause: cause.into() }),
        Directory::Preferred(path) => rustix::process::chdir(path)
            .or_else(|_| rustix::process::chdir("/"))
            .map_err(|cause| ChildError::Directory { path: "/".into(), cause: cause.into() }),
    };
    changed?;
    // The kernel puts "(unreachable)" before the path of a directory that is not below the root.
    let path = rustix::process::getcwd(Vec::new()).map_err(failed("ask for the working directory"))?;
    if path.to_bytes().starts_with(b"/") {
        Ok(())
    } else {
        Err(ChildError::Outside(Path::new(OsStr::from_bytes(path.to_bytes())).to_owned()))
    }
}

/// Puts a terminal of the context's own in place of the host's, and hands its master to the parent.
fn replace_terminals(plan: &Plan<'_>, channel: &Channel) -> Result<(), ChildError> {
    if !plan.uses.contains(&Use::Replaced) {
        return Ok(());
    }
    let pair = terminal::make(Uid::from_raw(plan.user.uid))?;
    channel
        .send_with(&Message::Terminal, Some(pair.master.as_fd()))
        .map_err(failed("hand a terminal to the launching vs"))?;
    let replaced = |number: usize| plan.uses[number] == Use::Replaced;
    if replaced(0) {
        rustix::stdio::dup2_stdin(&pair.slave).map_err(failed("replace standard input"))?;
    }
    if replaced(1) {
        rustix::stdio::dup2_stdout(&pair.slave).map_err(failed("replace standard output"))?;
    }
    if replaced(2) {
        rustix::stdio::dup2_stderr(&pair.slave).map_err(failed("replace standard error"))?;
    }
    Ok(())
}

/// The second process: becomes the command. Returns only if that failed.
fn become_command(plan: &Plan<'_>, channel: &Channel) -> Result<(), ChildError> {
    channel.wait_for_go().map_err(failed("go on"))?;
    rustix::process::setsid().map_err(failed("begin a session"))?;
    take_terminal(plan.uses)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    syscall::join_new_session_keyring().map_err(failed("begin a session keyring"))?;
    become_user(plan.user)?;
    capabilities::drop_the_rest(plan.capabilities)?;
    // Changing the user has set it to the sysctl fs.suid_dumpable.
    make_undumpable()?;
    rustix::process::set_parent_process_death_signal(None).map_err(failed("outlive the launching vs"))?;
    syscall::reset_signals().map_err(failed("reset the signals"))?;
    let strings =
        plan.environment.strings().map_err(io::Error::other).map_err(failed("make the environment"))?;
    execute(plan, &StringArray::new(strings))
}

fn take_terminal(uses: [Use; 3]) -> Result<(), ChildError> {
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    let descriptors = [input.as_fd(), output.as_fd(), errors.as_fd()];
    let replaced = descriptors.into_iter().zip(uses).find(|(_, used)| *used == Use::Replaced);
    replaced.map_or(Ok(()), |(descriptor, _)| {
        rustix::process::ioctl_tiocsctty(descriptor).map_err(failed("make a terminal the session's"))
    })
}

fn become_user(user: &User) -> Result<(), ChildError> {
    let groups: Vec<_> = user.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_groups(&groups).map_err(failed("set the supplementary groups"))?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(failed("set the group"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(failed("set the user"))
}

/// Executes the command, looked for as `execvp` does. Returns only if that failed.
fn execute(plan: &Plan<'_>, environment: &StringArray) -> Result<(), ChildError> {
    let Some(command) = plan.command.strings().first() else {
        return Err(failed("execute nothing")(Errno::INVAL));
    };
    let executed = |path: &CString| syscall::execute(path, plan.command, environment);
    if command.as_bytes().contains(&b'/') {
        return Err(ChildError::Execute { command: command.clone(), cause: executed(command) });
    }
    let mut refused = None;
    for directory in plan.environment.search_path() {
        let Ok(path) = CString::new([directory.as_bytes(), b"/", command.as_bytes()].concat()) else {
            continue;
        };
        let cause = executed(&path);
        match cause.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            // Another directory may have one that can be executed.
            Some(libc::EACCES) => refused = Some(ChildError::Execute { command: path, cause }),
            _ => return Err(ChildError::Execute { command: path, cause }),
        }
    }
    Err(refused.unwrap_or_else(|| ChildError::NotFound(command.clone())))
}
