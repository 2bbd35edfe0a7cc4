//! Ways out of a root: what has led past a changed root before, one step short of what a barrier is to stop.

use std::ffi::{CString, c_int};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use crate::deed::{call, errno, text};

/// A directory inside that becomes a root within the root, so that what was opened before lies outside of it.
const INNER: &str = "/tmp/vs-inner";
/// Higher than any root is deep.
const STEPS: usize = 64;

/// Climbs, from a root that is a directory of the host's tree or from where the actor is: 0 if the marker is reached, or the way's last step
/// goes, else the errno. `None`: there is no such way.
pub(crate) fn run(words: &[&str]) -> Option<i32> {
    match *words {
        ["climb-out", way, marker] => Some(climb(way, marker)),
        // Whoever is in no root yet.
        ["climb-out", way, marker, root] => Some(match enter(root) {
            0 => climb(way, marker),
            errno => errno,
        }),
        _ => None,
    }
}

fn enter(root: &str) -> i32 {
    match call!(libc::chroot(text(root).as_ptr())) {
        0 => call!(libc::chdir(c"/".as_ptr())),
        errno => errno,
    }
}

fn open_at(directory: c_int, path: &str, flags: c_int) -> Result<OwnedFd, i32> {
    // SAFETY: A string that ends in a zero.
    let file = unsafe { libc::openat(directory, text(path).as_ptr(), flags | libc::O_CLOEXEC) };
    if file < 0 {
        return Err(errno());
    }
    // SAFETY: Just opened, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(file) })
}

fn reached(directory: c_int, path: &str, flags: c_int) -> i32 {
    open_at(directory, path, flags).map_or_else(|errno| errno, |_| 0)
}

fn climb(way: &str, marker: &str) -> i32 {
    outside(way, marker).unwrap_or_else(|errno| errno)
}

/// Stands at the old root, outside of a new one, and goes on from there.
fn outside(way: &str, marker: &str) -> Result<i32, i32> {
    let old = open_at(libc::AT_FDCWD, "/", libc::O_PATH | libc::O_DIRECTORY)?;
    // It may be there from an earlier try.
    let _ = std::fs::create_dir(INNER);
    match call!(libc::chroot(text(INNER).as_ptr())) {
        0 => {}
        errno => return Err(errno),
    }
    let up = "../".repeat(STEPS);
    let marker = marker.trim_start_matches('/');
    let above = || open_at(old.as_raw_fd(), "..", libc::O_PATH | libc::O_DIRECTORY);
    Ok(match way {
        "at-once" => reached(old.as_raw_fd(), &format!("{up}{marker}"), libc::O_RDONLY),
        "step-by-step" => {
            match call!(libc::fchdir(old.as_raw_fd())) {
                0 => {}
                errno => return Err(errno),
            }
            for _ in 0..STEPS {
                match call!(libc::chdir(c"..".as_ptr())) {
                    0 => {}
                    errno => return Err(errno),
                }
            }
            match call!(libc::chroot(c".".as_ptr())) {
                0 => reached(libc::AT_FDCWD, marker, libc::O_RDONLY),
                errno => errno,
            }
        }
        "open-above" => reached(old.as_raw_fd(), "..", libc::O_RDONLY | libc::O_DIRECTORY),
        "change-above" => call!(libc::fchdir(above()?.as_raw_fd())),
        "path-above" => reached(above()?.as_raw_fd(), "..", libc::O_PATH),
        "down-from-above" => reached(above()?.as_raw_fd(), "a", libc::O_PATH),
        "make-above" => {
            let name: CString = text("vs-made");
            match call!(libc::mkdirat(above()?.as_raw_fd(), name.as_ptr(), 0o700)) {
                0 => call!(libc::unlinkat(above()?.as_raw_fd(), name.as_ptr(), libc::AT_REMOVEDIR)),
                errno => errno,
            }
        }
        "rename-above" => call!(libc::renameat(
            above()?.as_raw_fd(),
            c"none".as_ptr(),
            above()?.as_raw_fd(),
            c"nothing".as_ptr()
        )),
        _ => libc::EINVAL,
    })
}
