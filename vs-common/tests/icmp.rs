//! Sockets of ICMP, for pings and raw ones, and what sockets receive: every line of the tables in the documentation of the decisions.

use std::net::{Ipv4Addr, Ipv6Addr};

use vs_common::id::Xid;
use vs_common::network::{
    Address, ICMP_MARK, ICMP_MARK_MASK, IcmpGrant, NetworkRules, decide_icmp_bind, decide_icmp_destination,
    decide_icmp_option, decide_receive, icmp_mark, network_flag, number,
};
use vs_common::verdict::{Errno, Reason, Verdict};

/// What a ping socket has to be granted by.
const PINGS: IcmpGrant = IcmpGrant::of(number::AF_INET, false);

/// The address that a text stands for, as packets have it.
fn address(text: &str) -> Address {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Address::v4(address.to_bits().to_be());
    }
    let octets = text.parse::<Ipv6Addr>().expect("an address").octets();
    let word = |at: usize| u32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    Address([word(0), word(4), word(8), word(12)])
}

/// What ping sockets may be bound to: the context's addresses, and ANY.
#[test]
fn pings_are_bound_to_own_addresses() {
    let refused = Verdict::Deny(Errno::Eaddrnotavail, Reason::ForeignAddress);
    let of = |flags| NetworkRules { flags: network_flag::PING | flags, ..NetworkRules::default() };
    let own = of(network_flag::V4 | network_flag::V6 | network_flag::LOOPBACK_PRIVATE);
    let shared = of(network_flag::V4 | network_flag::LOOPBACK_SHARED);
    for text in ["192.0.2.10", "2001:db8::10"] {
        assert_eq!(decide_icmp_bind(&own, &address(text), true), Verdict::Allow, "{text}");
        assert_eq!(decide_icmp_bind(&own, &address(text), false), refused, "{text}");
    }
    for text in ["0.0.0.0", "::"] {
        assert_eq!(decide_icmp_bind(&own, &address(text), false), Verdict::Allow, "{text}");
    }
    for text in ["127.0.0.1", "::1"] {
        assert_eq!(decide_icmp_bind(&own, &address(text), false), refused, "{text}");
        assert_eq!(decide_icmp_bind(&shared, &address(text), false), Verdict::Allow, "{text}");
    }
    for text in ["127.0.2.1", "fd56:7365:7276::2:1", "224.0.0.1", "255.255.255.255", "ff02::1"] {
        assert_eq!(decide_icmp_bind(&own, &address(text), false), refused, "{text}");
        assert_eq!(decide_icmp_bind(&shared, &address(text), false), refused, "{text}");
    }
}

/// Where they may be sent, with every other grant.
#[test]
fn pings_go_to_single_machines() {
    let unreachable = Verdict::Deny(Errno::Enetunreach, Reason::UnreachableAddress);
    let granted = network_flag::PING | network_flag::MULTICAST | network_flag::BROADCAST;
    let of = |flags| NetworkRules { flags: granted | flags, ..NetworkRules::default() };
    let own = of(network_flag::V4 | network_flag::LOOPBACK_PRIVATE);
    let shared = of(network_flag::V6 | network_flag::LOOPBACK_SHARED);
    let without = NetworkRules { flags: network_flag::V4 | network_flag::V6, ..NetworkRules::default() };
    let host = NetworkRules { flags: network_flag::HOST, ..NetworkRules::default() };
    for text in ["192.0.2.1", "198.51.100.2"] {
        assert_eq!(decide_icmp_destination(&own, PINGS, &address(text)), Verdict::Allow, "{text}");
        assert_eq!(decide_icmp_destination(&shared, PINGS, &address(text)), unreachable, "{text}");
    }
    assert_eq!(decide_icmp_destination(&own, PINGS, &address("2001:db8::1")), unreachable);
    assert_eq!(decide_icmp_destination(&shared, PINGS, &address("2001:db8::1")), Verdict::Allow);
    for text in ["127.0.0.1", "0.0.0.0", "::1", "::"] {
        assert_eq!(decide_icmp_destination(&own, PINGS, &address(text)), unreachable, "{text}");
        assert_eq!(decide_icmp_destination(&shared, PINGS, &address(text)), Verdict::Allow, "{text}");
    }
    for text in [
        "127.0.2.1",
        "169.254.169.254",
        "fe80::1",
        "febf::1",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "fd56:7365:7276::2:1",
    ] {
        assert_eq!(decide_icmp_destination(&own, PINGS, &address(text)), unreachable, "{text}");
        assert_eq!(decide_icmp_destination(&shared, PINGS, &address(text)), unreachable, "{text}");
    }
    let refused = Verdict::Deny(Errno::Eacces, Reason::SocketFamily);
    for text in ["192.0.2.1", "127.0.0.1", "::1", "ff02::1"] {
        assert_eq!(decide_icmp_destination(&without, PINGS, &address(text)), refused, "{text}");
        assert_eq!(decide_icmp_destination(&host, PINGS, &address(text)), Verdict::Allow, "{text}");
    }
}

#[test]
fn options_that_lead_past_the_routes_are_for_no_pings() {
    let refused = Verdict::Deny(Errno::Eperm, Reason::SocketOption);
    // SO_BROADCAST, IP_UNICAST_IF; SO_REUSEADDR, IP_TTL, IPV6_UNICAST_IF, which the search for a route heeds.
    for (level, option) in [(1, 6), (0, 50)] {
        assert_eq!(decide_icmp_option(false, level, option), refused);
    }
    for (level, option) in [(1, 2), (0, 2), (41, 76)] {
        assert_eq!(decide_icmp_option(false, level, option), Verdict::Allow);
    }
}

#[test]
fn every_context_has_its_own_mark() {
    for xid in [0, 2, 0x0100, 0xffff] {
        let mark = icmp_mark(Xid(xid));
        assert_eq!((mark & ICMP_MARK_MASK, mark & 0xffff), (ICMP_MARK, xid));
    }
}

/// Beside those: what would give a raw socket another's source, routes or errors.
#[test]
fn raw_sockets_write_no_headers_and_get_no_errors() {
    let refused = Verdict::Deny(Errno::Eperm, Reason::SocketOption);
    // IP_HDRINCL, IP_RECVERR, IP_TRANSPARENT, IPV6_RECVERR, IPV6_HDRINCL, IPV6_TRANSPARENT, SO_MARK.
    for (level, option) in [(0, 3), (0, 11), (0, 19), (41, 25), (41, 36), (41, 75), (1, 36)] {
        assert_eq!(decide_icmp_option(true, level, option), refused);
        assert_eq!(decide_icmp_option(false, level, option), Verdict::Allow);
    }
    for (level, option) in [(1, 6), (0, 50)] {
        assert_eq!(decide_icmp_option(true, level, option), refused);
    }
    // ICMP_FILTER, ICMPV6_FILTER, SO_RCVBUF.
    for (level, option) in [(255, 1), (58, 1), (1, 8)] {
        assert_eq!(decide_icmp_option(true, level, option), Verdict::Allow);
    }
}

#[test]
fn raw_sockets_have_grants_of_their_own() {
    let rules = |flags| NetworkRules {
        flags: network_flag::V4 | network_flag::V6 | flags,
        ..NetworkRules::default()
    };
    let to = |flags, family| {
        decide_icmp_destination(&rules(flags), IcmpGrant::of(family, true), &address("192.0.2.1"))
    };
    let refused = Verdict::Deny(Errno::Eperm, Reason::SocketFamily);
    assert_eq!(to(network_flag::RAW_ICMP, number::AF_INET), Verdict::Allow);
    assert_eq!(to(network_flag::RAW_ICMPV6, number::AF_INET6), Verdict::Allow);
    for (flag, family) in [
        (network_flag::PING, number::AF_INET),
        (network_flag::RAW_ICMPV6, number::AF_INET),
        (network_flag::RAW_ICMP, number::AF_INET6),
    ] {
        assert_eq!(to(flag, family), refused);
    }
}

/// What comes to a socket is for an address of its context, or for all and granted.
#[test]
fn what_is_received_follows_its_table() {
    let xid = Xid(0x0102);
    let of = |flags, text, is_listed, is_broadcast| {
        let rules = NetworkRules { flags, ..NetworkRules::default() };
        decide_receive(&rules, xid, &address(text), is_listed, is_broadcast)
    };
    let (private, shared) = (network_flag::LOOPBACK_PRIVATE, network_flag::LOOPBACK_SHARED);
    for text in ["192.0.2.10", "2001:db8::10"] {
        for flags in [0, private, shared] {
            assert!(of(flags, text, true, false), "{text}");
            assert!(!of(flags, text, false, false), "{text}");
            assert!(!of(flags, text, false, true), "{text}");
            assert!(of(flags | network_flag::BROADCAST, text, false, true), "{text}");
        }
        assert!(of(network_flag::HOST, text, false, false), "{text}");
    }
    // Its own loopback, another's, the host's.
    for (text, of_private, of_shared) in [
        ("127.1.2.1", true, false),
        ("127.1.2.255", true, false),
        ("fd56:7365:7276::102:1", true, false),
        ("127.1.3.1", false, false),
        ("fd56:7365:7276::103:1", false, false),
        ("127.0.0.1", false, true),
        ("::1", false, true),
    ] {
        assert_eq!(of(private, text, false, false), of_private, "{text}");
        assert_eq!(of(shared, text, false, false), of_shared, "{text}");
        assert!(!of(0, text, false, false), "{text}");
    }
    for (flag, text) in [
        (network_flag::MULTICAST, "224.0.0.1"),
        (network_flag::MULTICAST, "ff02::1"),
        (network_flag::BROADCAST, "255.255.255.255"),
    ] {
        assert!(of(flag, text, false, true), "{text}");
        assert!(!of(!(flag | network_flag::HOST), text, false, true), "{text}");
    }
    assert!(!of(!network_flag::HOST, "0.0.0.0", true, false));
}
