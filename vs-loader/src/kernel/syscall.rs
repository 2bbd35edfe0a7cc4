//! The commands of `bpf(2)` about pins, links and programs that aya has no call for: pinning one link twice, and which program a
//! pinned link holds.
//!
//! Each command's attributes are the leading fields of its member of `union bpf_attr` (`include/uapi/linux/bpf.h`); the kernel takes
//! a shorter one as filled up with zeros (`kernel/bpf/syscall.c:__sys_bpf`).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aya_obj::generated::{bpf_cmd, bpf_link_info, bpf_map_info, bpf_prog_info};

#[repr(C)]
struct Pathname {
    path: u64,
    object: RawFd,
    flags: u32,
}

#[repr(C)]
struct Identifier {
    id: u32,
    next: u32,
    flags: u32,
}

#[repr(C)]
struct Info {
    object: RawFd,
    size: u32,
    address: u64,
}

/// # Safety
/// Every address in the attributes must be valid for what the command reads or writes there.
pub(super) unsafe fn bpf<A>(command: bpf_cmd, attributes: &A) -> io::Result<RawFd> {
    // SAFETY: the attributes are alive, and as large as is said; what they point to is the caller's promise.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, command as u32, &raw const *attributes, size_of::<A>()) };
    // A descriptor or 0, both of which fit.
    RawFd::try_from(done).ok().filter(|done| *done >= 0).ok_or_else(io::Error::last_os_error)
}

/// The object pinned at a path in bpffs.
pub(crate) fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let attributes = Pathname { path: name.as_ptr() as u64, object: 0, flags: 0 };
    // SAFETY: the path is a string with its zero, alive during the call.
    let object = unsafe { bpf(bpf_cmd::BPF_OBJ_GET, &attributes) }?;
    // SAFETY: the command returns a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(object) })
}

/// Pins an object at a path in bpffs, where nothing may be yet. One object can be pinned at many paths.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let attributes = Pathname { path: name.as_ptr() as u64, object: object.as_raw_fd(), flags: 0 };
    // SAFETY: the path is a string with its zero, alive during the call.
    unsafe { bpf(bpf_cmd::BPF_OBJ_PIN, &attributes) }.map(drop)
}

/// What the kernel tells about a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ProgramFacts {
    /// Calls counted while statistics were on.
    pub(crate) calls: u64,
    /// Calls that were skipped to avoid recursion: holes in the enforcement. LSM programs have none from 6.1 on.
    pub(crate) missed: u64,
    /// Instructions that the verifier went through.
    pub(crate) verified_instructions: u32,
}

/// The program that a link holds, where the link holds it, and the type id, in the kernel's BTF, of the function that it was loaded for.
pub(crate) fn link_program(link: BorrowedFd<'_>) -> io::Result<(ProgramFacts, bpf_link_info, u32)> {
    // SAFETY: the structure consists of integers, unions of integers and addresses held as integers: zeros are a value.
    let link: bpf_link_info = info(link, unsafe { std::mem::zeroed() })?;
    let attributes = Identifier { id: link.prog_id, next: 0, flags: 0 };
    // SAFETY: the command's attributes hold no address.
    let program = unsafe { bpf(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &attributes) }?;
    // SAFETY: the command returns a new descriptor that nobody else has.
    let program = unsafe { OwnedFd::from_raw_fd(program) };
    // SAFETY: as above, of integers only; zeros ask for none of the optional arrays.
    let facts: bpf_prog_info = info(program.as_fd(), unsafe { std::mem::zeroed() })?;
    let program = ProgramFacts {
        calls: facts.run_cnt,
        missed: facts.recursion_misses,
        verified_instructions: facts.verified_insns,
    };
    Ok((program, link, facts.attach_btf_id))
}

/// What the kernel tells about a map.
pub(super) fn map_info(map: BorrowedFd<'_>) -> io::Result<bpf_map_info> {
    // SAFETY: the structure consists of integers: zeros are a value.
    info(map, unsafe { std::mem::zeroed() })
}

fn info<I: Copy>(object: BorrowedFd<'_>, mut info: I) -> io::Result<I> {
    let size = u32::try_from(size_of::<I>()).map_err(io::Error::other)?;
    let attributes = Info { object: object.as_raw_fd(), size, address: &raw mut info as u64 };
    // SAFETY: the kernel writes at most `size` bytes to `info`, which is alive; it is called only for the kernel's own information
    // structures, whose every byte pattern is a value.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &attributes) }?;
    Ok(info)
}
