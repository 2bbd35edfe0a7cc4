//! Sockets of contexts at addresses that are no longer theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use vs_common::id::{Generation, Xid};
use vs_common::network::{Address, network_flag};

use super::{HostSocket, HostSocketsError, Protocol, Sockets};
use crate::compile::{Network, Networks};
use crate::policy::to_address;

/// How often sockets are listed: those that are found by address and port only are uncovered one after the other.
const PASSES: usize = 16;

/// What came of destroying them.
#[derive(Debug, Default)]
pub struct Destroyed {
    /// How many, by context.
    pub counts: BTreeMap<Xid, usize>,
    /// Those that are still there.
    pub survivors: Vec<Survivor>,
}

/// A socket that could not be destroyed.
#[derive(Debug)]
pub struct Survivor {
    /// The socket.
    pub socket: HostSocket,
    /// Whose it is.
    pub xid: Xid,
    /// Why not.
    pub cause: io::Error,
}

impl fmt::Display for Survivor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { socket, xid, cause } = self;
        write!(f, "the socket {socket} of the context with xid {xid} goes on: {cause}")
    }
}

/// Ends every socket of a context whose address was the context's before and is not now. The host's own connections and listeners at such an
/// address are not the context's and go on. Of datagram sockets the kernel lists no tags (`net/ipv4/inet_diag.c:inet_sk_diag_fill` leaves off
/// before them), so those at such an address are taken for the context's, whoever made them.
///
/// # Errors
/// Sockets cannot be listed.
pub fn destroy_strays(
    kernel: &mut dyn Sockets,
    before: &Networks,
    now: &Networks,
) -> Result<Destroyed, HostSocketsError> {
    let mut destroyed = Destroyed::default();
    let mut done = BTreeSet::new();
    let mut hidden_before = BTreeSet::new();
    for _ in 0..PASSES {
        let mut hidden = Vec::new();
        let mut is_progress = false;
        for socket in kernel.list()? {
            let Some(xid) = stray_of(&socket, before, now) else { continue };
            let cookie = socket.identity.cookie;
            if done.contains(&cookie) {
                continue;
            }
            match kernel.destroy(&socket) {
                Ok(()) => {
                    is_progress = true;
                    done.insert(cookie);
                    *destroyed.counts.entry(xid).or_default() += 1;
                }
                // It has just gone, or another is found before it.
                Err(cause) if cause.raw_os_error() == Some(libc::ENOENT) => {
                    hidden.push(Survivor { socket, xid, cause });
                }
                Err(cause) => {
                    done.insert(cookie);
                    destroyed.survivors.push(Survivor { socket, xid, cause });
                }
            }
        }
        let still: BTreeSet<_> = hidden.iter().map(|survivor| survivor.socket.identity.cookie).collect();
        // What is there a second time is not just going.
        if !is_progress && still == hidden_before {
            destroyed.survivors.extend(hidden);
            break;
        }
        hidden_before = still;
    }
    Ok(destroyed)
}

/// The context that a socket is of, if its address was the context's and is not now.
fn stray_of(socket: &HostSocket, before: &Networks, now: &Networks) -> Option<Xid> {
    let address = to_address(socket.local());
    let owner = match (socket.tag, socket.protocol) {
        (Some(tag), _) => (tag.xid, tag.generation),
        // It may be that of another that shares the address.
        (None, Protocol::Udp | Protocol::UdpLite) if now.values().any(|network| is_of(network, address)) => {
            return None;
        }
        (None, Protocol::Udp | Protocol::UdpLite) => {
            let mut owners = before.iter().map(|(xid, network)| (*xid, network.rules.generation));
            owners.find(|owner| has(before, *owner, address))?
        }
        (None, Protocol::Tcp) => return None,
    };
    // What the host's own services had stays with them.
    (owner.0 != Xid::HOST && has(before, owner, address) && !has(now, owner, address)).then_some(owner.0)
}

/// Whether an address is one of a context's, its own loopback included. A number that is used again is another context.
fn has(networks: &Networks, (xid, generation): (Xid, Generation), address: Address) -> bool {
    networks.get(&xid).filter(|network| network.rules.generation == generation).is_some_and(|network| {
        is_of(network, address)
            || (network.rules.has(network_flag::LOOPBACK_PRIVATE) && is_loopback_of(xid, address))
    })
}

fn is_of(network: &Network, address: Address) -> bool {
    network.addresses.iter().any(|prefix| prefix.contains(address))
}

fn is_loopback_of(xid: Xid, address: Address) -> bool {
    if !address.is_v4() {
        return address == Address::own_loopback6(xid);
    }
    Address::is_loopback4(address.0[3]) && Address::loopback4_owner(address.0[3]) == xid
}
