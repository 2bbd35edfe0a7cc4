//! Records of what commands of `vs` do: load, enter, and so on.
//!
//! They do not come through the ring, and they must not be lost because nobody collects just now, so they go to the [`spool`], from
//! where the collector fetches them before it reads on in the ring: an entry stands before the violations of who entered, if it is
//! announced before the program runs.
//!
//! **A command does not fail because it could not be recorded.** Enforcement comes before the audit of it: a policy that is in force
//! stays in force, and a process that was let in goes on. The command says loudly, on standard error, that the audit lacks it, with
//! [`AnnounceError`]'s words, and a full spool counts what it lacks.
//!
//! [`spool`]: super::spool

use super::control::{CapabilityChange, ContextChange, Enter, Load, ModeChange, Unload};
use super::directory::{Directory, DirectoryError};
use super::json;
use super::record::{AuditRecord, Event};
use super::spool::{Spool, SpoolError};
use super::time::{BootId, Now};

/// What commands announce.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Announcement {
    /// A policy was loaded: where one was before, this is a reload.
    Load(Load),
    /// Enforcement ended.
    Unload(Unload),
    /// A process enters a context. To be announced after it is tagged and before it executes its program.
    Enter(Enter),
    /// A context was created by command.
    ContextCreate(ContextChange),
    /// A context was removed by command.
    ContextRemove(ContextChange),
    /// A context's mode changed; a load announces one for each context that has another mode than before.
    Mode(ModeChange),
    /// What a context's processes may use changed, by command.
    Capabilities(CapabilityChange),
}

/// The audit lacks a record.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// There is no place for it.
    #[error("the audit has no record of this: {0}")]
    Directory(#[from] DirectoryError),
    /// It does not get into the spool.
    #[error("the audit has no record of this: {0}")]
    Spool(#[from] SpoolError),
    /// The boot has no name.
    #[error("the audit has no record of this: cannot read the boot id, is /proc mounted? {0}")]
    Boot(std::io::Error),
}

impl From<Announcement> for Event {
    fn from(announcement: Announcement) -> Self {
        match announcement {
            Announcement::Load(load) if load.previous_epoch == 0 => Self::Load(load),
            Announcement::Load(load) => Self::Reload(load),
            Announcement::Unload(unload) => Self::Unload(unload),
            Announcement::Enter(enter) => Self::Enter(enter),
            Announcement::ContextCreate(change) => Self::ContextCreate(change),
            Announcement::ContextRemove(change) => Self::ContextRemove(change),
            Announcement::Mode(change) => Self::Mode(change),
            Announcement::Capabilities(change) => Self::Capabilities(change),
        }
    }
}

/// Records that a command did something, now.
///
/// # Errors
/// The audit lacks the record: say so, and go on.
pub fn announce(announcement: Announcement) -> Result<(), AnnounceError> {
    announce_in(&Directory::system(), announcement)
}

/// The same in another directory.
///
/// # Errors
/// As [`announce`].
pub fn announce_in(directory: &Directory, announcement: Announcement) -> Result<(), AnnounceError> {
    directory.prepare()?;
    let boot = BootId::read().map_err(AnnounceError::Boot)?;
    let record = AuditRecord::new(Now::read().wall, boot, announcement.into());
    Ok(Spool::of(directory).append(&json::line(&record))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::samples::web;

    fn announced(announcement: Announcement) -> AuditRecord {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::at(root.path().join("audit"));
        announce_in(&directory, announcement).unwrap();
        let taken = Spool::of(&directory).take().unwrap().unwrap();
        json::parse(std::str::from_utf8(&taken.lines[0]).unwrap()).unwrap()
    }

    #[test]
    fn what_is_announced_waits_in_the_spool() {
        let enter = Enter::new(web(), 4711, b"/usr/sbin/nginx");
        assert_eq!(announced(Announcement::Enter(enter.clone())).event, Event::Enter(enter));
    }

    #[test]
    fn a_load_over_another_is_a_reload() {
        let load = |previous| Announcement::Load(Load::new((previous, previous + 1), 1, &[0; 32], []));
        assert!(matches!(announced(load(0)).event, Event::Load(_)));
        assert!(matches!(announced(load(1)).event, Event::Reload(_)));
    }

    #[test]
    fn a_failure_says_that_the_audit_lacks_it() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        let enter = Announcement::Enter(Enter::new(web(), 1, b"sh"));
        let error = announce_in(&Directory::at(file.join("audit")), enter).unwrap_err();
        assert!(error.to_string().starts_with("the audit has no record of this: cannot make"), "{error}");
    }
}
