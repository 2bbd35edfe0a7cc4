//! Ports as policy writes them: `tcp`, `udp/53`, `tcp/8000-8099`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::model::Rule;
use super::place::Place;

/// A protocol that has ports and that a context may speak, by the name that `ss` has for it too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// UDP-Lite (RFC 3828), which kernels from 7.1 on no longer have.
    UdpLite,
}

impl Protocol {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::UdpLite];

    /// The word in policy and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UdpLite => "udplite",
        }
    }

    /// Its number (`include/uapi/linux/in.h`).
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::UdpLite => 136,
        }
    }

    /// The protocol with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.number() == number)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Ports of one protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortRange {
    /// The protocol.
    pub protocol: Protocol,
    /// Which of its ports; 0 is one that the kernel chooses.
    pub ports: RangeInclusive<u16>,
}

impl PortRange {
    /// All ports of a protocol.
    pub const EVERY: RangeInclusive<u16> = 0..=u16::MAX;
}

/// A text that is no ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoPorts;

impl FromStr for PortRange {
    type Err = NoPorts;

    fn from_str(text: &str) -> Result<Self, NoPorts> {
        let (word, ports) = text.split_once('/').map_or((text, None), |(word, ports)| (word, Some(ports)));
        let protocol = Protocol::ALL.into_iter().find(|known| known.name() == word).ok_or(NoPorts)?;
        // `u16` would take a sign.
        let number = |digits: &str| {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse::<u16>().ok()).flatten().ok_or(NoPorts)
        };
        let ports = match ports.map(|ports| ports.split_once('-').unwrap_or((ports, ports))) {
            None => Self::EVERY,
            Some((first, last)) => number(first)?..=number(last)?,
        };
        if ports.is_empty() { Err(NoPorts) } else { Ok(Self { protocol, ports }) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.protocol.name())?;
        let (first, last) = (self.ports.start(), self.ports.end());
        match self.ports {
            _ if self.ports == Self::EVERY => Ok(()),
            _ if first == last => write!(f, "/{first}"),
            _ => write!(f, "/{first}-{last}"),
        }
    }
}

/// Ports of several protocols: of each the ranges in order, none of which touches another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortSet {
    ranges: BTreeMap<Protocol, Vec<RangeInclusive<u16>>>,
}

impl PortSet {
    /// Every port of every protocol.
    pub fn every() -> Self {
        Self {
            ranges: Protocol::ALL.into_iter().map(|protocol| (protocol, vec![PortRange::EVERY])).collect(),
        }
    }

    /// The set of these.
    pub fn of(ranges: impl IntoIterator<Item = PortRange>) -> Self {
        let mut set = Self::default();
        for PortRange { protocol, ports } in ranges {
            set.ranges.entry(protocol).or_default().push(ports);
        }
        for ranges in set.ranges.values_mut() {
            ranges.sort_by_key(|ports| *ports.start());
            let mut joined: Vec<RangeInclusive<u16>> = Vec::new();
            for ports in ranges.drain(..) {
                match joined.last_mut() {
                    Some(last) if u32::from(*ports.start()) <= u32::from(*last.end()) + 1 => {
                        *last = *last.start()..=*last.end().max(ports.end());
                    }
                    _ => joined.push(ports),
                }
            }
            *ranges = joined;
        }
        set
    }

    /// What is left of it without those.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        let mut left = Vec::new();
        for PortRange { protocol, ports } in self.iter() {
            // From here on nothing has been taken away yet; beyond the last port there is none.
            let mut next = u32::from(*ports.start());
            for other in others.ranges.get(&protocol).into_iter().flatten() {
                let (first, last) = (u32::from(*other.start()), u32::from(*other.end()));
                if last < next || first > u32::from(*ports.end()) {
                    continue;
                }
                left.extend(range(protocol, next, first.checked_sub(1)));
                next = last + 1;
            }
            left.extend(range(protocol, next, Some(u32::from(*ports.end()))));
        }
        Self::of(left)
    }

    /// Whether a port is in it.
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.ranges.get(&protocol).is_some_and(|ranges| ranges.iter().any(|ports| ports.contains(&port)))
    }

    /// Its ranges, by protocol and port.
    pub fn iter(&self) -> impl Iterator<Item = PortRange> {
        self.ranges.iter().flat_map(|(protocol, ranges)| {
            ranges.iter().map(|ports| PortRange { protocol: *protocol, ports: ports.clone() })
        })
    }
}

/// The range between two ports, if there is one.
fn range(protocol: Protocol, first: u32, last: Option<u32>) -> Option<PortRange> {
    let last = last.filter(|last| first <= *last)?;
    let ports = u16::try_from(first).ok()?..=u16::try_from(last).ok()?;
    Some(PortRange { protocol, ports })
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(|range| range.to_string()).collect();
        if words.is_empty() { f.write_str("none") } else { f.write_str(&words.join(", ")) }
    }
}

/// What policy says of the ports of one use.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortPolicy {
    pub(super) allow: Option<(Vec<Rule<PortRange>>, Place)>,
    pub(super) deny: Option<(Vec<Rule<PortRange>>, Place)>,
}

impl PortPolicy {
    /// Entries of one list.
    pub const MAX_RANGES: usize = 64;

    /// Which may be used; `None`: all.
    pub fn allowed(&self) -> Option<PortSet> {
        if self.allow.is_none() && self.deny.is_none() {
            return None;
        }
        let set = |rules: &[Rule<PortRange>]| PortSet::of(rules.iter().map(|rule| rule.value.clone()));
        let allowed = self.allow.as_ref().map_or_else(PortSet::every, |(rules, _)| set(rules));
        Some(self.deny.as_ref().map_or_else(|| allowed.clone(), |(rules, _)| allowed.without(&set(rules))))
    }

    /// Where the list is that decides about a port: the one that denies it, or else the one of what is allowed.
    pub fn place_for(&self, protocol: Protocol, port: u16) -> Option<(&'static str, &Place)> {
        let has = |rules: &[Rule<PortRange>]| {
            rules.iter().any(|rule| rule.value.protocol == protocol && rule.value.ports.contains(&port))
        };
        match (&self.deny, &self.allow) {
            (Some((rules, place)), _) if has(rules) => Some(("deny", place)),
            (_, Some((_, place))) => Some(("allow", place)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> PortSet {
        PortSet::of(texts.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn ports_are_read_and_written() {
        for text in ["tcp", "udp/53", "udplite/0", "tcp/8000-8099", "tcp/1-65535"] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), text);
        }
        assert_eq!("tcp/0-65535".parse::<PortRange>().unwrap().to_string(), "tcp");
        for bad in
            ["", "sctp", "tcp/", "tcp/x", "tcp/65536", "tcp/+1", "tcp/9-8", "tcp/1-2-3", "tcp/-1", "TCP"]
        {
            assert_eq!(bad.parse::<PortRange>(), Err(NoPorts), "{bad}");
        }
    }

    #[test]
    fn protocols_have_the_numbers_that_programs_know() {
        use vs_common::network::number::{TCP, UDP, UDPLITE};
        assert_eq!(Protocol::ALL.map(|protocol| u32::from(protocol.number())), [TCP, UDP, UDPLITE]);
    }

    #[test]
    fn what_touches_is_one_range() {
        assert_eq!(set(&["tcp/81-90", "udp", "tcp/80", "tcp/85-99"]).to_string(), "tcp/80-99, udp");
        assert_eq!(PortSet::default().to_string(), "none");
    }

    #[test]
    fn denied_ports_are_taken_out() {
        let all = PortSet::every();
        assert_eq!(all.without(&set(&["udp", "udplite", "tcp/25"])).to_string(), "tcp/0-24, tcp/26-65535");
        assert_eq!(
            all.without(&set(&["tcp/0", "tcp/65535"])).without(&set(&["udp", "udplite"])).to_string(),
            "tcp/1-65534"
        );
        assert_eq!(set(&["tcp/80-90"]).without(&set(&["tcp/70-99"])).to_string(), "none");
        assert_eq!(set(&["tcp/80", "tcp/443"]).without(&set(&["tcp/443-500"])).to_string(), "tcp/80");
    }
}
