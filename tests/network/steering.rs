//! Datagrams at every address of a context, while somebody steers.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use libc::ECONNREFUSED;
use vs_tests::report::Checks;

use super::town::{Begins, Fails, Fine, Town};

/// `vs steer`, until it is dropped.
struct Steerer(Child);

impl Steerer {
    fn start() -> Result<Self> {
        let child = Command::new("vs").arg("steer").stdin(Stdio::null()).spawn().context("run vs steer")?;
        Ok(Self(child))
    }
}

impl Drop for Steerer {
    fn drop(&mut self) {
        // Killed already or not, it ends; the status tells nothing that matters here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Longer than it takes from a bind until the socket is found.
const SETTLED: Duration = Duration::from_millis(300);

/// A socket on ANY has what comes for any address of its context, its own loopback too, and nobody else's.
pub(super) fn datagrams(town: &mut Town, checks: &mut Checks) -> Result<()> {
    let _steerer = Steerer::start()?;
    town.script(
        checks,
        &[
            ("net-a", "socket s v4 udp", Fine),
            ("net-a", "bind s 0.0.0.0 8300", Fine),
            ("net-a", "socket six v6 udp", Fine),
            ("net-a", "bind six :: 8301", Fine),
            ("net-b", "socket s v4 udp", Fine),
            ("net-b", "bind s 0.0.0.0 8300", Fine),
            ("host", "socket h v4 udp", Fine),
            ("host", "bind h 192.0.2.1 8302", Fine),
            ("host", "socket h6 v6 udp", Fine),
            ("host", "bind h6 2001:db8::1 8302", Fine),
        ],
    )?;
    // It begins within a second.
    std::thread::sleep(Duration::from_millis(1200));
    for (order, who, received, from) in [
        ("sendto h 192.0.2.10 8300 one", "net-a", "s", "one 192.0.2.1 8302"),
        ("sendto h 192.0.2.11 8300 two", "net-a", "s", "two 192.0.2.1 8302"),
        ("sendto h 192.0.2.20 8300 three", "net-b", "s", "three 192.0.2.1 8302"),
        ("sendto h 192.0.2.11 8301 four", "net-a", "six", "four ::ffff:192.0.2.1 8302"),
        ("sendto h6 2001:db8::10 8301 five", "net-a", "six", "five 2001:db8::1 8302"),
        ("sendto h6 2001:db8::11 8301 six", "net-a", "six", "six 2001:db8::1 8302"),
    ] {
        town.say(checks, "host", order, Fine)?;
        town.say(checks, who, &format!("receive {received}"), Begins(from))?;
    }
    // Answered from where it was asked, and to a client that takes answers from nowhere else.
    town.script(
        checks,
        &[
            ("host", "close h", Fine),
            ("host", "socket h v4 udp", Fine),
            ("host", "bind h 192.0.2.1 8302", Fine),
            ("host", "connect h 192.0.2.11 8300", Fine),
            ("host", "send h asked", Fine),
            ("net-a", "receive s", Begins("asked 192.0.2.1 8302")),
            ("net-a", "sendto s 192.0.2.1 8302 answer 192.0.2.11", Fine),
            ("host", "receive h", Begins("answer 192.0.2.11 8300")),
        ],
    )?;
    // The own loopback, without naming a source.
    town.script(
        checks,
        &[
            ("net-a", "socket c v4 udp", Fine),
            ("net-a", "connect c 127.0.0.1 8300", Fine),
            ("net-a", "send c in", Fine),
        ],
    )?;
    let port = town.port_of_sender(checks, "net-a", "receive s", "in 127.0.0.1 ")?;
    town.say(checks, "net-a", &format!("sendto s 127.0.0.1 {port} out"), Fine)?;
    town.script(checks, &[("net-a", "receive c", Begins("out 127.0.0.1 8300")), ("net-a", "close c", Fine)])?;
    // One that asks for an address has it before the one on ANY.
    town.script(
        checks,
        &[("net-a", "socket one v4 udp", Fine), ("net-a", "bind one 192.0.2.11 8300", Fine)],
    )?;
    std::thread::sleep(SETTLED);
    town.script(
        checks,
        &[
            ("host", "send h for-one", Fine),
            ("net-a", "receive one", Begins("for-one 192.0.2.1 8302")),
            ("net-a", "close one", Fine),
            ("net-a", "close s", Fine),
            // Nobody is there any more, least of all the one at the primary address.
            ("host", "send h nobody", Fine),
            ("host", "receive h", Fails(ECONNREFUSED)),
            ("net-a", "close six", Fine),
            ("net-b", "close s", Fine),
            ("host", "close h", Fine),
            ("host", "close h6", Fine),
        ],
    )
}
