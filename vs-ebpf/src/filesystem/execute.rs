//! Nobody of the host's becomes more than they are by a program of a context's.
//!
//! A context's root makes setuid files as it likes: inside that is what setuid is for. On the host, where a user may reach the directory, it
//! would be the way from root inside to root outside.
//!
//! | who executes                    | whose file        | what the program would have         | verdict |
//! |---------------------------------|-------------------|-------------------------------------|---------|
//! | anybody                         | any               | no more than who executes it        | allow   |
//! | the host's root, a member       | any               | any                                 | allow   |
//! | a user of the host              | nobody's, host's  | any                                 | allow   |
//! | a user of the host              | a guest's         | another user, group, or capability  | EACCES  |
//!
//! Members execute what they can open, which of others' directories is nothing; their sets are bounded from entry on.

use core::ffi::c_void;

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::{Identity, Tag, gains_by_program};
use vs_common::hook::Hook;
use vs_common::verdict::{Errno, Reason};

use crate::audit::Target;
use crate::context;
use crate::kernel::argument;
use crate::kernel::file::File;
use crate::kernel::task::{Credentials, Task};
use crate::verdict::{ALLOW, Denial, carry_out_denial};

use super::owner::guest_of;

/// `bprm_creds_from_file`, once the bits and capabilities of the file at the end of all interpreters are in the new credentials, and before
/// the old memory is gone: see the module.
#[lsm(hook = "bprm_creds_from_file")]
fn bprm_creds_from_file(ctx: LsmContext) -> i32 {
    let current = Task::current();
    let (old, new) = (current.credentials(), Credentials::of_program(argument(&ctx, 0)));
    let is_same_user = old.user() == new.user() && old.group() == new.group();
    if !gains_by_program(old.user(), is_same_user, old.permitted(), new.permitted()) {
        return ALLOW;
    }
    let file = File::argument(ctx.arg::<*const c_void>(1));
    host_gains(current, file)
}

/// The same for a program that gives more.
#[inline(never)]
fn host_gains(current: Task, file: File) -> i32 {
    if !matches!(context::actor(current), Identity::Host) {
        return ALLOW;
    }
    let Some(inode) = file.inode() else { return ALLOW };
    let owner = guest_of(file.place(), inode);
    if owner.is_null() {
        return ALLOW;
    }
    let mut denial = Denial::NONE;
    denial.actor = Tag::default();
    denial.target = Target::file(inode.address(), inode.superblock_magic(), file.dentry(), None);
    // SAFETY: A map's value or a constant, which live until the program returns.
    denial.target.set_owner(unsafe { &*owner });
    denial.hook = Hook::BprmCredsFromFile as u16;
    denial.reason = Reason::ForeignPrivilege as u16;
    denial.errno = Errno::Eacces as u16;
    carry_out_denial(&denial)
}
