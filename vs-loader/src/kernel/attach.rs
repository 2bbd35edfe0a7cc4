//! The programs of a load: attached beside those in force, pinned under their epoch.
//!
//! Links whose programs would be the same are shared with the epoch in force: pinned once more, not attached once more. So most loads
//! touch no program at all, and a hook that both epochs need is never without one.

use std::io;
use std::os::fd::AsFd;

use vs_common::filesystem::FileNumbers;
use vs_common::hook::{Hook, Role};
use vs_common::id::Epoch;
use vs_common::kernel_layout::inject;

use super::attachment;
use super::btf::KernelTypes;
use super::canary::{self, CanaryError};
use super::layout::LayoutError;
use super::object::{Object, ObjectError, Source};
use super::pins::{self, Pins, PinsError};
use super::support::{Refusal, Support};
use super::syscall::{self, ProgramFacts};
use crate::maps::apply::Programs;
use crate::maps::live::{LiveStore, OpenError};
use crate::maps::store::Store;

/// Why programs could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    /// The kernel cannot enforce, or whoever asks may not.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The pins.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The object or a program.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The maps.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nothing was denied, or too much.
    #[error(transparent)]
    Canary(#[from] CanaryError),
    /// A link in force could not be pinned once more.
    #[error("cannot share the link to {}: {cause}", .hook.name())]
    Share {
        /// Its hook.
        hook: Hook,
        /// The kernel's answer.
        cause: io::Error,
    },
}

impl From<LayoutError> for ProgramsError {
    fn from(error: LayoutError) -> Self {
        Self::Refused(error.into())
    }
}

/// What tests ask of a load that nobody else may: `vs load` says so loudly.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sabotage {
    /// Failures of the kernel's that the programs act out ([`vs_common::kernel_layout::inject`]).
    pub injected: u32,
    /// Hooks whose program is left out.
    pub without: Vec<Hook>,
}

/// The object's programs and their pins.
#[derive(Debug)]
pub struct KernelPrograms<'o> {
    pins: Pins,
    bytes: &'o [u8],
    support: Support,
    sabotage: Sabotage,
    /// Loaded once it is needed: a load that changes rows only never needs it.
    object: Option<Object>,
}

/// What a command that changes something works with: the maps and the programs. The caller holds the exclusive lock.
#[derive(Debug)]
pub struct Session<'o> {
    /// The pinned maps.
    pub store: LiveStore,
    /// The programs.
    pub programs: KernelPrograms<'o>,
    /// Whether bpffs had to be mounted.
    pub has_mounted: bool,
}

impl<'o> Session<'o> {
    /// Checks that the probed kernel can enforce, and opens the maps, making those that are missing. `bytes` is the eBPF object.
    ///
    /// # Errors
    /// The kernel cannot enforce, the pins are not ours, or the kernel refused.
    pub fn open(bytes: &'o [u8], support: Support, sabotage: Sabotage) -> Result<Self, ProgramsError> {
        if let Some(refusal) = support.refusal() {
            return Err(refusal.into());
        }
        let has_mounted = pins::mount_bpffs()?;
        let mut programs = KernelPrograms { pins: Pins::default(), bytes, support, sabotage, object: None };
        programs.make_maps()?;
        let store = LiveStore::open_pinned(&programs.pins)?.ok_or(OpenError::NotLoaded)?;
        Ok(Self { store, programs, has_mounted })
    }

    /// Opens the maps that there are; `None`: there are none. For commands that take away.
    ///
    /// # Errors
    /// Not root, the pins are not ours, or the kernel refused.
    pub fn open_existing(bytes: &'o [u8], support: Support) -> Result<Option<Self>, ProgramsError> {
        if !support.missing_capabilities.is_empty() {
            return Err(Refusal::NotRoot(support.missing_capabilities).into());
        }
        let pins = Pins::default();
        let Some(store) = LiveStore::open_pinned(&pins)? else { return Ok(None) };
        let programs = KernelPrograms { pins, bytes, support, sabotage: Sabotage::default(), object: None };
        Ok(Some(Self { store, programs, has_mounted: false }))
    }
}

impl KernelPrograms<'_> {
    /// The pins that it works on.
    pub const fn pins(&self) -> &Pins {
        &self.pins
    }

    /// What was found out about the kernel.
    pub const fn support(&self) -> &Support {
        &self.support
    }

    fn make_maps(&mut self) -> Result<(), ProgramsError> {
        self.pins.prepare()?;
        if !self.pins.has_all_maps()? {
            self.load_object()?;
        }
        Ok(())
    }

    fn source(&self) -> Result<Source<'_>, ProgramsError> {
        let layout = self.support.layout.clone()?;
        Ok(Source { bytes: self.bytes, layout, injected: self.sabotage.injected })
    }

    fn load_object(&mut self) -> Result<&mut Object, ProgramsError> {
        let object = if let Some(object) = self.object.take() {
            object
        } else {
            let types = self.support.types.as_ref().map_err(LayoutError::clone)?;
            self.source()?.load(types, Some(&self.pins))?
        };
        Ok(self.object.insert(object))
    }

    /// The numbers by which the kernel knows what this process has open.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn file_numbers(&mut self) -> Result<Vec<FileNumbers>, ProgramsError> {
        Ok(self.load_object()?.file_numbers()?)
    }

    /// Pins a link of one epoch under another, if there is one and it is where it belongs.
    fn share(&self, from: Epoch, to: Epoch, hook: Hook) -> Result<bool, ProgramsError> {
        let failed = |cause| ProgramsError::Share { hook, cause };
        let Ok(types) = &self.support.types else { return Ok(false) };
        if !matches!(link_state(&self.pins, types, from, hook), Ok(LinkState::Attached(_))) {
            return Ok(false);
        }
        let link = syscall::pinned(&self.pins.link(from, hook)).map_err(failed)?;
        syscall::pin(link.as_fd(), &self.pins.link(to, hook)).map_err(failed)?;
        Ok(true)
    }
}

/// The order of attaching: who creates, inherits and clears tags comes before whoever relies on them.
pub(super) fn in_order(hooks: &[Hook]) -> Vec<Hook> {
    let mut hooks = hooks.to_vec();
    hooks.sort_by_key(|hook| (hook.info().role != Role::Lifecycle, *hook));
    hooks
}

impl Programs for KernelPrograms<'_> {
    type Error = ProgramsError;

    fn epochs(&self) -> Result<Vec<Epoch>, ProgramsError> {
        Ok(self.pins.link_epochs()?)
    }

    fn attach(&mut self, epoch: Epoch, hooks: &[Hook], in_force: Option<Epoch>) -> Result<(), ProgramsError> {
        self.support.require(hooks)?;
        let hooks = self.support.expected(hooks.to_vec());
        let identity = self.source()?.identity();
        self.pins.create_links(epoch, &identity)?;
        let alike = in_force.filter(|old| self.pins.object_of(*old).as_ref() == Some(&identity));
        let mut fresh = Vec::new();
        for hook in in_order(&hooks) {
            if self.sabotage.without.contains(&hook) {
                continue;
            }
            let is_shared = match alike {
                Some(old) => self.share(old, epoch, hook)?,
                None => false,
            };
            if !is_shared {
                fresh.push(hook);
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let pins = self.pins.clone();
        let object = self.load_object()?;
        // All are verified before the first is attached: most of what can be refused is refused here.
        for hook in &fresh {
            object.verify(*hook)?;
        }
        for hook in fresh {
            object.attach_pinned(hook, &pins.link(epoch, hook))?;
        }
        Ok(())
    }

    fn prove(&mut self, store: &mut dyn Store) -> Result<(), ProgramsError> {
        if self.sabotage.injected & inject::MET_BY_CANARY != 0 {
            return Ok(());
        }
        Ok(canary::run(store, self.source()?.canary())?)
    }

    fn detach(&mut self, epoch: Epoch) -> Result<(), ProgramsError> {
        Ok(self.pins.remove_links(epoch)?)
    }
}

/// What is at a link's pin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkState {
    /// A link that is attached to its hook.
    Attached(ProgramFacts),
    /// Nothing.
    Missing,
    /// Something that is not attached to that hook.
    Elsewhere,
}

/// Looks at the pin of an epoch's link to a hook.
pub(crate) fn link_state(
    pins: &Pins,
    types: &KernelTypes,
    epoch: Epoch,
    hook: Hook,
) -> io::Result<LinkState> {
    let link = match syscall::pinned(&pins.link(epoch, hook)) {
        Ok(link) => link,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LinkState::Missing),
        Err(error) => return Err(error),
    };
    let (facts, link, attached_to) = syscall::link_program(link.as_fd())?;
    Ok(if attachment::is_at(hook, &link, attached_to, types) {
        LinkState::Attached(facts)
    } else {
        LinkState::Elsewhere
    })
}

/// The boot clock in nanoseconds.
pub fn boot_clock() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // The boot clock begins at 0 and is never negative.
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000
        + u64::try_from(now.tv_nsec).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_keeps_tags_is_attached_before_whoever_relies_on_them() {
        let ordered = in_order(Hook::ALL);
        let first_check = ordered.iter().position(|hook| hook.info().role != Role::Lifecycle).unwrap();
        assert!(ordered[first_check..].iter().all(|hook| hook.info().role != Role::Lifecycle));
        assert_eq!(ordered.len(), Hook::COUNT);
    }

    #[test]
    fn the_boot_clock_runs() {
        assert!(boot_clock() > 0);
    }
}
