//! Echo requests of a context that may ping: seen from another machine they come from its own addresses, whatever is tried.

use anyhow::Result;
use libc::{EACCES, EADDRNOTAVAIL, EINVAL, ENETUNREACH, EPERM};
use vs_common::hook::Hook;
use vs_tests::report::Checks;

use super::town::{Begins, Denied, Fails, Fine, Tells, Town};

/// What is asked in one family.
struct Family {
    name: &'static str,
    /// Another machine, and the host itself.
    peer: &'static str,
    host: &'static str,
    /// The context's addresses, the primary one first, and another's.
    own: [&'static str; 2],
    foreign: &'static str,
    any: &'static str,
    loopback: &'static str,
    /// Beyond any one machine.
    group: &'static str,
    connect: Hook,
}

const FAMILIES: [Family; 2] = [
    Family {
        name: "v4",
        peer: "198.51.100.2",
        host: "192.0.2.1",
        own: ["192.0.2.70", "192.0.2.71"],
        foreign: "192.0.2.20",
        any: "0.0.0.0",
        loopback: "127.0.0.1",
        group: "224.0.0.1",
        connect: Hook::Connect4,
    },
    Family {
        name: "v6",
        peer: "2001:db8:51::2",
        host: "2001:db8::1",
        own: ["2001:db8::70", "2001:db8::71"],
        foreign: "2001:db8::20",
        any: "::",
        loopback: "::1",
        group: "ff02::1",
        connect: Hook::Connect6,
    },
];

/// With the grant; without it there is no such socket.
pub(super) fn run(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for family in &FAMILIES {
        let name = family.name;
        town.say(checks, "net-a", &format!("socket p {name} ping"), Denied(EACCES, Hook::SocketCreate))?;
        town.say(checks, "net-ping", &format!("socket raw {name} raw"), Denied(EPERM, Hook::SocketCreate))?;
        town.say(checks, "peer", &format!("socket seen {name} raw"), Fine)?;
        unbound(town, checks, family)?;
        bound(town, checks, family)?;
        connected(town, checks, family)?;
        town.say(checks, "peer", "close seen", Fine)?;
    }
    options(town, checks)
}

/// Has the context send by one of its sockets, and the peer see from where; the reply comes back.
fn echo(town: &mut Town, checks: &mut Checks, order: &str, seen: &'static str) -> Result<()> {
    let socket = order.split(' ').nth(1).unwrap_or_default();
    town.say(checks, "net-ping", order, Fine)?;
    town.say(checks, "peer", "echo-source seen", Tells(seen))?;
    town.say(checks, "net-ping", &format!("echo-source {socket}"), Fine)
}

/// The route says where from.
fn unbound(town: &mut Town, checks: &mut Checks, family: &Family) -> Result<()> {
    let Family { name, peer, host, own, foreign, any, loopback, group, .. } = *family;
    town.say(checks, "net-ping", &format!("socket p {name} ping"), Fine)?;
    echo(town, checks, &format!("echo p {peer}"), own[0])?;
    town.say(checks, "net-ping", &format!("bind p {any} 0"), Fails(EINVAL))?;
    for source in [foreign, host, own[0]] {
        let order = format!("echo p {peer} {source}");
        town.say(checks, "net-ping", &order, Denied(EINVAL, Hook::SocketSendmsg))?;
    }
    for nowhere in [loopback, any, group] {
        let order = format!("echo p {nowhere}");
        town.say(checks, "net-ping", &order, Denied(ENETUNREACH, Hook::SocketSendmsg))?;
    }
    // Within the machine it comes from where it goes.
    for there in [host, foreign, own[1]] {
        town.say(checks, "net-ping", &format!("echo p {there}"), Fine)?;
        town.say(checks, "net-ping", "echo-source p", Tells(there))?;
    }
    town.say(checks, "net-ping", "close p", Fine)
}

/// To one of its own addresses, to no other's.
fn bound(town: &mut Town, checks: &mut Checks, family: &Family) -> Result<()> {
    let Family { name, peer, host, own, foreign, any, loopback, .. } = *family;
    town.say(checks, "net-ping", &format!("socket p {name} ping"), Fine)?;
    for other in [foreign, host, loopback] {
        let order = format!("bind p {other} 0");
        town.say(checks, "net-ping", &order, Denied(EADDRNOTAVAIL, Hook::SocketBind))?;
    }
    town.say(checks, "net-ping", &format!("bind p {} 0", own[1]), Fine)?;
    echo(town, checks, &format!("echo p {peer}"), own[1])?;
    town.script(checks, &[("net-ping", "close p", Fine)])?;
    town.say(checks, "net-ping", &format!("socket p {name} ping"), Fine)?;
    town.say(checks, "net-ping", &format!("bind p {any} 0"), Fine)?;
    echo(town, checks, &format!("echo p {peer}"), own[0])?;
    town.say(checks, "net-ping", "close p", Fine)
}

/// The programs for addresses say where from.
fn connected(town: &mut Town, checks: &mut Checks, family: &Family) -> Result<()> {
    let Family { name, peer, own, loopback, group, connect, .. } = *family;
    town.say(checks, "net-ping", &format!("socket p {name} ping"), Fine)?;
    for nowhere in [loopback, group] {
        let order = format!("connect p {nowhere} 0");
        town.say(checks, "net-ping", &order, Denied(ENETUNREACH, connect))?;
    }
    town.say(checks, "net-ping", &format!("connect p {peer} 0"), Fine)?;
    let begin = if name == "v4" { "192.0.2.70 " } else { "2001:db8::70 " };
    town.say(checks, "net-ping", "name p", Begins(begin))?;
    echo(town, checks, "echo p", own[0])?;
    town.say(checks, "net-ping", "close p", Fine)
}

/// `SO_MARK`, which leads to the routes, is for the host; `SO_BROADCAST` and `IP_UNICAST_IF` lead past them.
fn options(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.script(
        checks,
        &[
            ("net-ping", "socket p v4 ping", Fine),
            ("net-ping", "option p 1 36 1", Fails(EPERM)),
            ("net-ping", "option p 1 6 1", Denied(EPERM, Hook::SocketSetsockopt)),
            ("net-ping", "option p 0 50 16777216", Denied(EPERM, Hook::SocketSetsockopt)),
            ("net-ping", "close p", Fine),
        ],
    )
}
