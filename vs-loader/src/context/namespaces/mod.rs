//! The namespaces of a context: its mount tree, and with `proc = "pidns"` its process numbers.
//!
//! A context gets them with its first process and keeps them until it is stopped. They are kept alive, and found again, under
//! `/run/vs/contexts/NAME`; what is missing there is found from the context's own processes, and only a context without any
//! gets new ones.

mod devices;
mod filesystems;
pub mod fresh;
pub mod mountinfo;
mod procfs;
mod resolver;
pub mod tree;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, WaitOptions};
use rustix::thread::UnshareFlags;
use vs_common::context::{Tag, lifecycle};
use vs_common::policy_entry::ProcMode;

use super::Witness;
use super::channel::{Channel, Message};
use super::host_tree::{self, HostTreeError};
use super::processes::{self, Member, ProcessError, TracerError};
use super::reaper::{self, ReaperError};
use super::registry::{self, Context, RegistryError};
use super::state::{ContextDirectory, GENERATION, Pin, REAPER, StateDirectory, StateError, TREE};
use super::syscall::{self, SingleThreaded};
use crate::compile::files::{Files, paths_of, root_of};
use crate::lock::PATIENCE;
use crate::maps::apply::files_of;
use crate::maps::store::{Store, StoreError};
use tree::{TreeError, Visibility};

pub(in crate::context) use tree::Root;

/// Why a context's namespaces cannot be found or made.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
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
    /// Its processes cannot be found.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// What policy says of it cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be entered.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Its first process could not be started.
    #[error(transparent)]
    Reaper(#[from] ReaperError),
    /// The process that was to make the namespaces failed.
    #[error("cannot make the namespaces of {context}: {reason}")]
    NotMade {
        /// The context.
        context: String,
        /// Why.
        reason: String,
    },
}

fn failed<E: Into<io::Error>>(act: &'static str) -> impl FnOnce(E) -> NamespaceError {
    move |cause| NamespaceError::Io { act, cause: cause.into() }
}

/// The namespaces to join.
#[derive(Debug)]
pub struct Namespaces {
    /// The mount namespace.
    pub mount: OwnedFd,
    /// The PID namespace, if the context has one.
    pub process: Option<OwnedFd>,
    /// The UTS namespace, if the context may have one.
    pub hostname: Option<OwnedFd>,
}

/// A context's namespaces, found or made; nothing for one that lives in the host's.
///
/// # Errors
/// They can be neither found nor made.
pub(super) fn obtain(
    store: &mut dyn Store,
    state: &StateDirectory,
    context: &Context,
    witness: &mut dyn Witness,
    token: SingleThreaded,
) -> Result<Option<Namespaces>, NamespaceError> {
    if context.proc_mode == ProcMode::Plain {
        return Ok(None);
    }
    let contexts = registry::contexts(store)?;
    state.forget_others(&contexts.iter().map(|context| context.name.as_str()).collect())?;
    let directory = state.context(&context.name)?;
    // Only one command at a time starts a context; the others find what it made.
    let _lock = directory.lock(PATIENCE)?;
    match context.proc_mode {
        ProcMode::Plain => Ok(None),
        ProcMode::Hidepid => {
            let found = match find_mount(store, &directory, context)? {
                Some(found) => found,
                None => make_mount(store, &directory, context, witness, token)?,
            };
            Ok(Some(found))
        }
        ProcMode::Pidns => {
            let reaper = match reaper::find(store, &directory, context)? {
                Some(reaper) => reaper,
                None => reaper::start(store, &directory, context, witness, token)?,
            };
            find_with_reaper(&directory, &reaper).map(Some)
        }
    }
}

/// The namespaces of a running reaper: as they are pinned, or pinned anew.
fn find_with_reaper(directory: &ContextDirectory, reaper: &Member) -> Result<Namespaces, NamespaceError> {
    let process = namespace_of(reaper, Pin::Process)?;
    let is_pinned = match directory.pinned(Pin::Process)? {
        Some(pinned) => is_same(&pinned, &process)?,
        None => false,
    };
    let mount = if is_pinned { directory.pinned(Pin::Mount)? } else { None };
    let mount = if let Some(mount) = mount {
        mount
    } else {
        let mount = namespace_of(reaper, Pin::Mount)?;
        pin(directory, &mount, Some(&process), None)?;
        directory.put_number(REAPER, u64::from(reaper.pid.as_raw_nonzero().get().unsigned_abs()))?;
        mount
    };
    // The reaper's own, whether the host's or not: all of a context have the same name.
    Ok(Namespaces { mount, process: Some(process), hostname: Some(namespace_of(reaper, Pin::Hostname)?) })
}

/// What is to be made anew for a context's mount tree to stand in.
pub(super) fn flags_of(context: &Context) -> UnshareFlags {
    if context.has_own_hostname() { UnshareFlags::NEWNS | UnshareFlags::NEWUTS } else { UnshareFlags::NEWNS }
}

/// Keeps namespaces alive in place of those that were.
pub(super) fn pin(
    directory: &ContextDirectory,
    mount: &OwnedFd,
    process: Option<&OwnedFd>,
    hostname: Option<&OwnedFd>,
) -> Result<(), StateError> {
    directory.unpin()?;
    if let Some(hostname) = hostname {
        directory.pin(Pin::Hostname, hostname.as_fd())?;
    }
    directory.pin(Pin::Mount, mount.as_fd())?;
    process.map_or(Ok(()), |process| directory.pin(Pin::Process, process.as_fd()))
}

/// The namespaces of a context without a reaper: as they are pinned, or those of one of its processes.
fn find_mount(
    store: &dyn Store,
    directory: &ContextDirectory,
    context: &Context,
) -> Result<Option<Namespaces>, NamespaceError> {
    if directory.number(GENERATION)? == Some(context.generation.0)
        && directory.number(TREE)?.unwrap_or_default() == tree_number(store, context)?
        && let Some(mount) = directory.pinned(Pin::Mount)?
    {
        let hostname = directory.pinned(Pin::Hostname)?;
        return Ok(Some(Namespaces { mount, process: None, hostname }));
    }
    let mut found = None;
    processes::for_each_member(store, |member| {
        if found.is_none() && context.has(&member.tag) && !member.tag.is_entering() {
            found = Some(Namespaces {
                mount: namespace_of(&member, Pin::Mount)?,
                process: None,
                hostname: Some(namespace_of(&member, Pin::Hostname)?),
            });
        }
        Ok::<_, NamespaceError>(())
    })?;
    if let Some(found) = &found {
        pin(directory, &found.mount, None, found.hostname.as_ref())?;
        directory.put_number(GENERATION, context.generation.0)?;
        directory.put_number(TREE, tree_number(store, context)?)?;
    }
    Ok(found)
}

/// Makes the namespaces, in a child that ends when they are pinned.
fn make_mount(
    store: &mut dyn Store,
    directory: &ContextDirectory,
    context: &Context,
    witness: &mut dyn Witness,
    token: SingleThreaded,
) -> Result<Namespaces, NamespaceError> {
    let (ours, theirs) = Channel::pair().map_err(failed("make a channel to the child"))?;
    let maker = syscall::fork(token, || {
        // SAFETY: the parent's end; this child has no use for it and ends with `_exit`.
        unsafe { ours.close_copy() };
        let made = unshare_host_tree(token, flags_of(context))
            .and_then(|()| build_tree(&mut *store, context, Visibility::PtraceableOnly))
            .and_then(|notices| send_notices(&theirs, notices).map_err(MakeError::Report));
        report(&theirs, &made.map_or_else(|error| Message::failed(&error), |()| Message::Tagged))
    })
    .map_err(failed("make a child"))?;
    drop(theirs);
    let made = await_made(&ours, context, witness).and_then(|()| {
        let mount = open_namespace(maker, Pin::Mount)?;
        let hostname =
            if context.has_own_hostname() { Some(open_namespace(maker, Pin::Hostname)?) } else { None };
        pin(directory, &mount, None, hostname.as_ref())?;
        directory.put_number(GENERATION, context.generation.0)?;
        directory.put_number(TREE, tree_number(store, context)?)?;
        Ok(Namespaces { mount, process: None, hostname })
    });
    // The child waits for a word or for the end of the channel, whichever comes.
    drop(ours);
    wait_for(maker)?;
    made
}

/// Builds a context's mount tree around this process and gives it what is in memory of it. Returns what the administrator should know.
pub(super) fn build_tree(
    store: &mut dyn Store,
    context: &Context,
    visibility: Visibility,
) -> Result<Vec<String>, MakeError> {
    let files = files_of(store, store.epoch()?)?;
    let root = Root::among(&files, context);
    let temporary = if root.is_some() { Vec::new() } else { own_temporary(&files, context) };
    let built = tree::build(visibility, &temporary, root.as_ref())?;
    let tag = Tag { xid: context.xid, lifecycle: 0, generation: context.generation };
    for root in &built.own {
        store.set_filesystem_tag(root.as_fd(), tag)?;
    }
    Ok(built.notices)
}

/// The directories for temporary files that a context has for itself: it cannot write to the host's, unless policy gives it one of them, or
/// something in one.
fn own_temporary(files: &Files, context: &Context) -> Vec<&'static str> {
    if context.residence & lifecycle::FILES == 0 {
        return Vec::new();
    }
    let given = paths_of(files, context.xid);
    let is_given = |place: &str| given.iter().any(|path| Path::new(path).starts_with(place));
    tree::TEMPORARY.into_iter().filter(|place| !is_given(place)).collect()
}

/// A number that tells apart the namespaces that a context may have under policies that it may live through without a process.
fn tree_number(store: &dyn Store, context: &Context) -> Result<u64, StoreError> {
    let root = root_of(&files_of(store, store.epoch()?)?, context.xid).map_or(0, |(key, _)| key.inode);
    let has_files = context.residence & lifecycle::FILES != 0;
    Ok(root << 2 | u64::from(context.has_own_hostname()) << 1 | u64::from(has_files))
}

/// Why a child could not make namespaces.
#[derive(Debug, thiserror::Error)]
pub(super) enum MakeError {
    #[error("cannot make a new namespace: {0}")]
    Unshare(io::Error),
    #[error("cannot make its first process: {0}")]
    Fork(io::Error),
    #[error("cannot report to the launching vs: {0}")]
    Report(io::Error),
    #[error(transparent)]
    Tracer(#[from] TracerError),
    #[error(transparent)]
    HostTree(#[from] HostTreeError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Gives this process a copy of the host's mount tree, wherever it stood before, and whatever else `flags` say.
pub(super) fn unshare_host_tree(token: SingleThreaded, flags: UnshareFlags) -> Result<(), MakeError> {
    // A tracer that follows forks would have the reaper, and hold on to it after the command was refused.
    processes::refuse_tracer()?;
    host_tree::enter_anew(token)?;
    syscall::unshare(token, flags).map_err(MakeError::Unshare)
}

/// Tells the parent, in a child that made something for it, and stays until the parent has what it wants of it.
pub(super) fn report(channel: &Channel, message: &Message) -> u8 {
    // A parent that is gone has neither use for what was made nor an ear for the reason why it was not.
    match channel.send(message) {
        Ok(()) => u8::from(channel.receive().is_err()),
        Err(_) => 1,
    }
}

fn await_made(channel: &Channel, context: &Context, witness: &mut dyn Witness) -> Result<(), NamespaceError> {
    let reason = loop {
        match channel.receive().map_err(failed("listen to the child"))? {
            Some((Message::Tagged, _)) => return Ok(()),
            Some((Message::Noticed(text), _)) => witness.notice(&text),
            Some((Message::Failed { reason, .. }, _)) => break reason,
            _ => break "the child that was to make them ended without a word".to_owned(),
        }
    };
    Err(NamespaceError::NotMade { context: context.name.clone(), reason })
}

/// Tells the parent what it should tell the administrator.
///
/// # Errors
/// The parent is gone.
pub(super) fn send_notices(channel: &Channel, notices: Vec<String>) -> io::Result<()> {
    notices.into_iter().try_for_each(|notice| channel.send(&Message::Noticed(notice)))
}

fn open_namespace(process: Pid, pin: Pin) -> Result<OwnedFd, NamespaceError> {
    let path = format!("/proc/{process}/ns/{}", pin.file_name());
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed("open a namespace of a process of the context"))
}

/// A namespace of a process that is certain to be the one with this number still.
pub(super) fn namespace_of(member: &Member, pin: Pin) -> Result<OwnedFd, NamespaceError> {
    let namespace = open_namespace(member.pid, pin)?;
    if member.has_ended()? {
        return Err(failed("open a namespace of a process of the context")(rustix::io::Errno::SRCH));
    }
    Ok(namespace)
}

fn is_same(one: &OwnedFd, other: &OwnedFd) -> Result<bool, NamespaceError> {
    let identity = |file: &OwnedFd| rustix::fs::fstat(file).map(|status| (status.st_dev, status.st_ino));
    let both = identity(one).and_then(|one| Ok((one, identity(other)?)));
    both.map(|(one, other)| one == other).map_err(failed("compare two namespaces"))
}

/// Waits for a child of this process.
pub(super) fn wait_for(child: Pid) -> Result<(), NamespaceError> {
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map(drop).map_err(failed("wait for the child")),
        }
    }
}
