//! Addresses belong to contexts: bind, connect, send and receive between the host, two contexts with addresses, one with none but its own
//! loopback, one on the host's loopback, and one that uses the host's addresses.

mod binding;
mod datagrams;
mod loopback;
mod matrix;
mod outgoing;
mod pings;
mod raws;
mod receiving;
pub(crate) mod rules;
mod sockets;
mod standing;
mod steering;
mod town;
mod travel;

use anyhow::Result;
use vs_common::hook::Hook;
use vs_tests::report::Checks;
use vs_tests::world::World;

use town::Town;

/// A part of the test, and the programs that it rests on: without any one of them something in it does not hold.
struct Part {
    name: &'static str,
    hooks: &'static [Hook],
    run: fn(&mut Town, &mut Checks) -> Result<()>,
}

const PARTS: &[Part] = &[
    Part { name: "own addresses", hooks: &[Hook::Bind4, Hook::Bind6], run: binding::own },
    Part {
        name: "foreign addresses",
        hooks: &[Hook::Bind4, Hook::Bind6, Hook::SocketPostCreate],
        run: binding::foreign,
    },
    Part { name: "any address", hooks: &[Hook::Bind4, Hook::Bind6], run: binding::any },
    Part {
        name: "every address of a context",
        hooks: &[Hook::ListenEvent, Hook::SocketLookup],
        run: binding::every_address,
    },
    Part { name: "the host's addresses", hooks: &[Hook::Connect4, Hook::Connect6], run: binding::as_host },
    Part {
        name: "private loopback",
        hooks: &[
            Hook::Connect4,
            Hook::Connect6,
            Hook::SocketLookup,
            Hook::Getsockname4,
            Hook::Getsockname6,
            Hook::Getpeername4,
            Hook::Getpeername6,
        ],
        run: loopback::connections,
    },
    Part {
        name: "datagrams on private loopback",
        hooks: &[Hook::Sendmsg4, Hook::Sendmsg6, Hook::Recvmsg4, Hook::Recvmsg6, Hook::Connect4],
        run: datagrams::loopback,
    },
    Part { name: "what is granted", hooks: &[Hook::Getsockname4, Hook::Getsockname6], run: binding::granted },
    Part { name: "no loopback", hooks: &[Hook::Bind4, Hook::Connect4], run: loopback::none },
    Part { name: "shared loopback", hooks: &[], run: loopback::shared },
    Part {
        name: "the source of connections",
        hooks: &[Hook::Connect4, Hook::Connect6],
        run: outgoing::connections,
    },
    Part {
        name: "the source of datagrams",
        hooks: &[Hook::Sendmsg4, Hook::Sendmsg6],
        run: datagrams::sources,
    },
    Part { name: "foreign sources", hooks: &[Hook::Sendmsg4, Hook::Sendmsg6], run: datagrams::foreign },
    Part { name: "late and unbound", hooks: &[Hook::Connect4, Hook::SocketListen], run: outgoing::late },
    Part {
        name: "datagrams at every address",
        hooks: &[Hook::UdpSockets, Hook::SocketLookup],
        run: steering::datagrams,
    },
    Part {
        name: "the source of echo requests",
        hooks: &[Hook::SocketBind, Hook::SocketSendmsg, Hook::PingSource],
        run: pings::run,
    },
    Part {
        name: "raw sockets",
        hooks: &[
            Hook::SocketBind,
            Hook::SocketSendmsg,
            Hook::PingSource,
            Hook::SocketSetsockopt,
            Hook::Capable,
            Hook::Ingress,
        ],
        run: raws::run,
    },
    Part { name: "what is received", hooks: &[Hook::Ingress], run: receiving::run },
    Part { name: "families", hooks: &[Hook::SocketCreate], run: sockets::families },
    Part { name: "options", hooks: &[Hook::SocketSetsockopt], run: sockets::options },
    Part { name: "lists of sockets", hooks: &[Hook::FileOpen], run: sockets::lists },
    Part { name: "netlink", hooks: &[Hook::NetlinkSend], run: sockets::netlink },
];

/// All of it, or what rests on one hook.
pub(crate) fn run(world: &mut World, checks: &mut Checks, only: Option<Hook>) -> Result<()> {
    let mut town = Town::settle(world.peer.as_ref().ok(), only.is_some())?;
    for part in PARTS.iter().filter(|part| only.is_none_or(|hook| part.hooks.contains(&hook))) {
        let run = checks.during(part.name, |checks| (part.run)(&mut town, checks));
        if only.is_some() && !checks.failures.is_empty() {
            return Ok(());
        }
        run?;
    }
    if only.is_none() {
        town.check_records(world, checks)?;
        let refused = world.audit.wait_for(|record| {
            record["hook"] == "bind4"
                && record["target"]["address"] == "192.0.2.20"
                && record["target"]["port"] == 8080
        })?;
        checks.check(refused.is_some(), || "no record names the address and port of a foreign bind");
        drop(town);
        checks.during("whoever holds a socket", |checks| travel::sockets(world, checks))?;
        checks.during("another network namespace", travel::another_namespace)?;
        checks.during("other hierarchies", travel::other_hierarchies)?;
        checks.during("mode observe", |checks| travel::observed(world, checks))?;
        checks.during("sockets at lost addresses", standing::sockets)?;
        checks.during("what comes to lost addresses", receiving::at_lost_addresses)?;
    }
    Ok(())
}
