//! A tag is inherited by every thread and child, or there is no child; and a process that enters is out of reach until its exec.
//!
//! | hook                   | job                                                                    |
//! |------------------------|------------------------------------------------------------------------|
//! | `task_alloc`           | copies the parent's tag to the new task before it can run              |
//! | `bprm_committed_creds` | clears `entering`: descriptors, memory and executable are the new ones |
//!
//! Falls closed: no storage for the child's tag fails the fork with ENOMEM, and a flag that cannot be cleared stays.

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::{Identity, Tag, decide_fork, lifecycle};
use vs_common::hook::Hook;
use vs_common::kernel_layout::inject;
use vs_common::verdict::{Errno, Reason, Verdict};

use crate::audit::Target;
use crate::kernel::layout::{self, is_injected};
use crate::kernel::task::Task;
use crate::maps::CONTEXT_STATES;
use crate::verdict::{ALLOW, allow_host, conclude};
use crate::{context, counters};

/// `copy_process`, in the parent, before the child can run: the child gets the parent's tag. Kernel threads that work for the caller
/// (`io_uring`, vhost) are made here as well.
///
/// | parent | context dying | storage | verdict               |
/// |--------|---------------|---------|-----------------------|
/// | host   | -             | -       | allow, no tag         |
/// | member | no            | yes     | allow, the same tag   |
/// | member | no            | no      | ENOMEM                |
/// | member | yes           | -       | EPERM                 |
#[lsm(hook = "task_alloc")]
fn task_alloc(ctx: LsmContext) -> i32 {
    let actor = context::network_actor(Task::current());
    if matches!(actor, Identity::Host) {
        return allow_host();
    }
    let verdict = decide_fork(actor, is_dying(actor));
    let (Verdict::Allow, Identity::Member(mut tag)) = (verdict, actor) else {
        return conclude(Hook::TaskAlloc, verdict, actor, &Target::NONE, 0);
    };
    // What one task may do once its child may not.
    tag.lifecycle &= !lifecycle::MAKES_RAW;
    let child = Task::argument(ctx.arg(0));
    if is_injected(inject::TASK_CREATE) || context::create_task_tag(child, &mut tag).is_null() {
        counters::count_failure(Hook::TaskAlloc);
        let verdict = Verdict::Deny(Errno::Enomem, Reason::NoStorage);
        return conclude(Hook::TaskAlloc, verdict, actor, &Target::NONE, 0);
    }
    ALLOW
}

/// Whether the actor's context is being stopped. Without a state it is not a context that anybody stops.
#[inline(always)]
fn is_dying(actor: Identity) -> bool {
    let Identity::Member(tag) = actor else { return false };
    // SAFETY: A state is one row that lives until no process of the context is left; a word that changes is read once.
    match unsafe { CONTEXT_STATES.get(&tag.xid) } {
        Some(state) => state.generation == tag.generation && state.is_dying != 0,
        None => false,
    }
}

/// `begin_new_exec` has taken the new memory, closed what was to be closed on exec, and put the new credentials in place: from here on
/// the process is its context's. Cannot deny (void).
#[lsm(hook = "bprm_committed_creds")]
fn bprm_committed_creds(_ctx: LsmContext) -> i32 {
    let task = Task::current();
    if !task.has_storage() {
        return ALLOW;
    }
    let tag = if is_injected(inject::ENTER_CLEAR) { core::ptr::null_mut() } else { context::task_tag(task) };
    let tag = if tag.is_null() { tag_again(task) } else { tag };
    if tag.is_null() {
        return ALLOW;
    }
    // SAFETY: Not null, and storage lives until the program returns; only this task's own exec changes the word.
    unsafe { (*tag).lifecycle &= !(lifecycle::ENTERING | lifecycle::MAKES_RAW) };
    ALLOW
}

/// The tag of a task for which the helper gave none. From 6.2 on there is none: what the task has is another tool's, and it is the host's.
/// Before, the lock may have been busy: then the process stays protected, which is counted.
#[inline(always)]
fn tag_again(task: Task) -> *mut Tag {
    let tag = if is_injected(inject::ENTER_CLEAR) {
        core::ptr::null_mut()
    } else if layout::STORAGE_BUSY.load() == 0 {
        return core::ptr::null_mut();
    } else {
        context::task_tag_or_hosts(task)
    };
    if tag.is_null() {
        counters::count_failure(Hook::BprmCommittedCreds);
    }
    tag
}
