//! What contexts with addresses are instead of: a network namespace at the end of a veth pair, whose other end is the host's.
//!
//! One process does an operation, as everywhere: it makes what serves in the host's namespace, moves, and makes the clients in the other.
//! A socket stays where it was made, and what it accepts is where it is.

use std::fs::{self, File};
use std::net::IpAddr;
use std::os::unix::process::parent_id;

use anyhow::{Context as _, Result};
use rustix::fd::AsFd as _;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::network::ip;
use crate::place::{Family, Place};

/// The network namespace of the thread that looks.
const CURRENT: &str = "/proc/thread-self/ns/net";
/// The end that is the host's.
const OUTER: &str = "vs-bench";
/// The end in the namespace.
const INNER: &str = "inner";
/// What the kernel calls the other end of the first pair in a namespace.
const UNNAMED: &str = "veth0";

/// A namespace with its pair. Nothing is left of them once the process has ended.
#[derive(Debug)]
pub(crate) struct Namespace {
    hosts: File,
    own: File,
}

impl Namespace {
    /// Makes them, for a child of a process that stays in the host's namespace.
    pub(crate) fn make() -> Result<Self> {
        let hosts = current()?;
        // SAFETY: Changes the network namespace alone: no memory, and no table of descriptors that somebody shares.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.context("making a network namespace")?;
        let namespace = Self { hosts, own: current()? };
        ip(&["link", "set", "dev", "lo", "up"])?;
        ip(&["link", "add", INNER, "type", "veth"])?;
        ip(&["link", "set", "dev", UNNAMED, "name", OUTER])?;
        ip(&["link", "set", "dev", OUTER, "netns", &parent_id().to_string()])?;
        bring_up(INNER, |family| Place::Veth.ends(family).client)?;
        namespace.leave()?;
        bring_up(OUTER, |family| Place::Veth.ends(family).server)?;
        Ok(namespace)
    }

    /// What is made from now on is in the namespace.
    pub(crate) fn enter(&self) -> Result<()> {
        go(&self.own)
    }

    /// What is made from now on is the host's.
    pub(crate) fn leave(&self) -> Result<()> {
        go(&self.hosts)
    }
}

fn current() -> Result<File> {
    File::open(CURRENT).with_context(|| format!("opening {CURRENT}"))
}

fn go(to: &File) -> Result<()> {
    move_into_link_name_space(to.as_fd(), Some(LinkNameSpaceType::Network))
        .context("moving to a network namespace")
}

/// Gives an end its addresses.
fn bring_up(end: &str, address: impl Fn(Family) -> IpAddr) -> Result<()> {
    // There is nobody to ask whether he has the address: it can be used at once.
    let path = format!("/proc/sys/net/ipv6/conf/{end}/accept_dad");
    fs::write(&path, "0").with_context(|| format!("writing {path}"))?;
    ip(&["link", "set", "dev", end, "up"])?;
    for family in Family::ALL {
        // The other end is another host on the same link.
        let prefix = format!("{}/{}", address(family), family.bits() - 2);
        ip(&[family.option(), "address", "add", &prefix, "dev", end])?;
    }
    Ok(())
}
