//! The addresses of contexts as the maps have them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use vs_common::id::{Generation, Xid};
use vs_common::network::{Address, NetworkRules, network_flag};

use crate::policy::{Loopback, NetworkPolicy, Rule};
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
}

impl Network {
    /// What policy says comes to.
    pub(super) fn of(policy: &NetworkPolicy, generation: Generation) -> Self {
        let primary4 = policy.primary4().map(|rule| to_address(IpAddr::V4(rule.value())));
        let primary6 = policy.primary6().map(|rule| to_address(IpAddr::V6(rule.value())));
        let loopback = match policy.loopback().value() {
            Loopback::Private => network_flag::LOOPBACK_PRIVATE,
            Loopback::Shared => network_flag::LOOPBACK_SHARED,
            Loopback::None => 0,
        };
        let flags = [
            (network_flag::V4, primary4.is_some()),
            (network_flag::V6, primary6.is_some()),
            (network_flag::MULTICAST, policy.multicast().value()),
            (network_flag::BROADCAST, policy.broadcast().value()),
            (network_flag::SHOW_ANY, policy.show_any().value()),
        ];
        let set = flags.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag);
        let rules = NetworkRules {
            generation,
            flags: set.fold(loopback, |all, flag| all | flag),
            reserved: 0,
            primary4: primary4.unwrap_or(Address::NONE),
            primary6: primary6.unwrap_or(Address::NONE),
        };
        Self { rules, addresses: policy.addresses().iter().map(Rule::value).collect() }
    }

    /// The primary addresses, IPv4 first.
    pub fn primaries(&self) -> Vec<IpAddr> {
        [primary4(&self.rules), primary6(&self.rules)].into_iter().flatten().map(to_ip).collect()
    }

    /// The words for what it may do beyond its addresses.
    pub fn grants(&self) -> Vec<String> {
        let others = self.rules.flags & !(network_flag::V4 | network_flag::V6 | LOOPBACK);
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
        self.grants().iter().try_for_each(|grant| write!(f, "; {grant}"))
    }
}

/// One after the other, or that there is none.
fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

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
