//! Where a process's memory lies.

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Access;
use vs_common::hook::Hook;

use super::interact;
use crate::kernel::task::Task;

/// `move_pages(2)` and `migrate_pages(2)`, after their ptrace check.
#[lsm(hook = "task_movememory")]
fn task_movememory(ctx: LsmContext) -> i32 {
    interact(Hook::TaskMovememory, Task::argument(ctx.arg(0)), Access::Change, 0)
}
