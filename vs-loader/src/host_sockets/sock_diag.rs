//! The sockets of the running kernel.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::message::{self, Family, Which};
use super::{HostSocket, HostSocketsError, Protocol, Sockets};
use crate::netlink::{Netlink, Protocol as Netlinks};

/// Where the kernel says which ports it gives to sockets that ask for none.
const LOCAL_PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// A socket to the kernel's `sock_diag`. It answers for the network namespace that the caller was in when it was opened.
#[derive(Debug)]
pub struct SockDiag {
    kernel: Netlink,
}

impl SockDiag {
    /// Opens one.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn open() -> Result<Self, HostSocketsError> {
        let kernel = Netlink::open(Netlinks::SockDiag).map_err(HostSocketsError::Socket)?;
        Ok(Self { kernel })
    }

    /// The sockets that listen, or take datagrams from everybody.
    ///
    /// # Errors
    /// The kernel refused, has nothing that lists sockets, or said what cannot be understood.
    pub fn services(&mut self) -> Result<Vec<HostSocket>, HostSocketsError> {
        self.list_all(Which::Services)
    }

    fn list_all(&mut self, which: Which) -> Result<Vec<HostSocket>, HostSocketsError> {
        let mut all = Vec::new();
        for protocol in Protocol::ALL {
            for family in [Family::V4, Family::V6] {
                match self.list(protocol, family, which) {
                    // A kernel without UDP-Lite.
                    Err(HostSocketsError::NoModule(Protocol::UdpLite)) => {}
                    listed => all.extend(listed?),
                }
            }
        }
        Ok(all)
    }

    fn list(
        &mut self,
        protocol: Protocol,
        family: Family,
        which: Which,
    ) -> Result<Vec<HostSocket>, HostSocketsError> {
        let listed = self.kernel.list(
            |sequence| message::list(protocol, family, which, sequence),
            |kind, payload| match kind {
                message::SOCKET => message::socket(protocol, payload).map(Some),
                _ => Ok(None),
            },
        );
        match listed {
            // Sockets come and go while they are listed, and the kernel does not call that an interruption.
            Ok(sockets) => Ok(sockets.unwrap_or_default()),
            Err(cause) if cause.raw_os_error() == Some(libc::ENOENT) => {
                Err(HostSocketsError::NoModule(protocol))
            }
            Err(cause) => Err(HostSocketsError::List { protocol, cause }),
        }
    }
}

/// Sockets with their tags.
#[derive(Debug)]
pub struct TaggedSockets<'m> {
    kernel: SockDiag,
    map: BorrowedFd<'m>,
}

impl<'m> TaggedSockets<'m> {
    /// Opens a socket to the kernel's `sock_diag`, for the tags in this map.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn open(map: BorrowedFd<'m>) -> Result<Self, HostSocketsError> {
        Ok(Self { kernel: SockDiag::open()?, map })
    }
}

impl Sockets for TaggedSockets<'_> {
    fn list(&mut self) -> Result<Vec<HostSocket>, HostSocketsError> {
        // A descriptor that is open is no negative number.
        self.kernel.list_all(Which::Tagged(self.map.as_raw_fd().unsigned_abs()))
    }

    fn destroy(&mut self, socket: &HostSocket) -> io::Result<()> {
        self.kernel.kernel.order(|sequence| message::destroy(socket, sequence))
    }
}

/// The ports that the kernel gives to sockets that ask for none.
///
/// # Errors
/// They cannot be read.
pub fn local_ports() -> Result<RangeInclusive<u16>, HostSocketsError> {
    let failed = |cause| HostSocketsError::Setting { path: LOCAL_PORTS, cause };
    let text = std::fs::read_to_string(LOCAL_PORTS).map_err(failed)?;
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Ok(first..=last),
        _ => Err(failed(io::Error::new(io::ErrorKind::InvalidData, format!("{text:?} is no range")))),
    }
}
