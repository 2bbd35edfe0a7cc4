//! Which sockets may be made, and what may be asked of them.

use super::icmp::{IcmpGrant, is_icmp};
use super::rules::network_flag;
use crate::context::Identity;
use crate::verdict::{Errno, Reason, Verdict};

/// Numbers of address families, socket types and protocols (`include/linux/socket.h`, `include/uapi/linux/in.h`).
pub mod number {
    /// `AF_UNSPEC`.
    pub const AF_UNSPEC: u32 = 0;
    /// `AF_UNIX`.
    pub const AF_UNIX: u32 = 1;
    /// `AF_INET`.
    pub const AF_INET: u32 = 2;
    /// `AF_INET6`.
    pub const AF_INET6: u32 = 10;
    /// `AF_NETLINK`.
    pub const AF_NETLINK: u32 = 16;
    /// `SOCK_STREAM`.
    pub const SOCK_STREAM: u32 = 1;
    /// `SOCK_DGRAM`.
    pub const SOCK_DGRAM: u32 = 2;
    /// `SOCK_RAW`.
    pub const SOCK_RAW: u32 = 3;
    /// `IPPROTO_TCP`.
    pub const TCP: u32 = 6;
    /// `IPPROTO_UDP`.
    pub const UDP: u32 = 17;
    /// `IPPROTO_ICMP`.
    pub const ICMP: u32 = 1;
    /// `IPPROTO_ICMPV6`.
    pub const ICMPV6: u32 = 58;
    /// `IPPROTO_UDPLITE`.
    pub const UDPLITE: u32 = 136;
    /// `NETLINK_ROUTE`.
    pub const NETLINK_ROUTE: u32 = 0;
}

/// Which sockets a context with addresses may make (others are not asked about): those whose every address comes by our programs.
///
/// | family               | type, protocol                         | verdict for a member |
/// |----------------------|----------------------------------------|----------------------|
/// | `AF_UNIX`            | any                                    | allow                |
/// | `AF_INET`, `AF_INET6` | stream: 0, TCP; datagram: 0, UDP, UDP-Lite | allow            |
/// | `AF_INET`, `AF_INET6` | datagram: ICMP, `ICMPv6`                | if granted, else EACCES, what `ping_group_range` says |
/// | `AF_INET`, `AF_INET6` | raw: ICMP, `ICMPv6`                     | if granted, else EPERM, as without `CAP_NET_RAW` |
/// | `AF_INET`, `AF_INET6` | raw: any other                         | EPERM                |
/// | `AF_INET`, `AF_INET6` | any other                              | EPROTONOSUPPORT      |
/// | `AF_NETLINK`         | `NETLINK_ROUTE`                        | allow                |
/// | `AF_NETLINK`         | any other                              | EPROTONOSUPPORT      |
/// | any other            | any                                    | EAFNOSUPPORT         |
///
/// The host and the kernel itself may make any; whose tag cannot be read, none.
#[inline(always)]
pub const fn decide_socket(
    actor: Identity,
    rules_flags: u32,
    family: u32,
    kind: u32,
    protocol: u32,
) -> Verdict {
    match actor {
        Identity::Host => return Verdict::Allow,
        Identity::Unknown => return Verdict::Deny(Errno::Eacces, Reason::UnknownActor),
        Identity::Member(_) => {}
    }
    let errno = match (family, kind, protocol) {
        (number::AF_UNIX, ..)
        | (number::AF_INET | number::AF_INET6, number::SOCK_STREAM, 0 | number::TCP)
        | (number::AF_INET | number::AF_INET6, number::SOCK_DGRAM, 0 | number::UDP | number::UDPLITE)
        | (number::AF_NETLINK, _, number::NETLINK_ROUTE) => return Verdict::Allow,
        (number::AF_INET | number::AF_INET6, number::SOCK_DGRAM, number::ICMP | number::ICMPV6)
        | (number::AF_INET | number::AF_INET6, number::SOCK_RAW, _) => {
            let grant = IcmpGrant::of(family, kind == number::SOCK_RAW);
            if rules_flags & grant.flag != 0 && is_icmp(family, protocol) {
                return Verdict::Allow;
            }
            grant.errno
        }
        (number::AF_INET | number::AF_INET6 | number::AF_NETLINK, ..) => Errno::Eprotonosupport,
        _ => Errno::Eafnosupport,
    };
    Verdict::Deny(errno, Reason::SocketFamily)
}

/// Whether a netlink message asks only: of `RTM_NEW*`, `RTM_DEL*`, `RTM_GET*`, `RTM_SET*`, which come in fours, the third
/// (`net/core/rtnetlink.c:rtnetlink_rcv_msg`), and of the control messages below 16 all, which carry no order.
#[inline(always)]
pub const fn is_netlink_question(kind: u16) -> bool {
    kind < 16 || kind & 3 == 2
}

/// Socket options that reach beyond the socket (`include/uapi/asm-generic/socket.h`, `include/uapi/linux/in.h`, `in6.h`).
///
/// | level      | options                                         | verdict for a context with addresses |
/// |------------|-------------------------------------------------|-------------------------------|
/// | `SOL_SOCKET` | `SO_BROADCAST`                                | EPERM unless granted          |
/// | `SOL_SOCKET` | `SO_BINDTODEVICE`, `SO_BINDTOIFINDEX`         | EPERM: packets of one device only, beside a socket for all |
/// | `SOL_IP`, `SOL_IPV6` | joining a group                       | EPERM unless granted          |
/// | `SOL_IP`, `SOL_IPV6` | `IP_OPTIONS`, `IPV6_RTHDR`            | EPERM: a source route goes around the destination |
/// | any        | all else                                        | allow; the kernel asks for capabilities that no context has where there is more |
#[inline(always)]
pub const fn decide_socket_option(rules_flags: u32, level: u32, option: u32) -> Verdict {
    let is_granted = match (level, option) {
        // SOL_SOCKET.
        (1, 6) => rules_flags & network_flag::BROADCAST != 0,
        // IP_OPTIONS, and IPV6_RTHDR as it is and as it was (IPV6_2292RTHDR).
        (1, 25 | 62) | (0, 4) | (41, 57 | 5) => false,
        // IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP, and MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP of both levels.
        (0, 35 | 39 | 42 | 46) | (41, 20 | 42 | 46) => rules_flags & network_flag::MULTICAST != 0,
        // IPV6_JOIN_ANYCAST.
        (41, 27) => false,
        _ => true,
    };
    if is_granted { Verdict::Allow } else { Verdict::Deny(Errno::Eperm, Reason::SocketOption) }
}
