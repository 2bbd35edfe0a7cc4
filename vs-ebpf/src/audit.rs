//! From a denial to a record in the ring buffer, or to a count: never to nothing.
//!
//! A process that repeats itself is counted, not repeated; a context that is loud uses up its own tokens and nobody else's; a ring
//! that is full is counted by context. The verdict is made before and changes by none of it.

use core::ptr;

use aya_ebpf::helpers::generated::{
    bpf_get_current_uid_gid, bpf_ktime_get_boot_ns, bpf_probe_read_kernel_str,
};
use vs_common::context::{Identity, Tag};
use vs_common::id::{Epoch, Generation, Xid};
use vs_common::kernel_layout::inject;
use vs_common::limits::{
    AGGREGATE_INTERVAL_NS, DEFAULT_RECORD_BURST, DEFAULT_RECORDS_PER_SECOND, EXECUTABLE_NAME_SIZE,
};
use vs_common::network::Address;
use vs_common::policy_entry::{ContextKey, ContextState, Mode};
use vs_common::violation::{Aggregate, AggregateKey, TargetKind, VIOLATION_VERSION, Violation};

use crate::kernel::file;
use crate::kernel::inode::InodeAddress;
use crate::kernel::layout::is_injected;
use crate::kernel::task::Task;
use crate::maps::{AGGREGATES, CONTEXT_STATES, CONTEXTS, VIOLATIONS};
use crate::verdict::Denial;
use crate::{atomic, counters};

/// Thousandths of a token that one record costs.
const RECORD_COST: u64 = 1000;
/// `BPF_NOEXIST`.
const NO_EXIST: u64 = 1;

/// What an act was aimed at, as it goes into the record.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Target {
    kind: u32,
    is_unknown: u32,
    tag: Tag,
    words: [u64; 5],
    /// The address of a text of up to 32 bytes that ends in a zero; 0: none.
    text: u64,
    /// The address of a task whose ids and name to read; 0: none.
    task: Option<Task>,
}

const HOST: Tag = Tag { xid: Xid::HOST, lifecycle: 0, generation: Generation(0) };

impl Target {
    /// Nothing in particular: the kernel.
    pub(crate) const NONE: Self =
        Self { kind: TargetKind::None as u32, is_unknown: 0, tag: HOST, words: [0; 5], text: 0, task: None };

    /// A process.
    #[inline(always)]
    pub(crate) fn process(task: Task, identity: Identity) -> Self {
        let (tag, is_unknown) = split(identity);
        Self { kind: TargetKind::Process as u32, is_unknown, tag, words: [0; 5], text: 0, task: Some(task) }
    }

    /// A file, by its inode and the address of its dentry.
    #[inline(always)]
    pub(crate) fn file(inode: InodeAddress, magic: u64, dentry: u64, owner: Option<Identity>) -> Self {
        let (tag, is_unknown) = split(owner.unwrap_or(Identity::Host));
        Self {
            kind: TargetKind::File as u32,
            is_unknown,
            tag,
            words: [u64::from(inode.device()), inode.number(), magic, 0, 0],
            text: if dentry == 0 { 0 } else { file::dentry_name(dentry) },
            task: None,
        }
    }

    /// Says whose it is.
    #[inline(always)]
    pub(crate) fn set_owner(&mut self, owner: &Tag) {
        if owner.xid == crate::context::UNKNOWN.xid {
            self.is_unknown = 1;
        } else {
            self.tag = *owner;
        }
    }

    /// A network address.
    #[inline(always)]
    pub(crate) fn address(family: u32, protocol: u32, port: u32, address: &Address) -> Self {
        let mut target = Self::NONE;
        target.set_address(family, protocol, port, address);
        target
    }

    /// Makes it a network address in place, which saves the stack a copy.
    #[inline(always)]
    pub(crate) fn set_address(&mut self, family: u32, protocol: u32, port: u32, address: &Address) {
        let words = &address.0;
        self.kind = TargetKind::Address as u32;
        self.words[0] = u64::from(family);
        self.words[1] = u64::from(port);
        self.words[2] = u64::from(words[0]) | u64::from(words[1]) << 32;
        self.words[3] = u64::from(words[2]) | u64::from(words[3]) << 32;
        self.words[4] = u64::from(protocol);
    }

    /// A capability.
    #[inline(always)]
    pub(crate) const fn capability(number: u32) -> Self {
        Self {
            kind: TargetKind::Capability as u32,
            is_unknown: 0,
            tag: HOST,
            words: [number as u64, 0, 0, 0, 0],
            text: 0,
            task: None,
        }
    }
}

#[inline(always)]
const fn split(identity: Identity) -> (Tag, u32) {
    match identity {
        Identity::Host => (HOST, 0),
        Identity::Member(tag) => (tag, 0),
        Identity::Unknown => (HOST, 1),
    }
}

/// Writes the record of a denial, or counts it.
#[inline(always)]
pub(crate) fn report(denial: &Denial, epoch: Epoch, mode: Mode) {
    // SAFETY: No arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let Some(repeated) = begin_or_count(denial, now) else { return };
    let state = CONTEXT_STATES.get_ptr_mut(&denial.actor.xid);
    if let Some(state) = state
        && !take_token(denial, epoch, state, now)
    {
        // SAFETY: The state outlives the program (RCU), and the field is 8-byte aligned.
        unsafe { atomic::add(&raw mut (*state).suppressed, 1 + repeated) };
        return;
    }
    if !submit(denial, epoch, mode, now, repeated) {
        match state {
            // SAFETY: As above.
            Some(state) => unsafe { atomic::add(&raw mut (*state).lost, 1 + repeated) },
            None => counters::count_lost(u32::from(denial.hook), 1 + repeated),
        }
    }
}

/// Begins a run of equal violations, or counts one more of a run: then there is no record. The number is that of the run before, which
/// this record stands for too.
#[inline(always)]
fn begin_or_count(denial: &Denial, now: u64) -> Option<u64> {
    let tgid = if denial.is_current == 0 { 0 } else { Task::current().tgid() };
    let key = AggregateKey {
        actor_xid: denial.actor.xid.0,
        tgid,
        target_xid: denial.target.tag.xid.0,
        hook: denial.hook,
        reason: denial.reason,
    };
    if let Some(run) = AGGREGATES.get_ptr_mut(&key) {
        // SAFETY: The run outlives the program (RCU), and its fields are 8-byte aligned. Two processors that find the interval over at once both write a record; the swap hands the count
        // to one of them.
        unsafe {
            if now.wrapping_sub((*run).since) < AGGREGATE_INTERVAL_NS {
                atomic::add(&raw mut (*run).repeated, 1);
                return None;
            }
            (*run).since = now;
            return Some(atomic::take(&raw mut (*run).repeated));
        }
    }
    // Full, or another processor was first: this one is a record of its own, held in check by the context's tokens.
    let _ = AGGREGATES.insert(&key, &Aggregate { since: now, repeated: 0 }, NO_EXIST);
    Some(0)
}

/// Takes a token of the actor's context for a record; `false`: it has none left.
///
/// Plain loads and stores: two processors that take one at once may get two for the price of one, which changes a rate by a record and
/// no count.
#[inline(always)]
fn take_token(denial: &Denial, epoch: Epoch, state: *mut ContextState, now: u64) -> bool {
    let key = ContextKey { epoch, xid: denial.actor.xid };
    // SAFETY: As in `verdict::is_observed`.
    let (rate, burst) = match unsafe { CONTEXTS.get(&key) } {
        Some(rules) => (rules.records_per_second, rules.record_burst),
        None => (DEFAULT_RECORDS_PER_SECOND, DEFAULT_RECORD_BURST),
    };
    // SAFETY: The state outlives the program (RCU).
    unsafe {
        let elapsed_us = now.wrapping_sub((*state).refilled_at) / 1000;
        // An hour fills any bucket, and bounds the product.
        let elapsed_us = if elapsed_us > 3_600_000_000 { 3_600_000_000 } else { elapsed_us };
        let full = u64::from(burst) * RECORD_COST;
        let filled = (*state).millitokens + elapsed_us * u64::from(rate) / 1000;
        let tokens = if filled > full { full } else { filled };
        (*state).refilled_at = now;
        if tokens < RECORD_COST {
            (*state).millitokens = tokens;
            return false;
        }
        (*state).millitokens = tokens - RECORD_COST;
        true
    }
}

/// Writes the record; `false`: the ring is full.
#[inline(always)]
fn submit(denial: &Denial, epoch: Epoch, mode: Mode, now: u64, repeated: u64) -> bool {
    if is_injected(inject::RING_FULL) {
        return false;
    }
    let Some(mut entry) = VIOLATIONS.reserve(0) else { return false };
    let record: *mut Violation = entry.as_mut_ptr();
    // SAFETY: The ring gave `size_of::<Violation>()` bytes, 8-byte aligned. Field by field, since a copy of the whole would be a loop
    // over bytes; every byte is written, for the ring hands out what was there before.
    unsafe {
        (*record).version = VIOLATION_VERSION;
        (*record).size = size_of::<Violation>() as u16;
        (*record).hook = denial.hook;
        (*record).reason = denial.reason;
        (*record).errno = denial.errno;
        (*record).mode = mode as u16;
        (*record).epoch = epoch.0;
        (*record).time = now;
        (*record).repeated = repeated;
        (*record).detail = denial.detail;
        write_actor(record, denial);
        write_target(record, &denial.target);
    }
    entry.submit(0);
    true
}

/// # Safety
/// `record` is a reserved record.
#[inline(always)]
unsafe fn write_actor(record: *mut Violation, denial: &Denial) {
    // SAFETY: The caller's.
    unsafe {
        let actor = &raw mut (*record).actor;
        let comm: *mut u64 = (&raw mut (*actor).comm).cast();
        let name: *mut u64 = (&raw mut (*actor).executable).cast();
        (*actor).tag.xid = denial.actor.xid;
        (*actor).tag.lifecycle = denial.actor.lifecycle;
        (*actor).tag.generation = denial.actor.generation;
        (*actor).executable_device = 0;
        (*actor).executable_inode = 0;
        clear_text(name);
        if denial.is_current == 0 {
            (*actor).pid = 0;
            (*actor).tgid = 0;
            (*actor).uid = u32::MAX;
            (*actor).loginuid = u32::MAX;
            write_comm(comm, [0; 2]);
            return;
        }
        let task = Task::current();
        (*actor).pid = task.pid();
        (*actor).tgid = task.tgid();
        (*actor).uid = bpf_get_current_uid_gid() as u32;
        (*actor).loginuid = task.loginuid();
        write_comm(comm, task.comm());
        let executable = task.executable();
        if executable != 0 {
            let (_, device, number) = file::identity_at(executable);
            (*actor).executable_device = device;
            (*actor).executable_inode = number;
            let text = file::dentry_name(file::dentry_at(executable));
            bpf_probe_read_kernel_str(name.cast(), EXECUTABLE_NAME_SIZE as u32, text as *const _);
        }
    }
}

/// # Safety
/// `record` is a reserved record.
#[inline(always)]
unsafe fn write_target(record: *mut Violation, target: &Target) {
    // SAFETY: The caller's.
    unsafe {
        let out = &raw mut (*record).target;
        let text: *mut u64 = (&raw mut (*out).text).cast();
        (*out).kind = target.kind;
        (*out).is_unknown = target.is_unknown;
        (*out).tag.xid = target.tag.xid;
        (*out).tag.lifecycle = target.tag.lifecycle;
        (*out).tag.generation = target.tag.generation;
        (*out).words[0] = target.words[0];
        (*out).words[1] = target.words[1];
        (*out).words[2] = target.words[2];
        (*out).words[3] = target.words[3];
        (*out).words[4] = target.words[4];
        clear_text(text);
        if let Some(task) = target.task {
            (*out).words[0] = u64::from(task.pid());
            (*out).words[1] = u64::from(task.tgid());
            write_comm(text, task.comm());
        } else if target.text != 0 {
            bpf_probe_read_kernel_str(text.cast(), 32, target.text as *const _);
        }
    }
}

/// Clears a text of 32 bytes, word by word: a call to `memset` would be a loop over bytes.
///
/// # Safety
/// `text` is 8-byte aligned and has 32 bytes.
#[inline(always)]
unsafe fn clear_text(text: *mut u64) {
    // SAFETY: The caller's.
    unsafe {
        ptr::write_volatile(text, 0);
        ptr::write_volatile(text.add(1), 0);
        ptr::write_volatile(text.add(2), 0);
        ptr::write_volatile(text.add(3), 0);
    }
}

/// Writes a task's name, which is two words.
///
/// # Safety
/// `text` is 8-byte aligned and has 16 bytes.
#[inline(always)]
unsafe fn write_comm(text: *mut u64, comm: [u64; 2]) {
    // SAFETY: The caller's.
    unsafe {
        ptr::write_volatile(text, comm[0]);
        ptr::write_volatile(text.add(1), comm[1]);
    }
}

const _: () = assert!(EXECUTABLE_NAME_SIZE == 32);
