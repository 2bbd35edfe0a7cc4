//! What one collector leaves for the next, so that no count is reported twice and a gap is seen.
//!
//! The file's modification time is the collector's last sign of life.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::directory::private_file;
use super::lost::Totals;
use super::record::SCHEMA;
use super::time::{BootId, Time};

/// What is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Saved {
    schema: u32,
    /// The boot that it is about.
    pub boot: BootId,
    /// The id of the ring buffer's map that the totals belong to; null: none was loaded.
    pub ring: Option<u32>,
    /// Whether the collector ended in order.
    pub clean: bool,
    /// The counters as last reported.
    pub totals: Totals,
}

/// The file is there and cannot be used: what it said is not known.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It cannot be read or written.
    #[error("cannot {operation} {path}: {cause}", path = path.display())]
    Io {
        /// "read" or "write".
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// It is not what a collector of this version writes.
    #[error("{path} is damaged or of another version ({cause}): counts reported before may be reported again", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

impl Saved {
    /// What to keep.
    pub fn new(boot: BootId, ring: Option<u32>, clean: bool, totals: Totals) -> Self {
        Self { schema: SCHEMA, boot, ring, clean, totals }
    }

    /// Reads what the last collector of this boot left, and when it was last alive.
    ///
    /// # Errors
    /// There is something, and it cannot be read.
    pub fn read(path: &Path, boot: &BootId) -> Result<Option<(Self, Time)>, SavedError> {
        let io = |cause| SavedError::Io { operation: "read", path: path.to_owned(), cause };
        let damaged = |cause| SavedError::Damaged { path: path.to_owned(), cause };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let alive = std::fs::metadata(path).and_then(|metadata| metadata.modified()).map_err(io)?;
        let saved: Self = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if saved.schema != SCHEMA {
            return Err(damaged(format!("schema {}", saved.schema)));
        }
        Ok((saved.boot == *boot).then(|| (saved, alive.into())))
    }

    /// Writes it in one piece: a reader sees the old file or the new one.
    ///
    /// # Errors
    /// It cannot be written; the old one is left.
    pub fn write(&self, path: &Path) -> Result<(), SavedError> {
        let io = |cause| SavedError::Io { operation: "write", path: path.to_owned(), cause };
        let new = path.with_extension("new");
        let text = serde_json::to_string(self).map_err(|error| io(error.into()))?;
        let write = || {
            let mut file = private_file().truncate(true).open(&new)?;
            file.write_all(text.as_bytes())?;
            std::fs::rename(&new, path)
        };
        write().map_err(io)
    }

    /// A sign of life without news.
    ///
    /// # Errors
    /// The file cannot be touched.
    pub fn touch(path: &Path) -> Result<(), SavedError> {
        let io = |cause| SavedError::Io { operation: "write", path: path.to_owned(), cause };
        File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(SystemTime::now()))
            .map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_collector_of_the_same_boot_reads_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state.json");
        let boot = BootId::of("one");
        assert!(Saved::read(&path, &boot).unwrap().is_none());
        let saved = Saved::new(boot.clone(), Some(7), false, Totals::default());
        saved.write(&path).unwrap();
        Saved::touch(&path).unwrap();
        let (read, alive) = Saved::read(&path, &boot).unwrap().unwrap();
        assert_eq!(read, saved);
        let age = Time::from(SystemTime::now()).nanoseconds() - alive.nanoseconds();
        assert!((0..60_000_000_000).contains(&age), "{age}");
        assert!(Saved::read(&path, &BootId::of("two")).unwrap().is_none());
    }

    #[test]
    fn damage_is_an_error_not_a_beginning() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state.json");
        for text in [
            "",
            "{}",
            "{\"schema\":2,\"boot\":\"one\",\"ring\":1,\"clean\":true,\"totals\":{\"contexts\":{},\"hooks\":{}}}",
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(
                matches!(Saved::read(&path, &BootId::of("one")), Err(SavedError::Damaged { .. })),
                "{text}"
            );
        }
    }
}
