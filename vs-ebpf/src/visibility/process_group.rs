//! Process groups and sessions.

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Access;
use vs_common::hook::Hook;

use super::interact;
use crate::kernel::task::Task;

/// `getpgid(2)` of another process.
#[lsm(hook = "task_getpgid")]
fn task_getpgid(ctx: LsmContext) -> i32 {
    interact(Hook::TaskGetpgid, Task::argument(ctx.arg(0)), Access::Read, 0)
}

/// `setpgid(2)` of another process: a child's, between fork and exec.
#[lsm(hook = "task_setpgid")]
fn task_setpgid(ctx: LsmContext) -> i32 {
    interact(Hook::TaskSetpgid, Task::argument(ctx.arg(0)), Access::Change, 0)
}

/// `getsid(2)` of another process.
#[lsm(hook = "task_getsid")]
fn task_getsid(ctx: LsmContext) -> i32 {
    interact(Hook::TaskGetsid, Task::argument(ctx.arg(0)), Access::Read, 0)
}
