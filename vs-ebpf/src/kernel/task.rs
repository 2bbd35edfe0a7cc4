//! `struct task_struct`.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs};

use vs_common::capability::SystemCall;
use vs_common::kernel_layout::ABSENT;

use super::storage::Storage;
use super::{layout, read};

/// `TS_COMPAT` of `arch/x86/include/asm/thread_info.h`: in the middle of a system call of the 32-bit table.
const TS_COMPAT: u32 = 2;

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

    /// Whether it is setting the name of a host that is not the machine, see [`SystemCall::sets_own_hostname`]. Of the running task only. No on
    /// an architecture whose registers have other names.
    #[inline(always)]
    pub(crate) fn sets_own_hostname(self) -> bool {
        if layout::REGS_ORIG_AX.load() == ABSENT
            || layout::REGS_AX.load() == ABSENT
            || layout::TASK_STATUS.load() == ABSENT
        {
            return false;
        }
        // SAFETY: A typed pointer; the helper says where the task's registers of user mode are saved.
        let registers = unsafe { bpf_task_pt_regs(self.0.cast()) }.cast_unsigned();
        let status: u32 = read(self.address() + layout::TASK_STATUS.load());
        let namespaces: u64 = read(self.address() + layout::TASK_NSPROXY.load());
        let uts: u64 = read(namespaces + layout::NSPROXY_UTS.load());
        SystemCall {
            number: read(registers + layout::REGS_ORIG_AX.load()),
            answer: read(registers + layout::REGS_AX.load()),
            is_compat: status & TS_COMPAT,
            task_flags: read(self.address() + layout::TASK_FLAGS.load()),
            has_rings: u32::from(self.has_rings()),
            uts_namespace: read(uts + layout::UTS_NUMBER.load()),
        }
        .sets_own_hostname()
    }

    /// Whether it has ever used `io_uring`.
    #[inline(always)]
    fn has_rings(self) -> bool {
        layout::TASK_IO_URING.load() != ABSENT
            && read::<u64>(self.address() + layout::TASK_IO_URING.load()) != 0
    }

    /// The address of the credentials that it acts with.
    #[inline(always)]
    pub(crate) fn credentials(self) -> Credentials {
        Credentials(read(self.address() + layout::TASK_CRED.load()))
    }
}

/// `struct cred`, by its address.
#[derive(Clone, Copy)]
pub(crate) struct Credentials(u64);

impl Credentials {
    /// Those that a `struct linux_binprm` at an address has for the program.
    #[inline(always)]
    pub(crate) fn of_program(program: u64) -> Self {
        Self(read(program + layout::BPRM_CRED.load()))
    }

    /// The effective user, in the initial namespace.
    #[inline(always)]
    pub(crate) fn user(self) -> u32 {
        read(self.0 + layout::CRED_EUID.load())
    }

    /// The effective group.
    #[inline(always)]
    pub(crate) fn group(self) -> u32 {
        read(self.0 + layout::CRED_EGID.load())
    }

    /// The permitted capabilities.
    #[inline(always)]
    pub(crate) fn permitted(self) -> u64 {
        read(self.0 + layout::CRED_PERMITTED.load())
    }
}
