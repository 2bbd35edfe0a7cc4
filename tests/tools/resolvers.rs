//! Unbound on port 53 at every address. The one with several addresses answers from that which a question came to (`interface-automatic`), the
//! other from wherever the kernel says.

use std::fs;

use anyhow::Result;
use vs_tests::report::Checks;

use super::servers::{PLACES, answered, steps};
use super::sleeper::Sleepers;

/// What the servers of the places answer, and whether they look at where a question came to.
const SERVERS: [(&str, &str); 2] = [("192.0.2.96", "yes"), ("192.0.2.97", "no")];

/// Unbound in each place instead of what was on its port.
pub(super) fn run(_: &mut Sleepers, checks: &mut Checks) -> Result<()> {
    for ((who, ..), (answer, automatic)) in PLACES.into_iter().zip(SERVERS) {
        let path = format!("/srv/{who}/unbound.conf");
        fs::write(&path, configuration(answer, automatic))?;
        // It goes to the background once it listens.
        let start =
            format!("pkill -x dnsmasq; while pgrep -x dnsmasq; do sleep 0.1; done; unbound -c {path}");
        steps(who, &[(start, 0, "")], checks)?;
    }
    answered("sendto", SERVERS.map(|(answer, _)| answer), checks)
}

/// Of a server that knows one name and asks nobody.
fn configuration(answer: &str, automatic: &str) -> String {
    format!(
        "server:\n interface: 0.0.0.0\n interface: ::0\n interface-automatic: {automatic}\n access-control: 0.0.0.0/0 allow\n \
         access-control: ::/0 allow\n module-config: \"iterator\"\n local-zone: \"test.\" static\n local-data: \"a.test. A {answer}\"\n"
    )
}
