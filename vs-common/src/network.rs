//! Addresses that belong to contexts: what a socket of a context may bind to, where it may send, and what it is shown.
//!
//! VServer's rules (`vserver-semantics` 1.6): an address that is not the context's is not there (EADDRNOTAVAIL); ANY is the context's
//! primary address; 127.0.0.0/8 is the context's own. Here they are decided; `vs-ebpf/src/network` carries them out.

use crate::context::Identity;
use crate::id::{Epoch, Generation, Xid};
use crate::verdict::{Errno, Reason, Verdict};

/// An address of IPv4 or IPv6 as four words in network order, IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Address(pub [u32; 4]);

/// The word before an IPv4 address: `::ffff`.
const MAPPED: u32 = 0xffff_u32.to_be();
/// The network that IPv6 loopback addresses of contexts lie in, `fd56:7365:7276::/64`: a unique local one (RFC 4193), of which each
/// context has one address on `lo`. IPv6 has a single loopback address where IPv4 has a network of them.
pub const LOOPBACK6_NETWORK: [u32; 2] = [0xfd56_7365_u32.to_be(), 0x7276_0000_u32.to_be()];

impl Address {
    /// `::`, and what an absent address is written as.
    pub const NONE: Self = Self([0; 4]);
    /// `::1`.
    pub const LOOPBACK6: Self = Self([0, 0, 0, 1_u32.to_be()]);

    /// An IPv4 address in network order.
    #[inline(always)]
    pub const fn v4(word: u32) -> Self {
        Self([0, 0, MAPPED, word])
    }

    /// Whether it is one of IPv4.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == MAPPED
    }

    /// The IPv4 address in network order.
    #[inline(always)]
    pub const fn v4_word(&self) -> u32 {
        self.0[3]
    }

    /// The IPv4 loopback address of a context that stands for one of 127.0.0.0/8: 127.hi(xid).lo(xid).last octet.
    #[inline(always)]
    pub const fn own_loopback4(xid: Xid, asked: u32) -> u32 {
        let last = u32::from_be(asked) & 0xff;
        (0x7f00_0000 | (xid.0 & 0xffff) << 8 | last).to_be()
    }

    /// What a context is shown for an IPv4 loopback address of its own: 127.0.0.last octet.
    #[inline(always)]
    pub const fn shown_loopback4(own: u32) -> u32 {
        (0x7f00_0000 | (u32::from_be(own) & 0xff)).to_be()
    }

    /// The context that an IPv4 loopback address belongs to; 0: the host.
    #[inline(always)]
    pub const fn loopback4_owner(word: u32) -> Xid {
        Xid((u32::from_be(word) >> 8) & 0xffff)
    }

    /// Whether an IPv4 address is one of 127.0.0.0/8.
    #[inline(always)]
    pub const fn is_loopback4(word: u32) -> bool {
        u32::from_be(word) >> 24 == 127
    }

    /// The IPv6 loopback address of a context.
    #[inline(always)]
    pub const fn own_loopback6(xid: Xid) -> Self {
        Self([LOOPBACK6_NETWORK[0], LOOPBACK6_NETWORK[1], 0, (xid.0 << 16 | 1).to_be()])
    }

    /// Whether it lies in the network of contexts' IPv6 loopback addresses.
    #[inline(always)]
    pub const fn is_own_loopback6(&self) -> bool {
        self.0[0] == LOOPBACK6_NETWORK[0] && self.0[1] == LOOPBACK6_NETWORK[1]
    }

    /// Whether it is on the private loopback that some context has or could have. 127.0.0.0/24 is the host's, and so is 127.0.1.0/24, where
    /// Debian puts the host name: 1 is the spectator's xid, which has no addresses.
    #[inline(always)]
    pub const fn is_context_loopback(&self) -> bool {
        if self.is_v4() {
            Self::is_loopback4(self.0[3]) && Self::loopback4_owner(self.0[3]).0 > Xid::SPECTATOR.0
        } else {
            self.is_own_loopback6()
        }
    }

    /// The context that an IPv6 loopback address belongs to.
    #[inline(always)]
    pub const fn loopback6_owner(&self) -> Xid {
        Xid(u32::from_be(self.0[3]) >> 16)
    }

    /// What it is.
    #[inline(always)]
    pub const fn kind(&self) -> AddressKind {
        if self.is_v4() {
            let word = u32::from_be(self.0[3]);
            return match word >> 24 {
                // "This network": the kernel takes 0.0.0.0 alone as ANY, and no host has another of these.
                0 if word == 0 => AddressKind::Any,
                127 => AddressKind::Loopback,
                224..=239 => AddressKind::Multicast,
                255 if word == u32::MAX => AddressKind::Broadcast,
                _ => AddressKind::Unicast,
            };
        }
        if self.0[0] == 0 && self.0[1] == 0 && self.0[2] == 0 {
            match u32::from_be(self.0[3]) {
                0 => return AddressKind::Any,
                1 => return AddressKind::Loopback,
                _ => {}
            }
        }
        if u32::from_be(self.0[0]) >> 24 == 0xff {
            return AddressKind::Multicast;
        }
        if self.is_own_loopback6() { AddressKind::Loopback } else { AddressKind::Unicast }
    }
}

/// What an address stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressKind {
    /// 0.0.0.0 or `::`.
    Any,
    /// 127.0.0.0/8, `::1`, or a context's own loopback address.
    Loopback,
    /// 224.0.0.0/4, `ff00::/8`.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// All else.
    Unicast,
}

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

/// The bits of [`NetworkRules::flags`].
pub mod network_flag {
    /// There is a primary IPv4 address.
    pub const V4: u32 = 1;
    /// There is a primary IPv6 address.
    pub const V6: u32 = 1 << 1;
    /// `loopback = "private"`: 127.0.0.0/8 and `::1` are the context's own.
    pub const LOOPBACK_PRIVATE: u32 = 1 << 2;
    /// `loopback = "shared"`: they are the host's. Neither bit: there is no loopback.
    pub const LOOPBACK_SHARED: u32 = 1 << 3;
    /// `multicast = true`: groups may be joined and sent to.
    pub const MULTICAST: u32 = 1 << 4;
    /// `broadcast = true`.
    pub const BROADCAST: u32 = 1 << 5;
    /// `show_any = true`: a socket bound to ANY is shown ANY.
    pub const SHOW_ANY: u32 = 1 << 6;
    /// The context has no addresses of its own and uses the host's, all but the private loopbacks of others.
    pub const HOST: u32 = 1 << 7;
}

/// What policy says of one context's addresses in one epoch: the value of `NETWORKS`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NetworkRules {
    /// The generation that the rules are for.
    pub generation: Generation,
    /// [`network_flag`] bits.
    pub flags: u32,
    /// Always 0.
    pub reserved: u32,
    /// What ANY is in IPv4, and the source of what goes out.
    pub primary4: Address,
    /// The same in IPv6.
    pub primary6: Address,
}

const _: () = assert!(size_of::<NetworkRules>() == 48);

impl NetworkRules {
    /// Whether one of some [`network_flag`]s is set.
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// The data of a key of `ADDRESSES`, a trie over prefixes: the first 64 bits are always compared.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AddressKey {
    /// The load that the row belongs to.
    pub epoch: Epoch,
    /// Whose list the address is on; 0: of the list that says whose an address is.
    pub xid: Xid,
    /// The address.
    pub address: Address,
}

const _: () = assert!(size_of::<AddressKey>() == 24);

/// Bits of [`AddressKey`] before the address.
pub const ADDRESS_KEY_BITS: u32 = 64;

/// The key of `LISTENERS`: where packets for a context's address and port go.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerKey {
    /// The context.
    pub xid: Xid,
    /// The port, in the machine's order, and [`LISTENER_V6`].
    pub port: u32,
    /// The address; none: the socket was bound to ANY.
    pub address: Address,
}

const _: () = assert!(size_of::<ListenerKey>() == 24);

/// In [`ListenerKey::port`]: for IPv6.
pub const LISTENER_V6: u32 = 1 << 16;

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
/// A context that uses the host's addresses gets what it asks for but for others' private loopback.
#[inline(always)]
pub const fn decide_bind(rules: &NetworkRules, asked: &Address, reach: Reach, is_listed: bool) -> BindChoice {
    const REFUSED: BindChoice = BindChoice::Refused(Errno::Eaddrnotavail, Reason::ForeignAddress);
    if rules.has(network_flag::HOST) {
        return if asked.is_context_loopback() { REFUSED } else { BindChoice::AsAsked };
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
/// | `AF_INET`, `AF_INET6` | datagram: ICMP, `ICMPv6`                | EACCES, what `ping_group_range` says |
/// | `AF_INET`, `AF_INET6` | raw                                    | EPERM, as without `CAP_NET_RAW` |
/// | `AF_INET`, `AF_INET6` | any other                              | EPROTONOSUPPORT      |
/// | `AF_NETLINK`         | `NETLINK_ROUTE`                        | allow                |
/// | `AF_NETLINK`         | any other                              | EPROTONOSUPPORT      |
/// | any other            | any                                    | EAFNOSUPPORT         |
///
/// The host and the kernel itself may make any; whose tag cannot be read, none.
#[inline(always)]
pub const fn decide_socket(actor: Identity, family: u32, kind: u32, protocol: u32) -> Verdict {
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
        (number::AF_INET | number::AF_INET6, number::SOCK_DGRAM, number::ICMP | number::ICMPV6) => {
            Errno::Eacces
        }
        (number::AF_INET | number::AF_INET6, number::SOCK_RAW, _) => Errno::Eperm,
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

#[cfg(feature = "user")]
mod user {
    //! SAFETY of all: `repr(C)`, `Copy`, no padding (the sizes are asserted above), every bit pattern is a value.
    use super::{AddressKey, ListenerKey, NetworkRules};

    // SAFETY: see the module.
    unsafe impl aya::Pod for NetworkRules {}
    // SAFETY: see the module.
    unsafe impl aya::Pod for AddressKey {}
    // SAFETY: see the module.
    unsafe impl aya::Pod for ListenerKey {}
}
