//! The enforcement is out of every context's reach, the spectator's too.
//!
//! | hook                    | closes                                                                      |
//! |-------------------------|-----------------------------------------------------------------------------|
//! | `bpf`                   | every command of `bpf(2)`: maps, programs, links, pins, also by inherited descriptors |
//! | `userns_create`         | a namespace that would give back the capabilities dropped at entry          |
//! | `sb_mount`              | mounting over the pins; asked before the kernel's own check, so it is recorded |
//! | `kernel_module_request` | code loaded into the kernel on a context's behalf                           |
//!
//! In force in every mode.

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::{Identity, decide_host_only};
use vs_common::hook::Hook;
use vs_common::verdict::Reason;

use crate::audit::Target;
use crate::context;
use crate::verdict::{allow_host, conclude};

/// Lets the host pass and denies every member, as [`decide_host_only`] says.
#[inline(always)]
fn host_only(hook: Hook, reason: Reason, detail: u64) -> i32 {
    let actor = context::current();
    if matches!(actor, Identity::Host) {
        return allow_host();
    }
    conclude(hook, decide_host_only(actor, reason), actor, &Target::NONE, detail)
}

/// `__sys_bpf`, before any command. The detail is the command's number.
#[lsm(hook = "bpf")]
fn bpf(ctx: LsmContext) -> i32 {
    let command: u32 = ctx.arg(0);
    host_only(Hook::Bpf, Reason::Enforcement, u64::from(command))
}

/// `create_user_ns`.
#[lsm(hook = "userns_create")]
fn userns_create(_ctx: LsmContext) -> i32 {
    host_only(Hook::UsernsCreate, Reason::UserNamespace, 0)
}

/// `path_mount`. The detail is the mount's flags.
#[lsm(hook = "sb_mount")]
fn sb_mount(ctx: LsmContext) -> i32 {
    let flags: u64 = ctx.arg(3);
    host_only(Hook::SbMount, Reason::Mount, flags)
}

/// `__request_module`: what a context asks for that is not in the kernel yet is not there.
#[lsm(hook = "kernel_module_request")]
fn kernel_module_request(_ctx: LsmContext) -> i32 {
    host_only(Hook::KernelModuleRequest, Reason::KernelModule, 0)
}
