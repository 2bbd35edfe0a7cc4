//! [`Interfaces`] of the running kernel: one socket, one question at a time.

use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::message::{self, Content};
use super::{HostNetwork, HostNetworkError, Interfaces, Placement, Route, route};

/// How often a list is asked for that changes while it is given.
const ATTEMPTS: usize = 16;

/// A socket to the kernel's rtnetlink. It answers for the network namespace that the caller was in when it was opened.
#[derive(Debug)]
pub struct Rtnetlink {
    socket: Socket,
    sequence: u32,
}

impl Rtnetlink {
    /// Opens one.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn open() -> Result<Self, HostNetworkError> {
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(HostNetworkError::Socket)?;
        socket.bind_auto().map_err(HostNetworkError::Socket)?;
        Ok(Self { socket, sequence: 0 })
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

    /// Lists all of one kind, again if something changed meanwhile.
    fn whole_list<T>(
        &mut self,
        what: &'static str,
        question: fn(u32) -> Vec<u8>,
        mut read: impl FnMut(u16, &[u8]) -> io::Result<Option<T>>,
    ) -> Result<Vec<T>, HostNetworkError> {
        for _ in 0..ATTEMPTS {
            let mut list = Vec::new();
            let is_whole = self
                .ask(question, |kind, payload| {
                    list.extend(read(kind, payload)?);
                    Ok(())
                })
                .map_err(|cause| HostNetworkError::List { what, cause })?;
            if is_whole {
                return Ok(list);
            }
        }
        Err(HostNetworkError::Restless { what, attempts: ATTEMPTS })
    }
}

impl Interfaces for Rtnetlink {
    fn list(&mut self) -> Result<HostNetwork, HostNetworkError> {
        let links = self.whole_list("interfaces", message::list_links, |kind, payload| match kind {
            message::NEW_LINK => message::link(payload).map(Some),
            _ => Ok(None),
        })?;
        let addresses =
            self.whole_list("addresses", message::list_addresses, |kind, payload| match kind {
                message::NEW_ADDRESS => message::address(payload),
                _ => Ok(None),
            })?;
        Ok(HostNetwork { links, addresses })
    }

    fn routes(&mut self) -> Result<Vec<Route>, HostNetworkError> {
        self.whole_list("routes", message::list_routes, |kind, payload| match kind {
            message::NEW_ROUTE => route::route(payload),
            _ => Ok(None),
        })
    }

    fn add(&mut self, placement: &Placement) -> io::Result<()> {
        self.ask(|sequence| message::add(placement, sequence), |_, _| Ok(())).map(drop)
    }

    fn remove(&mut self, placement: &Placement) -> io::Result<()> {
        self.ask(|sequence| message::remove(placement, sequence), |_, _| Ok(())).map(drop)
    }
}
