//! Debian's ping, by sockets that take no capability, and by raw ones.

use std::fs;

use anyhow::Result;
use vs_tests::peer::Peer;
use vs_tests::report::Checks;
use vs_tests::world::vs_ok;

use super::servers::{HOSTS, LOOPBACK, PLACES, POLICY, fails, steps};
use super::sleeper::Sleepers;

/// Another machine's addresses.
const PEERS: [&str; 2] = ["198.51.100.2", "2001:db8:51::2"];

/// The host, another context and another machine answer who may ping; the machine sees the context's address.
pub(super) fn run(_: &mut Sleepers, checks: &mut Checks) -> Result<()> {
    // What Debian's package gives the file where it can, no context can have: with it, it could not be executed.
    steps("host", &[("setcap -r /bin/ping 2>&1 || true".to_owned(), 0, "")], checks)?;
    fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647")?;
    let peer = Peer::make()?;
    let mut seen = peer.desk()?;
    // The routes are those of the load.
    vs_ok(&["load", POLICY])?;
    let ping = |address: &str| format!("ping -n -c1 -W10 {address} | grep -o '1 received'");
    let [(east, four, six), (west, ..)] = PLACES;
    for (family, peer, own) in [("v4", PEERS[0], four[0]), ("v6", PEERS[1], six[0])] {
        let raw = seen.order(&format!("socket seen {family} raw"))?;
        checks.check(raw.is_ok(), || format!("no raw socket: {raw:?}"));
        steps(east, &[(ping(peer), 0, "1 received")], checks)?;
        let source = seen.order("echo-source seen")?;
        checks.check(source.as_deref() == Ok(own), || format!("{peer} saw {source:?}, expected {own}"));
    }
    steps(east, &HOSTS.map(|host| (ping(host), 0, "1 received")), checks)?;
    let second = format!("-I {} {}", four[1], PEERS[0]);
    steps(east, &[(ping(&second), 0, "1 received")], checks)?;
    // Before it sends it connects a socket for datagrams to there, and nobody listens.
    for loopback in LOOPBACK {
        fails(east, &format!("ping -n -c1 -W10 {loopback}"), 2, "refused", checks)?;
    }
    fails(west, &format!("ping -n -c1 -W10 {}", HOSTS[0]), 2, "not permitted", checks)?;
    // Where nobody may ping without a capability it takes raw sockets; its file has the capability as Debian's package gives it.
    fs::write("/proc/sys/net/ipv4/ping_group_range", "1 0")?;
    steps("host", &[("setcap cap_net_raw+ep /bin/ping 2>&1 || true".to_owned(), 0, "")], checks)?;
    // What came before is not taken for what comes now.
    let _ = seen.order("close seen")?;
    let raw = seen.order("socket seen v4 raw")?;
    checks.check(raw.is_ok(), || format!("no raw socket: {raw:?}"));
    let own = "192.0.2.101";
    steps("north", &[(ping(PEERS[0]), 0, "1 received")], checks)?;
    let source = seen.order("echo-source seen")?;
    checks.check(source.as_deref() == Ok(own), || format!("the peer saw {source:?}, expected {own}"));
    for to in [PEERS[0], HOSTS[0]] {
        steps("north", &[(ping(&format!("-I {own} {to}")), 0, "1 received")], checks)?;
    }
    // It insists on errors about packets of IPv6, which may be others' (README).
    let six = format!("ping -n -c1 -W10 {} 2>&1 | grep -o IPV6_RECVERR", PEERS[1]);
    steps("north", &[(six, 0, "IPV6_RECVERR")], checks)?;
    // The file with its capability cannot be executed where nobody has that.
    fails(east, &format!("ping -n -c1 -W10 {}", PEERS[0]), 126, "not permitted", checks)
}
