//! What one process can do to another through files: `/proc/PID` and what lies below it.

use std::ffi::CString;
use std::io;

use libc::{c_int, pid_t};

/// One operation on a path below `/proc/PID`.
#[derive(Clone, Copy, Debug)]
pub struct PathOperation {
    /// Its name on the wire and in reports.
    pub name: &'static str,
    /// Does it; 0 or the errno.
    pub run: fn(pid_t) -> i32,
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn path(pid: pid_t, below: &str) -> CString {
    CString::new(format!("/proc/{pid}{below}")).unwrap_or_default()
}

fn open(path: &CString, flags: c_int) -> i32 {
    // SAFETY: The path ends in a zero and lives through the call.
    let fd = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) };
    if fd < 0 {
        return errno();
    }
    // SAFETY: Just opened, and nobody else's.
    unsafe { libc::close(fd) };
    0
}

fn stat(path: &CString, flags: c_int) -> i32 {
    // SAFETY: All zero bytes are a valid stat; the path ends in a zero.
    unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        if libc::fstatat(libc::AT_FDCWD, path.as_ptr(), &raw mut status, flags) < 0 { errno() } else { 0 }
    }
}

fn read_link(path: &CString) -> i32 {
    let mut buffer = [0_u8; 256];
    // SAFETY: The buffer is live and its length is given.
    if unsafe { libc::readlink(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) } < 0 {
        errno()
    } else {
        0
    }
}

/// Opens a file below a directory that was opened with `O_PATH`, which no hook sees.
fn open_below(pid: pid_t, name: &str, flags: c_int) -> i32 {
    let Ok(name) = CString::new(name) else { return libc::EINVAL };
    // SAFETY: Paths end in a zero; the descriptors are this function's own.
    unsafe {
        let directory = libc::open(path(pid, "").as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
        if directory < 0 {
            return errno();
        }
        let file = libc::openat(directory, name.as_ptr(), flags | libc::O_CLOEXEC);
        let result = if file < 0 { errno() } else { libc::close(file) };
        libc::close(directory);
        result
    }
}

/// Whether the number is listed: 0 or ENOENT.
fn listed(pid: pid_t) -> i32 {
    let wanted = pid.to_string();
    let Ok(entries) = std::fs::read_dir("/proc") else { return errno() };
    let is_listed = entries.flatten().any(|entry| entry.file_name().to_str() == Some(&wanted));
    if is_listed { 0 } else { libc::ENOENT }
}

const fn operation(name: &'static str, run: fn(pid_t) -> i32) -> PathOperation {
    PathOperation { name, run }
}

/// Every operation on `/proc/PID`.
pub const ALL: &[PathOperation] = &[
    operation("open-status", |pid| open(&path(pid, "/status"), libc::O_RDONLY)),
    operation("open-cmdline", |pid| open(&path(pid, "/cmdline"), libc::O_RDONLY)),
    operation("open-environ", |pid| open(&path(pid, "/environ"), libc::O_RDONLY)),
    operation("open-mem", |pid| open(&path(pid, "/mem"), libc::O_RDWR)),
    operation("open-maps", |pid| open(&path(pid, "/maps"), libc::O_RDONLY)),
    operation("open-directory", |pid| open(&path(pid, ""), libc::O_RDONLY | libc::O_DIRECTORY)),
    operation("open-task-directory", |pid| open(&path(pid, "/task"), libc::O_RDONLY | libc::O_DIRECTORY)),
    operation("open-fd-directory", |pid| open(&path(pid, "/fd"), libc::O_RDONLY | libc::O_DIRECTORY)),
    operation("open-task-status", |pid| open(&path(pid, &format!("/task/{pid}/status")), libc::O_RDONLY)),
    operation("write-oom-score-adj", |pid| open(&path(pid, "/oom_score_adj"), libc::O_WRONLY)),
    operation("write-comm", |pid| open(&path(pid, "/comm"), libc::O_WRONLY)),
    operation("open-below-o-path", |pid| open_below(pid, "status", libc::O_RDONLY)),
    operation("stat", |pid| stat(&path(pid, ""), 0)),
    operation("stat-status", |pid| stat(&path(pid, "/status"), 0)),
    operation("lstat-exe", |pid| stat(&path(pid, "/exe"), libc::AT_SYMLINK_NOFOLLOW)),
    operation("readlink-exe", |pid| read_link(&path(pid, "/exe"))),
    operation("readlink-cwd", |pid| read_link(&path(pid, "/cwd"))),
    operation("follow-exe", |pid| open(&path(pid, "/exe"), libc::O_RDONLY)),
    operation("follow-root", |pid| open(&path(pid, "/root/."), libc::O_RDONLY | libc::O_DIRECTORY)),
    operation("access", |pid| {
        // SAFETY: The path ends in a zero.
        if unsafe { libc::access(path(pid, "").as_ptr(), libc::F_OK) } < 0 { errno() } else { 0 }
    }),
    operation("chdir", |pid| {
        // SAFETY: The path ends in a zero; each operation runs in a process of its own.
        if unsafe { libc::chdir(path(pid, "").as_ptr()) } < 0 { errno() } else { 0 }
    }),
    operation("o-path", |pid| open(&path(pid, "/status"), libc::O_PATH)),
    operation("listed", listed),
];

/// The operation of this name.
pub fn by_name(name: &str) -> Option<&'static PathOperation> {
    ALL.iter().find(|operation| operation.name == name)
}
