//! Servers with the configuration that Debian gives them, the same port in each context: what they bind to is their context's own.

use std::fs;

use anyhow::Result;
use vs_tests::report::Checks;
use vs_tests::world::{policy, vs_ok};

use super::ask;
use super::sleeper::Sleepers;

/// Two contexts with servers, one that has but its loopback and no server on it, and one with raw sockets. The load gives the machine their addresses.
const CONTEXTS: &str = r#"
[context.east]
xid = 301
addresses = ["192.0.2.51", "192.0.2.52", "2001:db8::51"]
assign = "lo"
ping = true

[context.west]
xid = 302
addresses = ["192.0.2.61", "2001:db8::61"]
assign = "lo"

[context.bare]
xid = 303
addresses = []

[context.north]
xid = 304
addresses = ["192.0.2.101", "2001:db8::101"]
assign = "lo"
raw = ["icmp", "icmpv6"]
"#;

/// Where the policy is kept.
pub(super) const POLICY: &str = "/tmp/servers.toml";

/// Those who have servers, with the addresses of their contexts, the primary ones first.
pub(super) const PLACES: [(&str, &[&str], &[&str]); 2] = [
    ("east", &["192.0.2.51", "192.0.2.52"], &["2001:db8::51"]),
    ("west", &["192.0.2.61"], &["2001:db8::61"]),
];

/// The loopback addresses, each context's own.
pub(super) const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];

/// The host's addresses.
pub(super) const HOSTS: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// The status of a curl that could not connect.
const NOT_CONNECTED: i32 = 7;

/// Asks name servers for `a.test`, and says what each answers and from where; `connect` takes answers from nowhere else, and is told when
/// nobody is there.
const ASK: &str = r#"
import socket, sys
how, *servers = sys.argv[1:]
query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01"
for server in servers:
    s = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(20)
    try:
        if how == "connect":
            s.connect((server, 53))
            s.send(query)
        else:
            s.sendto(query, (server, 53))
        answer, sender = s.recvfrom(512)
        print(socket.inet_ntoa(answer[-4:]), "from", sender[0])
    except OSError as error:
        sys.exit(str(error))
"#;

/// Where the program for [`ASK`] is.
const ASK_PATH: &str = "/srv/ask.py";

/// What somebody runs, the status that it must end with, and what it must say.
pub(super) type Step<'a> = (String, i32, &'a str);

/// Has somebody run commands.
pub(super) fn steps(who: &str, steps: &[Step<'_>], checks: &mut Checks) -> Result<()> {
    let commands: Vec<String> = steps.iter().map(|(command, ..)| command.clone()).collect();
    for ((command, status, said), told) in steps.iter().zip(ask(who, &commands)?) {
        let holds = told.status == *status
            && (said.is_empty() || told.lines.last().is_some_and(|line| line.contains(said)));
        checks.check(holds, || format!("{who}: {command}: {told:?}, expected {status} and {said:?}"));
    }
    Ok(())
}

/// Has somebody run a command that fails, and says why in some line.
pub(super) fn fails(who: &str, command: &str, status: i32, why: &str, checks: &mut Checks) -> Result<()> {
    let told = &ask(who, &[command.to_owned()])?[0];
    let holds = told.status == status && told.lines.iter().any(|line| line.contains(why));
    checks.check(holds, || format!("{who}: {command}: {told:?}, expected {status} and {why:?}"));
    Ok(())
}

/// All of them.
pub(super) fn run(_: &mut Sleepers, checks: &mut Checks) -> Result<()> {
    fs::write(POLICY, policy("enforce") + CONTEXTS)?;
    vs_ok(&["load", POLICY])?;
    fs::write(ASK_PATH, ASK)?;
    checks.during("nginx", web)?;
    checks.during("nginx of the host", webs_clients)?;
    checks.during("redis", store)?;
    checks.during("dnsmasq", names)
}

/// Debian's nginx, `listen 80` and `listen [::]:80`. Its files are the host's, as contexts share them: a configuration of its own says where
/// the page and the logs are, which would be one for all, and `listen` what is given. The pid file is in /run, which is each context's own.
fn start_nginx(who: &str, listen: &str, checks: &mut Checks) -> Result<()> {
    let folder = format!("/srv/{who}");
    let prepare = [
        format!("mkdir -p {folder}/www"),
        format!("echo page of {who} >{folder}/www/index.html"),
        format!(
            "sed 's#/etc/nginx/sites-enabled/[*]#{folder}/site#; s#/var/log/nginx#{folder}#' /etc/nginx/nginx.conf >{folder}/nginx.conf"
        ),
        format!(
            "sed 's#/var/www/html#{folder}/www#; {listen}' /etc/nginx/sites-available/default >{folder}/site"
        ),
    ];
    steps("host", &prepare.map(|command| (command, 0, "")), checks)?;
    steps(who, &[(format!("nginx -c {folder}/nginx.conf"), 0, "")], checks)
}

fn curl(address: &str) -> String {
    let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    format!("curl -sS --max-time 20 http://{address}/")
}

/// Everybody has port 80, and gets his own page by loopback; by addresses, whose they are.
fn web(checks: &mut Checks) -> Result<()> {
    for (who, ..) in PLACES {
        start_nginx(who, "", checks)?;
    }
    let refused = LOOPBACK.map(|address| (curl(address), NOT_CONNECTED, "connect"));
    let pages = PLACES.map(|(who, ..)| (who, format!("page of {who}")));
    let mut by_address = Vec::new();
    for ((_, four, six), (_, page)) in PLACES.iter().zip(&pages) {
        by_address.extend(four.iter().chain(*six).map(|address| (curl(address), 0, page.as_str())));
    }
    for (who, page) in &pages {
        steps(who, &LOOPBACK.map(|address| (curl(address), 0, page.as_str())), checks)?;
        steps(who, &by_address, checks)?;
    }
    steps("host", &refused, checks)?;
    steps("host", &by_address, checks)?;
    steps("bare", &refused, checks)
}

/// A server of the host's is told a context's address.
fn webs_clients(checks: &mut Checks) -> Result<()> {
    let [four, six] = HOSTS;
    start_nginx(
        "host",
        &format!("s/listen 80/listen {four}:80/; s/listen \\[::\\]:80/listen [{six}]:80/"),
        checks,
    )?;
    let mut expected = Vec::new();
    for (who, fours, sixes) in PLACES {
        steps(who, &HOSTS.map(|address| (curl(address), 0, "page of host")), checks)?;
        expected.extend([fours[0], sixes[0]]);
    }
    // A line is written once the answer has gone.
    let log = "cd /srv/host; for i in $(seq 100); do [ $(wc -l <access.log) -ge 4 ] && break; sleep 0.1; done; \
               cut -d' ' -f1 access.log";
    let told = ask("host", &[log.to_owned()])?;
    checks.equal("clients in the host's log", &told[0].words().collect(), &expected);
    steps("bare", &HOSTS.map(|address| (curl(address), NOT_CONNECTED, "connect")), checks)
}

/// Debian's Redis, `bind 127.0.0.1 -::1` and port 6379: three at a time, each with its own key. What it writes would be one for all.
fn store(checks: &mut Checks) -> Result<()> {
    let everybody = ["east", "west", "host"];
    for who in everybody {
        let folder = format!("/srv/{who}");
        let start = [
            format!("redis-server /etc/redis/redis.conf --dir {folder} --logfile {folder}/redis.log"),
            "for i in $(seq 100); do redis-cli ping && break; sleep 0.1; done".to_owned(),
        ];
        steps(who, &start.map(|command| (command, 0, "")), checks)?;
        steps(who, &[(format!("redis-cli set whose {who}"), 0, "OK")], checks)?;
    }
    for who in everybody {
        steps(who, &LOOPBACK.map(|address| (format!("redis-cli -h {address} get whose"), 0, who)), checks)?;
    }
    let refused =
        LOOPBACK.map(|address| (format!("redis-cli -h {address} get whose"), 1, "Connection refused"));
    steps("bare", &refused, checks)
}

/// A name server on UDP port 53 at ANY. That is every address of its context, and its loopback.
fn names(checks: &mut Checks) -> Result<()> {
    let answers = ["192.0.2.98", "192.0.2.99"];
    for ((who, ..), answer) in PLACES.into_iter().zip(answers) {
        let options = "--conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file=";
        steps(who, &[(format!("dnsmasq {options} --address=/test/{answer}"), 0, "")], checks)?;
    }
    for how in ["sendto", "connect"] {
        answered(how, answers, checks)?;
    }
    for who in ["bare", "host"] {
        let refused = LOOPBACK.map(|address| (question("connect", &[address]), 1, "Connection refused"));
        steps(who, &refused, checks)?;
    }
    Ok(())
}

fn question(how: &str, addresses: &[&str]) -> String {
    format!("python3 {ASK_PATH} {how} {}", addresses.join(" "))
}

/// The name servers of all places answer, each from where it was asked.
pub(super) fn answered(how: &str, answers: [&str; 2], checks: &mut Checks) -> Result<()> {
    for ((who, fours, sixes), answer) in PLACES.into_iter().zip(answers) {
        let own = [fours, sixes].concat();
        for (client, addresses) in [(who, [&LOOPBACK[..], &own].concat()), ("host", own)] {
            let told = ask(client, &[question(how, &addresses)])?;
            let expected = addresses.iter().map(|address| format!("{answer} from {address}")).collect();
            let what = format!("{client}: {how} {}", addresses.join(" "));
            checks.equal(&what, &told[0].lines, &expected);
        }
    }
    Ok(())
}
