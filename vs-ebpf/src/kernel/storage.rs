//! `struct bpf_local_storage`: what BPF tools keep on a task.
//!
//! Read here the way `bpf_task_storage_get` does first of all (`include/linux/bpf_local_storage.h:bpf_local_storage_lookup`), without the
//! helper's lock, its bookkeeping and its call: 35 instructions instead of 125, and two look-ups are in nearly every act of a guest.
//! Whatever does not go smoothly here is left to the helper, so that nothing is ever decided by a miss.

use core::ffi::c_void;
use core::ptr;

use super::layout;

/// How many slots of the cache are looked at. A map gets the first one that the fewest other maps have
/// (`kernel/bpf/bpf_local_storage.c:bpf_local_storage_cache_idx_get`): the second where another tool stores something on tasks, and so
/// on. Beyond the third the helper has to do.
const SLOTS: usize = 3;

/// The offset of `bpf_local_storage.cache`, pointers to `bpf_local_storage_data`. The loader compares it and the next two with the kernel's
/// types and sets `STORAGE_CACHE` where they are right: as constants within instructions they save ten of them at each look.
const CACHE: usize = 0;
/// The offset of `bpf_local_storage_data.smap`: whose data it is.
const MAP: usize = 0;
/// The offset of `bpf_local_storage_data.data`.
const DATA: usize = 8;

/// A task's storage, of all tools together, as the verifier knows it.
#[derive(Clone, Copy)]
pub(crate) struct Storage(*const u8);

impl Storage {
    /// The end of a typed walk; none: no tool has stored anything.
    #[inline(always)]
    pub(crate) fn walked(pointer: *const u8) -> Option<Self> {
        if pointer.is_null() { None } else { Some(Self(pointer)) }
    }

    /// The first 16 bytes that are stored for a map, if they are in the cache; they live as long as what the helper would give. None: the
    /// helper has to be asked, which puts them there as well.
    #[inline(always)]
    pub(crate) fn cached(self, map: *const c_void) -> Option<[u64; 2]> {
        if layout::STORAGE_CACHE.load() == 0 {
            return None;
        }
        let mut slot = 0;
        while slot < SLOTS {
            // SAFETY: Typed pointers, and offsets that the loader found to be this kernel's. An empty slot is NULL, of which a typed load
            // reads zero, and that is no map's address.
            unsafe {
                let data: *const u8 = *self.0.add(CACHE + size_of::<usize>() * slot).cast();
                let owner: *const c_void = *data.add(MAP).cast();
                if owner == map {
                    let words: *const u64 = data.add(DATA).cast();
                    // Volatile: LLVM would make one load of these and of those of the helper's answer, and the verifier wants each load
                    // to know its kind of pointer.
                    return Some([ptr::read_volatile(words), ptr::read_volatile(words.add(1))]);
                }
            }
            slot += 1;
        }
        None
    }
}
