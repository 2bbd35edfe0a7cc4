//! Signals of the waiting `vs`, read like data.

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::process::Signal;

/// What is handed on to the command.
const FORWARDED: [Signal; 6] =
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// What concerns the waiting itself.
const OWN: [Signal; 3] = [Signal::CHILD, Signal::WINCH, Signal::CONT];

/// What a signal asks of the waiting `vs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// Hand it on.
    Forward(Signal),
    /// A child has ended.
    ChildEnded,
    /// The terminal has another size.
    Resized,
    /// This process was stopped and goes on, perhaps in the foreground now.
    Continued,
}

/// The signals, blocked and readable instead. Blocked they stay: a child must set its own mask.
#[derive(Debug)]
pub(super) struct Signals {
    file: File,
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Signals {
    /// Blocks them from here on: none that comes later is missed.
    ///
    /// # Errors
    /// The kernel refused.
    pub(super) fn block() -> io::Result<Self> {
        // An ignored SIGCHLD, which a caller can hand on, would have the kernel throw away how the command ended.
        // SAFETY: a zeroed `sigaction` is SIG_DFL with no flags and an empty mask; the old one is not asked for.
        let reset = unsafe {
            let default: libc::sigaction = std::mem::zeroed();
            libc::sigaction(libc::SIGCHLD, &raw const default, ptr::null_mut())
        };
        if reset == -1 {
            return Err(io::Error::last_os_error());
        }
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` initialises the set; the numbers are signals'.
        let set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in FORWARDED.iter().chain(&OWN) {
                libc::sigaddset(set.as_mut_ptr(), signal.as_raw());
            }
            set.assume_init()
        };
        // SAFETY: the set is initialised; the old mask is not asked for.
        if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) } == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above; -1 asks for a new descriptor.
        let descriptor =
            unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if descriptor == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor, and nobody else knows of it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { file: descriptor.into() })
    }

    /// The next signal, if one is pending.
    ///
    /// # Errors
    /// The kernel refused.
    pub(super) fn next(&mut self) -> io::Result<Option<Event>> {
        loop {
            let mut info = [0; size_of::<libc::signalfd_siginfo>()];
            match self.file.read(&mut info) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            // The structure begins with the number (`ssi_signo`).
            let [a, b, c, d, ..] = info;
            let number = u32::from_ne_bytes([a, b, c, d]);
            if let Some(event) = event(number) {
                return Ok(Some(event));
            }
        }
    }
}

fn event(number: u32) -> Option<Event> {
    let signal = FORWARDED.iter().chain(&OWN).find(|signal| u32::try_from(signal.as_raw()) == Ok(number))?;
    Some(match *signal {
        Signal::CHILD => Event::ChildEnded,
        Signal::WINCH => Event::Resized,
        Signal::CONT => Event::Continued,
        signal => Event::Forward(signal),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_signal_asks_for() {
        let of = |signal: Signal| event(signal.as_raw().cast_unsigned());
        for signal in FORWARDED {
            assert_eq!(of(signal), Some(Event::Forward(signal)));
        }
        assert_eq!(of(Signal::CHILD), Some(Event::ChildEnded));
        assert_eq!(of(Signal::WINCH), Some(Event::Resized));
        assert_eq!(of(Signal::CONT), Some(Event::Continued));
        assert_eq!(of(Signal::ALARM), None);
    }
}
