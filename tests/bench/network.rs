//! The operations on sockets: the host's at its address, a guest's at one that policy lists.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_linger, set_tcp_nodelay};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::limit::Ratio;
use crate::operation::{Act, COSTLY, Operation, Site, row};

/// The host's address.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The context's.
pub(crate) const GUEST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// What of the other operations is measured as well: contexts with addresses have opening looked at.
pub(crate) const FILE: &str = "open+close, 5 components";

/// Two ports that nobody else on the machine is likely to have.
const PORTS: [u16; 2] = [8471, 8472];
/// Connections wait for nobody here.
const BACKLOG: i32 = 8;
/// Each has some 50 000 instructions.
const CONNECTIONS: u32 = 20;

/// The machine has [`HOST`] and [`GUEST`]; dropping it takes them away.
#[derive(Debug)]
pub(crate) struct Addresses;

impl Addresses {
    /// Gives them to the machine.
    pub(crate) fn give() -> Result<Self> {
        let given = Self;
        for address in [HOST, GUEST] {
            let status = change("add", address).status().context("starting `ip`")?;
            if !status.success() {
                bail!("`ip address add {address}/32 dev lo` ended with {status}");
            }
        }
        Ok(given)
    }
}

impl Drop for Addresses {
    fn drop(&mut self) {
        for address in [HOST, GUEST] {
            // One that was never given cannot be taken, and says so.
            let _ = change("del", address).status();
        }
    }
}

fn change(what: &str, address: Ipv4Addr) -> Command {
    let mut command = Command::new("ip");
    command.args(["-4", "address", what, &format!("{address}/32"), "dev", "lo"]);
    command
}

/// Every operation, in the order of the table.
pub(crate) static OPERATIONS: &[Operation] = &[
    row("socket+close, TCP", COSTLY, |_| Ok(Box::new(|| socket(SocketType::STREAM).map(drop)))),
    row("socket+bind+close, UDP, own address", COSTLY, |site| Ok(bind_and_close(site.address))),
    row("socket+bind+close, UDP, ANY", COSTLY, |_| Ok(bind_and_close(Ipv4Addr::UNSPECIFIED))),
    row("connect+accept+close, own address", CONNECTIONS, |site| {
        connect_and_close(site.address, site.address)
    })
    .promising(Ratio::Connection),
    row("connect+accept+close, own address, listening on ANY", CONNECTIONS, |site| {
        connect_and_close(Ipv4Addr::UNSPECIFIED, site.address)
    })
    .promising(Ratio::Connection),
    row("connect+accept+close, 127.0.0.1", CONNECTIONS, |_| {
        connect_and_close(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST)
    })
    .promising(Ratio::Connection),
    row("send+recv, TCP, 1 byte", COSTLY, |site| stream(site, 1)).promising(Ratio::Established),
    row("send+recv, TCP, 16 KiB", COSTLY, |site| stream(site, 16 << 10)).promising(Ratio::Established),
    row("send+recv, UDP, connected", COSTLY, |site| {
        let [(from, from_name), (to, to_name)] = datagram_sockets(site)?;
        rustix::net::connect(&from, &to_name)?;
        rustix::net::connect(&to, &from_name)?;
        let mut byte = [0];
        Ok(Box::new(move || {
            rustix::net::send(&from, &[0], SendFlags::empty())?;
            rustix::net::recv(&to, &mut byte, RecvFlags::empty()).map(drop)
        }))
    })
    .promising(Ratio::Established),
    row("sendto+recvfrom, UDP", COSTLY, |site| {
        let [(from, _), (to, name)] = datagram_sockets(site)?;
        let mut byte = [0];
        Ok(Box::new(move || {
            rustix::net::sendto(&from, &[0], SendFlags::empty(), &name)?;
            rustix::net::recvfrom(&to, &mut byte, RecvFlags::empty()).map(drop)
        }))
    }),
];

fn socket(kind: SocketType) -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None)
}

fn bind_and_close(address: Ipv4Addr) -> Act {
    // A port of its own: to find a free one takes now more and now less.
    let name = SocketAddrV4::new(address, PORTS[0]);
    Box::new(move || rustix::net::bind(&socket(SocketType::DGRAM)?, &name))
}

/// Two sockets that are bound, and to what.
fn datagram_sockets(site: &Site) -> Result<[(OwnedFd, SocketAddrV4); 2]> {
    let bound = |port| {
        let name = SocketAddrV4::new(site.address, port);
        let socket = socket(SocketType::DGRAM)?;
        rustix::net::bind(&socket, &name).with_context(|| format!("binding to {name}"))?;
        anyhow::Ok((socket, name))
    };
    Ok([bound(PORTS[0])?, bound(PORTS[1])?])
}

fn listener(address: Ipv4Addr) -> Result<OwnedFd> {
    let name = SocketAddrV4::new(address, PORTS[0]);
    let listener = socket(SocketType::STREAM)?;
    // What it accepts lingers for no time either. The last close is a reset then, and no connection stays in TIME_WAIT: thousands of those
    // would make the search for a port longer and longer.
    set_socket_linger(&listener, Some(Duration::ZERO))?;
    rustix::net::bind(&listener, &name).with_context(|| format!("binding to {name}"))?;
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// Both ends of a connection. The kernel has made it, whole, when `connect` returns: it goes no further than the machine.
fn connection(listener: &OwnedFd, to: SocketAddrV4) -> Result<[OwnedFd; 2], Errno> {
    let client = socket(SocketType::STREAM)?;
    rustix::net::connect(&client, &to)?;
    let (server, _) = rustix::net::acceptfrom_with(listener, SocketFlags::CLOEXEC)?;
    Ok([client, server])
}

fn connect_and_close(listening: Ipv4Addr, to: Ipv4Addr) -> Result<Act> {
    let (listener, to) = (listener(listening)?, SocketAddrV4::new(to, PORTS[0]));
    // The client's end is closed first.
    Ok(Box::new(move || connection(&listener, to).map(drop)))
}

/// One end sends so many bytes, and the other has them all.
fn stream(site: &Site, bytes: usize) -> Result<Act> {
    let listener = listener(site.address)?;
    let [client, server] = connection(&listener, SocketAddrV4::new(site.address, PORTS[0]))?;
    // Or the second byte waits until the first is acknowledged, which is put off.
    set_tcp_nodelay(&client, true)?;
    let (sent, mut received) = (vec![0; bytes], vec![0; bytes]);
    Ok(Box::new(move || {
        rustix::net::send(&client, &sent, SendFlags::empty())?;
        rustix::net::recv(&server, &mut received[..], RecvFlags::WAITALL).map(drop)
    }))
}
