//! The follower's side of the socket.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::audit::follow::{Frame, Greeting, PROTOCOL, Request};
use crate::audit::json::MAX_LINE;

/// Bytes of a frame: a record's line and what is around it.
const MAX_FRAME: u64 = MAX_LINE as u64 + 64;

/// A follower cannot attach, or is no longer attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Nobody collects.
    #[error("no collector listens at {path}: start vs audit collect", path = path.display())]
    NoCollector {
        /// The socket.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot attach to the collector at {path}: {cause}", path = path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Its answer.
        cause: io::Error,
    },
    /// The collector refused.
    #[error("the collector lets nobody in: {why}")]
    Refused {
        /// Its words.
        why: String,
    },
    /// What comes is no frame of a protocol known here.
    #[error("the collector does not speak protocol {PROTOCOL}: {cause}; use the vs that it was started from")]
    Protocol {
        /// What is wrong with it.
        cause: String,
    },
}

/// An attached follower.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
    line: Vec<u8>,
}

impl Client {
    /// Attaches, and asks to begin with the last so many records.
    ///
    /// # Errors
    /// Nobody listens, or it does not let us in.
    pub async fn attach(path: &Path, last: usize) -> Result<(Self, Greeting), AttachError> {
        let io = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                AttachError::NoCollector { path: path.to_owned() }
            }
            _ => AttachError::Io { path: path.to_owned(), cause },
        };
        let mut stream = UnixStream::connect(path).await.map_err(io)?;
        let request = Request::Follow { version: PROTOCOL, last };
        let mut text = serde_json::to_string(&request).map_err(|error| io(error.into()))?;
        text.push('\n');
        stream.write_all(text.as_bytes()).await.map_err(io)?;
        let mut client = Self { stream: BufReader::new(stream), path: path.to_owned(), line: Vec::new() };
        match client.next().await? {
            Some(Frame::Greeting(greeting)) => Ok((client, greeting)),
            Some(Frame::Refused(refused)) => Err(AttachError::Refused { why: refused.why }),
            _ => Err(AttachError::Protocol { cause: "no greeting".to_owned() }),
        }
    }

    /// The next frame; `None`: the collector ended.
    ///
    /// # Errors
    /// The connection broke, or carries something else.
    pub async fn next(&mut self) -> Result<Option<Frame>, AttachError> {
        self.line.clear();
        let read = (&mut self.stream).take(MAX_FRAME).read_until(b'\n', &mut self.line).await;
        let io = |cause| AttachError::Io { path: self.path.clone(), cause };
        if read.map_err(io)? == 0 {
            return Ok(None);
        }
        let frame = serde_json::from_slice(&self.line);
        frame.map(Some).map_err(|error| AttachError::Protocol { cause: error.to_string() })
    }
}
