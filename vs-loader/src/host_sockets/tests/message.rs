//! Messages, byte by byte as `include/uapi/linux/{sock_diag,inet_diag}.h` have them.

use vs_common::id::{Generation, Xid};

use super::super::message::*;
use super::*;

/// `struct inet_diag_sockid`.
fn sockid(local: &[u8], port: u16, cookie: [u8; 8]) -> Vec<u8> {
    let mut bytes = port.to_be_bytes().to_vec();
    bytes.extend([0; 2]);
    bytes.extend(local);
    bytes.resize(4 + 32 + 4, 0);
    bytes.extend(cookie);
    bytes
}

#[test]
fn a_list_is_asked_for_by_protocol_and_family() {
    // SOCK_DIAG_BY_FAMILY; NLM_F_REQUEST, ROOT, MATCH; `struct inet_diag_req_v2`: family, protocol, extensions, a gap, states.
    let expected = |family: u8, protocol: u8, states: u32| {
        let mut bytes =
            [72_u32.to_ne_bytes().as_slice(), &20_u16.to_ne_bytes(), &0x301_u16.to_ne_bytes()].concat();
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend([family, protocol, 0, 0]);
        bytes.extend(states.to_ne_bytes());
        bytes.extend(sockid(&[], 0, [0; 8]));
        bytes
    };
    assert_eq!(list(Protocol::Tcp, Family::V4, Which::Services, 7), expected(2, 6, 1 << 10));
    assert_eq!(list(Protocol::UdpLite, Family::V6, Which::Services, 7), expected(10, 136, 1 << 7));
}

/// `struct inet_diag_msg` of a socket in a state.
fn inet_diag_msg(family: u8, state: u8, local: &[u8], port: u16) -> Vec<u8> {
    let mut bytes = vec![family, state, 0, 0];
    bytes.extend(sockid(local, port, [1, 2, 3, 4, 5, 6, 7, 8]));
    for word in [0_u32, 0, 0, 1000, 4711] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes
}

#[test]
fn a_socket_is_read_whatever_else_is_said_of_it() {
    let found = socket(Protocol::Tcp, &inet_diag_msg(2, 10, &[192, 0, 2, 10], 80)).unwrap();
    assert_eq!((found.local(), found.port()), ("192.0.2.10".parse().unwrap(), 80));
    assert_eq!((found.state, found.uid, found.inode, found.is_v6_only), (10, 1000, 4711, None));
    let mut bytes = inet_diag_msg(10, 7, &[0; 16], 53);
    // An attribute that nobody knows, and INET_DIAG_SKV6ONLY.
    bytes.extend([5, 0, 200, 0, 9, 0, 0, 0, 5, 0, 11, 0, 1, 0, 0, 0]);
    let found = socket(Protocol::Udp, &bytes).unwrap();
    assert_eq!((found.local(), found.is_v6_only), ("::".parse().unwrap(), Some(true)));
    assert!(socket(Protocol::Tcp, &bytes[..60]).is_err());
}

#[test]
fn tags_are_asked_for_and_read() {
    let bytes = list(Protocol::Tcp, Family::V4, Which::Tagged(5), 7);
    // All states from ESTABLISHED (1) to CLOSING (11) but TIME-WAIT (6); the map's descriptor in its attribute in another.
    assert_eq!(bytes[20..24], (0xffe_u32 - (1 << 6)).to_ne_bytes());
    assert_eq!(bytes[72..], [12, 0, 2, 0, 8, 0, 1, 0, 5, 0, 0, 0]);
    assert_eq!(bytes[..4], 84_u32.to_ne_bytes());

    let mut bytes = inet_diag_msg(2, 1, &[192, 0, 2, 10], 80);
    let value = [&300_u32.to_ne_bytes()[..], &8_u32.to_ne_bytes(), &7_u64.to_ne_bytes()].concat();
    // INET_DIAG_SK_BPF_STORAGES > SK_DIAG_BPF_STORAGE > MAP_ID, MAP_VALUE.
    bytes.extend([36, 0, 20, 0x80, 32, 0, 1, 0x80, 8, 0, 2, 0, 9, 0, 0, 0, 20, 0, 3, 0]);
    bytes.extend(value);
    let found = socket(Protocol::Tcp, &bytes).unwrap();
    assert_eq!(found.tag, Some(Tag { xid: Xid(300), lifecycle: 8, generation: Generation(7) }));
    let without = socket(Protocol::Tcp, &inet_diag_msg(2, 1, &[192, 0, 2, 10], 80)).unwrap();
    assert_eq!(without.tag, None);
}

#[test]
fn a_socket_is_destroyed_by_all_that_names_it() {
    let found = socket(Protocol::Udp, &inet_diag_msg(2, 7, &[192, 0, 2, 10], 53)).unwrap();
    let bytes = destroy(&found, 7);
    // SOCK_DESTROY; NLM_F_REQUEST, ACK.
    assert_eq!(bytes[4..8], [21, 0, 5, 0]);
    assert_eq!(bytes[16..18], [2, 17]);
    assert_eq!(bytes[24..], sockid(&[192, 0, 2, 10], 53, [1, 2, 3, 4, 5, 6, 7, 8]));
}
