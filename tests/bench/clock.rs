//! What the clock counts.
//!
//! QEMU's `-icount shift=0` makes a nanosecond of every executed instruction. Whether it does is measured and not believed: without
//! it the figures of an emulated machine say nothing.

use std::time::Instant;

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
            Self::Nanoseconds => Ok(()),
            Self::Instructions => check_instructions(),
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
