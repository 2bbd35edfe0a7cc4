//! Services on ANY, which have their port on every address. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};

use super::holder::Holder;
use super::message::{CLOSE, LISTEN};
use super::{HostSocket, Protocol};

/// What to do about all of them.
pub const CURE: &str =
    "bind each to the host's own address, or list that in policy ([host] addresses = [...]) and restart it";

/// How many holders are named; a server may have a worker for each processor.
const NAMED: usize = 3;

/// A service in the way of contexts with addresses: none of them can have its port.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Service {
    /// What it speaks.
    #[serde(serialize_with = "name")]
    pub protocol: Protocol,
    /// 0.0.0.0 or `::`.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Whether, on `::`, it leaves IPv4 alone.
    pub v6_only: bool,
    /// Who holds it. Empty: the kernel itself, or nobody that the caller may look at.
    pub holders: BTreeSet<Holder>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn name<S: Serializer>(protocol: &Protocol, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(protocol.name())
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, address, port, holders, .. } = self;
        match address {
            IpAddr::V4(address) => write!(f, "{protocol} {address}:{port}: ")?,
            IpAddr::V6(address) => write!(f, "{protocol} [{address}]:{port}: ")?,
        }
        let named: Vec<_> = holders.iter().take(NAMED).map(ToString::to_string).collect();
        match holders.len() {
            0 => f.write_str("no process that can be seen"),
            count if count > NAMED => write!(f, "{} and {} more", named.join(", "), count - NAMED),
            _ => f.write_str(&named.join(", ")),
        }
    }
}

/// The inodes of sockets that are in the way, for [`super::holder::holders_of`].
pub fn inodes(sockets: &[HostSocket], local_ports: &RangeInclusive<u16>) -> BTreeSet<u32> {
    sockets.iter().filter(|socket| is_in_the_way(socket, local_ports)).map(|socket| socket.inode).collect()
}

/// Every service on ANY, by protocol, port and address. Sockets that share all three are one service.
///
/// No context's is among them: its sockets on ANY are at its primary address. A UDP socket that has sent without being bound is on ANY as
/// well, at a port that the kernel chose, and nothing tells it from a service: so those at a port of `local_ports`, from which the kernel
/// chooses, are left out. A context that asks for such a port may always find it taken.
pub fn in_the_way(
    sockets: &[HostSocket],
    local_ports: &RangeInclusive<u16>,
    holders: &BTreeMap<u32, BTreeSet<Holder>>,
) -> Vec<Service> {
    let mut services = BTreeMap::new();
    for socket in sockets.iter().filter(|socket| is_in_the_way(socket, local_ports)) {
        let key = (socket.protocol, socket.port(), socket.local());
        let service = services.entry(key).or_insert_with(|| Service {
            protocol: socket.protocol,
            address: socket.local(),
            port: socket.port(),
            v6_only: true,
            holders: BTreeSet::new(),
        });
        service.v6_only &= socket.is_v6_only == Some(true);
        service.holders.extend(holders.get(&socket.inode).into_iter().flatten().cloned());
    }
    services.into_values().collect()
}

fn is_in_the_way(socket: &HostSocket, local_ports: &RangeInclusive<u16>) -> bool {
    let is_service = match socket.protocol {
        Protocol::Tcp => socket.state == LISTEN,
        Protocol::Udp | Protocol::UdpLite => socket.state == CLOSE && !local_ports.contains(&socket.port()),
    };
    is_service && socket.local().is_unspecified()
}
