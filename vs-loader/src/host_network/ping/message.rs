//! Messages of rtnetlink about rules and the routes of their tables. Pure.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NlasIterator};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Entry, Rule, TableRoute};
use crate::host_network::MARK;
use crate::host_network::route::{ROUTE_HEADER_SIZE, address, number};
use crate::netlink::message::{encode, not_understood};
use crate::policy::Prefix;

/// The type of a message about a rule.
pub(in crate::host_network) const NEW_RULE: u16 = libc::RTM_NEWRULE;

/// Asks for all rules of all families.
pub(in crate::host_network) fn list_rules(sequence: u32) -> Vec<u8> {
    encode(RouteNetlinkMessage::GetRule(RuleMessage::default()), NLM_F_DUMP, sequence)
}

/// Adds an entry.
pub(in crate::host_network) fn add(entry: &Entry, sequence: u32) -> Vec<u8> {
    let message = match entry {
        Entry::Rule(rule) => RouteNetlinkMessage::NewRule(about_rule(rule)),
        Entry::Route(route) => RouteNetlinkMessage::NewRoute(about_route(route)),
    };
    encode(message, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sequence)
}

/// Removes an entry.
pub(in crate::host_network) fn remove(entry: &Entry, sequence: u32) -> Vec<u8> {
    let message = match entry {
        Entry::Rule(rule) => RouteNetlinkMessage::DelRule(about_rule(rule)),
        Entry::Route(route) => RouteNetlinkMessage::DelRoute(about_route(route)),
    };
    encode(message, NLM_F_ACK, sequence)
}

const fn family(is_v4: bool) -> AddressFamily {
    if is_v4 { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn about_rule(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(rule.is_v4);
    message.header.action = if rule.table.is_some() { RuleAction::ToTable } else { RuleAction::Unreachable };
    message.attributes = vec![
        RuleAttribute::Priority(rule.priority),
        RuleAttribute::FwMark(rule.mark),
        RuleAttribute::FwMask(rule.mask),
        RuleAttribute::Protocol(RouteProtocol::Other(MARK)),
    ];
    message.attributes.extend(rule.table.map(RuleAttribute::Table));
    message
}

fn about_route(route: &TableRoute) -> RouteMessage {
    let mut message = RouteMessage::default();
    let is_v4 = route.destination.address.is_v4();
    let first = route.destination.first();
    let length = route.destination.length;
    message.header.address_family = family(is_v4);
    // A prefix counts the bits of IPv4 behind those that say that it is one.
    message.header.destination_prefix_length = if is_v4 { length.saturating_sub(96) } else { length };
    message.header.protocol = RouteProtocol::Other(MARK);
    message.header.kind = RouteType::Unicast;
    // To a link; IPv6 has no scopes.
    message.header.scope =
        if is_v4 && route.gateway.is_none() { RouteScope::Link } else { RouteScope::Universe };
    if route.is_on_link {
        message.header.flags = RouteFlags::Onlink;
    }
    message.attributes = vec![
        RouteAttribute::Table(route.table),
        RouteAttribute::Destination(first.into()),
        RouteAttribute::Oif(route.link),
    ];
    message.attributes.extend(route.gateway.map(|gateway| RouteAttribute::Gateway(gateway.into())));
    message.attributes.extend(route.source.map(|source| RouteAttribute::PrefSource(source.into())));
    message
}

/// The rule that a message is about, if it has the mark.
pub(in crate::host_network) fn rule(payload: &[u8]) -> io::Result<Option<Rule>> {
    // `struct fib_rule_hdr` has the layout of `struct rtmsg`; what it has of a family that is none of these is not looked at.
    let (is_v4, action) = match payload {
        [2, _, _, _, _, _, _, action, ..] => (true, *action),
        [10, _, _, _, _, _, _, action, ..] => (false, *action),
        _ => return Ok(None),
    };
    let (mut mark, mut compared, mut priority, mut table, mut origin) = (0, 0, 0, 0, 0);
    for attribute in NlasIterator::new(payload.get(ROUTE_HEADER_SIZE..).unwrap_or_default()) {
        let attribute = attribute.map_err(not_understood)?;
        let value = attribute.value();
        match attribute.kind() {
            FRA_PRIORITY => priority = number(value)?,
            FRA_FWMARK => mark = number(value)?,
            FRA_TABLE => table = number(value)?,
            FRA_FWMASK => compared = number(value)?,
            FRA_PROTOCOL => origin = value.first().copied().unwrap_or_default(),
            _ => {}
        }
    }
    let table = (RuleAction::from(action) == RuleAction::ToTable).then_some(table);
    Ok((origin == MARK).then_some(Rule { is_v4, mark, mask: compared, priority, table }))
}

/// Attributes of a rule (`include/uapi/linux/fib_rules.h`).
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_PROTOCOL: u16 = 21;

/// The route that a message is about, if it has the mark.
pub(in crate::host_network) fn route(payload: &[u8]) -> io::Result<Option<TableRoute>> {
    let header = RouteHeader::parse(payload).map_err(not_understood)?;
    if header.protocol != RouteProtocol::Other(MARK) || header.flags.contains(RouteFlags::Cloned) {
        return Ok(None);
    }
    let any = match header.address_family {
        AddressFamily::Inet => IpAddr::from([0_u8; 4]),
        AddressFamily::Inet6 => IpAddr::from([0_u8; 16]),
        _ => return Ok(None),
    };
    let mut route = TableRoute {
        table: u32::from(header.table),
        destination: Prefix::around(any, 0),
        link: 0,
        gateway: None,
        is_on_link: header.flags.contains(RouteFlags::Onlink),
        source: None,
    };
    let mut destination = any;
    for attribute in NlasIterator::new(payload.get(ROUTE_HEADER_SIZE..).unwrap_or_default()) {
        let attribute = attribute.map_err(not_understood)?;
        let value = attribute.value();
        match attribute.kind() {
            libc::RTA_TABLE => route.table = number(value)?,
            libc::RTA_DST => destination = address(value)?,
            libc::RTA_OIF => route.link = number(value)?,
            libc::RTA_GATEWAY => route.gateway = Some(address(value)?),
            libc::RTA_PREFSRC => route.source = Some(address(value)?),
            _ => {}
        }
    }
    route.destination = Prefix::around(destination, header.destination_prefix_length);
    Ok(Some(route))
}
