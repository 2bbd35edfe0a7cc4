//! Datagrams: to the own loopback, where they come from, and what is refused.

use anyhow::Result;
use libc::{ECONNREFUSED, EINVAL, ENETUNREACH};
use vs_common::hook::Hook;
use vs_tests::report::Checks;

use super::town::{Begins, Denied, Fine, Town};

/// A server, on ANY or on loopback, and its clients, connected and not, find each other on the own loopback, and nobody else.
pub(super) fn loopback(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for (family, address, any, begin, connect, send) in [
        ("v4", "127.0.0.1", "0.0.0.0", "127.0.0.1 ", Hook::Connect4, Hook::Sendmsg4),
        ("v6only", "::1", "::", "::1 ", Hook::Connect6, Hook::Sendmsg6),
    ] {
        // Only the host answers there: refused, on either way.
        town.say(checks, "host", &format!("socket s {family} udp"), Fine)?;
        town.say(checks, "host", &format!("bind s {any} 8110"), Fine)?;
        for who in ["net-a", "net-lo"] {
            town.say(checks, who, &format!("socket c {family} udp"), Fine)?;
            let order = format!("sendto c {address} 8110 hello");
            town.say(checks, who, &order, Denied(ECONNREFUSED, send))?;
            town.say(checks, who, "close c", Fine)?;
            town.say(checks, who, &format!("socket c {family} udp"), Fine)?;
            town.say(checks, who, &format!("connect c {address} 8110"), Denied(ECONNREFUSED, connect))?;
            town.say(checks, who, "close c", Fine)?;
        }
        town.say(checks, "host", "close s", Fine)?;
        for (who, bound) in [("net-a", any), ("net-b", address), ("net-lo", any), ("host", address)] {
            town.say(checks, who, &format!("socket s {family} udp"), Fine)?;
            town.say(checks, who, &format!("bind s {bound} 8111"), Fine)?;
        }
        let shown: &'static str = if family == "v4" { "127.0.0.1 8111" } else { "::1 8111" };
        for who in ["net-a", "net-b", "net-lo", "host"] {
            // Not connected: the answer comes from where it was sent to.
            town.say(checks, who, &format!("socket c {family} udp"), Fine)?;
            town.say(checks, who, &format!("sendto c {address} 8111 ask"), Fine)?;
            let port = town.port_of_sender(checks, who, "receive s", &format!("ask {begin}"))?;
            town.say(checks, who, &format!("sendto s {address} {port} answer"), Fine)?;
            town.say(checks, who, "receive c", answer(shown))?;
            town.say(checks, who, "close c", Fine)?;
            // Connected.
            town.say(checks, who, &format!("socket c {family} udp"), Fine)?;
            town.say(checks, who, &format!("connect c {address} 8111"), Fine)?;
            town.say(checks, who, "peer c", super::town::Tells(shown))?;
            town.say(checks, who, "name c", Begins(begin))?;
            town.say(checks, who, "send c ask", Fine)?;
            let port = town.port_of_sender(checks, who, "receive s", &format!("ask {begin}"))?;
            town.say(checks, who, &format!("sendto s {address} {port} answer"), Fine)?;
            town.say(checks, who, "receive c", answer(shown))?;
            town.say(checks, who, "close c", Fine)?;
        }
        for who in ["net-a", "net-b", "net-lo", "host"] {
            town.say(checks, who, "close s", Fine)?;
        }
    }
    Ok(())
}

/// What a client is told of an answer.
fn answer(shown: &'static str) -> super::town::Answer {
    match shown {
        "127.0.0.1 8111" => Begins("answer 127.0.0.1 8111"),
        _ => Begins("answer ::1 8111"),
    }
}

/// The host sees the context's address.
pub(super) fn sources(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.script(
        checks,
        &[
            ("host", "socket s v4 udp", Fine),
            ("host", "bind s 192.0.2.1 8112", Fine),
            ("host", "socket six v6 udp", Fine),
            ("host", "bind six 2001:db8::1 8112", Fine),
            ("net-a", "socket c v4 udp", Fine),
            ("net-a", "sendto c 192.0.2.1 8112 plain", Fine),
            ("host", "receive s", Begins("plain 192.0.2.10 ")),
            ("net-a", "sendto c 192.0.2.1 8112 chosen 192.0.2.11", Fine),
            ("host", "receive s", Begins("chosen 192.0.2.11 ")),
            ("net-a", "close c", Fine),
            ("net-a", "socket c v4 udp", Fine),
            ("net-a", "bind c 192.0.2.11 0", Fine),
            ("net-a", "sendto c 192.0.2.1 8112 bound", Fine),
            ("host", "receive s", Begins("bound 192.0.2.11 ")),
            ("net-a", "close c", Fine),
            ("net-b", "socket c v6 udp", Fine),
            ("net-b", "sendto c 2001:db8::1 8112 plain", Fine),
            ("host", "receive six", Begins("plain 2001:db8::20 ")),
            ("net-b", "sendto c ::ffff:192.0.2.1 8112 mapped", Fine),
            ("host", "receive s", Begins("mapped 192.0.2.20 ")),
            ("net-b", "close c", Fine),
            ("net-a", "socket c v6 udp", Fine),
            ("net-a", "sendto c 2001:db8::1 8112 chosen 2001:db8::11", Fine),
            ("host", "receive six", Begins("chosen 2001:db8::11 ")),
            ("net-a", "close c", Fine),
            ("net-a", "socket c v4 udp", Fine),
            ("net-a", "connect c 192.0.2.1 8112", Fine),
            ("net-a", "send-from c chosen 192.0.2.11", Fine),
            ("host", "receive s", Begins("chosen 192.0.2.11 ")),
            ("net-a", "close c", Fine),
            ("host", "close s", Fine),
            ("host", "close six", Fine),
        ],
    )
}

/// A source that is not the context's is refused, and so is what nothing can be sent to.
pub(super) fn foreign(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.script(
        checks,
        &[
            ("host", "socket s v4 udp", Fine),
            ("host", "bind s 192.0.2.1 8113", Fine),
            ("net-a", "socket c v4 udp", Fine),
            ("net-a", "sendto c 192.0.2.1 8113 x 192.0.2.20", Denied(EINVAL, Hook::Sendmsg4)),
            ("net-a", "sendto c 192.0.2.1 8113 x 192.0.2.1", Denied(EINVAL, Hook::Sendmsg4)),
            ("net-a", "close c", Fine),
            ("net-a", "socket c v4 udp", Fine),
            ("net-a", "connect c 192.0.2.1 8113", Fine),
            ("net-a", "send-from c x 192.0.2.20", Denied(EINVAL, Hook::Sendmsg4)),
            ("net-a", "close c", Fine),
            ("net-a", "socket c v6 udp", Fine),
            ("net-a", "sendto c 2001:db8::1 8113 x 2001:db8::20", Denied(EINVAL, Hook::Sendmsg6)),
            ("net-a", "sendto c 2001:db8::1 8113 x 2001:db8::1", Denied(EINVAL, Hook::Sendmsg6)),
            ("net-a", "sendto c ff02::fb 8113 x", Denied(ENETUNREACH, Hook::Sendmsg6)),
            ("net-a", "close c", Fine),
            ("net-a", "socket c v4 udp", Fine),
            ("net-a", "sendto c 224.0.0.251 8113 x", Denied(ENETUNREACH, Hook::Sendmsg4)),
            ("net-a", "sendto c 255.255.255.255 8113 x", Denied(ENETUNREACH, Hook::Sendmsg4)),
            ("net-a", "close c", Fine),
            ("net-lo", "socket c v4 udp", Fine),
            ("net-lo", "sendto c 192.0.2.1 8113 x", Denied(ENETUNREACH, Hook::Sendmsg4)),
            ("net-lo", "close c", Fine),
            ("host", "close s", Fine),
        ],
    )
}
