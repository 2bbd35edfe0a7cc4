//! What is destroyed, with a kernel that refuses where a test says.

use std::collections::BTreeMap;

use vs_common::id::{Generation, Xid};

use super::*;
use crate::compile::{Known, Networks, compile};
use crate::policy::{PolicySource, parse};

const XID: Xid = Xid(300);

fn networks(keys: &str) -> Networks {
    let text = format!(
        "[context.web]\nxid = 300\n{keys}\n[context.mail]\nxid = 301\naddresses = [\"192.0.2.33\"]\n"
    );
    let policy = parse(&[PolicySource::new("p", text)]).unwrap();
    compile(&policy, &Known::NOTHING).unwrap().networks().clone()
}

/// A socket of a context by its number, or of the host.
fn socket(number: u8, xid: Option<Xid>, networks: &Networks, local: &str) -> HostSocket {
    let generation = xid.and_then(|xid| networks.get(&xid)).map_or(Generation(0), |it| it.rules.generation);
    let identity = SocketId {
        source_address: local.parse().unwrap(),
        source_port: 80,
        cookie: [number; 8],
        ..SocketId::new_v4()
    };
    HostSocket {
        protocol: Protocol::Tcp,
        state: 1,
        identity,
        is_v6_only: None,
        inode: 0,
        uid: 0,
        tag: xid.map(|xid| Tag { xid, lifecycle: 0, generation }),
    }
}

/// Sockets in memory, and the errnos that destroying them comes to, one after the other.
#[derive(Default)]
struct Fake {
    sockets: Vec<HostSocket>,
    refusals: BTreeMap<u8, Vec<i32>>,
}

impl Sockets for Fake {
    fn list(&mut self) -> Result<Vec<HostSocket>, HostSocketsError> {
        Ok(self.sockets.clone())
    }

    fn destroy(&mut self, socket: &HostSocket) -> io::Result<()> {
        let number = socket.identity.cookie[0];
        if let Some(errno) = self.refusals.get_mut(&number).and_then(Vec::pop) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.sockets.retain(|other| other != socket);
        Ok(())
    }
}

fn left(fake: &Fake) -> Vec<u8> {
    fake.sockets.iter().map(|socket| socket.identity.cookie[0]).collect()
}

#[test]
fn what_a_context_lost_is_destroyed_and_nothing_else() {
    let before = networks("addresses = [\"192.0.2.10\", \"192.0.2.16/28\", \"2001:db8::10\"]");
    let now = networks("addresses = [\"192.0.2.10\"]\nloopback = \"none\"");
    let of = |number, local| socket(number, Some(XID), &before, local);
    let mut fake = Fake {
        sockets: vec![
            of(1, "192.0.2.10"),
            of(2, "192.0.2.17"),
            of(3, "::ffff:192.0.2.18"),
            of(4, "2001:db8::10"),
            of(5, "127.1.44.1"),
            of(6, "fd56:7365:7276::12c:1"),
            // Neither before nor now.
            of(7, "198.51.100.1"),
            of(8, "0.0.0.0"),
            of(9, "127.0.0.1"),
            socket(10, None, &before, "192.0.2.17"),
            socket(11, Some(Xid(301)), &before, "192.0.2.33"),
            // Of datagrams the kernel does not say whose they are.
            HostSocket { protocol: Protocol::Udp, ..socket(12, None, &before, "192.0.2.17") },
            HostSocket { protocol: Protocol::Udp, ..socket(13, None, &before, "192.0.2.10") },
            HostSocket { protocol: Protocol::Udp, ..socket(14, None, &before, "198.51.100.1") },
        ],
        ..Fake::default()
    };
    let found = destroy_strays(&mut fake, &before, &now).unwrap();
    assert_eq!(found.counts, BTreeMap::from([(XID, 6)]));
    assert!(found.survivors.is_empty());
    assert_eq!(left(&fake), [1, 7, 8, 9, 10, 11, 13, 14]);
}

#[test]
fn a_context_that_is_gone_has_nothing() {
    let before = networks("addresses = [\"192.0.2.10\"]");
    let mut now = before.clone();
    now.remove(&XID);
    let of = |number, local| socket(number, Some(XID), &before, local);
    let mut fake = Fake { sockets: vec![of(1, "192.0.2.10"), of(2, "127.1.44.7")], ..Fake::default() };
    assert_eq!(destroy_strays(&mut fake, &before, &now).unwrap().counts, BTreeMap::from([(XID, 2)]));
    // The same number in another use is another context.
    let mut now = before.clone();
    if let Some(network) = now.get_mut(&XID) {
        network.rules.generation = Generation(network.rules.generation.0 + 1);
    }
    let mut fake = Fake { sockets: vec![of(1, "192.0.2.10")], ..Fake::default() };
    assert_eq!(destroy_strays(&mut fake, &before, &now).unwrap().counts, BTreeMap::from([(XID, 1)]));
}

#[test]
fn what_stays_is_named() {
    let before = networks("addresses = [\"192.0.2.10\"]");
    let now = networks("addresses = []");
    let of = |number| socket(number, Some(XID), &before, "192.0.2.10");
    let mut fake = Fake {
        sockets: vec![of(1), of(2), of(3)],
        // The first is uncovered later, the second always refused, the third never found.
        refusals: BTreeMap::from([
            (1, vec![libc::ENOENT]),
            (2, vec![libc::EOPNOTSUPP]),
            (3, vec![libc::ENOENT; 20]),
        ]),
    };
    let found = destroy_strays(&mut fake, &before, &now).unwrap();
    assert_eq!(found.counts, BTreeMap::from([(XID, 1)]));
    assert_eq!(left(&fake), [2, 3]);
    let told: Vec<_> = found.survivors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "the socket tcp 192.0.2.10:80 of the context with xid 300 goes on: Operation not supported (os error 95)",
            "the socket tcp 192.0.2.10:80 of the context with xid 300 goes on: No such file or directory (os error 2)",
        ]
    );
}
