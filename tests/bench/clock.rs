//! What the clock counts.
//!
//! QEMU's `-icount shift=0` makes a nanosecond of every executed instruction. Whether it does is measured and not believed: without
//! it the figures of an emulated machine say nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The unit of all figures of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    /// Instructions that the machine executed, in user mode and in the kernel.
    Instructions,
    /// Time.
    Nanoseconds,
}

impl Unit {
    /// As it stands in a table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Nanoseconds => "ns",
        }
    }

    /// Whether the clock of this machine counts it.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Nanoseconds => check_nanoseconds(),
            Self::Instructions => check_instructions(),
        }
    }
}

/// The longest step of a clock whose figures say something: a cheap system call is some hundred nanoseconds, and a batch has 40 or more.
const LONGEST_STEP: Duration = Duration::from_micros(1);

fn check_nanoseconds() -> Result<()> {
    let step = (0..5).map(|_| step()).min().unwrap_or_default();
    if step > LONGEST_STEP {
        bail!(
            "the clock of this machine moves in steps of {step:?}, too long for figures in nanoseconds; \
             /sys/devices/system/clocksource/clocksource0/available_clocksource names others"
        );
    }
    Ok(())
}

/// How far the clock moves when it moves.
fn step() -> Duration {
    let begin = Instant::now();
    loop {
        let step = begin.elapsed();
        if !step.is_zero() {
            return step;
        }
    }
}

/// Rounds of the loop whose instructions are known; 2 each.
const ROUNDS: u64 = 1_000_000;

fn check_instructions() -> Result<()> {
    // The least of a few: a tick of the kernel's clock may come in between.
    let elapsed = (0..5).map(|_| known_loop()).min().unwrap_or_default();
    let expected = u128::from(2 * ROUNDS);
    if elapsed.abs_diff(expected) > expected / 500 {
        bail!(
            "the clock of this machine does not count instructions: a loop of {expected} took {elapsed} ns; \
             run it in QEMU with `-icount shift=0,sleep=off` (`cargo xtask bench` does), or measure time"
        );
    }
    Ok(())
}

#[cfg(target_arch = "x86_64")]
fn known_loop() -> u128 {
    let begin = Instant::now();
    // SAFETY: Counts a register down; touches no memory.
    unsafe {
        std::arch::asm!(
            "2:",
            "dec {rounds}",
            "jnz 2b",
            rounds = inout(reg) ROUNDS => _,
            options(nomem, nostack)
        );
    }
    begin.elapsed().as_nanos()
}

#[cfg(target_arch = "aarch64")]
fn known_loop() -> u128 {
    let begin = Instant::now();
    // SAFETY: Counts a register down; touches no memory.
    unsafe {
        std::arch::asm!(
            "2:",
            "subs {rounds}, {rounds}, #1",
            "b.ne 2b",
            rounds = inout(reg) ROUNDS => _,
            options(nomem, nostack)
        );
    }
    begin.elapsed().as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_moves() {
        assert!(!step().is_zero());
    }
}
