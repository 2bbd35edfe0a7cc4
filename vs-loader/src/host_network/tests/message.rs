//! Messages, byte by byte as `include/uapi/linux/{netlink,rtnetlink,if_addr,if_link}.h` have them.

use super::super::message::*;
use super::*;

/// A message as the kernel sends it: header, family's header, attributes.
fn message(kind: u16, flags: u16, header: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = header.to_vec();
    for (kind, value) in attributes {
        body.extend(u16::try_from(value.len() + 4).unwrap().to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut bytes = u32::try_from(body.len() + 16).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(7_u32.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(body);
    bytes
}

/// `struct ifaddrmsg` of interface 2.
fn ifaddrmsg(family: u8, length: u8, flags: u8) -> Vec<u8> {
    [[family, length, flags, 0], 2_u32.to_ne_bytes()].concat()
}

/// `struct ifinfomsg` of interface 3.
fn ifinfomsg(flags: u32) -> Vec<u8> {
    [[0; 4], 3_u32.to_ne_bytes(), flags.to_ne_bytes(), [0; 4]].concat()
}

const V4: [u8; 4] = [192, 0, 2, 10];
const V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];

#[test]
fn an_ipv4_address_is_added_with_the_mark() {
    // RTM_NEWADDR; NLM_F_REQUEST, ACK, EXCL, CREATE.
    let expected =
        message(20, 1 | 4 | 0x200 | 0x400, &ifaddrmsg(2, 32, 0), &[(2, &V4), (1, &V4), (11, &[0x56])]);
    assert_eq!(add(&placement("192.0.2.10", 2, "eth0"), 7), expected);
}

#[test]
fn an_ipv6_address_is_usable_at_once_and_nobody_s_choice() {
    let forever = [0_u32, u32::MAX, 0, 0].map(u32::to_ne_bytes).concat();
    let attributes: [(u16, &[u8]); 4] = [(2, &V6), (1, &V6), (11, &[0x56]), (6, &forever)];
    let expected = message(20, 1 | 4 | 0x200 | 0x400, &ifaddrmsg(10, 128, 2), &attributes);
    assert_eq!(add(&placement("2001:db8::10", 2, "eth0"), 7), expected);
}

#[test]
fn an_address_is_removed_from_one_interface() {
    let expected = message(21, 1 | 4, &ifaddrmsg(2, 32, 0), &[(2, &V4), (1, &V4)]);
    assert_eq!(remove(&placement("192.0.2.10", 2, "eth0"), 7), expected);
}

#[test]
fn lists_are_asked_for_whole() {
    // RTM_GETLINK, RTM_GETADDR; NLM_F_REQUEST, ROOT, MATCH.
    assert_eq!(list_links(7), message(18, 1 | 0x300, &[0; 16], &[]));
    assert_eq!(list_addresses(7), message(22, 1 | 0x300, &[0; 8], &[]));
}

#[test]
fn addresses_are_read_with_who_gave_them() {
    let read = |bytes: &[u8]| address(&bytes[16..]).unwrap();
    let peer = [192, 0, 2, 99];
    let label = b"eth0\0";
    let point_to_point = message(20, 0, &ifaddrmsg(2, 32, 0), &[(1, &peer), (2, &V4), (3, label)]);
    assert_eq!(read(&point_to_point), Some(theirs("192.0.2.10/32", 2)));
    let marked = message(20, 0, &ifaddrmsg(10, 128, 0), &[(1, &V6), (8, &[0; 4]), (11, &[0x56])]);
    assert_eq!(read(&marked), Some(ours("2001:db8::10", 2)));
    let unknown = message(20, 0, &ifaddrmsg(10, 64, 0), &[(1, &V6), (999, &[1, 2, 3])]);
    assert_eq!(read(&unknown), Some(theirs("2001:db8::10/64", 2)));
    let of_another_family = message(20, 0, &ifaddrmsg(28, 0, 0), &[]);
    assert_eq!(read(&of_another_family), None);
    assert!(address(&ifaddrmsg(2, 24, 0)).is_err());
    assert!(address(&[2, 24]).is_err());
}

#[test]
fn interfaces_are_read_whatever_else_is_said_of_them() {
    let bytes = message(16, 0, &ifinfomsg(1), &[(3, b"eth0\0"), (4, &[1]), (999, &[1, 2])]);
    assert_eq!(link(&bytes[16..]).unwrap(), interface(3, "eth0"));
    let bytes = message(16, 0, &ifinfomsg(8), &[(3, b"lo\0")]);
    let lo = link(&bytes[16..]).unwrap();
    assert_eq!((lo.name.as_str(), lo.is_up, lo.is_loopback), ("lo", false, true));
    assert!(link(&ifinfomsg(1)).is_err());
    assert!(link(&[0; 8]).is_err());
}
