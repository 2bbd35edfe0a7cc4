//! The private loopback, and the shared one.

use anyhow::Result;
use libc::{EADDRNOTAVAIL, ECONNREFUSED};
use vs_common::hook::Hook;
use vs_tests::report::Checks;

use super::town::{Begins, Denied, Fails, Fine, Tells, Town};

/// Each context's 127.0.0.1 and `::1` are its own, and look it.
pub(super) fn connections(town: &mut Town, checks: &mut Checks) -> Result<()> {
    // The host listens everywhere; nobody in a context may get there by loopback.
    town.script(
        checks,
        &[
            ("host", "socket s v4 tcp", Fine),
            ("host", "bind s 0.0.0.0 8090", Fine),
            ("host", "listen s", Fine),
            ("host", "socket six v6only tcp", Fine),
            ("host", "bind six :: 8090", Fine),
            ("host", "listen six", Fine),
        ],
    )?;
    for who in ["net-a", "net-b", "net-lo"] {
        town.script(
            checks,
            &[
                (who, "socket c v4 tcp", Fine),
                (who, "connect c 127.0.0.1 8090", Fails(ECONNREFUSED)),
                (who, "close c", Fine),
                (who, "socket c v6 tcp", Fine),
                (who, "connect c ::1 8090", Fails(ECONNREFUSED)),
                (who, "close c", Fine),
                // The host's service stands in the way of nobody's loopback either.
                (who, "socket lo v4 tcp", Fine),
            ],
        )?;
        town.say(checks, who, "close lo", Fine)?;
    }
    town.script(checks, &[("host", "close s", Fine), ("host", "close six", Fine)])?;

    // All at once: on 127.0.0.1, on ANY, on `::1`, on ANY of IPv6; the host too.
    for (who, four, six) in
        [("host", "127.0.0.1", "::1"), ("net-a", "127.0.0.1", "::1"), ("net-b", "0.0.0.0", "::")]
    {
        town.say(checks, who, "socket s v4 tcp", Fine)?;
        town.say(checks, who, &format!("bind s {four} 8091"), Fine)?;
        town.say(checks, who, "listen s", Fine)?;
        town.say(checks, who, "socket six v6only tcp", Fine)?;
        town.say(checks, who, &format!("bind six {six} 8091"), Fine)?;
        town.say(checks, who, "listen six", Fine)?;
    }
    for who in ["host", "net-a", "net-b"] {
        for (family, address, listener, name, begin) in [
            ("v4", "127.0.0.1", "s", "127.0.0.1 8091", "127.0.0.1 "),
            ("v6", "::1", "six", "::1 8091", "::1 "),
        ] {
            town.say(checks, who, &format!("socket c {family} tcp"), Fine)?;
            town.say(checks, who, &format!("connect c {address} 8091"), Fine)?;
            town.say(checks, who, &format!("accept {listener} got"), Begins(begin))?;
            town.script(
                checks,
                &[
                    (who, "peer c", Tells(name)),
                    (who, "name c", Begins(begin)),
                    (who, "name got", Tells(name)),
                    (who, "peer got", Begins(begin)),
                    (who, "send c mine", Fine),
                    (who, "receive got", Tells("mine")),
                    (who, "close got", Fine),
                    (who, "close c", Fine),
                ],
            )?;
        }
    }
    // Where Debian puts the host's name, and ANY as a destination; from a socket for both.
    for (address, family, shown) in [
        ("127.0.1.1", "v4", "127.0.0.1 "),
        ("0.0.0.0", "v4", "127.0.0.1 "),
        ("::ffff:127.0.0.1", "v6", "127.0.0.1 "),
    ] {
        town.say(checks, "net-b", &format!("socket c {family} tcp"), Fine)?;
        town.say(checks, "net-b", &format!("connect c {address} 8091"), Fine)?;
        town.say(checks, "net-b", "accept s got", Begins(shown))?;
        town.script(checks, &[("net-b", "close got", Fine), ("net-b", "close c", Fine)])?;
    }
    // Nobody listens for the third, whoever else does.
    town.script(
        checks,
        &[
            ("net-lo", "socket c v4 tcp", Fine),
            ("net-lo", "connect c 127.0.0.1 8091", Fails(ECONNREFUSED)),
            ("net-lo", "close c", Fine),
            ("net-lo", "socket c v4 tcp", Fine),
            ("net-lo", "connect c 127.0.201.1 8091", Fails(ECONNREFUSED)),
            ("net-lo", "close c", Fine),
        ],
    )?;
    for who in ["host", "net-a", "net-b"] {
        town.script(checks, &[(who, "close s", Fine), (who, "close six", Fine)])?;
    }
    Ok(())
}

/// `loopback = "shared"`: the host's is theirs, and nobody's private one is.
pub(super) fn shared(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.script(
        checks,
        &[
            ("host", "socket s v4 tcp", Fine),
            ("host", "bind s 127.0.0.1 8092", Fine),
            ("host", "listen s", Fine),
            ("net-shared", "socket c v4 tcp", Fine),
            ("net-shared", "connect c 127.0.0.1 8092", Fine),
            ("host", "accept s got", Begins("127.0.0.1 ")),
            ("host", "close got", Fine),
            ("net-shared", "close c", Fine),
            ("host", "close s", Fine),
            ("net-shared", "socket c v4 tcp", Fine),
            ("net-shared", "connect c 127.0.201.1 8092", Denied(ECONNREFUSED, Hook::Connect4)),
            ("net-shared", "bind c 127.0.201.1 8092", Denied(EADDRNOTAVAIL, Hook::Bind4)),
            ("net-shared", "bind c 127.0.0.1 8092", Fine),
            ("net-shared", "name c", Tells("127.0.0.1 8092")),
            ("net-shared", "close c", Fine),
        ],
    )
}

/// `loopback = "none"`: there is none to bind to, and none to reach.
pub(super) fn none(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for (family, address, bind, connect) in
        [("v4", "127.0.0.1", Hook::Bind4, Hook::Connect4), ("v6", "::1", Hook::Bind6, Hook::Connect6)]
    {
        town.say(checks, "net-none", &format!("socket c {family} tcp"), Fine)?;
        let order = format!("connect c {address} 8142");
        town.say(checks, "net-none", &order, Denied(libc::ENETUNREACH, connect))?;
        town.say(checks, "net-none", &format!("bind c {address} 8142"), Denied(EADDRNOTAVAIL, bind))?;
        town.say(checks, "net-none", "close c", Fine)?;
    }
    town.script(
        checks,
        &[
            ("net-none", "socket c v6only tcp", Fine),
            ("net-none", "bind c :: 8142", Denied(EADDRNOTAVAIL, Hook::Bind6)),
            ("net-none", "close c", Fine),
            ("net-none", "socket c v4 tcp", Fine),
            ("net-none", "bind c 0.0.0.0 8142", Fine),
            ("net-none", "name c", Tells("192.0.2.60 8142")),
            ("net-none", "close c", Fine),
        ],
    )
}
