//! Counting what passed and what failed, and reading it from what others print.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

impl Counts {
    /// A check that is one test by itself, and passed.
    pub(crate) const ONE_PASSED: Self = Self { passed: 1, failed: 0 };
    /// One that failed.
    pub(crate) const ONE_FAILED: Self = Self { passed: 0, failed: 1 };

    /// From the last line of our own test programs: `12 passed, 0 failed`.
    pub(crate) fn of_summary(line: &str) -> Option<Self> {
        let (passed, failed) = line.trim().split_once(" passed, ")?;
        Some(Self { passed: passed.parse().ok()?, failed: failed.strip_suffix(" failed")?.parse().ok()? })
    }

    /// From what `cargo test` prints for each program: `test result: ok. 12 passed; 0 failed; 0 ignored; ...`.
    pub(crate) fn of_test_result(line: &str) -> Option<Self> {
        let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
        let mut parts = counts.split("; ");
        let passed = parts.next()?.strip_suffix(" passed")?.parse().ok()?;
        let failed = parts.next()?.strip_suffix(" failed")?.parse().ok()?;
        Some(Self { passed, failed })
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut sum, counts| {
            sum += counts;
            sum
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_read_as_it_is_written() {
        let counts = Counts { passed: 12, failed: 3 };
        assert_eq!(Counts::of_summary(&counts.to_string()), Some(counts));
        for other in [
            "ok   interaction (30 checks, 1.0 s)",
            "12 passed, 3 failed, 1 skipped",
            "x passed, 0 failed",
            "",
        ] {
            assert_eq!(Counts::of_summary(other), None, "{other}");
        }
    }

    #[test]
    fn cargos_results_are_read() {
        let line = "test result: FAILED. 7 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.03s";
        assert_eq!(Counts::of_test_result(line), Some(Counts { passed: 7, failed: 2 }));
        assert_eq!(Counts::of_test_result("test tests::result ... ok"), None);
    }
}
