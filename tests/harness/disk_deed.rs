//! Single acts that take a real file system: second copies of blocks, files without a name that get one, subvolumes, handles, whiteouts.

use std::ffi::{c_int, c_long};
use std::fmt::Write as _;
use std::os::fd::AsRawFd as _;

use crate::deed::{call, errno, text};
use crate::file_deed::{open, rename};

/// `FICLONE`, and requests of btrfs that take a `struct btrfs_ioctl_vol_args`.
const CLONE: libc::c_ulong = 0x4004_9409;
const MAKE_SUBVOLUME: libc::c_ulong = 0x5000_940e;
const MAKE_SNAPSHOT: libc::c_ulong = 0x5000_9401;
const DELETE_SUBVOLUME: libc::c_ulong = 0x5000_940f;
/// `BTRFS_IOC_SET_RECEIVED_SUBVOL`, and how long its argument is.
const SET_RECEIVED: libc::c_ulong = 0xc0c8_9425;
const RECEIVED_SIZE: usize = 200;

/// Does a deed; 0 or the errno; `None`: there is none of that name.
pub fn run(words: &[&str]) -> Option<i32> {
    Some(match *words {
        ["clone", from, to] => clone(from, to),
        ["allocate", path] => with(path, libc::O_WRONLY, |file| call!(libc::fallocate(file, 0, 0, 8192))),
        ["publish", directory, name] => publish(directory, name),
        ["subvolume", directory, name] => volume(MAKE_SUBVOLUME, directory, name, 0),
        ["snapshot", source, directory, name] => {
            with(source, libc::O_RDONLY, |source| volume(MAKE_SNAPSHOT, directory, name, source))
        }
        ["delete-subvolume", directory, name] => volume(DELETE_SUBVOLUME, directory, name, 0),
        ["set-received", subvolume] => with(subvolume, libc::O_RDONLY, |subvolume| {
            let mut argument = [0_u8; RECEIVED_SIZE];
            call!(libc::ioctl(subvolume, SET_RECEIVED, argument.as_mut_ptr()))
        }),
        ["open-handle", on, kind, bytes] => open_handle(on, kind, bytes),
        ["whiteout", path] => call!(libc::mknod(text(path).as_ptr(), libc::S_IFCHR | 0o600, 0)),
        ["rename-whiteout", from, to] => rename(from, to, libc::RENAME_WHITEOUT),
        ["make-device", path, major, minor] => {
            let (major, minor) = (major.parse().unwrap_or(0), minor.parse().unwrap_or(0));
            let device = libc::makedev(major, minor);
            call!(libc::mknod(text(path).as_ptr(), libc::S_IFCHR | 0o600, device))
        }
        _ => return crate::escape_deed::run(words),
    })
}

/// Does something with an open file.
fn with(path: &str, flags: c_int, act: impl FnOnce(c_int) -> i32) -> i32 {
    match open(path, flags) {
        Ok(file) => act(file.as_raw_fd()),
        Err(errno) => errno,
    }
}

/// Has a file share the blocks of another.
fn clone(from: &str, to: &str) -> i32 {
    with(from, libc::O_RDONLY, |from| {
        with(to, libc::O_WRONLY | libc::O_CREAT, |to| call!(libc::ioctl(to, CLONE, from)))
    })
}

/// Makes a file without a name, and gives it one.
fn publish(directory: &str, name: &str) -> i32 {
    with(directory, libc::O_RDWR | libc::O_TMPFILE, |file| {
        let (link, name) = (text(&format!("/proc/self/fd/{file}")), text(name));
        call!(libc::linkat(
            libc::AT_FDCWD,
            link.as_ptr(),
            libc::AT_FDCWD,
            name.as_ptr(),
            libc::AT_SYMLINK_FOLLOW
        ))
    })
}

/// A request about a subvolume of this name in a directory.
fn volume(request: libc::c_ulong, directory: &str, name: &str, source: c_int) -> i32 {
    let mut argument = [0_u8; 4096];
    argument[..8].copy_from_slice(&i64::from(source).to_le_bytes());
    argument[8..8 + name.len()].copy_from_slice(name.as_bytes());
    with(directory, libc::O_RDONLY | libc::O_DIRECTORY, |directory| {
        call!(libc::ioctl(directory, request, argument.as_ptr()))
    })
}

/// `struct file_handle`, with room for all.
#[repr(C)]
struct Handle {
    size: u32,
    kind: i32,
    bytes: [u8; 128],
}

/// What `name_to_handle_at(2)` calls a file: its kind, and its bytes in hexadecimal.
pub fn handle_of(path: &str) -> Option<(i32, String)> {
    let mut handle = Handle { size: 128, kind: 0, bytes: [0; 128] };
    let (path, mut mount) = (text(path), 0);
    // SAFETY: A string that ends in a zero, and live locals of the sizes that are asked for.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            0,
        )
    };
    let bytes = handle.bytes.get(..usize::try_from(handle.size).ok()?)?;
    let mut text = String::new();
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    (result == 0).then_some((handle.kind, text))
}

/// Opens a file by its handle, on whatever file system `on` is.
fn open_handle(on: &str, kind: &str, bytes: &str) -> i32 {
    let mut handle = Handle { size: 0, kind: kind.parse().unwrap_or(0), bytes: [0; 128] };
    for (at, pair) in bytes.as_bytes().chunks(2).enumerate().take(handle.bytes.len()) {
        let pair = std::str::from_utf8(pair).unwrap_or("0");
        handle.bytes[at] = u8::from_str_radix(pair, 16).unwrap_or(0);
        handle.size += 1;
    }
    with(on, libc::O_RDONLY, |on| {
        // SAFETY: A live local, which says itself how long it is.
        let file: c_long =
            unsafe { libc::syscall(libc::SYS_open_by_handle_at, on, &raw const handle, libc::O_RDONLY) };
        if file < 0 { errno() } else { 0 }
    })
}
