//! The only raw reads of kernel structures.
//!
//! A read is either *typed* (through a pointer that the verifier knows, plus an offset that is a constant to it: checked at load,
//! and the result may go into a storage helper) or *by address* (`bpf_probe_read_kernel`: a bad address reads as zero). Typed
//! where a helper needs the type or the path is hot, by address elsewhere.

pub(crate) mod file;
pub(crate) mod inode;
pub(crate) mod layout;
pub(crate) mod socket;
pub(crate) mod storage;
pub(crate) mod task;

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::{bpf_get_func_arg, bpf_probe_read_kernel};
use aya_ebpf::programs::LsmContext;

/// A hook's argument as a number. Of a pointer from the context LLVM may store a half where it is not looked at, which the verifier refuses;
/// what comes out of the helper is a number to it from the beginning. 0 if there is no such argument.
#[inline(always)]
pub(crate) fn argument(ctx: &LsmContext, index: u32) -> u64 {
    let mut value = 0_u64;
    // SAFETY: The context is this program's own, the destination a live local.
    unsafe { bpf_get_func_arg(ctx.as_ptr(), index, &raw mut value) };
    value
}

/// Reads a value by address; a fault gives `T::default()`, zero for all that is read this way.
#[inline(always)]
pub(crate) fn read<T: Copy + Default>(address: u64) -> T {
    let mut value = T::default();
    // SAFETY: The destination is a live local of exactly this size; the helper checks the source itself and faults to an error.
    unsafe {
        bpf_probe_read_kernel(
            ptr::from_mut(&mut value).cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        );
    }
    value
}
