//! Who is who: tags of tasks and of `/proc/PID` inodes.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::helpers::generated::{bpf_inode_storage_get, bpf_task_storage_get};

use vs_common::context::{Identity, Tag, lifecycle};
use vs_common::id::{Generation, Xid};
use vs_common::kernel_layout::inject;

use crate::kernel::inode::Inode;
use crate::kernel::layout::{self, is_injected};
use crate::kernel::storage::Storage;
use crate::kernel::task::Task;
use crate::maps::{INODES, TASKS};

/// `BPF_LOCAL_STORAGE_GET_F_CREATE`.
const CREATE: u64 = 1;

/// What a storage holds that was created only to learn whether there was one: the host's.
static HOST: Tag = Tag { xid: Xid::HOST, lifecycle: 0, generation: Generation(0) };

/// What stands for a tag that could not be read, here and in records. Nobody has this xid.
pub(crate) const NOBODY: Tag = Tag { xid: UNKNOWN_XID, lifecycle: 0, generation: Generation(0) };
/// The same with an address.
pub(crate) static UNKNOWN: Tag = NOBODY;
const UNKNOWN_XID: Xid = Xid(u32::MAX);

/// The running task's identity.
#[inline(always)]
pub(crate) fn current() -> Identity {
    of(Task::current(), inject::ACTOR_READ, HOST_IF_NETWORK_ONLY)
}

/// The identity of the running task, which the caller has at hand.
#[inline(always)]
pub(crate) fn actor(current: Task) -> Identity {
    of(current, inject::ACTOR_READ, HOST_IF_NETWORK_ONLY)
}

/// The same where addresses are concerned, and what is inherited: of contexts that confine nothing else, too.
#[inline(always)]
pub(crate) fn network_actor(current: Task) -> Identity {
    of(current, inject::ACTOR_READ, MEMBER_IF_NETWORK_ONLY)
}

/// Members of contexts that confine addresses only are the host's, wherever it is not about addresses.
const HOST_IF_NETWORK_ONLY: bool = false;
/// They are members.
const MEMBER_IF_NETWORK_ONLY: bool = true;

/// Whether the running task finds another one open to it, see [`Tag::is_open_to`]: what nearly every act within a context comes to, by the
/// shortest way. False decides nothing: one of them may be the host's, or its tag may have to be asked for.
#[inline(always)]
pub(crate) fn is_neighbour(current: Task, task: Task) -> bool {
    let (Some(actor), Some(target)) = (current.storage(), task.storage()) else { return false };
    let Some(actor) = cached_tag(actor) else { return false };
    let Some(target) = cached_tag(target) else { return false };
    target.is_open_to(&actor)
}

/// The tag in a task's storage, if it takes no helper to get there.
#[inline(always)]
fn cached_tag(storage: Storage) -> Option<Tag> {
    let [first, generation] = storage.cached(TASKS.as_ptr())?;
    Some(Tag { xid: Xid(first as u32), lifecycle: (first >> 32) as u32, generation: Generation(generation) })
}

/// Takes back what `socket_create` let the running task use once, if it was refused the socket before it could: whatever else of a socket's
/// the kernel asks `CAP_NET_RAW` for begins with `setsockopt(2)` or a message, whose hooks call this.
#[inline(always)]
pub(crate) fn end_raw(current: Task) {
    let Some(storage) = current.storage() else { return };
    if let Some(tag) = cached_tag(storage)
        && !tag.makes_raw()
    {
        return;
    }
    take_raw_back(current);
}

/// The same for a task that may have something to take back. A tag that cannot be had now is asked for at the next call.
#[inline(never)]
pub(crate) fn take_raw_back(current: Task) -> i32 {
    let tag = task_tag(current);
    // SAFETY: A map's value, which lives until the program returns; only the task's own calls change it.
    if !tag.is_null() && unsafe { (*tag).makes_raw() } {
        // SAFETY: As above.
        unsafe { (*tag).lifecycle &= !lifecycle::MAKES_RAW };
    }
    0
}

/// A target's identity.
#[inline(always)]
pub(crate) fn target(task: Task) -> Identity {
    of(task, inject::TARGET_READ, HOST_IF_NETWORK_ONLY)
}

/// The identity of a task. No storage of any tool: the host, after one load. Some storage and a tag of ours: a member. Some storage
/// and no tag: from 6.2 on the storage is another tool's and the task is the host's. Before, the helper also says NULL when its
/// per-CPU lock is busy (`kernel/bpf/bpf_task_storage.c:bpf_task_storage_trylock`); asked again with leave to create, it looks up first,
/// so that an answer is definite, and only a second NULL leaves it unknown.
///
/// Each case is told by a tag's xid, and only at the end: of an identity that is decided earlier LLVM leaves the registers of the tag unset
/// where there is none, and the verifier refuses to save them.
#[inline(always)]
fn of(task: Task, failure: u32, network_only: bool) -> Identity {
    let Some(storage) = task.storage() else { return Identity::Host };
    let tag = match cached_tag(storage) {
        Some(tag) => tag,
        // SAFETY: Never null; storage is not freed before the program returns (RCU). Only `lifecycle` ever changes, by one store.
        None => unsafe { *tag_or_nobodys(task, failure) },
    };
    match tag.xid {
        Xid::HOST => Identity::Host,
        UNKNOWN_XID => Identity::Unknown,
        // The canary of another load is that one's to deny.
        Xid::CANARY if tag.generation.0 != layout::CANARY_GENERATION.load() => Identity::Host,
        _ if network_only == HOST_IF_NETWORK_ONLY && tag.is_network_only() => Identity::Host,
        _ => Identity::Member(tag),
    }
}

/// The tag of a task that has some storage, by the helper; [`HOST`] or [`UNKNOWN`] where there is none. Never null.
#[inline(never)]
fn tag_or_nobodys(task: Task, failure: u32) -> *const Tag {
    if is_injected(failure) {
        return &raw const UNKNOWN;
    }
    let tag = task_tag(task);
    if !tag.is_null() {
        return tag;
    }
    if layout::STORAGE_BUSY.load() == 0 {
        return &raw const HOST;
    }
    let tag = task_tag_or_hosts(task);
    if tag.is_null() { &raw const UNKNOWN } else { tag }
}

/// The tag of a task, made the host's if it has none; null: it cannot be told.
#[inline(always)]
pub(crate) fn task_tag_or_hosts(task: Task) -> *mut Tag {
    let mut host = HOST;
    create_task_tag(task, &mut host)
}

/// The tag of a task, or null.
#[inline(always)]
pub(crate) fn task_tag(task: Task) -> *mut Tag {
    // SAFETY: The map is a task storage of `Tag`; `task` is typed, which the verifier checks.
    unsafe { bpf_task_storage_get(TASKS.as_ptr(), task.as_ptr().cast(), ptr::null_mut(), 0).cast() }
}

/// The tag of a task, made with this value if it has none; null: there was no memory, or the lock was busy.
#[inline(always)]
pub(crate) fn create_task_tag(task: Task, value: &mut Tag) -> *mut Tag {
    // SAFETY: As in `task_tag`; `value` is a live local of the map's value type.
    unsafe {
        bpf_task_storage_get(
            TASKS.as_ptr(),
            task.as_ptr().cast(),
            ptr::from_mut(value).cast::<c_void>(),
            CREATE,
        )
        .cast()
    }
}

/// The tag of an inode, or null.
#[inline(always)]
pub(crate) fn inode_tag(inode: Inode) -> *mut Tag {
    // SAFETY: The map is an inode storage of `Tag`; `inode` is typed, which the verifier checks.
    unsafe { bpf_inode_storage_get(INODES.as_ptr(), inode.as_ptr(), ptr::null_mut(), 0).cast() }
}

/// The tag of an inode, made with this value if it has none; null: there was no memory.
///
/// The caller holds a reference to the inode (`kernel/bpf/bpf_inode_storage.c:bpf_inode_storage_get`).
#[inline(always)]
pub(crate) fn create_inode_tag(inode: Inode, value: &mut Tag) -> *mut Tag {
    // SAFETY: As in `inode_tag`; `value` is a live local of the map's value type.
    unsafe {
        bpf_inode_storage_get(INODES.as_ptr(), inode.as_ptr(), ptr::from_mut(value).cast::<c_void>(), CREATE)
            .cast()
    }
}

/// The process that a `/proc/PID` inode stands for. Without a tag it is the host's, which is foreign to every guest: the inode is
/// older than the hook, or there was no memory for its tag.
#[inline(always)]
pub(crate) fn of_process_inode(inode: Inode) -> Identity {
    let stored = inode_tag(inode);
    let mut tag = HOST;
    if !stored.is_null() {
        // SAFETY: As in `of`; a torn read while `task_to_inode` rewrites the tag of an inode whose process enters a context can only mix
        // the host's zeros with the new values, which is equal to no member's tag.
        tag = unsafe { ptr::read_volatile(stored) };
    }
    // Volatile, and zeros for the host: LLVM leaves the tag of an identity that has none in a register that was never set, and copies it,
    // which the verifier refuses.
    // SAFETY: A reference to a live local.
    let tag = unsafe { ptr::read_volatile(&raw const tag) };
    if tag.xid == Xid::HOST || tag.is_network_only() { Identity::Host } else { Identity::Member(tag) }
}
