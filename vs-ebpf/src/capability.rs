//! No context uses a capability beyond those that its rules leave it, in whatever user namespace.
//!
//! Entry has dropped the others for good, so this is the second lock: it holds where capabilities come back, which a user namespace
//! would do (`kernel/user_namespace.c:create_user_ns` hands out a full set). It is the first where rules change while processes live, and for
//! the one capability that is left to a context for a few system calls only: `SYS_ADMIN` for `set_utsname`.
//!
//! Falls closed: who has no row has what all contexts have, and nothing more.

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::capability::{NET_RAW, SYS_ADMIN, decide_capability};
use vs_common::context::Identity;
use vs_common::hook::Hook;
use vs_common::id::{Epoch, Xid};
use vs_common::policy_entry::{ContextKey, context_flag};
use vs_common::verdict::Verdict;

use crate::audit::Target;
use crate::context;
use crate::kernel::task::Task;
use crate::maps::{CAPABILITIES, CONTEXTS, epoch};
use crate::verdict::{ALLOW, allow_host, conclude};

/// `security_capable(cred, ns, cap, opts)`: see [`decide_capability`].
#[lsm(hook = "capable")]
fn capable(ctx: LsmContext) -> i32 {
    let actor = context::current();
    if matches!(actor, Identity::Host) {
        return allow_host();
    }
    let number: u32 = ctx.arg(2);
    let epoch = epoch();
    if matches!(actor, Identity::Member(_))
        && CAPABILITIES.get(epoch.0 & 1).is_some_and(|common| common.has(epoch.0, number))
    {
        return ALLOW;
    }
    member_uses(number)
}

/// The same for a task that is no plain host's, and a capability that not every context has.
#[inline(never)]
fn member_uses(number: u32) -> i32 {
    let current = Task::current();
    let actor = context::actor(current);
    let usable = match actor {
        Identity::Host => return allow_host(),
        Identity::Unknown => 0,
        Identity::Member(tag) => usable(tag.xid.0, tag.generation.0, number),
    };
    let verdict = decide_capability(actor, number, usable);
    if verdict == Verdict::Allow {
        if number == NET_RAW {
            context::take_raw_back(current);
        }
        return ALLOW;
    }
    conclude(Hook::Capable, verdict, actor, &Target::capability(number), u64::from(number))
}

/// What the rules of a context leave it now: of a number that says what is asked for, since a grant has to be looked into.
#[inline(never)]
fn usable(xid: u32, generation: u64, number: u32) -> u64 {
    let (set, flags) = rules(epoch(), xid, generation);
    // A load that ends meanwhile has removed the rows of the epoch that was read, and put others in force before.
    let (set, flags) = if flags == NO_RULES { rules(epoch(), xid, generation) } else { (set, flags) };
    if flags == NO_RULES {
        return 0;
    }
    if number == SYS_ADMIN && flags & context_flag::SET_UTSNAME != 0 && Task::current().sets_own_hostname() {
        return set | 1 << SYS_ADMIN;
    }
    set
}

/// In place of flags: there are no rules for this use of the number.
const NO_RULES: u32 = u32::MAX;

/// A context's set and flags.
#[inline(always)]
fn rules(epoch: Epoch, xid: u32, generation: u64) -> (u64, u32) {
    // SAFETY: Rows are freed after a grace period. Of one that is replaced either is whole.
    match unsafe { CONTEXTS.get(&ContextKey { epoch, xid: Xid(xid) }) } {
        Some(rules) if rules.generation.0 == generation => (rules.capabilities, rules.flags),
        _ => (0, NO_RULES),
    }
}
