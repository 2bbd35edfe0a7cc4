//! What to add and what to remove, or why that would not do. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::claim::{Claim, ClaimedAddress};
use super::{HostAddress, HostNetwork, Link, Placement, Single};
use crate::compile::ContextLabel;
use crate::policy::{Place, Prefix, to_address};

/// What a load changes of the machine's addresses.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Before the policy is in force.
    pub add: Vec<Addition>,
    /// After it is in force: what was put there for others before it.
    pub remove: Vec<Placement>,
}

/// An address to add.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Addition {
    /// What and where.
    pub placement: Placement,
    /// For whom.
    pub context: ContextLabel,
    /// Whether the context does without it where the machine has no IPv6.
    pub is_optional: bool,
    /// Whether its interface is up. The address can be given to one that is not, and bound to later.
    pub is_link_up: bool,
}

impl Addition {
    /// What is to be said of an addition that alone is of no use yet.
    pub fn warning(&self) -> Option<String> {
        let Self { placement, context, is_link_up, .. } = self;
        let name = &placement.link_name;
        (!is_link_up).then(|| {
            format!(
                "{context}: {} cannot be used while {name} is down; `ip link set {name} up`",
                placement.address
            )
        })
    }
}

/// Why the machine cannot have what a context needs, and the cure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// It lacks an address, and nobody said that it is to get it.
    Missing {
        /// The context.
        context: ContextLabel,
        /// The address.
        address: ClaimedAddress,
        /// The interface that the machine would probably have it on.
        interface: Option<String>,
    },
    /// It is to get addresses on an interface that is not there.
    NoInterface {
        /// The context.
        context: ContextLabel,
        /// The interface's name.
        interface: String,
        /// Where policy says so.
        place: Place,
        /// Those that are there.
        known: Vec<String>,
    },
    /// Its loopback interface is down.
    LoopbackDown {
        /// A context with a loopback of its own.
        context: ContextLabel,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { context, address: ClaimedAddress { address, place }, interface } => {
                if let Some(place) = place {
                    write!(f, "{place}: ")?;
                }
                let interface = interface.as_deref().unwrap_or("INTERFACE");
                write!(
                    f,
                    "{context}: the machine has no address {address}; add it with `ip address add {} dev {interface}`, or write assign = \"{interface}\" in the context's table and vs load does",
                    Single(*address)
                )
            }
            Self::NoInterface { context, interface, place, known } => write!(
                f,
                "{place}: {context}: assign names {interface:?}, and there is no such interface; there are: {}",
                known.join(", ")
            ),
            Self::LoopbackDown { context } => write!(
                f,
                "{context}: its loopback is its own, and the machine's is down; `ip link set lo up`, or write loopback = \"none\""
            ),
        }
    }
}

/// What to change so that the machine has what contexts need, and nothing else that was put there for some.
///
/// An address that somebody else put there is there, wherever it is. One with the mark stays while some context has it, also one whose
/// policy no longer says `assign`: taking it away would break what runs.
///
/// # Errors
/// All that stands in the way.
pub fn plan(claims: &[Claim], host: &HostNetwork) -> Result<Plan, Vec<Flaw>> {
    let mut planner = Planner { host, plan: Plan::default(), kept: BTreeSet::new(), flaws: Vec::new() };
    for claim in claims {
        planner.addresses(claim);
        planner.loopback(claim);
    }
    let Planner { mut plan, kept, flaws, .. } = planner;
    if !flaws.is_empty() {
        return Err(flaws);
    }
    let marked = host.addresses.iter().filter(|address| address.is_marked());
    plan.remove = marked
        .filter(|address| !kept.contains(&(address.address, address.link)))
        .map(|address| host.placement(address))
        .collect();
    Ok(plan)
}

struct Planner<'h> {
    host: &'h HostNetwork,
    plan: Plan,
    /// Addresses with the mark that stay, and where.
    kept: BTreeSet<(IpAddr, u32)>,
    flaws: Vec<Flaw>,
}

impl Planner<'_> {
    fn addresses(&mut self, claim: &Claim) {
        let host = self.host;
        let interface = match &claim.assign {
            None => None,
            Some((name, place)) => match host.link_named(name) {
                Some(link) => Some(link),
                None => {
                    return self.flaws.push(Flaw::NoInterface {
                        context: claim.context.clone(),
                        interface: name.clone(),
                        place: place.clone(),
                        known: host.links.iter().map(|link| link.name.clone()).collect(),
                    });
                }
            },
        };
        for claimed in &claim.addresses {
            let address = claimed.address;
            if host.has_unmarked(address) {
                continue;
            }
            if let Some(link) = interface {
                self.want(claim, address, link, false);
                continue;
            }
            let marked: Vec<_> = host.marked_on(address).collect();
            if marked.is_empty() {
                self.flaws.push(Flaw::Missing {
                    context: claim.context.clone(),
                    address: claimed.clone(),
                    interface: host.likely_interface(address),
                });
            }
            self.kept.extend(marked.into_iter().map(|link| (address, link)));
        }
    }

    fn loopback(&mut self, claim: &Claim) {
        let Some(address) = claim.loopback6 else { return };
        match self.host.loopback() {
            Some(lo) if lo.is_up => {
                let is_there = self
                    .host
                    .addresses
                    .iter()
                    .any(|at| at.address == address && at.link == lo.index && !at.is_marked());
                if !is_there {
                    self.want(claim, address, lo, true);
                }
            }
            _ if self.flaws.iter().any(|flaw| matches!(flaw, Flaw::LoopbackDown { .. })) => {}
            _ => self.flaws.push(Flaw::LoopbackDown { context: claim.context.clone() }),
        }
    }

    /// An address with the mark on an interface: it is added or stays.
    fn want(&mut self, claim: &Claim, address: IpAddr, link: &Link, is_optional: bool) {
        self.kept.insert((address, link.index));
        if self.host.marked_on(address).any(|index| index == link.index) {
            return;
        }
        let placement = Placement { address, link: link.index, link_name: link.name.clone() };
        self.plan.add.push(Addition {
            placement,
            context: claim.context.clone(),
            is_optional,
            is_link_up: link.is_up,
        });
    }
}

impl HostNetwork {
    /// Whether an address is the machine's, and not by us.
    fn has_unmarked(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|at| !at.is_marked() && (at.address == address || self.covers(at, address)))
    }

    /// On loopback an IPv4 network as a whole is the machine's (`net/ipv4/fib_frontend.c:fib_add_ifaddr`).
    fn covers(&self, at: &HostAddress, address: IpAddr) -> bool {
        at.address.is_ipv4()
            && self.link(at.link).is_some_and(|link| link.is_loopback)
            && address.is_ipv4()
            && Prefix::around(at.address, at.length).contains(to_address(address))
    }

    /// The interfaces that have an address with the mark.
    fn marked_on(&self, address: IpAddr) -> impl Iterator<Item = u32> {
        self.addresses.iter().filter(move |at| at.is_marked() && at.address == address).map(|at| at.link)
    }

    /// The interface that has the network that an address is of, or else the only one that is none of loopback.
    fn likely_interface(&self, address: IpAddr) -> Option<String> {
        let near = self.addresses.iter().find(|at| {
            at.address.is_ipv4() == address.is_ipv4()
                && !at.is_marked()
                && Prefix::around(at.address, at.length).contains(to_address(address))
        });
        let mut others = self.links.iter().filter(|link| !link.is_loopback);
        let only = others.next().filter(|_| others.next().is_none());
        near.and_then(|at| self.link(at.link)).or(only).map(|link| link.name.clone())
    }

    /// Where an address is.
    pub(super) fn placement(&self, at: &HostAddress) -> Placement {
        let link = self.link(at.link);
        Placement {
            address: at.address,
            link: at.link,
            link_name: link.map_or_else(|| format!("interface {}", at.link), |link| link.name.clone()),
        }
    }
}
