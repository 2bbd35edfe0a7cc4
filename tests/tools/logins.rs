//! Debian's sshd, as it comes: `Port 22` at every address, passwords and sessions by PAM.

use anyhow::Result;
use vs_tests::report::Checks;

use super::ask;
use super::servers::{LOOPBACK, PLACES, fails, steps};
use super::sleeper::Sleepers;

/// How to log in by a key, without asking anybody anything, and by the exchange that takes the fewest emulated instructions.
const SSH: &str = "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
                   -o LogLevel=ERROR -o KexAlgorithms=curve25519-sha256";

/// The status of an ssh that could not connect, and of an sshd that could not begin.
const NOT_BEGUN: i32 = 255;

/// Where each context says whose it is: its /run is its own.
const WHOSE: &str = "/run/whose";

/// Somebody who logs in somewhere: he, the address, whose session it is, and where the server sees him come from.
const LOGINS: [(&str, &str, &str, &str); 4] = [
    ("host", "192.0.2.52", "east", "192.0.2.52"),
    ("host", "2001:db8::61", "west", "2001:db8::61"),
    ("west", "127.0.0.1", "west", "127.0.0.1"),
    ("west", "192.0.2.51", "east", "192.0.2.61"),
];

/// Two of them.
pub(super) fn run(_: &mut Sleepers, checks: &mut Checks) -> Result<()> {
    let key = "mkdir -p -m 700 /root/.ssh; cd /root/.ssh; \
               ssh-keygen -q -t ed25519 -N '' -f id_ed25519 && cp id_ed25519.pub authorized_keys";
    steps("host", &[(key.to_owned(), 0, "")], checks)?;
    for (who, ..) in PLACES {
        let start = format!("echo {who} >{WHOSE}; mkdir /run/sshd && /usr/sbin/sshd");
        steps(who, &[(start, 0, "")], checks)?;
    }
    for (client, address, whose, from) in LOGINS {
        // Its own port, which is any, is the third of five words.
        let command = format!("{SSH} root@{address} 'cat {WHOSE}; echo $SSH_CONNECTION'");
        let told = ask(client, &[command])?;
        let words: Vec<&str> = told[0].words().collect();
        let holds = matches!(words[..], [a, b, _, c, "22"] if (a, b, c) == (whose, from, address));
        checks
            .check(holds, || format!("{client}: login at {address}: {told:?}, expected {whose} and {from}"));
    }
    for who in ["host", "bare"] {
        let refused = LOOPBACK.map(|address| (format!("{SSH} {address}"), NOT_BEGUN, "Connection refused"));
        steps(who, &refused, checks)?;
    }
    let foreign = "/usr/sbin/sshd -D -e -p 2222 -o ListenAddress=192.0.2.61";
    let why = "Bind to port 2222 on 192.0.2.61 failed: Cannot assign requested address.";
    fails("east", foreign, NOT_BEGUN, why, checks)
}
