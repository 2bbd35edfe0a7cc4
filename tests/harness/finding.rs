//! What a process finds itself with when its program begins: what was handed on to it, and what is its own.
//!
//! The signals and the capabilities are not here: `/proc/self/status` tells them of a program that has touched neither, and this one's
//! runtime has.

use std::collections::BTreeMap;
use std::ffi::c_long;
use std::io;

use serde::{Deserialize, Serialize};

/// Descriptors are looked for below this number.
const DESCRIPTORS: i32 = 4096;

/// The kind of key that holds a secret of a caller's, and its name.
pub const KEY: (&std::ffi::CStr, &std::ffi::CStr) = (c"user", c"vs-suite-secret");

/// What was found.
#[derive(Serialize, Deserialize, Debug)]
pub struct Finding {
    /// The open descriptors.
    pub descriptors: Vec<i32>,
    /// Its number in its own PID namespace.
    pub pid: i32,
    /// Its session, by the number of the session's leader; 0: a leader outside of its PID namespace.
    pub session: i32,
    /// Its process group, likewise.
    pub group: i32,
    /// The serial number of its session keyring.
    pub keyring: c_long,
    /// What looking for the caller's key comes to: 0 or an errno.
    pub key_search: i32,
    /// What reading it by its serial number comes to.
    pub key_read: i32,
    /// `SECBIT_*`.
    pub securebits: i32,
    /// The working directory.
    pub directory: String,
    /// Where its root is, as `/proc/self/root` has it.
    pub root: String,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

/// Looks around. `key` is the serial number of a key of the caller's.
pub fn look_around(key: c_long) -> Finding {
    // First of all, before anything here opens something.
    // SAFETY: F_GETFD of a number; no descriptor is opened or closed by it.
    let descriptors = (0..DESCRIPTORS).filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0).collect();
    let path = |link: &str| std::fs::read_link(link).unwrap_or_default().to_string_lossy().into_owned();
    let environment = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let mut secret = [0_u8; 64];
    // SAFETY: Numbers, strings that end in a zero, and a live buffer with its length.
    unsafe {
        let session = c_long::from(libc::KEY_SPEC_SESSION_KEYRING);
        Finding {
            descriptors,
            pid: libc::getpid(),
            session: libc::getsid(0),
            group: libc::getpgid(0),
            keyring: keyctl(libc::KEYCTL_GET_KEYRING_ID, session, 0, 0, 0),
            key_search: errno(keyctl(
                libc::KEYCTL_SEARCH,
                session,
                KEY.0.as_ptr() as c_long,
                KEY.1.as_ptr() as c_long,
                0,
            )),
            key_read: errno(keyctl(libc::KEYCTL_READ, key, secret.as_mut_ptr() as c_long, 64, 0)),
            securebits: libc::prctl(libc::PR_GET_SECUREBITS),
            directory: path("/proc/self/cwd"),
            root: path("/proc/self/root"),
            environment,
        }
    }
}

fn errno(result: c_long) -> i32 {
    if result < 0 { io::Error::last_os_error().raw_os_error().unwrap_or(-1) } else { 0 }
}

/// `keyctl(2)`, which has no wrapper in the C library.
///
/// # Safety
/// Arguments that are pointers must point to what the command wants.
pub unsafe fn keyctl(command: u32, a: c_long, b: c_long, c: c_long, d: c_long) -> c_long {
    // SAFETY: The caller's.
    unsafe { libc::syscall(libc::SYS_keyctl, c_long::from(command), a, b, c, d) }
}
