//! The system calls behind entry that no crate wraps, each as a function that is safe to call, or that says when it is not.
//!
//! A process that forks here has one thread: [`SingleThreaded`] is the proof, and [`fork`] asks for it. What runs between
//! `fork` and `execve` in the child may then allocate and lock like any other code.

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use super::processes;

/// Proof that this process had one thread when it was asked. Only that thread can start another, and nothing here does.
#[derive(Clone, Copy, Debug)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// Counts the threads of this process.
    ///
    /// # Errors
    /// `/proc` cannot be read, or there is more than one thread.
    pub fn check() -> io::Result<Self> {
        let threads = fs::read_dir("/proc/self/task")?.count();
        if threads == 1 {
            Ok(Self(()))
        } else {
            Err(io::Error::other(format!(
                "{threads} threads where one is needed: a tag is given to one thread"
            )))
        }
    }
}

/// Ends the process should its code unwind: the frames below belong to the parent, whose work must not run twice.
struct NoUnwinding;

impl Drop for NoUnwinding {
    fn drop(&mut self) {
        exit_now(125);
    }
}

fn run_to_the_end(child: impl FnOnce() -> u8) -> ! {
    let _guard = NoUnwinding;
    let status = child();
    exit_now(status)
}

/// Ends the process without running what its parent left to be run at exit.
pub(super) fn exit_now(status: u8) -> ! {
    // SAFETY: `_exit` takes any status and never returns; it touches no memory of ours.
    unsafe { libc::_exit(i32::from(status)) }
}

fn positive(number: libc::c_long) -> io::Result<Pid> {
    let pid = i32::try_from(number).ok().and_then(processes::pid);
    pid.ok_or_else(|| io::Error::other("the kernel gave no process id for the child"))
}

/// Makes a child that runs `child` and ends with what it returns.
///
/// # Errors
/// The kernel refused.
pub(super) fn fork(_: SingleThreaded, child: impl FnOnce() -> u8) -> io::Result<Pid> {
    // SAFETY: this process has one thread (the token), so no lock is held by a thread that the child does not have, and the
    // child may run any code. It leaves only through `_exit` or `execve`.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => run_to_the_end(child),
        pid => positive(pid.into()),
    }
}

/// Makes a sibling: a child of this process's own parent, which alone can wait for it. Its PID namespace is the one that this
/// process chose for its children.
///
/// # Errors
/// The kernel refused: `ENOMEM` where the PID namespace has lost its first process, `EPERM` where the context is being stopped.
pub(super) fn clone_sibling(_: SingleThreaded, child: impl FnOnce() -> u8) -> io::Result<Pid> {
    let flags = libc::c_long::from(libc::CLONE_PARENT | libc::SIGCHLD);
    // SAFETY: without CLONE_VM the child gets a copy of this memory and stack, as with fork; the zeros are the stack (same),
    // and the unused places for thread ids and thread-local storage, in whatever order the architecture takes them. One thread,
    // as above.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        0 => run_to_the_end(child),
        pid => positive(pid),
    }
}

/// Moves this process's mount tree, and the PID namespace of its future children, into new namespaces.
///
/// # Errors
/// The kernel refused.
pub(super) fn unshare(_: SingleThreaded, flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES), "descriptors must stay shared by all threads");
    // SAFETY: rustix asks that no thread loses sight of another's descriptors: there is one thread, and FILES is not among the
    // flags.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// Closes every descriptor from `first` on, except `kept`.
///
/// # Safety
/// Nobody in this process may use, or close, one of these descriptors afterwards: it must be about to execute or to end.
///
/// # Errors
/// The kernel refused.
pub(super) unsafe fn close_from(first: RawFd, kept: Option<RawFd>) -> io::Result<()> {
    let close = |from: RawFd, to: libc::c_uint| -> io::Result<()> {
        let from = libc::c_uint::try_from(from).map_err(io::Error::other)?;
        if from > to {
            return Ok(());
        }
        // SAFETY: takes numbers only; that nobody uses the descriptors afterwards is our own caller's promise.
        check(unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) })
    };
    match kept {
        Some(kept) if kept >= first => {
            let kept_number = libc::c_uint::try_from(kept).map_err(io::Error::other)?;
            if kept > first {
                close(first, kept_number - 1)?;
            }
            close(kept + 1, libc::c_uint::MAX)
        }
        _ => close(first, libc::c_uint::MAX),
    }
}

fn check(answer: libc::c_long) -> io::Result<()> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets attributes (`MOUNT_ATTR_*`) on a mount, and on all below it if `is_recursive`.
///
/// # Errors
/// The kernel refused.
pub(super) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    attributes: u64,
    is_recursive: bool,
) -> io::Result<()> {
    let request = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let recursive = if is_recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty string and the structure lives until the call returns; its size is the one passed.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const request,
            size_of::<libc::mount_attr>(),
        )
    })
}

/// The kind of namespace (`CLONE_NEW*`) that a namespace file stands for.
///
/// # Errors
/// The descriptor is not a namespace file.
pub(super) fn namespace_type(file: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    // SAFETY: NS_GET_NSTYPE takes no argument and writes nothing.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::NS_GET_NSTYPE) } {
        -1 => Err(io::Error::last_os_error()),
        kind => Ok(kind),
    }
}

/// Gives this process a new session keyring without a name, which no other process has.
///
/// # Errors
/// The kernel refused. A kernel without keyrings has none to share: that is no error.
pub(super) fn join_new_session_keyring() -> io::Result<()> {
    // SAFETY: a null name asks for an anonymous keyring; the kernel reads and writes no memory of ours.
    let answer =
        unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, ptr::null::<c_char>()) };
    match check(answer) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        result => result,
    }
}

/// Gives every signal its default disposition and blocks none.
///
/// # Errors
/// The kernel refused to change a disposition that may be changed.
pub(super) fn reset_signals() -> io::Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: a zeroed `sigaction` is SIG_DFL with no flags and an empty mask.
        let default: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: the new disposition lives until the call returns, and the old one is not asked for.
        if unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) } == -1 {
            let error = io::Error::last_os_error();
            // KILL and STOP cannot be changed, nor the two that the C library keeps for its threads (below SIGRTMIN).
            if error.raw_os_error() != Some(libc::EINVAL) {
                return Err(error);
            }
        }
    }
    // SAFETY: `sigemptyset` initialises the set it is given.
    let none = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        set
    };
    // SAFETY: the set is initialised and lives until the call returns.
    match unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Strings as `execve` takes them.
#[derive(Debug)]
pub(super) struct StringArray {
    strings: Vec<CString>,
}

impl StringArray {
    /// Owns the strings.
    pub(super) fn new(strings: Vec<CString>) -> Self {
        Self { strings }
    }

    /// The strings.
    pub(super) fn strings(&self) -> &[CString] {
        &self.strings
    }

    fn pointers(&self) -> Vec<*const c_char> {
        self.strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
    }
}

/// Executes a file by its path. Returns only if that failed.
pub(super) fn execute(path: &CStr, arguments: &StringArray, environment: &StringArray) -> io::Error {
    let (arguments, environment) = (arguments.pointers(), environment.pointers());
    // SAFETY: both arrays end in a null pointer, and the strings they point to are borrowed until the call returns.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Executes an open file. Returns only if that failed.
///
/// # Errors
/// Always, with the kernel's answer.
pub(super) fn execute_descriptor(
    file: impl AsFd,
    arguments: &StringArray,
    environment: &StringArray,
) -> io::Result<Infallible> {
    let (arguments, environment) = (arguments.pointers(), environment.pointers());
    // SAFETY: as above; the path is an empty string, which AT_EMPTY_PATH allows.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_fd().as_raw_fd(),
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Err(io::Error::last_os_error())
}
