//! Additions and exchanges that no other processor can come between: `BPF_ATOMIC | BPF_ADD` and `BPF_XCHG` (5.12).
//!
//! `core` offers neither for this target, which its description says has no compare-and-swap; the object is built for the third revision
//! of the instruction set, which has.

use core::intrinsics::{AtomicOrdering, atomic_xadd, atomic_xchg};

/// Adds to a counter.
///
/// # Safety
/// `counter` is 8-byte aligned and lies in a map's value that outlives the program.
#[inline(always)]
pub(crate) unsafe fn add(counter: *mut u64, value: u64) {
    // SAFETY: The caller's.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, value) };
}

/// Sets a counter to zero and says what it was.
///
/// # Safety
/// As for [`add`].
#[inline(always)]
pub(crate) unsafe fn take(counter: *mut u64) -> u64 {
    // SAFETY: The caller's.
    unsafe { atomic_xchg::<u64, { AtomicOrdering::Relaxed }>(counter, 0) }
}
