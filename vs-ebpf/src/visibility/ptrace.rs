//! Tracing, memory, and all of `/proc/PID` that asks `ptrace_may_access`; with `hidepid=ptraceable` also which processes exist.

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Access;
use vs_common::hook::Hook;

use super::interact;
use crate::kernel::task::Task;

/// `PTRACE_MODE_ATTACH` of `include/linux/ptrace.h`; without it the mode is `PTRACE_MODE_READ`.
const MODE_ATTACH: u32 = 2;

/// `__ptrace_may_access`, under `task_lock`: attach and seize, `process_vm_readv` and `writev`, `/proc/PID/mem`, `environ`, `maps`, `fd`,
/// `pidfd_getfd`, kcmp, `process_madvise`, `get_robust_list`, `move_pages`; not the thread group's own. The detail is the mode.
#[lsm(hook = "ptrace_access_check")]
fn ptrace_access_check(ctx: LsmContext) -> i32 {
    let mode: u32 = ctx.arg(1);
    let child = Task::argument(ctx.arg(0));
    let access = if mode & MODE_ATTACH == 0 { Access::Read } else { Access::Change };
    interact(Hook::PtraceAccessCheck, child, access, u64::from(mode))
}

/// `PTRACE_TRACEME`: the argument is the parent, which would become the tracer. A guest that hands itself to a tracer outside hands over
/// its context's secrets, and gets a process of the host's to wait for it.
#[lsm(hook = "ptrace_traceme")]
fn ptrace_traceme(ctx: LsmContext) -> i32 {
    interact(Hook::PtraceTraceme, Task::argument(ctx.arg(0)), Access::Change, 0)
}
