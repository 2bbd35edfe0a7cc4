//! Everything attached for a moment, and pinned nowhere: which programs this kernel accepts, and whether a denial really happens.
//!
//! For a kernel on which nothing is loaded. No process has a tag then but the canary's, so the host notices nothing.

use std::collections::BTreeMap;

use vs_common::hook::Hook;

use super::attach::{ProgramsError, in_order};
use super::canary;
use super::layout::LayoutError;
use super::object::{ObjectError, Source};
use super::support::Support;
use crate::maps::live::LiveStore;

/// The programs that the canary's acts meet.
const MET_BY_CANARY: [Hook; 3] = [Hook::TaskAlloc, Hook::TaskKill, Hook::Bpf];

/// What came of it.
#[derive(Debug)]
pub struct Trial {
    /// Hooks whose program could not be attached, and why.
    pub failed: BTreeMap<Hook, String>,
    /// What the verifier said of those that it refused.
    pub verifier_logs: Vec<(Hook, String)>,
    /// Whether the forbidden acts were denied, and the host's were not.
    pub canary: Result<(), ProgramsError>,
}

/// Loads `bytes`, the eBPF object, attaches every program that the kernel has a hook for, tries the canary, and takes all away again.
///
/// # Errors
/// The kernel cannot enforce at all, or the object cannot be loaded.
pub fn run(bytes: &[u8], support: &Support) -> Result<Trial, ProgramsError> {
    let layout = support.require(&[])?.clone();
    let source = Source { bytes, layout, injected: 0 };
    let types = support.types.as_ref().map_err(LayoutError::clone)?;
    let mut object = source.load(types, None)?;
    let mut store = LiveStore::of_object(object.ebpf())?;
    let absent = missing(support);
    let mut refused: BTreeMap<Hook, ObjectError> = BTreeMap::new();
    for hook in in_order(Hook::ALL).into_iter().filter(|hook| support.has(*hook)) {
        if let Err(error) = object.verify(hook).and_then(|()| object.attach(hook)) {
            refused.insert(hook, error);
        }
    }
    let failed = refused.iter().map(|(hook, error)| (*hook, error.to_string())).chain(absent).collect();
    let verifier_logs = refused.iter().filter_map(|(hook, error)| match error {
        ObjectError::Refused { verifier_log, .. } => Some((*hook, verifier_log.clone())),
        _ => None,
    });
    let verifier_logs = verifier_logs.collect();
    let canary = match MET_BY_CANARY.into_iter().find_map(|hook| refused.remove(&hook)) {
        Some(error) => Err(error.into()),
        None => canary::run(&mut store, source.canary()).map_err(ProgramsError::from),
    };
    Ok(Trial { failed, verifier_logs, canary })
}

/// The hooks that the kernel lacks.
pub fn missing(support: &Support) -> BTreeMap<Hook, String> {
    let why = format!("the kernel {} has no such hook; a newer one has", support.release);
    support.missing_hooks(Hook::ALL).into_iter().map(|hook| (hook, why.clone())).collect()
}
