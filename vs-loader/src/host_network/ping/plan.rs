//! Which rules and routes contexts need that may ping, or have raw sockets. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use vs_common::id::Xid;
use vs_common::network::{ICMP_MARK, ICMP_MARK_MASK, icmp_mark, network_flag};

use super::{END_PRIORITY, Entry, RULE_PRIORITY, Rule, TableRoute};
use crate::compile::{ContextLabel, Network, Networks, Rows};
use crate::host_network::source::{decisive, sources_of};
use crate::host_network::{HostNetwork, HostNetworkError, Route};
use crate::policy::{Prefix, to_address};

/// What a load changes of the machine's rules and routes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PingPlan {
    /// Before the policy is in force, rules before their routes.
    pub add: Vec<Entry>,
    /// After it is in force: the tables of the load before it, routes before their rules.
    pub remove: Vec<Entry>,
}

/// How many routes of the machine a context's table has at most.
const MOST_ROUTES: usize = 4096;

/// Whether some context has marked sockets.
pub fn has_pings(networks: &Networks) -> bool {
    networks.values().any(is_marked)
}

fn is_marked(network: &Network) -> bool {
    network.rules.has(network_flag::MARKED)
}

/// What to add for the contexts that may ping or have raw sockets, and what to remove of what `marked` says is there. The rules that end the search stay once they
/// are there: a socket may outlive the grant that it was made by, and goes nowhere then.
///
/// # Errors
/// There are too many routes.
pub fn plan_pings(
    rows: &Rows,
    networks: &Networks,
    host: &HostNetwork,
    routes: &[Route],
    marked: Vec<Entry>,
) -> Result<PingPlan, HostNetworkError> {
    let generation = free_generation(&marked);
    let mut add = Vec::new();
    for (xid, network) in networks.iter().filter(|(_, network)| is_marked(network)) {
        let context = rows.get(xid).map_or_else(
            || ContextLabel { xid: *xid, name: String::new() },
            |rules| ContextLabel::of(*xid, rules),
        );
        add.extend(entries_of(&context, network, generation, (host, routes))?);
    }
    let is_end = |entry: &Entry| matches!(entry, Entry::Rule(rule) if rule.is_end());
    let (ends, remove): (Vec<_>, Vec<_>) = marked.into_iter().partition(is_end);
    add.retain(|entry| !ends.contains(entry));
    // Of several contexts each needs them.
    let mut seen = BTreeSet::new();
    add.retain(|entry| seen.insert(entry.clone()));
    Ok(PingPlan { add, remove })
}

/// A number for the tables of this load.
fn free_generation(marked: &[Entry]) -> u32 {
    let used: BTreeSet<u32> = marked
        .iter()
        .filter_map(|entry| match entry {
            Entry::Rule(rule) => rule.table,
            Entry::Route(route) => Some(route.table),
        })
        .map(|table| table >> 16 & 0xff)
        .collect();
    (0..=0xff).find(|number| !used.contains(number)).unwrap_or_default()
}

/// The table of a context by its xid, of one load.
const fn table_of(xid: Xid, generation: u32) -> u32 {
    icmp_mark(xid) | generation << 16
}

fn entries_of(
    context: &ContextLabel,
    network: &Network,
    generation: u32,
    (host, routes): (&HostNetwork, &[Route]),
) -> Result<Vec<Entry>, HostNetworkError> {
    let table = table_of(context.xid, generation);
    let sources = sources_of(context, network, host, routes)?;
    let mut entries = Vec::new();
    for primary in network.primaries() {
        let is_v4 = primary.is_ipv4();
        entries.push(Entry::Rule(Rule {
            is_v4,
            mark: ICMP_MARK,
            mask: ICMP_MARK_MASK,
            priority: END_PRIORITY,
            table: None,
        }));
        entries.push(Entry::Rule(Rule {
            is_v4,
            mark: icmp_mark(context.xid),
            mask: u32::MAX,
            priority: RULE_PRIORITY,
            table: Some(table),
        }));
        let copies = copies(table, primary, &sources, host, routes);
        if copies.len() > MOST_ROUTES {
            let (count, most) = (copies.len(), MOST_ROUTES);
            return Err(HostNetworkError::TooManyRoutes { context: context.clone(), count, most });
        }
        entries.extend(copies.into_iter().map(Entry::Route));
    }
    Ok(entries)
}

/// The machine's routes of the primary address's family: those to links before those by gateways, which are looked for there.
fn copies(
    table: u32,
    primary: IpAddr,
    sources: &BTreeMap<Prefix, IpAddr>,
    host: &HostNetwork,
    routes: &[Route],
) -> Vec<TableRoute> {
    let is_of_family = |route: &&Route| route.destination.address.is_v4() == primary.is_ipv4();
    let mut copies: Vec<_> = decisive(host, routes)
        .filter(is_of_family)
        // What leads through another family or into a tunnel cannot be said here.
        .filter(|route| route.is_plain)
        .map(|route| TableRoute {
            table,
            destination: route.destination,
            link: route.link,
            gateway: route.gateway,
            is_on_link: route.is_on_link,
            source: Some(source_for(route.destination, primary, sources)),
        })
        .collect();
    copies.sort_by_key(|route| route.gateway.is_some());
    copies
}

/// The source by the longest destination around one; else the primary address.
fn source_for(destination: Prefix, primary: IpAddr, sources: &BTreeMap<Prefix, IpAddr>) -> IpAddr {
    let around = sources.iter().filter(|(outer, source)| {
        outer.length <= destination.length
            && outer.contains(to_address(destination.first()))
            && source.is_ipv4() == primary.is_ipv4()
    });
    around.max_by_key(|(outer, _)| outer.length).map_or(primary, |(_, source)| *source)
}
