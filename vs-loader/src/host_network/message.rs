//! Messages of rtnetlink, from and to bytes. Pure.
//!
//! Of what the kernel says only that is decoded which is asked for: an attribute of an interface that some later kernel has must not be
//! in the way of a load.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NlasIterator, Parseable};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{LinkFlags, LinkHeader, LinkMessage};
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{HostAddress, Link, MARK, Placement, single_length};
use crate::netlink::message::{encode, not_understood};

/// The type of a message about an interface.
pub(super) const NEW_LINK: u16 = libc::RTM_NEWLINK;
/// The type of a message about an address.
pub(super) const NEW_ADDRESS: u16 = libc::RTM_NEWADDR;
/// The type of a message about a route.
pub(super) const NEW_ROUTE: u16 = libc::RTM_NEWROUTE;
/// Bytes of `struct ifinfomsg`.
const LINK_HEADER_SIZE: usize = 16;

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
