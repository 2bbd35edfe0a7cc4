//! The hooks that the kernel at hand has.

use std::fs;

use anyhow::{Context as _, Result};
use vs_common::hook::Hook;

/// Those of the table that are here, in its order: some are of newer kernels only.
///
/// # Errors
/// The kernel does not list its functions.
pub fn all_here() -> Result<Vec<Hook>> {
    let symbols = fs::read_to_string("/proc/kallsyms").context("read the kernel's functions")?;
    let is_there = |hook: &Hook| {
        let function = format!(" bpf_lsm_{}", hook.lsm_name().unwrap_or(hook.name()));
        symbols.lines().any(|line| line.ends_with(&function))
    };
    Ok(Hook::ALL.iter().copied().filter(|hook| !hook.is_optional() || is_there(hook)).collect())
}
