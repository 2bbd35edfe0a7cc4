//! Prefixes against a model that looks at every bit, and claims against one that looks at every pair.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use crate::compile::network::{Prefix, to_address, to_ip};
use crate::policy::Claims;

/// The bits of an address, of its own family.
fn bits(address: IpAddr) -> Vec<bool> {
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1)).collect()
}

/// Addresses that often begin alike and often have zeros at the end. IPv4 written as IPv6 is refused before there is a prefix.
fn any_address() -> impl Strategy<Value = IpAddr> {
    let v4 = (any::<u32>(), 0u32..=32, any::<bool>()).prop_map(|(bits, zeros, is_near)| {
        let bits = if is_near { 0xc000_0200 | bits & 0xff } else { bits };
        IpAddr::V4(Ipv4Addr::from_bits(bits & u32::MAX.checked_shl(zeros).unwrap_or(0)))
    });
    let v6 = (any::<u128>(), 0u32..=128, any::<bool>()).prop_map(|(bits, zeros, is_near)| {
        let bits = if is_near { 0x2001_0db8 << 96 | bits & 0xff } else { bits | 1 << 127 };
        IpAddr::V6(Ipv6Addr::from_bits(bits & u128::MAX.checked_shl(zeros).unwrap_or(0)))
    });
    prop_oneof![v4, v6].prop_filter("IPv4 written as IPv6", |address| match address {
        IpAddr::V6(address) => address.segments()[..5] != [0; 5],
        IpAddr::V4(_) => true,
    })
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    (any_address(), 24u8..=128).prop_map(|(address, length)| {
        let length = if address.is_ipv4() { length.min(32) } else { length };
        Prefix::around(address, length)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn there_are_no_bits_beyond_the_length(address in any_address(), length in 0u8..=140) {
        let all = bits(address);
        let is_prefix = usize::from(length) <= all.len() && all[usize::from(length)..].iter().all(|bit| !bit);
        let prefix = Prefix::new(address, length);
        prop_assert_eq!(prefix.is_some(), is_prefix);
        if let Some(prefix) = prefix {
            prop_assert_eq!((prefix.first(), prefix.family_length()), (address, length));
            prop_assert_eq!(prefix, Prefix::around(address, length));
        }
    }

    #[test]
    fn an_address_is_in_a_prefix_if_it_begins_so(prefix in any_prefix(), address in any_address()) {
        let length = usize::from(prefix.family_length());
        let is_in = address.is_ipv4() == prefix.first().is_ipv4() && bits(address)[..length] == bits(prefix.first())[..length];
        prop_assert_eq!(prefix.contains(to_address(address)), is_in);
        prop_assert!(prefix.contains(prefix.address) && prefix.contains(to_address(prefix.first_usable())));
        prop_assert_eq!(to_ip(to_address(address)), address);
    }

    #[test]
    fn prefixes_overlap_if_the_shorter_begins_the_longer(a in any_prefix(), b in any_prefix()) {
        let length = usize::from(a.family_length().min(b.family_length()));
        let (first, second) = (a.first(), b.first());
        let is_overlap = first.is_ipv4() == second.is_ipv4() && bits(first)[..length] == bits(second)[..length];
        prop_assert_eq!(a.overlaps(&b), is_overlap);
        prop_assert_eq!(b.overlaps(&a), is_overlap);
    }

    #[test]
    fn claims_find_what_overlaps(prefixes in proptest::collection::vec(any_prefix(), 0..40)) {
        let mut claims = Claims::default();
        let mut all: Vec<Prefix> = Vec::new();
        for (number, prefix) in prefixes.into_iter().enumerate() {
            let found = claims.overlapping(&prefix).copied();
            prop_assert_eq!(found.is_some(), all.iter().any(|other| other.overlaps(&prefix)));
            if let Some((other, _)) = found {
                prop_assert!(other.overlaps(&prefix));
            } else {
                claims.insert(prefix, number);
                all.push(prefix);
            }
            prop_assert_eq!((claims.len(), claims.is_empty()), (all.len(), all.is_empty()));
        }
    }

    /// What sorts before has the lower addresses.
    #[test]
    fn they_sort_as_their_addresses_do(a in any_prefix(), b in any_prefix()) {
        if a.first().is_ipv4() == b.first().is_ipv4() {
            prop_assert_eq!(a.cmp(&b), (a.first(), a.length).cmp(&(b.first(), b.length)));
        }
    }
}
