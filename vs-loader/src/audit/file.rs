//! The sink that is a file of JSON lines, rotated by size.
//!
//! - A record is one `write(2)`: nobody reads half of one, and a collector that is killed leaves whole lines.
//! - It is made durable (`fdatasync`) about once a second, before a rotation and at the end: a machine that loses power loses the last
//!   second.
//! - Rotation renames, oldest first: `FILE.2` becomes `FILE.3`, `FILE.1` `FILE.2`, `FILE` `FILE.1`. A reader finds every record in one of
//!   them at any time. A rotation that fails is told, and the file grows on: too large a file is better than a lost record.
//! - A file that somebody else moved away (logrotate) or removed is noticed within a second and made anew.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::sink::{Line, Sink};

/// The file of the system.
pub const DEFAULT_PATH: &str = "/var/log/vs/audit.jsonl";

/// When to rotate, and what to keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// Bytes that the file may have; 0: it is never rotated.
    pub bytes: u64,
    /// Rotated files to keep beside it.
    pub keep: u32,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}: {cause}", path = path.display())]
pub struct FileError {
    operation: &'static str,
    path: PathBuf,
    cause: io::Error,
}

/// A file of JSON lines.
pub struct FileSink {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    length: u64,
    /// The file does not end in a line break, and could not be shortened to the last one.
    is_torn: bool,
    is_dirty: bool,
    /// The length from which on a rotation is tried again after one failed.
    next_try: u64,
    trouble: Option<String>,
}

impl FileSink {
    /// Opens the file, making it and its directory for nobody but root if they are not there.
    ///
    /// # Errors
    /// It cannot be opened, or is no regular file.
    pub fn open(path: impl Into<PathBuf>, rotation: Rotation) -> Result<Self, FileError> {
        let path = path.into();
        let (file, length, is_torn) = open(&path)?;
        Ok(Self { path, rotation, file, length, is_torn, is_dirty: false, next_try: 0, trouble: None })
    }

    /// Where a rotated file lies; 1 is the youngest.
    pub fn rotated(path: &Path, number: u32) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }

    fn is_due(&self, addition: u64) -> bool {
        let Rotation { bytes, .. } = self.rotation;
        bytes > 0 && self.length > 0 && self.length + addition > bytes.max(self.next_try)
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        let path = |number| Self::rotated(&self.path, number);
        for number in (1..self.rotation.keep).rev() {
            match std::fs::rename(path(number), path(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.rotation.keep == 0 {
            std::fs::remove_file(&self.path)?;
        } else {
            std::fs::rename(&self.path, path(1))?;
        }
        self.reopen()?;
        sync_directory(&self.path)
    }

    fn reopen(&mut self) -> io::Result<()> {
        let (file, length, is_torn) = open(&self.path).map_err(|error| error.cause)?;
        (self.file, self.length, self.is_torn) = (file, length, is_torn);
        Ok(())
    }

    /// Whether the name still stands for the open file.
    fn is_named(&self) -> io::Result<bool> {
        let open = self.file.metadata()?;
        let named = std::fs::metadata(&self.path);
        Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino())))
    }
}

impl Sink for FileSink {
    fn name(&self) -> String {
        format!("file {}", self.path.display())
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let text = format!("{}{}\n", if self.is_torn { "\n" } else { "" }, line.json);
        if self.is_due(text.len() as u64) {
            self.trouble = self.rotate().err().map(|error| {
                self.next_try = self.length + self.rotation.bytes / 8;
                format!("cannot rotate {}, it grows on: {error}", self.path.display())
            });
            if self.trouble.is_none() {
                self.next_try = 0;
            }
        }
        self.is_dirty = true;
        let written = match self.file.write(text.as_bytes()) {
            Ok(count) if count == text.len() => {
                self.length += count as u64;
                self.is_torn = false;
                return Ok(());
            }
            Ok(_) => Err(io::ErrorKind::StorageFull.into()),
            Err(error) => Err(error),
        };
        self.is_torn |= self.file.set_len(self.length).is_err();
        written
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_dirty {
            self.file.sync_data()?;
            self.is_dirty = false;
        }
        if !self.is_named()? {
            self.reopen()?;
        }
        Ok(())
    }

    fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

fn open(path: &Path) -> Result<(File, u64, bool), FileError> {
    let error = |operation| move |cause| FileError { operation, path: path.to_owned(), cause };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(error("make the directory of"))?;
    }
    let mut options = OpenOptions::new();
    // Without blocking: the open of a pipe without a reader would never return.
    options.read(true).append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK);
    let mut file = options.open(path).map_err(error("open"))?;
    let metadata = file.metadata().map_err(error("look at"))?;
    if !metadata.is_file() {
        let cause = io::Error::other("not a regular file; --output - writes to standard output");
        return Err(FileError { operation: "write to", path: path.to_owned(), cause });
    }
    let mut last = *b"\n";
    if metadata.len() > 0 {
        let read = file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last));
        read.map_err(error("read the end of"))?;
    }
    Ok((file, metadata.len(), last != *b"\n"))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
