//! Single acts on files: what a context tries with its own, with others' and with the host's.

use std::ffi::{c_int, c_long, c_void};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use crate::compat::syscall32;
use crate::deed::{call, errno, text};

/// `FS_IOC_GETFLAGS` and `FS_IOC_SETFLAGS`, and the latter of 32-bit programs.
const GET_FLAGS: libc::c_ulong = 0x8008_6601;
const SET_FLAGS: libc::c_ulong = 0x4008_6602;
const SET_FLAGS_32: u32 = 0x4004_6602;
/// `ioctl(2)` of 32-bit programs.
const IOCTL_32: u32 = 54;
/// `file_setattr(2)`, since 6.17.
const FILE_SETATTR: c_long = 469;
/// An access list that says what mode 0600 says (`include/uapi/linux/posix_acl_xattr.h`): version 2, then tag, permissions and id of the owner,
/// the group and the others.
const ACCESS_LIST: [u8; 28] = [
    2, 0, 0, 0, 0x01, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, 0x04, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x20, 0, 0, 0,
    0xff, 0xff, 0xff, 0xff,
];

pub(crate) fn open(path: &str, flags: c_int) -> Result<OwnedFd, i32> {
    // SAFETY: As above.
    let file = unsafe { libc::open(text(path).as_ptr(), flags | libc::O_CLOEXEC, 0o600) };
    if file < 0 {
        return Err(errno());
    }
    // SAFETY: Just opened, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(file) })
}

pub(crate) fn opened(path: &str, flags: c_int) -> i32 {
    open(path, flags).map_or_else(|errno| errno, |_| 0)
}

/// Does a deed; 0 or the errno; `None`: there is none of that name.
pub fn run(words: &[&str]) -> Option<i32> {
    Some(match *words {
        ["create", path] => opened(path, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL),
        ["list", path] => opened(path, libc::O_RDONLY | libc::O_DIRECTORY),
        ["open-pipe", path] => opened(path, libc::O_RDONLY | libc::O_NONBLOCK),
        ["temporary", path] => opened(path, libc::O_RDWR | libc::O_TMPFILE),
        ["open-empty", path] => opened(path, libc::O_RDONLY | libc::O_TRUNC),
        ["reopen", path] => reopen(path),
        ["memory-file"] => memory_file(),
        ["mkfifo", path] => call!(libc::mkfifo(text(path).as_ptr(), 0o600)),
        ["bind-socket", path] => bind_socket(path),
        ["utimes", path] => {
            call!(libc::utimensat(libc::AT_FDCWD, text(path).as_ptr(), std::ptr::null(), 0))
        }
        ["set-attribute", name, path] => set_attribute(path, name, b"x"),
        ["remove-attribute", name, path] => {
            call!(libc::removexattr(text(path).as_ptr(), text(name).as_ptr()))
        }
        ["set-access-list", path] => set_attribute(path, "system.posix_acl_access", &ACCESS_LIST),
        ["set-flags", path] => set_flags(path),
        ["set-flags-32", path] => set_flags_32(path),
        // By its number, with nothing at its argument: where it is let through, the file system does not know it.
        ["request", number, path] => match (open(path, libc::O_RDONLY), number.parse::<libc::c_ulong>()) {
            (Ok(file), Ok(number)) => {
                call!(libc::ioctl(file.as_raw_fd(), number, std::ptr::null::<c_void>()))
            }
            (Err(errno), _) => errno,
            (_, Err(_)) => libc::EINVAL,
        },
        ["set-file-attributes", path] => set_file_attributes(path),
        ["exchange", from, to] => rename(from, to, libc::RENAME_EXCHANGE),
        ["escape", way, marker] => escape(way, marker),
        _ => return crate::disk_deed::run(words),
    })
}

/// `renameat2(2)`.
pub(crate) fn rename(from: &str, to: &str, flags: libc::c_uint) -> i32 {
    let (here, from, to) = (libc::AT_FDCWD, text(from), text(to));
    call!(libc::renameat2(here, from.as_ptr(), here, to.as_ptr(), flags))
}

/// Looks for a file of the host's tree from within another root, by what has led out of such before: 0 if it is there, else ENOENT, or what
/// the way itself came to.
fn escape(way: &str, marker: &str) -> i32 {
    let up = "../".repeat(64);
    match way {
        "dots" => opened(&format!("/{up}{marker}"), libc::O_RDONLY),
        "process-root" => opened(&format!("/proc/1/root{marker}"), libc::O_RDONLY),
        "descriptor" => match open("/", libc::O_PATH) {
            Ok(root) => opened(&format!("/proc/self/fd/{}/{up}{marker}", root.as_raw_fd()), libc::O_RDONLY),
            Err(errno) => errno,
        },
        // chroot(2) takes the working directory nowhere: whoever stands outside of the new root goes up past it.
        "jail" => {
            let jail = "/tmp/vs-jail";
            // It may be there from an earlier try.
            let _ = std::fs::create_dir(jail);
            match call!(libc::chroot(text(jail).as_ptr())) {
                0 => {}
                errno => return errno,
            }
            match call!(libc::chdir(text(&up).as_ptr())) {
                0 => {}
                errno => return errno,
            }
            match call!(libc::chroot(c".".as_ptr())) {
                0 => opened(marker, libc::O_RDONLY),
                errno => errno,
            }
        }
        _ => libc::EINVAL,
    }
}

/// Opens a file for writing by a descriptor that was opened with `O_PATH`, which no hook sees.
fn reopen(path: &str) -> i32 {
    match open(path, libc::O_PATH) {
        Ok(file) => opened(&format!("/proc/self/fd/{}", file.as_raw_fd()), libc::O_WRONLY),
        Err(errno) => errno,
    }
}

/// A file in memory, opened once more for writing by its link in `/proc`: it lies in nobody's directory.
fn memory_file() -> i32 {
    // SAFETY: A string that ends in a zero, and a flag.
    let file = unsafe { libc::memfd_create(c"vs".as_ptr(), libc::MFD_CLOEXEC) };
    if file < 0 { errno() } else { opened(&format!("/proc/self/fd/{file}"), libc::O_WRONLY) }
}

fn bind_socket(path: &str) -> i32 {
    match std::os::unix::net::UnixListener::bind(path) {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(255),
    }
}

fn set_attribute(path: &str, name: &str, value: &[u8]) -> i32 {
    let (path, name) = (text(path), text(name));
    call!(libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast::<c_void>(), value.len(), 0))
}

/// Sets the flags that a file has already, by a descriptor that is open for reading.
fn set_flags(path: &str) -> i32 {
    let file = match open(path, libc::O_RDONLY) {
        Ok(file) => file,
        Err(errno) => return errno,
    };
    let mut flags: c_int = 0;
    // Where the file system has none, the question fails, and the request is answered all the same.
    let _ = call!(libc::ioctl(file.as_raw_fd(), GET_FLAGS, &raw mut flags));
    call!(libc::ioctl(file.as_raw_fd(), SET_FLAGS, &raw const flags))
}

/// The same as a 32-bit program does it, with no flag.
fn set_flags_32(path: &str) -> i32 {
    let file = match open(path, libc::O_RDONLY) {
        Ok(file) => file,
        Err(errno) => return errno,
    };
    // SAFETY: A page of our own below 4 GiB, where the request finds its argument.
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            return errno();
        }
        let address = u32::try_from(page as usize).unwrap_or(0);
        let result = syscall32(IOCTL_32, [file.as_raw_fd().cast_unsigned(), SET_FLAGS_32, address, 0, 0]);
        if result < 0 { -result } else { 0 }
    }
}

/// Sets no flag by `file_setattr(2)`.
fn set_file_attributes(path: &str) -> i32 {
    // `struct file_attr` of the first version: 24 bytes.
    let attributes = [0_u64; 3];
    let path = text(path);
    call!(libc::syscall(FILE_SETATTR, libc::AT_FDCWD, path.as_ptr(), attributes.as_ptr(), 24, 0))
}
