//! The sink that is systemd's journal, over its native protocol: one datagram of fields to a socket
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
//!
//! The crates for it block when the journal does not keep up and know one path for its socket. This sink must not wait (the journal
//! stopped is a sink that fails, see [`super::sink`]), and its failures are tested against a socket of the test's own. The protocol
//! is a page long, and a record is far below the size from which on it wants a memory file instead of a datagram.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::record::Event;
use super::sink::{Line, Sink};
use super::text;

/// The journal's socket.
pub const SOCKET: &str = "/run/systemd/journal/socket";
/// What `journalctl MESSAGE_ID=` finds violations by.
pub const VIOLATION_ID: &str = "14c5a07923484057a55c1d250ce99c50";

/// There is no journal.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach the journal at {path}: {cause}; leave out --journald where systemd does not run", path = path.display())]
pub struct JournalError {
    path: PathBuf,
    cause: io::Error,
}

/// The journal.
pub struct JournalSink {
    socket: UnixDatagram,
    path: PathBuf,
}

impl JournalSink {
    /// The system's journal.
    ///
    /// # Errors
    /// None listens.
    pub fn open() -> Result<Self, JournalError> {
        Self::at(Path::new(SOCKET))
    }

    /// The journal behind another socket.
    ///
    /// # Errors
    /// None listens.
    pub fn at(path: &Path) -> Result<Self, JournalError> {
        let open = || {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            // Only to find out: it is not kept connected, for the journal's restart would leave it so to nobody.
            UnixDatagram::unbound()?.connect(path)?;
            Ok(socket)
        };
        let error = |cause| JournalError { path: path.to_owned(), cause };
        Ok(Self { socket: open().map_err(error)?, path: path.to_owned() })
    }
}

impl Sink for JournalSink {
    fn name(&self) -> String {
        "journal".to_owned()
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        self.socket.send_to(&datagram(line), &self.path).map(drop)
    }
}

/// `syslog.h`: what an operator should look at is a warning or worse.
const fn priority(event: &Event) -> &'static str {
    match event {
        Event::SinkFailed(_) | Event::CollectorTrouble(_) => "3",
        Event::Lost(_) | Event::Unreadable(_) | Event::Suppressed(_) | Event::CollectorGap(_) => "4",
        Event::Violation(_) | Event::Repeated(_) => "5",
        _ => "6",
    }
}

fn datagram(line: &Line) -> Vec<u8> {
    let record = &line.record;
    let mut out = Vec::with_capacity(2 * line.json.len() + 512);
    field(&mut out, "MESSAGE", &text::message(record));
    field(&mut out, "PRIORITY", priority(&record.event));
    field(&mut out, "SYSLOG_IDENTIFIER", "vs-audit");
    field(&mut out, "VS_KIND", record.event.kind());
    field(&mut out, "VS_TIME", &record.time.to_string());
    let [actor, target] = record.contexts();
    if let Some(actor) = actor {
        optional(&mut out, "VS_XID", actor.xid);
        optional(&mut out, "VS_CONTEXT", actor.context.as_ref());
    }
    optional(&mut out, "VS_TARGET_CONTEXT", target.and_then(|target| target.context.as_ref()));
    optional(&mut out, "VS_HOOK", record.hook());
    if let Event::Violation(violation) = &record.event {
        field(&mut out, "MESSAGE_ID", VIOLATION_ID);
        field(&mut out, "VS_REASON", &violation.reason.to_string());
        field(&mut out, "VS_ERRNO", &violation.errno.to_string());
        field(&mut out, "VS_MODE", &violation.mode.to_string());
        optional(&mut out, "VS_PID", violation.actor.pid);
    }
    field(&mut out, "VS_RECORD", &line.json);
    out
}

fn optional(out: &mut Vec<u8>, name: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        field(out, name, &value.to_string());
    }
}

/// Always in the form with a length, in which no byte of a value can begin another field.
fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::samples;

    /// Reads a datagram as the journal does.
    fn fields(mut datagram: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while !datagram.is_empty() {
            let end = datagram.iter().position(|byte| *byte == b'\n').unwrap();
            let (name, rest) = (&datagram[..end], &datagram[end + 1..]);
            let length = usize::try_from(u64::from_le_bytes(rest[..8].try_into().unwrap())).unwrap();
            assert_eq!(rest[8 + length], b'\n');
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            fields.push((text(name), text(&rest[8..8 + length])));
            datagram = &rest[8 + length + 1..];
        }
        fields
    }

    #[test]
    fn golden_fields() {
        let line = Line::new(samples::all().remove(0));
        let text: Vec<_> =
            fields(&datagram(&line)).iter().map(|(name, value)| format!("{name}={value}")).collect();
        insta::assert_snapshot!("journal_fields", text.join("\n"));
    }

    #[test]
    fn every_record_is_a_datagram_of_named_fields() {
        for record in samples::all().into_iter().chain(samples::hostile()) {
            let line = Line::new(record);
            for (name, _) in fields(&datagram(&line)) {
                assert!(name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{name}");
            }
        }
    }

    #[test]
    fn a_journal_that_is_not_there_or_does_not_read_fails_without_waiting() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("socket");
        assert!(JournalSink::at(&path).is_err());

        let journal = UnixDatagram::bind(&path).unwrap();
        let mut sink = JournalSink::at(&path).unwrap();
        let line = Line::new(samples::all().remove(0));
        sink.write(&line).unwrap();
        let mut buffer = vec![0; 65536];
        let length = journal.recv(&mut buffer).unwrap();
        assert_eq!(fields(&buffer[..length]).last().unwrap().1, line.json);

        let error = (0..100_000).find_map(|_| sink.write(&line).err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);

        // It restarts: a new socket under the old name is found.
        drop(journal);
        std::fs::remove_file(&path).unwrap();
        assert!(sink.write(&line).is_err());
        let journal = UnixDatagram::bind(&path).unwrap();
        sink.write(&line).unwrap();
        assert!(journal.recv(&mut buffer).is_ok());
    }
}
