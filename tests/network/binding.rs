//! `bind(2)`, and who answers where.

use anyhow::Result;
use libc::{EADDRNOTAVAIL, ECONNREFUSED};
use vs_common::hook::Hook;
use vs_tests::report::Checks;

use super::town::{Begins, Denied, Fails, Fine, Tells, Town};

/// What is listed is as on a machine of its own.
pub(super) fn own(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for kind in ["tcp", "udp"] {
        for (family, address, name) in [
            ("v4", "192.0.2.10", "192.0.2.10 8080"),
            ("v4", "192.0.2.11", "192.0.2.11 8080"),
            ("v6", "2001:db8::11", "2001:db8::11 8080"),
            ("v6", "::ffff:192.0.2.11", "::ffff:192.0.2.11 8080"),
            ("v4", "0.0.0.0", "192.0.2.10 8080"),
            ("v6only", "::", "2001:db8::10 8080"),
            ("v6", "::", "::ffff:192.0.2.10 8080"),
        ] {
            town.say(checks, "net-a", &format!("socket s {family} {kind}"), Fine)?;
            town.say(checks, "net-a", &format!("bind s {address} 8080"), Fine)?;
            town.say(checks, "net-a", "name s", Tells(name))?;
            town.say(checks, "net-a", "close s", Fine)?;
        }
    }
    Ok(())
}

/// What is not listed is not there.
pub(super) fn foreign(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for kind in ["tcp", "udp", "udplite"] {
        for (family, address, hook) in [
            ("v4", "192.0.2.20", Hook::Bind4),
            ("v4", "192.0.2.1", Hook::Bind4),
            ("v4", "198.51.100.1", Hook::Bind4),
            ("v4", "224.0.0.251", Hook::Bind4),
            ("v4", "255.255.255.255", Hook::Bind4),
            ("v6", "2001:db8::20", Hook::Bind6),
            ("v6", "2001:db8::1", Hook::Bind6),
            ("v6", "::ffff:192.0.2.20", Hook::Bind6),
            ("v6", "ff02::fb", Hook::Bind6),
        ] {
            // UDP-Lite is gone from the newest kernels.
            let made = town.order("net-a", &format!("socket s {family} {kind}"))?;
            if kind == "udplite" && made == Err(libc::EPROTONOSUPPORT) {
                continue;
            }
            town.say(checks, "net-a", &format!("bind s {address} 8080"), Denied(EADDRNOTAVAIL, hook))?;
            town.say(checks, "net-a", "close s", Fine)?;
        }
    }
    // What is refused changes nothing: the socket can be bound to what is its own.
    town.script(
        checks,
        &[
            ("net-a", "socket s v4 tcp", Fine),
            ("net-a", "bind s 192.0.2.20 8080", Denied(EADDRNOTAVAIL, Hook::Bind4)),
            ("net-a", "bind s 192.0.2.11 8080", Fine),
            ("net-a", "name s", Tells("192.0.2.11 8080")),
            ("net-a", "close s", Fine),
            ("net-lo", "socket s v4 tcp", Fine),
            ("net-lo", "bind s 192.0.2.10 8080", Denied(EADDRNOTAVAIL, Hook::Bind4)),
            ("net-lo", "close s", Fine),
        ],
    )
}

/// ANY is each context's own, so everybody has the same port.
pub(super) fn any(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for kind in ["tcp", "udp"] {
        for (who, name) in
            [("net-a", "192.0.2.10 8081"), ("net-b", "192.0.2.20 8081"), ("net-lo", "127.0.0.1 8081")]
        {
            town.say(checks, who, &format!("socket four v4 {kind}"), Fine)?;
            town.say(checks, who, "bind four 0.0.0.0 8081", Fine)?;
            town.say(checks, who, "name four", Tells(name))?;
        }
        for (who, name) in
            [("net-a", "2001:db8::10 8081"), ("net-b", "2001:db8::20 8081"), ("net-lo", "::1 8081")]
        {
            town.say(checks, who, &format!("socket six v6only {kind}"), Fine)?;
            town.say(checks, who, "bind six :: 8081", Fine)?;
            town.say(checks, who, "name six", Tells(name))?;
        }
        for who in ["net-a", "net-b", "net-lo"] {
            town.script(checks, &[(who, "close four", Fine), (who, "close six", Fine)])?;
        }
    }
    Ok(())
}

/// One listener on ANY answers on every address of its context, and on nobody else's.
pub(super) fn every_address(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for (who, family) in [("net-a", "v4"), ("net-b", "v4")] {
        town.say(checks, who, &format!("socket any {family} tcp"), Fine)?;
        town.script(checks, &[(who, "bind any 0.0.0.0 8082", Fine), (who, "listen any", Fine)])?;
        town.script(
            checks,
            &[
                (who, "socket any6 v6only tcp", Fine),
                (who, "bind any6 :: 8082", Fine),
                (who, "listen any6", Fine),
            ],
        )?;
    }
    for client in ["host", "net-a", "net-b"] {
        for (address, family, who, listener) in [
            ("192.0.2.10", "v4", "net-a", "any"),
            ("192.0.2.11", "v4", "net-a", "any"),
            ("192.0.2.20", "v4", "net-b", "any"),
            ("2001:db8::10", "v6", "net-a", "any6"),
            ("2001:db8::11", "v6", "net-a", "any6"),
            ("2001:db8::20", "v6", "net-b", "any6"),
        ] {
            town.say(checks, client, &format!("socket c {family} tcp"), Fine)?;
            town.say(checks, client, &format!("connect c {address} 8082"), Fine)?;
            town.say(checks, who, &format!("accept {listener} got"), Fine)?;
            let name: &'static str = match address {
                "192.0.2.10" => "192.0.2.10 8082",
                "192.0.2.11" => "192.0.2.11 8082",
                "192.0.2.20" => "192.0.2.20 8082",
                "2001:db8::10" => "2001:db8::10 8082",
                "2001:db8::11" => "2001:db8::11 8082",
                _ => "2001:db8::20 8082",
            };
            town.script(
                checks,
                &[
                    (who, "name got", Tells(name)),
                    (client, "peer c", Tells(name)),
                    (client, "send c hello", Fine),
                    (who, "receive got", Tells("hello")),
                    (who, "close got", Fine),
                    (client, "close c", Fine),
                ],
            )?;
        }
    }
    // A listener at one address comes before the one on ANY, and goes again.
    town.script(
        checks,
        &[
            ("net-a", "socket one v4 tcp", Fine),
            ("net-a", "bind one 192.0.2.11 8082", Fine),
            ("net-a", "listen one", Fine),
            ("host", "socket c v4 tcp", Fine),
            ("host", "connect c 192.0.2.11 8082", Fine),
            ("net-a", "accept one got", Begins("192.0.2.")),
            ("net-a", "close got", Fine),
            ("host", "close c", Fine),
            ("net-a", "close one", Fine),
            ("host", "socket c v4 tcp", Fine),
            ("host", "connect c 192.0.2.11 8082", Fine),
            ("net-a", "accept any got", Begins("192.0.2.")),
            ("net-a", "close got", Fine),
            ("host", "close c", Fine),
            ("net-a", "close any", Fine),
            ("net-a", "close any6", Fine),
            ("net-b", "close any", Fine),
            ("net-b", "close any6", Fine),
            // And once nobody listens, nobody answers.
            ("host", "socket c v4 tcp", Fine),
            ("host", "connect c 192.0.2.11 8082", Fails(ECONNREFUSED)),
            ("host", "close c", Fine),
        ],
    )
}

/// Who has no addresses of its own uses the host's, but for the private loopback of others.
pub(super) fn as_host(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.script(
        checks,
        &[
            ("plain-a", "socket s v4 tcp", Fine),
            ("plain-a", "bind s 127.0.201.1 8083", Denied(EADDRNOTAVAIL, Hook::Bind4)),
            ("plain-a", "bind s 0.0.0.0 8083", Fine),
            ("plain-a", "name s", Tells("0.0.0.0 8083")),
            ("plain-a", "listen s", Fine),
            ("host", "socket c v4 tcp", Fine),
            ("host", "connect c 127.0.0.1 8083", Fine),
            ("plain-a", "accept s got", Begins("127.0.0.1 ")),
            ("plain-a", "close got", Fine),
            ("host", "close c", Fine),
            ("net-a", "socket lo v4 tcp", Fine),
            ("net-a", "bind lo 127.0.0.1 8084", Fine),
            ("net-a", "listen lo", Fine),
            ("plain-a", "socket c v4 tcp", Fine),
            ("plain-a", "connect c 127.0.201.1 8084", Denied(ECONNREFUSED, Hook::Connect4)),
            ("plain-a", "close c", Fine),
            ("plain-a", "socket c v6 tcp", Fine),
            ("plain-a", "connect c fd56:7365:7276::c9:1 8084", Denied(ECONNREFUSED, Hook::Connect6)),
            ("plain-a", "close c", Fine),
            ("plain-a", "close s", Fine),
            // The host sees all.
            ("host", "socket c v4 tcp", Fine),
            ("host", "connect c 127.0.201.1 8084", Fine),
            ("host", "close c", Fine),
            ("net-a", "close lo", Fine),
        ],
    )
}

/// With `multicast`, `broadcast` and `show_any` what is refused to others goes through, and ANY looks like ANY until somebody connects.
pub(super) fn granted(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.script(
        checks,
        &[
            ("net-grants", "socket s v4 tcp", Fine),
            ("net-grants", "bind s 0.0.0.0 8140", Fine),
            ("net-grants", "name s", Tells("0.0.0.0 8140")),
            ("net-grants", "listen s", Fine),
            ("net-grants", "name s", Tells("0.0.0.0 8140")),
            ("host", "socket c v4 tcp", Fine),
            ("host", "connect c 192.0.2.50 8140", Fine),
            ("net-grants", "accept s got", Begins("192.0.2.")),
            ("net-grants", "name got", Tells("192.0.2.50 8140")),
            ("net-grants", "close got", Fine),
            ("host", "close c", Fine),
            ("net-grants", "close s", Fine),
            ("net-grants", "socket s v6 udp", Fine),
            ("net-grants", "bind s :: 8140", Fine),
            ("net-grants", "name s", Tells(":: 8140")),
            ("net-grants", "close s", Fine),
            ("net-grants", "socket s v4 udp", Fine),
            // What it asked for is what it is shown.
            ("net-grants", "bind s 192.0.2.50 8140", Fine),
            ("net-grants", "name s", Tells("192.0.2.50 8140")),
            ("net-grants", "option s 1 6 1", Fine),
            // The group is none, which the kernel finds out once the hook has let it pass.
            ("net-grants", "option s 0 35 251", Fails(libc::EINVAL)),
            ("net-grants", "close s", Fine),
        ],
    )?;
    for address in ["224.0.0.251", "255.255.255.255"] {
        town.say(checks, "net-grants", "socket s v4 udp", Fine)?;
        town.say(checks, "net-grants", &format!("bind s {address} 8141"), Fine)?;
        town.say(checks, "net-grants", "close s", Fine)?;
    }
    Ok(())
}
