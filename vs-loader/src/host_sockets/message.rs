//! Messages of `sock_diag`, from and to bytes. Pure.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NetlinkSerializable, NlasIterator, Parseable};
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, INET_DIAG_SKV6ONLY};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};
use netlink_packet_sock_diag::{SockDiagDestroy, SockDiagMessage};
use vs_common::context::Tag;
use vs_common::id::{Generation, Xid};

use super::{HostSocket, Protocol};
use crate::netlink::message::{encode, not_understood};

/// The type of a message about a socket.
pub(super) const SOCKET: u16 = 20;
/// Bytes of `struct inet_diag_msg`.
const SOCKET_HEADER_SIZE: usize = 72;
/// Bytes of `struct nlattr`.
const ATTRIBUTE_HEADER_SIZE: usize = 4;
/// What `NLA_F_NESTED` and its like leave of an attribute's kind.
const NLA_TYPE_MASK: u16 = 0x3fff;
/// `INET_DIAG_REQ_SK_BPF_STORAGES`.
const STORAGE_REQUEST: u16 = 2;
/// `SK_DIAG_BPF_STORAGE_REQ_MAP_FD`.
const STORAGE_MAP: u16 = 1;
/// `INET_DIAG_SK_BPF_STORAGES`.
const STORAGES: u16 = 20;
/// `SK_DIAG_BPF_STORAGE_MAP_VALUE`.
const STORAGE_VALUE: u16 = 3;
/// `TCP_LISTEN`.
pub(super) const LISTEN: u8 = 10;
/// `TCP_CLOSE`: a UDP socket that is not connected.
pub(super) const CLOSE: u8 = 7;

/// The sockets of a protocol that are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    /// Those of services: what listens, or takes datagrams from everybody.
    Services,
    /// All that something can still come of, with their tags.
    Tagged(MapNumber),
}

/// The number of the descriptor of the map that has the tags of sockets.
pub(super) type MapNumber = u32;

/// A list that is asked for: `struct inet_diag_req_v2` and attributes.
struct ListRequest {
    request: SockDiagMessage,
    attributes: Vec<u8>,
}

impl NetlinkSerializable for ListRequest {
    fn message_type(&self) -> u16 {
        SOCKET
    }

    fn buffer_len(&self) -> usize {
        NetlinkSerializable::buffer_len(&self.request) + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (request, attributes) = buffer.split_at_mut(NetlinkSerializable::buffer_len(&self.request));
        NetlinkSerializable::serialize(&self.request, request);
        attributes.copy_from_slice(&self.attributes);
    }
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
        // What is in TIME-WAIT belongs to no process, and says nothing by itself.
        (Which::Tagged(_), _) => StateFlags::all().difference(StateFlags::TIME_WAIT),
    };
    let attributes = match which {
        Which::Services => Vec::new(),
        Which::Tagged(map) => attribute(STORAGE_REQUEST, &attribute(STORAGE_MAP, &map.to_ne_bytes())),
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
    let request = SockDiagMessage::InetRequest(request);
    encode(ListRequest { request, attributes }, NLM_F_DUMP, sequence)
}

/// Destroys one socket.
pub(super) fn destroy(socket: &HostSocket, sequence: u32) -> Vec<u8> {
    let request = InetRequest {
        family: if socket.local().is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: socket.protocol.number(),
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: socket.identity.clone(),
    };
    encode(SockDiagDestroy::new(SockDiagMessage::InetRequest(request)), NLM_F_ACK, sequence)
}

/// An attribute: its length, its kind, its value. Values here are whole words.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + ATTRIBUTE_HEADER_SIZE).unwrap_or(u16::MAX);
    [&length.to_ne_bytes(), &kind.to_ne_bytes(), value].concat()
}

/// The socket that a message is about.
pub(super) fn socket(protocol: Protocol, payload: &[u8]) -> io::Result<HostSocket> {
    let header = InetResponseHeader::parse(payload).map_err(not_understood)?;
    let (mut is_v6_only, mut tag) = (None, None);
    for attribute in NlasIterator::new(payload.get(SOCKET_HEADER_SIZE..).unwrap_or_default()) {
        let attribute = attribute.map_err(not_understood)?;
        if attribute.kind() == INET_DIAG_SKV6ONLY {
            is_v6_only = attribute.value().first().map(|value| *value != 0);
        }
        // The kernel says it with `NLA_F_NESTED` or without.
        if attribute.kind() & NLA_TYPE_MASK == STORAGES {
            tag = stored_tag(attribute.value())?;
        }
    }
    Ok(HostSocket {
        protocol,
        state: header.state,
        identity: header.socket_id,
        is_v6_only,
        inode: header.inode,
        uid: header.uid,
        tag,
    })
}

/// The value of the one map that was asked for.
fn stored_tag(storages: &[u8]) -> io::Result<Option<Tag>> {
    for storage in NlasIterator::new(storages) {
        let storage = storage.map_err(not_understood)?;
        for part in NlasIterator::new(storage.value()) {
            let part = part.map_err(not_understood)?;
            if part.kind() & NLA_TYPE_MASK == STORAGE_VALUE {
                return tag(part.value()).map(Some);
            }
        }
    }
    Ok(None)
}

fn tag(value: &[u8]) -> io::Result<Tag> {
    let bytes: [u8; 16] = value.try_into().map_err(not_understood)?;
    let [x0, x1, x2, x3, l0, l1, l2, l3, generation @ ..] = bytes;
    Ok(Tag {
        xid: Xid(u32::from_ne_bytes([x0, x1, x2, x3])),
        lifecycle: u32::from_ne_bytes([l0, l1, l2, l3]),
        generation: Generation(u64::from_ne_bytes(generation)),
    })
}
