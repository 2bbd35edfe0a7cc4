//! Process groups and sessions.
//!
//! `setpgid(2)` needs no program: it takes the caller and its children only (`kernel/sys.c:setpgid` says ESRCH to the rest before it asks a
//! hook), and a member's children are members.

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

/// `getsid(2)` of another process.
#[lsm(hook = "task_getsid")]
fn task_getsid(ctx: LsmContext) -> i32 {
    interact(Hook::TaskGetsid, Task::argument(ctx.arg(0)), Access::Read, 0)
}
