//! What a load changes, for showing: the load itself writes a whole epoch.
//!
//! Changes come in an order in which they could be made one by one without a moment laxer than both ends: what tightens first, what
//! loosens last.

use std::collections::BTreeMap;
use std::fmt;

use vs_common::capability::{CapabilitySet, DEFAULT_SET};
use vs_common::id::Xid;
use vs_common::network::{Address, network_flag};
use vs_common::policy_entry::{ContextRules, Mode, ProcMode, context_flag};

use super::context::{ContextLabel, flag_names, mode_name, proc_mode_name};
use super::entries::{EpochRows, Rows};
use super::network::{Network, Networks, Prefix, loopback_name, loopback_of, network_flag_name, to_ip};
use crate::policy::{Loopback, PortSet, capabilities_text};

mod network;

/// One change of one context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapChange {
    /// The context.
    pub context: ContextLabel,
    /// What changes.
    pub change: Change,
}

/// What changes of a context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nobody can enter it any more.
    Removed,
    /// One bit of [`context_flag`] changes.
    Flag {
        /// The bit.
        flag: u32,
        /// Whether it is set from now on.
        is_set: bool,
    },
    /// [`ContextRules::mode`].
    Mode(u32, u32),
    /// [`ContextRules::proc_mode`].
    ProcMode(u32, u32),
    /// [`ContextRules::capabilities`].
    Capabilities(CapabilitySet, CapabilitySet),
    /// [`ContextRules::capabilities_max`].
    CapabilitiesMax(CapabilitySet, CapabilitySet),
    /// [`ContextRules::records_per_second`].
    RecordsPerSecond(u32, u32),
    /// [`ContextRules::record_burst`].
    RecordBurst(u32, u32),
    /// It has no row of addresses from now on.
    NetworkRemoved,
    /// One of its addresses is gone.
    AddressRemoved(Prefix),
    /// The primary address of a family; `None`: it has none.
    Primary(Family, Option<Address>, Option<Address>),
    /// The bits of [`vs_common::network::NetworkRules::flags`] that say what loopback is.
    Loopback(u32, u32),
    /// Another bit of [`vs_common::network::NetworkRules::flags`] changes.
    NetworkFlag {
        /// The bit.
        flag: u32,
        /// Whether it is set from now on.
        is_set: bool,
    },
    /// The ports that it may bind to, of the host those on ANY; `None`: all.
    BindPorts(Option<PortSet>, Option<PortSet>),
    /// The ports that it may connect and send to; `None`: all.
    ConnectPorts(Option<PortSet>, Option<PortSet>),
    /// Where its packets come from, by destination.
    Sources(BTreeMap<Prefix, Address>),
    /// It has another address.
    AddressAdded(Prefix),
    /// It has these addresses from now on.
    NetworkAdded(Network),
    /// It can be entered from now on, under these rules, with these addresses of its own if any.
    Added(ContextRules, Option<Network>),
}

/// A family of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Which way a change goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Direction {
    /// Less is possible than before.
    Tightens,
    /// As much as before.
    Neutral,
    /// More is possible than before, or it cannot be told.
    Loosens,
}

impl Change {
    /// Which way it goes.
    pub fn direction(&self) -> Direction {
        let by = |is_tighter: bool| if is_tighter { Direction::Tightens } else { Direction::Loosens };
        match *self {
            Self::Removed | Self::NetworkRemoved | Self::AddressRemoved(_) => Direction::Tightens,
            Self::Added(..) | Self::NetworkAdded(_) | Self::AddressAdded(_) => Direction::Loosens,
            // With NETWORK alone a context has no address at all, and without it the host's.
            Self::Flag { flag: context_flag::PROC_LOCK | context_flag::NETWORK, is_set } => by(is_set),
            Self::Flag { flag: context_flag::NETWORK_ONLY, is_set } => by(!is_set),
            Self::Flag { flag: context_flag::DYNAMIC | context_flag::ORPHAN, .. } => Direction::Neutral,
            Self::Flag { .. } => Direction::Loosens,
            Self::Mode(_, to) => by(Mode::from_number(to) == Some(Mode::Enforce)),
            // The numbers rise with what a context sees of the host.
            Self::ProcMode(from, to) => by(to < from && ProcMode::from_number(from).is_some()),
            Self::Capabilities(from, to) | Self::CapabilitiesMax(from, to) => by(to & !from == 0),
            Self::RecordsPerSecond(..) | Self::RecordBurst(..) | Self::Primary(_, Some(_), Some(_)) => {
                Direction::Neutral
            }
            Self::BindPorts(ref from, ref to) | Self::ConnectPorts(ref from, ref to) => {
                by(every(to.as_ref()).without(&every(from.as_ref())) == PortSet::default())
            }
            Self::Sources(_) => Direction::Neutral,
            Self::Primary(_, _, to) => by(to.is_none()),
            Self::Loopback(from, to) => match (loopback_of(from), loopback_of(to)) {
                (Some(from), Some(to)) => by(breadth(to) < breadth(from)),
                _ => Direction::Loosens,
            },
            Self::NetworkFlag { flag: network_flag::SHOW_ANY | network_flag::SHARED, .. } => {
                Direction::Neutral
            }
            Self::NetworkFlag { flag: network_flag::MULTICAST | network_flag::BROADCAST, is_set } => {
                by(!is_set)
            }
            Self::NetworkFlag { .. } => Direction::Loosens,
        }
    }
}

fn every(ports: Option<&PortSet>) -> PortSet {
    ports.cloned().unwrap_or_else(PortSet::every)
}

/// How much of the machine's loopback a context reaches.
const fn breadth(loopback: Loopback) -> u32 {
    match loopback {
        Loopback::None => 0,
        Loopback::Private => 1,
        Loopback::Shared => 2,
    }
}

impl MapChange {
    /// Makes the change in some rows. A change of a context that has no row is none.
    pub fn apply_to(&self, rows: &mut Rows, networks: &mut Networks) {
        let xid = self.context.xid;
        match &self.change {
            Change::Removed => {
                rows.remove(&xid);
                networks.remove(&xid);
            }
            Change::Added(rules, network) => {
                rows.insert(xid, *rules);
                networks.remove(&xid);
                networks.extend(network.clone().map(|network| (xid, network)));
            }
            Change::NetworkRemoved => _ = networks.remove(&xid),
            Change::NetworkAdded(network) => _ = networks.insert(xid, network.clone()),
            change => {
                if let Some(rules) = rows.get_mut(&xid) {
                    change.apply_to_rules(rules);
                }
                if let Some(network) = networks.get_mut(&xid) {
                    change.apply_to_network(network);
                }
            }
        }
    }
}

impl Change {
    fn apply_to_rules(&self, rules: &mut ContextRules) {
        match *self {
            Self::Flag { flag, is_set: true } => rules.flags |= flag,
            Self::Flag { flag, is_set: false } => rules.flags &= !flag,
            Self::Mode(_, to) => rules.mode = to,
            Self::ProcMode(_, to) => rules.proc_mode = to,
            Self::Capabilities(_, to) => rules.capabilities = to,
            Self::CapabilitiesMax(_, to) => rules.capabilities_max = to,
            Self::RecordsPerSecond(_, to) => rules.records_per_second = to,
            Self::RecordBurst(_, to) => rules.record_burst = to,
            _ => {}
        }
    }
}

impl fmt::Display for MapChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.context, self.change)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("removed"),
            Self::Added(rules, network) => write!(
                f,
                "added with mode {}, proc {}, records_per_second {}, record_burst {}{}{}{}",
                mode_name(rules.mode),
                proc_mode_name(rules.proc_mode),
                rules.records_per_second,
                rules.record_burst,
                flag_names(rules.flags).iter().map(|flag| format!(", {flag}")).collect::<Vec<_>>().concat(),
                shown_capabilities(rules),
                network.as_ref().map(|network| format!("; {network}")).unwrap_or_default(),
            ),
            Self::Flag { flag: context_flag::NETWORK, is_set: true } => {
                f.write_str("network the host's -> its own")
            }
            Self::Flag { flag: context_flag::NETWORK, is_set: false } => {
                f.write_str("network its own -> the host's")
            }
            Self::Flag { flag, is_set } => {
                write!(f, "{} {}", flag_names(*flag).concat(), switch(*is_set))
            }
            Self::Mode(from, to) => write!(f, "mode {} -> {}", mode_name(*from), mode_name(*to)),
            Self::ProcMode(from, to) => {
                write!(f, "proc {} -> {}", proc_mode_name(*from), proc_mode_name(*to))
            }
            Self::Capabilities(from, to) => {
                write!(f, "capabilities {} -> {}", capabilities_text(*from), capabilities_text(*to))
            }
            Self::CapabilitiesMax(from, to) => {
                write!(f, "capabilities_max {} -> {}", capabilities_text(*from), capabilities_text(*to))
            }
            Self::RecordsPerSecond(from, to) => write!(f, "records_per_second {from} -> {to}"),
            Self::RecordBurst(from, to) => write!(f, "record_burst {from} -> {to}"),
            Self::NetworkRemoved => f.write_str("addresses of its own removed"),
            Self::NetworkAdded(network) => write!(f, "added {network}"),
            Self::BindPorts(from, to) => write!(f, "bind {} -> {}", ports(from.as_ref()), ports(to.as_ref())),
            Self::ConnectPorts(from, to) => {
                write!(f, "connect {} -> {}", ports(from.as_ref()), ports(to.as_ref()))
            }
            Self::Sources(to) => write!(f, "{} destinations with a source of their own", to.len()),
            Self::AddressRemoved(address) => write!(f, "address {address} removed"),
            Self::AddressAdded(address) => write!(f, "address {address} added"),
            Self::Primary(_, from, to) => write!(f, "primary {} -> {}", shown(*from), shown(*to)),
            Self::Loopback(from, to) => {
                write!(f, "loopback {} -> {}", loopback_name(*from), loopback_name(*to))
            }
            Self::NetworkFlag { flag, is_set } => {
                write!(f, "{} {}", network_flag_name(*flag), switch(*is_set))
            }
        }
    }
}

/// What a row says of capabilities beside the default.
fn shown_capabilities(rules: &ContextRules) -> String {
    let sets = [("capabilities", rules.capabilities), ("capabilities_max", rules.capabilities_max)];
    let given = sets.into_iter().filter(|(_, set)| *set != DEFAULT_SET);
    given.map(|(key, set)| format!(", {key} {}", capabilities_text(set))).collect::<Vec<_>>().concat()
}

const fn switch(is_set: bool) -> &'static str {
    if is_set { "off -> on" } else { "on -> off" }
}

fn ports(ports: Option<&PortSet>) -> String {
    ports.map_or_else(|| "every port".to_owned(), ToString::to_string)
}

fn shown(address: Option<Address>) -> String {
    address.map_or_else(|| "none".to_owned(), |address| to_ip(address).to_string())
}

/// The changes that lead from `old` to `new`: made one after the other they do.
///
/// A number under another name or generation is another context: the old one is removed and the new one added.
pub fn diff(old: EpochRows<'_>, new: EpochRows<'_>) -> Vec<MapChange> {
    let mut changes = Vec::new();
    let mut push = |xid: Xid, rules: &ContextRules, change: Change| {
        changes.push(MapChange { context: ContextLabel::of(xid, rules), change });
    };
    for (xid, before) in old.rows {
        match new.rows.get(xid) {
            Some(after) if is_same_context(before, after) => {
                let networks = network::changes_of(old.networks.get(xid), new.networks.get(xid));
                for change in changes_of(before, after).into_iter().chain(networks) {
                    push(*xid, after, change);
                }
            }
            _ => push(*xid, before, Change::Removed),
        }
    }
    let host = [old, new].map(|all| all.networks.get(&Xid::HOST));
    for change in network::changes_of(host[0], host[1]) {
        changes.push(MapChange { context: ContextLabel::host(), change });
    }
    let mut push = |xid: Xid, rules: &ContextRules, change: Change| {
        changes.push(MapChange { context: ContextLabel::of(xid, rules), change });
    };
    for (xid, after) in new.rows {
        if !old.rows.get(xid).is_some_and(|before| is_same_context(before, after)) {
            push(*xid, after, Change::Added(*after, new.networks.get(xid).cloned()));
        }
    }
    // Stable: within a direction removals come before what changes, by number, and additions last.
    changes.sort_by_key(|change| {
        let is_addition = matches!(change.change, Change::Added(..));
        let is_removal = matches!(change.change, Change::Removed);
        (change.change.direction(), !is_removal, is_addition, change.context.xid)
    });
    changes
}

/// Whether processes of the one are processes of the other.
fn is_same_context(a: &ContextRules, b: &ContextRules) -> bool {
    a.name == b.name && a.generation == b.generation && a.reserved == b.reserved
}

/// What differs between two rows of one context.
fn changes_of(before: &ContextRules, after: &ContextRules) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut number = |from: u32, to: u32, change: fn(u32, u32) -> Change| {
        if from != to {
            changes.push(change(from, to));
        }
    };
    number(before.mode, after.mode, Change::Mode);
    number(before.proc_mode, after.proc_mode, Change::ProcMode);
    number(before.records_per_second, after.records_per_second, Change::RecordsPerSecond);
    number(before.record_burst, after.record_burst, Change::RecordBurst);
    let mut set =
        |from: CapabilitySet, to: CapabilitySet, change: fn(CapabilitySet, CapabilitySet) -> Change| {
            if from != to {
                changes.push(change(from, to));
            }
        };
    set(before.capabilities, after.capabilities, Change::Capabilities);
    set(before.capabilities_max, after.capabilities_max, Change::CapabilitiesMax);
    for bit in 0..u32::BITS {
        let flag = 1 << bit;
        if (before.flags ^ after.flags) & flag != 0 {
            changes.push(Change::Flag { flag, is_set: after.flags & flag != 0 });
        }
    }
    changes
}
