//! What one process can do to another: the operations that are tried between all pairs of contexts, each one system call.

use std::io;
use std::mem::{size_of, zeroed};

use libc::{c_int, c_long, pid_t};
use vs_common::hook::Hook;

use crate::compat::syscall32;
use crate::target::PAGE;

/// Whether an operation only looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// The spectator may.
    Read,
    /// The spectator may not.
    Change,
    /// No hook sees it: anybody with the number may. Published as such.
    Open,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Its name on the wire and in reports.
    pub name: &'static str,
    /// What it needs.
    pub access: Access,
    /// The hook that denies it to a guest.
    pub hook: Option<Hook>,
    /// The hook that denies it to the spectator, where that is another one.
    pub spectator_hook: Option<Hook>,
    /// What comes back when it is denied.
    pub denied: &'static [i32],
    /// What comes back to a guest that may: 0, unless a capability is missing inside.
    pub guest_allowed: &'static [i32],
    /// Does it; 0 or the errno.
    pub run: fn(pid_t) -> i32,
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn outcome(result: c_long) -> i32 {
    if result < 0 { errno() } else { 0 }
}

fn outcome32(result: i32) -> i32 {
    if (-4095..0).contains(&result) { -result } else { 0 }
}

macro_rules! call {
    ($number:expr $(, $argument:expr)*) => {
        // SAFETY: A system call on numbers and on live locals of the sizes it wants.
        outcome(unsafe { libc::syscall($number $(, $argument)*) })
    };
}

macro_rules! call32 {
    ($number:literal, $($argument:expr),*) => {{
        let mut arguments = [0_u32; 5];
        let given = [$($argument),*];
        arguments[..given.len()].copy_from_slice(&given);
        // SAFETY: Numbers only.
        outcome32(unsafe { syscall32($number, arguments) })
    }};
}

fn number(pid: pid_t) -> u32 {
    pid.cast_unsigned()
}

fn pidfd(pid: pid_t) -> Result<c_int, i32> {
    // SAFETY: Numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    c_int::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(errno)
}

fn queued_signal(pid: pid_t) -> libc::siginfo_t {
    // SAFETY: All zero bytes are a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { zeroed() };
    info.si_signo = libc::SIGURG;
    info.si_code = libc::SI_QUEUE;
    let _ = pid;
    info
}

fn remote_page(length: usize) -> libc::iovec {
    libc::iovec { iov_base: PAGE as *mut libc::c_void, iov_len: length }
}

fn transfer(call: c_long, pid: pid_t) -> i32 {
    let mut buffer = crate::target::PATTERN;
    let local = libc::iovec { iov_base: (&raw mut buffer).cast(), iov_len: size_of::<u64>() };
    let remote = remote_page(size_of::<u64>());
    call!(call, pid, &raw const local, 1_u64, &raw const remote, 1_u64, 0_u64)
}

fn attach(pid: pid_t) -> i32 {
    // SAFETY: PTRACE_ATTACH takes a number; waitpid may be given no status to write.
    unsafe {
        if libc::ptrace(libc::PTRACE_ATTACH, pid, 0, 0) < 0 {
            return errno();
        }
        libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL);
        libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
    }
    0
}

#[repr(C)]
#[derive(Clone, Copy)]
struct SchedulingAttributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

const BATCH: SchedulingAttributes = SchedulingAttributes {
    size: 48,
    policy: 3,
    flags: 0,
    nice: 5,
    priority: 0,
    runtime: 0,
    deadline: 0,
    period: 0,
};

const EPERM: &[i32] = &[libc::EPERM];
const ALLOWED: &[i32] = &[0];

const fn denied(name: &'static str, access: Access, hook: Hook, run: fn(pid_t) -> i32) -> Operation {
    Operation {
        name,
        access,
        hook: Some(hook),
        spectator_hook: Some(hook),
        denied: EPERM,
        guest_allowed: ALLOWED,
        run,
    }
}

const fn open(name: &'static str, run: fn(pid_t) -> i32) -> Operation {
    Operation {
        name,
        access: Access::Open,
        hook: None,
        spectator_hook: None,
        denied: ALLOWED,
        guest_allowed: ALLOWED,
        run,
    }
}

/// Every operation that takes a process's number.
pub const ALL: &[Operation] = &[
    denied("kill", Access::Change, Hook::TaskKill, |pid| call!(libc::SYS_kill, pid, libc::SIGURG)),
    denied("kill-0", Access::Change, Hook::TaskKill, |pid| call!(libc::SYS_kill, pid, 0)),
    denied("tkill", Access::Change, Hook::TaskKill, |pid| call!(libc::SYS_tkill, pid, libc::SIGURG)),
    denied("tgkill", Access::Change, Hook::TaskKill, |pid| call!(libc::SYS_tgkill, pid, pid, libc::SIGURG)),
    denied("sigqueue", Access::Change, Hook::TaskKill, |pid| {
        let info = queued_signal(pid);
        call!(libc::SYS_rt_sigqueueinfo, pid, libc::SIGURG, &raw const info)
    }),
    denied("tgsigqueue", Access::Change, Hook::TaskKill, |pid| {
        let info = queued_signal(pid);
        call!(libc::SYS_rt_tgsigqueueinfo, pid, pid, libc::SIGURG, &raw const info)
    }),
    denied("pidfd-send-signal", Access::Change, Hook::TaskKill, |pid| match pidfd(pid) {
        Ok(fd) => call!(libc::SYS_pidfd_send_signal, fd, libc::SIGURG, 0_u64, 0_u32),
        Err(errno) => errno,
    }),
    denied("kill-32", Access::Change, Hook::TaskKill, |pid| call32!(37, number(pid), 23)),
    denied("tgkill-32", Access::Change, Hook::TaskKill, |pid| call32!(270, number(pid), number(pid), 23)),
    denied("ptrace-attach", Access::Change, Hook::PtraceAccessCheck, attach),
    denied("ptrace-seize", Access::Change, Hook::PtraceAccessCheck, |pid| {
        // SAFETY: PTRACE_SEIZE takes numbers; the kernel lets go of the target when this process ends.
        outcome(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) })
    }),
    denied("ptrace-attach-32", Access::Change, Hook::PtraceAccessCheck, |pid| {
        let result = call32!(26, 16, number(pid), 0, 0);
        if result == 0 {
            // SAFETY: As in `attach`.
            unsafe {
                libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL);
                libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
            }
        }
        result
    }),
    denied("process-vm-readv", Access::Change, Hook::PtraceAccessCheck, |pid| {
        transfer(libc::SYS_process_vm_readv, pid)
    }),
    denied("process-vm-writev", Access::Change, Hook::PtraceAccessCheck, |pid| {
        transfer(libc::SYS_process_vm_writev, pid)
    }),
    denied("pidfd-getfd", Access::Change, Hook::PtraceAccessCheck, |pid| match pidfd(pid) {
        Ok(fd) => call!(libc::SYS_pidfd_getfd, fd, 0, 0),
        Err(errno) => errno,
    }),
    denied("kcmp", Access::Read, Hook::PtraceAccessCheck, |pid| {
        call!(libc::SYS_kcmp, std::process::id(), pid, 1, 0_u64, 0_u64)
    }),
    denied("get-robust-list", Access::Read, Hook::PtraceAccessCheck, |pid| {
        let (mut head, mut length) = (0_u64, 0_u64);
        call!(libc::SYS_get_robust_list, pid, &raw mut head, &raw mut length)
    }),
    Operation {
        // CAP_SYS_NICE is asked for after the memory is found, and no context has it. 7.x answers EPERM for a foreign memory, before EACCES.
        denied: &[libc::EACCES, libc::EPERM],
        guest_allowed: EPERM,
        // The spectator may look, which is all that the ptrace check wants here; the missing capability stops it.
        spectator_hook: None,
        ..denied("process-madvise", Access::Change, Hook::PtraceAccessCheck, |pid| match pidfd(pid) {
            Ok(fd) => {
                let range = remote_page(4096);
                call!(libc::SYS_process_madvise, fd, &raw const range, 1_u64, libc::MADV_COLD, 0_u32)
            }
            Err(errno) => errno,
        })
    },
    Operation {
        // To a guest the ptrace check comes first; the spectator may look, and meets the hook behind it.
        spectator_hook: Some(Hook::TaskMovememory),
        ..denied("move-pages", Access::Change, Hook::PtraceAccessCheck, |pid| {
            call!(libc::SYS_move_pages, pid, 0_u64, 0_u64, 0_u64, 0_u64, 2)
        })
    },
    denied("sched-getscheduler", Access::Read, Hook::TaskGetscheduler, |pid| {
        call!(libc::SYS_sched_getscheduler, pid)
    }),
    denied("sched-getparam", Access::Read, Hook::TaskGetscheduler, |pid| {
        let mut parameter = 0_i32;
        call!(libc::SYS_sched_getparam, pid, &raw mut parameter)
    }),
    denied("sched-getattr", Access::Read, Hook::TaskGetscheduler, |pid| {
        let mut attributes = BATCH;
        call!(libc::SYS_sched_getattr, pid, &raw mut attributes, 48_u32, 0_u32)
    }),
    denied("sched-getaffinity", Access::Read, Hook::TaskGetscheduler, |pid| {
        let mut mask = [0_u64; 16];
        call!(libc::SYS_sched_getaffinity, pid, size_of::<[u64; 16]>(), mask.as_mut_ptr())
    }),
    denied("sched-rr-get-interval", Access::Read, Hook::TaskGetscheduler, |pid| {
        let mut interval = [0_i64; 2];
        call!(libc::SYS_sched_rr_get_interval, pid, interval.as_mut_ptr())
    }),
    denied("sched-setscheduler", Access::Change, Hook::TaskSetscheduler, |pid| {
        let parameter = 0_i32;
        call!(libc::SYS_sched_setscheduler, pid, libc::SCHED_BATCH, &raw const parameter)
    }),
    denied("sched-setparam", Access::Change, Hook::TaskSetscheduler, |pid| {
        let parameter = 0_i32;
        call!(libc::SYS_sched_setparam, pid, &raw const parameter)
    }),
    denied("sched-setattr", Access::Change, Hook::TaskSetscheduler, |pid| {
        let attributes = BATCH;
        call!(libc::SYS_sched_setattr, pid, &raw const attributes, 0_u32)
    }),
    denied("sched-setaffinity", Access::Change, Hook::TaskSetscheduler, |pid| {
        let mask = [u64::MAX; 16];
        call!(libc::SYS_sched_setaffinity, pid, size_of::<[u64; 16]>(), mask.as_ptr())
    }),
    denied("setpriority", Access::Change, Hook::TaskSetnice, |pid| {
        call!(libc::SYS_setpriority, libc::PRIO_PROCESS, pid, 5)
    }),
    denied("setpriority-32", Access::Change, Hook::TaskSetnice, |pid| call32!(97, 0, number(pid), 5)),
    denied("ioprio-get", Access::Read, Hook::TaskGetioprio, |pid| call!(libc::SYS_ioprio_get, 1, pid)),
    denied("ioprio-set", Access::Change, Hook::TaskSetioprio, |pid| {
        call!(libc::SYS_ioprio_set, 1, pid, (2 << 13) | 4)
    }),
    denied("getpgid", Access::Read, Hook::TaskGetpgid, |pid| call!(libc::SYS_getpgid, pid)),
    denied("getpgid-32", Access::Read, Hook::TaskGetpgid, |pid| call32!(132, number(pid))),
    denied("getsid", Access::Read, Hook::TaskGetsid, |pid| call!(libc::SYS_getsid, pid)),
    denied("prlimit-set", Access::Change, Hook::TaskSetrlimit, |pid| {
        let limit = [0_u64; 2];
        call!(libc::SYS_prlimit64, pid, libc::RLIMIT_NICE, limit.as_ptr(), 0_u64)
    }),
    Operation {
        // The kernel keeps it to the caller's children, whoever asks.
        denied: &[libc::ESRCH],
        guest_allowed: &[libc::ESRCH],
        ..open("setpgid", |pid| call!(libc::SYS_setpgid, pid, 0))
    },
    open("prlimit-get", |pid| {
        let mut limit = [0_u64; 2];
        call!(libc::SYS_prlimit64, pid, libc::RLIMIT_CORE, 0_u64, limit.as_mut_ptr())
    }),
    open("getpriority", |pid| call!(libc::SYS_getpriority, libc::PRIO_PROCESS, pid)),
    open("pidfd-open", |pid| pidfd(pid).err().unwrap_or(0)),
];

/// The operation of this name.
pub fn by_name(name: &str) -> Option<&'static Operation> {
    ALL.iter().find(|operation| operation.name == name)
}
