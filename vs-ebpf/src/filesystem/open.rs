//! Opening `/proc/PID` of others, lists of sockets, control file systems, and devices.

use core::ffi::c_void;

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Identity;
use vs_common::filesystem::{FileFacts, decide_network_file, decide_open, file_type, is_open_to_all, magic};
use vs_common::hook::Hook;
use vs_common::verdict::Verdict;

use crate::audit::Target;
use crate::context;
use crate::kernel::file::{File, network_file};
use crate::kernel::inode::Inode;
use crate::kernel::task::Task;
use crate::verdict::{ALLOW, allow_host, conclude};

use super::owner::{Act, judge_if_needed};

/// `do_dentry_open`, once the file is there: see [`decide_open`] and [`decide_network_file`]. `O_PATH` never comes here, and nothing can be read or written by it.
#[lsm(hook = "file_open")]
fn file_open(ctx: LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    let file = File::argument(ctx.arg::<*const c_void>(0));
    let Some(inode) = file.inode() else { return ALLOW };
    let (superblock_magic, mode) = (inode.superblock_magic(), inode.mode());
    if is_open_to_all(superblock_magic, mode) {
        return opens_owned(current, file, inode, mode);
    }
    member_opens(current, file, inode, superblock_magic, mode)
}

/// The same for a task that has some storage, and a file that somebody may own. What is read from a pipe is gone for others.
#[inline(always)]
fn opens_owned(current: Task, file: File, inode: Inode, mode: u32) -> i32 {
    let is_pipe = mode & file_type::MASK == file_type::FIFO;
    let act =
        if file.is_write() || is_pipe { Act::change(Hook::FileOpen) } else { Act::read(Hook::FileOpen) };
    judge_if_needed(current, || file.place(), inode, act, || file.dentry())
}

/// The same for a task that has some storage, and a file that not everybody may open. Not inlined, see `visibility::interact`.
#[inline(never)]
fn member_opens(current: Task, file: File, inode: Inode, superblock_magic: u64, mode: u32) -> i32 {
    let actor = context::actor(current);
    if matches!(actor, Identity::Host) {
        return allow_host();
    }
    let address = inode.address();
    let process =
        if address.is_process(superblock_magic) { Some(context::of_process_inode(inode)) } else { None };
    let is_write = file.is_write();
    let facts = FileFacts { superblock_magic, mode, device: inode.represented_device(), process, is_write };
    let mut verdict = decide_open(actor, &facts);
    if verdict == Verdict::Allow
        && superblock_magic == magic::PROC
        && process.is_none()
        && matches!(actor, Identity::Member(tag) if tag.has_network())
        && let Some(name) = network_file(file.dentry())
    {
        verdict = decide_network_file(name);
    }
    if verdict == Verdict::Allow {
        return ALLOW;
    }
    let target = Target::file(address, superblock_magic, file.dentry(), process);
    conclude(Hook::FileOpen, verdict, actor, &target, u64::from(is_write))
}
