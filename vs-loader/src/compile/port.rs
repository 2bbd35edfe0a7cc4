//! Sets of ports as rows of `PORTS`: each range is a few prefixes, which is what the kernel's trie can look up.

use vs_common::network::{PortKey, PortUse};

use crate::policy::{PortRange, PortSet, Protocol};

/// Ports that begin alike, of one use and protocol: a row without its epoch and xid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PortPrefix {
    /// As [`PortKey::usage`].
    pub usage: u16,
    /// The first port.
    pub port: u16,
    /// How many of its 16 bits are compared.
    pub length: u8,
}

/// The rows of a set.
pub fn prefixes_of(usage: PortUse, ports: &PortSet) -> Vec<PortPrefix> {
    let mut prefixes = Vec::new();
    for PortRange { protocol, ports } in ports.iter() {
        let usage = PortKey::usage_of(usage, protocol.number());
        let (mut first, end) = (u32::from(*ports.start()), u32::from(*ports.end()) + 1);
        while first < end {
            // As many as may begin here, and are left.
            let aligned = if first == 0 { 16 } else { first.trailing_zeros() };
            let bits = aligned.min((end - first).ilog2());
            let (Ok(port), Ok(length)) = (u16::try_from(first), u8::try_from(16 - bits)) else { break };
            prefixes.push(PortPrefix { usage, port, length });
            first += 1 << bits;
        }
    }
    prefixes
}

/// The set that rows stand for, of one use. Those of protocols for which there is no word here are left out.
pub fn ports_of<'p>(usage: PortUse, prefixes: impl IntoIterator<Item = &'p PortPrefix>) -> PortSet {
    let ranges = prefixes.into_iter().filter_map(|prefix| {
        let protocol = Protocol::from_number(u8::try_from(prefix.usage >> 8).ok()?)?;
        let last = prefix.port | u16::MAX.checked_shr(u32::from(prefix.length)).unwrap_or(0);
        let is_of = prefix.usage == PortKey::usage_of(usage, protocol.number());
        is_of.then_some(PortRange { protocol, ports: prefix.port..=last })
    });
    PortSet::of(ranges)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_is_a_few_prefixes() {
        let rows = |text: &str| {
            let set = PortSet::of([text.parse().unwrap()]);
            let rows = prefixes_of(PortUse::Bind, &set);
            rows.iter().map(|row| (row.port, row.length)).collect::<Vec<_>>()
        };
        assert_eq!(rows("tcp"), [(0, 0)]);
        assert_eq!(rows("udp/53"), [(53, 16)]);
        assert_eq!(
            rows("tcp/1024-65535"),
            [(1024, 6), (2048, 5), (4096, 4), (8192, 3), (16384, 2), (32768, 1)]
        );
        assert_eq!(rows("tcp/1-65534").len(), 30);
    }

    proptest! {
        #[test]
        fn rows_stand_for_the_set_they_came_from(bounds in prop::collection::vec((0_u8..3, any::<u16>(), any::<u16>()), 0..8)) {
            let set = PortSet::of(bounds.iter().map(|(protocol, a, b)| PortRange {
                protocol: Protocol::ALL[usize::from(*protocol)],
                ports: *a.min(b)..=*a.max(b),
            }));
            let rows = prefixes_of(PortUse::Connect, &set);
            prop_assert_eq!(&ports_of(PortUse::Connect, &rows), &set);
            prop_assert_eq!(ports_of(PortUse::Bind, &rows), PortSet::default());
            prop_assert_eq!(PortSet::every().without(&PortSet::every().without(&set)), set);
        }
    }
}
