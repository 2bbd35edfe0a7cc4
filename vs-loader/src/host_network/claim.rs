//! What contexts need of the machine.

use std::collections::BTreeSet;
use std::net::IpAddr;

use vs_common::id::Xid;
use vs_common::network::{Address, network_flag};

use crate::compile::{ContextLabel, Network, Networks, Rows};
use crate::policy::{HostNetworkPolicy, NetworkPolicy, Place, Policy, Prefix, Rule, to_address, to_ip};

/// What one context needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The context.
    pub context: ContextLabel,
    /// Its single and its primary addresses. Of its prefixes the machine need not have more.
    pub addresses: Vec<ClaimedAddress>,
    /// The interface that gets those that the machine lacks, and where policy says so.
    pub assign: Option<(String, Place)>,
    /// Its address on `lo` that stands for `::1`, if its loopback is its own.
    pub loopback6: Option<IpAddr>,
}

/// An address that the machine must have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimedAddress {
    /// The address.
    pub address: IpAddr,
    /// Where policy gives it; `None`: no policy file does, the context is kept as it is.
    pub place: Option<Place>,
}

/// What all contexts need whose addresses are to be in force.
///
/// `policy`: where addresses are given, if a policy was read.
pub fn claims_of(policy: Option<&Policy>, rows: &Rows, networks: &Networks) -> Vec<Claim> {
    networks
        .iter()
        .map(|(xid, network)| {
            let context = rows.get(xid).map_or_else(
                || ContextLabel { xid: *xid, name: String::new() },
                |rules| ContextLabel::of(*xid, rules),
            );
            let of_context = policy.and_then(|policy| policy_of(policy, *xid, network));
            let of_host = policy.and_then(Policy::host_network).filter(|_| *xid == Xid::HOST);
            let places = of_context
                .map(NetworkPolicy::addresses)
                .or_else(|| of_host.map(HostNetworkPolicy::addresses))
                .unwrap_or_default();
            claim_of(of_context, places, context, network)
        })
        .collect()
}

/// What policy says of these addresses; `None`: they are those of a context that is kept as no policy file has it.
fn policy_of<'p>(policy: &'p Policy, xid: Xid, network: &Network) -> Option<&'p NetworkPolicy> {
    let policy = policy.context(xid)?.network()?;
    let written: BTreeSet<Prefix> = policy.addresses().iter().map(Rule::value).collect();
    (written == network.addresses).then_some(policy)
}

fn claim_of(
    policy: Option<&NetworkPolicy>,
    places: &[Rule<Prefix>],
    context: ContextLabel,
    network: &Network,
) -> Claim {
    let singles = network.addresses.iter().filter(|prefix| prefix.is_single()).map(Prefix::first);
    let all: BTreeSet<IpAddr> = singles.chain(network.primaries()).collect();
    let place =
        |address: Address| places.iter().find(|rule| rule.value().contains(address))?.place().cloned();
    Claim {
        addresses: all
            .into_iter()
            .map(|address| ClaimedAddress { address, place: place(to_address(address)) })
            .collect(),
        assign: policy
            .and_then(NetworkPolicy::assign)
            .map(|(interface, place)| (interface.to_owned(), place.clone())),
        loopback6: network
            .rules
            .has(network_flag::LOOPBACK_PRIVATE)
            .then(|| to_ip(Address::own_loopback6(context.xid))),
        context,
    }
}
