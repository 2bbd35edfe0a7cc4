//! From a decision to what the hook returns: the one place that denies.

use core::ptr;

use vs_common::context::{Identity, Tag};
use vs_common::hook::Hook;
use vs_common::id::{Epoch, Xid};
use vs_common::policy_entry::{ContextKey, Mode};
use vs_common::verdict::{Errno, Verdict};

use crate::audit::{self, Target};
use crate::maps::{CONTEXTS, epoch};
use crate::{context, counters};

/// What a hook returns to let the act pass.
pub(crate) const ALLOW: i32 = 0;

/// [`ALLOW`] for an actor that has just turned out to be the host: LLVM knows that its xid is 0 then and returns that register, which the
/// verifier cannot bound. Hence the read it may not see through, see [`returned`].
#[inline(always)]
pub(crate) fn allow_host() -> i32 {
    let number = 0_u16;
    // SAFETY: A reference to a live local.
    if unsafe { ptr::read_volatile(&raw const number) } == 0 { ALLOW } else { -13 }
}

/// What is known of a denial, gathered on the stack for the functions that are not inlined.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Denial {
    pub(crate) actor: Tag,
    pub(crate) target: Target,
    /// What was asked for, by hook.
    pub(crate) detail: u64,
    pub(crate) hook: u16,
    pub(crate) reason: u16,
    pub(crate) errno: u16,
    /// 1: the running task is the actor. 0: the act was set up earlier.
    pub(crate) is_current: u16,
    /// 1: mode observe may turn it into an allow.
    pub(crate) is_between: u16,
    pub(crate) padding: [u16; 3],
}

impl Denial {
    /// To be filled in, of the running task.
    pub(crate) const NONE: Self = Self {
        actor: context::NOBODY,
        target: Target::NONE,
        detail: 0,
        hook: 0,
        reason: 0,
        errno: 0,
        is_current: 1,
        is_between: 0,
        padding: [0; 3],
    };
}

/// Carries out a verdict on the running task: what the hook returns. An allow costs nothing; a denial is looked up, counted and
/// reported, and in mode observe let pass.
#[inline(always)]
pub(crate) fn conclude(hook: Hook, verdict: Verdict, actor: Identity, target: &Target, detail: u64) -> i32 {
    carry_out(hook, verdict, actor, target, detail, true)
}

/// The same for an act that its actor set up earlier, so that the running task has nothing to do with it.
#[inline(always)]
pub(crate) fn conclude_deferred(
    hook: Hook,
    verdict: Verdict,
    actor: Tag,
    target: &Target,
    detail: u64,
) -> i32 {
    carry_out(hook, verdict, Identity::Member(actor), target, detail, false)
}

#[inline(always)]
fn carry_out(
    hook: Hook,
    verdict: Verdict,
    actor: Identity,
    target: &Target,
    detail: u64,
    is_current: bool,
) -> i32 {
    let Verdict::Deny(errno, reason) = verdict else { return ALLOW };
    let denial = Denial {
        actor: match actor {
            Identity::Member(tag) => tag,
            Identity::Host | Identity::Unknown => context::UNKNOWN,
        },
        target: *target,
        detail,
        hook: hook as u16,
        reason: reason as u16,
        errno: errno as u16,
        is_current: u16::from(is_current),
        is_between: u16::from(reason.is_between_contexts()),
        padding: [0; 3],
    };
    carry_out_denial(&denial)
}

/// Carries out a denial that was gathered elsewhere: what the hook returns.
#[inline(always)]
pub(crate) fn carry_out_denial(denial: &Denial) -> i32 {
    if deny(denial) == 0 {
        return ALLOW;
    }
    returned(denial.errno)
}

/// An errno, by its number, as the hook returns it.
///
/// Constants from real branches. Of a number that it can see through LLVM makes arithmetic (`0 - errno`, or a mask), which the verifier
/// cannot bound, and from 6.12 on it wants [-4095, 0] (`kernel/bpf/bpf_lsm.c:bpf_lsm_get_retval_range`): hence the read it may not see through.
#[inline(always)]
fn returned(number: u16) -> i32 {
    // SAFETY: A reference to a live local.
    match unsafe { ptr::read_volatile(&raw const number) } {
        1 => -1,
        2 => -2,
        12 => -12,
        22 => -22,
        93 => -93,
        97 => -97,
        99 => -99,
        101 => -101,
        111 => -111,
        _ => -13,
    }
}

// The last branch above is EACCES: a new member of the enum needs a branch of its own.
const _: () = assert!(Errno::ALL.len() == 10 && Errno::Eacces as u16 == 13);

/// Counts and reports a denial. 0: the actor's context is in mode observe and it is let pass; 1: it is carried out.
#[inline(never)]
pub(crate) fn deny(denial: &Denial) -> u32 {
    let epoch = epoch();
    let is_enforced = denial.is_between == 0 || !is_observed(&denial.actor, epoch);
    if denial.actor.xid == Xid::CANARY {
        counters::count_trial(u32::from(denial.hook));
    } else {
        counters::count_denial(u32::from(denial.hook), is_enforced);
        audit::report(denial, epoch, if is_enforced { Mode::Enforce } else { Mode::Observe });
    }
    u32::from(is_enforced)
}

/// Whether a context's rules say observe. No rules, or rules for another generation: they do not.
#[inline(always)]
pub(crate) fn is_observed(tag: &Tag, epoch: Epoch) -> bool {
    let key = ContextKey { epoch, xid: tag.xid };
    // SAFETY: A row is written whole before its epoch is in force and not changed after; removal frees it after a grace period.
    match unsafe { CONTEXTS.get(&key) } {
        Some(rules) => rules.generation == tag.generation && rules.mode == Mode::Observe as u32,
        None => false,
    }
}
