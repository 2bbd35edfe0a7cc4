//! Messages of rtnetlink, from and to bytes. Pure.
//!
//! Of what the kernel says only that is decoded which is asked for: an attribute of an interface that some later kernel has must not be
//! in the way of a load.

use std::io;

use netlink_packet_core::{
    ErrorBuffer, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload, NlasIterator, Parseable,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{LinkFlags, LinkHeader, LinkMessage};
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{HostAddress, Link, MARK, Placement, single_length};

/// The type of a message about an interface.
pub(super) const NEW_LINK: u16 = libc::RTM_NEWLINK;
/// The type of a message about an address.
pub(super) const NEW_ADDRESS: u16 = libc::RTM_NEWADDR;
/// The type of a message about a route.
pub(super) const NEW_ROUTE: u16 = libc::RTM_NEWROUTE;
/// Bytes of `struct ifinfomsg`.
const LINK_HEADER_SIZE: usize = 16;
/// `NLM_F_DUMP_INTR`: something changed while it was listed.
const INTERRUPTED: u16 = 16;

/// Asks for all interfaces.
pub(super) fn list_links(sequence: u32) -> Vec<u8> {
    encode(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP, sequence)
}

/// Asks for all addresses.
pub(super) fn list_addresses(sequence: u32) -> Vec<u8> {
    encode(RouteNetlinkMessage::GetAddress(AddressMessage::default()), NLM_F_DUMP, sequence)
}

/// Asks for all routes of both families.
pub(super) fn list_routes(sequence: u32) -> Vec<u8> {
    encode(RouteNetlinkMessage::GetRoute(RouteMessage::default()), NLM_F_DUMP, sequence)
}

/// Adds an address with the mark.
pub(super) fn add(placement: &Placement, sequence: u32) -> Vec<u8> {
    let mut message = about(placement);
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(MARK)));
    if placement.address.is_ipv6() {
        // To be bound to at once, not after a second of asking around.
        message.header.flags = AddressHeaderFlags::Nodad;
        // Deprecated from the start: the machine itself sends from none that it was given for a context while it has another (RFC 6724,
        // rule 3). Whoever is bound to it may use it as ever.
        let mut lifetime = CacheInfo::default();
        lifetime.ifa_preferred = 0;
        lifetime.ifa_valid = u32::MAX;
        message.attributes.push(AddressAttribute::CacheInfo(lifetime));
    }
    encode(RouteNetlinkMessage::NewAddress(message), NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sequence)
}

/// Removes an address.
pub(super) fn remove(placement: &Placement, sequence: u32) -> Vec<u8> {
    encode(RouteNetlinkMessage::DelAddress(about(placement)), NLM_F_ACK, sequence)
}

/// What names an address to the kernel.
fn about(placement: &Placement) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family =
        if placement.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = single_length(placement.address);
    message.header.scope = AddressScope::Universe;
    message.header.index = placement.link;
    message.attributes =
        vec![AddressAttribute::Local(placement.address), AddressAttribute::Address(placement.address)];
    message
}

fn encode(message: RouteNetlinkMessage, flags: u16, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// One message of the kernel's.
#[derive(Debug)]
pub(super) struct Answer<'b> {
    /// Which question it answers.
    pub(super) sequence: u32,
    /// Whether the list that it is of may lack something.
    pub(super) is_interrupted: bool,
    /// What it says.
    pub(super) content: Content<'b>,
}

/// What it says.
#[derive(Debug)]
pub(super) enum Content<'b> {
    /// That is all, or it is done.
    End,
    /// It will not be done.
    Refused(io::Error),
    /// One of a list: its type and what is behind the header.
    Item(u16, &'b [u8]),
}

/// Cuts what the kernel sent into messages.
pub(super) fn answers(mut bytes: &[u8]) -> io::Result<Vec<Answer<'_>>> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let buffer = NetlinkBuffer::new_checked(bytes).map_err(not_understood)?;
        let length = usize::try_from(buffer.length()).map_err(not_understood)?;
        let payload = buffer.payload();
        let content = match buffer.message_type() {
            NLMSG_DONE | NLMSG_ERROR => {
                // Both begin with a number: 0, or an error's below it.
                let code = ErrorBuffer::new_checked(payload).map_err(not_understood)?.code();
                code.map_or(Content::End, |code| {
                    Content::Refused(io::Error::from_raw_os_error(code.get().saturating_abs()))
                })
            }
            kind => Content::Item(kind, payload),
        };
        let is_interrupted = buffer.flags() & INTERRUPTED != 0;
        answers.push(Answer { sequence: buffer.sequence_number(), is_interrupted, content });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(answers)
}

/// The interface that a message is about.
pub(super) fn link(payload: &[u8]) -> io::Result<Link> {
    let header = LinkHeader::parse(payload).map_err(not_understood)?;
    let mut name = None;
    for attribute in NlasIterator::new(payload.get(LINK_HEADER_SIZE..).unwrap_or_default()) {
        let attribute = attribute.map_err(not_understood)?;
        if attribute.kind() == libc::IFLA_IFNAME {
            let bytes = attribute.value();
            name = Some(String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(bytes)).into_owned());
        }
    }
    Ok(Link {
        index: header.index,
        name: name.ok_or_else(|| not_understood("an interface without a name"))?,
        is_up: header.flags.contains(LinkFlags::Up),
        is_loopback: header.flags.contains(LinkFlags::Loopback),
    })
}

/// The address that a message is about; `None`: it is of neither IPv4 nor IPv6.
pub(super) fn address(payload: &[u8]) -> io::Result<Option<HostAddress>> {
    let message = AddressMessage::parse(payload).map_err(not_understood)?;
    if !matches!(message.header.family, AddressFamily::Inet | AddressFamily::Inet6) {
        return Ok(None);
    }
    let (mut own, mut other, mut origin) = (None, None, 0);
    for attribute in message.attributes {
        match attribute {
            // Between two ends `IFA_ADDRESS` is the other one's; else IPv6 has no `IFA_LOCAL`.
            AddressAttribute::Local(address) => own = Some(address),
            AddressAttribute::Address(address) => other = Some(address),
            AddressAttribute::Protocol(protocol) => origin = protocol.into(),
            _ => {}
        }
    }
    let address = own.or(other).ok_or_else(|| not_understood("an address's message without the address"))?;
    let header = message.header;
    Ok(Some(HostAddress { address, length: header.prefix_len, link: header.index, origin }))
}

/// The kernel said what no kernel says.
pub(super) fn not_understood(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
