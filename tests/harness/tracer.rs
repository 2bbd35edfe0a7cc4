//! A small strace: runs a command under its eyes and lets it do what it wants.

use std::ffi::CString;
use std::io;

/// Runs a command as a tracee, and with it, if wanted, all that it forks; its status as a shell tells it. What it leaves behind goes on
/// without a tracer.
///
/// # Errors
/// The kernel refused a step.
pub fn trace(words: &[String], is_following: bool) -> io::Result<u8> {
    let strings: Vec<CString> =
        words.iter().map(|word| CString::new(word.as_bytes())).collect::<Result<_, _>>()?;
    let mut arguments: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
    arguments.push(std::ptr::null());
    // SAFETY: One thread. The child makes system calls with strings that end in a zero, in an array that ends in a null pointer.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: As above.
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::execvp(arguments[0], arguments.as_ptr());
            libc::_exit(127);
        }
    }
    let options = if is_following {
        libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK | libc::PTRACE_O_TRACECLONE
    } else {
        0
    };
    let mut is_first_stop = true;
    loop {
        let mut status = 0;
        // SAFETY: A live local.
        let stopped = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
        if stopped < 0 {
            return Err(io::Error::last_os_error());
        }
        if stopped == child && libc::WIFEXITED(status) {
            return Ok(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX));
        }
        if stopped == child && libc::WIFSIGNALED(status) {
            return Ok(128 + u8::try_from(libc::WTERMSIG(status)).unwrap_or(0));
        }
        if libc::WIFSTOPPED(status) {
            // A stop of ptrace's own is no signal to deliver; one that a new tracee begins with is none either.
            let signal = match libc::WSTOPSIG(status) {
                libc::SIGTRAP | libc::SIGSTOP => 0,
                signal => signal,
            };
            // SAFETY: Numbers only. A tracee that was killed meanwhile refuses, and is heard of by the next wait.
            unsafe {
                if stopped == child && is_first_stop {
                    libc::ptrace(libc::PTRACE_SETOPTIONS, stopped, 0, options);
                    is_first_stop = false;
                }
                libc::ptrace(libc::PTRACE_CONT, stopped, 0, signal);
            }
        }
    }
}
