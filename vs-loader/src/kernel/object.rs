//! The eBPF object: its maps are made or found again by their pins, its programs are loaded one by one.

use std::fmt::Write;

use aya::programs::links::FdLink;
use aya::programs::{Program, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader};
use sha2::{Digest, Sha256};
use vs_common::hook::Hook;
use vs_common::id::Generation;
use vs_common::kernel_layout::global;
use vs_common::map_name;

use super::attachment;
use super::btf::KernelTypes;
use super::layout::Layout;
use super::pins::Pins;

/// The object that this loader was built with.
pub static EMBEDDED: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/vs-ebpf.o"));

/// Why the object, or one of its programs, could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The object or its maps.
    #[error("cannot load the eBPF object: {}", chain(.0))]
    Object(aya::EbpfError),
    /// The object has no such program: it and this loader were not built from the same sources.
    #[error("the eBPF object has no program {}; build vs again with `cargo xtask build`", .0.name())]
    NoProgram(Hook),
    /// The kernel refused a program.
    #[error("the kernel refused the program {}: {cause}; vs load --verifier-log shows why", .hook.name())]
    Refused {
        /// Its hook.
        hook: Hook,
        /// The kernel's answer.
        cause: std::io::Error,
        /// What the verifier said: long, and for the program's author.
        verifier_log: String,
    },
    /// Something else about a program.
    #[error("cannot {action} the program {}: {}", .hook.name(), chain(.cause))]
    Program {
        /// Its hook.
        hook: Hook,
        /// What was tried.
        action: &'static str,
        /// What went wrong.
        cause: ProgramError,
    },
    /// A program that is read and attached to no hook.
    #[error("cannot {action} the program {program}: {}", chain(.cause))]
    Iterator {
        /// Its name.
        program: &'static str,
        /// What was tried.
        action: &'static str,
        /// What went wrong.
        cause: ProgramError,
    },
    /// The object has no such program of no hook.
    #[error("the eBPF object has no program {0}; build vs again with `cargo xtask build`")]
    NoIterator(&'static str),
    /// A link could not be pinned.
    #[error("cannot pin the link to {}: {}", .hook.name(), chain(.cause))]
    Pin {
        /// Its hook.
        hook: Hook,
        /// What went wrong.
        cause: aya::pin::PinError,
    },
}

/// aya's messages name the call, and what the kernel answered only in their source.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// What is loaded: the object's bytes, and the values of its globals on this kernel.
#[derive(Clone, Debug)]
pub struct Source<'s> {
    /// The ELF file.
    pub bytes: &'s [u8],
    /// What the running kernel looks like.
    pub layout: Layout,
    /// Failures that the programs act out, for tests ([`vs_common::kernel_layout::inject`]); 0 otherwise.
    pub injected: u32,
}

/// The generation of the canary that only the programs of a source with this identity deny.
pub fn canary_of(identity: &str) -> Generation {
    let digits = identity.get(..16).unwrap_or_default();
    Generation(u64::from_str_radix(digits, 16).unwrap_or_default())
}

impl Source<'_> {
    /// Tells two sources apart whose programs differ: a digest over all that goes into them, in hexadecimal digits.
    pub fn identity(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.bytes);
        for (name, offset) in &self.layout.offsets {
            hash.update(name);
            hash.update(offset.to_ne_bytes());
        }
        for (name, value) in self.layout.switches() {
            hash.update(name);
            hash.update(value.to_ne_bytes());
        }
        hash.update(self.injected.to_ne_bytes());
        hash.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The generation of the canary that only the programs of this source deny.
    pub fn canary(&self) -> Generation {
        canary_of(&self.identity())
    }

    /// Loads the object without its programs. With pins its maps are those pinned there, and those that are missing are made and
    /// pinned; without, all are made and go away with the object.
    ///
    /// # Errors
    /// The object is not ours, or the kernel refused.
    pub fn load(&self, types: &KernelTypes, pins: Option<&Pins>) -> Result<Object, ObjectError> {
        let btf = types.functions_for_aya();
        let mut loader = EbpfLoader::new();
        // aya has no type for task storage; we only need its descriptor.
        loader.btf(Some(&btf)).allow_unsupported_maps();
        for (name, offset) in &self.layout.offsets {
            loader.override_global(name, offset, true);
        }
        for (name, value) in self.layout.switches() {
            loader.override_global(name, value, true);
        }
        if self.injected != 0 {
            // A failure of the helper shows only where the helper is asked.
            loader.override_global(global::TASK_STORAGE_IS_READABLE, &0_u32, true);
        }
        loader.override_global(global::INJECT, &self.injected, true);
        let canary = self.canary().0;
        loader.override_global(global::CANARY_GENERATION, &canary, true);
        if let Some(pins) = pins {
            for name in map_name::ALL {
                loader.map_pin_path(name, pins.map(name));
            }
        }
        let ebpf = loader.load(self.bytes).map_err(ObjectError::Object)?;
        Ok(Object { ebpf, btf, links: Vec::new() })
    }
}

/// The object in the kernel. Dropped, it detaches what is not pinned.
#[derive(Debug)]
pub struct Object {
    ebpf: Ebpf,
    btf: Btf,
    links: Vec<FdLink>,
}

impl Object {
    pub(crate) const fn ebpf(&self) -> &Ebpf {
        &self.ebpf
    }

    fn program(ebpf: &mut Ebpf, hook: Hook) -> Result<&mut Program, ObjectError> {
        ebpf.program_mut(hook.name()).ok_or(ObjectError::NoProgram(hook))
    }

    /// A program that is no hook's, and the types to load it with.
    pub(super) fn iterator(&mut self, name: &'static str) -> Result<(&mut Program, &Btf), ObjectError> {
        let program = self.ebpf.program_mut(name).ok_or(ObjectError::NoIterator(name))?;
        Ok((program, &self.btf))
    }

    /// Has the verifier check a program and keeps it, attached to nothing.
    ///
    /// # Errors
    /// The kernel refused it.
    pub fn verify(&mut self, hook: Hook) -> Result<(), ObjectError> {
        let program = Self::program(&mut self.ebpf, hook)?;
        attachment::load(program, hook, &self.btf).map_err(|cause| match cause {
            ProgramError::LoadError { io_error, verifier_log } => {
                ObjectError::Refused { hook, cause: io_error, verifier_log: verifier_log.to_string() }
            }
            cause => ObjectError::Program { hook, action: "load", cause },
        })
    }

    /// Attaches a program that was verified, for as long as this object lives.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn attach(&mut self, hook: Hook) -> Result<(), ObjectError> {
        let link = self.link(hook)?;
        self.links.push(link);
        Ok(())
    }

    /// Attaches a program that was verified, for as long as its link stays pinned.
    ///
    /// # Errors
    /// The kernel refused; nothing stays attached.
    pub fn attach_pinned(&mut self, hook: Hook, path: &std::path::Path) -> Result<(), ObjectError> {
        // The descriptor is closed here, the pin stays.
        self.link(hook)?.pin(path).map(drop).map_err(|cause| ObjectError::Pin { hook, cause })
    }

    fn link(&mut self, hook: Hook) -> Result<FdLink, ObjectError> {
        let attached = attachment::attach(Self::program(&mut self.ebpf, hook)?);
        attached.map_err(|cause| ObjectError::Program { hook, action: "attach", cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_changes_with_everything_that_goes_into_the_programs() {
        let layout = Layout {
            offsets: vec![("A", 8)],
            may_storage_be_busy: 0,
            is_storage_readable: 1,
            has_setattr_idmap: 1,
        };
        let source = Source { bytes: b"elf", layout: layout.clone(), injected: 0 };
        let others = [
            Source { bytes: b"elg", ..source.clone() },
            Source { layout: Layout { offsets: vec![("A", 16)], ..layout.clone() }, ..source.clone() },
            Source { layout: Layout { may_storage_be_busy: 1, ..layout.clone() }, ..source.clone() },
            Source { layout: Layout { is_storage_readable: 0, ..layout.clone() }, ..source.clone() },
            Source { layout: Layout { has_setattr_idmap: 0, ..layout }, ..source.clone() },
            Source { injected: 1, ..source.clone() },
        ];
        assert_eq!(source.identity().len(), 64);
        assert_eq!(source.identity(), source.clone().identity());
        for other in others {
            assert_ne!(source.canary(), other.canary(), "{other:?}");
            assert_ne!(source.identity(), other.identity(), "{other:?}");
        }
    }
}
