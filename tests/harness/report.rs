//! What held and what did not.

use std::fmt::Display;

/// Counts the checks of one test.
#[derive(Debug, Default)]
pub struct Checks {
    /// Checks that held.
    pub held: u32,
    /// What did not hold, in words.
    pub failures: Vec<String>,
    /// Whether the first failure tells all there is to know.
    is_hasty: bool,
}

impl Checks {
    /// Checks of which one that does not hold is enough.
    pub fn until_one_fails() -> Self {
        Self { is_hasty: true, ..Self::default() }
    }

    /// Whether no further check can change anything: what waits for a record, or tries the next act, may stop.
    pub fn are_decided(&self) -> bool {
        self.is_hasty && !self.failures.is_empty()
    }

    /// Notes one check; `what` is asked for only where it did not hold.
    pub fn check<W: Display>(&mut self, holds: bool, what: impl FnOnce() -> W) {
        if holds {
            self.held += 1;
        } else {
            self.failures.push(what().to_string());
        }
    }

    /// Runs further checks, whose failures say under what circumstances they were made.
    ///
    /// # Errors
    /// Those of the checks.
    pub fn during<E>(&mut self, when: &str, run: impl FnOnce(&mut Self) -> Result<(), E>) -> Result<(), E> {
        let mut inner = Self { is_hasty: self.is_hasty, ..Self::default() };
        let result = run(&mut inner);
        self.held += inner.held;
        self.failures.extend(inner.failures.into_iter().map(|failure| format!("{when}: {failure}")));
        result
    }

    /// Notes that something equals what was expected.
    pub fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, found: &T, expected: &T) {
        self.check(found == expected, || format!("{what}: {found:?}, expected {expected:?}"));
    }
}

/// An errno's symbol, for reports and for what the audit says.
pub fn errno_name(errno: i32) -> &'static str {
    match errno {
        0 => "0",
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::ESRCH => "ESRCH",
        libc::EBADF => "EBADF",
        libc::EAGAIN => "EAGAIN",
        libc::ENOMEM => "ENOMEM",
        libc::EACCES => "EACCES",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::EINVAL => "EINVAL",
        libc::EROFS => "EROFS",
        libc::ETXTBSY => "ETXTBSY",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        255 => "unknown",
        libc::ENOSYS => "ENOSYS",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::EPROTONOSUPPORT => "EPROTONOSUPPORT",
        libc::EADDRINUSE => "EADDRINUSE",
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::ETIMEDOUT => "ETIMEDOUT",
        _ => "another errno",
    }
}
