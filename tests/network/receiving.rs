//! What is received: with `receive = "strict"` what is for the context's addresses, without it what the kernel finds the socket for.

use anyhow::{Context as _, Result};
use vs_common::hook::Hook;
use vs_tests::desk::Desk;
use vs_tests::report::Checks;
use vs_tests::status::Status;
use vs_tests::world::{POLICY, policy, vs_ok};

use super::town::{Begins, Fine, Tells, Town};

/// What is asked in one family.
struct Family {
    name: &'static str,
    /// A socket of the host's, and where it is bound.
    host: &'static str,
    /// The context's addresses, the primary one first, another's, and the same context's by `net-a`.
    own: [&'static str; 2],
    foreign: &'static str,
    loopback: &'static str,
    any: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family {
        name: "v4",
        host: "192.0.2.1",
        own: ["192.0.2.80", "192.0.2.81"],
        foreign: "192.0.2.20",
        loopback: "127.0.0.1",
        any: "0.0.0.0",
    },
    Family {
        name: "v6",
        host: "2001:db8::1",
        own: ["2001:db8::80", "2001:db8::81"],
        foreign: "2001:db8::20",
        loopback: "::1",
        any: "::",
    },
];

/// Has been sent to, and tells nothing within a while.
const NOTHING: super::town::Answer = Tells("nothing");

pub(super) fn run(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for family in &FAMILIES {
        unbound(town, checks, family)?;
        connections(town, checks, family)?;
        loopback(town, checks, family)?;
    }
    both_families(town, checks)?;
    pings(town, checks)
}

/// The port that a socket has.
fn port_of(town: &mut Town, who: &str, socket: &str) -> Result<String> {
    let name = town.order(who, &format!("name {socket}"))?.unwrap_or_default();
    Ok(name.split(' ').nth(1).context("a port")?.to_owned())
}

/// A socket that has sent without being bound has its port everywhere.
fn unbound(town: &mut Town, checks: &mut Checks, family: &Family) -> Result<()> {
    let Family { name, host, own, foreign, .. } = *family;
    town.say(checks, "host", &format!("socket h {name} udp"), Fine)?;
    town.say(checks, "host", &format!("bind h {host} 8400"), Fine)?;
    for (who, is_strict) in [("net-strict", true), ("net-a", false)] {
        town.say(checks, who, &format!("socket u {name} udp"), Fine)?;
        town.say(checks, who, &format!("sendto u {host} 8400 asked"), Fine)?;
        town.say(checks, "host", "receive h", Begins("asked "))?;
        let port = port_of(town, who, "u")?;
        for to in [host, foreign] {
            town.say(checks, "host", &format!("sendto h {to} {port} stray"), Fine)?;
            let expected = if is_strict { NOTHING } else { Begins("stray ") };
            town.say(checks, who, "hear u", expected)?;
        }
        for to in if is_strict { &own[..] } else { &[] } {
            town.say(checks, "host", &format!("sendto h {to} {port} answer"), Fine)?;
            town.say(checks, who, "hear u", Begins("answer "))?;
        }
        town.say(checks, who, "close u", Fine)?;
    }
    town.say(checks, "host", "close h", Fine)
}

/// Connections in and out, one that waits on ANY and is found at either address, and one of each end within the context.
fn connections(town: &mut Town, checks: &mut Checks, family: &Family) -> Result<()> {
    let Family { name, host, own, any, .. } = *family;
    town.say(checks, "net-strict", &format!("socket l {name} tcp"), Fine)?;
    town.say(checks, "net-strict", &format!("bind l {any} 8401"), Fine)?;
    town.say(checks, "net-strict", "listen l", Fine)?;
    for from in ["host", "net-strict"] {
        for to in own {
            town.say(checks, from, &format!("socket c {name} tcp"), Fine)?;
            town.say(checks, from, &format!("connect c {to} 8401"), Fine)?;
            town.say(checks, "net-strict", "accept l s", Fine)?;
            converse(town, checks, from, "c", "s")?;
            town.say(checks, "net-strict", "close s", Fine)?;
            town.say(checks, from, "close c", Fine)?;
        }
    }
    town.say(checks, "net-strict", "close l", Fine)?;
    town.say(checks, "host", &format!("socket l {name} tcp"), Fine)?;
    town.say(checks, "host", &format!("bind l {host} 8402"), Fine)?;
    town.say(checks, "host", "listen l", Fine)?;
    town.say(checks, "net-strict", &format!("socket c {name} tcp"), Fine)?;
    town.say(checks, "net-strict", &format!("connect c {host} 8402"), Fine)?;
    town.say(checks, "host", "accept l s", Fine)?;
    town.say(checks, "net-strict", "send c there", Fine)?;
    town.say(checks, "host", "receive s", Tells("there"))?;
    town.say(checks, "host", "send s back", Fine)?;
    town.say(checks, "net-strict", "receive c", Tells("back"))?;
    for (who, socket) in [("host", "s"), ("host", "l"), ("net-strict", "c")] {
        town.say(checks, who, &format!("close {socket}"), Fine)?;
    }
    Ok(())
}

/// From one end and from the other, which is the context's.
fn converse(town: &mut Town, checks: &mut Checks, from: &str, near: &str, far: &str) -> Result<()> {
    town.say(checks, from, &format!("send {near} there"), Fine)?;
    town.say(checks, "net-strict", &format!("receive {far}"), Tells("there"))?;
    town.say(checks, "net-strict", &format!("send {far} back"), Fine)?;
    town.say(checks, from, &format!("receive {near}"), Tells("back"))
}

/// The own loopback, by connections and by datagrams.
fn loopback(town: &mut Town, checks: &mut Checks, family: &Family) -> Result<()> {
    let Family { name, loopback, .. } = *family;
    town.say(checks, "net-strict", &format!("socket l {name} tcp"), Fine)?;
    town.say(checks, "net-strict", &format!("bind l {loopback} 8403"), Fine)?;
    town.say(checks, "net-strict", "listen l", Fine)?;
    town.say(checks, "net-strict", &format!("socket c {name} tcp"), Fine)?;
    town.say(checks, "net-strict", &format!("connect c {loopback} 8403"), Fine)?;
    town.say(checks, "net-strict", "accept l s", Fine)?;
    converse(town, checks, "net-strict", "c", "s")?;
    for socket in ["l", "c", "s"] {
        town.say(checks, "net-strict", &format!("close {socket}"), Fine)?;
    }
    town.say(checks, "net-strict", &format!("socket s {name} udp"), Fine)?;
    town.say(checks, "net-strict", &format!("bind s {loopback} 8404"), Fine)?;
    town.say(checks, "net-strict", &format!("socket c {name} udp"), Fine)?;
    town.say(checks, "net-strict", &format!("sendto c {loopback} 8404 in"), Fine)?;
    let begin = format!("in {loopback} ");
    let port = town.port_of_sender(checks, "net-strict", "receive s", &begin)?;
    town.say(checks, "net-strict", &format!("sendto s {loopback} {port} out"), Fine)?;
    town.say(checks, "net-strict", "receive c", Begins("out "))?;
    town.say(checks, "net-strict", "close s", Fine)?;
    town.say(checks, "net-strict", "close c", Fine)
}

/// IPv4 that comes to a socket of IPv6 is judged as IPv4; an error about what was sent comes back.
fn both_families(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.script(
        checks,
        &[
            ("net-strict", "socket l v6 tcp", Fine),
            ("net-strict", "bind l :: 8405", Fine),
            ("net-strict", "listen l", Fine),
            ("host", "socket c v4 tcp", Fine),
            ("host", "connect c 192.0.2.81 8405", Fine),
            ("net-strict", "accept l s", Fine),
            ("host", "send c mapped", Fine),
            ("net-strict", "receive s", Tells("mapped")),
            ("net-strict", "close s", Fine),
            ("net-strict", "close l", Fine),
            ("host", "close c", Fine),
            // Nobody is there: the error is about a packet, and for the socket that sent it.
            ("net-strict", "socket e v4 udp", Fine),
            ("net-strict", "connect e 192.0.2.1 8406", Fine),
            ("net-strict", "send e anybody", Fine),
            ("net-strict", "receive e", super::town::Fails(libc::ECONNREFUSED)),
            ("net-strict", "close e", Fine),
        ],
    )
}

/// Echoes of its own sockets come back, from a machine's address to the same one, too.
fn pings(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for (family, hosts) in [
        ("v4", ["192.0.2.1", "192.0.2.20", "192.0.2.81"]),
        ("v6", ["2001:db8::1", "2001:db8::20", "2001:db8::81"]),
    ] {
        town.say(checks, "net-strict", &format!("socket p {family} ping"), Fine)?;
        for host in hosts {
            town.say(checks, "net-strict", &format!("echo p {host}"), Fine)?;
            town.say(checks, "net-strict", "echo-source p", Tells(host))?;
        }
        town.say(checks, "net-strict", "close p", Fine)?;
    }
    Ok(())
}

/// The suite's policy without one address of the context's.
const FEWER: &str = "/tmp/fewer-strict.toml";

/// How many packets were dropped.
fn dropped() -> Result<u64> {
    Ok(Status::ask()?.count(Hook::Ingress, "denials"))
}

/// A connection at an address that the context loses: what comes there is not received any more, and counted; and is again, once the
/// address is the context's.
pub(super) fn at_lost_addresses(checks: &mut Checks) -> Result<()> {
    let (mut host, mut strict) = (Desk::start("host")?, Desk::start("net-strict")?);
    for (family, local, server, port) in
        [("v4", "192.0.2.81", "192.0.2.1", "8410"), ("v6", "2001:db8::81", "2001:db8::1", "8411")]
    {
        for (is_host, order) in [
            (true, format!("socket l {family} tcp")),
            (true, format!("bind l {server} {port}")),
            (true, "listen l".to_owned()),
            (false, format!("socket c{port} {family} tcp")),
            (false, format!("bind c{port} {local} 0")),
            (false, format!("connect c{port} {server} {port}")),
            (true, format!("accept l s{port}")),
            (true, "close l".to_owned()),
        ] {
            let desk = if is_host { &mut host } else { &mut strict };
            let found = desk.order(&order)?;
            checks.check(found.is_ok(), || format!("{order}: {found:?}"));
        }
    }
    let fewer = policy("enforce").replace("\"192.0.2.81\", ", "").replace(", \"2001:db8::81\"", "");
    std::fs::write(FEWER, fewer)?;
    vs_ok(&["load", FEWER])?;
    let before = dropped()?;
    for port in ["8410", "8411"] {
        checks.equal("sent", &host.order(&format!("send s{port} lost"))?, &Ok(String::new()));
        checks.equal("not received", &strict.order(&format!("hear c{port}"))?, &Ok("nothing".to_owned()));
    }
    let after = dropped()?;
    checks.check(after >= before + 2, || format!("{before} packets were dropped before and {after} after"));
    vs_ok(&["load", POLICY])?;
    for port in ["8410", "8411"] {
        // TCP has kept it, and sends it again.
        checks.equal("received late", &strict.order(&format!("receive c{port}"))?, &Ok("lost".to_owned()));
    }
    Ok(())
}
