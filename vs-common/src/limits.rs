//! Sizes and rates, once for both sides.

/// Bytes of the ring buffer that tells of sockets bound to ANY: a page. When it is full, whoever reads it has been told.
pub const BOUND_RING_SIZE: u32 = 1 << 12;
/// Contexts that can exist at a time.
pub const MAX_CONTEXTS: u32 = 4096;
/// Rows of `CONTEXTS`: two epochs' worth, since a load writes the next one beside the one in force.
pub const MAX_CONTEXT_ROWS: u32 = 2 * MAX_CONTEXTS;
/// Bytes of a context's name, without a terminating zero.
pub const CONTEXT_NAME_SIZE: usize = 32;
/// Bytes of the ring buffer: 1 MiB holds over 3 000 records.
pub const RING_SIZE: u32 = 1 << 20;
/// Actors whose repeated violations are being aggregated at a time; beyond them each is a record of its own.
pub const MAX_AGGREGATES: u32 = 8192;
/// Open files of guests with an owner for SIGIO that can be remembered; beyond them `F_SETOWN` fails with ENOMEM.
pub const MAX_FILE_OWNERS: u32 = 16_384;
/// Hooks that `HOOK_COUNTERS` has room for: more than there are, so that a newer object finds room in the map that an older one pinned.
pub const MAX_HOOKS: usize = 128;
/// Addresses and prefixes that all contexts together can have.
pub const MAX_ADDRESSES: u32 = 16_384;
/// Rows of `ADDRESSES`: two epochs' worth, and each address is on its context's list and on the list that says whose it is.
pub const MAX_ADDRESS_ROWS: u32 = 4 * MAX_ADDRESSES;
/// Destinations with a source of their own, of all contexts together.
pub const MAX_SOURCES: u32 = 16_384;
/// Rows of `SOURCES`: two epochs' worth.
pub const MAX_SOURCE_ROWS: u32 = 2 * MAX_SOURCES;
/// Prefixes of ports that policy gives, of all contexts together. A range of ports is at most 30 prefixes.
pub const MAX_PORTS: u32 = 16_384;
/// Rows of `PORTS`: two epochs' worth.
pub const MAX_PORT_ROWS: u32 = 2 * MAX_PORTS;
/// Sockets of contexts that can listen at a time for more than the one address they are bound to; beyond them that one has to do.
pub const MAX_LISTENERS: u32 = 16_384;
/// Directories that policy can give to contexts and to the host.
pub const MAX_FILES: u32 = 16_384;
/// Rows of `FILES`: two epochs' worth.
pub const MAX_FILE_ROWS: u32 = 2 * MAX_FILES;
/// How long, in nanoseconds, violations of one actor at one hook are counted into one record.
pub const AGGREGATE_INTERVAL_NS: u64 = 1_000_000_000;
/// Records per second that a context may write unless policy says otherwise.
pub const DEFAULT_RECORDS_PER_SECOND: u32 = 100;
/// Records that a context may write at once after a quiet time, unless policy says otherwise.
pub const DEFAULT_RECORD_BURST: u32 = 400;
/// Bytes of an executable's file name that a record carries.
pub const EXECUTABLE_NAME_SIZE: usize = 32;

const _: () = assert!(crate::hook::Hook::COUNT <= MAX_HOOKS);
