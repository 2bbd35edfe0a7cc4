//! Addresses, and what they stand for.

use crate::id::Xid;

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

    /// Whether it says nothing without an interface: 169.254.0.0/16, `fe80::/10`.
    #[inline(always)]
    pub const fn is_link_local(&self) -> bool {
        if self.is_v4() {
            u32::from_be(self.0[3]) >> 16 == 0xa9fe
        } else {
            u32::from_be(self.0[0]) >> 22 == 0xfe80 >> 6
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
