//! Every map of the object. Names are those of `vs_common::map_name`; the loader pins each.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, PerCpuArray, RingBuf, SockHash};
use aya_ebpf::macros::btf_map;

use vs_common::capability::CommonCapabilities;
use vs_common::context::Tag;
use vs_common::filesystem::{FILTER_WORDS, FileKey, FileRow, FilesJudged};
use vs_common::id::{Epoch, Xid};
use vs_common::limits;
use vs_common::network::{Address, AddressKey, ListenerKey, NetworkRules, PortKey};
use vs_common::policy_entry::{ContextKey, ContextRules, ContextState, EpochInfo, HookCounters};
use vs_common::violation::{Aggregate, AggregateKey, Violation};

/// `BPF_F_NO_PREALLOC`, which local storage demands (`kernel/bpf/bpf_local_storage.c:bpf_local_storage_map_alloc_check`).
const NO_PREALLOC: usize = 1;
/// The same and `BPF_F_CLONE`: an accepted socket has what the listening one has (`net/core/bpf_sk_storage.c:bpf_sk_storage_clone`).
const INHERITED: usize = 1 | 1 << 9;

/// Declares a local-storage map the way libbpf's `__uint` and `__type` do: pointers whose types carry the numbers, read from BTF
/// and never followed. aya-ebpf 0.2 has none for tasks, and its one for sockets takes no `struct sock`, and this keeps all that we have alike.
macro_rules! local_storage {
    ($(#[$doc:meta])* $name:ident, $map_type:literal, $flags:expr) => {
        $(#[$doc])*
        #[repr(C)]
        pub(crate) struct $name<T> {
            r#type: *const [i32; $map_type],
            key: *const i32,
            value: *const T,
            max_entries: *const [i32; 0],
            map_flags: *const [i32; $flags],
        }

        // SAFETY: The pointers are null and never followed; only the address of the whole is used, as a map reference.
        unsafe impl<T> Sync for $name<T> {}

        impl<T> $name<T> {
            const fn new() -> Self {
                Self {
                    r#type: ptr::null(),
                    key: ptr::null(),
                    value: ptr::null(),
                    max_entries: ptr::null(),
                    map_flags: ptr::null(),
                }
            }

            /// The map as helpers take it.
            #[inline(always)]
            pub(crate) fn as_ptr(&self) -> *mut c_void {
                ptr::from_ref(self).cast_mut().cast()
            }
        }
    };
}

local_storage!(
    /// `BPF_MAP_TYPE_TASK_STORAGE`.
    TaskStorage,
    29,
    NO_PREALLOC
);
local_storage!(
    /// `BPF_MAP_TYPE_INODE_STORAGE`.
    InodeStorage,
    28,
    NO_PREALLOC
);
local_storage!(
    /// `BPF_MAP_TYPE_SK_STORAGE`.
    SocketStorage,
    24,
    INHERITED
);

/// The tag of every process of a context.
#[btf_map]
pub(crate) static TASKS: TaskStorage<Tag> = TaskStorage::new();

/// The process that a `/proc/PID` inode stands for.
#[btf_map]
pub(crate) static INODES: InodeStorage<Tag> = InodeStorage::new();

/// The epoch in force: the one word that a load flips.
#[btf_map]
pub(crate) static EPOCH: Array<u32, 1> = Array::new();

/// What policy says, by epoch and xid.
#[btf_map]
pub(crate) static CONTEXTS: HashMap<ContextKey, ContextRules, { limits::MAX_CONTEXT_ROWS as usize }> =
    HashMap::new();

/// What outlives epochs, by xid.
#[btf_map]
pub(crate) static CONTEXT_STATES: HashMap<Xid, ContextState, { limits::MAX_CONTEXTS as usize }> =
    HashMap::new();

/// Who loaded what when. No program reads it; it is here so that it lives and dies with the rest.
#[btf_map]
pub(crate) static EPOCHS: HashMap<u32, EpochInfo, 8> = HashMap::new();

/// Where violations are reported.
#[btf_map]
pub(crate) static VIOLATIONS: RingBuf<Violation, { limits::RING_SIZE as usize }> = RingBuf::new();

/// Repeated violations being counted.
#[btf_map]
pub(crate) static AGGREGATES: HashMap<AggregateKey, Aggregate, { limits::MAX_AGGREGATES as usize }> =
    HashMap::new();

/// Denials and failures by hook.
#[btf_map]
pub(crate) static HOOK_COUNTERS: PerCpuArray<HookCounters, { limits::MAX_HOOKS }> = PerCpuArray::new();

/// Who gave an open file its owner for SIGIO, by the address of the `struct file`; only guests are in it.
#[btf_map]
pub(crate) static FILE_OWNERS: HashMap<u64, Tag, { limits::MAX_FILE_OWNERS as usize }> = HashMap::new();

/// Not 0: a guest has been in [`FILE_OWNERS`] since the maps were made. Until then nobody looks there.
#[btf_map]
pub(crate) static OWNERS_USED: Array<u32, 1> = Array::new();

/// The tag of every socket of a context that has addresses.
#[btf_map]
pub(crate) static SOCKETS: SocketStorage<Tag> = SocketStorage::new();

/// What policy says of a context's addresses, by epoch and xid.
#[btf_map]
pub(crate) static NETWORKS: HashMap<ContextKey, NetworkRules, { limits::MAX_CONTEXT_ROWS as usize }> =
    HashMap::new();

/// Whose address it is, by epoch, xid and prefix.
#[btf_map]
pub(crate) static ADDRESSES: LpmTrie<AddressKey, Xid, { limits::MAX_ADDRESS_ROWS as usize }> = LpmTrie::new();

/// The epochs in which the host is confined, at the last bit of each: one look for the host's sockets where it is not.
#[btf_map]
pub(crate) static HOST_EPOCHS: Array<u32, 2> = Array::new();

/// Where packets of a context come from, by epoch, xid and prefix of the destination, where it is not the primary address.
#[btf_map]
pub(crate) static SOURCES: LpmTrie<AddressKey, Address, { limits::MAX_SOURCE_ROWS as usize }> =
    LpmTrie::new();

/// Which ports a context may use, where it may not use all.
#[btf_map]
pub(crate) static PORTS: LpmTrie<PortKey, u32, { limits::MAX_PORT_ROWS as usize }> = LpmTrie::new();

/// Not 0: a socket for datagrams has been in [`LISTENERS`]. Until then nobody looks there for one.
#[btf_map]
pub(crate) static DATAGRAMS: Array<u32, 1> = Array::new();

/// Tells that a socket for datagrams was bound to ANY.
#[btf_map]
pub(crate) static BOUND: RingBuf<u32, { limits::BOUND_RING_SIZE as usize }> = RingBuf::new();

/// Who listens for a context.
#[btf_map]
pub(crate) static LISTENERS: SockHash<ListenerKey, { limits::MAX_LISTENERS as usize }> = SockHash::new();

/// Directories that policy gives to somebody.
#[btf_map]
pub(crate) static FILES: HashMap<FileKey, FileRow, { limits::MAX_FILE_ROWS as usize }, NO_PREALLOC> =
    HashMap::new();

/// Why files are judged in an epoch, at the last bit of it: one look for guests where they are not.
#[btf_map]
pub(crate) static FILE_EPOCHS: Array<FilesJudged, 2> = Array::new();

/// Bits of the directories in [`FILES`], at an epoch's last bit: most that are walked past are seen here to have no row.
#[btf_map]
pub(crate) static FILE_FILTERS: Array<u64, { 2 * FILTER_WORDS }> = Array::new();

/// What every context of an epoch may use, at the last bit of it: most uses of a capability end here.
#[btf_map]
pub(crate) static CAPABILITIES: Array<CommonCapabilities, 2> = Array::new();

/// The epoch in force.
#[inline(always)]
pub(crate) fn epoch() -> Epoch {
    match EPOCH.get(0) {
        Some(epoch) => Epoch(*epoch),
        None => Epoch(0),
    }
}
