//! What is in the way, and how it is told.

use super::super::message::{CLOSE, LISTEN};
use super::*;

/// A socket that can be connected to or sent to.
fn socket(protocol: Protocol, local: &str, port: u16, inode: u32) -> HostSocket {
    let identity =
        SocketId { source_address: local.parse().unwrap(), source_port: port, ..SocketId::new_v4() };
    let state = if protocol == Protocol::Tcp { LISTEN } else { CLOSE };
    HostSocket { protocol, state, identity, is_v6_only: None, inode, uid: 0, tag: None }
}

fn holders(of: &[(u32, &[(u32, &str)])]) -> BTreeMap<u32, BTreeSet<Holder>> {
    let holder =
        |(pid, comm): &(u32, &str)| Holder { pid: *pid, comm: Printable::from_bytes(comm.as_bytes()) };
    of.iter().map(|(inode, all)| (*inode, all.iter().map(holder).collect())).collect()
}

fn told(sockets: &[HostSocket], known: &[(u32, &[(u32, &str)])]) -> Vec<String> {
    in_the_way(sockets, &(32768..=60999), &holders(known)).iter().map(ToString::to_string).collect()
}

#[test]
fn services_on_any_are_told_with_their_holders() {
    let sockets = [
        socket(Protocol::Udp, "::", 123, 30),
        socket(Protocol::Tcp, "0.0.0.0", 22, 10),
        socket(Protocol::Tcp, "192.0.2.1", 80, 11),
        socket(Protocol::Tcp, "127.0.0.1", 25, 12),
        socket(Protocol::Tcp, "0.0.0.0", 2049, 0),
    ];
    assert_eq!(inodes(&sockets, &(32768..=60999)), BTreeSet::from([0, 10, 30]));
    let expected = [
        "tcp 0.0.0.0:22: sshd (pid 612)",
        "tcp 0.0.0.0:2049: no process that can be seen",
        "udp [::]:123: ntpd (pid 700)",
    ];
    assert_eq!(told(&sockets, &[(10, &[(612, "sshd")]), (30, &[(700, "ntpd")])]), expected);
}

#[test]
fn many_sockets_of_one_service_are_one() {
    let sockets = [socket(Protocol::Tcp, "0.0.0.0", 80, 10), socket(Protocol::Tcp, "0.0.0.0", 80, 11)];
    let workers: &[_] = &[(5, "nginx"), (6, "nginx"), (7, "nginx")];
    let told = told(&sockets, &[(10, workers), (11, &[(8, "odd\nname"), (7, "nginx")])]);
    assert_eq!(told, ["tcp 0.0.0.0:80: nginx (pid 5), nginx (pid 6), nginx (pid 7) and 1 more"]);
}

#[test]
fn who_only_sent_is_no_service() {
    let sockets = [
        socket(Protocol::Udp, "0.0.0.0", 40000, 10),
        socket(Protocol::UdpLite, "0.0.0.0", 5000, 11),
        socket(Protocol::Tcp, "0.0.0.0", 40000, 12),
        HostSocket { state: 1, ..socket(Protocol::Udp, "0.0.0.0", 53, 13) },
    ];
    let expected = [
        "tcp 0.0.0.0:40000: no process that can be seen",
        "udplite 0.0.0.0:5000: no process that can be seen",
    ];
    assert_eq!(told(&sockets, &[]), expected);
}

#[test]
fn a_service_is_for_ipv6_only_if_all_its_sockets_are() {
    let only = HostSocket { is_v6_only: Some(true), ..socket(Protocol::Tcp, "::", 80, 10) };
    let both = HostSocket { is_v6_only: Some(false), ..socket(Protocol::Tcp, "::", 80, 11) };
    let of = |sockets: &[HostSocket]| in_the_way(sockets, &(32768..=60999), &BTreeMap::new())[0].v6_only;
    assert!(of(std::slice::from_ref(&only)));
    assert!(!of(&[only, both]));
    let json = serde_json::to_string(&in_the_way(
        &[socket(Protocol::Tcp, "0.0.0.0", 22, 10)],
        &(32768..=60999),
        &holders(&[(10, &[(612, "sshd")])]),
    ));
    assert_eq!(
        json.unwrap(),
        r#"[{"protocol":"tcp","address":"0.0.0.0","port":22,"v6_only":false,"holders":[{"pid":612,"comm":"sshd"}]}]"#
    );
}
