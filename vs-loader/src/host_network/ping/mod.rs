//! Routes for the echo requests of contexts, and for what their raw sockets send: where no program says where a packet comes from, the route does.
//!
//! A ping or raw socket has the mark of its context (`vs-ebpf/src/network/icmp.rs`), and a rule leads that mark to a table of its own, a copy of the
//! machine's routes with the context's addresses as preferred sources. A second rule ends the search for every mark of the kind: what no
//! table of a context's has a route for goes nowhere, and not by the machine's own routes. Both are asked after the table `local`
//! (`net/ipv4/fib_rules.c:fib_default_rules_init`), so from one address of the machine's to the same one nothing changes.
//!
//! Every load makes the tables anew, beside those that are there, under a number that none of them has: of two rules for one mark the older is
//! asked first. All carry the mark that addresses carry, [`super::MARK`], as their protocol.

mod change;
pub(super) mod message;
mod plan;

use std::io;
use std::net::IpAddr;

pub use change::{Remnant, put_entries, take_entries};
pub use plan::{PingPlan, has_pings, plan_pings};

use super::HostNetworkError;
use crate::policy::Prefix;

/// Where in the list of rules those for contexts are: after the table `local` (0), before whatever an administrator adds by default.
pub const RULE_PRIORITY: u32 = 86;
/// And the rule that ends the search.
pub const END_PRIORITY: u32 = 87;

/// Something in the kernel's routing with [`super::MARK`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Entry {
    /// `ip rule`.
    Rule(Rule),
    /// `ip route`.
    Route(TableRoute),
}

/// Which packets a table is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rule {
    /// Of which family; so below.
    pub is_v4: bool,
    /// The mark that a packet has.
    pub mark: u32,
    /// In which bits.
    pub mask: u32,
    /// Which rules come before it.
    pub priority: u32,
    /// The table; `None`: the packet is unreachable.
    pub table: Option<u32>,
}

impl Rule {
    /// Whether it ends the search.
    pub const fn is_end(&self) -> bool {
        self.table.is_none()
    }
}

/// A route of a context's table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TableRoute {
    /// The table.
    pub table: u32,
    /// Where to.
    pub destination: Prefix,
    /// The number of the interface.
    pub link: u32,
    /// The machine that packets are handed to.
    pub gateway: Option<IpAddr>,
    /// Whether that is on the interface whatever its addresses say.
    pub is_on_link: bool,
    /// The address that packets come from.
    pub source: Option<IpAddr>,
}

/// The kernel's routing, as far as this deals with it.
pub trait Routing {
    /// All rules with the mark.
    ///
    /// # Errors
    /// The kernel refused, or said what cannot be understood.
    fn marked_rules(&mut self) -> Result<Vec<Rule>, HostNetworkError>;

    /// All routes with the mark.
    ///
    /// # Errors
    /// As [`Self::marked_rules`].
    fn marked_routes(&mut self) -> Result<Vec<TableRoute>, HostNetworkError>;

    /// Adds one.
    ///
    /// # Errors
    /// The kernel refused.
    fn add_entry(&mut self, entry: &Entry) -> io::Result<()>;

    /// Removes one.
    ///
    /// # Errors
    /// The kernel refused; ENOENT, ESRCH: it is not there.
    fn remove_entry(&mut self, entry: &Entry) -> io::Result<()>;
}

/// Everything with the mark: routes before the rules by which they are found.
///
/// # Errors
/// It cannot be listed.
pub fn marked_entries(kernel: &mut dyn Routing) -> Result<Vec<Entry>, HostNetworkError> {
    let rules = kernel.marked_rules()?;
    // A rule is added before the routes of its table and removed after them.
    let routes = if rules.is_empty() { Vec::new() } else { kernel.marked_routes()? };
    Ok(routes.into_iter().map(Entry::Route).chain(rules.into_iter().map(Entry::Rule)).collect())
}
