//! Conversations with the kernel by netlink: one socket, one question at a time. What messages say is for those who ask.

pub(crate) mod message;

use std::io;

use netlink_sys::protocols::{NETLINK_ROUTE, NETLINK_SOCK_DIAG};
use netlink_sys::{Socket, SocketAddr};

use message::Content;

/// How often a list is asked for that changes while it is given.
pub(crate) const ATTEMPTS: usize = 16;

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Protocol {
    /// About interfaces, addresses and routes.
    Route,
    /// About sockets.
    SockDiag,
}

/// A socket to the kernel. It answers for the network namespace that the caller was in when it was opened.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens one.
    ///
    /// # Errors
    /// The kernel refused.
    pub(crate) fn open(protocol: Protocol) -> io::Result<Self> {
        let mut socket = Socket::new(match protocol {
            Protocol::Route => NETLINK_ROUTE,
            Protocol::SockDiag => NETLINK_SOCK_DIAG,
        })?;
        socket.bind_auto()?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Has something done.
    ///
    /// # Errors
    /// The kernel refused.
    pub(crate) fn order(&mut self, order: impl FnOnce(u32) -> Vec<u8>) -> io::Result<()> {
        self.ask(order, |_, _| Ok(())).map(drop)
    }

    /// Lists all of one kind, again if something changed meanwhile; `None`: something did each time.
    ///
    /// # Errors
    /// The kernel refused, or said what cannot be understood.
    pub(crate) fn list<T>(
        &mut self,
        question: impl Fn(u32) -> Vec<u8>,
        mut read: impl FnMut(u16, &[u8]) -> io::Result<Option<T>>,
    ) -> io::Result<Option<Vec<T>>> {
        for _ in 0..ATTEMPTS {
            let mut list = Vec::new();
            let is_whole = self.ask(&question, |kind, payload| {
                list.extend(read(kind, payload)?);
                Ok(())
            })?;
            if is_whole {
                return Ok(Some(list));
            }
        }
        Ok(None)
    }

    /// Asks, and hands every item of the answer on. Returns whether the list is whole.
    fn ask(
        &mut self,
        question: impl FnOnce(u32) -> Vec<u8>,
        mut each: impl FnMut(u16, &[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send_to(&question(self.sequence), &SocketAddr::new(0, 0), 0)?;
        let mut is_whole = true;
        loop {
            let (bytes, from) = self.socket.recv_from_full()?;
            if from.port_number() != 0 {
                continue;
            }
            for answer in message::answers(&bytes)? {
                if answer.sequence != self.sequence {
                    continue;
                }
                is_whole &= !answer.is_interrupted;
                match answer.content {
                    Content::End => return Ok(is_whole),
                    Content::Refused(error) => return Err(error),
                    Content::Item(kind, payload) => each(kind, payload)?,
                }
            }
        }
    }
}
