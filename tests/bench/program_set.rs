//! The empty programs, and how often any program ran.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use aya::programs::{Lsm, loaded_programs};
use aya::sys::{Stats, enable_stats};
use aya::{Btf, Ebpf};

use vs_common::hook::{Hook, Need};

/// Bytes of a program's name that the kernel keeps (`BPF_OBJ_NAME_LEN` less the zero).
const KEPT: usize = 15;

/// Empty programs, attached; dropping them detaches them.
#[derive(Debug)]
pub(crate) struct EmptyPrograms {
    _attached: Ebpf,
}

impl EmptyPrograms {
    /// Attaches one to each hook that is needed by one of these.
    pub(crate) fn attach(object: &Path, needs: &[Need]) -> Result<Self> {
        let mut programs = Ebpf::load_file(object).with_context(|| format!("loading {}", object.display()))?;
        let types = Btf::from_sys_fs().context("reading the kernel's types")?;
        for hook in Hook::ALL.iter().filter(|hook| needs.contains(&hook.info().need)) {
            let name = hook.name();
            let program = programs.program_mut(name).with_context(|| format!("the object has no `{name}`"))?;
            let program: &mut Lsm = program.try_into()?;
            program
                .load(name, &types)
                .and_then(|()| program.attach().map(drop))
                .with_context(|| format!("attaching an empty program to {name}"))?;
        }
        Ok(Self { _attached: programs })
    }
}

/// How often each hook's programs ran.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// Says how often each hook's programs run while `act` does.
pub(crate) fn count<T>(act: impl FnOnce() -> Result<T>) -> Result<(T, Counts)> {
    let counting = enable_stats(Stats::RunTime).context("asking the kernel to count runs of programs")?;
    // Looking is a crossing of `bpf` itself, as often each time: what lies between two looks at nothing is taken off.
    let idle = [counts()?, counts()?];
    let done = act()?;
    let mut counts = counts()?;
    drop(counting);
    for (hook, count) in &mut counts {
        let [first, second] = [&idle[0], &idle[1]].map(|look| look.get(hook).copied().unwrap_or_default());
        *count = count.saturating_sub(second + (second - first));
    }
    counts.retain(|_, count| *count > 0);
    Ok((done, counts))
}

fn counts() -> Result<Counts> {
    let mut counts = Counts::new();
    for program in loaded_programs() {
        let program = program.context("listing the kernel's programs")?;
        let hook = Hook::ALL.iter().find(|hook| hook.name().as_bytes().iter().take(KEPT).eq(program.name()));
        if let Some(hook) = hook {
            *counts.entry(hook.name()).or_default() += program.run_count();
        }
    }
    Ok(counts)
}
