//! Sockets of ICMP: for echo requests without a capability (`net/ipv4/ping.c`), and raw ones (`net/ipv4/raw.c`, `net/ipv6/raw.c`).
//!
//! Of their addresses the programs of cgroups see the `connect(2)` of ping sockets only, so bind and send are decided by hooks of the LSM. One
//! that is bound to no address sends from where the route says: it carries a mark of its context, and the loader gives that mark routes of
//! its own (`vs-loader/src/host_network`). What a raw one receives is decided by [`super::decide_receive`].

use super::address::{Address, AddressKind};
use super::number;
use super::rules::{NetworkRules, network_flag};
use crate::id::Xid;
use crate::verdict::{Errno, Reason, Verdict};

/// The bits of a packet's mark that say that it is of a context's socket of ICMP.
pub const ICMP_MARK: u32 = 0x5600_0000;
/// Which bits of a mark these are.
pub const ICMP_MARK_MASK: u32 = 0xff00_0000;

/// The mark of a context's sockets of ICMP.
#[inline(always)]
pub const fn icmp_mark(xid: Xid) -> u32 {
    ICMP_MARK | (xid.0 & 0xffff)
}

/// Whether a socket for datagrams or a raw one, of this family and protocol, is one of the family's ICMP.
#[inline(always)]
pub const fn is_icmp(family: u32, protocol: u32) -> bool {
    match family {
        number::AF_INET => protocol == number::ICMP,
        number::AF_INET6 => protocol == number::ICMPV6,
        _ => false,
    }
}

/// What policy has to grant for a socket of ICMP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IcmpGrant {
    /// The [`network_flag`].
    pub flag: u32,
    /// The answer to who has none: what the kernel says where `ping_group_range` or a capability is missing.
    pub errno: Errno,
}

impl IcmpGrant {
    /// Of a socket of this family, raw or for pings.
    #[inline(always)]
    pub const fn of(family: u32, is_raw: bool) -> Self {
        match (is_raw, family) {
            (false, _) => Self { flag: network_flag::PING, errno: Errno::Eacces },
            (true, number::AF_INET) => Self { flag: network_flag::RAW_ICMP, errno: Errno::Eperm },
            (true, _) => Self { flag: network_flag::RAW_ICMPV6, errno: Errno::Eperm },
        }
    }
}

/// What `bind(2)` of such a socket comes to. There are no ports, and no other listener to find: ANY stays ANY.
///
/// | asked                | verdict                                                    |
/// |----------------------|------------------------------------------------------------|
/// | ANY                  | allow                                                      |
/// | loopback             | shared: allow but for others' private; else EADDRNOTAVAIL  |
/// | unicast              | allow if it is the context's, else EADDRNOTAVAIL           |
/// | multicast, broadcast | EADDRNOTAVAIL                                              |
#[inline(always)]
pub const fn decide_icmp_bind(rules: &NetworkRules, asked: &Address, is_listed: bool) -> Verdict {
    let may = match asked.kind() {
        AddressKind::Any => true,
        AddressKind::Loopback => rules.has(network_flag::LOOPBACK_SHARED) && !asked.is_context_loopback(),
        AddressKind::Unicast => is_listed,
        AddressKind::Multicast | AddressKind::Broadcast => false,
    };
    if may { Verdict::Allow } else { Verdict::Deny(Errno::Eaddrnotavail, Reason::ForeignAddress) }
}

/// What a destination of such a socket comes to.
///
/// | asked                            | verdict                                                  |
/// |----------------------------------|----------------------------------------------------------|
/// | any, and the grant is missing (by now) | EACCES; of a raw socket EPERM                      |
/// | ANY, loopback                    | shared: allow but for others' private; else ENETUNREACH  |
/// | unicast                          | allow if there is an address to send from, else ENETUNREACH |
/// | link-local, multicast, broadcast | ENETUNREACH: their source is the interface's             |
///
/// On a private loopback nobody would answer: the kernel answers echo requests, from the address that they are for, and the context's own
/// loopback would be shown as it is. A context that uses the host's addresses goes where the host goes.
#[inline(always)]
pub const fn decide_icmp_destination(rules: &NetworkRules, grant: IcmpGrant, asked: &Address) -> Verdict {
    if rules.has(network_flag::HOST) {
        return Verdict::Allow;
    }
    if !rules.has(grant.flag) {
        return Verdict::Deny(grant.errno, Reason::SocketFamily);
    }
    let may = match asked.kind() {
        AddressKind::Any | AddressKind::Loopback => {
            rules.has(network_flag::LOOPBACK_SHARED) && !asked.is_context_loopback()
        }
        AddressKind::Unicast if asked.is_link_local() => false,
        AddressKind::Unicast if asked.is_v4() => rules.has(network_flag::V4),
        AddressKind::Unicast => rules.has(network_flag::V6),
        AddressKind::Multicast | AddressKind::Broadcast => false,
    };
    if may { Verdict::Allow } else { Verdict::Deny(Errno::Enetunreach, Reason::UnreachableAddress) }
}

/// Options that are refused to such a socket beside those that are to every one, whatever is granted.
///
/// | option                                     | of           | since with it                                             |
/// |--------------------------------------------|--------------|-----------------------------------------------------------|
/// | `SO_BROADCAST`                             | both         | it would reach the broadcast addresses of networks        |
/// | `IP_UNICAST_IF`                            | both         | it would go past the routes, and the source would be the interface's (`net/ipv4/route.c:ip_route_output_key_hash_rcu`) |
/// | `IP_HDRINCL`, `IPV6_HDRINCL`               | raw          | it would write its source itself                          |
/// | `IP_TRANSPARENT`, `IPV6_TRANSPARENT`, `SO_MARK` | raw     | its source, or its routes, would be another's             |
/// | `IP_RECVERR`, `IPV6_RECVERR`               | raw          | errors about others' packets come to it, with a part of the packet, past every filter (`net/ipv4/raw.c:raw_err`) |
#[inline(always)]
pub const fn decide_icmp_option(is_raw: bool, level: u32, option: u32) -> Verdict {
    let is_refused = match (level, option) {
        (1, 6) | (0, 50) => true,
        (0, 3 | 11 | 19) | (41, 25 | 36 | 75) | (1, 36) => is_raw,
        _ => false,
    };
    if is_refused { Verdict::Deny(Errno::Eperm, Reason::SocketOption) } else { Verdict::Allow }
}
