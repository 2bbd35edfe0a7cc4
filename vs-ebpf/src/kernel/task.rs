//! `struct task_struct`.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_get_current_task_btf;

use super::storage::Storage;
use super::{layout, read};

/// A task as the verifier knows it: the running one, or a hook's argument.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Task(*mut c_void);

impl Task {
    /// The running task.
    #[inline(always)]
    pub(crate) fn current() -> Self {
        // SAFETY: No arguments; the helper always returns the running task.
        Self(unsafe { bpf_get_current_task_btf() }.cast())
    }

    /// A hook's argument of type `struct task_struct *`, never NULL in the hooks that use this.
    #[inline(always)]
    pub(crate) fn argument(pointer: *mut c_void) -> Self {
        Self(pointer)
    }

    /// For helpers that take a task.
    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *mut c_void {
        self.0
    }

    /// Its address, for reads by address.
    #[inline(always)]
    pub(super) fn address(self) -> u64 {
        self.0 as u64
    }

    /// Whether any BPF tool has stored anything on it. The host's processes have nothing: one load, no helper.
    #[inline(always)]
    pub(crate) fn has_storage(self) -> bool {
        // SAFETY: A typed pointer plus a constant that the loader took from this kernel's BTF; the verifier checks the load.
        unsafe { *self.0.cast::<u8>().add(layout::TASK_BPF_STORAGE.load() as usize).cast::<u64>() != 0 }
    }

    /// What BPF tools have stored on it.
    #[inline(always)]
    pub(crate) fn storage(self) -> Option<Storage> {
        // SAFETY: As above; the result is typed, and tested before use.
        Storage::walked(unsafe { *self.0.cast::<u8>().add(layout::TASK_BPF_STORAGE.load() as usize).cast() })
    }

    /// The thread's id in the initial PID namespace.
    #[inline(always)]
    pub(crate) fn pid(self) -> u32 {
        read(self.address() + layout::TASK_PID.load())
    }

    /// The process's id in the initial PID namespace.
    #[inline(always)]
    pub(crate) fn tgid(self) -> u32 {
        read(self.address() + layout::TASK_TGID.load())
    }

    /// The name, up to 15 bytes and a zero, as two words.
    #[inline(always)]
    pub(crate) fn comm(self) -> [u64; 2] {
        read(self.address() + layout::TASK_COMM.load())
    }

    /// The uid that logged in; `u32::MAX`: none.
    #[inline(always)]
    pub(crate) fn loginuid(self) -> u32 {
        read(self.address() + layout::TASK_LOGINUID.load())
    }

    /// The address of its executable's `struct file`; 0: a kernel thread.
    #[inline(always)]
    pub(crate) fn executable(self) -> u64 {
        let memory: u64 = read(self.address() + layout::TASK_MM.load());
        if memory == 0 { 0 } else { read(memory + layout::MM_EXE_FILE.load()) }
    }
}
