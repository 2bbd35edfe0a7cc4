//! Routes of the machine, from the kernel's bytes. Pure.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::NlasIterator;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteFlags, RouteHeader, RouteType};

use crate::netlink::message::not_understood;
use crate::policy::Prefix;

/// Bytes of `struct rtmsg`.
pub(super) const ROUTE_HEADER_SIZE: usize = 12;
/// Bytes of `struct rtnexthop`.
const NEXT_HOP_SIZE: usize = 8;

/// A route of the main table that packets can take, whoever sends them and whatever is in them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// Where to.
    pub destination: Prefix,
    /// The number of the interface that it leaves by; of several, the first's.
    pub link: u32,
    /// The machine that packets are handed to, if it is not the destination itself and has an address of the same family.
    pub gateway: Option<IpAddr>,
    /// The source that the route names.
    pub source: Option<IpAddr>,
    /// Of several routes to one destination the one with the lowest counts.
    pub metric: u32,
    /// Whether the gateway is on the interface whatever addresses that has.
    pub is_on_link: bool,
    /// Whether interface and gateway say all: it leads neither through another family nor into a tunnel.
    pub is_plain: bool,
}

/// Where a route leads.
#[derive(Clone, Copy, Default)]
struct Hop {
    link: Option<u32>,
    gateway: Option<IpAddr>,
    is_on_link: bool,
    is_odd: bool,
}

/// Attributes of hops that are more than an interface and a gateway (`include/uapi/linux/rtnetlink.h`).
const VIA: u16 = 18;
const ENCAPSULATION: u16 = 22;
/// `RTNH_F_ONLINK`.
const ON_LINK: u8 = 4;

/// The route that a message is about; `None`: it is not one of those that [`Route`] is for.
///
/// # Errors
/// The kernel said what no kernel says.
pub(super) fn route(payload: &[u8]) -> io::Result<Option<Route>> {
    let header = RouteHeader::parse(payload).map_err(not_understood)?;
    let any = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return Ok(None),
    };
    // A route for a type of service or for a source says nothing of the other packets; what is cloned is what a look-up remembered.
    let is_for_all = header.tos == 0 && header.source_prefix_length == 0;
    let is_alive = !header.flags.intersects(RouteFlags::Cloned | RouteFlags::Dead);
    if header.kind != RouteType::Unicast || !is_for_all || !is_alive {
        return Ok(None);
    }
    let mut table = u32::from(header.table);
    let (mut destination, mut source, mut metric) = (any, None, 0);
    let is_on_link = header.flags.contains(RouteFlags::Onlink);
    let (mut direct, mut first) = (Hop { is_on_link, ..Hop::default() }, None);
    for attribute in NlasIterator::new(payload.get(ROUTE_HEADER_SIZE..).unwrap_or_default()) {
        let attribute = attribute.map_err(not_understood)?;
        let value = attribute.value();
        match attribute.kind() {
            libc::RTA_TABLE => table = number(value)?,
            libc::RTA_DST => destination = address(value)?,
            libc::RTA_PREFSRC => source = Some(address(value)?),
            libc::RTA_PRIORITY => metric = number(value)?,
            libc::RTA_OIF => direct.link = Some(number(value)?),
            libc::RTA_GATEWAY => direct.gateway = Some(address(value)?),
            VIA | ENCAPSULATION => direct.is_odd = true,
            libc::RTA_MULTIPATH => first = Some(first_hop(value)?),
            _ => {}
        }
    }
    let Hop { link: Some(link), gateway, is_on_link, is_odd } = first.unwrap_or(direct) else {
        return Ok(None);
    };
    if table != u32::from(RouteHeader::RT_TABLE_MAIN) {
        return Ok(None);
    }
    let destination = Prefix::around(destination, header.destination_prefix_length);
    Ok(Some(Route { destination, link, gateway, source, metric, is_on_link, is_plain: !is_odd }))
}

/// The first hop of several: a `struct rtnexthop` with its attributes.
fn first_hop(hops: &[u8]) -> io::Result<Hop> {
    let (length, flags, link) = match hops {
        [l0, l1, flags, _, i0, i1, i2, i3, ..] => {
            (u16::from_ne_bytes([*l0, *l1]), *flags, u32::from_ne_bytes([*i0, *i1, *i2, *i3]))
        }
        _ => return Err(not_understood("a route's hop is cut off")),
    };
    let attributes = hops
        .get(NEXT_HOP_SIZE..usize::from(length))
        .ok_or_else(|| not_understood("a route's hop is longer than all of them"))?;
    let (mut gateway, mut is_odd) = (None, false);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.map_err(not_understood)?;
        match attribute.kind() {
            libc::RTA_GATEWAY => gateway = Some(address(attribute.value())?),
            VIA | ENCAPSULATION => is_odd = true,
            _ => {}
        }
    }
    Ok(Hop { link: Some(link), gateway, is_on_link: flags & ON_LINK != 0, is_odd })
}

pub(super) fn number(value: &[u8]) -> io::Result<u32> {
    let bytes = value.try_into().map_err(not_understood)?;
    Ok(u32::from_ne_bytes(bytes))
}

pub(super) fn address(value: &[u8]) -> io::Result<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(value) {
        return Ok(IpAddr::from(bytes));
    }
    <[u8; 16]>::try_from(value).map(IpAddr::from).map_err(not_understood)
}
