//! Single acts for which the kernel asks a capability: what a context's root tries with those that it has, and with those that it has not.

use std::ffi::{c_int, c_long};

use crate::compat::syscall32;
use crate::deed::{call, outcome, text};

/// `struct mount_attr`.
const MOUNT_ATTRIBUTES: [u64; 4] = [1, 0, 0, 0];

/// Does a deed; 0 or the errno; `None`: there is none of that name.
pub fn run(words: &[&str]) -> Option<i32> {
    let number = |word: &str| word.parse::<i64>().unwrap_or(-1);
    Some(match *words {
        ["set-domain-name"] => call!(libc::setdomainname(c"guest".as_ptr(), 5)),
        ["set-host-name-32"] => set_name_32(74),
        ["set-domain-name-32"] => set_name_32(121),
        // By a number of another table, or of none.
        ["set-host-name-by", at] => call!(libc::syscall(number(at), c"guest".as_ptr(), 5)),
        ["set-host-name-after-ring"] => after_ring(|| call!(libc::sethostname(c"guest".as_ptr(), 5))),
        ["chroot", path] => call!(libc::chroot(text(path).as_ptr())),
        ["clone", flags] => clone(number(flags)),
        ["set-namespace", kind] => set_namespace(kind),
        ["open-tree", path] => {
            // OPEN_TREE_CLONE.
            call!(libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, text(path).as_ptr(), 1))
        }
        ["mount-setattr", path] => call!(libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            text(path).as_ptr(),
            0,
            MOUNT_ATTRIBUTES.as_ptr(),
            32
        )),
        ["move-mount", from, to] => call!(libc::syscall(
            libc::SYS_move_mount,
            libc::AT_FDCWD,
            text(from).as_ptr(),
            libc::AT_FDCWD,
            text(to).as_ptr(),
            0
        )),
        ["fsopen", kind] => call!(libc::syscall(libc::SYS_fsopen, text(kind).as_ptr(), 0)),
        ["try-pivot-root", to] => {
            call!(libc::syscall(libc::SYS_pivot_root, text(to).as_ptr(), text(to).as_ptr()))
        }
        ["swapon", path] => call!(libc::swapon(text(path).as_ptr(), 0)),
        ["account", path] => call!(libc::acct(text(path).as_ptr())),
        ["clear-log"] => call!(libc::klogctl(5, std::ptr::null_mut(), 0)),
        ["set-time"] => {
            let now = libc::timespec { tv_sec: 1, tv_nsec: 0 };
            call!(libc::clock_settime(libc::CLOCK_REALTIME, &raw const now))
        }
        ["reboot"] => {
            // LINUX_REBOOT_CMD_CAD_OFF: harmless where it is let through.
            call!(libc::reboot(0))
        }
        ["set-capability", set] => set_permitted(u64::from_str_radix(set, 16).unwrap_or(0)),
        ["set-capability-of", process] => set_capability_of(process.parse().unwrap_or(0)),
        ["ambient", capability] => {
            // PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE.
            call!(libc::prctl(47, 2, number(capability), 0, 0))
        }
        ["secure-bits-and-user"] => secure_bits_and_user(),
        _ => return None,
    })
}

/// By the 32-bit table: the name lies below 4 GiB.
fn set_name_32(number: u32) -> i32 {
    // SAFETY: A new page below 2 GiB, which is this process's own until it ends.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
            -1,
            0,
        )
    };
    let Ok(address) = u32::try_from(page as usize) else { return libc::ENOMEM };
    // SAFETY: Five bytes of that page.
    unsafe { std::ptr::copy_nonoverlapping(c"guest".as_ptr().cast::<u8>(), page.cast(), 5) };
    // SAFETY: The name is there, and lives through the call.
    let result = unsafe { syscall32(number, [address, 5, 0, 0, 0]) };
    if result < 0 { -result } else { 0 }
}

/// Makes an `io_uring` first. Where there is none, nothing is to be seen.
fn after_ring(act: impl FnOnce() -> i32) -> i32 {
    let mut parameters = [0_u32; 30];
    // SAFETY: `struct io_uring_params` has 120 bytes.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) };
    if ring < 0 { libc::ENOSYS } else { act() }
}

fn clone(flags: c_long) -> i32 {
    // SAFETY: As fork(2); the child ends at once.
    let child = unsafe { libc::syscall(libc::SYS_clone, flags | c_long::from(libc::SIGCHLD), 0, 0, 0, 0) };
    if child == 0 {
        // SAFETY: Ends this process.
        unsafe { libc::_exit(0) }
    }
    outcome(child)
}

fn set_namespace(kind: &str) -> i32 {
    let path = text(&format!("/proc/self/ns/{kind}"));
    // SAFETY: A path that lives through the call.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) };
    if file < 0 {
        return libc::ENOENT;
    }
    call!(libc::setns(file, 0))
}

/// `_LINUX_CAPABILITY_VERSION_3`, and a process.
fn header(process: c_int) -> [u32; 2] {
    [0x2008_0522, process.cast_unsigned()]
}

fn set_permitted(set: u64) -> i32 {
    let (low, high) = ((set & 0xffff_ffff) as u32, (set >> 32) as u32);
    let data = [low, low, 0, high, high, 0];
    call!(libc::syscall(libc::SYS_capset, header(0).as_ptr(), data.as_ptr()))
}

fn set_capability_of(process: c_int) -> i32 {
    call!(libc::syscall(libc::SYS_capset, header(process).as_ptr(), [0_u32; 6].as_ptr()))
}

/// Keeps capabilities over a change of the user, as far as there are any to keep, and comes back: nothing more is there than before.
fn secure_bits_and_user() -> i32 {
    let before = permitted();
    // SAFETY: Numbers. PR_SET_SECUREBITS: SECBIT_KEEP_CAPS, SECBIT_NO_SETUID_FIXUP, SECBIT_NOROOT.
    unsafe {
        libc::prctl(28, 0x10 | 0x4 | 0x1, 0, 0, 0);
        libc::setresuid(1000, 1000, 0);
        libc::setresuid(0, 0, 0);
    }
    if permitted() & !before == 0 { 0 } else { libc::EPERM }
}

fn permitted() -> u64 {
    let mut data = [0_u32; 6];
    // SAFETY: Room for two sets of three words.
    unsafe { libc::syscall(libc::SYS_capget, header(0).as_ptr(), data.as_mut_ptr()) };
    u64::from(data[1]) | u64::from(data[4]) << 32
}
