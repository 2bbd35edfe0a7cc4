//! Signals: a guest reaches its own context only, the spectator nobody but its own.

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Access;
use vs_common::hook::Hook;

use super::interact;
use crate::kernel::task::Task;

/// `check_kill_permission`: kill, tkill, tgkill, sigqueue, `pidfd_send_signal`, for each task they reach; not the kernel's own signals.
///
/// EPERM, never ESRCH, on which `kill_pid_info` would try again for ever. The detail is the signal. `kill_pid_usb_asyncio` passes here too,
/// from an interrupt, with a `cred` of its own: it may be denied for the context that happened to run, which costs a USB program one
/// completion signal, and only a program that asked for it with `USBDEVFS_SUBMITURB` by number.
#[lsm(hook = "task_kill")]
fn task_kill(ctx: LsmContext) -> i32 {
    let signal: u32 = ctx.arg(2);
    interact(Hook::TaskKill, Task::argument(ctx.arg(0)), Access::Change, u64::from(signal))
}
