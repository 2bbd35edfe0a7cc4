//! The names of the maps, once for both sides. Under 16 bytes, the kernel's limit (`BPF_OBJ_NAME_LEN`).

/// The version of all pinned layouts: the folder under [`PIN_ROOT`]. A loader refuses, by name, one it does not know.
pub const LAYOUT_VERSION: u32 = 1;
/// The folder in bpffs that holds one folder per layout version.
pub const PIN_ROOT: &str = "/sys/fs/bpf/vs";

/// Task storage: [`crate::context::Tag`] of each process of a context.
pub const TASKS: &str = "TASKS";
/// Inode storage: the process a `/proc/PID` inode stands for.
pub const INODES: &str = "INODES";
/// Array of one `u32`: the epoch in force. The one word that a load flips.
pub const EPOCH: &str = "EPOCH";
/// Hash: [`crate::policy_entry::ContextKey`] to [`crate::policy_entry::ContextRules`].
pub const CONTEXTS: &str = "CONTEXTS";
/// Hash: xid to [`crate::policy_entry::ContextState`], which outlives epochs.
pub const CONTEXT_STATES: &str = "CONTEXT_STATES";
/// Hash: epoch to [`crate::policy_entry::EpochInfo`].
pub const EPOCHS: &str = "EPOCHS";
/// Ring buffer of [`crate::violation::Violation`].
pub const VIOLATIONS: &str = "VIOLATIONS";
/// Hash: [`crate::violation::AggregateKey`] to [`crate::violation::Aggregate`].
pub const AGGREGATES: &str = "AGGREGATES";
/// Per-CPU array, by hook number: [`crate::policy_entry::HookCounters`].
pub const HOOK_COUNTERS: &str = "HOOK_COUNTERS";
/// Hash: address of a `struct file` to the tag of the guest that gave it an owner for SIGIO.
pub const FILE_OWNERS: &str = "FILE_OWNERS";
/// Array of one `u32`: not 0 once a guest has been in [`FILE_OWNERS`].
pub const OWNERS_USED: &str = "OWNERS_USED";
/// Socket storage: [`crate::context::Tag`] of each socket of a context that has addresses.
pub const SOCKETS: &str = "SOCKETS";
/// Hash: [`crate::policy_entry::ContextKey`] to [`crate::network::NetworkRules`].
pub const NETWORKS: &str = "NETWORKS";
/// Trie over prefixes: [`crate::network::AddressKey`] to the xid of whoever has the address.
pub const ADDRESSES: &str = "ADDRESSES";
/// Hash of sockets: [`crate::network::ListenerKey`] to the one that listens there.
pub const LISTENERS: &str = "LISTENERS";
/// Trie over prefixes: [`crate::network::AddressKey`] of a destination to the address that packets of the context go there from.
pub const SOURCES: &str = "SOURCES";
/// Trie over prefixes: [`crate::network::PortKey`] of what is allowed to 1.
pub const PORTS: &str = "PORTS";
/// Array of two `u32`: at an epoch's last bit the epoch itself, if the host is confined in it (`[host] addresses`).
pub const HOST_EPOCHS: &str = "HOST_EPOCHS";
/// Array of one `u32`: not 0 once a socket for datagrams has been in [`LISTENERS`].
pub const DATAGRAMS: &str = "DATAGRAMS";
/// Ring buffer of a word for each socket for datagrams that was bound to ANY: whoever reads it has them put into [`LISTENERS`].
pub const BOUND: &str = "BOUND";
/// Hash: [`crate::filesystem::FileKey`] of a directory to [`crate::filesystem::FileRow`].
pub const FILES: &str = "FILES";
/// Array of two: at an epoch's last bit its [`crate::filesystem::FilesJudged`].
pub const FILE_EPOCHS: &str = "FILE_EPOCHS";
/// Array of `u64`, at an epoch's last bit the words of its [`crate::filesystem::FileFilter`].
pub const FILE_FILTERS: &str = "FILE_FILTERS";
/// Array of two: at an epoch's last bit its [`crate::capability::CommonCapabilities`].
pub const CAPABILITIES: &str = "CAPABILITIES";

/// Every map that is pinned.
pub const ALL: &[&str] = &[
    TASKS,
    INODES,
    EPOCH,
    CONTEXTS,
    CONTEXT_STATES,
    EPOCHS,
    VIOLATIONS,
    AGGREGATES,
    HOOK_COUNTERS,
    FILE_OWNERS,
    OWNERS_USED,
    SOCKETS,
    NETWORKS,
    ADDRESSES,
    LISTENERS,
    SOURCES,
    PORTS,
    HOST_EPOCHS,
    DATAGRAMS,
    BOUND,
    FILES,
    FILE_EPOCHS,
    FILE_FILTERS,
    CAPABILITIES,
];
