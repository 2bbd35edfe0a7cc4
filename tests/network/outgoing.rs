//! Where connections come from.

use anyhow::Result;
use libc::{EADDRNOTAVAIL, ENETUNREACH};
use vs_common::hook::Hook;
use vs_tests::report::Checks;

use super::town::{Begins, Denied, Fine, Tells, Town};

/// The host sees the context's address, whichever way the connection is made.
pub(super) fn connections(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.script(
        checks,
        &[
            ("host", "socket s v4 tcp", Fine),
            ("host", "bind s 192.0.2.1 8100", Fine),
            ("host", "listen s", Fine),
            ("host", "socket six v6 tcp", Fine),
            ("host", "bind six 2001:db8::1 8100", Fine),
            ("host", "listen six", Fine),
        ],
    )?;
    for (who, four, six) in
        [("net-a", "192.0.2.10 ", "2001:db8::10 "), ("net-b", "192.0.2.20 ", "2001:db8::20 ")]
    {
        for (family, order, listener, begin) in [
            ("v4", "connect c 192.0.2.1 8100", "s", four),
            ("v6", "connect c ::ffff:192.0.2.1 8100", "s", four),
            ("v6", "connect c 2001:db8::1 8100", "six", six),
            ("v4", "fast-open c 192.0.2.1 8100 hello", "s", four),
            ("v6", "fast-open c 2001:db8::1 8100 hello", "six", six),
        ] {
            town.say(checks, who, &format!("socket c {family} tcp"), Fine)?;
            town.say(checks, who, order, Fine)?;
            town.say(checks, "host", &format!("accept {listener} got"), Begins(begin))?;
            town.script(checks, &[("host", "close got", Fine), (who, "close c", Fine)])?;
        }
    }
    // Bound to another of its own it comes from there.
    town.script(
        checks,
        &[
            ("net-a", "socket c v4 tcp", Fine),
            ("net-a", "bind c 192.0.2.11 0", Fine),
            ("net-a", "connect c 192.0.2.1 8100", Fine),
            ("host", "accept s got", Begins("192.0.2.11 ")),
            ("host", "close got", Fine),
            ("net-a", "close c", Fine),
            // Without an address there is nowhere to come from.
            ("net-lo", "socket c v4 tcp", Fine),
            ("net-lo", "connect c 192.0.2.1 8100", Denied(ENETUNREACH, Hook::Connect4)),
            ("net-lo", "close c", Fine),
            ("net-lo", "socket c v6 tcp", Fine),
            ("net-lo", "connect c 2001:db8::1 8100", Denied(ENETUNREACH, Hook::Connect6)),
            ("net-lo", "close c", Fine),
            // Connected datagrams, and connected anew elsewhere.
            ("net-a", "socket c v4 udp", Fine),
            ("net-a", "connect c 192.0.2.1 8100", Fine),
            ("net-a", "name c", Begins("192.0.2.10 ")),
            ("net-a", "disconnect c", Fine),
            ("net-a", "connect c 192.0.2.1 8101", Fine),
            ("net-a", "name c", Begins("192.0.2.10 ")),
            ("net-a", "close c", Fine),
            ("host", "close s", Fine),
            ("host", "close six", Fine),
        ],
    )
}

/// What comes too late for an address, and what would have got none.
pub(super) fn late(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.script(
        checks,
        &[
            ("host", "socket s v4 udp", Fine),
            ("host", "bind s 192.0.2.1 8102", Fine),
            ("net-a", "socket c v4 udp", Fine),
            ("net-a", "sendto c 192.0.2.1 8102 first", Fine),
            ("host", "receive s", Begins("first 192.0.2.10 ")),
            ("net-a", "connect c 192.0.2.1 8102", Denied(EADDRNOTAVAIL, Hook::Connect4)),
            ("net-a", "sendto c 192.0.2.1 8102 second", Fine),
            ("host", "receive s", Begins("second 192.0.2.10 ")),
            ("net-a", "close c", Fine),
            ("host", "close s", Fine),
            ("net-a", "socket c v4 tcp", Fine),
            ("net-a", "listen c", Denied(EADDRNOTAVAIL, Hook::SocketListen)),
            ("net-a", "close c", Fine),
            ("net-a", "socket c v6 tcp", Fine),
            ("net-a", "listen c", Denied(EADDRNOTAVAIL, Hook::SocketListen)),
            ("net-a", "close c", Fine),
            ("host", "socket c v4 tcp", Fine),
            ("host", "listen c", Fine),
            ("host", "name c", Begins("0.0.0.0 ")),
            ("host", "close c", Fine),
            ("net-b", "socket c v4 tcp", Fine),
            ("net-b", "bind c 0.0.0.0 8103", Fine),
            ("net-b", "listen c", Fine),
            ("net-b", "name c", Tells("192.0.2.20 8103")),
            ("net-b", "close c", Fine),
        ],
    )
}
