//! The world of the suite: a policy in force, a collector, and an actor with a target in every context.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

use crate::actor::Actor;
use crate::audit::Audit;
use crate::peer::Peer;
use crate::relation::Party;

/// How the contexts of the suite see processes, as in policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proc {
    /// No context: the host, or the spectator, which lives where the host does.
    Host,
    /// `proc = "pidns"`.
    Pidns,
    /// `proc = "hidepid"`.
    Hidepid,
    /// `proc = "plain"`.
    Plain,
}

/// Who lives in the suite's world: name, who it is, and how it sees processes. Two guests of each kind.
pub const INHABITANTS: [(&str, Party, Proc); 8] = [
    ("host", Party::Host, Proc::Host),
    ("spectator", Party::Spectator, Proc::Host),
    ("pidns-a", Party::Guest(101), Proc::Pidns),
    ("pidns-b", Party::Guest(102), Proc::Pidns),
    ("hidepid-a", Party::Guest(111), Proc::Hidepid),
    ("hidepid-b", Party::Guest(112), Proc::Hidepid),
    ("plain-a", Party::Guest(121), Proc::Plain),
    ("plain-b", Party::Guest(122), Proc::Plain),
];

/// Where the suite keeps its policy.
pub const POLICY: &str = "/tmp/suite.toml";
/// Where the collector writes.
pub const AUDIT: &str = "/tmp/audit.jsonl";

/// The exit code of a command that finds nothing loaded.
const NOT_LOADED: i32 = 9;

/// One inhabitant.
#[derive(Debug)]
pub struct Inhabitant {
    /// Who it is.
    pub party: Party,
    /// How it sees processes.
    pub proc: Proc,
    /// Its actor.
    pub actor: Actor,
}

/// The world.
#[derive(Debug)]
pub struct World {
    /// Everybody, in the order of [`INHABITANTS`].
    pub inhabitants: Vec<Inhabitant>,
    /// What the collector writes.
    pub audit: Audit,
    /// Another machine; `Err`: the kernel has no veth pairs.
    pub peer: Result<Peer>,
}

/// The policy of the suite, with a mode for all. The rates are as high as they go: every denial is to be seen.
pub fn policy(mode: &str) -> String {
    use std::fmt::Write as _;
    let rates = "records_per_second = 10000\nrecord_burst = 2184\n";
    let mut text = format!("[spectator]\n{rates}");
    for (name, party, proc) in INHABITANTS {
        let Party::Guest(xid) = party else { continue };
        let proc = match proc {
            Proc::Pidns => "pidns",
            Proc::Hidepid => "hidepid",
            Proc::Plain | Proc::Host => "plain",
        };
        let _ =
            write!(text, "\n[context.{name}]\nxid = {xid}\nproc = \"{proc}\"\nmode = \"{mode}\"\n{rates}");
    }
    for (name, xid, keys) in NEIGHBOURS {
        let _ = write!(text, "\n[context.{name}]\nxid = {xid}\nmode = \"{mode}\"\n{keys}\n{rates}");
    }
    text
}

/// Contexts with addresses or directories, which nobody lives in for long: name, xid, and what policy says of them.
pub const NEIGHBOURS: [(&str, u32, &str); 18] = [
    ("net-a", 201, "addresses = [\"192.0.2.10\", \"192.0.2.11\", \"2001:db8::10\", \"2001:db8::11\"]"),
    ("net-b", 202, "addresses = [\"192.0.2.20\", \"2001:db8::20\"]"),
    ("net-lo", 203, "addresses = []"),
    ("net-shared", 204, "addresses = [\"192.0.2.40\"]\nloopback = \"shared\""),
    ("net-grants", 205, "addresses = [\"192.0.2.50\"]\nmulticast = true\nbroadcast = true\nshow_any = true"),
    ("net-none", 206, "addresses = [\"192.0.2.60\"]\nloopback = \"none\""),
    (
        "net-ping",
        207,
        "addresses = [\"192.0.2.70\", \"192.0.2.71\", \"2001:db8::70\", \"2001:db8::71\"]\nping = true",
    ),
    (
        "net-strict",
        208,
        "addresses = [\"192.0.2.80\", \"192.0.2.81\", \"2001:db8::80\", \"2001:db8::81\"]\nreceive = \"strict\"\nping = true",
    ),
    (
        "net-raw",
        209,
        "addresses = [\"192.0.2.90\", \"192.0.2.91\", \"2001:db8::90\", \"2001:db8::91\"]\nraw = [\"icmp\", \"icmpv6\"]",
    ),
    ("files-a", 221, "proc = \"plain\"\ndirectories = [\"/srv/vs/a\"]"),
    ("files-b", 222, "proc = \"plain\"\ndirectories = [\"/srv/vs/b\", \"/srv/vs/a/inner\"]"),
    ("files-none", 223, "directories = []"),
    ("files-hidepid", 224, "proc = \"hidepid\"\ndirectories = [\"/srv/vs/h\"]"),
    ("files-root", 226, "root = \"/srv/vs/root\""),
    ("files-base", 227, "proc = \"hidepid\"\nroot = \"/srv/vs/base\""),
    ("barrier-a", 228, "proc = \"plain\"\nroot = \"/srv/vs/jails/a\"\nbarrier = true"),
    ("barrier-b", 229, "proc = \"hidepid\"\nroot = \"/srv/vs/jails/b\"\nbarrier = true"),
    ("files-shared", 225, "proc = \"plain\"\ndirectories = [\"/srv/vs/w\"]\nshared_write = true"),
];

/// Where the directories of contexts lie: a file system in memory of its own.
pub const FILES: &str = "/srv/vs";
/// The directories on it: nobody's, those of contexts, and one that a policy may keep for the host.
const DIRECTORIES: [&str; 7] = ["shared", "a", "a/inner", "b", "h", "w", "secret"];

/// The roots of contexts.
const ROOTS: [&str; 4] = ["root", "base", "jails/a", "jails/b"];

/// Makes the directories that contexts have, once.
///
/// # Errors
/// The kernel refused.
pub fn give_directories() -> Result<()> {
    fs::create_dir_all(FILES)?;
    rustix::mount::mount("tmpfs", FILES, "tmpfs", rustix::mount::MountFlags::empty(), None)
        .context("mount a tmpfs")?;
    for directory in DIRECTORIES {
        fs::create_dir(Path::new(FILES).join(directory))?;
    }
    let path = std::env::var_os("PATH").context("PATH")?;
    let actor = std::env::split_paths(&path).map(|folder| folder.join("vs-actor")).find(|file| file.exists());
    let actor = actor.context("vs-actor is not on PATH")?;
    for root in ROOTS {
        for directory in ["bin", "dev", "etc", "proc", "run", "sys", "tmp"] {
            fs::create_dir_all(Path::new(FILES).join(root).join(directory))?;
        }
        fs::copy(&actor, Path::new(FILES).join(root).join("bin/vs-actor"))?;
    }
    Ok(())
}

/// The machine's addresses: its own, and those of the contexts.
const ADDRESSES: [&str; 23] = [
    "192.0.2.1/32",
    "192.0.2.10/32",
    "192.0.2.11/32",
    "192.0.2.20/32",
    "192.0.2.40/32",
    "192.0.2.50/32",
    "192.0.2.60/32",
    "192.0.2.70/32",
    "192.0.2.71/32",
    "192.0.2.80/32",
    "192.0.2.81/32",
    "192.0.2.90/32",
    "192.0.2.91/32",
    "2001:db8::1/128",
    "2001:db8::10/128",
    "2001:db8::11/128",
    "2001:db8::20/128",
    "2001:db8::70/128",
    "2001:db8::71/128",
    "2001:db8::80/128",
    "2001:db8::81/128",
    "2001:db8::90/128",
    "2001:db8::91/128",
];

/// Gives the machine its addresses, once.
///
/// # Errors
/// `ip` fails: it has them already.
pub fn give_addresses() -> Result<()> {
    for address in ADDRESSES {
        let family = if address.contains(':') { "-6" } else { "-4" };
        let status = Command::new("ip").args([family, "addr", "add", address, "dev", "lo"]).status()?;
        if !status.success() {
            bail!("ip addr add {address}: {status}");
        }
    }
    Ok(())
}

/// Runs `vs` with arguments and gives what came of it.
///
/// # Errors
/// It does not start.
pub fn vs(arguments: &[&str]) -> Result<Output> {
    Command::new("vs").args(arguments).output().with_context(|| format!("run vs {}", arguments.join(" ")))
}

/// Runs `vs` with arguments, and wants it to succeed.
///
/// # Errors
/// It does not start, or fails; then with what it said.
pub fn vs_ok(arguments: &[&str]) -> Result<String> {
    let output = vs(arguments)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("vs {}: {}: {}", arguments.join(" "), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits until no hook has two programs: the kernel detaches those of the epoch before behind the back of `vs load`, one after the other.
///
/// # Errors
/// The kernel does not list its programs, or some stay.
pub fn wait_for_detached() -> Result<()> {
    for _ in 0..200 {
        let mut names = Vec::new();
        for program in aya::programs::loaded_programs() {
            // One that went meanwhile is not listed.
            let Ok(program) = program else { continue };
            names.push(program.name().to_vec());
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        if names.len() == all {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    bail!("programs of an older epoch stay attached")
}

/// The command that starts an actor in the place of an inhabitant, under a name of its own.
pub fn actor_command(inhabitant: &str, name: &str) -> Command {
    let mut command;
    match inhabitant {
        "host" => command = Command::new("vs-actor"),
        "spectator" => {
            command = Command::new("vs");
            command.args(["run", "--spectator", "--", "vs-actor"]);
        }
        context => {
            command = Command::new("vs");
            command.args(["run", "--context", context, "--", "vs-actor"]);
        }
    }
    command.arg(name);
    command
}

impl World {
    /// Loads the policy, starts the collector, and puts an actor into every context.
    ///
    /// # Errors
    /// Any of it fails.
    pub fn start() -> Result<Self> {
        // Process numbers of the host that no PID namespace of the suite comes near: a number that means nothing there is then ESRCH.
        fs::write("/proc/sys/kernel/ns_last_pid", "9000")?;
        give_addresses()?;
        give_directories()?;
        // Whether a process may ping is for policy to say.
        fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647")?;
        let peer = Peer::make();
        fs::write(POLICY, policy("enforce"))?;
        vs_ok(&["load", POLICY])?;
        let audit = Audit::start(Path::new(AUDIT))?;
        Ok(Self { inhabitants: settle()?, audit, peer })
    }

    /// The inhabitant of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn inhabitant(&mut self, name: &str) -> Result<&mut Inhabitant> {
        self.inhabitants
            .iter_mut()
            .find(|inhabitant| inhabitant.actor.name == name)
            .with_context(|| format!("there is no inhabitant {name}"))
    }

    /// Has an inhabitant carry out an order, and gives the errno.
    ///
    /// # Errors
    /// There is no such inhabitant, or it does not answer.
    pub fn order(&mut self, name: &str, order: &str) -> Result<crate::actor::Answer> {
        self.inhabitant(name)?.actor.order(order)
    }

    /// Loads the policy again.
    ///
    /// # Errors
    /// The load fails.
    pub fn reload(&mut self) -> Result<()> {
        vs_ok(&["load", POLICY]).map(drop)
    }

    /// Everybody leaves, and nothing is in force.
    ///
    /// # Errors
    /// Something cannot be taken out of force.
    pub fn stop(&mut self) -> Result<()> {
        self.inhabitants.clear();
        match vs(&["unload", "--stop"])? {
            output if output.status.success() || output.status.code() == Some(NOT_LOADED) => Ok(()),
            output => bail!("vs unload --stop: {}", String::from_utf8_lossy(&output.stderr).trim()),
        }
    }

    /// Has everybody settle, if they have left.
    ///
    /// # Errors
    /// As for [`World::restart`].
    pub fn ensure(&mut self) -> Result<()> {
        if self.inhabitants.is_empty() { self.restart() } else { Ok(()) }
    }

    /// Begins anew: everybody leaves, the programs are attached again, and new actors enter.
    ///
    /// # Errors
    /// Any of it fails.
    pub fn restart(&mut self) -> Result<()> {
        self.restart_with(POLICY)
    }

    /// The same with another policy file, which has the suite's contexts.
    ///
    /// # Errors
    /// Any of it fails.
    pub fn restart_with(&mut self, policy: &str) -> Result<()> {
        self.inhabitants.clear();
        vs_ok(&["load", "--stop", policy])?;
        self.inhabitants = settle()?;
        Ok(())
    }
}

/// Puts an actor into every context.
fn settle() -> Result<Vec<Inhabitant>> {
    INHABITANTS
        .into_iter()
        .map(|(name, party, proc)| {
            let actor = Actor::start(actor_command(name, name), name)?;
            Ok(Inhabitant { party, proc, actor })
        })
        .collect()
}
