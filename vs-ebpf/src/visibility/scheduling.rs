//! Scheduling: policies, priorities, affinity, the priority of input and output.

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Access;
use vs_common::hook::Hook;

use super::interact;
use crate::kernel::task::Task;

/// `sched_getscheduler(2)`, `sched_getparam(2)`, `sched_getattr(2)`, `sched_getaffinity(2)`, `sched_rr_get_interval(2)`.
#[lsm(hook = "task_getscheduler")]
fn task_getscheduler(ctx: LsmContext) -> i32 {
    interact(Hook::TaskGetscheduler, Task::argument(ctx.arg(0)), Access::Read, 0)
}

/// `sched_setscheduler(2)`, `sched_setparam(2)`, `sched_setattr(2)`, `sched_setaffinity(2)`, and a move between cpusets.
#[lsm(hook = "task_setscheduler")]
fn task_setscheduler(ctx: LsmContext) -> i32 {
    interact(Hook::TaskSetscheduler, Task::argument(ctx.arg(0)), Access::Change, 0)
}

/// `setpriority(2)`, for each process that a number, a group or a uid reaches.
#[lsm(hook = "task_setnice")]
fn task_setnice(ctx: LsmContext) -> i32 {
    interact(Hook::TaskSetnice, Task::argument(ctx.arg(0)), Access::Change, 0)
}

/// `ioprio_get(2)`.
#[lsm(hook = "task_getioprio")]
fn task_getioprio(ctx: LsmContext) -> i32 {
    interact(Hook::TaskGetioprio, Task::argument(ctx.arg(0)), Access::Read, 0)
}

/// `ioprio_set(2)`, for each process it reaches.
#[lsm(hook = "task_setioprio")]
fn task_setioprio(ctx: LsmContext) -> i32 {
    interact(Hook::TaskSetioprio, Task::argument(ctx.arg(0)), Access::Change, 0)
}
