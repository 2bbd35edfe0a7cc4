//! Who may see and touch whose processes.

mod limit;
mod memory;
mod process_group;
mod procfs;
mod ptrace;
mod scheduling;
mod sigio;
mod signal;

use vs_common::context::{Access, Identity, decide_interaction};
use vs_common::hook::Hook;

use crate::audit::Target;
use crate::context;
use crate::kernel::task::Task;
use crate::verdict::{ALLOW, allow_host, conclude};

/// The running task acts on a task: see [`decide_interaction`]. The host is let go after one load. A task may act on itself whoever it is,
/// and what is found to be open to it needs no more.
#[inline(always)]
fn interact(hook: Hook, task: Task, access: Access, detail: u64) -> i32 {
    let current = Task::current();
    if !current.has_storage() || task == current || context::is_neighbour(current, task) {
        return ALLOW;
    }
    member_interacts(current, task, hook, u32::from(matches!(access, Access::Change)), detail)
}

/// All else: who it is, and the verdict. Not inlined, since a program saves every register that any of its paths uses.
#[inline(never)]
fn member_interacts(current: Task, task: Task, hook: Hook, is_change: u32, detail: u64) -> i32 {
    let actor = context::actor(current);
    if matches!(actor, Identity::Host) {
        return allow_host();
    }
    let target = context::target(task);
    let access = if is_change == 0 { Access::Read } else { Access::Change };
    conclude(hook, decide_interaction(actor, target, access), actor, &Target::process(task, target), detail)
}
