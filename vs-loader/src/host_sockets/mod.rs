//! The machine's sockets: services that are in the way of contexts with addresses, and sockets of contexts at addresses that they lost.
//!
//! ```text
//! HostSocket list --in_the_way (+ holders)--> Service list --> a report
//! HostSocket list + Networks before and now --destroy_strays--> the kernel
//! ```
//!
//! The kernel is asked by `sock_diag` ([`sock_diag`]), and who holds a socket by `/proc` ([`holder`]); the rest is pure.

pub mod holder;
mod message;
mod service;
pub mod sock_diag;
mod stray;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_sock_diag::inet::SocketId;
use vs_common::context::Tag;

pub use crate::policy::Protocol;
pub use service::{CURE, Service, in_the_way, inodes};
pub use stray::{Destroyed, Survivor, destroy_strays};

/// A socket of IPv4 or IPv6.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostSocket {
    /// What it speaks.
    pub protocol: Protocol,
    /// As `include/net/tcp_states.h` numbers it, for all protocols.
    pub state: u8,
    /// What names it to the kernel: its addresses and ports, and a number of its own.
    identity: SocketId,
    /// Whether it is for IPv6 only, where the kernel says so: of sockets that listen or are not connected.
    pub is_v6_only: Option<bool>,
    /// The number of its inode; 0: no process can hold it.
    pub inode: u32,
    /// Whose it is.
    pub uid: u32,
    /// Whose it is by its tag, where that was asked for; `None`: the host's, or a connection that is not made yet, or none of TCP.
    pub tag: Option<Tag>,
}

impl HostSocket {
    /// The address that it is bound to.
    pub const fn local(&self) -> IpAddr {
        self.identity.source_address
    }

    /// The port that it is bound to.
    pub const fn port(&self) -> u16 {
        self.identity.source_port
    }
}

impl fmt::Display for HostSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |address, port| SocketAddr::new(address, port);
        let id = &self.identity;
        write!(f, "{} {}", self.protocol, end(id.source_address, id.source_port))?;
        match id.destination_port {
            0 => Ok(()),
            port => write!(f, " to {}", end(id.destination_address, port)),
        }
    }
}

/// The kernel's sockets, as far as this changes them.
pub trait Sockets {
    /// All with their tags, but those in TIME-WAIT.
    ///
    /// # Errors
    /// The kernel refused, or said what cannot be understood.
    fn list(&mut self) -> Result<Vec<HostSocket>, HostSocketsError>;

    /// Ends one: whoever waits at it, or uses it next, gets ECONNABORTED.
    ///
    /// # Errors
    /// The kernel refused; ENOENT: it is gone, or the kernel finds another at its addresses and ports.
    fn destroy(&mut self, socket: &HostSocket) -> io::Result<()>;
}

/// Why sockets could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum HostSocketsError {
    /// No socket.
    #[error("cannot ask the kernel for its sockets: no socket of sock_diag: {0}")]
    Socket(io::Error),
    /// The kernel's part is missing.
    #[error("cannot list {0} sockets: the kernel has nothing that would; `modprobe -a tcp_diag udp_diag`")]
    NoModule(Protocol),
    /// No list.
    #[error("cannot list {protocol} sockets: {cause}")]
    List {
        /// What they speak.
        protocol: Protocol,
        /// Why not.
        cause: io::Error,
    },
    /// A setting of the kernel cannot be read.
    #[error("cannot read {path}: {cause}")]
    Setting {
        /// Its file.
        path: &'static str,
        /// Why not.
        cause: io::Error,
    },
}

#[cfg(test)]
mod tests;
