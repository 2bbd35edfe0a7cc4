//! socat and iperf3, as servers and as clients.

use anyhow::Result;
use vs_tests::report::Checks;

use super::servers::{HOSTS, PLACES, Step, fails, steps};
use super::sleeper::Sleepers;

/// The ports of socat: the one of sockets of IPv4, the other of those that take both.
const PORTS: [u16; 2] = [7001, 7002];

/// Words of a command that leaves a server behind, which keeps none of its descriptors.
fn left_behind(command: &str) -> String {
    format!("setsid {command} >/dev/null 2>&1 &")
}

/// The servers of socat say whose they are: on TCP, and on UDP once by a socket that they connect to the client, once by one that they do
/// not.
pub(super) fn socat(_: &mut Sleepers, checks: &mut Checks) -> Result<()> {
    let [four, both] = PORTS;
    for ((who, ..), datagrams) in PLACES.into_iter().zip(["UDP-RECVFROM", "UDP-LISTEN"]) {
        let servers = [
            format!("TCP-LISTEN:{four}"),
            format!("TCP6-LISTEN:{both}"),
            format!("{datagrams}:{four}"),
            format!("{}:{both},ipv6only", datagrams.replace("UDP", "UDP6")),
        ]
        .map(|server| (left_behind(&format!("socat {server},fork SYSTEM:'echo {who}'")), 0, ""));
        steps(who, &servers, checks)?;
        // A server listens when it has begun.
        let ready =
            ["TCP:127.0.0.1:7001", "TCP6:[::1]:7002", "UDP:127.0.0.1:7001", "UDP6:[::1]:7002"].map(|to| {
                let ready = format!("for i in $(seq 100); do {} 2>&1 && break; sleep 0.1; done", speak(to));
                (ready, 0, who)
            });
        steps(who, &ready, checks)?;
    }
    let spoken: Vec<Step<'_>> = [
        ("TCP:192.0.2.51:7001", "east"),
        ("TCP:192.0.2.52:7001", "east"),
        ("TCP:192.0.2.52:7002", "east"),
        ("TCP6:[2001:db8::51]:7002", "east"),
        ("UDP:192.0.2.51:7001", "east"),
        ("UDP6:[2001:db8::51]:7002", "east"),
        ("TCP:192.0.2.61:7001", "west"),
        ("TCP6:[2001:db8::61]:7002", "west"),
        ("UDP:192.0.2.61:7001", "west"),
        ("UDP6:[2001:db8::61]:7002", "west"),
    ]
    .map(|(to, whose)| (speak(to), 0, whose))
    .into();
    for who in ["host", "west"] {
        steps(who, &spoken, checks)?;
    }
    let refused = ["TCP:127.0.0.1:7001", "TCP6:[::1]:7002", "UDP:127.0.0.1:7001", "UDP6:[::1]:7002"];
    for who in ["host", "bare"] {
        steps(who, &refused.map(|to| (speak(to), 1, "Connection refused")), checks)?;
    }
    let foreign = ["TCP-LISTEN:7003", "UDP-LISTEN:7003", "TCP:192.0.2.1:7003"]
        .map(|to| (format!("socat - {to},bind=192.0.2.61"), 1, "Cannot assign requested address"));
    steps("east", &foreign, checks)
}

/// Says something, and waits for the five bytes that a server answers.
fn speak(to: &str) -> String {
    format!("echo | socat -t20 - {to},readbytes=5")
}

/// iperf3 between a context and the host, both ways, and within a context; the client sends, then the server does.
pub(super) fn iperf3(_: &mut Sleepers, checks: &mut Checks) -> Result<()> {
    let measure = |to: &str, options: &str| (format!("iperf3 -c {to} -n 64K {options}"), 0, "iperf Done.");
    let both = |to: &str| [measure(to, ""), measure(to, "-R")];
    let ready = |to: &str| format!("for i in $(seq 100); do iperf3 -c {to} -n 1K && break; sleep 0.1; done");
    let [hosts, _] = HOSTS;
    let begun = |address: &str| [(ready(address), 0, "iperf Done.")];
    steps("east", &[("iperf3 -s -D".to_owned(), 0, "")], checks)?;
    steps("east", &begun("127.0.0.1"), checks)?;
    steps("host", &[(format!("iperf3 -s -D -B {hosts}"), 0, "")], checks)?;
    steps("host", &begun(hosts), checks)?;

    for to in ["192.0.2.51", "192.0.2.52", "2001:db8::51"] {
        steps("host", &both(to), checks)?;
    }
    steps("host", &[measure("192.0.2.51", "-u"), measure("192.0.2.51", "-u -R")], checks)?;
    steps("east", &both("::1"), checks)?;
    steps("west", &both(hosts), checks)?;
    steps("west", &[measure(hosts, "-u"), measure(hosts, "-u -R")], checks)?;
    let refused = ["127.0.0.1", "::1"].map(|to| {
        let (command, ..) = measure(to, "");
        (command, 1, "unable to connect to server: Connection refused")
    });
    for who in ["host", "west", "bare"] {
        steps(who, &refused, checks)?;
    }
    // What takes both families has no datagrams of IPv6 (README): a server for that one alone has.
    steps("west", &[("iperf3 -6 -s -D".to_owned(), 0, ""), (ready("::1"), 0, "iperf Done.")], checks)?;
    steps("host", &[measure("2001:db8::61", "-u"), measure("2001:db8::61", "-u -R")], checks)?;
    fails("east", "iperf3 -s -B 192.0.2.61", 1, "Cannot assign requested address", checks)
}
