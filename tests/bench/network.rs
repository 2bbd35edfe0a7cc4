//! The operations on sockets: the host's at its addresses, a guest's at those that policy lists, and for comparison those that go from a
//! network namespace through a veth pair.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_linger, set_tcp_nodelay};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::limit::Ratio;
use crate::operation::{Act, COSTLY, Operation, Site, row};
use crate::place::{Family, Place};

/// What of the other operations is measured as well: contexts with addresses have opening looked at.
pub(crate) const FILE: &str = "open+close, 5 components";

/// Two ports that nobody else on the machine is likely to have.
const PORTS: [u16; 2] = [8471, 8472];
/// Connections wait for nobody here.
const BACKLOG: i32 = 8;
/// Each has some 50 000 instructions.
const CONNECTIONS: u32 = 20;

/// The machine has the addresses of [`Place::Host`] and [`Place::Guest`]; dropping it takes them away.
#[derive(Debug)]
pub(crate) struct Addresses;

impl Addresses {
    /// Gives them to the machine.
    pub(crate) fn give() -> Result<Self> {
        let given = Self;
        change("add")?;
        Ok(given)
    }
}

impl Drop for Addresses {
    fn drop(&mut self) {
        // One that was never given cannot be taken, and says so.
        let _ = change("del");
    }
}

fn change(what: &str) -> Result<()> {
    let mut outcome = Ok(());
    for family in Family::ALL {
        for place in [Place::Host, Place::Guest] {
            let prefix = format!("{}/{}", place.ends(family).server, family.bits());
            outcome = outcome.and(ip(&[family.option(), "address", what, &prefix, "dev", "lo"]));
        }
    }
    outcome
}

/// Has `ip` do something.
pub(crate) fn ip(arguments: &[&str]) -> Result<()> {
    let status = Command::new("ip").args(arguments).status().context("starting `ip`")?;
    if !status.success() {
        bail!("`ip {}` ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// Every operation, in the order of the table.
pub(crate) static OPERATIONS: &[Operation] = &[
    row("socket+close, TCP", COSTLY, |_| Ok(Box::new(|| socket(Family::Four, SocketType::STREAM).map(drop)))),
    row("socket+bind+close, UDP, own address", COSTLY, |site| {
        Ok(bind_and_close(site.place.ends(Family::Four).server))
    }),
    row("socket+bind+close, UDP, ANY", COSTLY, |_| Ok(bind_and_close(Family::Four.any()))),
    row("connect+accept+close, own address", CONNECTIONS, |site| {
        let server = site.place.ends(Family::Four).server;
        connect_and_close(site, server, server)
    })
    .promising(Ratio::Connection)
    .between_ends(),
    row("connect+accept+close, own address, listening on ANY", CONNECTIONS, |site| {
        connect_and_close(site, Family::Four.any(), site.place.ends(Family::Four).server)
    })
    .promising(Ratio::Connection)
    .between_ends(),
    row("connect+accept+close, 127.0.0.1", CONNECTIONS, |site| {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        connect_and_close(site, loopback, loopback)
    })
    .promising(Ratio::Connection),
    row("connect+accept+close, own address, IPv6", CONNECTIONS, |site| {
        let server = site.place.ends(Family::Six).server;
        connect_and_close(site, server, server)
    })
    .promising(Ratio::Connection)
    .between_ends(),
    row("connect+accept+close, own address, IPv6, listening on ANY", CONNECTIONS, |site| {
        connect_and_close(site, Family::Six.any(), site.place.ends(Family::Six).server)
    })
    .promising(Ratio::Connection)
    .between_ends(),
    row("send+recv, TCP, 1 byte", COSTLY, |site| stream(site, Family::Four, 1))
        .promising(Ratio::Established)
        .between_ends(),
    row("send+recv, TCP, 16 KiB", COSTLY, |site| stream(site, Family::Four, 16 << 10))
        .promising(Ratio::Established)
        .between_ends(),
    row("send+recv, TCP, 1 byte, IPv6", COSTLY, |site| stream(site, Family::Six, 1))
        .promising(Ratio::Established)
        .between_ends(),
    row("send+recv, TCP, 16 KiB, IPv6", COSTLY, |site| stream(site, Family::Six, 16 << 10))
        .promising(Ratio::Established)
        .between_ends(),
    row("send+recv, UDP, connected", COSTLY, |site| {
        let [(from, from_name), (to, to_name)] = datagram_sockets(site, Family::Four)?;
        rustix::net::connect(&from, &to_name)?;
        rustix::net::connect(&to, &from_name)?;
        let mut byte = [0];
        Ok(Box::new(move || {
            rustix::net::send(&from, &[0], SendFlags::empty())?;
            rustix::net::recv(&to, &mut byte, RecvFlags::empty()).map(drop)
        }))
    })
    .promising(Ratio::Established)
    .between_ends(),
    row("sendto+recvfrom, UDP", COSTLY, |site| datagrams(site, Family::Four)).between_ends(),
    row("sendto+recvfrom, UDP, IPv6", COSTLY, |site| datagrams(site, Family::Six)).between_ends(),
];

fn socket(family: Family, kind: SocketType) -> Result<OwnedFd, Errno> {
    let family = match family {
        Family::Four => AddressFamily::INET,
        Family::Six => AddressFamily::INET6,
    };
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)
}

/// The family of an address.
const fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Four,
        IpAddr::V6(_) => Family::Six,
    }
}

fn bind_and_close(address: IpAddr) -> Act {
    // A port of its own: to find a free one takes now more and now less.
    let name = SocketAddr::new(address, PORTS[0]);
    Box::new(move || rustix::net::bind(&socket(family(address), SocketType::DGRAM)?, &name))
}

/// Two sockets that are bound, the client's and the server's, and to what.
fn datagram_sockets(site: &Site, family: Family) -> Result<[(OwnedFd, SocketAddr); 2]> {
    let bound = |address, port| {
        let name = SocketAddr::new(address, port);
        let socket = socket(family, SocketType::DGRAM)?;
        rustix::net::bind(&socket, &name).with_context(|| format!("binding to {name}"))?;
        anyhow::Ok((socket, name))
    };
    let ends = site.place.ends(family);
    let server = site.serving(|| bound(ends.server, PORTS[1]))?;
    Ok([bound(ends.client, PORTS[0])?, server])
}

fn datagrams(site: &Site, family: Family) -> Result<Act> {
    let [(from, _), (to, name)] = datagram_sockets(site, family)?;
    let mut byte = [0];
    Ok(Box::new(move || {
        rustix::net::sendto(&from, &[0], SendFlags::empty(), &name)?;
        rustix::net::recvfrom(&to, &mut byte, RecvFlags::empty()).map(drop)
    }))
}

fn listener(site: &Site, address: IpAddr) -> Result<OwnedFd> {
    let name = SocketAddr::new(address, PORTS[0]);
    let listener = site.serving(|| Ok(socket(family(address), SocketType::STREAM)?))?;
    // What it accepts lingers for no time either. The last close is a reset then, and no connection stays in TIME_WAIT: thousands of those
    // would make the search for a port longer and longer.
    set_socket_linger(&listener, Some(Duration::ZERO))?;
    rustix::net::bind(&listener, &name).with_context(|| format!("binding to {name}"))?;
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// Both ends of a connection. The kernel has made it, whole, when `connect` returns: it goes no further than the machine.
fn connection(listener: &OwnedFd, to: SocketAddr) -> Result<[OwnedFd; 2], Errno> {
    let client = socket(family(to.ip()), SocketType::STREAM)?;
    rustix::net::connect(&client, &to)?;
    let (server, _) = rustix::net::acceptfrom_with(listener, SocketFlags::CLOEXEC)?;
    Ok([client, server])
}

fn connect_and_close(site: &Site, listening: IpAddr, to: IpAddr) -> Result<Act> {
    let (listener, to) = (listener(site, listening)?, SocketAddr::new(to, PORTS[0]));
    // The client's end is closed first.
    Ok(Box::new(move || connection(&listener, to).map(drop)))
}

/// One end sends so many bytes, and the other has them all.
fn stream(site: &Site, family: Family, bytes: usize) -> Result<Act> {
    let server = site.place.ends(family).server;
    let listener = listener(site, server)?;
    let [client, server] = connection(&listener, SocketAddr::new(server, PORTS[0]))?;
    // Or the second byte waits until the first is acknowledged, which is put off.
    set_tcp_nodelay(&client, true)?;
    let (sent, mut received) = (vec![0; bytes], vec![0; bytes]);
    Ok(Box::new(move || {
        rustix::net::send(&client, &sent, SendFlags::empty())?;
        rustix::net::recv(&server, &mut received[..], RecvFlags::WAITALL).map(drop)
    }))
}
