//! What `bind(2)` and a destination come to.

use super::address::{Address, AddressKind};
use super::rules::{NetworkRules, network_flag};
use crate::verdict::{Errno, Reason};

/// Which addresses a socket can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// IPv4 only: `AF_INET`.
    V4,
    /// IPv6 only: `AF_INET6` with `IPV6_V6ONLY`.
    V6,
    /// Both: `AF_INET6` without.
    Both,
}

/// Which address a socket gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindChoice {
    /// What it asked for.
    AsAsked,
    /// [`NetworkRules::primary4`], for ANY.
    Primary4,
    /// [`NetworkRules::primary6`], for ANY.
    Primary6,
    /// The context's own loopback address of IPv4.
    Loopback4,
    /// The context's own loopback address of IPv6.
    Loopback6,
    /// None.
    Refused(Errno, Reason),
}

/// What `bind(2)` to an address comes to. A mapped address of IPv4 is one of IPv4 on whatever socket.
///
/// | asked      | IPv4 socket                          | IPv6 only                            | both                   |
/// |------------|--------------------------------------|--------------------------------------|------------------------|
/// | ANY        | primary4, else the private loopback  | primary6, else the private loopback  | primary4, else as IPv6 only |
/// | loopback   | private: its own; shared: as asked but for others' private; none: EADDRNOTAVAIL                 |||
/// | multicast  | as asked if granted, else EADDRNOTAVAIL                                                         |||
/// | broadcast  | as asked if granted, else EADDRNOTAVAIL                                                         |||
/// | unicast    | as asked if listed, else EADDRNOTAVAIL                                                          |||
///
/// `is_listed`: the address is one of the context's; of a context that uses the host's addresses, that it is no other context's. Such a context
/// gets what it asks for but for others' addresses and their private loopback.
#[inline(always)]
pub const fn decide_bind(rules: &NetworkRules, asked: &Address, reach: Reach, is_listed: bool) -> BindChoice {
    const REFUSED: BindChoice = BindChoice::Refused(Errno::Eaddrnotavail, Reason::ForeignAddress);
    if rules.has(network_flag::HOST) {
        return match asked.kind() {
            AddressKind::Unicast if !is_listed => REFUSED,
            _ if asked.is_context_loopback() => REFUSED,
            _ => BindChoice::AsAsked,
        };
    }
    match asked.kind() {
        AddressKind::Any => {
            let is_private = rules.has(network_flag::LOOPBACK_PRIVATE);
            match if asked.is_v4() { Reach::V4 } else { reach } {
                Reach::V4 | Reach::Both if rules.has(network_flag::V4) => BindChoice::Primary4,
                Reach::V6 | Reach::Both if rules.has(network_flag::V6) => BindChoice::Primary6,
                Reach::V4 if is_private => BindChoice::Loopback4,
                Reach::V6 | Reach::Both if is_private => BindChoice::Loopback6,
                _ => REFUSED,
            }
        }
        AddressKind::Loopback => {
            if rules.has(network_flag::LOOPBACK_PRIVATE) {
                if asked.is_v4() { BindChoice::Loopback4 } else { BindChoice::Loopback6 }
            } else if rules.has(network_flag::LOOPBACK_SHARED) && !asked.is_context_loopback() {
                BindChoice::AsAsked
            } else {
                REFUSED
            }
        }
        AddressKind::Multicast if rules.has(network_flag::MULTICAST) => BindChoice::AsAsked,
        AddressKind::Broadcast if rules.has(network_flag::BROADCAST) => BindChoice::AsAsked,
        AddressKind::Unicast if is_listed => BindChoice::AsAsked,
        AddressKind::Multicast | AddressKind::Broadcast | AddressKind::Unicast => REFUSED,
    }
}

/// Where a socket's packets go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DestinationChoice {
    /// To where it asked, from the primary address of that family.
    AsAsked,
    /// To where it asked, from wherever the kernel says: the host's loopback, or a context that uses the host's addresses.
    Host,
    /// To the context's own loopback, from there.
    OwnLoopback,
    /// Nowhere.
    Refused(Errno, Reason),
}

/// What a destination comes to, of `connect(2)` and of each datagram.
///
/// | asked         | outcome                                                              |
/// |---------------|----------------------------------------------------------------------|
/// | ANY, loopback | private: its own; shared: as asked but for others' private; none: ENETUNREACH |
/// | multicast     | as asked if granted and there is an address to send from, else ENETUNREACH |
/// | broadcast     | the same                                                             |
/// | unicast       | as asked if there is an address to send from, else ENETUNREACH       |
///
/// A context that uses the host's addresses reaches all but others' private loopback. ANY is loopback because the kernel has it so (`net/ipv4/route.c:ip_route_output_key_hash_rcu`, `net/ipv6/tcp_ipv6.c:tcp_v6_connect`).
#[inline(always)]
pub const fn decide_destination(rules: &NetworkRules, asked: &Address) -> DestinationChoice {
    const REFUSED: DestinationChoice =
        DestinationChoice::Refused(Errno::Enetunreach, Reason::UnreachableAddress);
    const FOREIGN: DestinationChoice =
        DestinationChoice::Refused(Errno::Econnrefused, Reason::ForeignAddress);
    if rules.has(network_flag::HOST) {
        return if asked.is_context_loopback() { FOREIGN } else { DestinationChoice::Host };
    }
    let has_source = if asked.is_v4() { rules.has(network_flag::V4) } else { rules.has(network_flag::V6) };
    match asked.kind() {
        AddressKind::Any | AddressKind::Loopback => {
            if rules.has(network_flag::LOOPBACK_PRIVATE) {
                DestinationChoice::OwnLoopback
            } else if rules.has(network_flag::LOOPBACK_SHARED) {
                if asked.is_context_loopback() { FOREIGN } else { DestinationChoice::Host }
            } else {
                REFUSED
            }
        }
        AddressKind::Multicast if !rules.has(network_flag::MULTICAST) => REFUSED,
        AddressKind::Broadcast if !rules.has(network_flag::BROADCAST) => REFUSED,
        AddressKind::Multicast | AddressKind::Broadcast | AddressKind::Unicast => {
            if has_source {
                DestinationChoice::AsAsked
            } else {
                REFUSED
            }
        }
    }
}

/// What a bind of the host's to ANY comes to where policy has `[host] addresses`; none: what was asked for. All else the host may.
///
/// | asked                      | has an IPv4 address | has one of IPv6 only | none     |
/// |----------------------------|---------------------|----------------------|----------|
/// | ANY of IPv4                | primary4            | as asked             | as asked |
/// | ANY of IPv6, IPv6 only     | primary6, if any    | primary6             | as asked |
/// | ANY of IPv6, for both      | primary4            | as asked             | as asked |
///
/// A family of which the host has no address listed is not confined: nobody asked for it.
#[inline(always)]
pub const fn decide_host_bind(rules: &NetworkRules, asked: &Address, reach: Reach) -> Option<Address> {
    if !matches!(asked.kind(), AddressKind::Any) {
        return None;
    }
    match if asked.is_v4() { Reach::V4 } else { reach } {
        Reach::V4 | Reach::Both if rules.has(network_flag::V4) => Some(rules.primary4),
        Reach::V6 if rules.has(network_flag::V6) => Some(rules.primary6),
        _ => None,
    }
}
