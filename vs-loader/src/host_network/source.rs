//! Which of its addresses a context's packets come from, where the route decides that. Pure.
//!
//! VServer's rule (`ip_v4_find_src` of its patch): the source that the machine itself would take, if it is the context's; else the
//! context's first address in the same network; else its primary one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{HostAddress, HostNetwork, HostNetworkError, Route};
use crate::compile::{ContextLabel, Network};
use crate::policy::{Prefix, to_address};

/// How many destinations of its own one context can have.
pub const MOST_SOURCES: usize = 1024;

/// The source of a context's packets by destination, where it is not what a less specific destination has, nor, without one, the primary
/// address of the family. The longest destination that a packet's is in counts, also across the families: IPv4 is mapped into IPv6, and
/// `::/0` would be in the way of it, so where there is such a row there is one for all of IPv4.
///
/// | the route's | source |
/// |---|---|
/// | preferred source is the context's | that |
/// | gateway, or else destination, lies in a network of the machine's together with an address of the context's | the first such |
/// | interface has an address of the context's | the first such |
/// | otherwise | the primary address |
///
/// A network of the machine's is that of any of its addresses: one that a load added has none but itself, and is in that of the others.
/// First is the primary address, then the lowest; an address that lies in a prefix of the context's counts where the machine has it. Routes
/// out of loopback don't count, nor routes to link-local addresses, which say nothing without their interface.
///
/// # Errors
/// There are more than [`MOST_SOURCES`].
pub fn sources_of(
    context: &ContextLabel,
    network: &Network,
    host: &HostNetwork,
    routes: &[Route],
) -> Result<BTreeMap<Prefix, IpAddr>, HostNetworkError> {
    let primaries = network.primaries();
    let primary_for = |destination: &Prefix| {
        primaries.iter().copied().find(|primary| primary.is_ipv4() == destination.address.is_v4())
    };
    let candidates = candidates(network, &primaries, host);
    let networks: BTreeSet<_> =
        host.addresses.iter().map(|at| Prefix::around(at.address, at.length)).collect();
    let mut wanted = BTreeMap::new();
    for route in decisive(host, routes) {
        // To a family that the context has no address of it sends nothing.
        if let Some(primary) = primary_for(&route.destination) {
            let source = source_by(route, network, &candidates, &networks).unwrap_or(primary);
            wanted.insert(route.destination, source);
        }
    }
    let all_v4 = Prefix { address: to_address(IpAddr::from([0_u8; 4])), length: 96 };
    if let Some(primary) = primary_for(&all_v4) {
        wanted.entry(all_v4).or_insert(primary);
    }
    let rows = without_repetitions(wanted, primary_for);
    if rows.len() > MOST_SOURCES {
        return Err(HostNetworkError::TooManySources {
            context: context.clone(),
            count: rows.len(),
            most: MOST_SOURCES,
        });
    }
    Ok(rows)
}

/// Of the routes to one destination the one that the kernel takes.
pub(super) fn decisive<'r>(host: &HostNetwork, routes: &'r [Route]) -> impl Iterator<Item = &'r Route> {
    let mut decisive: BTreeMap<Prefix, &Route> = BTreeMap::new();
    for route in routes {
        let is_loopback = host.link(route.link).is_some_and(|link| link.is_loopback);
        if is_loopback || is_link_local(route.destination.first()) {
            continue;
        }
        let known = decisive.entry(route.destination).or_insert(route);
        if route.metric < known.metric {
            *known = route;
        }
    }
    decisive.into_values()
}

/// The context's addresses as the machine has them, in the order in which they are tried.
fn candidates<'h>(network: &Network, primaries: &[IpAddr], host: &'h HostNetwork) -> Vec<&'h HostAddress> {
    let mut all: Vec<_> = host.addresses.iter().filter(|at| has(network, at.address)).collect();
    all.sort_by_key(|at| (!primaries.contains(&at.address), at.address));
    all
}

fn source_by(
    route: &Route,
    network: &Network,
    candidates: &[&HostAddress],
    networks: &BTreeSet<Prefix>,
) -> Option<IpAddr> {
    if let Some(source) = route.source.filter(|source| has(network, *source)) {
        return Some(source);
    }
    let family = candidates.iter().filter(|at| at.address.is_ipv4() == route.destination.address.is_v4());
    let target = route.gateway.map_or(route.destination, Prefix::single);
    let around = networks.iter().filter(|net| net.length <= target.length && net.contains(target.address));
    let around: Vec<_> = around.collect();
    let mut near = family.clone().filter(|at| around.iter().any(|net| net.contains(to_address(at.address))));
    let mut on_link = family.clone().filter(|at| at.link == route.link);
    near.next().or_else(|| on_link.next()).map(|at| at.address)
}

/// Leaves out what is so without it. Of two prefixes in this order a later one is either in an earlier one, or behind it.
fn without_repetitions(
    wanted: BTreeMap<Prefix, IpAddr>,
    primary_for: impl Fn(&Prefix) -> Option<IpAddr>,
) -> BTreeMap<Prefix, IpAddr> {
    let mut around: Vec<(Prefix, IpAddr)> = Vec::new();
    let mut rows = BTreeMap::new();
    for (destination, source) in wanted {
        while around.last().is_some_and(|(outer, _)| !outer.contains(destination.address)) {
            around.pop();
        }
        let without = around.last().map(|(_, source)| *source).or_else(|| primary_for(&destination));
        if without != Some(source) {
            around.push((destination, source));
            rows.insert(destination, source);
        }
    }
    rows
}

/// Whether an address is the context's.
fn has(network: &Network, address: IpAddr) -> bool {
    network.addresses.iter().any(|prefix| prefix.contains(to_address(address)))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
