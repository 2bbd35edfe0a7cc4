//! Routes, byte by byte as `include/uapi/linux/rtnetlink.h` has them.

use super::super::route::route;
use super::*;
use crate::policy::Prefix;

/// `struct rtmsg`: family, lengths of destination and source, type of service, table, protocol, scope, type, flags.
fn rtmsg(family: u8, length: u8, table: u8, kind: u8, flags: u32) -> Vec<u8> {
    [&[family, length, 0, 0, table, 3, 0, kind][..], &flags.to_ne_bytes()].concat()
}

fn with(mut message: Vec<u8>, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    for (kind, value) in attributes {
        message.extend(u16::try_from(value.len() + 4).unwrap().to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(*value);
        message.resize(message.len().next_multiple_of(4), 0);
    }
    message
}

const MAIN: u8 = 254;
const UNICAST: u8 = 1;
/// `RTA_OIF` of interface 2.
const ETH0: (u16, &[u8]) = (4, &2_u32.to_ne_bytes());

fn prefix(address: &str, length: u8) -> Prefix {
    Prefix::new(address.parse().unwrap(), length).unwrap()
}

#[test]
fn a_default_route_by_a_gateway() {
    // RTA_GATEWAY, RTA_PREFSRC, RTA_PRIORITY; RTA_TABLE says the table in full.
    let bytes = with(
        rtmsg(2, 0, MAIN, UNICAST, 0),
        &[
            (15, &254_u32.to_ne_bytes()),
            (5, &[192, 0, 2, 254]),
            (7, &[192, 0, 2, 1]),
            (6, &100_u32.to_ne_bytes()),
            ETH0,
        ],
    );
    let expected = Route {
        destination: prefix("0.0.0.0", 0),
        link: 2,
        gateway: Some("192.0.2.254".parse().unwrap()),
        source: Some("192.0.2.1".parse().unwrap()),
        metric: 100,
        is_on_link: false,
        is_plain: true,
    };
    assert_eq!(route(&bytes).unwrap(), Some(expected));
}

#[test]
fn an_ipv6_network_on_an_interface() {
    let network = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let bytes = with(rtmsg(10, 64, MAIN, UNICAST, 0), &[(1, &network), (6, &256_u32.to_ne_bytes()), ETH0]);
    let expected = Route {
        destination: prefix("2001:db8::", 64),
        link: 2,
        gateway: None,
        source: None,
        metric: 256,
        is_on_link: false,
        is_plain: true,
    };
    assert_eq!(route(&bytes).unwrap(), Some(expected));
}

#[test]
fn of_several_hops_the_first() {
    // `struct rtnexthop`: length, flags, hops, interface; then its attributes.
    let hop = |link: u32, gateway: [u8; 4]| {
        with([&[16, 0, 0, 0][..], &link.to_ne_bytes()].concat(), &[(5, &gateway)])
    };
    let hops = [hop(3, [198, 51, 100, 1]), hop(2, [192, 0, 2, 254])].concat();
    let found = route(&with(rtmsg(2, 0, MAIN, UNICAST, 0), &[(9, &hops)])).unwrap().unwrap();
    assert_eq!((found.link, found.gateway), (3, Some("198.51.100.1".parse().unwrap())));
    // What is cut off is refused, not guessed.
    assert!(route(&with(rtmsg(2, 0, MAIN, UNICAST, 0), &[(9, &hops[..12])])).is_err());
}

#[test]
fn a_gateway_of_the_other_family_is_none() {
    // RTA_VIA.
    let via = [&10_u16.to_ne_bytes()[..], &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]].concat();
    let found = route(&with(rtmsg(2, 0, MAIN, UNICAST, 0), &[(18, &via), ETH0])).unwrap().unwrap();
    assert_eq!((found.link, found.gateway), (2, None));
}

#[test]
fn what_is_not_for_every_packet_is_left_out() {
    let mut for_a_service = rtmsg(2, 0, MAIN, UNICAST, 0);
    for_a_service[3] = 16;
    let mut from_a_source = rtmsg(10, 0, MAIN, UNICAST, 0);
    from_a_source[2] = 64;
    let (local, blackhole, cloned, dead) = (2, 6, 0x200, 1);
    for message in [
        rtmsg(2, 32, 255, local, 0),
        rtmsg(2, 0, MAIN, blackhole, 0),
        rtmsg(10, 128, MAIN, UNICAST, cloned),
        rtmsg(2, 0, MAIN, UNICAST, dead),
        rtmsg(2, 0, 100, UNICAST, 0),
        rtmsg(7, 0, MAIN, UNICAST, 0),
        for_a_service,
        from_a_source,
    ] {
        let destination = vec![0; if message[0] == 10 { 16 } else { 4 }];
        let bytes = with(message, &[(1, &destination), ETH0]);
        assert_eq!(route(&bytes).unwrap(), None, "{bytes:?}");
    }
    // A table whose number does not fit into the header is 252 there.
    let bytes = with(rtmsg(2, 0, 252, UNICAST, 0), &[(15, &1000_u32.to_ne_bytes()), ETH0]);
    assert_eq!(route(&bytes).unwrap(), None);
    // No interface: nothing leaves by it.
    assert_eq!(route(&rtmsg(2, 0, MAIN, UNICAST, 0)).unwrap(), None);
}
