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
use crate::verdict::{ALLOW, conclude};

/// The running task acts on a task: see [`decide_interaction`]. A task may act on itself whoever it is, and needs no look-up for it.
#[inline(always)]
fn interact(hook: Hook, task: Task, access: Access, detail: u64) -> i32 {
    let current = Task::current();
    if !current.has_storage() || task == current {
        return ALLOW;
    }
    let actor = context::current();
    if matches!(actor, Identity::Host) {
        return ALLOW;
    }
    let target = context::target(task);
    conclude(hook, decide_interaction(actor, target, access), actor, &Target::process(task, target), detail)
}
