//! How this process itself gets into a context that confines addresses only, as with VServer's `chbind`: it stays who and where it is, and
//! only its sockets, and those of what it executes, are the context's from now on. There is no way back.

use std::io;
use std::os::fd::AsFd as _;

use rustix::process::PidfdFlags;

use super::registry::{self, Context, RegistryError};
use super::syscall::SingleThreaded;
use crate::maps::store::{Store, StoreError};

/// Why this process could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The context confines more.
    #[error(
        "the context {0} confines its processes; start the command with `vs run --context {0} -- COMMAND`"
    )]
    Confining(String),
    /// It is in a context.
    #[error("this process is in a context already, and a tag is given once")]
    Tagged,
    /// The context cannot be entered.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The map.
    #[error(transparent)]
    Store(StoreError),
    /// The process cannot be held.
    #[error("cannot hold this process: {0}")]
    Process(io::Error),
}

/// Puts this process into the context. The caller holds the lock.
///
/// # Errors
/// The process is where it was.
pub fn join(store: &mut dyn Store, context: &Context, _: SingleThreaded) -> Result<(), JoinError> {
    if !context.is_network_only {
        return Err(JoinError::Confining(context.name.clone()));
    }
    registry::check_enterable(store, context)?;
    let pidfd = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
        .map_err(|errno| JoinError::Process(errno.into()))?;
    store.set_task_tag(pidfd.as_fd(), context.entering_tag()).map_err(|error| {
        if error.cause.raw_os_error() == Some(libc::EEXIST) {
            JoinError::Tagged
        } else {
            JoinError::Store(error)
        }
    })?;
    Ok(registry::verify_entering(store, context, pidfd.as_fd())?)
}
