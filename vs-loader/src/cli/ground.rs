//! What commands about contexts stand on: root, the host's mount tree, the pinned maps, the state directory.

use std::path::PathBuf;

use super::Failure;
use crate::context::host_tree::{self, Origin};
use crate::context::registry::Context;
use crate::context::state::StateDirectory;
use crate::context::syscall::SingleThreaded;
use crate::kernel::support::{Refusal, missing_capabilities};
use crate::maps::live::LiveStore;

/// The ground.
#[derive(Debug)]
pub(super) struct Ground {
    /// Where the caller stands: what a command inside starts in, unless told otherwise.
    pub(super) directory: PathBuf,
    /// Where the caller stood, if it was not in the host's mount tree.
    pub(super) origin: Option<Origin>,
    /// The pinned maps.
    pub(super) store: LiveStore,
    /// The state directory.
    pub(super) state: StateDirectory,
}

impl Ground {
    /// Gets there.
    ///
    /// # Errors
    /// Not root, no policy is loaded, or the kernel refused.
    pub(super) fn reach() -> Result<Self, Failure> {
        require_root()?;
        // A caller whose directory is gone has none that could be there inside.
        let directory = std::env::current_dir().unwrap_or_else(|_| "/".into());
        let origin = host_tree::join(SingleThreaded::check()?)?;
        Ok(Self { directory, origin, store: LiveStore::open()?, state: StateDirectory::open()? })
    }
}

/// Refuses a caller without the power to do any of this, in the words of every other command.
///
/// # Errors
/// A capability is missing.
pub(super) fn require_root() -> Result<(), Failure> {
    let missing = missing_capabilities();
    if missing.is_empty() { Ok(()) } else { Err(Refusal::NotRoot(missing).into()) }
}

/// How the audit calls a context.
pub(super) fn audit_name(context: &Context) -> crate::audit::record::ContextName {
    crate::audit::record::ContextName {
        xid: Some(context.xid.0),
        context: Some(crate::audit::printable::Printable::from_bytes(context.name.as_bytes())),
        generation: context.generation.0,
    }
}
