//! Tags on kernel objects, and who may act on whom.

use crate::id::{ContextKind, Generation, Xid};
use crate::verdict::{Errno, Reason, Verdict};

/// The value of every local-storage map: tasks, inodes and sockets alike. Frozen: an upgraded loader finds these sixteen
/// bytes on running processes. All policy lies elsewhere, keyed by epoch and xid.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tag {
    /// The context.
    pub xid: Xid,
    /// [`lifecycle`] bits.
    pub lifecycle: u32,
    /// Which use of the xid.
    pub generation: Generation,
}

const _: () = assert!(size_of::<Tag>() == 16 && align_of::<Tag>() == 8);

/// The bits of [`Tag::lifecycle`].
pub mod lifecycle {
    /// The process has its tag and has not yet executed its program: its descriptors, memory and executable are still the
    /// host's. As an actor it is a guest already; as a target nobody in the context may touch it. `bprm_committed_creds`
    /// clears the bit.
    pub const ENTERING: u32 = 1;
    /// The process lives in the host's mount tree: what it opens and changes there is judged by the programs, control file systems, devices
    /// and others' `/proc/PID`. Set for ever at entry, from [`crate::policy_entry::ContextRules::residence`]. A process without it lives in a
    /// mount namespace that has none of these, and a `/proc` and `/dev/pts` of its own, which no program needs to judge.
    pub const HOST_TREE: u32 = 1 << 1;
    /// Policy asked for the second lock: `/proc/PID` is judged by the programs wherever the process lives.
    pub const PROC_LOCK: u32 = 1 << 2;
    /// The context has addresses of its own: its sockets are tagged. Set for ever at entry, like the two above.
    pub const NETWORK: u32 = 1 << 3;
    /// The context confines addresses only (`confine = "network"`): beyond them the process is the host's, and whoever touches it touches
    /// the host. Set for ever at entry.
    pub const NETWORK_ONLY: u32 = 1 << 4;
    /// Policy gives the context directories: it changes files nowhere else. Set for ever at entry.
    pub const FILES: u32 = 1 << 5;
    /// Policy gives the context a root: no directory outside of its own is handed to it. Set for ever at entry.
    pub const ROOT: u32 = 1 << 6;
    /// On an inode: the tag is that of the process a `/proc/PID` inode stands for, not that of a file's owner.
    pub const PROCESS: u32 = 1 << 8;
    /// On a socket: it was bound to ANY, and stands for every address of its context.
    pub const BOUND_TO_ANY: u32 = 1 << 9;
    /// On a socket: it is a raw one, and what comes to it is judged by destination under every policy.
    pub const RAW: u32 = 1 << 10;
    /// On a process: it is making a raw socket that policy gives it, and may use `CAP_NET_RAW` once, for that. `socket_create` sets the bit,
    /// `capable` clears it; of who was refused before it came to that, the next `setsockopt(2)`, message or exec.
    pub const MAKES_RAW: u32 = 1 << 11;
}

impl Tag {
    /// Whether both tags name the same use of the same context.
    #[inline(always)]
    pub const fn is_same_context(&self, other: &Self) -> bool {
        self.xid.0 == other.xid.0 && self.generation.0 == other.generation.0
    }

    /// Whether the programs judge control file systems and devices for it.
    #[inline(always)]
    pub const fn is_in_host_tree(&self) -> bool {
        self.lifecycle & lifecycle::HOST_TREE != 0
    }

    /// Whether the programs judge `/proc/PID` for it.
    #[inline(always)]
    pub const fn is_judged_in_proc(&self) -> bool {
        self.lifecycle & (lifecycle::HOST_TREE | lifecycle::PROC_LOCK) != 0
    }

    /// Whether its sockets belong to its context.
    #[inline(always)]
    pub const fn has_network(&self) -> bool {
        self.lifecycle & lifecycle::NETWORK != 0
    }

    /// Whether it changes files in its context's directories only.
    #[inline(always)]
    pub const fn has_files(&self) -> bool {
        self.lifecycle & lifecycle::FILES != 0
    }

    /// Whether its context has a root.
    #[inline(always)]
    pub const fn has_root(&self) -> bool {
        self.lifecycle & lifecycle::ROOT != 0
    }

    /// Whether nothing but its addresses is its context's.
    #[inline(always)]
    pub const fn is_network_only(&self) -> bool {
        self.lifecycle & lifecycle::NETWORK_ONLY != 0
    }

    /// Whether a process with this tag may be touched by one with the other: it is of the same context, and has executed its program.
    #[inline(always)]
    pub const fn is_open_to(&self, actor: &Self) -> bool {
        self.is_same_context(actor) && !self.is_entering()
    }

    /// Whether the socket is a raw one.
    #[inline(always)]
    pub const fn is_raw(&self) -> bool {
        self.lifecycle & lifecycle::RAW != 0
    }

    /// Whether the process is making a raw socket that policy gives it.
    #[inline(always)]
    pub const fn makes_raw(&self) -> bool {
        self.lifecycle & lifecycle::MAKES_RAW != 0
    }

    /// Whether the process has not yet executed its program.
    #[inline(always)]
    pub const fn is_entering(&self) -> bool {
        self.lifecycle & lifecycle::ENTERING != 0
    }
}

/// What could be learnt about a task. "Untagged" and "could not be read" are different answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    /// No tag: the task is the host's.
    Host,
    /// A member of a context.
    Member(Tag),
    /// The tag could not be read. Never the host.
    Unknown,
}

/// Whether an act only looks or changes something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Looks: `PTRACE_MODE_READ`, `sched_getscheduler`, `getpgid`.
    Read,
    /// Changes: signals, `PTRACE_MODE_ATTACH`, priorities, limits.
    Change,
}

/// Whether a program would have more than who executes it. Root has all that it wants by other ways.
#[inline(always)]
pub const fn gains_by_program(user: u32, is_same_user_and_group: bool, old: u64, new: u64) -> bool {
    user != 0 && (!is_same_user_and_group || new & !old != 0)
}

/// Who may act on another process.
///
/// | actor     | target                                  | read  | change |
/// |-----------|-----------------------------------------|-------|--------|
/// | host      | any                                     | allow | allow  |
/// | spectator | its own context, not entering           | allow | allow  |
/// | spectator | any other                               | allow | EPERM  |
/// | guest     | same xid and generation, not entering   | allow | allow  |
/// | guest     | any other, or unknown                   | EPERM | EPERM  |
/// | unknown   | any                                     | EPERM | EPERM  |
///
/// `EPERM` and nothing else: `task_kill` must not say `ESRCH` (see [`Errno`]), and the system calls behind the other hooks
/// hand the value to the program, which expects `EPERM` for a process that is not its own.
#[inline(always)]
pub const fn decide_interaction(actor: Identity, target: Identity, access: Access) -> Verdict {
    let actor = match actor {
        Identity::Host => return Verdict::Allow,
        Identity::Unknown => return Verdict::Deny(Errno::Eperm, Reason::UnknownActor),
        Identity::Member(tag) => tag,
    };
    let reason = match target {
        Identity::Member(target) if target.is_same_context(&actor) => {
            if target.is_open_to(&actor) {
                return Verdict::Allow;
            }
            Reason::EnteringTarget
        }
        Identity::Member(target) if target.xid.0 == actor.xid.0 => Reason::StaleTarget,
        Identity::Member(_) => Reason::ForeignTarget,
        Identity::Host => Reason::HostTarget,
        Identity::Unknown => Reason::UnknownTarget,
    };
    match (actor.xid.kind(), access) {
        // A tag of xid 0 is the host's; the kernel side never builds one, and a value from outside must not deny the host.
        (ContextKind::Host, _) | (ContextKind::Spectator, Access::Read) => Verdict::Allow,
        (ContextKind::Spectator, Access::Change) => Verdict::Deny(Errno::Eperm, Reason::SpectatorChange),
        (ContextKind::Guest, _) => Verdict::Deny(Errno::Eperm, reason),
    }
}

/// Things that no context may do, the spectator included, and the host always may: `bpf(2)`, mounting, user namespaces,
/// kernel modules.
///
/// | actor            | verdict         |
/// |------------------|-----------------|
/// | host             | allow           |
/// | spectator, guest | EPERM, `reason` |
/// | unknown          | EPERM           |
#[inline(always)]
pub const fn decide_host_only(actor: Identity, reason: Reason) -> Verdict {
    match actor {
        Identity::Host => Verdict::Allow,
        Identity::Member(_) => Verdict::Deny(Errno::Eperm, reason),
        Identity::Unknown => Verdict::Deny(Errno::Eperm, Reason::UnknownActor),
    }
}

/// Whether a task may create a child: not while its context is being stopped, so that stop and kill come to an end.
///
/// | actor            | dying | verdict |
/// |------------------|-------|---------|
/// | host             | any   | allow   |
/// | spectator, guest | no    | allow   |
/// | spectator, guest | yes   | EPERM   |
/// | unknown          | any   | ENOMEM: without the parent's tag there is none for the child |
#[inline(always)]
pub const fn decide_fork(actor: Identity, is_dying: bool) -> Verdict {
    match actor {
        Identity::Host => Verdict::Allow,
        Identity::Unknown => Verdict::Deny(Errno::Enomem, Reason::UnknownActor),
        Identity::Member(_) if is_dying => Verdict::Deny(Errno::Eperm, Reason::Dying),
        Identity::Member(_) => Verdict::Allow,
    }
}

#[cfg(feature = "user")]
mod user {
    // SAFETY: `Tag` is `repr(C)`, `Copy`, without padding (its size is asserted above), and every bit pattern is a value.
    unsafe impl aya::Pod for super::Tag {}
}
