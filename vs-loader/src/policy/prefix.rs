//! Addresses and prefixes, which can be claimed once.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use vs_common::network::Address;

/// An address, or all that begin alike. Sorts as its addresses do, IPv4 before nearly all of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Prefix {
    /// The first address; of IPv4 mapped into IPv6. Bits beyond the length are 0.
    pub address: Address,
    /// How many bits are the same, of 128: for IPv4 96 more than its own.
    pub length: u8,
}

impl Prefix {
    /// All addresses whose first bits are these; `None`: there are bits beyond them, or the family has no such length.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let (bits, length) = match address {
            IpAddr::V4(address) => (address.to_ipv6_mapped().to_bits(), length.checked_add(96)?),
            IpAddr::V6(address) => (address.to_bits(), length),
        };
        let rest = u32::from(128_u8.checked_sub(length)?);
        let is_clean = 1_u128.checked_shl(rest).map_or(bits == 0, |step| bits % step == 0);
        is_clean.then(|| Self { address: from_bits(bits), length })
    }

    /// All addresses whose first bits are those of this one, as many as `length` says, at most as many as the family has.
    pub fn around(address: IpAddr, length: u8) -> Self {
        let length = if address.is_ipv4() { length.saturating_add(96) } else { length }.min(128);
        let rest = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
        Self { address: from_bits(to_bits(to_address(address)) & !rest), length }
    }

    /// One address.
    pub fn single(address: IpAddr) -> Self {
        Self { address: to_address(address), length: 128 }
    }

    /// Whether it is one address.
    pub const fn is_single(&self) -> bool {
        self.length == 128
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: Address) -> bool {
        let rest = u32::from(128 - self.length);
        let differing = to_bits(self.address) ^ to_bits(address);
        differing.checked_shr(rest).is_none_or(|bits| bits == 0)
    }

    /// Whether some address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (wide, narrow) = if self.length <= other.length { (self, other) } else { (other, self) };
        wide.contains(narrow.address)
    }

    /// The first address.
    pub fn first(&self) -> IpAddr {
        to_ip(self.address)
    }

    /// The first address that a host can have. Before it comes the network's own, in IPv4 (RFC 1812, 4.2.2.11), and the one that stands
    /// for its routers, in IPv6 (RFC 4291, 2.6.1); a prefix of two addresses has neither (RFC 3021, RFC 6164).
    pub fn first_usable(&self) -> IpAddr {
        match self.length {
            127.. => self.first(),
            _ => to_ip(from_bits(to_bits(self.address) + 1)),
        }
    }

    /// The length in bits of its own family.
    pub const fn family_length(&self) -> u8 {
        if self.address.is_v4() { self.length - 96 } else { self.length }
    }

    /// Its first and its last address as numbers.
    fn bounds(&self) -> (u128, u128) {
        let first = to_bits(self.address);
        (first, first | u128::MAX.checked_shr(u32::from(self.length)).unwrap_or(0))
    }
}

/// How a prefix meets one that it overlaps with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overlap {
    /// They are the same.
    Same,
    /// It is a part of the other.
    Part,
    /// The other is a part of it.
    Whole,
}

impl Overlap {
    /// Of two that overlap.
    pub const fn of(prefix: &Prefix, other: &Prefix) -> Self {
        if prefix.length == other.length {
            Self::Same
        } else if other.length < prefix.length {
            Self::Part
        } else {
            Self::Whole
        }
    }
}

impl Ord for Prefix {
    fn cmp(&self, other: &Self) -> Ordering {
        (to_bits(self.address), self.length).cmp(&(to_bits(other.address), other.length))
    }
}

impl PartialOrd for Prefix {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first())?;
        if self.is_single() { Ok(()) } else { write!(f, "/{}", self.family_length()) }
    }
}

/// Who has which addresses: no address twice.
#[derive(Clone, Debug)]
pub struct Claims<T> {
    /// By their last address. They do not overlap, so the first of them that ends behind a place is the only one that can begin before.
    by_end: BTreeMap<u128, (Prefix, T)>,
}

impl<T> Default for Claims<T> {
    fn default() -> Self {
        Self { by_end: BTreeMap::new() }
    }
}

impl<T> Claims<T> {
    /// A claim that overlaps with this prefix, and whose it is.
    pub fn overlapping(&self, prefix: &Prefix) -> Option<&(Prefix, T)> {
        let (first, _) = prefix.bounds();
        let (_, candidate) = self.by_end.range(first..).next()?;
        candidate.0.overlaps(prefix).then_some(candidate)
    }

    /// Adds a claim. The caller has made sure that it overlaps with none.
    pub fn insert(&mut self, prefix: Prefix, owner: T) {
        debug_assert!(self.overlapping(&prefix).is_none(), "no address has two owners");
        self.by_end.insert(prefix.bounds().1, (prefix, owner));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_end.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_end.is_empty()
    }
}

/// As the maps have it.
pub fn to_address(address: IpAddr) -> Address {
    from_bits(match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    })
}

/// As people have it.
pub fn to_ip(address: Address) -> IpAddr {
    let address = Ipv6Addr::from_bits(to_bits(address));
    address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
}

fn from_bits(bits: u128) -> Address {
    let bytes = bits.to_be_bytes();
    let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Address([word(0), word(4), word(8), word(12)])
}

fn to_bits(address: Address) -> u128 {
    address.0.iter().fold(0, |bits, word| bits << 32 | u128::from(u32::from_be(*word)))
}
