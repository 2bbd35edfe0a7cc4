//! A program at a terminal: says which it sits at, tries its hands on another one, and then does what is typed.

use std::fs::File;
use std::io::{self, BufRead as _, Write as _};
use std::os::fd::{AsRawFd, FromRawFd as _};
use std::os::unix::fs::MetadataExt as _;

use serde::{Deserialize, Serialize};

/// What marks an answer among the echoes of what was typed.
pub const ANSWER: &str = "> ";

/// A terminal, the same for all who have it open: the device number of its file system, and its own.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Device(pub u64, pub u64);

impl Device {
    /// That of an open file.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn of(file: &File) -> io::Result<Self> {
        let facts = file.metadata()?;
        Ok(Self(facts.dev(), facts.rdev()))
    }
}

/// What is found.
#[derive(Serialize, Deserialize, Debug)]
pub struct Seat {
    /// What 0, 1 and 2 are.
    pub standard: Vec<Device>,
    /// Whether the terminal at 0 is that of this process's session, of which it is the leader.
    pub is_controlling: bool,
    /// What is at the path of the other terminal.
    pub other: Option<Device>,
    /// What opening that comes to: 0 or an errno.
    pub other_open: i32,
    /// What pushing a character into its input comes to.
    pub other_push: i32,
}

fn outcome(result: i32) -> i32 {
    if result < 0 { io::Error::last_os_error().raw_os_error().unwrap_or(-1) } else { 0 }
}

/// Pushes a character into a terminal's input, as if it had been typed.
pub fn push(terminal: i32, character: u8) -> i32 {
    // SAFETY: TIOCSTI reads one byte, a live local.
    outcome(unsafe { libc::ioctl(terminal, libc::TIOCSTI, &raw const character) })
}

fn look_around(other: &str) -> io::Result<Seat> {
    let mut standard = Vec::new();
    for number in 0..3 {
        // SAFETY: The descriptor is open as long as the process lives; what is made here is a copy.
        let copy = unsafe { libc::dup(number) };
        if copy < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: The copy is nobody else's.
        standard.push(Device::of(&unsafe { File::from_raw_fd(copy) })?);
    }
    // SAFETY: No arguments, or a number.
    let is_controlling = unsafe { libc::tcgetsid(0) == libc::getpid() } && File::open("/dev/tty").is_ok();
    let opened = File::options().read(true).write(true).open(other);
    Ok(Seat {
        standard,
        is_controlling,
        other: opened.as_ref().ok().map(Device::of).transpose()?,
        other_open: opened.as_ref().map_or_else(|error| error.raw_os_error().unwrap_or(-1), |_| 0),
        other_push: opened.as_ref().map_or(-1, |file| push(file.as_raw_fd(), b'\n')),
    })
}

/// Says where it sits, and obeys until it is told to leave; gives the status to leave with.
///
/// # Errors
/// The terminal is gone.
pub fn sit(other: &str) -> io::Result<u8> {
    let mut out = io::stdout();
    writeln!(out, "{ANSWER}{}", serde_json::to_string(&look_around(other)?)?)?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [] => {}
            ["size"] => {
                let size = rustix::termios::tcgetwinsize(io::stdin())?;
                writeln!(out, "{ANSWER}{} {}", size.ws_row, size.ws_col)?;
            }
            // What is pushed is there for whoever reads next: this program does not.
            ["push-and-leave", text] => {
                let errno = text.bytes().chain([b'\n']).map(|character| push(0, character)).max();
                writeln!(out, "{ANSWER}pushed {}", errno.unwrap_or(-1))?;
                return Ok(9);
            }
            _ => writeln!(out, "{ANSWER}heard {line}")?,
        }
    }
    Ok(8)
}

/// Where the sysctl is that lets processes without `CAP_SYS_ADMIN` push characters (from 6.2 on).
pub const LEGACY_TIOCSTI: &str = "/proc/sys/dev/tty/legacy_tiocsti";
