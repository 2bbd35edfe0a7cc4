//! What policy says of one context's addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::model::Rule;
use super::place::{Located, Place};
use super::port::{PortPolicy, PortRange};
use super::prefix::Prefix;

/// What 127.0.0.0/8 and `::1` are to a context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loopback {
    /// Its own: nobody else answers or listens there.
    Private,
    /// The host's.
    Shared,
    /// Not there.
    None,
}

impl Loopback {
    /// The word in policy and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Shared => "shared",
            Self::None => "none",
        }
    }
}

/// What its sockets receive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receive {
    /// What the kernel finds them for.
    Kernel,
    /// Of that, what is for the context's addresses.
    Strict,
}

impl Receive {
    /// The word in policy and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Strict => "strict",
        }
    }
}

/// A protocol that a context may have raw sockets of: those that have no ports, so that nothing of another socket's comes along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RawProtocol {
    /// ICMP, over IPv4.
    Icmp,
    /// `ICMPv6`, over IPv6.
    Icmpv6,
}

impl RawProtocol {
    /// Each, by the word and the number (`/etc/protocols`) that policy may have for it.
    pub const ALL: [(Self, &'static str, &'static str); 2] =
        [(Self::Icmp, "icmp", "1"), (Self::Icmpv6, "icmpv6", "58")];

    /// The word in policy and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Icmpv6 => "icmpv6",
        }
    }
}

/// The addresses of a context, and what it may do beyond them. A context without this uses the host's network.
///
/// No address is another context's, each primary address is one of the context's, and a family has one if any address is of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkPolicy {
    pub(super) place: Place,
    pub(super) addresses: Vec<Rule<Prefix>>,
    pub(super) primary4: Option<Rule<Ipv4Addr>>,
    pub(super) primary6: Option<Rule<Ipv6Addr>>,
    pub(super) loopback: Rule<Loopback>,
    pub(super) multicast: Rule<bool>,
    pub(super) broadcast: Rule<bool>,
    pub(super) show_any: Rule<bool>,
    pub(super) ping: Rule<bool>,
    pub(super) receive: Rule<Receive>,
    pub(super) raw: Vec<Rule<RawProtocol>>,
    pub(super) raw_place: Option<Place>,
    pub(super) assign: Option<Located<String>>,
    pub(super) shared: Rule<bool>,
    pub(super) bind_ports: PortPolicy,
    pub(super) connect_ports: PortPolicy,
}

impl NetworkPolicy {
    /// Entries of `addresses`.
    pub const MAX_ADDRESSES: usize = 64;
    /// Bytes of an interface's name: one less than `IFNAMSIZ`.
    pub const INTERFACE_SIZE: usize = 15;

    /// Where `addresses` is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Its addresses and prefixes, in the order written; none: it has its loopback only.
    pub fn addresses(&self) -> &[Rule<Prefix>] {
        &self.addresses
    }

    /// What ANY is in IPv4, and the source of what goes out; `None`: it has no address of IPv4.
    pub const fn primary4(&self) -> Option<&Rule<Ipv4Addr>> {
        self.primary4.as_ref()
    }

    /// The same in IPv6.
    pub const fn primary6(&self) -> Option<&Rule<Ipv6Addr>> {
        self.primary6.as_ref()
    }

    /// What loopback is to it.
    pub const fn loopback(&self) -> &Rule<Loopback> {
        &self.loopback
    }

    /// Whether it may join groups and send to them.
    pub const fn multicast(&self) -> &Rule<bool> {
        &self.multicast
    }

    /// Whether it may send echo requests.
    pub const fn ping(&self) -> &Rule<bool> {
        &self.ping
    }

    /// What its sockets receive.
    pub const fn receive(&self) -> &Rule<Receive> {
        &self.receive
    }

    /// The protocols that it may have raw sockets of.
    pub fn raw(&self) -> &[Rule<RawProtocol>] {
        &self.raw
    }

    /// Where that is said.
    pub const fn raw_place(&self) -> Option<&Place> {
        self.raw_place.as_ref()
    }

    /// Whether it may have raw sockets of a protocol.
    pub fn has_raw(&self, protocol: RawProtocol) -> bool {
        self.raw.iter().any(|rule| rule.value == protocol)
    }

    /// Whether it may send to all of a network at once.
    pub const fn broadcast(&self) -> &Rule<bool> {
        &self.broadcast
    }

    /// Whether a socket bound to ANY is shown ANY and not the primary address.
    pub const fn show_any(&self) -> &Rule<bool> {
        &self.show_any
    }

    /// Whether other contexts that say so too may have its addresses.
    pub const fn shared(&self) -> &Rule<bool> {
        &self.shared
    }

    /// The ports that it may bind to.
    pub const fn bind_ports(&self) -> &PortPolicy {
        &self.bind_ports
    }

    /// The ports that it may connect and send to.
    pub const fn connect_ports(&self) -> &PortPolicy {
        &self.connect_ports
    }

    /// The interface that gets those of its addresses that the machine lacks, and where that is given; `None`: it must have them.
    pub fn assign(&self) -> Option<(&str, &Place)> {
        self.assign.as_ref().map(|interface| (interface.value.as_str(), &interface.place))
    }
}

/// The host's own addresses, which its services on ANY are confined to.
///
/// None of them is a context's, each primary address is one of them, and a family has one if any address is of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostNetworkPolicy {
    pub(super) place: Place,
    pub(super) addresses: Vec<Rule<Prefix>>,
    pub(super) primary4: Option<Rule<Ipv4Addr>>,
    pub(super) primary6: Option<Rule<Ipv6Addr>>,
    pub(super) any_ports: Option<Vec<Rule<PortRange>>>,
}

impl HostNetworkPolicy {
    /// `any_ports` unless policy says otherwise: leases and names, which come by broadcast and multicast (DHCP, `DHCPv6`, mDNS, LLMNR, SSDP).
    pub const ANY_PORTS: [&'static str; 5] = ["udp/67-68", "udp/546-547", "udp/1900", "udp/5353", "udp/5355"];

    /// Where `addresses` is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Its addresses and prefixes, in the order written.
    pub fn addresses(&self) -> &[Rule<Prefix>] {
        &self.addresses
    }

    /// What ANY is in IPv4; `None`: IPv4 is not confined.
    pub const fn primary4(&self) -> Option<&Rule<Ipv4Addr>> {
        self.primary4.as_ref()
    }

    /// The same in IPv6.
    pub const fn primary6(&self) -> Option<&Rule<Ipv6Addr>> {
        self.primary6.as_ref()
    }

    /// The ports that its services have on ANY as ever.
    pub fn any_ports(&self) -> Vec<PortRange> {
        match &self.any_ports {
            Some(rules) => rules.iter().map(|rule| rule.value.clone()).collect(),
            None => Self::ANY_PORTS.iter().filter_map(|text| text.parse().ok()).collect(),
        }
    }
}
