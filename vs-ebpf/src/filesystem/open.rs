//! Opening `/proc/PID` of others, control file systems, and devices.

use core::ffi::c_void;

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::Identity;
use vs_common::filesystem::{FileFacts, decide_open};
use vs_common::hook::Hook;
use vs_common::verdict::Verdict;

use crate::audit::Target;
use crate::context;
use crate::kernel::file::File;
use crate::verdict::{ALLOW, conclude};

/// `do_dentry_open`, once the file is there: see [`decide_open`]. `O_PATH` never comes here, and nothing can be read or written by it.
#[lsm(hook = "file_open")]
fn file_open(ctx: LsmContext) -> i32 {
    let actor = context::current();
    if matches!(actor, Identity::Host) {
        return ALLOW;
    }
    let file = File::argument(ctx.arg::<*const c_void>(0));
    let Some(inode) = file.inode() else { return ALLOW };
    let address = inode.address();
    let superblock_magic = address.superblock_magic();
    let process =
        if address.is_process(superblock_magic) { Some(context::of_process_inode(inode)) } else { None };
    let facts = FileFacts {
        superblock_magic,
        mode: address.mode(),
        device: address.represented_device(),
        process,
        is_write: file.is_write(),
    };
    let verdict = decide_open(actor, &facts);
    if verdict == Verdict::Allow {
        return ALLOW;
    }
    conclude(
        Hook::FileOpen,
        verdict,
        actor,
        &Target::file(address, superblock_magic, file.dentry(), process),
        u64::from(facts.is_write),
    )
}
