//! A process that goes to the background as daemons do: a child that outlives its parent, in a session of its own, without its parent's
//! standard streams.

use std::io;
use std::os::fd::AsRawFd as _;

use crate::{operation, target};

/// What a daemon is called: its name, and what signalling `host` came to. Not all of them may write a file.
pub fn title(name: &str, errno: i32) -> String {
    format!("{name}:{errno}")
}

/// Makes the daemon and returns, in the parent. The daemon waits until it has none, tries to signal the process `host`, takes the errno into its
/// name, and lives on as a target.
///
/// # Errors
/// The kernel refused a step.
pub fn daemonise(name: &str, host: i32) -> io::Result<()> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    // SAFETY: One thread; no arguments.
    let (parent, child) = unsafe { (libc::getpid(), libc::fork()) };
    match child {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        _ => return Ok(()),
    }
    // SAFETY: Numbers only; what was at 0, 1 and 2 is not used any more.
    unsafe {
        libc::setsid();
        for number in 0..3 {
            libc::dup2(null.as_raw_fd(), number);
        }
        while libc::getppid() == parent {
            libc::usleep(1000);
        }
    }
    let errno = operation::by_name("kill").map_or(255, |operation| (operation.run)(host));
    target::wait_for_ever(&title(name, errno))
}
