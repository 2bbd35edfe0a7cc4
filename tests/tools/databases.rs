//! Debian's `PostgreSQL`, with the cluster of databases and the configuration that come with it, listening at every address.

use anyhow::Result;
use vs_tests::report::Checks;

use super::ask;
use super::servers::{LOOPBACK, PLACES, fails, steps};
use super::sleeper::Sleepers;

/// Its programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// Its configuration.
const CONFIGURATION: &str = "/etc/postgresql/15/main";

/// The cluster, as the image has it.
const PACKED: &str = "/var/lib/postgresql/15/main.tar.gz";

/// Its user, with the group that may read the key of Debian's certificate.
const AS_POSTGRES: &str = "setpriv --reuid postgres --regid postgres --init-groups";

/// The status of a psql that could not connect.
const NOT_CONNECTED: i32 = 2;

/// Two servers, and everybody who asks them.
pub(super) fn run(_: &mut Sleepers, checks: &mut Checks) -> Result<()> {
    let prepare = [
        format!("tar -xzf {PACKED} -C /srv/east"),
        "cp -a /srv/east/main /srv/west".to_owned(),
        // Who is let in without a password, which is the operator's part.
        format!("sed 's/scram-sha-256/trust/' {CONFIGURATION}/pg_hba.conf >/srv/pg_hba.conf"),
        "echo host all all 192.0.2.0/24 trust >>/srv/pg_hba.conf".to_owned(),
        "echo host all all 2001:db8::/64 trust >>/srv/pg_hba.conf".to_owned(),
    ];
    steps("host", &prepare.map(|command| (command, 0, "")), checks)?;
    for (who, ..) in PLACES {
        let start = format!(
            "mkdir /run/postgresql; chown postgres /run/postgresql; \
             {AS_POSTGRES} {PROGRAMS}/pg_ctl -D /srv/{who}/main -l /srv/{who}/main/log -w -o '{}' start",
            settings(who, "*")
        );
        steps(who, &[(start, 0, "server started")], checks)?;
    }
    reached(checks)?;
    refused(checks)
}

/// What is given on the command line: where the files are, which are shared, whose it is, and where it listens.
fn settings(who: &str, addresses: &str) -> String {
    format!(
        "-c config_file={CONFIGURATION}/postgresql.conf -c data_directory=/srv/{who}/main -c hba_file=/srv/pg_hba.conf \
         -c cluster_name={who} -c listen_addresses={addresses}"
    )
}

/// Asks a server whose it is, and which addresses it sees at both ends.
fn question(address: &str) -> String {
    let answer = "host(inet_client_addr()), host(inet_server_addr()), current_setting('cluster_name')";
    // Encryption is many emulated instructions, and not what is tested.
    format!("PGSSLMODE=disable psql -At -h {address} -U postgres -c \"select {answer}\"")
}

/// At each address whose it is, and at everybody's loopback his own; the server sees where somebody comes from.
fn reached(checks: &mut Checks) -> Result<()> {
    let [(_, east, _), (_, west, west6)] = PLACES;
    for (who, ..) in PLACES {
        let told = ask(who, &LOOPBACK.map(question))?;
        for (address, told) in LOOPBACK.into_iter().zip(told) {
            checks.equal(
                &format!("{who}: {address}"),
                &told.lines,
                &vec![format!("{address}|{address}|{who}")],
            );
        }
    }
    for (client, from, address, whose) in [
        ("host", east[1], east[1], "east"),
        ("host", west6[0], west6[0], "west"),
        ("west", west[0], east[1], "east"),
    ] {
        let told = ask(client, &[question(address)])?;
        checks.equal(
            &format!("{client}: {address}"),
            &told[0].lines,
            &vec![format!("{from}|{address}|{whose}")],
        );
    }
    Ok(())
}

/// Nobody else reaches a context's loopback, and nobody listens at another's address.
fn refused(checks: &mut Checks) -> Result<()> {
    for who in ["host", "bare"] {
        for (address, told) in LOOPBACK.into_iter().zip(ask(who, &LOOPBACK.map(question))?) {
            let is_refused = told.status == NOT_CONNECTED
                && told.lines.iter().any(|line| line.ends_with("failed: Connection refused"));
            checks.check(is_refused, || format!("{who}: {address}: {told:?}"));
        }
    }
    let stop = format!("{AS_POSTGRES} {PROGRAMS}/pg_ctl -D /srv/east/main -m immediate stop");
    steps("east", &[(stop, 0, "server stopped")], checks)?;
    let foreign = format!("{AS_POSTGRES} {PROGRAMS}/postgres {}", settings("east", "192.0.2.61"));
    let why = "could not bind IPv4 address \"192.0.2.61\": Cannot assign requested address";
    fails("east", &foreign, 1, why, checks)
}
