//! The addresses of contexts as the maps have them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use vs_common::id::{Generation, Xid};
use vs_common::network::{Address, NetworkRules, PortUse, network_flag};
use vs_common::policy_entry::context_flag;

use super::port::{PortPrefix, prefixes_of};
use crate::policy::{HostNetworkPolicy, Loopback, NetworkPolicy, PortSet, RawProtocol, Receive, Rule};
pub use crate::policy::{Prefix, to_address, to_ip};

/// Every context's addresses in one epoch. Contexts that use the host's are not in it.
pub type Networks = BTreeMap<Xid, Network>;

/// What one context has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// Its row in `NETWORKS`.
    pub rules: NetworkRules,
    /// Its addresses: its rows in `ADDRESSES`.
    pub addresses: BTreeSet<Prefix>,
    /// The ports that it may bind to, of the host those whose sockets stay on ANY, where not every one may: rows in `PORTS`.
    pub bind_ports: Option<PortSet>,
    /// The ports that it may connect and send to, where not every one may: rows in `PORTS`.
    pub connect_ports: Option<PortSet>,
    /// Where its packets come from, by destination, if not from the primary address: its rows in `SOURCES`.
    pub sources: BTreeMap<Prefix, Address>,
}

impl Network {
    /// What policy says comes to.
    pub fn of(policy: &NetworkPolicy, generation: Generation) -> Self {
        let primary4 = policy.primary4().map(|rule| to_address(IpAddr::V4(rule.value())));
        let primary6 = policy.primary6().map(|rule| to_address(IpAddr::V6(rule.value())));
        let loopback = match policy.loopback().value() {
            Loopback::Private => network_flag::LOOPBACK_PRIVATE,
            Loopback::Shared => network_flag::LOOPBACK_SHARED,
            Loopback::None => 0,
        };
        let (bind_ports, connect_ports) = (policy.bind_ports().allowed(), policy.connect_ports().allowed());
        let flags = [
            (network_flag::V4, primary4.is_some()),
            (network_flag::V6, primary6.is_some()),
            (network_flag::BIND_PORTS, bind_ports.is_some()),
            (network_flag::CONNECT_PORTS, connect_ports.is_some()),
            (network_flag::SHARED, policy.shared().value()),
            (network_flag::MULTICAST, policy.multicast().value()),
            (network_flag::BROADCAST, policy.broadcast().value()),
            (network_flag::SHOW_ANY, policy.show_any().value()),
            (network_flag::PING, policy.ping().value()),
            (network_flag::STRICT, policy.receive().value() == Receive::Strict),
            (network_flag::RAW_ICMP, policy.has_raw(RawProtocol::Icmp)),
            (network_flag::RAW_ICMPV6, policy.has_raw(RawProtocol::Icmpv6)),
        ];
        let set = flags.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag);
        let rules = NetworkRules {
            generation,
            flags: set.fold(loopback, |all, flag| all | flag),
            reserved: 0,
            primary4: primary4.unwrap_or(Address::NONE),
            primary6: primary6.unwrap_or(Address::NONE),
        };
        let addresses = policy.addresses().iter().map(Rule::value).collect();
        Self { rules, addresses, bind_ports, connect_ports, sources: BTreeMap::new() }
    }

    /// The bits of [`context_flag`] that its context has because of it.
    pub const fn context_flags(&self) -> u32 {
        let ping = if self.rules.has(network_flag::PING) { context_flag::PING } else { 0 };
        let raw = if self.rules.has(network_flag::RAW) { context_flag::RAW } else { 0 };
        let receive =
            if self.rules.has(network_flag::RAW | network_flag::STRICT) { context_flag::RECEIVE } else { 0 };
        context_flag::NETWORK | ping | raw | receive
    }

    /// What policy says of the host's own addresses comes to.
    pub(super) fn of_host(policy: &HostNetworkPolicy) -> Self {
        let primary4 = policy.primary4().map(|rule| to_address(IpAddr::V4(rule.value())));
        let primary6 = policy.primary6().map(|rule| to_address(IpAddr::V6(rule.value())));
        let v4 = if primary4.is_some() { network_flag::V4 } else { 0 };
        let v6 = if primary6.is_some() { network_flag::V6 } else { 0 };
        let rules = NetworkRules {
            flags: v4 | v6 | network_flag::BIND_PORTS,
            primary4: primary4.unwrap_or(Address::NONE),
            primary6: primary6.unwrap_or(Address::NONE),
            ..NetworkRules::default()
        };
        Self {
            rules,
            addresses: policy.addresses().iter().map(Rule::value).collect(),
            bind_ports: Some(PortSet::of(policy.any_ports())),
            connect_ports: None,
            sources: BTreeMap::new(),
        }
    }

    /// The rules alone: no address, no ports, no sources.
    pub const fn bare(rules: NetworkRules) -> Self {
        Self {
            rules,
            addresses: BTreeSet::new(),
            bind_ports: None,
            connect_ports: None,
            sources: BTreeMap::new(),
        }
    }

    /// Gives it the sources by destination.
    pub fn set_sources(&mut self, sources: BTreeMap<Prefix, IpAddr>) {
        let flag = if sources.is_empty() { 0 } else { network_flag::SOURCES };
        self.rules.flags = self.rules.flags & !network_flag::SOURCES | flag;
        self.sources = sources.into_iter().map(|(to, from)| (to, to_address(from))).collect();
    }

    /// Its rows in `PORTS`.
    pub fn port_rows(&self) -> Vec<PortPrefix> {
        let rows = |usage, ports: &Option<PortSet>| {
            ports.as_ref().map(|ports| prefixes_of(usage, ports)).unwrap_or_default()
        };
        let mut all = rows(PortUse::Bind, &self.bind_ports);
        all.extend(rows(PortUse::Connect, &self.connect_ports));
        all
    }

    /// The primary addresses, IPv4 first.
    pub fn primaries(&self) -> Vec<IpAddr> {
        [primary4(&self.rules), primary6(&self.rules)].into_iter().flatten().map(to_ip).collect()
    }

    /// The words for what it may do beyond its addresses.
    pub fn grants(&self) -> Vec<String> {
        let others = self.rules.flags & !(TOLD | LOOPBACK);
        (0..u32::BITS)
            .map(|bit| others & (1 << bit))
            .filter(|flag| *flag != 0)
            .map(network_flag_name)
            .collect()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "addresses {}; primary {}; loopback {}",
            list(&self.addresses),
            list(self.primaries()),
            loopback_name(self.rules.flags)
        )?;
        self.grants().iter().try_for_each(|grant| write!(f, "; {grant}"))?;
        for (what, ports) in [("bind", &self.bind_ports), ("connect", &self.connect_ports)] {
            if let Some(ports) = ports {
                write!(f, "; {what} {ports}")?;
            }
        }
        let sources: BTreeSet<_> = self.sources.values().copied().map(to_ip).collect();
        if !sources.is_empty() {
            write!(f, "; {} destinations from {}", self.sources.len(), list(sources))?;
        }
        Ok(())
    }
}

/// One after the other, or that there is none.
fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

/// The bits that are told by what they stand for: addresses, ports, sources.
pub(super) const TOLD: u32 = network_flag::V4
    | network_flag::V6
    | network_flag::BIND_PORTS
    | network_flag::CONNECT_PORTS
    | network_flag::SOURCES;

/// The bits that say what loopback is.
pub(super) const LOOPBACK: u32 = network_flag::LOOPBACK_PRIVATE | network_flag::LOOPBACK_SHARED;

/// What loopback is; `None`: there is no word for it here.
pub(super) const fn loopback_of(flags: u32) -> Option<Loopback> {
    match flags & LOOPBACK {
        0 => Some(Loopback::None),
        network_flag::LOOPBACK_PRIVATE => Some(Loopback::Private),
        network_flag::LOOPBACK_SHARED => Some(Loopback::Shared),
        _ => None,
    }
}

/// The word for what loopback is.
pub fn loopback_name(flags: u32) -> String {
    match loopback_of(flags) {
        Some(loopback) => loopback.name().to_owned(),
        None => format!("{:#x}", flags & LOOPBACK),
    }
}

/// The word for a bit of [`network_flag`] that policy can give.
pub(super) fn network_flag_name(flag: u32) -> String {
    match flag {
        network_flag::MULTICAST => "multicast".to_owned(),
        network_flag::BROADCAST => "broadcast".to_owned(),
        network_flag::SHOW_ANY => "show_any".to_owned(),
        network_flag::PING => "ping".to_owned(),
        network_flag::STRICT => format!("receive {}", Receive::Strict.name()),
        network_flag::RAW_ICMP => format!("raw {}", RawProtocol::Icmp.name()),
        network_flag::RAW_ICMPV6 => format!("raw {}", RawProtocol::Icmpv6.name()),
        network_flag::SHARED => "shared".to_owned(),
        other => format!("network flag {other:#x}"),
    }
}

/// The primary address of IPv4.
pub(super) fn primary4(rules: &NetworkRules) -> Option<Address> {
    rules.has(network_flag::V4).then_some(rules.primary4)
}

/// The primary address of IPv6.
pub(super) fn primary6(rules: &NetworkRules) -> Option<Address> {
    rules.has(network_flag::V6).then_some(rules.primary6)
}
