//! System calls that rustix has no function for, as bare as its own.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;

use libc::{c_int, c_long, c_void};
use rustix::io::Errno;
use rustix::process::Pid;

/// `IOPRIO_WHO_PROCESS` of `include/uapi/linux/ioprio.h`.
const IOPRIO_WHO_PROCESS: c_int = 1;
/// More than any capability's number (`linux/capability.h:CAP_LAST_CAP`).
const NO_CAPABILITY: c_int = 255;
/// More than any command's number (`enum bpf_cmd`).
const NO_COMMAND: c_int = 9999;

fn result(answer: c_long) -> Result<(), Errno> {
    if answer >= 0 {
        return Ok(());
    }
    // SAFETY: The thread's own variable, which libc has just set.
    Err(Errno::from_raw_os_error(unsafe { *libc::__errno_location() }))
}

/// `sched_getscheduler(2)`.
pub(crate) fn sched_getscheduler(pid: Pid) -> Result<(), Errno> {
    // SAFETY: Takes a number and touches no memory of ours.
    result(unsafe { libc::syscall(libc::SYS_sched_getscheduler, pid.as_raw_pid()) })
}

/// `ioprio_get(2)`.
pub(crate) fn ioprio_get(pid: Pid) -> Result<(), Errno> {
    // SAFETY: Takes numbers and touches no memory of ours.
    result(unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, pid.as_raw_pid()) })
}

/// Reads eight bytes of another process with `process_vm_readv(2)`.
pub(crate) fn process_vm_readv(pid: Pid, address: usize) -> Result<(), Errno> {
    let mut word = 0_u64;
    let local = libc::iovec { iov_base: (&raw mut word).cast(), iov_len: size_of::<u64>() };
    let remote =
        libc::iovec { iov_base: ptr::without_provenance_mut::<c_void>(address), iov_len: size_of::<u64>() };
    // SAFETY: Both vectors are live and one long; only `word`, of the length given, is written, and the other address is not ours.
    result(unsafe { libc::process_vm_readv(pid.as_raw_pid(), &raw const local, 1, &raw const remote, 1, 0) }
        as c_long)
}

/// `prctl(PR_CAPBSET_DROP)` of a capability that there is not.
pub(crate) fn drop_no_capability() -> Result<(), Errno> {
    // SAFETY: Takes numbers and touches no memory of ours.
    result(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, NO_CAPABILITY, 0, 0, 0) }.into())
}

/// Makes this process the owner of a file, for SIGIO, with `fcntl(F_SETOWN)`.
pub(crate) fn set_owner(file: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: Takes numbers and touches no memory of ours; the descriptor is open.
    result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETOWN, libc::getpid()) }.into())
}

/// Has the owner of a file signalled when it is ready, and ignores the signal.
pub(crate) fn signal_owner(file: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: Ignoring a signal runs no code of ours. The descriptor is open, and its flags take no memory.
    unsafe {
        libc::signal(libc::SIGIO, libc::SIG_IGN);
        result(libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_ASYNC).into())
    }
}

/// A command of `bpf(2)` that there is not.
pub(crate) fn bpf_no_command() -> Result<(), Errno> {
    let attributes = [0_u64; 4];
    // SAFETY: The kernel reads the attributes, which are live and of the size given, and does nothing with them.
    result(unsafe { libc::syscall(libc::SYS_bpf, NO_COMMAND, attributes.as_ptr(), size_of_val(&attributes)) })
}

/// Has every program that this process and its children execute from now on lie at the same addresses.
///
/// What a fork costs hangs on how many tables map the parent's memory, and that on where the kernel happened to put it.
pub(crate) fn fix_addresses() -> Result<(), Errno> {
    // SAFETY: Changes how later programs are laid out, and nothing of this one.
    result(unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) }.into())
}

/// Makes a child that exits at once, or executes a program, and waits for it.
pub(crate) fn child(program: Option<&CStr>) -> Result<(), Errno> {
    // SAFETY: This process has one thread, so the child may do anything; it makes one or two system calls.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: The program's name is a live string, and both lists end with a null pointer. `_exit` does not return.
        unsafe {
            if let Some(program) = program {
                let arguments = [program.as_ptr(), ptr::null()];
                libc::execve(program.as_ptr(), arguments.as_ptr(), arguments[1..].as_ptr());
                libc::_exit(1);
            }
            libc::_exit(0);
        }
    }
    result(pid.into())?;
    let mut status = 0;
    // SAFETY: Writes the status into a live local.
    result(unsafe { libc::waitpid(pid, &raw mut status, 0) }.into())?;
    if status == 0 { Ok(()) } else { Err(Errno::CHILD) }
}
