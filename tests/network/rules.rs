//! What policy can say of addresses beyond whose they are: the host's own, ports, what is shared, contexts that confine nothing else. A
//! policy of its own, since the suite's leaves the host unconfined.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use libc::{EACCES, EADDRINUSE, EADDRNOTAVAIL, EPERM};
use vs_common::hook::Hook;
use vs_tests::desk::Desk;
use vs_tests::report::Checks;
use vs_tests::world::{World, vs, vs_ok};

use super::matrix;
use super::town::{Begins, Denied, Fails, Fine, Tells, Town};

/// Where the policy is kept.
const RULES: &str = "/tmp/rules.toml";
/// Of every context, so that each denial is seen.
const RATES: &str = "records_per_second = 10000\nrecord_burst = 2184\n";
/// The host's own, then each context: name, xid, keys.
const HOST: &str = "[host]\naddresses = [\"192.0.2.1\", \"2001:db8::1\"]\nany_ports = [\"udp/8209\"]\n";
const CONTEXTS: [(&str, u32, &str); 7] = [
    (
        "net-a",
        201,
        "addresses = [\"192.0.2.10\", \"192.0.2.11\", \"2001:db8::10\"]\nbind_allow = [\"tcp/8200-8219\", \"udp\"]\nbind_deny = [\"udp/8205\"]\nconnect_deny = [\"tcp/8206\", \"udp/8207\"]",
    ),
    ("net-b", 202, "addresses = [\"192.0.2.20\", \"2001:db8::20\"]"),
    ("share-a", 207, "addresses = [\"192.0.2.40\"]\nshared = true"),
    ("share-b", 208, "addresses = [\"192.0.2.40\"]\nshared = true"),
    ("only", 209, "addresses = [\"192.0.2.50\"]\nconfine = \"network\""),
    ("free", 210, ""),
    ("routed", 211, "addresses = [\"192.0.2.60\", \"198.51.100.10\", \"2001:db8::11\", \"2001:db8:1::10\"]"),
];
/// An interface with a network, and what lies behind it, by `ip`.
const ROUTES: [&str; 10] = [
    "link add vs-net0 type veth",
    "link set veth0 up",
    "link set vs-net0 up",
    "addr add 192.0.2.61/32 dev lo",
    "addr add 198.51.100.1/24 dev vs-net0",
    "addr add 198.51.100.10/32 dev vs-net0",
    "-6 addr add 2001:db8:1::1/64 dev vs-net0",
    "-6 addr add 2001:db8:1::10/128 dev vs-net0",
    "route add 203.0.113.0/24 via 198.51.100.254",
    "-6 route add 2001:db8:2::/64 via 2001:db8:1::fe",
];

/// Everybody who is there from the beginning.
const PEOPLE: [(&str, u32); 8] = [
    ("host", 0),
    ("spectator", 1),
    ("net-a", 201),
    ("net-b", 202),
    ("share-a", 207),
    ("share-b", 208),
    ("free", 210),
    ("routed", 211),
];

/// A part of the test.
type Part = fn(&mut Town, &mut Checks) -> Result<()>;

/// All of it.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    let contexts =
        CONTEXTS.map(|(name, xid, keys)| format!("[context.{name}]\nxid = {xid}\n{keys}\n{RATES}"));
    fs::write(RULES, format!("{HOST}[spectator]\n{RATES}{}", contexts.concat()))?;
    for (number, words) in ROUTES.iter().enumerate() {
        if number == 1 {
            // An address of IPv6 is there at once.
            fs::write("/proc/sys/net/ipv6/conf/vs-net0/accept_dad", "0")?;
        }
        let status = Command::new("ip").args(words.split(' ')).status()?;
        checks.check(status.success(), || format!("ip {words}: {status}"));
    }
    vs_ok(&["load", RULES])?;
    let mut town = Town::of(&PEOPLE, false)?;
    let parts: [(&str, Part); 8] = [
        ("the host on ANY", host_on_any),
        ("who uses the host's addresses", like_the_host),
        ("ports to bind to", bound_ports),
        ("ports to connect to", reached_ports),
        ("shared addresses", shared),
        ("sources by route", sources),
        ("addresses only", addresses_only),
        ("everybody to everybody", matrix::run),
    ];
    for (name, part) in parts {
        checks.during(name, |checks| part(&mut town, checks))?;
    }
    town.check_records(world, checks)?;
    drop(town);
    checks.during("chbind", chbind)?;
    world.stop()?;
    for words in ["link del vs-net0", "addr del 192.0.2.61/32 dev lo"] {
        let status = Command::new("ip").args(words.split(' ')).status()?;
        checks.check(status.success(), || format!("ip {words}: {status}"));
    }
    Ok(())
}

/// A service of the host's on ANY has the host's addresses and its loopback, and contexts have the same port at theirs.
fn host_on_any(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.script(
        checks,
        &[
            ("host", "socket s v4 tcp", Fine),
            ("host", "bind s 0.0.0.0 8201", Fine),
            ("host", "name s", Tells("192.0.2.1 8201")),
            ("host", "listen s", Fine),
            ("net-a", "socket s v4 tcp", Fine),
            ("net-a", "bind s 0.0.0.0 8201", Fine),
            ("net-a", "name s", Tells("192.0.2.10 8201")),
            ("net-a", "listen s", Fine),
            ("host", "socket six v6 tcp", Fine),
            ("host", "bind six :: 8202", Fine),
            ("host", "name six", Tells("::ffff:192.0.2.1 8202")),
            ("host", "listen six", Fine),
            ("host", "socket only v6only tcp", Fine),
            ("host", "bind only :: 8203", Fine),
            ("host", "name only", Tells("2001:db8::1 8203")),
            ("host", "listen only", Fine),
        ],
    )?;
    for (family, to, listener, from) in [
        ("v4", "127.0.0.1 8201", "s", "127.0.0.1 "),
        ("v4", "192.0.2.1 8201", "s", "192.0.2.1 "),
        ("v4", "127.0.0.1 8202", "six", "::ffff:127.0.0.1 "),
        ("v6", "::1 8202", "six", "::1 "),
        ("v6", "2001:db8::1 8202", "six", "2001:db8::1 "),
        ("v6", "::1 8203", "only", "::1 "),
    ] {
        town.say(checks, "host", &format!("socket c {family} tcp"), Fine)?;
        town.say(checks, "host", &format!("connect c {to}"), Fine)?;
        town.say(checks, "host", &format!("accept {listener} got"), Begins(from))?;
        town.script(checks, &[("host", "close got", Fine), ("host", "close c", Fine)])?;
    }
    town.script(
        checks,
        &[
            ("net-b", "socket c v4 tcp", Fine),
            ("net-b", "connect c 192.0.2.1 8201", Fine),
            ("host", "accept s got", Begins("192.0.2.20 ")),
            ("net-b", "close c", Fine),
            ("net-b", "socket c v4 tcp", Fine),
            ("net-b", "connect c 192.0.2.11 8201", Fine),
            ("net-a", "accept s got", Begins("192.0.2.20 ")),
            ("net-b", "close c", Fine),
            // Whoever asks for one address has it before whoever has ANY.
            ("host", "socket one v4 tcp", Fine),
            ("host", "bind one 127.0.0.1 8201", Fine),
            ("host", "listen one", Fine),
            ("host", "socket c v4 tcp", Fine),
            ("host", "connect c 127.0.0.1 8201", Fine),
            ("host", "accept one got", Begins("127.0.0.1 ")),
            ("host", "close c", Fine),
            ("host", "close one", Fine),
            // Datagrams; what stays on ANY, and what the kernel chooses.
            ("host", "socket u v4 udp", Fine),
            ("host", "bind u 0.0.0.0 8204", Fine),
            ("host", "name u", Tells("192.0.2.1 8204")),
            ("host", "socket lease v4 udp", Fine),
            ("host", "bind lease 0.0.0.0 8209", Fine),
            ("host", "name lease", Tells("0.0.0.0 8209")),
            ("host", "socket free v4 udp", Fine),
            ("host", "bind free 0.0.0.0 0", Fine),
            ("host", "name free", Begins("0.0.0.0 ")),
            // The host may all.
            ("host", "socket there v4 tcp", Fine),
            ("host", "bind there 192.0.2.10 8299", Fine),
        ],
    )?;
    for name in ["s", "six", "only", "u", "lease", "free", "there", "got"] {
        town.say(checks, "host", &format!("close {name}"), Fine)?;
    }
    town.script(checks, &[("net-a", "close s", Fine), ("net-a", "close got", Fine)])
}

/// Whoever uses the host's addresses has what is the host's: not what is a context's, and ANY as the host has it.
fn like_the_host(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for who in ["free", "spectator"] {
        town.script(
            checks,
            &[
                (who, "socket s v4 tcp", Fine),
                (who, "bind s 192.0.2.10 8208", Denied(EADDRNOTAVAIL, Hook::Bind4)),
                (who, "bind s 0.0.0.0 8208", Fine),
                (who, "name s", Tells("192.0.2.1 8208")),
                (who, "listen s", Fine),
                ("host", "socket c v4 tcp", Fine),
                ("host", "connect c 127.0.0.1 8208", Fine),
                (who, "accept s got", Begins("127.0.0.1 ")),
                ("host", "close c", Fine),
                (who, "close got", Fine),
                (who, "close s", Fine),
                (who, "socket s v6 tcp", Fine),
                (who, "bind s 2001:db8::20 8208", Denied(EADDRNOTAVAIL, Hook::Bind6)),
                (who, "close s", Fine),
                (who, "socket u v4 udp", Fine),
                (who, "sendto u 192.0.2.1 8208 x 192.0.2.10", Denied(libc::EINVAL, Hook::Sendmsg4)),
                (who, "close u", Fine),
            ],
        )?;
    }
    Ok(())
}

/// A context binds to the ports that policy gives it; on its own loopback to any.
fn bound_ports(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for (kind, family, address, port, answer) in [
        ("tcp", "v4", "0.0.0.0", 8220, Denied(EACCES, Hook::Bind4)),
        ("tcp", "v4", "192.0.2.11", 8199, Denied(EACCES, Hook::Bind4)),
        ("tcp", "v4", "192.0.2.11", 0, Denied(EACCES, Hook::Bind4)),
        ("tcp", "v6", "2001:db8::10", 8220, Denied(EACCES, Hook::Bind6)),
        ("tcp", "v6", "::ffff:192.0.2.10", 8220, Denied(EACCES, Hook::Bind6)),
        ("udp", "v4", "192.0.2.10", 8205, Denied(EACCES, Hook::Bind4)),
        ("tcp", "v4", "192.0.2.11", 8200, Fine),
        ("tcp", "v4", "0.0.0.0", 8219, Fine),
        ("tcp", "v6only", "::", 8210, Fine),
        ("udp", "v4", "0.0.0.0", 8220, Fine),
        ("udp", "v4", "0.0.0.0", 0, Fine),
        ("tcp", "v4", "127.0.0.1", 8220, Fine),
        ("tcp", "v6", "::1", 8220, Fine),
    ] {
        town.say(checks, "net-a", &format!("socket s {family} {kind}"), Fine)?;
        town.say(checks, "net-a", &format!("bind s {address} {port}"), answer)?;
        town.say(checks, "net-a", "close s", Fine)?;
    }
    Ok(())
}

/// A context connects and sends to the ports that policy gives it, whoever's they are; on its own loopback to any.
fn reached_ports(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.script(
        checks,
        &[
            ("host", "socket s v4 tcp", Fine),
            ("host", "bind s 192.0.2.1 8206", Fine),
            ("host", "listen s", Fine),
            ("net-b", "socket c v4 tcp", Fine),
            ("net-b", "connect c 192.0.2.1 8206", Fine),
            ("net-b", "close c", Fine),
            ("net-a", "socket s v4 tcp", Fine),
            ("net-a", "bind s 127.0.0.1 8206", Fine),
            ("net-a", "listen s", Fine),
        ],
    )?;
    for (kind, family, order, answer) in [
        ("tcp", "v4", "connect c 192.0.2.1 8206", Denied(EACCES, Hook::Connect4)),
        ("tcp", "v4", "fast-open c 192.0.2.1 8206 x", Denied(EACCES, Hook::Connect4)),
        ("tcp", "v6", "connect c ::ffff:192.0.2.1 8206", Denied(EACCES, Hook::Connect6)),
        ("tcp", "v6", "connect c 2001:db8::1 8206", Denied(EACCES, Hook::Connect6)),
        ("udp", "v4", "connect c 192.0.2.1 8207", Denied(EACCES, Hook::Connect4)),
        ("udp", "v4", "sendto c 192.0.2.1 8207 x", Denied(EACCES, Hook::Sendmsg4)),
        ("udp", "v6", "sendto c 2001:db8::1 8207 x", Denied(EACCES, Hook::Sendmsg6)),
        ("udp", "v4", "sendto c 192.0.2.1 8206 x", Fine),
        ("tcp", "v4", "connect c 127.0.0.1 8206", Fine),
    ] {
        town.say(checks, "net-a", &format!("socket c {family} {kind}"), Fine)?;
        town.say(checks, "net-a", order, answer)?;
        town.say(checks, "net-a", "close c", Fine)?;
    }
    town.script(checks, &[("host", "close s", Fine), ("net-a", "close s", Fine)])
}

/// Of an address that two contexts share either has what the other has not taken.
fn shared(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.script(
        checks,
        &[
            ("share-a", "socket s v4 tcp", Fine),
            ("share-a", "bind s 192.0.2.40 8240", Fine),
            ("share-a", "listen s", Fine),
            ("share-b", "socket s v4 tcp", Fine),
            ("share-b", "bind s 192.0.2.40 8240", Fails(EADDRINUSE)),
            ("share-b", "bind s 0.0.0.0 8241", Fine),
            ("share-b", "name s", Tells("192.0.2.40 8241")),
            ("share-b", "listen s", Fine),
            ("net-b", "socket c v4 tcp", Fine),
            ("net-b", "connect c 192.0.2.40 8241", Fine),
            ("share-b", "accept s got", Begins("192.0.2.20 ")),
            ("net-b", "close c", Fine),
            ("share-b", "close got", Fine),
            ("share-a", "close s", Fine),
            ("share-b", "close s", Fine),
            ("net-b", "socket s v4 tcp", Fine),
            ("net-b", "bind s 192.0.2.40 8242", Denied(EADDRNOTAVAIL, Hook::Bind4)),
            ("net-b", "close s", Fine),
            ("free", "socket s v4 tcp", Fine),
            ("free", "bind s 192.0.2.40 8242", Denied(EADDRNOTAVAIL, Hook::Bind4)),
            ("free", "close s", Fine),
        ],
    )
}

/// Packets leave from the address that the routes say, else from the primary one.
fn sources(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for (family, to, from) in [
        ("v4", "198.51.100.77", "198.51.100.10 "),
        ("v4", "203.0.113.9", "198.51.100.10 "),
        ("v4", "192.0.2.1", "192.0.2.60 "),
        ("v6", "::ffff:203.0.113.9", "::ffff:198.51.100.10 "),
        ("v6", "2001:db8:1::77", "2001:db8:1::10 "),
        ("v6", "2001:db8:2::9", "2001:db8:1::10 "),
        ("v6", "2001:db8::1", "2001:db8::11 "),
    ] {
        town.say(checks, "routed", &format!("socket u {family} udp"), Fine)?;
        town.say(checks, "routed", &format!("connect u {to} 8245"), Fine)?;
        town.say(checks, "routed", "name u", Begins(from))?;
        town.say(checks, "routed", "close u", Fine)?;
    }
    // One that is bound stays where it is; one datagram of an unbound one goes the same way.
    town.script(
        checks,
        &[
            ("routed", "socket u v4 udp", Fine),
            ("routed", "bind u 0.0.0.0 0", Fine),
            ("routed", "connect u 203.0.113.9 8245", Fine),
            ("routed", "name u", Begins("192.0.2.60 ")),
            ("routed", "close u", Fine),
            ("host", "socket h v4 udp", Fine),
            ("host", "bind h 198.51.100.1 8246", Fine),
            ("routed", "socket u v4 udp", Fine),
            ("routed", "sendto u 198.51.100.1 8246 near", Fine),
            ("host", "receive h", Begins("near 198.51.100.10 ")),
            ("routed", "close u", Fine),
            ("host", "close h", Fine),
        ],
    )
}

/// A context that confines addresses only: its processes are the host's in all else.
fn addresses_only(town: &mut Town, checks: &mut Checks) -> Result<()> {
    let refused = vs(&["run", "--context", "only", "--", "true"])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    checks.check(refused.status.code() == Some(125) && said.contains("vs chbind --context only"), || {
        format!("vs run in a context that confines addresses only: {}: {said}", refused.status)
    });
    let mut command = Command::new("vs");
    command.args(["chbind", "--context", "only", "--", "vs-actor", "sockets"]);
    town.join("only", 209, Desk::start_with("only", command, Stdio::inherit())?);
    town.script(
        checks,
        &[
            ("only", "socket s v4 tcp", Fine),
            ("only", "bind s 192.0.2.1 8250", Denied(EADDRNOTAVAIL, Hook::Bind4)),
            ("only", "bind s 0.0.0.0 8250", Fine),
            ("only", "name s", Tells("192.0.2.50 8250")),
            ("only", "listen s", Fine),
            ("only", "try 2 3 1", Denied(EPERM, Hook::SocketCreate)),
            // Links, lists and other families are the host's to see and to have.
            ("only", "try 17 3 0", Fine),
            ("only", "read /proc/net/tcp", Fine),
            ("only", "read /proc/1/environ", Fine),
            ("host", "socket s v4 tcp", Fine),
            ("host", "bind s 192.0.2.1 8251", Fine),
            ("host", "listen s", Fine),
            ("only", "socket c v4 tcp", Fine),
            ("only", "connect c 192.0.2.1 8251", Fine),
            ("host", "accept s got", Begins("192.0.2.50 ")),
            ("host", "close got", Fine),
            ("host", "close s", Fine),
            ("only", "close c", Fine),
            ("only", "close s", Fine),
            // A guest may not touch it: it is the host's.
            ("net-b", "read /proc/1/environ", Fine),
        ],
    )
}

/// VServer's command: a process of the host's with some of its addresses.
fn chbind(checks: &mut Checks) -> Result<()> {
    let start = |program: &str| {
        let mut command = Command::new(program);
        if program == "vs" {
            command.arg("chbind");
        }
        command.args(["--silent", "--ip", "192.0.2.61/24", "--", "vs-actor", "sockets"]);
        Desk::start_with("chbind", command, Stdio::inherit())
    };
    let link = "/tmp/chbind";
    let _ = fs::remove_file(link);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let target = std::env::split_paths(&path).map(|folder| folder.join("vs")).find(|path| path.exists());
    std::os::unix::fs::symlink(target.context("vs is on PATH")?, link)?;
    for program in ["vs", link] {
        let mut desk = start(program)?;
        for (order, expected) in [
            ("socket s v4 tcp", Ok("")),
            ("bind s 192.0.2.1 8270", Err(EADDRNOTAVAIL)),
            ("bind s 0.0.0.0 8270", Ok("")),
            ("name s", Ok("192.0.2.61 8270")),
            ("socket six v6 tcp", Ok("")),
            ("bind six 2001:db8::1 8270", Err(EADDRNOTAVAIL)),
            ("socket lo v4 tcp", Ok("")),
            ("bind lo 127.0.0.1 8270", Ok("")),
            ("read /proc/net/tcp", Ok("")),
        ] {
            let found = desk.order(order)?;
            checks.equal(&format!("{program}: {order}"), &found, &expected.map(str::to_owned));
        }
        // While it has the address nobody else gets it.
        let second = vs(&["chbind", "--ip", "192.0.2.61", "--", "true"])?;
        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        checks.check(second.status.code() == Some(125) && said.contains("192.0.2.61"), || {
            format!("an address twice: {}: {said}", second.status)
        });
    }
    for (arguments, status, text) in [
        (&["--ip", "192.0.2.10", "--", "true"][..], 125, "192.0.2.10"),
        (&["--ip", "198.51.100.9", "--", "true"], 125, "198.51.100.9"),
        (&["--ip", "nothing0", "--", "true"], 125, "nothing0"),
        (&["--silent", "--ip", "192.0.2.61", "--", "/no/such"], 127, "/no/such"),
        (&["--context", "net-b", "--", "true"], 125, "vs run --context net-b"),
        (&["--ip", "192.0.2.61", "--", "true"], 0, "ipv4root is now 192.0.2.61"),
        // The host's own is for what is the host's in all else.
        (&["--ip", "192.0.2.1", "--", "true"], 0, "ipv4root is now 192.0.2.1"),
    ] {
        let found = vs(&[&["chbind"], arguments].concat())?;
        let said = String::from_utf8_lossy(&found.stderr).into_owned();
        checks.check(found.status.code() == Some(status) && said.contains(text), || {
            format!("chbind {arguments:?}: {}: {said}", found.status)
        });
    }
    Ok(())
}
