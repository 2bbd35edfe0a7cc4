//! Reading the ring and the counters before somebody removes them: `vs unload`, a load that drops a context, `vs context remove`.
//!
//! Which of them it is that goes, its last violations may be in the ring still, and its last counts unread: a collector reads counters once
//! a second. So whoever removes them settles the accounts first, when no process is left that could be denied anything more.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{LAST_BATCH, Ring, Source, SourceError};
use crate::audit::control::Role;
use crate::audit::directory::{Directory, DirectoryError, OwnError};
use crate::audit::follow::{Frame, PROTOCOL, Request};
use crate::audit::keeper::Keeper;
use crate::audit::time::{BootId, Now};

/// How long a collector may take to read everything.
const PATIENCE: Duration = Duration::from_secs(5);

/// The accounts are not settled: the audit may lack what is about to be removed.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// There is no place for what is in the ring.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Nobody can own the ring.
    #[error(transparent)]
    Own(OwnError),
    /// The ring cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The boot has no name.
    #[error("cannot read the boot id, is /proc mounted? {0}")]
    Boot(io::Error),
    /// There is a collector, and it does not do it.
    #[error("the collector at {path} does not answer: {cause}", path = path.display())]
    Collector {
        /// Its socket.
        path: PathBuf,
        /// What it said, or that it said nothing.
        cause: io::Error,
    },
}

/// Has the ring and the counters read: by the collector; or where none is, here, into the spool, for the next one.
///
/// # Errors
/// The audit may lack what is about to be removed: say so, and go on.
pub fn settle<S: Source>(directory: &Directory, source: S) -> Result<(), SettleError> {
    directory.prepare()?;
    match directory.own(Role::Hold) {
        Ok(_ownership) => read_into_spool(directory, source),
        Err(OwnError::Busy { .. }) => {
            let path = directory.socket();
            ask(&path).map_err(|cause| SettleError::Collector { path, cause })
        }
        Err(error) => Err(SettleError::Own(error)),
    }
}

fn read_into_spool<S: Source>(directory: &Directory, mut source: S) -> Result<(), SettleError> {
    let Some(mut opened) = source.open()? else { return Ok(()) };
    let boot = BootId::read().map_err(SettleError::Boot)?;
    let mut keeper = Keeper::new(directory.clone(), Role::Hold, boot, Vec::new(), "/proc");
    let now = Now::read();
    let gap = keeper.resume(now);
    keeper.attach(opened.id);
    opened.ring.take(LAST_BATCH, &mut |bytes| keeper.receive(bytes, now, &*opened.store));
    keeper.poll(now, Some(&mut *opened.store));
    // How the last collector ended is for the next one to tell.
    keeper.save(now, gap.is_none_or(|gap| gap.clean));
    Ok(())
}

fn ask(path: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = serde_json::to_string(&Request::Settle { version: PROTOCOL })?;
    writeln!(stream, "{request}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    match serde_json::from_str(&answer)? {
        Frame::Settled {} => Ok(()),
        Frame::Refused(refused) => Err(io::Error::other(refused.why)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
