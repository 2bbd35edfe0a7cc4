//! How a process gets into a context, and is waited for.
//!
//! The order of things is the protection: nothing of the host's is handed on that was not looked at ([`descriptors`]), the
//! child has its tag before the context can see it ([`child`]), the tag is verified by the launching `vs`, which alone can
//! still read the maps, and only then is a process made that the context sees.

pub mod capabilities;
mod child;
pub mod descriptors;
pub mod environment;
mod relay;
mod root;
mod signals;
pub mod terminal;
pub mod user;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::Witness;
use super::channel::{Channel, Message};
use super::host_tree::Origin;
use super::namespaces::{self, NamespaceError, Root};
use super::registry::{self, Context, RegistryError};
use super::state::StateDirectory;
use super::syscall::{self, SingleThreaded, StringArray};
use crate::lock::{Lock, LockError, PATIENCE};
use crate::maps::store::Store;
use descriptors::DescriptorError;
use environment::Environment;
use relay::Terminals;
use signals::Signals;
use terminal::{ContextTerminal, HostTerminal, TerminalError};
use user::User;

pub use super::channel::FailureKind;
pub use child::Directory;
pub use relay::{Ending, Entered, WaitError};

/// Why a process could not enter.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// A step failed.
    #[error("cannot {act}: {cause}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// 0, 1 or 2 may not go in.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The context cannot be entered.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// There is nothing to enter.
    #[error(
        "the context {0} confines addresses only, and its processes are the host's; start one with `vs chbind --context {0} -- COMMAND`"
    )]
    NetworkOnly(String),
    /// Its namespaces cannot be found or made.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no terminal for it.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// The child failed.
    #[error("{0}")]
    Child(String),
    /// The child ended without a word.
    #[error("the process that was to enter ended without a word; it was killed, or the kernel had no memory")]
    Vanished,
}

fn failed<E: Into<io::Error>>(act: &'static str) -> impl FnOnce(E) -> EnterError {
    move |cause| EnterError::Io { act, cause: cause.into() }
}

/// What is to run in a context, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The command and its arguments.
    pub command: Vec<CString>,
    /// As whom.
    pub user: User,
    /// Where.
    pub directory: Directory,
    /// With which environment.
    pub environment: Environment,
}

/// Puts a command into a context, whose namespaces are made if it is not running. `origin` is where the caller stood before it
/// joined the host's mount tree.
///
/// # Errors
/// Nothing was executed. A context that was started for it stays started.
pub fn enter(
    store: &mut dyn Store,
    state: &StateDirectory,
    origin: Option<&Origin>,
    context: &Context,
    request: &Request,
    witness: &mut dyn Witness,
) -> Result<Entered, EnterError> {
    if context.is_network_only {
        return Err(EnterError::NetworkOnly(context.name.clone()));
    }
    let token = SingleThreaded::check().map_err(failed("enter a context with this process"))?;
    let uses = descriptors::examine()?;
    let host_terminal = terminal::style(uses).map(|style| HostTerminal::open(style, uses)).transpose()?;
    let signals = Signals::block().map_err(failed("take over the signals"))?;
    let lock = Lock::shared(PATIENCE)?;
    registry::check_enterable(store, context)?;
    let namespaces = namespaces::obtain(store, state, context, witness, token)?;
    // Who has a mount tree of its own begins at its root already.
    let root =
        if namespaces.is_none() { Root::of(store, context).map_err(RegistryError::from)? } else { None };

    let command = StringArray::new(request.command.clone());
    let plan = child::Plan {
        namespaces: namespaces.as_ref(),
        // A root is one of the host's mount tree, wherever the caller stands.
        origin: origin.filter(|_| namespaces.is_none() && root.is_none()),
        root: root.as_ref(),
        tag: context.entering_tag(),
        capabilities: context.entry_capabilities,
        uses,
        user: &request.user,
        directory: &request.directory,
        command: &command,
        environment: &request.environment,
    };
    let (ours, theirs) = Channel::pair().map_err(failed("make a channel to the child"))?;
    let first = syscall::fork(token, || child::first(&plan, &mut *store, &theirs, token))
        .map_err(failed("make a child"))?;
    drop(theirs);
    let conversation = converse(store, context, first, &ours);
    if conversation.is_err() {
        // It may be waiting for a word that will not come. It is this process's child, so the number is still its own; if it
        // has ended, there is nothing to kill.
        let _ = rustix::process::kill_process(first, Signal::KILL);
    }
    wait_for(first)?;
    drop(lock);
    let (born, master) = conversation?;
    let attended = attend(born, host_terminal, master).and_then(|held| {
        witness.entering(born);
        ours.send(&Message::Go).map_err(failed("speak to the command's process"))?;
        Ok(held)
    });
    match attended {
        Ok((pidfd, terminals)) => Ok(Entered { pid: born, pidfd, channel: ours, signals, terminals }),
        Err(error) => {
            // Nobody would wait for it, or copy what it says.
            let _ = rustix::process::kill_process(born, Signal::KILL);
            wait_for(born)?;
            Err(error)
        }
    }
}

/// Listens to the first process until the second is born, and says which it is and where its terminal's master is.
fn converse(
    store: &dyn Store,
    context: &Context,
    first: Pid,
    channel: &Channel,
) -> Result<(Pid, Option<OwnedFd>), EnterError> {
    let mut master = None;
    loop {
        match channel.receive().map_err(failed("listen to the child"))? {
            Some((Message::Terminal, descriptor)) => master = descriptor,
            Some((Message::Tagged, _)) => {
                let pidfd = rustix::process::pidfd_open(first, PidfdFlags::empty())
                    .map_err(failed("hold the child"))?;
                registry::verify_entering(store, context, pidfd.as_fd())?;
                channel.send(&Message::Go).map_err(failed("speak to the child"))?;
            }
            Some((Message::Born(born), _)) => return Ok((born, master)),
            Some((Message::Failed { reason, .. }, _)) => return Err(EnterError::Child(reason)),
            Some((Message::Go | Message::Noticed(_), _)) | None => return Err(EnterError::Vanished),
        }
    }
}

/// Takes hold of the command's process and sets up the terminals.
fn attend(
    born: Pid,
    host: Option<HostTerminal>,
    master: Option<OwnedFd>,
) -> Result<(OwnedFd, Option<Terminals>), EnterError> {
    let pidfd = rustix::process::pidfd_open(born, PidfdFlags::empty())
        .map_err(failed("hold the command's process"))?;
    let (Some(host), Some(master)) = (host, master) else { return Ok((pidfd, None)) };
    let context = ContextTerminal::new(master)?;
    host.prepare(&context.master)?;
    Ok((pidfd, Some(Terminals { host, context })))
}

fn wait_for(child: Pid) -> Result<(), EnterError> {
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map(drop).map_err(failed("wait for the child")),
        }
    }
}
