//! What the running kernel looks like to the programs: the values of the object's read-only globals.
//!
//! rustc emits no field relocations for BPF, so each offset is taken from the running kernel's BTF before the object is loaded. A
//! field that is missing is an error that names it: a program with a wrong offset would read other memory and still load.

use std::path::Path;

use vs_common::kernel_layout::{ABSENT, KERNEL_FIELDS, global};

use super::btf::{BtfError, KernelTypes};

/// Where the kernel shows its types.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Why the layout could not be found out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LayoutError {
    /// No BTF.
    #[error(
        "cannot read the kernel's type information {path}: {cause}; the kernel must be built with CONFIG_DEBUG_INFO_BTF=y, and \
         sysfs mounted at /sys"
    )]
    Unreadable {
        /// The file.
        path: String,
        /// The kernel's answer.
        cause: std::sync::Arc<std::io::Error>,
    },
    /// BTF that cannot be understood.
    #[error(
        "cannot understand the kernel's type information {VMLINUX}: {0}; this kernel is newer than this vs, update vs"
    )]
    Malformed(BtfError),
    /// A field that a program must read is not there.
    #[error(
        "this kernel's {structure} has no member {member}, which the programs must read; update vs for this kernel"
    )]
    MissingField {
        /// The kernel's `struct`.
        structure: &'static str,
        /// The member.
        member: &'static str,
    },
    /// The release is no version number.
    #[error("cannot tell the kernel's version from the release \"{0}\"")]
    Release(String),
}

// Not `#[from]`: the message holds the cause's, and whoever prints the chain of causes would print it twice.
impl From<BtfError> for LayoutError {
    fn from(cause: BtfError) -> Self {
        Self::Malformed(cause)
    }
}

/// A kernel's version: major and minor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KernelVersion(pub u32, pub u32);

impl KernelVersion {
    /// The version in a release such as `6.12.117+deb12-cloud-amd64`; `None`: there is none in it.
    pub fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

/// The globals and their values. Two layouts are equal if and only if programs loaded with them are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Offset of each of [`KERNEL_FIELDS`], or [`ABSENT`].
    pub offsets: Vec<(&'static str, u64)>,
    /// [`global::TASK_STORAGE_MAY_BE_BUSY`].
    pub may_storage_be_busy: u32,
    /// [`global::TASK_STORAGE_IS_READABLE`].
    pub is_storage_readable: u32,
    /// [`global::SETATTR_HAS_IDMAP`].
    pub has_setattr_idmap: u32,
}

/// Reads the running kernel's types.
///
/// # Errors
/// The kernel shows none, or they are malformed.
pub fn kernel_types() -> Result<KernelTypes, LayoutError> {
    read_types(Path::new(VMLINUX))
}

fn read_types(path: &Path) -> Result<KernelTypes, LayoutError> {
    let bytes = std::fs::read(path)
        .map_err(|cause| LayoutError::Unreadable { path: path.display().to_string(), cause: cause.into() })?;
    Ok(KernelTypes::parse(bytes)?)
}

/// The running kernel's release (`uname -r`).
pub fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

impl Layout {
    /// The layout of the kernel with these types and this release.
    ///
    /// # Errors
    /// A required field is missing, the types are malformed, or the release is no version.
    pub fn resolve(types: &KernelTypes, release: &str) -> Result<Self, LayoutError> {
        let mut offsets = Vec::with_capacity(KERNEL_FIELDS.len());
        for field in KERNEL_FIELDS {
            let found = if field.is_bit {
                types.bit_offset(field.structure, field.member)?
            } else {
                types.offset(field.structure, field.member)?
            };
            let offset = match found {
                Some(offset) => offset,
                None if field.is_optional => ABSENT,
                None => {
                    return Err(LayoutError::MissingField {
                        structure: field.structure,
                        member: field.member,
                    });
                }
            };
            offsets.push((field.global, offset));
        }
        Ok(Self {
            offsets,
            may_storage_be_busy: u32::from(may_storage_be_busy(types, release)?),
            is_storage_readable: u32::from(is_storage_readable(types, release)?),
            has_setattr_idmap: u32::from(types.argument_count("bpf_lsm_inode_setattr")? == Some(3)),
        })
    }

    /// Every 32-bit global, by name.
    pub fn switches(&self) -> [(&'static str, &u32); 3] {
        [
            (global::TASK_STORAGE_MAY_BE_BUSY, &self.may_storage_be_busy),
            (global::TASK_STORAGE_IS_READABLE, &self.is_storage_readable),
            (global::SETATTR_HAS_IDMAP, &self.has_setattr_idmap),
        ]
    }
}

/// Whether `bpf_task_storage_get` gives NULL when its per-CPU lock is busy.
///
/// 6.2 gave LSM programs a variant that waits (`kernel/trace/bpf_trace.c:bpf_tracing_func_proto`) and called the old one
/// `bpf_task_storage_get_recur`. A vendor's older kernel with that function has the change too; a much newer one without it has
/// dropped the old variant again. So the version alone decides only where the function is missing.
fn may_storage_be_busy(types: &KernelTypes, release: &str) -> Result<bool, LayoutError> {
    if types.function_id("bpf_task_storage_get_recur").is_some() {
        return Ok(false);
    }
    let version = KernelVersion::parse(release).ok_or_else(|| LayoutError::Release(release.to_owned()))?;
    Ok(version < KernelVersion(6, 2))
}

/// Whether typed loads may read a task's storage: the offsets are those in the programs' instructions, and the verifier lets an array of
/// bytes at the end of a structure be read (`kernel/bpf/btf.c:btf_struct_walk`, since 6.4). Where not, the helper does it.
fn is_storage_readable(types: &KernelTypes, release: &str) -> Result<bool, LayoutError> {
    for (structure, member, offset) in STORAGE_OFFSETS {
        if types.offset(structure, member)? != Some(offset) {
            return Ok(false);
        }
    }
    let version = KernelVersion::parse(release).ok_or_else(|| LayoutError::Release(release.to_owned()))?;
    Ok(version >= KernelVersion(6, 4))
}

/// The offsets in `vs-ebpf/src/kernel/storage.rs`. They have been so since there is storage on tasks (5.11).
const STORAGE_OFFSETS: [(&str, &str, u64); 3] = [
    ("bpf_local_storage", "cache", 0),
    ("bpf_local_storage_data", "smap", 0),
    ("bpf_local_storage_data", "data", 8),
];

#[cfg(test)]
mod tests {
    use super::super::btf::blob::Blob;
    use super::*;

    /// A kernel that has every field, each at 8 times its place in the table; `without` is left out.
    fn kernel(without: Option<(&str, &str)>, functions: &[(&str, u32)]) -> KernelTypes {
        let mut blob = Blob::new();
        let int = blob.int();
        let mut structures: Vec<&str> = KERNEL_FIELDS.iter().map(|field| field.structure).collect();
        structures.sort_unstable();
        structures.dedup();
        for structure in structures {
            let mut members = Vec::new();
            // What is embedded, by its member, which begins where the structure does.
            let mut embedded: std::collections::BTreeMap<&str, Vec<_>> = std::collections::BTreeMap::new();
            for (place, field) in (0_u32..).zip(KERNEL_FIELDS) {
                if field.structure != structure || without == Some((structure, field.member)) {
                    continue;
                }
                match field.member.split_once('.') {
                    Some((first, rest)) => {
                        embedded.entry(first).or_default().push((rest, int, 64 * place));
                    }
                    None => members.push((field.member, int, 64 * place)),
                }
            }
            for (first, inner) in embedded {
                members.push((first, blob.structure("", &inner), 0));
            }
            blob.structure(structure, &members);
        }
        for (name, arguments) in functions {
            blob.function(name, *arguments);
        }
        KernelTypes::parse(blob.bytes()).unwrap()
    }

    #[test]
    fn every_field_gets_its_offset() {
        let layout = Layout::resolve(&kernel(None, &[]), "6.12.1").unwrap();
        for (place, (field, (global, offset))) in (0..).zip(KERNEL_FIELDS.iter().zip(&layout.offsets)) {
            let unit = if field.is_bit { 64 } else { 8 };
            assert_eq!((field.global, unit * place), (*global, *offset));
        }
    }

    #[test]
    fn a_missing_field_is_named_and_a_missing_optional_one_is_absent() {
        for field in KERNEL_FIELDS {
            let types = kernel(Some((field.structure, field.member)), &[]);
            match Layout::resolve(&types, "6.12.1") {
                Ok(layout) => {
                    assert!(field.is_optional, "{} is required", field.member);
                    assert!(layout.offsets.contains(&(field.global, ABSENT)));
                }
                Err(error) => {
                    assert!(!field.is_optional, "{} is optional", field.member);
                    let text = error.to_string();
                    assert!(text.contains(field.structure) && text.contains(field.member), "{text}");
                }
            }
        }
    }

    #[test]
    fn storage_may_be_busy_before_6_2_unless_the_change_was_taken_over() {
        let busy = |release, functions| {
            Layout::resolve(&kernel(None, functions), release).unwrap().may_storage_be_busy
        };
        let taken_over: &[(&str, u32)] = &[("bpf_task_storage_get_recur", 5)];
        assert_eq!(busy("6.1.0-44-cloud-amd64", &[]), 1);
        assert_eq!(busy("5.14.0-570.el9", &[]), 1);
        assert_eq!(busy("5.14.0-570.el9", taken_over), 0);
        assert_eq!(busy("6.2.0", &[]), 0);
        assert_eq!(busy("7.3.4+deb14-cloud-amd64", &[]), 0);
    }

    #[test]
    fn storage_is_read_only_where_it_looks_as_the_programs_have_it() {
        let readable = |data: u32, release| {
            let mut blob = Blob::new();
            let int = blob.int();
            blob.structure("bpf_local_storage", &[("cache", int, 0)]);
            blob.structure("bpf_local_storage_data", &[("smap", int, 0), ("data", int, 8 * data)]);
            is_storage_readable(&KernelTypes::parse(blob.bytes()).unwrap(), release).unwrap()
        };
        assert!(readable(8, "6.4.0") && readable(8, "7.3.4+deb13-cloud-amd64"));
        assert!(!readable(16, "6.12.1"), "other offsets");
        assert!(!readable(8, "6.1.0-56-cloud-amd64"), "the verifier refuses");
        assert!(!is_storage_readable(&kernel(None, &[]), "6.12.1").unwrap(), "no such structure");
    }

    #[test]
    fn three_arguments_of_setattr_mean_an_id_map() {
        let has = |arguments| {
            let types = kernel(None, &[("bpf_lsm_inode_setattr", arguments)]);
            Layout::resolve(&types, "6.12.1").unwrap().has_setattr_idmap
        };
        assert_eq!((has(2), has(3)), (0, 1));
    }

    #[test]
    fn a_release_that_is_no_version_is_an_error() {
        let text = Layout::resolve(&kernel(None, &[]), "next").unwrap_err().to_string();
        assert_eq!(text, "cannot tell the kernel's version from the release \"next\"");
    }

    #[test]
    fn a_kernel_without_types_is_told_what_to_change() {
        let text = read_types(Path::new("/sys/kernel/btf/none")).unwrap_err().to_string();
        assert!(text.contains("/sys/kernel/btf/none") && text.contains("CONFIG_DEBUG_INFO_BTF=y"), "{text}");
    }
}
