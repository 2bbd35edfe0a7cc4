//! What a launching `vs` and the processes it makes say to each other until they have executed their programs.
//!
//! A stream socket with messages of one size. Both ends are close-on-exec, so that a successful `execve` is told by the end of
//! the stream. A stream, because the kernel asks nobody about a message on a connected one (`unix_stream_sendmsg`), and the
//! child is a guest when it sends its last ones.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::Pid;

use super::processes;

/// Bytes of a message: kind, number, length of the text, text.
const SIZE: usize = 512;
const HEADER: usize = 12;

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Message {
    /// From the child: the master of the terminal that was made for it comes with this message.
    Terminal,
    /// From the child: it has its tag and has given up everything of the host's.
    Tagged,
    /// From the parent: go on.
    Go,
    /// From the child: this process, in the host's numbers, is the one to wait for.
    Born(Pid),
    /// From the child: something that the administrator should know.
    Noticed(String),
    /// From the child: it failed.
    Failed {
        /// How the shell is to tell it.
        kind: FailureKind,
        /// Why.
        reason: String,
    },
}

/// How a failure before the program ran is told by the exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// Before the command was tried.
    Setup,
    /// The command cannot be executed.
    CannotExecute,
    /// The command was not found.
    NotFound,
}

impl Message {
    /// A failure before the command was tried.
    pub(super) fn failed(error: &impl std::error::Error) -> Self {
        Self::Failed { kind: FailureKind::Setup, reason: error.to_string() }
    }

    fn encode(&self) -> [u8; SIZE] {
        let (kind, number, text): (u32, i32, &str) = match self {
            Self::Terminal => (1, 0, ""),
            Self::Tagged => (2, 0, ""),
            Self::Go => (3, 0, ""),
            Self::Born(pid) => (4, pid.as_raw_nonzero().get(), ""),
            Self::Noticed(text) => (6, 0, text),
            Self::Failed { kind: FailureKind::Setup, reason } => (5, 0, reason),
            Self::Failed { kind: FailureKind::CannotExecute, reason } => (5, 1, reason),
            Self::Failed { kind: FailureKind::NotFound, reason } => (5, 2, reason),
        };
        let text = &text.as_bytes()[..text.floor_char_boundary(SIZE - HEADER)];
        let mut bytes = [0; SIZE];
        bytes[..4].copy_from_slice(&kind.to_ne_bytes());
        bytes[4..8].copy_from_slice(&number.to_ne_bytes());
        // A message is 512 bytes: the length fits.
        bytes[8..12].copy_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_ne_bytes());
        bytes[HEADER..HEADER + text.len()].copy_from_slice(text);
        bytes
    }

    fn decode(bytes: &[u8; SIZE]) -> Option<Self> {
        let word = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
        let number = i32::from_ne_bytes(word(4)?);
        let length = usize::try_from(u32::from_ne_bytes(word(8)?)).ok()?;
        let text = String::from_utf8_lossy(bytes.get(HEADER..HEADER.checked_add(length)?)?);
        Some(match u32::from_ne_bytes(word(0)?) {
            1 => Self::Terminal,
            2 => Self::Tagged,
            3 => Self::Go,
            4 => Self::Born(processes::pid(number)?),
            5 => {
                let kind = match number {
                    0 => FailureKind::Setup,
                    1 => FailureKind::CannotExecute,
                    2 => FailureKind::NotFound,
                    _ => return None,
                };
                Self::Failed { kind, reason: text.into_owned() }
            }
            6 => Self::Noticed(text.into_owned()),
            _ => return None,
        })
    }
}

/// One end.
#[derive(Debug)]
pub(super) struct Channel {
    socket: OwnedFd,
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Channel {
    /// Both ends.
    ///
    /// # Errors
    /// The kernel refused.
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// The descriptor's number, for the one who closes all others.
    pub(super) fn number(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Closes a forked child's copy of its parent's end: while it has one, it does not see its parent go.
    ///
    /// # Safety
    /// This process must not use the channel afterwards, nor drop it: it must leave by `_exit` or `execve`.
    pub(super) unsafe fn close_copy(&self) {
        // SAFETY: the descriptor is this channel's, and by our own caller's promise nobody uses or closes it again. An error of
        // close(2) leaves nothing to be done.
        unsafe { libc::close(self.number()) };
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The other end is gone, or the kernel refused.
    pub(super) fn send(&self, message: &Message) -> io::Result<()> {
        self.send_with(message, None)
    }

    /// Sends a message and a descriptor.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) fn send_with(&self, message: &Message, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let bytes = message.encode();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("no room for a descriptor in a message"));
        }
        // A message fits into an empty buffer many times over, and is sent whole or not at all.
        let sent =
            rustix::net::sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
        if sent == SIZE { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Waits for a message, and a descriptor that comes with it; nothing at the end of the stream.
    ///
    /// # Errors
    /// The kernel refused, or what came is no message.
    pub(super) fn receive(&self) -> io::Result<Option<(Message, Option<OwnedFd>)>> {
        let mut bytes = [0; SIZE];
        let mut filled = 0;
        let mut descriptor = None;
        while filled < SIZE {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut bytes[filled..])];
            let received =
                match rustix::net::recvmsg(&self.socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
                {
                    Err(rustix::io::Errno::INTR) => continue,
                    // The other end closed without reading all that was sent to it.
                    Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                    result => result?,
                };
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    descriptor = descriptors.last();
                }
            }
            match received.bytes {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        let message =
            Message::decode(&bytes).ok_or_else(|| io::Error::other("a message of no known form"))?;
        Ok(Some((message, descriptor)))
    }

    /// Waits until the parent says [`Message::Go`].
    ///
    /// # Errors
    /// It said something else, or is gone: then nobody waits for what this process was to become.
    pub(super) fn wait_for_go(&self) -> io::Result<()> {
        match self.receive()? {
            Some((Message::Go, _)) => Ok(()),
            _ => Err(io::Error::other("the launching vs is gone")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> Vec<Message> {
        let mut all = vec![
            Message::Terminal,
            Message::Tagged,
            Message::Go,
            Message::Born(Pid::from_raw(4711).unwrap()),
        ];
        all.push(Message::Noticed("look".to_owned()));
        for kind in [FailureKind::Setup, FailureKind::CannotExecute, FailureKind::NotFound] {
            all.push(Message::Failed { kind, reason: "cannot do it".to_owned() });
        }
        all
    }

    #[test]
    fn every_message_arrives_as_it_was_sent_and_then_the_stream_ends() {
        let (one, other) = Channel::pair().unwrap();
        for message in messages() {
            one.send(&message).unwrap();
        }
        drop(one);
        for message in messages() {
            assert_eq!(other.receive().unwrap().unwrap().0, message);
        }
        assert!(other.receive().unwrap().is_none());
    }

    #[test]
    fn a_descriptor_comes_with_its_message() {
        let (one, other) = Channel::pair().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        one.send_with(&Message::Terminal, Some(writer.as_fd())).unwrap();
        drop(writer);
        let (message, descriptor) = other.receive().unwrap().unwrap();
        assert_eq!(message, Message::Terminal);
        rustix::io::write(descriptor.unwrap(), b"x").unwrap();
        assert_eq!(rustix::io::read(reader, &mut [0; 2]).unwrap(), 1);
    }

    #[test]
    fn a_reason_that_is_too_long_is_cut_between_characters() {
        let (one, other) = Channel::pair().unwrap();
        let reason = format!("{}ä", "x".repeat(SIZE - HEADER - 1));
        one.send(&Message::Failed { kind: FailureKind::Setup, reason }).unwrap();
        let (message, _) = other.receive().unwrap().unwrap();
        let Message::Failed { reason, .. } = message else { panic!("{message:?}") };
        assert_eq!(reason, "x".repeat(SIZE - HEADER - 1));
    }

    #[test]
    fn what_is_no_message_is_an_error_and_not_a_panic() {
        for (kind, number, length) in [
            (0_u32, 0_i32, 0_u32),
            (4, 0, 0),
            (4, -1, 0),
            (5, 3, 0),
            (5, 0, 501),
            (5, 0, u32::MAX),
            (9, 0, 0),
        ] {
            let mut bytes = [0; SIZE];
            bytes[..4].copy_from_slice(&kind.to_ne_bytes());
            bytes[4..8].copy_from_slice(&number.to_ne_bytes());
            bytes[8..12].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(Message::decode(&bytes), None, "{kind} {number} {length}");
        }
    }

    #[test]
    fn no_go_from_a_parent_that_is_gone() {
        let (one, other) = Channel::pair().unwrap();
        drop(one);
        assert!(other.wait_for_go().is_err());
    }
}
