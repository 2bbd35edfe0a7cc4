//! Another machine: a network namespace at the other end of a veth pair, which sees where packets come from.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::desk::Desk;

/// The end that is the machine's own.
const OUTER: &str = "vs-peer";
/// What the kernel calls the other end.
const INNER: &str = "veth0";
/// The machine's addresses on the pair, with the lengths of their networks.
const HOSTS: [&str; 2] = ["198.51.100.1/24", "2001:db8:51::1/64"];
/// The peer's.
const PEERS: [&str; 2] = ["198.51.100.2/24", "2001:db8:51::2/64"];

/// Somebody in it, who holds it for as long as he lives.
#[derive(Debug)]
pub struct Peer {
    holder: Desk,
}

impl Peer {
    /// Makes it, with routes back to whatever address packets come from.
    ///
    /// # Errors
    /// The kernel has no veth pairs, or something fails.
    pub fn make() -> Result<Self> {
        let mut command = Command::new("vs-actor");
        command.arg("sockets");
        // SAFETY: One system call between fork and exec, which takes a number.
        unsafe {
            command.pre_exec(|| match libc::unshare(libc::CLONE_NEWNET) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        let peer = Self { holder: Desk::start_with("peer", command, Stdio::inherit())? };
        ip(Command::new("ip"), &["link", "add", OUTER, "type", "veth"])?;
        ip(Command::new("ip"), &["link", "set", "dev", INNER, "netns", &peer.holder.pid().to_string()])?;
        // There is nobody to ask whether he has an address: it can be used at once.
        fs::write(format!("/proc/sys/net/ipv6/conf/{OUTER}/accept_dad"), "0")?;
        for (family, host, own) in [("-4", HOSTS[0], PEERS[0]), ("-6", HOSTS[1], PEERS[1])] {
            ip(Command::new("ip"), &[family, "addr", "add", host, "dev", OUTER])?;
            ip(peer.command("ip")?, &[family, "addr", "add", own, "dev", INNER])?;
        }
        ip(Command::new("ip"), &["link", "set", "dev", OUTER, "up"])?;
        for end in ["lo", INNER] {
            ip(peer.command("ip")?, &["link", "set", "dev", end, "up"])?;
        }
        for (family, host) in [("-4", HOSTS[0]), ("-6", HOSTS[1])] {
            let gateway = host.split('/').next().unwrap_or_default();
            ip(peer.command("ip")?, &[family, "route", "add", "default", "via", gateway])?;
        }
        Ok(peer)
    }

    /// Somebody else in it, with sockets of his own.
    ///
    /// # Errors
    /// He does not start.
    pub fn desk(&self) -> Result<Desk> {
        let mut command = self.command("vs-actor")?;
        command.arg("sockets");
        Desk::start_with("peer", command, Stdio::inherit())
    }

    /// A command in it.
    fn command(&self, program: &str) -> Result<Command> {
        let path = format!("/proc/{}/ns/net", self.holder.pid());
        let namespace = File::open(&path).with_context(|| format!("open {path}"))?;
        let mut command = Command::new(program);
        // SAFETY: As above; the descriptor lives as long as the command.
        unsafe {
            command.pre_exec(move || match libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        Ok(command)
    }
}

fn ip(mut command: Command, arguments: &[&str]) -> Result<()> {
    let status = command.args(arguments).status().context("start ip")?;
    if !status.success() {
        bail!("ip {}: {status}", arguments.join(" "));
    }
    Ok(())
}
