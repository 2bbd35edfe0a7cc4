//! What becomes of an address that a context with addresses of its own asks for: what the programs do around the decisions of
//! [`vs_common::network`].

use std::net::IpAddr;

use vs_common::id::Xid;
use vs_common::network::{
    Address, AddressKind, BindChoice, DestinationChoice, Reach, decide_bind, decide_destination,
    decide_host_bind, network_flag,
};
use vs_common::verdict::{Errno, Reason};

use crate::compile::network::{Network, Networks, primary4, primary6, to_address, to_ip};
use crate::policy::{PortSet, Protocol};

/// An address that is asked for, and by which socket. One of IPv6 asks for an address of IPv4 as `::ffff:192.0.2.1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The address, of the socket's family.
    pub address: IpAddr,
    /// Whether the socket is for IPv6 only (`IPV6_V6ONLY`).
    pub is_v6_only: bool,
    /// The protocol and port; `None`: one that policy does not look at.
    pub port: Option<(Protocol, u16)>,
}

impl Asked {
    /// What it stands for.
    pub fn kind(&self) -> AddressKind {
        to_address(self.address).kind()
    }

    /// Whether it is one of IPv4, mapped or not.
    pub fn is_v4(&self) -> bool {
        to_address(self.address).is_v4()
    }
}

/// How an address came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// It is what was asked for.
    AsAsked,
    /// It is the context's primary address, for ANY.
    Primary,
    /// It is the context's own loopback.
    OwnLoopback,
    /// It is the host's loopback.
    SharedLoopback,
}

/// What a socket gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The address.
    pub address: IpAddr,
    /// How it came about.
    pub how: How,
    /// What `getsockname(2)` of a socket that is bound, and `getpeername(2)` of one that is connected, answer.
    pub shown: IpAddr,
    /// Where it is sent from, unless the socket is bound already; `None`: nothing is sent, or from where the kernel says.
    pub source: Option<IpAddr>,
}

impl Outcome {
    /// What was asked for, unjudged.
    pub const fn as_asked(asked: Asked) -> Self {
        Self { address: asked.address, how: How::AsAsked, shown: asked.address, source: None }
    }
}

/// Of ANY there is no last octet: the first address.
fn own_loopback4(xid: Xid, asked: Address) -> IpAddr {
    let asked = if matches!(asked.kind(), AddressKind::Any) { 1_u32.to_be() } else { asked.v4_word() };
    to_ip(Address::v4(Address::own_loopback4(xid, asked)))
}

/// Loopback is shown as loopback, as `vs-ebpf/src/network/name.rs` does.
fn shown(own: IpAddr) -> IpAddr {
    let address = to_address(own);
    if address.is_v4() && address.is_context_loopback() {
        to_ip(Address::v4(Address::shown_loopback4(address.v4_word())))
    } else if address.is_own_loopback6() {
        to_ip(Address::LOOPBACK6)
    } else {
        own
    }
}

/// Whether the port is among those that policy gives.
fn is_given(ports: Option<&PortSet>, asked: Asked) -> bool {
    match (ports, asked.port) {
        (Some(ports), Some((protocol, port))) => ports.contains(protocol, port),
        (None, _) | (_, None) => true,
    }
}

/// Whether the context is among itself there.
const fn is_private(network: &Network, kind: AddressKind) -> bool {
    matches!(kind, AddressKind::Loopback) && network.rules.has(network_flag::LOOPBACK_PRIVATE)
}

const fn reach(asked: Asked) -> Reach {
    match asked.address {
        IpAddr::V4(_) => Reach::V4,
        IpAddr::V6(_) if asked.is_v6_only => Reach::V6,
        IpAddr::V6(_) => Reach::Both,
    }
}

/// The same for the host, or a context that uses its addresses; `None`: it gets what it asks for.
pub(super) fn bind_as_host(
    networks: &Networks,
    is_host: bool,
    asked: Asked,
) -> Option<Result<Outcome, (Errno, Reason)>> {
    let address = to_address(asked.address);
    let is_anothers = networks
        .iter()
        .any(|(xid, network)| *xid != Xid::HOST && network.addresses.iter().any(|at| at.contains(address)));
    if !is_host && !networks.is_empty() && (is_anothers || address.is_context_loopback()) {
        return Some(Err((Errno::Eaddrnotavail, Reason::ForeignAddress)));
    }
    let host = networks.get(&Xid::HOST)?;
    let primary = decide_host_bind(&host.rules, &address, reach(asked))?;
    let stays = match asked.port {
        Some((_, 0)) => true,
        Some((protocol, port)) => host.bind_ports.as_ref().is_some_and(|any| any.contains(protocol, port)),
        None => false,
    };
    let address = if stays { asked.address } else { to_ip(primary) };
    let how = if stays { How::AsAsked } else { How::Primary };
    Some(Ok(Outcome { address, how, shown: address, source: None }))
}

/// As `vs-ebpf/src/network/bind.rs`.
pub(super) fn bind(network: &Network, xid: Xid, asked: Asked) -> Result<Outcome, (Errno, Reason)> {
    let address = to_address(asked.address);
    let reach = reach(asked);
    if !is_given(network.bind_ports.as_ref(), asked) && !is_private(network, address.kind()) {
        return Err((Errno::Eacces, Reason::Port));
    }
    let is_listed = network.addresses.iter().any(|prefix| prefix.contains(address));
    let rules = &network.rules;
    let (address, how) = match decide_bind(rules, &address, reach, is_listed) {
        BindChoice::AsAsked if matches!(address.kind(), AddressKind::Loopback) => {
            (asked.address, How::SharedLoopback)
        }
        BindChoice::AsAsked => (asked.address, How::AsAsked),
        BindChoice::Primary4 => (to_ip(rules.primary4), How::Primary),
        BindChoice::Primary6 => (to_ip(rules.primary6), How::Primary),
        BindChoice::Loopback4 => (own_loopback4(xid, address), How::OwnLoopback),
        BindChoice::Loopback6 => (to_ip(Address::own_loopback6(xid)), How::OwnLoopback),
        BindChoice::Refused(errno, reason) => return Err((errno, reason)),
    };
    let shown = match how {
        How::Primary if rules.has(network_flag::SHOW_ANY) => asked.address,
        _ => shown(address),
    };
    Ok(Outcome { address, how, shown, source: None })
}

/// As `vs-ebpf/src/network/connect.rs`.
pub(super) fn destination(network: &Network, xid: Xid, asked: Asked) -> Result<Outcome, (Errno, Reason)> {
    let address = to_address(asked.address);
    let rules = &network.rules;
    let primary = if address.is_v4() { primary4(rules) } else { primary6(rules) };
    let choice = decide_destination(rules, &address);
    if matches!(choice, DestinationChoice::AsAsked | DestinationChoice::Host)
        && !is_given(network.connect_ports.as_ref(), asked)
    {
        return Err((Errno::Eacces, Reason::Port));
    }
    Ok(match choice {
        DestinationChoice::AsAsked => Outcome { source: primary.map(to_ip), ..Outcome::as_asked(asked) },
        DestinationChoice::Host => Outcome { how: How::SharedLoopback, ..Outcome::as_asked(asked) },
        DestinationChoice::OwnLoopback => {
            let (own, source) = if address.is_v4() {
                (own_loopback4(xid, address), own_loopback4(xid, Address::v4(0)))
            } else {
                let own = to_ip(Address::own_loopback6(xid));
                (own, own)
            };
            Outcome { address: own, how: How::OwnLoopback, shown: shown(own), source: Some(source) }
        }
        DestinationChoice::Refused(errno, reason) => return Err((errno, reason)),
    })
}
