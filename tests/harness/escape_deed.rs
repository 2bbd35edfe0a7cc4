//! Ways out of a confinement that have led out of others: out of chroots, of Linux-VServer, LXC, runc, OpenVZ and jails. Each comes to 0 if it
//! leads out: if it finds a file of the host's, the marker.

use std::collections::HashSet;
use std::ffi::c_int;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use crate::deed::{call, errno, text};
use crate::file_deed::{open, opened};

/// Does a deed; 0 or the errno; `None`: there is none of that name.
pub fn run(words: &[&str]) -> Option<i32> {
    Some(match *words {
        ["chroot", root, ref deed @ ..] => match jail(root) {
            0 => return crate::deed::run(deed),
            errno => errno,
        },
        ["saved-descriptor", marker] => saved_descriptor(marker),
        ["climb", directory, marker, milliseconds] => climb(directory, marker, milliseconds),
        ["from-here", marker] => opened(&format!("{}{marker}", up()), libc::O_RDONLY),
        ["links", marker, first, last] => links(marker, first, last),
        ["pivot-root", directory] => pivot_root(directory),
        ["join", path] => match open(path, libc::O_RDONLY) {
            Ok(namespace) => call!(libc::setns(namespace.as_raw_fd(), 0)),
            Err(errno) => errno,
        },
        ["swap", one, other, milliseconds] => swap(one, other, milliseconds),
        ["overwrite-executables", name, milliseconds] => overwrite_executables(name, milliseconds),
        ["trace-all", name, milliseconds] => trace_all(name, milliseconds),
        _ => return None,
    })
}

fn up() -> String {
    "../".repeat(64)
}

fn until(milliseconds: &str) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds.parse().unwrap_or(0))
}

fn jail(root: &str) -> i32 {
    match call!(libc::chroot(text(root).as_ptr())) {
        0 => call!(libc::chdir(c"/".as_ptr())),
        errno => errno,
    }
}

/// A descriptor from before a chroot is a way back past it.
fn saved_descriptor(marker: &str) -> i32 {
    let root = match open("/", libc::O_RDONLY | libc::O_DIRECTORY) {
        Ok(root) => root,
        Err(errno) => return errno,
    };
    // It may be there from an earlier try.
    let _ = fs::create_dir("/tmp/vs-jail");
    for errno in [
        jail("/tmp/vs-jail"),
        call!(libc::fchdir(root.as_raw_fd())),
        call!(libc::chdir(text(&up()).as_ptr())),
        call!(libc::chroot(c".".as_ptr())),
    ] {
        if errno != 0 {
            return errno;
        }
    }
    opened(marker, libc::O_RDONLY)
}

/// Goes up from a directory for a while, in which somebody outside may move it: whoever stands in what is moved out of his root stands
/// outside of it.
fn climb(directory: &str, marker: &str, milliseconds: &str) -> i32 {
    match call!(libc::chdir(text(directory).as_ptr())) {
        0 => {}
        errno => return errno,
    }
    let (end, path) = (until(milliseconds), format!("{}{marker}", up()));
    loop {
        let found = opened(&path, libc::O_RDONLY);
        if found == 0 || Instant::now() > end {
            return found;
        }
    }
}

/// Follows the links that `/proc` has to what processes are in, and have open.
fn links(marker: &str, first: &str, last: &str) -> i32 {
    let (first, last): (u32, u32) = (first.parse().unwrap_or(1), last.parse().unwrap_or(1));
    let mut found = libc::ENOENT;
    for pid in first..=last {
        for link in ["root", "cwd", "fd/3", "fd/4", "fd/5"] {
            let path = format!("/proc/{pid}/{link}/{}{marker}", up());
            match opened(&path, libc::O_RDONLY) {
                0 => return 0,
                errno => found = errno,
            }
        }
    }
    found
}

/// Makes another directory the root, where that can be done in a mount namespace of one's own.
fn pivot_root(directory: &str) -> i32 {
    let directory = text(directory);
    // What comes of these is seen in the end.
    let _ = call!(libc::unshare(libc::CLONE_NEWNS));
    let private = libc::MS_PRIVATE | libc::MS_REC;
    let _ = call!(libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null()));
    let path = directory.as_ptr();
    let _ = call!(libc::mount(path, path, std::ptr::null(), libc::MS_BIND, std::ptr::null()));
    let _ = call!(libc::chdir(path));
    call!(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))
}

/// Exchanges two names, over and over.
fn swap(one: &str, other: &str, milliseconds: &str) -> i32 {
    let (one, other, end) = (text(one), text(other), until(milliseconds));
    let here = libc::AT_FDCWD;
    while Instant::now() < end {
        let errno = call!(libc::renameat2(here, one.as_ptr(), here, other.as_ptr(), libc::RENAME_EXCHANGE));
        if errno != 0 {
            return errno;
        }
    }
    0
}

/// The numbers of the processes that are seen.
fn processes() -> Vec<c_int> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The program of a process, if it has this one.
fn program_of(pid: c_int, name: &str) -> Option<String> {
    let path = format!("/proc/{pid}/exe");
    fs::read_link(&path).is_ok_and(|program| program.to_string_lossy().contains(name)).then_some(path)
}

/// Waits for processes with a program, and writes to it when they have ended: 0 if it could, 255 if none came.
fn overwrite_executables(name: &str, milliseconds: &str) -> i32 {
    let (end, mut found) = (until(milliseconds), 255);
    while Instant::now() < end {
        for pid in processes() {
            // Held without being open, it is not gone with its process.
            let Some(Ok(program)) = program_of(pid, name).map(|path| open(&path, libc::O_PATH)) else {
                continue;
            };
            let is_alive = || fs::metadata(format!("/proc/{pid}")).is_ok();
            while is_alive() && Instant::now() < end {}
            let link = format!("/proc/self/fd/{}", program.as_raw_fd());
            // Others may run it still.
            while Instant::now() < end {
                found = match open(&link, libc::O_WRONLY) {
                    Ok(program) => {
                        let (file, byte) = (program.as_raw_fd(), c"x".as_ptr());
                        call!(libc::syscall(libc::SYS_write, file, byte, 1_usize))
                    }
                    Err(errno) => errno,
                };
                if found != libc::ETXTBSY {
                    return found;
                }
            }
        }
    }
    found
}

/// Tries to trace whoever comes: 0 if somebody with a program was traced.
fn trace_all(name: &str, milliseconds: &str) -> i32 {
    let end = until(milliseconds);
    let before = processes();
    let mut found = libc::ESRCH;
    let mut traced = HashSet::new();
    while Instant::now() < end {
        for pid in processes().into_iter().filter(|pid| !before.contains(pid)) {
            // SAFETY: Numbers only; who was traced goes on when this process ends.
            if traced.contains(&pid) || unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) } == 0 {
                // It may have been caught before it executes its program.
                traced.insert(pid);
                if program_of(pid, name).is_some() {
                    return 0;
                }
            } else {
                found = errno();
            }
        }
    }
    found
}
