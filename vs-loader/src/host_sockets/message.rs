//! Messages of `sock_diag`, from and to bytes. Pure.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NlasIterator, Parseable};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, INET_DIAG_SKV6ONLY};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};

use super::{HostSocket, Protocol};
use crate::netlink::message::{encode, not_understood};

/// The type of a message about a socket.
pub(super) const SOCKET: u16 = 20;
/// Bytes of `struct inet_diag_msg`.
const SOCKET_HEADER_SIZE: usize = 72;
/// `TCP_LISTEN`.
pub(super) const LISTEN: u8 = 10;
/// `TCP_CLOSE`: a UDP socket that is not connected.
pub(super) const CLOSE: u8 = 7;

/// The sockets of a protocol that are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    /// Those of services: what listens, or takes datagrams from everybody.
    Services,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    V4,
    V6,
}

/// Asks for all sockets of a protocol and family.
pub(super) fn list(protocol: Protocol, family: Family, which: Which, sequence: u32) -> Vec<u8> {
    let states = match (which, protocol) {
        (Which::Services, Protocol::Tcp) => StateFlags::LISTEN,
        (Which::Services, _) => StateFlags::CLOSE,
    };
    let (family, identity) = match family {
        Family::V4 => (AF_INET, SocketId::new_v4()),
        Family::V6 => (AF_INET6, SocketId::new_v6()),
    };
    let request = InetRequest {
        family,
        protocol: protocol.number(),
        extensions: ExtensionFlags::empty(),
        states,
        socket_id: identity,
    };
    encode(SockDiagMessage::InetRequest(request), NLM_F_DUMP, sequence)
}

/// The socket that a message is about.
pub(super) fn socket(protocol: Protocol, payload: &[u8]) -> io::Result<HostSocket> {
    let header = InetResponseHeader::parse(payload).map_err(not_understood)?;
    let mut is_v6_only = None;
    for attribute in NlasIterator::new(payload.get(SOCKET_HEADER_SIZE..).unwrap_or_default()) {
        let attribute = attribute.map_err(not_understood)?;
        if attribute.kind() == INET_DIAG_SKV6ONLY {
            is_v6_only = attribute.value().first().map(|value| *value != 0);
        }
    }
    Ok(HostSocket {
        protocol,
        state: header.state,
        identity: header.socket_id,
        is_v6_only,
        inode: header.inode,
        uid: header.uid,
    })
}
