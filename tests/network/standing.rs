//! Sockets that stand when a load takes their address away: they go on, or with `--kill-sockets` end, and nobody else's do.

use anyhow::Result;
use vs_tests::desk::Desk;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{POLICY, policy, vs, vs_ok};

/// The suite's policy without some addresses.
const FEWER: &str = "/tmp/fewer.toml";

/// It fails, with one errno or another: of two ends of one connection the first that is ended tells the second.
const ENDED: i32 = -1;

/// What is tried: who, order, errno (0: it goes through).
type Step = (Who, &'static str, i32);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    Host,
    A,
    B,
}

use Who::{A, B, Host};

/// Whoever holds sockets.
struct Holders {
    host: Desk,
    a: Desk,
    b: Desk,
}

impl Holders {
    fn carry_out(&mut self, checks: &mut Checks, when: &str, steps: &[Step]) -> Result<()> {
        for (who, order, expected) in steps {
            let desk = match who {
                Host => &mut self.host,
                A => &mut self.a,
                B => &mut self.b,
            };
            let found = desk.order(order)?;
            let errno = found.as_ref().err().copied().unwrap_or(0);
            let holds = errno == *expected || (*expected == ENDED && errno != 0);
            checks.check(holds, || {
                format!("{when}: {who:?}: {order}: {found:?}, expected {}", errno_name(*expected))
            });
        }
        Ok(())
    }
}

/// Connections, listeners and datagrams at addresses that are lost and at others, in two contexts and the host.
const MADE: &[Step] = &[
    (Host, "socket l v4 tcp", 0),
    (Host, "bind l 192.0.2.1 8160", 0),
    (Host, "listen l", 0),
    (Host, "socket l6 v6 tcp", 0),
    (Host, "bind l6 2001:db8::1 8160", 0),
    (Host, "listen l6", 0),
    // Lost: IPv4, IPv4 by a socket of IPv6, IPv6, a listener, datagrams.
    (A, "socket t v4 tcp", 0),
    (A, "bind t 192.0.2.11 0", 0),
    (A, "connect t 192.0.2.1 8160", 0),
    (Host, "accept l t", 0),
    (A, "socket m v6 tcp", 0),
    (A, "bind m ::ffff:192.0.2.11 0", 0),
    (A, "connect m ::ffff:192.0.2.1 8160", 0),
    (Host, "accept l m", 0),
    (A, "socket s v6 tcp", 0),
    (A, "bind s 2001:db8::11 0", 0),
    (A, "connect s 2001:db8::1 8160", 0),
    (Host, "accept l6 s", 0),
    (A, "socket l v4 tcp", 0),
    (A, "bind l 192.0.2.11 8161", 0),
    (A, "listen l", 0),
    (A, "socket u v4 udp", 0),
    (A, "bind u 192.0.2.11 8162", 0),
    // Kept.
    (A, "socket k v4 tcp", 0),
    (A, "connect k 192.0.2.1 8160", 0),
    (Host, "accept l k", 0),
    (A, "socket ku v4 udp", 0),
    (A, "bind ku 192.0.2.10 8162", 0),
    // Another context's: a connection, and its own loopback, which it loses.
    (B, "socket k v4 tcp", 0),
    (B, "connect k 192.0.2.1 8160", 0),
    (Host, "accept l b", 0),
    (B, "socket l v4 tcp", 0),
    (B, "bind l 127.0.0.1 8163", 0),
    (B, "listen l", 0),
    (B, "socket t v4 tcp", 0),
    (B, "connect t 127.0.0.1 8163", 0),
    (B, "accept l a", 0),
    // The host's own, at the address that A loses.
    (Host, "socket h v4 tcp", 0),
    (Host, "bind h 192.0.2.11 0", 0),
    (Host, "connect h 192.0.2.1 8160", 0),
    (Host, "accept l ha", 0),
];

/// What goes on in either case.
const OTHERS: &[Step] = &[
    (A, "send k x", 0),
    (Host, "receive k", 0),
    (B, "send k x", 0),
    (Host, "receive b", 0),
    (Host, "send h x", 0),
    (Host, "receive ha", 0),
    (Host, "socket u v4 udp", 0),
    (Host, "sendto u 192.0.2.10 8162 x", 0),
    (A, "receive ku", 0),
];

const GOES_ON: &[Step] = &[
    (A, "send t x", 0),
    (Host, "receive t", 0),
    (A, "send m x", 0),
    (Host, "receive m", 0),
    (A, "send s x", 0),
    (Host, "receive s", 0),
    (B, "send t x", 0),
    (B, "receive a", 0),
];

const IS_ENDED: &[Step] = &[
    (A, "send t x", libc::ECONNABORTED),
    (A, "send t x", libc::EPIPE),
    (Host, "receive t", libc::ECONNRESET),
    (A, "receive m", libc::ECONNABORTED),
    (Host, "receive m", libc::ECONNRESET),
    (A, "receive s", libc::ECONNABORTED),
    (Host, "receive s", libc::ECONNRESET),
    (A, "accept l x", libc::EINVAL),
    (A, "receive u", libc::ECONNABORTED),
    (B, "send t x", ENDED),
    (B, "receive a", ENDED),
    (B, "accept l x", libc::EINVAL),
];

/// Without the option, then with it.
pub(super) fn sockets(checks: &mut Checks) -> Result<()> {
    let fewer = policy("enforce")
        .replace("\"192.0.2.11\", ", "")
        .replace(", \"2001:db8::11\"", "")
        .replace("\"2001:db8::20\"]", "\"2001:db8::20\"]\nloopback = \"none\"");
    std::fs::write(FEWER, fewer)?;
    let mut holders =
        Holders { host: Desk::start("host")?, a: Desk::start("net-a")?, b: Desk::start("net-b")? };
    holders.carry_out(checks, "all is made", MADE)?;
    let said = vs_ok(&["load", FEWER])?;
    checks.check(!said.contains("ended"), || format!("without being asked: {said}"));
    holders.carry_out(checks, "without --kill-sockets", GOES_ON)?;
    holders.carry_out(checks, "without --kill-sockets", OTHERS)?;
    vs_ok(&["load", POLICY])?;
    let output = vs(&["load", "--kill-sockets", FEWER])?;
    let warned = String::from_utf8_lossy(&output.stderr).into_owned();
    checks.check(output.status.success() && !warned.contains("goes on"), || {
        format!("not all is ended: {warned}")
    });
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in ["ended 5 sockets of net-a (xid 201)", "sockets of net-b (xid 202)"] {
        checks.check(said.contains(line), || format!("not {line:?}: {said}"));
    }
    holders.carry_out(checks, "with --kill-sockets", IS_ENDED)?;
    holders.carry_out(checks, "with --kill-sockets", OTHERS)?;
    let said = vs_ok(&["--json", "load", "--kill-sockets", FEWER])?;
    checks.check(said.contains(r#""sockets_killed":[]"#), || format!("nothing is left to end: {said}"));
    drop(holders);
    vs_ok(&["load", POLICY]).map(drop)
}
