//! Addresses of contexts: every cell of the tables in the documentation of the decisions, over every kind of address and every set of
//! flags.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use vs_common::context::{Identity, Tag};
use vs_common::id::{Generation, Xid};
use vs_common::network::{
    Address, AddressKind, BindChoice, DestinationChoice, NetworkRules, Reach, decide_bind,
    decide_destination, decide_host_bind, decide_socket, decide_socket_option, is_netlink_question,
    network_flag, number,
};
use vs_common::verdict::{Errno, Reason, Verdict};

/// The address that a text stands for, as packets have it.
fn address(text: &str) -> Address {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Address::v4(address.to_bits().to_be());
    }
    let octets = text.parse::<Ipv6Addr>().expect("an address").octets();
    let word = |at: usize| u32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    Address([word(0), word(4), word(8), word(12)])
}

fn word(text: &str) -> u32 {
    address(text).v4_word()
}

/// Addresses at the ends of every range, and what they are.
const KINDS: &[(&str, AddressKind)] = &[
    ("0.0.0.0", AddressKind::Any),
    ("0.0.0.1", AddressKind::Unicast),
    ("126.255.255.255", AddressKind::Unicast),
    ("127.0.0.0", AddressKind::Loopback),
    ("127.0.0.1", AddressKind::Loopback),
    ("127.255.255.255", AddressKind::Loopback),
    ("128.0.0.0", AddressKind::Unicast),
    ("192.0.2.10", AddressKind::Unicast),
    ("223.255.255.255", AddressKind::Unicast),
    ("224.0.0.0", AddressKind::Multicast),
    ("239.255.255.255", AddressKind::Multicast),
    ("240.0.0.0", AddressKind::Unicast),
    ("255.255.255.254", AddressKind::Unicast),
    ("255.255.255.255", AddressKind::Broadcast),
    ("::", AddressKind::Any),
    ("::1", AddressKind::Loopback),
    ("::2", AddressKind::Unicast),
    ("::1:0:0", AddressKind::Unicast),
    ("2001:db8::10", AddressKind::Unicast),
    ("fd56:7365:7275:ffff::1", AddressKind::Unicast),
    ("fd56:7365:7276::64:1", AddressKind::Loopback),
    ("fd56:7365:7276:1::1", AddressKind::Unicast),
    ("fe80::1", AddressKind::Unicast),
    ("feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressKind::Unicast),
    ("ff00::", AddressKind::Multicast),
    ("ff02::1", AddressKind::Multicast),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AddressKind::Multicast),
];

#[test]
fn each_address_is_of_one_kind() {
    for (text, kind) in KINDS {
        assert_eq!(address(text).kind(), *kind, "{text}");
        assert_eq!(address(text).is_v4(), text.contains('.'), "{text}");
    }
    assert_eq!(address("::"), Address::NONE);
    assert_eq!(address("::1"), Address::LOOPBACK6);
    assert!(!Address::NONE.is_v4());
    assert_ne!(address("0.0.0.0"), Address::NONE, "ANY of IPv4 is another than none");
    assert_eq!(address("::ffff:192.0.2.10"), address("192.0.2.10"), "written either way it is one address");
}

/// Every xid that a context can have, and both sides of each border.
const XIDS: [u32; 10] = [1, 2, 100, 255, 256, 257, 32_768, 49_151, 49_152, 65_535];

#[test]
fn a_loopback_address_tells_whose_it_is() {
    for xid in XIDS.map(Xid) {
        let [_, _, high, low] = xid.0.to_be_bytes();
        for last in 0..=255_u8 {
            for asked in [Ipv4Addr::new(127, 0, 0, last), Ipv4Addr::new(127, 255, 3, last)] {
                let own = Address::own_loopback4(xid, asked.to_bits().to_be());
                assert_eq!(own, Ipv4Addr::new(127, high, low, last).to_bits().to_be(), "{xid} {asked}");
                assert!(Address::is_loopback4(own));
                assert_eq!(Address::loopback4_owner(own), xid);
                assert_eq!(Address::shown_loopback4(own), Ipv4Addr::new(127, 0, 0, last).to_bits().to_be());
                assert_eq!(Address::own_loopback4(xid, own), own, "once is enough");
                assert_eq!(Address::v4(own).kind(), AddressKind::Loopback);
            }
        }
        let own = Address::own_loopback6(xid);
        assert_eq!(own, address(&format!("fd56:7365:7276::{:x}:1", xid.0)));
        assert!(own.is_own_loopback6());
        assert_eq!(own.loopback6_owner(), xid);
        assert_eq!(own.kind(), AddressKind::Loopback);
    }
    assert_eq!(Address::loopback4_owner(word("127.0.0.1")), Xid::HOST);
    assert_eq!(Address::own_loopback4(Xid(100), word("127.0.0.1")), word("127.0.100.1"));
    assert!(!Address::is_loopback4(word("126.0.0.1")) && !Address::is_loopback4(word("128.0.0.1")));
    // Of the whole network, that there is no way into it beside the one address.
    assert!(address("fd56:7365:7276:0:1::1").is_own_loopback6());
    assert!(!address("fd56:7365:7276:1::1").is_own_loopback6());
    for (text, is_contexts) in
        [("127.0.0.1", false), ("127.0.1.1", false), ("127.0.2.1", true), ("127.255.255.255", true)]
    {
        assert_eq!(address(text).is_context_loopback(), is_contexts, "{text}");
    }
    assert!(!address("::1").is_context_loopback() && !address("2001:db8::1").is_context_loopback());
    assert!(Address::own_loopback6(Xid(2)).is_context_loopback());
}

/// Rules for every set of flags.
fn all_rules() -> impl Iterator<Item = NetworkRules> {
    (0..1 << 8).map(|flags| NetworkRules {
        generation: Generation(1),
        flags,
        reserved: 0,
        primary4: address("192.0.2.1"),
        primary6: address("2001:db8::1"),
    })
}

/// The table of `decide_bind`, cell by cell.
fn expected_bind(
    rules: &NetworkRules,
    text: &str,
    kind: AddressKind,
    reach: Reach,
    is_listed: bool,
) -> BindChoice {
    let [has_v4, has_v6, is_private, is_shared, has_multicast, has_broadcast] =
        [0, 1, 2, 3, 4, 5].map(|bit| rules.flags & 1 << bit != 0);
    let refused = BindChoice::Refused(Errno::Eaddrnotavail, Reason::ForeignAddress);
    let as_asked_if = |is_granted| if is_granted { BindChoice::AsAsked } else { refused };
    let or_loopback = |loopback| if is_private { loopback } else { refused };
    let is_contexts = address(text).is_context_loopback();
    if rules.flags & network_flag::HOST != 0 {
        return as_asked_if(!is_contexts && (kind != AddressKind::Unicast || is_listed));
    }
    let reach = if text.contains('.') { Reach::V4 } else { reach };
    match (kind, reach) {
        (AddressKind::Any, Reach::V4) if has_v4 => BindChoice::Primary4,
        (AddressKind::Any, Reach::V4) => or_loopback(BindChoice::Loopback4),
        (AddressKind::Any, Reach::V6) if has_v6 => BindChoice::Primary6,
        (AddressKind::Any, Reach::V6) => or_loopback(BindChoice::Loopback6),
        (AddressKind::Any, Reach::Both) if has_v4 => BindChoice::Primary4,
        (AddressKind::Any, Reach::Both) if has_v6 => BindChoice::Primary6,
        (AddressKind::Any, Reach::Both) => or_loopback(BindChoice::Loopback6),
        (AddressKind::Loopback, _) if is_private && text.contains('.') => BindChoice::Loopback4,
        (AddressKind::Loopback, _) if is_private => BindChoice::Loopback6,
        (AddressKind::Loopback, _) => as_asked_if(is_shared && !is_contexts),
        (AddressKind::Multicast, _) => as_asked_if(has_multicast),
        (AddressKind::Broadcast, _) => as_asked_if(has_broadcast),
        (AddressKind::Unicast, _) => as_asked_if(is_listed),
    }
}

#[test]
fn binding_follows_its_table() {
    for rules in all_rules() {
        for (text, kind) in KINDS {
            for reach in [Reach::V4, Reach::V6, Reach::Both] {
                for is_listed in [false, true] {
                    assert_eq!(
                        decide_bind(&rules, &address(text), reach, is_listed),
                        expected_bind(&rules, text, *kind, reach, is_listed),
                        "{text} {reach:?} listed {is_listed} flags {:#x}",
                        rules.flags
                    );
                }
            }
        }
    }
}

#[test]
fn the_host_is_confined_where_it_asks_for_any_and_has_an_address() {
    let (four, six) = (address("192.0.2.1"), address("2001:db8::1"));
    for flags in 0..4 {
        let rules = NetworkRules { flags, primary4: four, primary6: six, ..NetworkRules::default() };
        let has = |flag: u32| flags & flag != 0;
        for (text, kind) in KINDS {
            for reach in [Reach::V4, Reach::V6, Reach::Both] {
                let expected = match (kind, if text.contains('.') { Reach::V4 } else { reach }) {
                    (AddressKind::Any, Reach::V4 | Reach::Both) if has(network_flag::V4) => Some(four),
                    (AddressKind::Any, Reach::V6) if has(network_flag::V6) => Some(six),
                    _ => None,
                };
                assert_eq!(
                    decide_host_bind(&rules, &address(text), reach),
                    expected,
                    "{text} {reach:?} {flags}"
                );
            }
        }
    }
}

#[test]
fn destinations_follow_their_table() {
    let refused = DestinationChoice::Refused(Errno::Enetunreach, Reason::UnreachableAddress);
    for rules in all_rules() {
        let has = |flag| rules.flags & flag != 0;
        for (text, kind) in KINDS {
            let has_source = has(if text.contains('.') { network_flag::V4 } else { network_flag::V6 });
            let as_asked_if = |is_granted| {
                if is_granted && has_source { DestinationChoice::AsAsked } else { refused }
            };
            let foreign = DestinationChoice::Refused(Errno::Econnrefused, Reason::ForeignAddress);
            let as_host = if address(text).is_context_loopback() { foreign } else { DestinationChoice::Host };
            let expected = match kind {
                _ if has(network_flag::HOST) => as_host,
                AddressKind::Any | AddressKind::Loopback if has(network_flag::LOOPBACK_PRIVATE) => {
                    DestinationChoice::OwnLoopback
                }
                AddressKind::Any | AddressKind::Loopback if has(network_flag::LOOPBACK_SHARED) => as_host,
                AddressKind::Any | AddressKind::Loopback => refused,
                AddressKind::Multicast => as_asked_if(has(network_flag::MULTICAST)),
                AddressKind::Broadcast => as_asked_if(has(network_flag::BROADCAST)),
                AddressKind::Unicast => as_asked_if(true),
            };
            assert_eq!(decide_destination(&rules, &address(text)), expected, "{text} {:#x}", rules.flags);
        }
    }
}

const fn member(xid: u32) -> Identity {
    Identity::Member(Tag { xid: Xid(xid), lifecycle: 0, generation: Generation(1) })
}

/// The table of `decide_socket` for a member without grants. Types: `SOCK_STREAM` 1, `SOCK_DGRAM` 2, `SOCK_RAW` 3; `net/socket.c` has taken
/// `SOCK_CLOEXEC` and `SOCK_NONBLOCK` away before it asks.
const fn expected_socket(family: u32, kind: u32, protocol: u32) -> Option<Errno> {
    match (family, kind, protocol) {
        // AF_UNIX; streams of AF_INET and AF_INET6 with 0 or TCP; datagrams with 0, UDP or UDP-Lite; AF_NETLINK with NETLINK_ROUTE.
        (1, _, _) | (2 | 10, 1, 0 | 6) | (2 | 10, 2, 0 | 17 | 136) | (16, _, 0) => None,
        (2 | 10, 2, 1 | 58) => Some(Errno::Eacces),
        (2 | 10, 3, _) => Some(Errno::Eperm),
        (2 | 10 | 16, _, _) => Some(Errno::Eprotonosupport),
        _ => Some(Errno::Eafnosupport),
    }
}

#[test]
fn sockets_follow_their_table() {
    // `AF_MAX` is 46, `SOCK_MAX` 11, and IPPROTO_MPTCP 262 the last protocol (`include/uapi/linux/in.h`).
    for family in 0..64 {
        for kind in 0..16 {
            for protocol in 0..=263 {
                let cell = (family, kind, protocol);
                let decided = |actor| decide_socket(actor, 0, family, kind, protocol);
                let expected = match expected_socket(family, kind, protocol) {
                    None => Verdict::Allow,
                    Some(errno) => Verdict::Deny(errno, Reason::SocketFamily),
                };
                assert_eq!(decided(member(100)), expected, "{cell:?}");
                assert_eq!(decided(Identity::Host), Verdict::Allow, "{cell:?}");
                // ICMP in IPv4, ICMPv6 in IPv6.
                let is_ping = matches!(cell, (2, 2, 1) | (10, 2, 58));
                let granted = decide_socket(member(100), network_flag::PING, family, kind, protocol);
                assert_eq!(granted, if is_ping { Verdict::Allow } else { expected }, "{cell:?}");
                for (flag, raw) in
                    [(network_flag::RAW_ICMP, (2, 3, 1)), (network_flag::RAW_ICMPV6, (10, 3, 58))]
                {
                    let granted = decide_socket(member(100), flag, family, kind, protocol);
                    assert_eq!(granted, if cell == raw { Verdict::Allow } else { expected }, "{cell:?}");
                }
                let unknown = Verdict::Deny(Errno::Eacces, Reason::UnknownActor);
                assert_eq!(decided(Identity::Unknown), unknown, "{cell:?}");
            }
        }
    }
    assert_eq!(
        decide_socket(member(100), 0, number::AF_INET, number::SOCK_STREAM, 132),
        Verdict::Deny(Errno::Eprotonosupport, Reason::SocketFamily),
        "SCTP has associations with addresses that no program sees"
    );
}

#[test]
fn netlink_is_for_questions() {
    // `include/uapi/linux/rtnetlink.h`: RTM_BASE is 16, and each kind of object has NEW, DEL, GET, SET.
    for kind in 0..=u16::MAX {
        let is_question = kind < 16 || (kind - 16) % 4 == 2;
        assert_eq!(is_netlink_question(kind), is_question, "{kind}");
    }
    // RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE; RTM_NEWLINK, RTM_DELADDR, RTM_NEWROUTE, RTM_SETLINK.
    assert!([18, 22, 26].into_iter().all(is_netlink_question));
    assert!(![16, 21, 24, 19].into_iter().any(is_netlink_question));
}

/// Options that are denied for ever, and those that a flag grants, by level (`SOL_IP` 0, `SOL_SOCKET` 1, `SOL_IPV6` 41) and number.
const OPTIONS: &[(u32, u32, u32)] = &[
    // SO_BROADCAST.
    (1, 6, network_flag::BROADCAST),
    // SO_BINDTODEVICE, SO_BINDTOIFINDEX.
    (1, 25, 0),
    (1, 62, 0),
    // IP_OPTIONS.
    (0, 4, 0),
    // IPV6_RTHDR, IPV6_2292RTHDR.
    (41, 57, 0),
    (41, 5, 0),
    // IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP.
    (0, 35, network_flag::MULTICAST),
    (0, 39, network_flag::MULTICAST),
    (0, 42, network_flag::MULTICAST),
    (0, 46, network_flag::MULTICAST),
    // IPV6_ADD_MEMBERSHIP, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP.
    (41, 20, network_flag::MULTICAST),
    (41, 42, network_flag::MULTICAST),
    (41, 46, network_flag::MULTICAST),
    // IPV6_JOIN_ANYCAST.
    (41, 27, 0),
];

#[test]
fn socket_options_follow_their_table() {
    let denied = Verdict::Deny(Errno::Eperm, Reason::SocketOption);
    for flags in 0..1 << 7 {
        for level in 0..=300 {
            for option in 0..=100 {
                let row = OPTIONS.iter().find(|(of, number, _)| (*of, *number) == (level, option));
                let is_granted = row.is_none_or(|(.., grant)| flags & grant != 0);
                let expected = if is_granted { Verdict::Allow } else { denied };
                assert_eq!(
                    decide_socket_option(flags, level, option),
                    expected,
                    "{level} {option} {flags:#x}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The kinds as the standard library has them; it knows nothing of our loopback addresses of IPv6.
    #[test]
    fn kinds_are_those_that_everybody_knows(v4 in any::<u32>(), v6 in any::<u128>()) {
        let known = Ipv4Addr::from_bits(v4);
        let kind = Address::v4(v4.to_be()).kind();
        prop_assert_eq!(kind == AddressKind::Any, known.is_unspecified());
        prop_assert_eq!(kind == AddressKind::Loopback, known.is_loopback());
        prop_assert_eq!(kind == AddressKind::Multicast, known.is_multicast());
        prop_assert_eq!(kind == AddressKind::Broadcast, known.is_broadcast());
        let known = Ipv6Addr::from_bits(v6);
        let kind = address(&known.to_string()).kind();
        prop_assert_eq!(kind == AddressKind::Multicast, known.is_multicast());
    }
}
