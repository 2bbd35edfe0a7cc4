//! What changes of a context's addresses.

use vs_common::network::{Address, NetworkRules, network_flag};

use super::{Change, Family};
use crate::compile::network::{LOOPBACK, Network, TOLD, primary4, primary6};

/// What differs between two rows of one context and their addresses.
pub(super) fn changes_of(before: Option<&Network>, after: Option<&Network>) -> Vec<Change> {
    match (before, after) {
        (None, None) => Vec::new(),
        (None, Some(after)) => vec![Change::NetworkAdded(after.clone())],
        (Some(_), None) => vec![Change::NetworkRemoved],
        (Some(before), Some(after)) if is_same_network(&before.rules, &after.rules) => {
            let removed = before.addresses.difference(&after.addresses).copied().map(Change::AddressRemoved);
            let added = after.addresses.difference(&before.addresses).copied().map(Change::AddressAdded);
            let changed = changes_of_rules(&before.rules, &after.rules);
            removed.chain(changed).chain(changes_of_ports(before, after)).chain(added).collect()
        }
        (Some(before), Some(after)) if before == after => Vec::new(),
        (Some(_), Some(after)) => vec![Change::NetworkRemoved, Change::NetworkAdded(after.clone())],
    }
}

/// Whether the one can become the other by changes that there are words for.
fn is_same_network(a: &NetworkRules, b: &NetworkRules) -> bool {
    let is_plain = |rules: &NetworkRules| {
        (primary4(rules).is_some() || rules.primary4 == Address::NONE)
            && (primary6(rules).is_some() || rules.primary6 == Address::NONE)
    };
    a.generation == b.generation && a.reserved == b.reserved && is_plain(a) && is_plain(b)
}

fn changes_of_rules(before: &NetworkRules, after: &NetworkRules) -> Vec<Change> {
    let mut changes = Vec::new();
    let primaries =
        [(Family::V4, primary4(before), primary4(after)), (Family::V6, primary6(before), primary6(after))];
    for (family, from, to) in primaries {
        if from != to {
            changes.push(Change::Primary(family, from, to));
        }
    }
    let (from, to) = (before.flags & LOOPBACK, after.flags & LOOPBACK);
    if from != to {
        changes.push(Change::Loopback(from, to));
    }
    for bit in 0..u32::BITS {
        let flag = 1 << bit;
        if (before.flags ^ after.flags) & flag & !(TOLD | LOOPBACK) != 0 {
            changes.push(Change::NetworkFlag { flag, is_set: after.flags & flag != 0 });
        }
    }
    changes
}

fn changes_of_ports(before: &Network, after: &Network) -> Vec<Change> {
    let mut changes = Vec::new();
    if before.bind_ports != after.bind_ports {
        changes.push(Change::BindPorts(before.bind_ports.clone(), after.bind_ports.clone()));
    }
    if before.connect_ports != after.connect_ports {
        changes.push(Change::ConnectPorts(before.connect_ports.clone(), after.connect_ports.clone()));
    }
    if before.sources != after.sources {
        changes.push(Change::Sources(after.sources.clone()));
    }
    changes
}

impl Change {
    pub(super) fn apply_to_network(&self, network: &mut Network) {
        let rules = &mut network.rules;
        let mut set = |flag: u32, is_set: bool| {
            rules.flags = if is_set { rules.flags | flag } else { rules.flags & !flag };
        };
        match *self {
            Self::BindPorts(_, ref to) => {
                set(network_flag::BIND_PORTS, to.is_some());
                network.bind_ports.clone_from(to);
            }
            Self::ConnectPorts(_, ref to) => {
                set(network_flag::CONNECT_PORTS, to.is_some());
                network.connect_ports.clone_from(to);
            }
            Self::Sources(ref to) => {
                set(network_flag::SOURCES, !to.is_empty());
                network.sources.clone_from(to);
            }
            Self::AddressRemoved(address) => _ = network.addresses.remove(&address),
            Self::AddressAdded(address) => _ = network.addresses.insert(address),
            Self::NetworkFlag { flag, is_set } => set(flag, is_set),
            Self::Loopback(_, to) => {
                set(LOOPBACK, false);
                set(to, true);
            }
            Self::Primary(Family::V4, _, to) => {
                set(network_flag::V4, to.is_some());
                rules.primary4 = to.unwrap_or(Address::NONE);
            }
            Self::Primary(Family::V6, _, to) => {
                set(network_flag::V6, to.is_some());
                rules.primary6 = to.unwrap_or(Address::NONE);
            }
            _ => {}
        }
    }
}
