//! Debian's own tools inside of contexts: ps, top, pgrep, pidof, pstree, fuser, pkill, killall and kill behave as on a machine that has no
//! other processes; and its servers, as on a machine with addresses of its own. Run by `vs-guarantees --debian`, in a machine with a Debian
//! in it.

mod databases;
mod logins;
mod pings;
mod programs;
mod reach;
mod resolvers;
mod servers;
mod sight;
mod sleeper;
mod streams;

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use vs_tests::report::Checks;
use vs_tests::world::{INHABITANTS, POLICY, Proc, give_addresses, give_directories, policy, vs_ok};

pub(crate) use self::sleeper::Sleepers;

/// A test of the tools.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Sleepers, &mut Checks) -> Result<()>,
}

/// A test by its name that needs no sleepers.
pub(crate) type Alone = (&'static str, fn(&mut Checks) -> Result<()>);

/// Those that want nobody there but themselves, and leave nobody behind.
pub(crate) const FIRST: [Alone; 2] =
    [("file systems", crate::disks::run), ("tools: programs", programs::run)];

/// In this order: the later ones end sleepers, or find the addresses that `servers` has given.
pub(crate) const TESTS: [Test; 10] = [
    Test { name: "tools: what they see", run: sight::run },
    Test { name: "tools: what they reach", run: reach::run },
    Test { name: "tools: all that can be reached", run: reach::all },
    Test { name: "tools: servers with addresses", run: servers::run },
    Test { name: "tools: unbound", run: resolvers::run },
    Test { name: "tools: sshd", run: logins::run },
    Test { name: "tools: PostgreSQL", run: databases::run },
    Test { name: "tools: socat", run: streams::socat },
    Test { name: "tools: iperf3", run: streams::iperf3 },
    Test { name: "tools: ping", run: pings::run },
];

/// Loads the suite's policy.
pub(crate) fn begin() -> Result<()> {
    // Numbers of the host's that no PID namespace comes near.
    std::fs::write("/proc/sys/kernel/ns_last_pid", "9000")?;
    give_addresses()?;
    give_directories()?;
    std::fs::write(POLICY, policy("enforce"))?;
    vs_ok(&["load", POLICY])?;
    // As its service would, for as long as the machine runs.
    Command::new("vs").arg("steer").stdin(Stdio::null()).spawn().context("run vs steer")?;
    Ok(())
}

/// Inhabitants of the suite's policy that are contexts of guests, by name, with how they see processes.
fn guests() -> impl Iterator<Item = (&'static str, Proc)> {
    INHABITANTS.into_iter().filter(|(.., proc)| *proc != Proc::Host).map(|(name, _, proc)| (name, proc))
}

/// The words that lead to where an inhabitant lives, with options on the way.
fn way(owner: &str, options: &[&str]) -> Vec<String> {
    let place: &[&str] = match owner {
        "host" => return Vec::new(),
        "spectator" => &["vs", "run", "--spectator"],
        context => &["vs", "run", "--context", context],
    };
    place.iter().chain(options).chain(&["--"]).map(|word| (*word).to_owned()).collect()
}

/// What a command came to.
#[derive(Debug)]
struct Told {
    status: i32,
    lines: Vec<String>,
}

impl Told {
    /// The words of all lines.
    fn words(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().flat_map(|line| line.split_whitespace())
    }
}

/// Has a shell of an inhabitant's run commands. They come on its standard input: on a command line other tools would see their words.
fn ask(owner: &str, commands: &[String]) -> Result<Vec<Told>> {
    let mut words = way(owner, &[]);
    words.push("sh".to_owned());
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", words.join(" ")))?;
    let mut script = String::new();
    for command in commands {
        for part in ["{ ", command, "\n} </dev/null 2>&1; s=$?; echo; echo \"== $s\"\n"] {
            script.push_str(part);
        }
    }
    child.stdin.take().context("a pipe")?.write_all(script.as_bytes())?;
    let output = child.wait_with_output()?;
    let mut told = Vec::new();
    let mut lines = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines().map(str::trim) {
        match line.strip_prefix("== ") {
            Some(status) => told.push(Told { status: status.parse()?, lines: std::mem::take(&mut lines) }),
            None if line.is_empty() => {}
            None => lines.push(line.to_owned()),
        }
    }
    anyhow::ensure!(
        told.len() == commands.len(),
        "{owner}: the shell ended early: {:?}, {lines:?}",
        output.status
    );
    Ok(told)
}
