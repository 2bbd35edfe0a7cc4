//! What travels from the guest to the host: frames on a channel of their own.
//!
//! The kernel's messages have the serial console; the command's output must not mix with them and may be any bytes. So the
//! guest's init packs what it reads from the command into frames and writes those to a port that nothing else uses
//! ([`PORT`]), and the host unpacks them.

/// The I/O port of QEMU's `isa-debugcon` device. Any number that no other device of the machine answers to.
pub const PORT: u16 = 0x5e9;

/// The I/O port of QEMU's `isa-debug-exit` device: a byte written there ends the machine.
pub const EXIT_PORT: u16 = 0xf4;

/// The longest payload a sender makes. A longer one means that the stream is damaged.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Kind (one byte), length of the payload (four bytes, little endian).
const HEADER: usize = 5;

/// One message from the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The guest is set up and the command runs.
    Started,
    /// Bytes the command wrote to its standard output.
    Stdout(Vec<u8>),
    /// Bytes the command wrote to its standard error.
    Stderr(Vec<u8>),
    /// The command has ended, with this status as a shell would show it (128 + signal for a killed one).
    Exited(u8),
    /// The guest could not be set up or the command not be started: why, and the status a shell would give.
    Failed(u8, String),
}

/// The stream holds something no sender of ours writes.
#[derive(Debug, PartialEq, Eq)]
pub struct Damaged;

impl Frame {
    /// The bytes of this frame.
    ///
    /// A payload beyond [`MAX_PAYLOAD`] is cut: only a `Failed` text could ever be that long.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Started => packed(0, &[]),
            Self::Stdout(bytes) => packed(1, bytes),
            Self::Stderr(bytes) => packed(2, bytes),
            Self::Exited(status) => packed(3, &[*status]),
            Self::Failed(status, why) => packed(4, &[&[*status], why.as_bytes()].concat()),
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Self, Damaged> {
        Ok(match (kind, payload) {
            (0, []) => Self::Started,
            (1, bytes) => Self::Stdout(bytes.to_vec()),
            (2, bytes) => Self::Stderr(bytes.to_vec()),
            (3, [status]) => Self::Exited(*status),
            (4, [status, why @ ..]) => Self::Failed(*status, String::from_utf8_lossy(why).into_owned()),
            _ => return Err(Damaged),
        })
    }
}

fn packed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(MAX_PAYLOAD)];
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&[kind], &length.to_le_bytes()[..], payload].concat()
}

/// Puts frames together again from the pieces in which they arrive.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
}

impl Decoder {
    /// Takes what has arrived and gives the frames that are complete with it.
    ///
    /// # Errors
    ///
    /// When the stream is damaged; what follows can't be trusted then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, Damaged> {
        self.pending.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut rest = &self.pending[..];
        while let [kind, a, b, c, d, payload @ ..] = rest {
            let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).map_err(|_| Damaged)?;
            if length > MAX_PAYLOAD {
                return Err(Damaged);
            }
            let Some(payload) = payload.get(..length) else { break };
            frames.push(Frame::decode(*kind, payload)?);
            rest = &rest[HEADER + length..];
        }
        let consumed = self.pending.len() - rest.len();
        self.pending.drain(..consumed);
        Ok(frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<Frame> {
        vec![
            Frame::Started,
            Frame::Stdout(vec![0, 255, b'\n', 1]),
            Frame::Stderr(b"two\nlines\n".to_vec()),
            Frame::Stdout(Vec::new()),
            Frame::Exited(255),
            Frame::Failed(127, "sh: not found".to_owned()),
        ]
    }

    #[test]
    fn frames_survive_any_cutting_of_the_stream() {
        let stream: Vec<u8> = every_kind().iter().flat_map(Frame::encode).collect();
        for size in 1..=stream.len() {
            let mut decoder = Decoder::default();
            let frames: Vec<Frame> =
                stream.chunks(size).flat_map(|piece| decoder.push(piece).expect("whole")).collect();
            assert_eq!(frames, every_kind(), "in pieces of {size}");
        }
    }

    #[test]
    fn a_foreign_stream_is_refused() {
        for noise in [&b"SeaBIOS (version 1.16)"[..], &[9, 0, 0, 0, 0], &[3, 0, 0, 0, 0]] {
            assert_eq!(Decoder::default().push(noise), Err(Damaged));
        }
    }
}
