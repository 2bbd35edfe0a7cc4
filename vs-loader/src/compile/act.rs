//! What a process can try, in the operator's words: which hook the kernel asks then, and which decision that hook is.
//!
//! One table. Each row ends in a function of vs-common that the kernel's program for that hook was compiled from, so nothing here says
//! what is allowed.

use vs_common::capability::{CapabilitySet, decide_capability};
use vs_common::context::{Access, Identity, decide_fork, decide_host_only, decide_interaction};
use vs_common::filesystem::{
    FileOwner, ReceivedFrom, decide_barrier, decide_file, decide_look, decide_modify, decide_open,
    decide_received_directory,
};
use vs_common::hook::Hook;
use vs_common::network::{decide_socket, decide_socket_option, is_netlink_question, network_flag};
use vs_common::verdict::{Errno, Reason, Verdict};

pub use self::address::{Asked, How, Outcome};
pub use self::file::{FILE_KINDS, FileKind, capability_number};
pub use self::socket::{SOCKET_KINDS, SocketKind};
pub use self::table::ACTS;
use super::network::{Network, Networks};

mod address;
mod file;
mod socket;
mod table;

/// What an act is done to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// Nothing in particular.
    Nothing,
    /// A process.
    Process,
    /// A file, of a [`FileKind`].
    File,
    /// A capability.
    Capability,
    /// A socket that is to be made, of a [`SocketKind`].
    Socket,
    /// An address.
    Address,
}

/// The function of vs-common that decides, with what the act itself says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Decision {
    Interaction(Access),
    Fork { is_dying: bool },
    HostOnly(Reason),
    Capability,
    Open { is_write: bool },
    Look,
    Modify,
    Pass,
    Receive,
    Request,
    CreateSocket,
    Bind,
    Destination,
    ListenUnbound,
    SocketOption { level: u32, option: u32 },
    Netlink { message: u16 },
}

/// An act, and what the kernel asks when a process tries it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Act {
    /// The word for it.
    pub name: &'static str,
    /// The system calls that are this act.
    pub calls: &'static str,
    /// The hook that is asked.
    pub hook: Hook,
    /// The one that is asked instead if the socket is one of IPv6.
    pub hook6: Option<Hook>,
    /// What it is done to.
    pub operand: Operand,
    /// Whether the target is named by its process id, which a PID namespace has none of for processes outside.
    pub is_by_number: bool,
    decision: Decision,
}

/// What the act is done to, as the hook would find it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target<'t> {
    /// The process; for a file of `/proc/PID` whose that is.
    pub process: Identity,
    /// The file.
    pub file: Option<&'t FileKind>,
    /// Whose the file is, if it lies in some directory.
    pub owner: FileOwner,
    /// Whether it is a directory that is a barrier.
    pub is_barrier: bool,
    /// Where it comes from, if it is handed over.
    pub from: ReceivedFrom,
    /// The capability's number.
    pub capability: u32,
    /// The capabilities that the actor's rules leave it.
    pub usable: CapabilitySet,
    /// The kind of socket.
    pub socket: Option<&'t SocketKind>,
    /// The address.
    pub address: Option<Asked>,
    /// The addresses of the actor's context, if it has its own.
    pub network: Option<&'t Network>,
    /// Everybody's.
    pub networks: &'t Networks,
}

impl Act {
    /// What the hook would decide.
    pub fn decide(&self, actor: Identity, target: &Target<'_>) -> Verdict {
        let network = own_network(actor, target);
        let denied_member = |errno, reason| match network {
            Some(_) => Verdict::Deny(errno, reason),
            None => Verdict::Allow,
        };
        match self.decision {
            Decision::Interaction(access) => decide_interaction(actor, target.process, access),
            Decision::Fork { is_dying } => decide_fork(actor, is_dying),
            Decision::HostOnly(reason) => decide_host_only(actor, reason),
            Decision::Capability => decide_capability(actor, target.capability, target.usable),
            Decision::Open { is_write } => {
                let access = if is_write { Access::Change } else { Access::Read };
                or_by_owner(decide_open(actor, &FileKind::facts(target, is_write)), actor, target, access)
            }
            Decision::Look => decide_look(actor, Some(target.process)),
            Decision::Modify => {
                let verdict = decide_modify(actor, FileKind::facts(target, true).superblock_magic);
                or_by_owner(verdict, actor, target, Access::Change)
            }
            Decision::Pass if target.is_barrier => decide_barrier(actor),
            Decision::Pass => Verdict::Allow,
            Decision::Receive => decide_received_directory(actor, target.owner, target.from),
            Decision::Request => or_by_owner(Verdict::Allow, actor, target, Access::Change),
            Decision::CreateSocket => match (actor, network, target.socket) {
                // The program lets these go before it decides.
                (Identity::Member(_), None, _) | (_, _, None) => Verdict::Allow,
                (_, network, Some(socket)) => {
                    let flags = network.map_or(0, |network| network.rules.flags);
                    decide_socket(actor, flags, socket.family, socket.kind, socket.protocol)
                }
            },
            Decision::Bind | Decision::Destination => match self.outcome(actor, target) {
                Some(Err((errno, reason))) => Verdict::Deny(errno, reason),
                Some(Ok(_)) | None => Verdict::Allow,
            },
            // The program's own decision: a table of one row.
            Decision::ListenUnbound => denied_member(Errno::Eaddrnotavail, Reason::ForeignAddress),
            Decision::SocketOption { level, option } => match network {
                Some(network) => decide_socket_option(network.rules.flags, level, option),
                None => Verdict::Allow,
            },
            Decision::Netlink { message } if is_netlink_question(message) => Verdict::Allow,
            Decision::Netlink { .. } => denied_member(Errno::Eperm, Reason::Netlink),
        }
    }

    /// What becomes of the address that the act is done to; `None`: there is none, or nobody judges it.
    pub fn outcome(&self, actor: Identity, target: &Target<'_>) -> Option<Result<Outcome, (Errno, Reason)>> {
        let asked = target.address?;
        let (Some(network), Identity::Member(tag)) = (own_network(actor, target), actor) else {
            let is_host = matches!(actor, Identity::Host);
            let is_known = !matches!(actor, Identity::Unknown);
            return (self.is_bind() && is_known)
                .then(|| address::bind_as_host(target.networks, is_host, asked))
                .flatten();
        };
        match self.decision {
            Decision::Bind => Some(address::bind(network, tag.xid, asked)),
            Decision::Destination => Some(address::destination(network, tag.xid, asked)),
            _ => None,
        }
    }

    /// Whether it gives a socket its address.
    pub fn is_bind(&self) -> bool {
        self.decision == Decision::Bind
    }

    /// The hook that is asked of this address, or of none.
    pub fn hook_for(&self, asked: Option<Asked>) -> Hook {
        match (self.hook6, asked) {
            (Some(hook), Some(asked)) if asked.address.is_ipv6() => hook,
            _ => self.hook,
        }
    }

    /// Every hook that it is asked of.
    pub fn hooks(&self) -> impl Iterator<Item = Hook> {
        [Some(self.hook), self.hook6].into_iter().flatten()
    }

    /// The option of the policy that can grant it, by its bit of [`vs_common::network::network_flag`].
    pub fn grant(&self) -> Option<u32> {
        let Decision::SocketOption { level, option } = self.decision else { return None };
        let flags = [network_flag::MULTICAST, network_flag::BROADCAST];
        flags.into_iter().find(|flag| decide_socket_option(*flag, level, option) == Verdict::Allow)
    }

    /// The act with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ACTS.iter().find(|act| act.name == name)
    }
}

/// A verdict, or where it allows what is decided by whose the file is.
fn or_by_owner(verdict: Verdict, actor: Identity, target: &Target<'_>, access: Access) -> Verdict {
    if verdict == Verdict::Allow && FileKind::has_owner(target) {
        decide_file(actor, target.owner, access)
    } else {
        verdict
    }
}

/// The addresses that the actor's sockets are held to; `None`: they use the host's.
fn own_network<'t>(actor: Identity, target: &Target<'t>) -> Option<&'t Network> {
    match actor {
        Identity::Member(tag) if tag.has_network() => target.network,
        _ => None,
    }
}
