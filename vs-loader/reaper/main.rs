//! vs-reaper: process 1 of a context with a PID namespace.
//!
//! It waits for every process whose parent has ended, and for SIGTERM from the host: then it ends, and the kernel ends all
//! others of the namespace with it (`kernel/pid_namespace.c:zap_pid_ns_processes`). SIGTERM from inside changes nothing, like
//! any other signal: process 1 gets only those that it has a handler for, or that come from an ancestor namespace.
//!
//! Without a standard library, because it is in memory once for each running context. Compiled by `build.rs` and embedded into
//! `vs`.
#![no_std]
#![no_main]

use core::arch::{asm, naked_asm};
use core::panic::PanicInfo;

/// System calls of `asm/unistd.h`.
#[cfg(target_arch = "x86_64")]
mod number {
    pub(crate) const SIGPROCMASK: usize = 14;
    pub(crate) const WAIT4: usize = 61;
    pub(crate) const SIGTIMEDWAIT: usize = 128;
    pub(crate) const PRCTL: usize = 157;
    pub(crate) const EXIT_GROUP: usize = 231;
}

/// System calls of `asm-generic/unistd.h`.
#[cfg(target_arch = "aarch64")]
mod number {
    pub(crate) const EXIT_GROUP: usize = 94;
    pub(crate) const SIGPROCMASK: usize = 135;
    pub(crate) const SIGTIMEDWAIT: usize = 137;
    pub(crate) const PRCTL: usize = 167;
    pub(crate) const WAIT4: usize = 260;
}

const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
const SIG_BLOCK: usize = 0;
const PR_SET_NAME: usize = 15;
const WNOHANG: usize = 1;
/// Children that were made without a signal at their end as well.
const WALL: usize = 0x4000_0000;

/// `kill(2)` from a process; what a process makes up itself has a code below 0 (`do_rt_sigqueueinfo`).
const SI_USER: i32 = 0;

/// The head of `siginfo_t` on 64-bit machines.
#[repr(C)]
struct SignalInfo {
    number: i32,
    errno: i32,
    code: i32,
    padding: i32,
    /// The sender in this namespace's numbers; 0 if it is not in it.
    sender: i32,
    rest: [u32; 27],
}

/// A system call with up to four arguments.
///
/// # Safety
/// Pointers among the arguments must be valid for what the call reads and writes.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let answer;
    // SAFETY: the kernel clobbers rcx, r11 and rax, and no stack; the rest is our caller's promise.
    unsafe {
        asm!("syscall", inlateout("rax") number => answer, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    answer
}

/// A system call with up to four arguments.
///
/// # Safety
/// Pointers among the arguments must be valid for what the call reads and writes.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let answer;
    // SAFETY: the kernel clobbers x0 only; the rest is our caller's promise.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a => answer, in("x1") b, in("x2") c, in("x3") d, options(nostack));
    }
    answer
}

/// A signal as a bit of a set.
const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// The kernel starts here, with the stack aligned to 16 bytes, as if for a call that is yet to be made: the compiler counts on
/// a return address above (System V ABI, 3.4.1), and stores whole vectors by it.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "call {reap}", reap = sym reap)
}

/// The kernel starts here.
#[cfg(target_arch = "aarch64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _start() -> ! {
    naked_asm!("mov x29, xzr", "bl {reap}", reap = sym reap)
}

/// Waits for the namespace's children for as long as the context lives.
extern "C" fn reap() -> ! {
    let waited_for = bit(SIGCHLD) | bit(SIGTERM);
    let set = &raw const waited_for as usize;
    // SAFETY: the name ends in a zero and has less than 16 bytes; the set has the 8 bytes that the kernel is told of.
    unsafe {
        call(number::PRCTL, PR_SET_NAME, c"vs-reaper".as_ptr() as usize, 0, 0);
        // Blocked signals are kept for process 1 even where the default would be to ignore them
        // (`kernel/signal.c:sig_ignored`).
        call(number::SIGPROCMASK, SIG_BLOCK, set, 0, size_of::<u64>());
    }
    loop {
        // Before each wait: children may have ended before the signals were blocked, and one signal can stand for many.
        // SAFETY: neither a status nor a usage is asked for.
        while unsafe { call(number::WAIT4, usize::MAX, 0, WNOHANG | WALL, 0) } > 0 {}
        let mut info = SignalInfo { number: 0, errno: 0, code: 0, padding: 0, sender: 0, rest: [0; 27] };
        // SAFETY: the set is as above, `info` has the 128 bytes of `siginfo_t`, and no time limit is given.
        let signal = unsafe { call(number::SIGTIMEDWAIT, set, &raw mut info as usize, 0, size_of::<u64>()) };
        if signal == SIGTERM as isize && info.code == SI_USER && info.sender == 0 {
            // SAFETY: takes a number and does not return.
            unsafe { call(number::EXIT_GROUP, 0, 0, 0, 0) };
        }
    }
}

/// Nothing here panics; the compiler wants to know what would happen.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        // SAFETY: takes a number and does not return.
        unsafe { call(number::EXIT_GROUP, 1, 0, 0, 0) };
    }
}

const _: () = assert!(size_of::<SignalInfo>() == 128);
