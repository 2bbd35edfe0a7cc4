//! The programs that compare context ids in the kernel.
//!
//! One program per LSM hook, named like the hook; `vs_common::hook` is the list of them. Each gathers facts, asks a pure function of
//! `vs_common` and hands the verdict to [`verdict::conclude`], the only place that returns a denial, counts it and reports it.
//!
//! An area (`lifecycle`, `visibility`, `network`, `filesystem`, `capability`, `self_protection`) uses `context`, `verdict`, `maps` and `kernel`,
//! and never another area. Only `kernel` reads kernel structures.
//!
//! What holds everywhere: a task without any local storage is the host's and is let go after one load; nothing is written on
//! the way to an allow; a helper that fails is counted, and to a guest it means deny.
#![no_std]
#![no_main]
// The BPF target has no compare-and-swap before its third revision, so `core` leaves `AtomicU64::fetch_add` out for it.
#![expect(
    internal_features,
    reason = "see `atomic`: two instructions that nothing stable gives for this target"
)]
#![feature(core_intrinsics)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "pointers have 64 bits here, helpers take sizes and give uids in 32"
)]
#![expect(clippy::cast_ptr_alignment, reason = "offsets are those of the kernel's own fields")]
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a key given by value would be copied once more on the stack"
)]
#![expect(clippy::needless_pass_by_value, reason = "the macro hands the context over by value")]

mod atomic;
mod audit;
mod capability;
mod context;
mod counters;
mod filesystem;
mod kernel;
mod lifecycle;
mod maps;
mod network;
mod self_protection;
mod verdict;
mod visibility;

/// Never reached: the verifier refuses a program with a path to it, so every bound is proven when the object loads.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// LSM programs must be GPL (`kernel/bpf/bpf_lsm.c:bpf_lsm_verify_prog`), and so must users of the helpers called here.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
