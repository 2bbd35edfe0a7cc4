//! Resource limits of another process.

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Access;
use vs_common::hook::Hook;

use super::interact;
use crate::kernel::task::Task;

/// `prlimit(2)` that sets. Reading has no hook that knows the task (`task_prlimit` gets credentials only).
#[lsm(hook = "task_setrlimit")]
fn task_setrlimit(ctx: LsmContext) -> i32 {
    interact(Hook::TaskSetrlimit, Task::argument(ctx.arg(0)), Access::Change, 0)
}
