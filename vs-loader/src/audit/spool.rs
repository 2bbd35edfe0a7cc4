//! Where records wait for a collector: a file that commands append to, collector or not, and that the collector takes away whole.
//!
//! - One line is one record, written by one `write(2)` under an exclusive lock; a line that does not fit is taken back whole.
//! - The collector takes the file by renaming it under the same lock and removes it only after its records are in the sinks. Killed in
//!   between, its successor reads the same file again: a record may come twice, and none is missing.
//! - It is bounded, being memory of /run. What no longer fits is counted beside it, and the count becomes a record.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::directory::{Directory, private_file};
use super::json::MAX_LINE;

/// Bytes that may wait, which are memory: some 6 000 violations, or 15 000 entries into contexts.
pub const LIMIT: u64 = 4 << 20;
/// How long to wait for whoever holds the lock. Nobody holds it longer than a write or a rename takes.
const PATIENCE: Duration = Duration::from_secs(2);

/// The spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The kernel refused.
    #[error("cannot {operation} {path}: {cause}", path = path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// Somebody holds its lock and does not let go.
    #[error("{path} stays locked: find who holds it with lslocks, a stopped vs perhaps", path = path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// No more fits.
    #[error("{path} is full at {limit} bytes: start vs audit collect, which empties it", path = path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// Its limit.
        limit: u64,
    },
    /// A line beyond [`MAX_LINE`].
    #[error("a record of {length} bytes is longer than any reader takes ({MAX_LINE})")]
    TooLong {
        /// Its length.
        length: usize,
    },
}

/// The spool.
#[derive(Clone, Debug)]
pub struct Spool {
    path: PathBuf,
    limit: u64,
}

/// What was taken out. It stays on disk until [`Taken::finish`].
#[derive(Debug)]
pub struct Taken {
    /// The lines, without line breaks.
    pub lines: Vec<Vec<u8>>,
    /// Records that did not fit.
    pub lost: u64,
    spool: Spool,
}

/// A place in the spool from which on to read without taking.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position(u64);

impl Spool {
    /// The spool of this directory.
    pub fn of(directory: &Directory) -> Self {
        Self { path: directory.spool(), limit: LIMIT }
    }

    /// Appends one line.
    ///
    /// # Errors
    /// It is not in the spool, and not a part of it either. If it did not fit, it is counted.
    pub fn append(&self, line: &str) -> Result<(), SpoolError> {
        if line.len() >= MAX_LINE {
            return Err(SpoolError::TooLong { length: line.len() });
        }
        let mut file = self.lock(true)?.ok_or_else(|| self.io("open", io::ErrorKind::NotFound.into()))?;
        let length = file.seek(SeekFrom::End(0)).map_err(|cause| self.io("append to", cause))?;
        // A writer that was killed inside its write left a part: it stays a line of its own.
        let is_torn = length > 0 && !self.ends_line(&mut file)?;
        let text = format!("{}{line}\n", if is_torn { "\n" } else { "" });
        if length + text.len() as u64 > self.limit {
            self.count_lost()?;
            return Err(SpoolError::Full { path: self.path.clone(), limit: self.limit });
        }
        let written = match file.write(text.as_bytes()) {
            Ok(count) if count == text.len() => return Ok(()),
            Ok(_) => Err(io::ErrorKind::StorageFull.into()),
            Err(error) => Err(error),
        };
        file.set_len(length).map_err(|cause| self.io("shorten", cause))?;
        written.map_err(|cause| self.io("append to", cause))
    }

    /// Takes all that is in it, beginning with what a collector that was killed had taken; `None`: it is empty.
    ///
    /// # Errors
    /// It cannot be taken; it is as it was.
    pub fn take(&self) -> Result<Option<Taken>, SpoolError> {
        let (taken, taken_lost) = (self.beside("taken"), self.beside("taken-lost"));
        if !taken.exists() && !taken_lost.exists() {
            let Some(file) = self.lock(false)? else { return Ok(None) };
            let length = file.metadata().map_err(|cause| self.io("look at", cause))?.len();
            let lost = self.beside("lost");
            if length == 0 && !lost.exists() {
                return Ok(None);
            }
            if lost.exists() {
                std::fs::rename(&lost, &taken_lost).map_err(|cause| self.io("take", cause))?;
            }
            std::fs::rename(&self.path, &taken).map_err(|cause| self.io("take", cause))?;
        }
        let mut text = Vec::new();
        match private_file().create(false).open(&taken) {
            Ok(file) => file
                .take(self.limit + MAX_LINE as u64)
                .read_to_end(&mut text)
                .map(drop)
                .map_err(|cause| self.io("read", cause))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(self.io("read", cause)),
        }
        let lost = read_count(&taken_lost).map_err(|cause| self.io("read", cause))?;
        Ok(Some(Taken { lines: lines(&text), lost, spool: self.clone() }))
    }

    /// Whether there is nothing to take; asked before every batch of the ring, so it is two look-ups.
    pub fn is_empty(&self) -> bool {
        let is_empty = |path: &Path| std::fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
        is_empty(&self.path) && !self.beside("taken").exists() && !self.beside("taken-lost").exists()
    }

    /// The end of it.
    pub fn end(&self) -> Position {
        Position(std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len()))
    }

    /// The whole lines from a position on, which moves behind them. Only for the owner of the ring: nobody else takes meanwhile.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_from(&self, position: &mut Position) -> Result<Vec<Vec<u8>>, SpoolError> {
        let mut text = Vec::new();
        match private_file().create(false).open(&self.path) {
            Ok(mut file) => file
                .seek(SeekFrom::Start(position.0))
                .and_then(|_| file.read_to_end(&mut text))
                .map_err(|cause| self.io("read", cause))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(cause) => return Err(self.io("read", cause)),
        };
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        position.0 += text.len() as u64;
        Ok(lines(&text))
    }

    /// The file under its lock, and surely the one that has the name: between opening and locking a collector may have taken it.
    fn lock(&self, create: bool) -> Result<Option<File>, SpoolError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let file = match private_file().append(true).create(create).open(&self.path) {
                Ok(file) => file,
                Err(error) if !create && error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(cause) => return Err(self.io("open", cause)),
            };
            let opened = file.metadata().map_err(|cause| self.io("look at", cause))?;
            if !opened.is_file() {
                return Err(self.io("open", io::Error::other("not a regular file")));
            }
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    let named = std::fs::symlink_metadata(&self.path);
                    if named.is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())) {
                        return Ok(Some(file));
                    }
                }
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(SpoolError::Locked { path: self.path.clone() });
                }
                Err(errno) => return Err(self.io("lock", errno.into())),
            }
        }
    }

    fn ends_line(&self, file: &mut File) -> Result<bool, SpoolError> {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))
            .and_then(|_| file.read_exact(&mut last))
            .map_err(|cause| self.io("read", cause))?;
        Ok(last == *b"\n")
    }

    /// One more that did not fit. Called under the lock; in one piece, so that being killed here loses this one at most.
    fn count_lost(&self) -> Result<(), SpoolError> {
        let (path, new) = (self.beside("lost"), self.beside("lost-new"));
        let count = read_count(&path).map_err(|cause| self.io("count what is lost beside", cause))?;
        std::fs::write(&new, (count + 1).to_string())
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(|cause| self.io("count what is lost beside", cause))
    }

    fn beside(&self, extension: &str) -> PathBuf {
        self.path.with_extension(extension)
    }

    fn io(&self, operation: &'static str, cause: io::Error) -> SpoolError {
        SpoolError::Io { operation, path: self.path.clone(), cause }
    }
}

impl Taken {
    /// Removes it: its records are in the sinks.
    ///
    /// # Errors
    /// It could not be removed and will be taken again.
    pub fn finish(self) -> Result<(), SpoolError> {
        for name in ["taken", "taken-lost"] {
            match std::fs::remove_file(self.spool.beside(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.spool.io("remove what was taken from", error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// A count that cannot be made out is one, not none: the file is there because something was lost.
fn read_count(path: &Path) -> io::Result<u64> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().parse().unwrap_or(1)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
