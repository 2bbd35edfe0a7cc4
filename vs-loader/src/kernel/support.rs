//! What this kernel can enforce, found out without changing anything: each guarantee full, partial or none, why, and what to change.
//!
//! "Compiled in", "active" and "a denial really happened" are three answers. The first two are here; the third is the canary's, and a
//! guarantee is full only if it is given too.

use std::collections::BTreeMap;
use std::io;

use rustix::thread::{CapabilitySet, capabilities};
use vs_common::hook::Hook;

use super::btf::KernelTypes;
use super::layout::{self, Layout, LayoutError};
use super::lsm_list;
use super::pins;

/// Why a kernel, or whoever asks, is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not root.
    #[error("this needs root: the capabilities {} are missing", .0.join(", "))]
    NotRoot(Vec<&'static str>),
    /// `bpf` is not asked.
    #[error(
        "the kernel does not ask the BPF LSM (it asks {}), so programs would attach and never run; add {} to the kernel's command line \
         and reboot",
        .active.join(","), lsm_list::command_line_with_bpf(.active)
    )]
    NoBpfLsm {
        /// What it asks.
        active: Vec<String>,
    },
    /// Whether it is asked cannot be told.
    #[error(
        "cannot tell which LSMs the kernel asks: {0}; mount -t securityfs securityfs /sys/kernel/security"
    )]
    UnknownLsms(io::Error),
    /// No types, or a field is missing.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The kernel was built without the BPF LSM.
    #[error("the kernel is built without the BPF LSM; it must be built with CONFIG_BPF_LSM=y")]
    NotCompiledIn,
    /// Hooks that a program is for do not exist.
    #[error("the kernel {release} lacks the hooks {}; a newer kernel has them", hook_names(.hooks))]
    MissingHooks {
        /// Its release.
        release: String,
        /// The hooks.
        hooks: Vec<Hook>,
    },
}

fn hook_names(hooks: &[Hook]) -> String {
    hooks.iter().map(|hook| hook.name()).collect::<Vec<_>>().join(", ")
}

/// What was found out.
#[derive(Debug)]
pub struct Support {
    /// `uname -r`.
    pub release: String,
    /// Capabilities that loading needs and this process lacks.
    pub missing_capabilities: Vec<&'static str>,
    /// The LSMs that the kernel asks.
    pub lsms: io::Result<Vec<String>>,
    /// The kernel's types.
    pub types: Result<KernelTypes, LayoutError>,
    /// What the programs must know of the kernel.
    pub layout: Result<Layout, LayoutError>,
    /// Whether bpffs is mounted where pins belong; `vs load` mounts it.
    pub is_bpffs_mounted: bool,
}

impl Support {
    /// Asks the running kernel.
    pub fn probe() -> Self {
        let release = layout::kernel_release();
        let types = layout::kernel_types();
        let layout = match &types {
            Ok(types) => Layout::resolve(types, &release),
            Err(error) => Err(error.clone()),
        };
        Self {
            missing_capabilities: missing_capabilities(),
            lsms: lsm_list::active(),
            types,
            layout,
            is_bpffs_mounted: pins::is_bpffs_mounted(),
            release,
        }
    }

    /// Whether the kernel was built with the BPF LSM: its functions are there.
    pub fn is_compiled_in(&self) -> bool {
        self.types.as_ref().is_ok_and(|types| types.function_id(&attach_function(Hook::TaskKill)).is_some())
    }

    /// Whether the kernel asks the BPF LSM; `None`: that cannot be told.
    pub fn is_active(&self) -> Option<bool> {
        self.lsms.as_ref().ok().map(|names| names.iter().any(|name| name == "bpf"))
    }

    /// Whether this kernel has a hook; none, if its types cannot be read.
    pub fn has(&self, hook: Hook) -> bool {
        // Those that are no hook of the LSM are older than the BPF LSM.
        self.types.as_ref().is_ok_and(|types| {
            hook.lsm_name().is_none() || types.function_id(&attach_function(hook)).is_some()
        })
    }

    /// Those of these hooks that this kernel lacks and should have.
    pub fn missing_hooks(&self, hooks: &[Hook]) -> Vec<Hook> {
        hooks.iter().copied().filter(|hook| !hook.is_optional() && !self.has(*hook)).collect()
    }

    /// These hooks without those that this kernel lacks and may lack.
    pub fn expected(&self, hooks: Vec<Hook>) -> Vec<Hook> {
        hooks.into_iter().filter(|hook| !hook.is_optional() || self.has(*hook)).collect()
    }

    /// What stands in the way of enforcing anything at all, the first thing to be cured first.
    pub fn refusal(&self) -> Option<Refusal> {
        if !self.missing_capabilities.is_empty() {
            return Some(Refusal::NotRoot(self.missing_capabilities.clone()));
        }
        if let Err(error) = &self.types {
            return Some(Refusal::Layout(error.clone()));
        }
        if !self.is_compiled_in() {
            return Some(Refusal::NotCompiledIn);
        }
        match &self.lsms {
            Err(error) => return Some(Refusal::UnknownLsms(same_error(error))),
            Ok(active) if self.is_active() == Some(false) => {
                return Some(Refusal::NoBpfLsm { active: active.clone() });
            }
            Ok(_) => {}
        }
        self.layout.as_ref().err().map(|error| Refusal::Layout(error.clone()))
    }

    /// Refuses a kernel on which these hooks' programs could not run.
    ///
    /// # Errors
    /// What is missing, and the cure.
    pub fn require(&self, hooks: &[Hook]) -> Result<&Layout, Refusal> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let missing = self.missing_hooks(hooks);
        if !missing.is_empty() {
            return Err(Refusal::MissingHooks { release: self.release.clone(), hooks: missing });
        }
        self.layout.as_ref().map_err(|error| Refusal::Layout(error.clone()))
    }
}

/// The function that a program for a hook of the LSM is attached to.
pub(super) fn attach_function(hook: Hook) -> String {
    format!("bpf_lsm_{}", hook.lsm_name().unwrap_or(hook.name()))
}

/// The same answer of the kernel's once more.
fn same_error(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

/// What it takes to load LSM programs, to mount and pin, and to keep contexts.
pub fn missing_capabilities() -> Vec<&'static str> {
    let needed = [
        (CapabilitySet::SYS_ADMIN, "sys_admin"),
        (CapabilitySet::BPF, "bpf"),
        (CapabilitySet::PERFMON, "perfmon"),
    ];
    // A failure to ask is no leave to go on.
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    needed
        .into_iter()
        .filter(|(capability, _)| !effective.contains(*capability))
        .map(|(_, name)| name)
        .collect()
}

/// How far a guarantee can be given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Level {
    /// As promised.
    Full,
    /// Without what these hooks would see.
    Partial {
        /// The hooks, each with the reason.
        missing: Vec<(Hook, String)>,
    },
    /// Not at all.
    None {
        /// Why, and what to change.
        why: String,
    },
}

/// One guarantee on this kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuaranteeSupport {
    /// The guarantee, in the operator's words.
    pub guarantee: &'static str,
    /// The hooks that it rests on.
    pub hooks: Vec<Hook>,
    /// How far it can be given.
    pub level: Level,
}

/// How far each guarantee can be given, in the order of the table of hooks.
///
/// `obstacle`: why nothing at all can be enforced. `failed`: hooks whose program cannot be had, and why.
pub fn guarantees(obstacle: Option<&str>, failed: &BTreeMap<Hook, String>) -> Vec<GuaranteeSupport> {
    let mut found: Vec<GuaranteeSupport> = Vec::new();
    for hook in Hook::ALL {
        let guarantee = hook.info().guarantee;
        match found.iter_mut().find(|entry| entry.guarantee == guarantee) {
            Some(entry) => entry.hooks.push(*hook),
            None => found.push(GuaranteeSupport { guarantee, hooks: vec![*hook], level: Level::Full }),
        }
    }
    for entry in &mut found {
        let missing: Vec<_> =
            entry.hooks.iter().filter_map(|hook| Some((*hook, failed.get(hook)?.clone()))).collect();
        entry.level = match obstacle {
            Some(why) => Level::None { why: why.to_owned() },
            None if missing.is_empty() => Level::Full,
            None if missing.len() < entry.hooks.len() => Level::Partial { missing },
            None => Level::None {
                why: missing
                    .iter()
                    .map(|(hook, why)| format!("{}: {why}", hook.name()))
                    .collect::<Vec<_>>()
                    .join("; "),
            },
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::btf::blob::Blob;
    use super::*;

    /// A kernel that has everything but these hooks.
    fn kernel(without: &[Hook]) -> Support {
        let mut blob = Blob::new();
        blob.int();
        for hook in Hook::ALL.iter().filter(|hook| !without.contains(hook)) {
            blob.function(&attach_function(*hook), 2);
        }
        Support {
            release: "6.12.1".into(),
            missing_capabilities: Vec::new(),
            lsms: Ok(vec!["capability".into(), "bpf".into()]),
            types: Ok(KernelTypes::parse(blob.bytes()).unwrap()),
            layout: Ok(Layout {
                offsets: Vec::new(),
                may_storage_be_busy: 0,
                is_storage_readable: 1,
                has_setattr_idmap: 1,
            }),
            is_bpffs_mounted: true,
        }
    }

    fn refusal(support: &Support) -> String {
        support.require(Hook::ALL).unwrap_err().to_string()
    }

    #[test]
    fn a_kernel_with_everything_is_accepted() {
        assert!(kernel(&[]).require(Hook::ALL).is_ok());
        assert!(kernel(&[Hook::FileOpen]).require(&[Hook::TaskKill]).is_ok());
    }

    #[test]
    fn each_refusal_is_one_line_with_the_cure() {
        let mut support = kernel(&[]);
        support.layout = Err(LayoutError::MissingField { structure: "file", member: "f_inode" });
        assert_eq!(
            refusal(&support),
            "this kernel's file has no member f_inode, which the programs must read; update vs for this kernel"
        );
        support.lsms = Ok(vec!["capability".into(), "yama".into()]);
        assert_eq!(
            refusal(&support),
            "the kernel does not ask the BPF LSM (it asks capability,yama), so programs would attach and never run; add lsm=yama,bpf to \
             the kernel's command line and reboot"
        );
        support.lsms = Err(io::Error::from_raw_os_error(libc::ENOENT));
        assert!(refusal(&support).contains("mount -t securityfs"));
        support.types = kernel(&[Hook::TaskKill]).types;
        assert!(refusal(&support).contains("CONFIG_BPF_LSM=y"));
        support.types = Err(LayoutError::Release("x".into()));
        assert!(refusal(&support).contains("kernel's version"));
        support.missing_capabilities = vec!["sys_admin", "bpf"];
        assert_eq!(refusal(&support), "this needs root: the capabilities sys_admin, bpf are missing");
    }

    #[test]
    fn missing_hooks_are_named() {
        assert_eq!(
            refusal(&kernel(&[Hook::UsernsCreate, Hook::FileOpen])),
            "the kernel 6.12.1 lacks the hooks userns_create, file_open; a newer kernel has them"
        );
    }

    #[test]
    fn a_guarantee_is_full_partial_or_none() {
        let level = |failed: &[Hook], guarantee: &str| {
            let failed = failed.iter().map(|hook| (*hook, "gone".to_owned())).collect();
            guarantees(None, &failed).into_iter().find(|entry| entry.guarantee == guarantee).unwrap().level
        };
        assert_eq!(level(&[], "signals"), Level::Full);
        assert_eq!(level(&[Hook::TaskKill], "signals"), Level::None { why: "task_kill: gone".into() });
        assert_eq!(
            level(&[Hook::TaskSetnice], "scheduling"),
            Level::Partial { missing: vec![(Hook::TaskSetnice, "gone".into())] }
        );
    }

    #[test]
    fn an_obstacle_takes_every_guarantee() {
        let all = guarantees(Some("no"), &BTreeMap::new());
        assert!(all.iter().all(|entry| entry.level == Level::None { why: "no".into() }));
        let hooks: Vec<Hook> = all.into_iter().flat_map(|entry| entry.hooks).collect();
        assert_eq!(hooks.len(), Hook::COUNT);
    }
}
