//! Raw sockets of ICMP: from a context's own addresses, to whom its other sockets may send, and with what is for its addresses and nothing else.

use anyhow::Result;
use libc::{EADDRNOTAVAIL, EINVAL, ENETUNREACH, EPERM};
use vs_common::hook::Hook;
use vs_tests::report::Checks;

use super::town::{Denied, Fails, Fine, Tells, Town};

/// What is asked in one family.
struct Family {
    name: &'static str,
    /// Another machine, the host itself, and another context.
    peer: &'static str,
    host: &'static str,
    foreign: &'static str,
    /// The context's addresses, the primary one first.
    own: [&'static str; 2],
    any: &'static str,
    loopback: &'static str,
    group: &'static str,
    /// By the numbers of `include/uapi/linux/in.h`: of other protocols.
    others: &'static [&'static str],
    /// Level and option: with headers of its own, another's source, errors about others' packets, another's routes, one device's packets.
    options: &'static [&'static str],
}

const FAMILIES: [Family; 2] = [
    Family {
        name: "v4",
        peer: "198.51.100.2",
        host: "192.0.2.1",
        foreign: "192.0.2.20",
        own: ["192.0.2.90", "192.0.2.91"],
        any: "0.0.0.0",
        loopback: "127.0.0.1",
        group: "224.0.0.1",
        others: &["2 3 255", "2 3 6", "2 3 17", "2 3 58", "2 3 89"],
        options: &["0 3", "0 11", "0 19", "0 50", "1 36", "1 25", "1 6", "0 4"],
    },
    Family {
        name: "v6",
        peer: "2001:db8:51::2",
        host: "2001:db8::1",
        foreign: "2001:db8::20",
        own: ["2001:db8::90", "2001:db8::91"],
        any: "::",
        loopback: "::1",
        group: "ff02::1",
        others: &["10 3 255", "10 3 6", "10 3 17", "10 3 1"],
        options: &["41 36", "41 25", "41 75", "1 36", "1 25", "41 57"],
    },
];

const WHO: &str = "net-raw";

pub(super) fn run(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for family in &FAMILIES {
        let name = family.name;
        town.say(checks, "net-a", &format!("socket r {name} raw"), Denied(EPERM, Hook::SocketCreate))?;
        town.say(checks, "net-ping", &format!("socket r {name} raw"), Denied(EPERM, Hook::SocketCreate))?;
        for numbers in family.others {
            town.say(checks, WHO, &format!("try {numbers}"), Denied(EPERM, Hook::SocketCreate))?;
        }
        town.say(checks, "peer", &format!("socket seen {name} raw"), Fine)?;
        unbound(town, checks, family)?;
        bound(town, checks, family)?;
        connected(town, checks, family)?;
        options(town, checks, family)?;
        town.say(checks, "peer", "close seen", Fine)?;
        others_packets(town, checks, family)?;
    }
    // Whole frames, and what a socket of another kind could do with the capability: the mark of packets is the kernel's to refuse.
    town.script(
        checks,
        &[
            (WHO, "try 17 3 768", Denied(libc::EAFNOSUPPORT, Hook::SocketCreate)),
            // SOCK_PACKET, which the kernel takes for the family.
            (WHO, "try 2 10 768", Denied(libc::EAFNOSUPPORT, Hook::SocketCreate)),
            (WHO, "socket u v4 udp", Fine),
            (WHO, "option u 1 36 1", Denied(EPERM, Hook::Capable)),
            // The kernel refuses the socket before any program is asked, and nothing is left of what that would have been asked for.
            (WHO, "try-without 2 3 1", Fails(EPERM)),
            (WHO, "option u 1 36 1", Denied(EPERM, Hook::Capable)),
            (WHO, "try-without 10 3 58", Fails(EPERM)),
            (WHO, "sendto u 192.0.2.90 8500 x", Fine),
            (WHO, "option u 0 19 1", Denied(EPERM, Hook::Capable)),
            (WHO, "close u", Fine),
            (WHO, "socket t v4 tcp", Fine),
            (WHO, "option t 1 36 1", Denied(EPERM, Hook::Capable)),
            (WHO, "close t", Fine),
        ],
    )
}

/// A request that the other machine sees come from an address, and answers.
fn echo(
    town: &mut Town,
    checks: &mut Checks,
    order: &str,
    peer: &'static str,
    seen: &'static str,
) -> Result<()> {
    town.say(checks, WHO, order, Fine)?;
    town.say(checks, "peer", "echo-source seen", Tells(seen))?;
    town.say(checks, WHO, "echo-source r", Tells(peer))
}

/// The route says where from.
fn unbound(town: &mut Town, checks: &mut Checks, family: &Family) -> Result<()> {
    let Family { name, peer, host, foreign, own, any, loopback, group, .. } = *family;
    town.say(checks, WHO, &format!("socket r {name} raw"), Fine)?;
    echo(town, checks, &format!("echo r {peer}"), peer, own[0])?;
    for source in [foreign, host, own[0]] {
        let order = format!("echo r {peer} {source}");
        town.say(checks, WHO, &order, Denied(EINVAL, Hook::SocketSendmsg))?;
    }
    for nowhere in [loopback, any, group] {
        let order = format!("echo r {nowhere}");
        town.say(checks, WHO, &order, Denied(ENETUNREACH, Hook::SocketSendmsg))?;
    }
    // Within the machine it comes from where it goes, and so does the answer: of another's it is not this one's to see.
    town.say(checks, WHO, &format!("echo r {}", own[1]), Fine)?;
    town.say(checks, WHO, "echo-source r", Tells(own[1]))?;
    // The request came to it as well as the answer.
    town.say(checks, WHO, "echo-source r", Tells(own[1]))?;
    town.say(checks, WHO, &format!("echo r {host}"), Fine)?;
    town.say(checks, WHO, "hear r", Tells("nothing"))?;
    town.say(checks, WHO, "close r", Fine)
}

/// To one of its own addresses, to no other's.
fn bound(town: &mut Town, checks: &mut Checks, family: &Family) -> Result<()> {
    let Family { name, peer, host, foreign, own, loopback, .. } = *family;
    town.say(checks, WHO, &format!("socket r {name} raw"), Fine)?;
    for other in [foreign, host, loopback] {
        let order = format!("bind r {other} 0");
        town.say(checks, WHO, &order, Denied(EADDRNOTAVAIL, Hook::SocketBind))?;
    }
    town.say(checks, WHO, &format!("bind r {} 0", own[1]), Fine)?;
    echo(town, checks, &format!("echo r {peer}"), peer, own[1])?;
    for there in [host, foreign] {
        town.say(checks, WHO, &format!("echo r {there}"), Fine)?;
        town.say(checks, WHO, "echo-source r", Tells(there))?;
    }
    town.say(checks, WHO, "close r", Fine)
}

/// No program sees it connect: what it has got of that is judged when it sends.
fn connected(town: &mut Town, checks: &mut Checks, family: &Family) -> Result<()> {
    let Family { name, peer, host, own, group, loopback, .. } = *family;
    town.say(checks, WHO, &format!("socket r {name} raw"), Fine)?;
    town.say(checks, WHO, &format!("connect r {peer} 0"), Fine)?;
    echo(town, checks, "echo r", peer, own[0])?;
    town.say(checks, WHO, "close r", Fine)?;
    for nowhere in [loopback, group] {
        town.say(checks, WHO, &format!("socket r {name} raw"), Fine)?;
        // To a group the route may say no.
        let is_connected = town.order(WHO, &format!("connect r {nowhere} 0"))?.is_ok();
        if is_connected {
            town.say(checks, WHO, "echo r", Denied(ENETUNREACH, Hook::SocketSendmsg))?;
        }
        town.say(checks, WHO, "close r", Fine)?;
    }
    // Connected to the host's address it has that for its source, and sends from there to nobody else.
    town.say(checks, WHO, &format!("socket r {name} raw"), Fine)?;
    town.say(checks, WHO, &format!("connect r {host} 0"), Fine)?;
    let order = format!("echo r {peer}");
    town.say(checks, WHO, &order, Denied(EADDRNOTAVAIL, Hook::SocketSendmsg))?;
    town.say(checks, WHO, "close r", Fine)
}

fn options(town: &mut Town, checks: &mut Checks, family: &Family) -> Result<()> {
    town.say(checks, WHO, &format!("socket r {} raw", family.name), Fine)?;
    for option in family.options {
        let order = format!("option r {option} 1");
        town.say(checks, WHO, &order, Denied(EPERM, Hook::SocketSetsockopt))?;
    }
    town.say(checks, WHO, "close r", Fine)
}

/// What the host and another context send to each other and to the other machine, and what they get back, is not this one's.
fn others_packets(town: &mut Town, checks: &mut Checks, family: &Family) -> Result<()> {
    let Family { name, peer, host, foreign, own, .. } = *family;
    town.say(checks, WHO, &format!("socket r {name} raw"), Fine)?;
    town.say(checks, "host", &format!("socket p {name} ping"), Fine)?;
    town.say(checks, "net-ping", &format!("socket p {name} ping"), Fine)?;
    for (who, to) in
        [("host", host), ("host", foreign), ("host", peer), ("net-ping", peer), ("net-ping", foreign)]
    {
        town.say(checks, who, &format!("echo p {to}"), Fine)?;
        town.say(checks, who, "echo-source p", Tells(to))?;
        town.say(checks, WHO, "hear r", Tells("nothing"))?;
    }
    // What is for it, it has.
    town.say(checks, "host", &format!("echo p {}", own[1]), Fine)?;
    town.say(checks, WHO, "echo-source r", Fine)?;
    for (who, socket) in [("host", "p"), ("net-ping", "p"), (WHO, "r")] {
        town.say(checks, who, &format!("close {socket}"), Fine)?;
    }
    Ok(())
}
