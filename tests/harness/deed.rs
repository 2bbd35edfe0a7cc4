//! Single acts that have no process as their target: what a context's root tries against the kernel and the enforcement.
//!
//! A deed is a line of words: its name, then its arguments. Each runs in a process of its own and comes to 0 or an errno.

use std::ffi::CString;
use std::io;

use libc::{c_int, c_long};

use crate::compat::syscall32;
use crate::handover;

pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

pub(crate) fn outcome(result: c_long) -> i32 {
    if result < 0 { errno() } else { 0 }
}

pub(crate) fn text(word: &str) -> CString {
    CString::new(word).unwrap_or_default()
}

fn number(word: &str) -> i64 {
    word.parse().unwrap_or(-1)
}

fn open_flags(word: &str) -> c_int {
    match word {
        "read" => libc::O_RDONLY,
        "write" => libc::O_WRONLY,
        "path" => libc::O_PATH,
        _ => libc::O_RDWR,
    }
}

/// A system call by libc's name for it.
macro_rules! call {
    ($call:expr) => {
        // SAFETY: Strings are made for the call, end in a zero and live through it; all else is a number or a live local.
        $crate::deed::outcome(std::ffi::c_long::from(unsafe { $call }))
    };
}
pub(crate) use call;

/// Does a deed; 0 or the errno; `None`: there is none of that name.
pub fn run(words: &[&str]) -> Option<i32> {
    Some(match *words {
        ["bpf", command] => {
            let attribute = [0_u8; 128];
            call!(libc::syscall(libc::SYS_bpf, number(command), attribute.as_ptr(), attribute.len()))
        }
        ["open", flags, path] => call!(libc::open(text(path).as_ptr(), open_flags(flags) | libc::O_CLOEXEC)),
        ["unlink", path] => call!(libc::unlink(text(path).as_ptr())),
        ["rmdir", path] => call!(libc::rmdir(text(path).as_ptr())),
        ["mkdir", path] => call!(libc::mkdir(text(path).as_ptr(), 0o700)),
        ["chmod", path] => call!(libc::chmod(text(path).as_ptr(), 0o777)),
        ["chown", path] => call!(libc::chown(text(path).as_ptr(), 0, 0)),
        ["truncate", path] => call!(libc::truncate(text(path).as_ptr(), 0)),
        ["rename", from, to] => call!(libc::rename(text(from).as_ptr(), text(to).as_ptr())),
        ["symlink", to, path] => call!(libc::symlink(text(to).as_ptr(), text(path).as_ptr())),
        ["link", from, to] => call!(libc::link(text(from).as_ptr(), text(to).as_ptr())),
        ["mount", kind, path] => mount(kind, path, kind, 0),
        ["bind-mount", from, to] => mount(from, to, "", libc::MS_BIND),
        ["umount", path] => call!(libc::umount2(text(path).as_ptr(), libc::MNT_DETACH)),
        ["unshare", flags] => call!(libc::syscall(libc::SYS_unshare, number(flags))),
        ["set-host-name"] => call!(libc::sethostname(c"guest".as_ptr(), 5)),
        ["socket", family, kind, protocol] => {
            call!(libc::syscall(libc::SYS_socket, number(family), number(kind), number(protocol)))
        }
        ["traceme"] => call!(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0)),
        ["kill-all"] => call!(libc::kill(-1, libc::SIGURG)),
        ["kill-group", group] => call!(libc::syscall(libc::SYS_kill, -number(group), libc::SIGURG)),
        ["setpriority-user"] => call!(libc::syscall(libc::SYS_setpriority, libc::PRIO_USER, 0, 7)),
        ["own-standard-input"] => call!(libc::fcntl(0, libc::F_SETOWN, libc::getpid())),
        ["kill-many", pid, times] => {
            let mut result = 0;
            for _ in 0..number(times) {
                result = call!(libc::syscall(libc::SYS_kill, number(pid), 0));
            }
            result
        }
        ["kill-storm", pid, times] => {
            storm(number(times), || call!(libc::syscall(libc::SYS_kill, number(pid), 0)))
        }
        ["received", how, path] => handover::use_received(how, path),
        ["received-own", directory, path] => handover::use_own(directory, path),
        ["fork"] => fork_once(),
        ["thread"] => match std::thread::Builder::new().spawn(|| ()).map(std::thread::JoinHandle::join) {
            Ok(_) => 0,
            Err(error) => error.raw_os_error().unwrap_or(255),
        },
        ["set-owner", how, pid, signal] => set_owner(how, number(pid), number(signal)),
        _ => {
            return crate::capability_deed::run(words)
                .or_else(|| crate::file_deed::run(words))
                .or_else(|| crate::climb_deed::run(words));
        }
    })
}

/// Opens, looks at or reads the link at a path below a directory.
pub(crate) fn below(directory: c_int, how: &str, path: &str) -> i32 {
    let path = text(path);
    let mut buffer = [0_u8; 256];
    // SAFETY: All zero bytes are a valid stat.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    match how {
        "stat" => call!(libc::fstatat(directory, path.as_ptr(), &raw mut status, libc::AT_SYMLINK_NOFOLLOW)),
        // The call by number: the C library's gives another type than the rest.
        "readlink" => {
            call!(libc::syscall(
                libc::SYS_readlinkat,
                directory,
                path.as_ptr(),
                buffer.as_mut_ptr(),
                buffer.len()
            ))
        }
        _ => call!(libc::openat(directory, path.as_ptr(), open_flags(how) | libc::O_CLOEXEC)),
    }
}

fn mount(from: &str, to: &str, kind: &str, flags: libc::c_ulong) -> i32 {
    let (from, to, kind) = (text(from), text(to), text(kind));
    call!(libc::mount(from.as_ptr(), to.as_ptr(), kind.as_ptr(), flags, std::ptr::null()))
}

fn fork_once() -> i32 {
    // SAFETY: The child does nothing but end.
    match unsafe { libc::fork() } {
        -1 => errno(),
        0 => {
            // SAFETY: Ends this process.
            unsafe { libc::_exit(0) }
        }
        child => {
            // SAFETY: No status is wanted.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            0
        }
    }
}

/// Has many children each try something once, as fast as they come and go; gives what all of them got, or 254 if they disagree.
fn storm(children: i64, act: impl Fn() -> i32) -> i32 {
    let mut result = None;
    for _ in 0..children {
        // SAFETY: The child does one thing and ends by `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let errno = act();
            // SAFETY: Ends this process.
            unsafe { libc::_exit(errno) }
        }
        let mut status = 0;
        // SAFETY: `status` is a live local.
        if child < 0 || unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {
            return errno();
        }
        let errno = libc::WEXITSTATUS(status);
        if *result.get_or_insert(errno) != errno {
            return 254;
        }
    }
    result.unwrap_or(0)
}

/// `struct f_owner_ex`.
#[repr(C)]
struct Owner {
    kind: i32,
    pid: i32,
}

/// Gives one end of a socket pair an owner, then makes it ready, so that the kernel signals the owner. What the owner got, only the owner
/// knows; 0 is that all calls went through.
fn set_owner(how: &str, pid: i64, signal: i64) -> i32 {
    let mut pair = [0_i32; 2];
    // SAFETY: `pair` has room for two descriptors. Below: numbers, and a live local as pointer.
    unsafe {
        if libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()) < 0 {
            return errno();
        }
        let owned = pair[0];
        let Ok(pid) = i32::try_from(pid) else { return libc::EINVAL };
        let process = Owner { kind: 1, pid };
        let set = match how {
            "fcntl" => outcome(libc::fcntl(owned, libc::F_SETOWN, pid).into()),
            "fcntl-ex" => outcome(libc::fcntl(owned, 15, &raw const process).into()),
            "ioctl" => outcome(libc::ioctl(owned, 0x8901, &raw const pid).into()),
            "ioctl-group" => outcome(libc::ioctl(owned, 0x8902, &raw const pid).into()),
            "ioctl-32" => {
                let page = libc::mmap(
                    std::ptr::null_mut(),
                    4096,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
                    -1,
                    0,
                );
                page.cast::<i32>().write(pid);
                let address = u32::try_from(page as usize).unwrap_or(0);
                let result = syscall32(54, [owned.cast_unsigned(), 0x8901, address, 0, 0]);
                if result < 0 { -result } else { 0 }
            }
            _ => libc::EINVAL,
        };
        if set != 0 {
            return set;
        }
        let Ok(signal) = i32::try_from(signal) else { return libc::EINVAL };
        if libc::fcntl(owned, 10, signal) < 0 || libc::fcntl(owned, libc::F_SETFL, libc::O_ASYNC) < 0 {
            return errno();
        }
        outcome(libc::write(pair[1], c"x".as_ptr().cast(), 1).try_into().unwrap_or(-1))
    }
}
