//! Words for sockets and addresses: what the numbers of the network hooks' records mean.

use std::net::IpAddr;

use vs_common::hook::{Hook, Need, ProgramKind};
use vs_common::network::{Address, number};

use super::printable::Printable;
use super::record::Target;
use super::word::Word;
use crate::compile::network::to_ip;

/// The target of a record about a socket, from the words that a program wrote: family, port, the address in two, protocol.
pub(super) fn address(hook: Option<Hook>, words: &[u64; 5]) -> Target {
    let [family, port, high, low, protocol] = *words;
    let address = address_of(high, low);
    // Only these programs are called with an address, which may be all zeros: `::`.
    let is_given = hook.is_some_and(|hook| matches!(hook.info().kind, ProgramKind::SocketAddress(_)))
        || address != Address::NONE;
    let text = (is_given && is_internet(family)).then(|| shown(family, address).to_string());
    Target::Address {
        family: Word::new(family_name(family), family),
        protocol: protocol_word(family, protocol),
        address: text.map(|text| Printable::from_escaped(&text)),
        port,
    }
}

/// What was acted on where it is no context's.
pub(super) fn nobodys(hook: &Word) -> &'static str {
    let is_of_network = |known: &Hook| {
        matches!(known.info().need, Need::Network | Need::Ping | Need::Receive) && hook.is(known.name())
    };
    if Hook::ALL.iter().any(is_of_network) { "the network" } else { "the kernel" }
}

/// Four words in two, the first in the low half.
fn address_of(high: u64, low: u64) -> Address {
    let half = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or_default();
    Address([half(high), half(high >> 32), half(low), half(low >> 32)])
}

/// IPv4 as IPv4, also of a socket of IPv6. Of a socket of IPv4 zeros are its ANY.
fn shown(family: u64, address: Address) -> IpAddr {
    if family == INET && address == Address::NONE { to_ip(Address::v4(0)) } else { to_ip(address) }
}

const INET: u64 = number::AF_INET as u64;
const INET6: u64 = number::AF_INET6 as u64;
const NETLINK: u64 = number::AF_NETLINK as u64;

const fn is_internet(family: u64) -> bool {
    matches!(family, INET | INET6)
}

/// `AF_*` of `include/linux/socket.h`, those that somebody still uses.
const fn family_name(family: u64) -> Option<&'static str> {
    Some(match family {
        0 => "unspec",
        1 => "unix",
        INET => "inet",
        3 => "ax25",
        4 => "ipx",
        5 => "appletalk",
        9 => "x25",
        INET6 => "inet6",
        15 => "key",
        NETLINK => "netlink",
        17 => "packet",
        21 => "rds",
        24 => "pppox",
        29 => "can",
        30 => "tipc",
        31 => "bluetooth",
        38 => "alg",
        39 => "nfc",
        40 => "vsock",
        41 => "kcm",
        42 => "qipcrtr",
        43 => "smc",
        44 => "xdp",
        45 => "mctp",
        _ => return None,
    })
}

/// Of a family whose protocols have numbers of their own; 0 stands for whatever the type implies, but for netlink.
fn protocol_word(family: u64, protocol: u64) -> Option<Word> {
    let name = match family {
        INET | INET6 => internet_protocol(protocol),
        NETLINK => netlink_protocol(protocol),
        _ => None,
    };
    (protocol != 0 || family == NETLINK).then(|| Word::new(name, protocol))
}

/// `IPPROTO_*` of `include/uapi/linux/in.h`.
fn internet_protocol(protocol: u64) -> Option<&'static str> {
    Some(match u32::try_from(protocol).ok()? {
        number::ICMP => "icmp",
        number::TCP => "tcp",
        number::UDP => "udp",
        number::ICMPV6 => "icmpv6",
        number::UDPLITE => "udplite",
        33 => "dccp",
        132 => "sctp",
        255 => "raw",
        262 => "mptcp",
        _ => return None,
    })
}

/// `NETLINK_*` of `include/uapi/linux/netlink.h`.
const fn netlink_protocol(protocol: u64) -> Option<&'static str> {
    Some(match protocol {
        0 => "route",
        4 => "sock_diag",
        6 => "xfrm",
        9 => "audit",
        10 => "fib_lookup",
        11 => "connector",
        12 => "netfilter",
        15 => "kobject_uevent",
        16 => "generic",
        21 => "crypto",
        _ => return None,
    })
}

/// `SOCK_*` of `include/linux/net.h`.
pub(super) const fn socket_type(number: u64) -> Option<&'static str> {
    Some(match number {
        1 => "stream",
        2 => "dgram",
        3 => "raw",
        4 => "rdm",
        5 => "seqpacket",
        6 => "dccp",
        10 => "packet",
        _ => return None,
    })
}

/// The levels of `setsockopt(2)` at which anything is refused.
pub(super) const fn option_level(level: u64) -> Option<&'static str> {
    Some(match level {
        0 => "SOL_IP",
        1 => "SOL_SOCKET",
        41 => "SOL_IPV6",
        _ => return None,
    })
}

/// The options that can be refused (`include/uapi/asm-generic/socket.h`, `include/uapi/linux/in.h`, `in6.h`).
pub(super) const fn option_name(level: u64, option: u64) -> Option<&'static str> {
    Some(match (level, option) {
        (1, 6) => "SO_BROADCAST",
        (1, 25) => "SO_BINDTODEVICE",
        (1, 62) => "SO_BINDTOIFINDEX",
        (0, 4) => "IP_OPTIONS",
        (0, 35) => "IP_ADD_MEMBERSHIP",
        (0, 39) => "IP_ADD_SOURCE_MEMBERSHIP",
        (41, 5) => "IPV6_2292RTHDR",
        (41, 57) => "IPV6_RTHDR",
        (41, 20) => "IPV6_JOIN_GROUP",
        (41, 27) => "IPV6_JOIN_ANYCAST",
        (0 | 41, 42) => "MCAST_JOIN_GROUP",
        (0 | 41, 46) => "MCAST_JOIN_SOURCE_GROUP",
        _ => return None,
    })
}

/// What a program writes that found more messages in one buffer than it looks at.
const TOO_MANY_MESSAGES: u64 = u32::MAX as u64;

/// `RTM_*` of `include/uapi/linux/rtnetlink.h`: four to an object, of which two or three change it.
pub(super) fn netlink_message(kind: u64) -> Option<String> {
    const VERBS: [&str; 4] = ["NEW", "DEL", "GET", "SET"];
    const OBJECTS: [&str; 8] = ["LINK", "ADDR", "ROUTE", "NEIGH", "RULE", "QDISC", "TCLASS", "TFILTER"];
    if kind == TOO_MANY_MESSAGES {
        return Some("more messages at once than are looked at".to_owned());
    }
    let at = usize::try_from(kind.checked_sub(16)?).ok()?;
    Some(format!("RTM_{}{}", VERBS[at % 4], OBJECTS.get(at / 4)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use vs_common::network::{decide_socket_option, is_netlink_question};
    use vs_common::verdict::Verdict;

    /// As `vs-ebpf/src/audit.rs` packs them.
    fn words(family: u32, protocol: u32, port: u32, address: &Address) -> [u64; 5] {
        let words = &address.0;
        [
            u64::from(family),
            u64::from(port),
            u64::from(words[0]) | u64::from(words[1]) << 32,
            u64::from(words[2]) | u64::from(words[3]) << 32,
            u64::from(protocol),
        ]
    }

    fn json(hook: Hook, family: u32, protocol: u32, port: u32, address: Address) -> String {
        serde_json::to_string(&super::address(Some(hook), &words(family, protocol, port, &address))).unwrap()
    }

    #[test]
    fn addresses_come_back_as_they_were_packed() {
        let v4 = Address::v4(u32::from(Ipv4Addr::new(192, 0, 2, 10)).to_be());
        let v6 = Address([0x2001_0db8_u32.to_be(), 0, 0xabcd_u32.to_be(), 0x10_u32.to_be()]);
        assert_eq!(
            json(Hook::Bind4, 2, 6, 80, v4),
            r#"{"type":"address","family":"inet","protocol":"tcp","address":"192.0.2.10","port":80}"#
        );
        assert_eq!(
            json(Hook::Bind6, 10, 17, 53, v6),
            r#"{"type":"address","family":"inet6","protocol":"udp","address":"2001:db8::abcd:0:10","port":53}"#
        );
        // A socket of IPv6 that speaks IPv4.
        assert_eq!(
            json(Hook::Connect6, 10, 136, 53, v4),
            r#"{"type":"address","family":"inet6","protocol":"udplite","address":"192.0.2.10","port":53}"#
        );
        assert_eq!(
            json(Hook::Bind6, 10, 250, 0, Address::NONE),
            r#"{"type":"address","family":"inet6","protocol":250,"address":"::","port":0}"#
        );
    }

    #[test]
    fn what_has_no_address_is_shown_without_one() {
        assert_eq!(
            json(Hook::SocketCreate, 2, 1, 0, Address::NONE),
            r#"{"type":"address","family":"inet","protocol":"icmp","address":null,"port":0}"#
        );
        assert_eq!(
            json(Hook::SocketCreate, 17, 768, 0, Address::NONE),
            r#"{"type":"address","family":"packet","protocol":768,"address":null,"port":0}"#
        );
        assert_eq!(
            json(Hook::NetlinkSend, 16, 0, 0, Address::NONE),
            r#"{"type":"address","family":"netlink","protocol":"route","address":null,"port":0}"#
        );
        assert_eq!(
            json(Hook::SocketListen, 10, 0, 0, Address::NONE),
            r#"{"type":"address","family":"inet6","protocol":null,"address":null,"port":0}"#
        );
        assert_eq!(
            json(Hook::SocketCreate, 99, 0, 0, Address::NONE),
            r#"{"type":"address","family":99,"protocol":null,"address":null,"port":0}"#
        );
    }

    #[test]
    fn every_option_that_can_be_refused_has_a_name() {
        for level in 0..300 {
            for option in 0..300 {
                let is_refused = decide_socket_option(0, level, option) != Verdict::Allow;
                let name = option_name(level.into(), option.into());
                assert_eq!(is_refused, name.is_some(), "{level} {option}");
                assert!(!is_refused || option_level(level.into()).is_some());
            }
        }
    }

    #[test]
    fn messages_that_ask_are_those_that_get() {
        for kind in 16..48_u16 {
            let name = netlink_message(kind.into()).unwrap();
            assert_eq!(is_netlink_question(kind), name.starts_with("RTM_GET"), "{name}");
        }
        assert_eq!(netlink_message(u64::from(libc::RTM_NEWADDR)).unwrap(), "RTM_NEWADDR");
        assert_eq!(netlink_message(u64::from(libc::RTM_DELTFILTER)).unwrap(), "RTM_DELTFILTER");
        assert_eq!((netlink_message(15), netlink_message(48)), (None, None));
        assert!(netlink_message(TOO_MANY_MESSAGES).is_some());
    }
}
