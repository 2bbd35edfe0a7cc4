//! Kinds of sockets.

use vs_common::network::number::{
    AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, ICMP, ICMPV6, NETLINK_ROUTE, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM,
    TCP, UDP, UDPLITE,
};
use vs_common::network::{IcmpGrant, is_icmp};

/// Which socket is to be made: what the hook is told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketKind {
    /// The word for it.
    pub name: &'static str,
    /// Which sockets these are.
    pub meaning: &'static str,
    pub(super) family: u32,
    pub(super) kind: u32,
    pub(super) protocol: u32,
}

impl SocketKind {
    /// Whether it is of this address family.
    pub const fn is_of(&self, family: u32) -> bool {
        self.family == family
    }

    /// The flag that policy has to set for one of ICMP; `None`: it is none.
    pub const fn icmp_grant(&self) -> Option<u32> {
        let is_raw = self.kind == SOCK_RAW;
        if (is_raw || self.kind == SOCK_DGRAM) && is_icmp(self.family, self.protocol) {
            Some(IcmpGrant::of(self.family, is_raw).flag)
        } else {
            None
        }
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SOCKET_KINDS.iter().find(|kind| kind.name == name)
    }
}

const fn socket(
    name: &'static str,
    family: u32,
    kind: u32,
    protocol: u32,
    meaning: &'static str,
) -> SocketKind {
    SocketKind { name, meaning, family, kind, protocol }
}

/// Kinds of sockets that somebody uses, at least one for every line of [`vs_common::network::decide_socket`]. What is one of IPv4 here is
/// the same in IPv6.
pub const SOCKET_KINDS: &[SocketKind] = &[
    socket("unix", AF_UNIX, SOCK_STREAM, 0, "sockets with names in the file system, or without any"),
    socket("tcp", AF_INET, SOCK_STREAM, TCP, "TCP, over IPv4 or IPv6"),
    socket("udp", AF_INET, SOCK_DGRAM, UDP, "UDP, over IPv4 or IPv6"),
    socket("udplite", AF_INET, SOCK_DGRAM, UDPLITE, "UDP-Lite, over IPv4 or IPv6"),
    socket(
        "ping",
        AF_INET,
        SOCK_DGRAM,
        ICMP,
        "echo requests without a capability, where ping_group_range lets",
    ),
    socket("raw", AF_INET, SOCK_RAW, ICMP, "packets of ICMP that the process builds itself"),
    socket("raw6", AF_INET6, SOCK_RAW, ICMPV6, "the same of ICMPv6"),
    socket("raw-headers", AF_INET, SOCK_RAW, 255, "packets with headers of their own"),
    socket("mptcp", AF_INET, SOCK_STREAM, 262, "Multipath TCP"),
    socket("sctp", AF_INET, SOCK_STREAM, 132, "SCTP"),
    socket(
        "netlink-route",
        AF_NETLINK,
        SOCK_RAW,
        NETLINK_ROUTE,
        "links, addresses and routes: ip, getifaddrs",
    ),
    socket("netlink-diagnosis", AF_NETLINK, SOCK_RAW, 4, "lists of sockets: ss"),
    socket("netlink-audit", AF_NETLINK, SOCK_RAW, 9, "the kernel's audit: auditd, PAM"),
    socket("netlink-netfilter", AF_NETLINK, SOCK_RAW, 12, "the packet filter: nft"),
    socket("netlink-uevent", AF_NETLINK, SOCK_RAW, 15, "what happens to devices: udev"),
    socket("netlink-generic", AF_NETLINK, SOCK_RAW, 16, "all else of netlink: wireguard, nl80211"),
    socket("packet", 17, SOCK_RAW, 0, "whole frames: tcpdump, dhclient"),
    socket("bluetooth", 31, SOCK_RAW, 0, "Bluetooth"),
    socket("alg", 38, 5, 0, "the kernel's cryptography"),
    socket("vsock", 40, SOCK_STREAM, 0, "between a virtual machine and its host"),
    socket("xdp", 44, SOCK_RAW, 0, "frames past the kernel's network stack"),
];
