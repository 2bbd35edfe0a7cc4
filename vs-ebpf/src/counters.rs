//! What is counted by hook, on the processor at hand: denials, failures, records lost. Never on the way to an allow.

use vs_common::hook::Hook;
use vs_common::policy_entry::HookCounters;

use crate::maps::HOOK_COUNTERS;

#[inline(always)]
fn of(hook: u32) -> Option<&'static mut HookCounters> {
    // SAFETY: The slot is this processor's; a hook that interrupts another on it may lose one count between load and store, which the
    // kernel's own per-CPU statistics accept as well.
    HOOK_COUNTERS.get_ptr_mut(hook).map(|slot| unsafe { &mut *slot })
}

/// Counts a denial that is carried out, or one that is only recorded.
#[inline(always)]
pub(crate) fn count_denial(hook: u32, is_enforced: bool) {
    if let Some(counters) = of(hook) {
        if is_enforced {
            counters.denials += 1;
        } else {
            counters.observed += 1;
        }
    }
}

/// Counts a denial of the loader's canary.
#[inline(always)]
pub(crate) fn count_trial(hook: u32) {
    if let Some(counters) = of(hook) {
        counters.tried += 1;
    }
}

/// Counts a helper that failed.
#[inline(always)]
pub(crate) fn count_failure(hook: Hook) {
    if let Some(counters) = of(u32::from(hook as u16)) {
        counters.failures += 1;
    }
}

/// Counts records lost of an actor that has no row in `CONTEXT_STATES`.
#[inline(always)]
pub(crate) fn count_lost(hook: u32, records: u64) {
    if let Some(counters) = of(hook) {
        counters.lost += records;
    }
}
