//! Echo requests without a capability: sockets of ICMP datagrams (`net/ipv4/ping.c`).
//!
//! Of their addresses the programs of cgroups see `connect(2)` only, so bind and send are decided by hooks of the LSM. One that is bound to
//! no address sends from where the route says: it carries a mark of its context, and the loader gives that mark routes of its own
//! (`vs-loader/src/host_network`).

use super::address::{Address, AddressKind};
use super::number;
use super::rules::{NetworkRules, network_flag};
use crate::id::Xid;
use crate::verdict::{Errno, Reason, Verdict};

/// The bits of a packet's mark that say that it is of a context's ping socket.
pub const PING_MARK: u32 = 0x5600_0000;
/// Which bits of a mark these are.
pub const PING_MARK_MASK: u32 = 0xff00_0000;

/// The mark of a context's ping sockets.
#[inline(always)]
pub const fn ping_mark(xid: Xid) -> u32 {
    PING_MARK | (xid.0 & 0xffff)
}

/// Whether a socket for datagrams, of this family and protocol, is one of ICMP.
#[inline(always)]
pub const fn is_ping(family: u32, protocol: u32) -> bool {
    match family {
        number::AF_INET => protocol == number::ICMP,
        number::AF_INET6 => protocol == number::ICMPV6,
        _ => false,
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
pub const fn decide_ping_bind(rules: &NetworkRules, asked: &Address, is_listed: bool) -> Verdict {
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
/// | any, and `ping` is not granted (any more) | EACCES                                          |
/// | ANY, loopback                    | shared: allow but for others' private; else ENETUNREACH  |
/// | unicast                          | allow if there is an address to send from, else ENETUNREACH |
/// | link-local, multicast, broadcast | ENETUNREACH: their source is the interface's             |
///
/// On a private loopback nobody would answer: the kernel answers echo requests, from the address that they are for, and the context's own
/// loopback would be shown as it is. A context that uses the host's addresses goes where the host goes.
#[inline(always)]
pub const fn decide_ping_destination(rules: &NetworkRules, asked: &Address) -> Verdict {
    if rules.has(network_flag::HOST) {
        return Verdict::Allow;
    }
    if !rules.has(network_flag::PING) {
        return Verdict::Deny(Errno::Eacces, Reason::SocketFamily);
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

/// Options that are refused to such a socket beside those that are to every one, whatever is granted: with `SO_BROADCAST` it would reach the
/// broadcast addresses of networks, with `IP_UNICAST_IF` it would go past the routes, and the source would be the interface's
/// (`net/ipv4/route.c:ip_route_output_key_hash_rcu`).
#[inline(always)]
pub const fn decide_ping_option(level: u32, option: u32) -> Verdict {
    match (level, option) {
        (1, 6) | (0, 50) => Verdict::Deny(Errno::Eperm, Reason::SocketOption),
        _ => Verdict::Allow,
    }
}
