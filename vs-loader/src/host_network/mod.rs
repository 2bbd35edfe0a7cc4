//! The machine's own addresses: whether those of contexts are among them, and putting there what is missing.
//!
//! ```text
//! Policy + Networks --claims_of--> Claim list --plan (+ HostNetwork)--> Plan --put, take_away--> the kernel
//! Network + HostNetwork + Route list --sources_of--> source by destination
//! Networks + HostNetwork + Route list --plan_pings--> PingPlan --put_entries, take_entries--> the kernel
//! ```
//!
//! What is put there carries a mark that the kernel keeps with the address ([`MARK`]), so no file has to remember it: a load that was
//! killed leaves nothing behind that the next load or unload does not find. The kernel is asked by rtnetlink; all but [`rtnetlink`] is
//! pure, or works on [`Interfaces`].

mod change;
mod claim;
mod message;
pub mod ping;
mod plan;
mod route;
pub mod rtnetlink;
mod source;

use std::fmt;
use std::io;
use std::net::IpAddr;

pub use change::{Leftover, marked, put, take_away};
pub use claim::{Claim, ClaimedAddress, claims_of};
pub use plan::{Addition, Flaw, Plan, plan};
pub use route::Route;
pub use source::{MOST_SOURCES, sources_of};

/// What `IFA_PROTO` is of addresses that `vs` put on an interface: who gave an address, as far as the kernel is concerned any number
/// above 3 (`include/uapi/linux/if_addr.h`). `ip address show proto 0x56` lists them.
pub const MARK: u8 = 0x56;

/// The interfaces of the machine and their addresses at one time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostNetwork {
    /// The interfaces.
    pub links: Vec<Link>,
    /// The addresses, of all interfaces.
    pub addresses: Vec<HostAddress>,
}

/// An interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is administratively up.
    pub is_up: bool,
    /// Whether it is a loopback interface.
    pub is_loopback: bool,
}

/// An address of an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostAddress {
    /// The address.
    pub address: IpAddr,
    /// Bits of its network.
    pub length: u8,
    /// The number of the interface.
    pub link: u32,
    /// `IFA_PROTO`: who gave it; 0: the kernel does not know.
    pub origin: u8,
}

impl HostAddress {
    /// Whether it was put there by [`put`].
    pub const fn is_marked(&self) -> bool {
        self.origin == MARK && self.length == single_length(self.address)
    }
}

impl HostNetwork {
    /// The interface with this name.
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The loopback interface: every network namespace has one.
    pub fn loopback(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.is_loopback)
    }

    fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }
}

/// One address on one interface: what is added or removed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Placement {
    /// The address.
    pub address: IpAddr,
    /// The number of the interface.
    pub link: u32,
    /// Its name, for messages.
    pub link_name: String,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", Single(self.address), self.link_name)
    }
}

/// An address as a network of its own, as `ip address` takes it.
#[derive(Clone, Copy, Debug)]
struct Single(IpAddr);

impl fmt::Display for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, single_length(self.0))
    }
}

/// Bits of an address.
const fn single_length(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The kernel's interfaces, as far as this deals with them.
pub trait Interfaces {
    /// What there is.
    ///
    /// # Errors
    /// The kernel refused, or said what cannot be understood.
    fn list(&mut self) -> Result<HostNetwork, HostNetworkError>;

    /// Its routes: of the main table, for packets of all kinds.
    ///
    /// # Errors
    /// As [`Self::list`].
    fn routes(&mut self) -> Result<Vec<Route>, HostNetworkError>;

    /// Adds an address with [`MARK`].
    ///
    /// # Errors
    /// The kernel refused; EEXIST: the interface has it.
    fn add(&mut self, placement: &Placement) -> io::Result<()>;

    /// Removes an address.
    ///
    /// # Errors
    /// The kernel refused; EADDRNOTAVAIL: the interface does not have it.
    fn remove(&mut self, placement: &Placement) -> io::Result<()>;
}

/// Why the machine cannot have the addresses of contexts.
#[derive(Debug, thiserror::Error)]
pub enum HostNetworkError {
    /// No socket.
    #[error("cannot ask the kernel for the machine's addresses: no socket of rtnetlink: {0}")]
    Socket(io::Error),
    /// No list.
    #[error("cannot list the machine's {what}: {cause}")]
    List {
        /// Interfaces, addresses or routes.
        what: &'static str,
        /// Why not.
        cause: io::Error,
    },
    /// The list does not hold still.
    #[error("the machine's {what} changed in each of {attempts} attempts to list them; run this again")]
    Restless {
        /// Interfaces, addresses or routes.
        what: &'static str,
        /// How often it was tried.
        attempts: usize,
    },
    /// What policy says and what the machine has do not go together.
    #[error("{}", flaws_text(.0))]
    Flaws(Vec<Flaw>),
    /// The routes come to more sources than a context can have.
    #[error(
        "{context}: by the routes of the machine its source differs between {count} destinations, and at most {most} are possible; give the routes fewer preferred sources, or the context fewer addresses"
    )]
    TooManySources {
        /// Whose.
        context: crate::compile::ContextLabel,
        /// How many destinations there are.
        count: usize,
        /// How many there can be.
        most: usize,
    },
    /// There are more routes than a context's table for echo requests can have.
    #[error(
        "{context}: the machine has {count} routes of one family, and a context that may ping or have raw sockets can have at most {most} of its own; take ping and raw out"
    )]
    TooManyRoutes {
        /// Whose.
        context: crate::compile::ContextLabel,
        /// How many there are.
        count: usize,
        /// How many there can be.
        most: usize,
    },
    /// A rule or a route could not be added.
    #[error("cannot add {entry}: {cause}")]
    Entry {
        /// Which.
        entry: ping::Entry,
        /// Why not.
        cause: io::Error,
    },
    /// An address could not be added.
    #[error("{context}: cannot add {placement}: {cause}")]
    Add {
        /// Whose it is.
        context: crate::compile::ContextLabel,
        /// The address and its interface.
        placement: Placement,
        /// Why not.
        cause: io::Error,
    },
}

/// One on the line of the command's name, several below it.
fn flaws_text(flaws: &[Flaw]) -> String {
    let lines: Vec<_> = flaws.iter().map(ToString::to_string).collect();
    let head = if lines.len() > 1 { "the machine lacks what contexts need:\n" } else { "" };
    format!("{head}{}", lines.join("\n"))
}

#[cfg(test)]
mod tests;
