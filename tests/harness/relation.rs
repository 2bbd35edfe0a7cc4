//! What must come of an operation between two contexts: an oracle of its own, written from the product's promises and not from the
//! functions that the programs are made of.

use vs_common::hook::Hook;

use crate::operation::{Access, Operation};

/// Who acts, or is acted on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    /// xid 0.
    Host,
    /// xid 1.
    Spectator,
    /// A guest, by its xid.
    Guest(u32),
}

impl Party {
    /// Its xid.
    pub const fn xid(self) -> u32 {
        match self {
            Self::Host => 0,
            Self::Spectator => 1,
            Self::Guest(xid) => xid,
        }
    }
}

/// What must come of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// One of these errnos; 0 is that it goes through.
    pub errnos: &'static [i32],
    /// The hook that denies it and writes the record; `None`: it is no denial of ours.
    pub denied_by: Option<Hook>,
}

const NO_SUCH_PROCESS: Outcome = Outcome { errnos: &[libc::ESRCH], denied_by: None };

/// What must come of an operation. `is_unreachable`: the actor is in a PID namespace where the target has no number.
pub const fn expected(operation: &Operation, actor: Party, target: Party, is_unreachable: bool) -> Outcome {
    let own = actor.xid() == target.xid();
    if is_unreachable && !own {
        return NO_SUCH_PROCESS;
    }
    let host_allowed = if operation.guest_allowed[0] == libc::ESRCH { operation.guest_allowed } else { &[0] };
    match (actor, operation.access) {
        (Party::Host, _) => Outcome { errnos: host_allowed, denied_by: None },
        (_, Access::Open) => Outcome { errnos: operation.guest_allowed, denied_by: None },
        (Party::Spectator | Party::Guest(_), _) if own => {
            Outcome { errnos: operation.guest_allowed, denied_by: None }
        }
        // Where the target may use more capabilities than the actor, the kernel's own check comes first (`security/commoncap.c:cap_safe_nice`)
        // and says EPERM before any program is asked: denied, and not recorded.
        (_, Access::Change) if is_host(target) && is_kept_by_cap_safe_nice(operation) => {
            Outcome { errnos: operation.denied, denied_by: None }
        }
        (Party::Spectator, Access::Read) => Outcome { errnos: operation.guest_allowed, denied_by: None },
        (Party::Spectator, Access::Change) => {
            Outcome { errnos: operation.denied, denied_by: operation.spectator_hook }
        }
        (Party::Guest(_), _) => Outcome { errnos: operation.denied, denied_by: operation.hook },
    }
}

const fn is_host(party: Party) -> bool {
    matches!(party, Party::Host)
}

const fn is_kept_by_cap_safe_nice(operation: &Operation) -> bool {
    matches!(operation.hook, Some(Hook::TaskSetscheduler | Hook::TaskSetnice | Hook::TaskSetioprio))
}
