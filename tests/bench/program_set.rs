//! The empty programs, and how often the programs of each hook ran.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use aya::programs::{CgroupAttachMode, CgroupSkbAttachType, Program, ProgramError, loaded_programs};
use aya::sys::{Stats, enable_stats};
use aya::{Btf, Ebpf};
use vs_common::hook::Hook;

use crate::enforcement::Refused;

/// Bytes of a program's name that the kernel keeps (`BPF_OBJ_NAME_LEN` less the zero). The names of our hooks differ within them.
const KEPT: usize = 15;
/// The root of the cgroup-2 hierarchy, where every socket is below.
const CONTROL_GROUP: &str = "/sys/fs/cgroup";
/// The network namespace whose connections are looked at.
const NETWORK_NAMESPACE: &str = "/proc/self/ns/net";

/// Empty programs, attached; dropping them detaches them.
#[derive(Debug)]
pub(crate) struct EmptyPrograms {
    _attached: Ebpf,
}

impl EmptyPrograms {
    /// Attaches one to each of these hooks.
    pub(crate) fn attach(object: &Path, hooks: &[Hook]) -> Result<Self> {
        let mut programs =
            Ebpf::load_file(object).with_context(|| format!("loading {}", object.display()))?;
        let types = Btf::from_sys_fs().context("reading the kernel's types")?;
        for hook in hooks {
            let name = hook.name();
            let program =
                programs.program_mut(name).with_context(|| format!("the object has no `{name}`"))?;
            // Two of ours may be on one hook.
            attach(program, hook.lsm_name().unwrap_or(name), &types)
                .map_err(|error| Refused::by_kernel(&format!("{name}: {error}")))?;
        }
        Ok(Self { _attached: programs })
    }
}

/// Attaches one where the loader attaches ours.
fn attach(program: &mut Program, name: &str, types: &Btf) -> Result<(), ProgramError> {
    let control_group = || File::open(CONTROL_GROUP);
    match program {
        Program::Lsm(program) => {
            program.load(name, types)?;
            program.attach().map(drop)
        }
        Program::LsmCgroup(program) => {
            program.load("socket_post_create", types)?;
            program.attach(control_group()?).map(drop)
        }
        Program::CgroupSockAddr(program) => {
            program.load()?;
            program.attach(control_group()?, CgroupAttachMode::Single).map(drop)
        }
        Program::SockOps(program) => {
            program.load()?;
            program.attach(control_group()?, CgroupAttachMode::Single).map(drop)
        }
        Program::CgroupSkb(program) => {
            program.load()?;
            let direction = CgroupSkbAttachType::Ingress;
            program.attach(control_group()?, direction, CgroupAttachMode::Single).map(drop)
        }
        Program::Iter(program) => {
            program.load("udp", types)?;
            program.attach().map(drop)
        }
        Program::SkLookup(program) => {
            program.load()?;
            program.attach(File::open(NETWORK_NAMESPACE)?).map(drop)
        }
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// How often the programs of each hook ran.
pub(crate) type Counts = BTreeMap<Hook, u64>;

/// Says how often the programs of each hook run while `act` does.
pub(crate) fn count<T>(act: impl FnOnce() -> Result<T>) -> Result<(T, Counts)> {
    let counting = enable_stats(Stats::RunTime).context("asking the kernel to count runs of programs")?;
    // Looking crosses `bpf` itself, as often each time: what lies between two looks at nothing is taken off.
    let [first, second] = [runs()?, runs()?];
    let done = act()?;
    let mut counts = runs()?;
    drop(counting);
    for (hook, count) in &mut counts {
        let [first, second] = [&first, &second].map(|look| look.get(hook).copied().unwrap_or_default());
        *count = count.saturating_sub(second + (second - first));
    }
    counts.retain(|_, count| *count > 0);
    Ok((done, counts))
}

/// The hooks that programs are loaded for, under the names of ours.
pub(crate) fn loaded() -> Result<Vec<Hook>> {
    Ok(runs()?.into_keys().collect())
}

fn runs() -> Result<Counts> {
    let mut counts = Counts::new();
    for program in loaded_programs() {
        let program = program.context("listing the kernel's programs")?;
        let hook = Hook::ALL.iter().find(|hook| hook.name().as_bytes().iter().take(KEPT).eq(program.name()));
        if let Some(hook) = hook {
            *counts.entry(*hook).or_default() += program.run_count();
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_the_kernel_keeps_of_a_name_tells_hooks_apart() {
        let kept: BTreeSet<&str> =
            Hook::ALL.iter().map(|hook| &hook.name()[..hook.name().len().min(KEPT)]).collect();
        assert_eq!(kept.len(), Hook::COUNT);
    }
}
