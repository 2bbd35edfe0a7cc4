//! [`Store`] over the pinned maps.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use aya::Pod;
use aya::maps::Map;
use aya_obj::generated::bpf_map_type;
use vs_common::capability::CommonCapabilities;
use vs_common::context::Tag;
use vs_common::filesystem::{FILTER_WORDS, FileFilter, FileKey, FileRow, FilesJudged};
use vs_common::hook::Hook;
use vs_common::id::{Epoch, Xid};
use vs_common::map_name;
use vs_common::network::{
    ADDRESS_KEY_BITS, Address, AddressKey, ListenerKey, NetworkRules, PORT_KEY_BITS, PortKey,
};
use vs_common::policy_entry::{ContextKey, ContextRules, ContextState, EpochInfo, HookCounters};
use vs_common::violation::{Aggregate, AggregateKey};

use super::store::{Store, StoreError};
use crate::compile::port::PortPrefix;
use crate::kernel::map::{MapError, Put, TypedMap};
use crate::kernel::pins::{Pins, PinsError};
use crate::kernel::syscall;

/// Why the maps could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing is in force.
    #[error("no policy is loaded; vs load POLICY...")]
    NotLoaded,
    /// The pins are another's, or damaged.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// A map cannot be opened.
    #[error("cannot open the map {path}: {cause}")]
    Refused {
        /// Its pin, or its name if it is not pinned.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// A map is not what its name says.
    #[error("the map {map} was made by another vs: {cause}; use that one to unload")]
    Foreign {
        /// Its name.
        map: &'static str,
        /// What is different.
        cause: MapError,
    },
    /// The epoch cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The pinned maps, opened.
#[derive(Debug)]
pub struct LiveStore {
    sockets: TypedMap<RawFd, Tag>,
    tasks: TypedMap<RawFd, Tag>,
    epoch: TypedMap<u32, u32>,
    contexts: TypedMap<ContextKey, ContextRules>,
    states: TypedMap<u32, ContextState>,
    epochs: TypedMap<u32, EpochInfo>,
    counters: TypedMap<u32, HookCounters>,
    aggregates: TypedMap<AggregateKey, Aggregate>,
    networks: TypedMap<ContextKey, NetworkRules>,
    addresses: TypedMap<AddressPrefix, u32>,
    listeners: TypedMap<ListenerKey, u32>,
    sources: TypedMap<AddressPrefix, Address>,
    ports: TypedMap<PortTrieKey, u32>,
    host_epochs: TypedMap<u32, u32>,
    inodes: TypedMap<RawFd, Tag>,
    files: TypedMap<FileKey, FileRow>,
    file_epochs: TypedMap<u32, FilesJudged>,
    file_filters: TypedMap<u32, u64>,
    capabilities: TypedMap<u32, CommonCapabilities>,
}

/// A key of `PORTS` as the kernel wants it (`struct bpf_lpm_trie_key`).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct PortTrieKey {
    /// How many bits of the key count.
    length: u32,
    key: PortKey,
}

// SAFETY: `repr(C)`, `Copy`, of integers without padding, every bit pattern is a value.
unsafe impl Pod for PortTrieKey {}

impl PortTrieKey {
    fn new(ContextKey { epoch, xid }: ContextKey, ports: PortPrefix) -> Self {
        let key = PortKey { epoch, xid, usage: ports.usage, port: ports.port.to_be() };
        Self { length: PORT_KEY_BITS + u32::from(ports.length), key }
    }

    fn parts(&self) -> (ContextKey, PortPrefix) {
        let PortKey { epoch, xid, usage, port } = self.key;
        // Nobody writes a shorter one, or a longer.
        let length = u8::try_from(self.length.saturating_sub(PORT_KEY_BITS)).unwrap_or(u8::MAX);
        (ContextKey { epoch, xid }, PortPrefix { usage, port: u16::from_be(port), length })
    }
}

/// A key of `ADDRESSES` as the kernel wants it (`struct bpf_lpm_trie_key`).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct AddressPrefix {
    /// How many bits of the key count.
    length: u32,
    key: AddressKey,
}

// SAFETY: `repr(C)`, `Copy`, of integers without padding, every bit pattern is a value.
unsafe impl Pod for AddressPrefix {}

impl AddressPrefix {
    fn new(key: AddressKey, length: u8) -> Self {
        Self { length: ADDRESS_KEY_BITS + u32::from(length), key }
    }

    /// How many bits of the address count.
    fn family_length(&self) -> u8 {
        // Nobody writes a shorter one, or a longer.
        u8::try_from(self.length.saturating_sub(ADDRESS_KEY_BITS)).unwrap_or(u8::MAX)
    }
}

impl LiveStore {
    /// Opens the maps of the policy in force.
    ///
    /// # Errors
    /// Nothing is in force, the pins are not ours, or the kernel refused.
    pub fn open() -> Result<Self, OpenError> {
        let store = Self::open_pinned(&Pins::default())?.ok_or(OpenError::NotLoaded)?;
        if store.epoch()? == Epoch(0) { Err(OpenError::NotLoaded) } else { Ok(store) }
    }

    /// Opens the maps if all are there, whether or not anything is in force; `None`: some have no pin, so nothing can be.
    ///
    /// # Errors
    /// The pins are not ours, a map has another shape, or the kernel refused.
    pub fn open_pinned(pins: &Pins) -> Result<Option<Self>, OpenError> {
        if !pins.verify()? || !pins.has_all_maps()? {
            return Ok(None);
        }
        Self::assemble(|name| {
            let path = pins.map(name);
            syscall::pinned(&path).map_err(|cause| OpenError::Refused { path, cause })
        })
        .map(Some)
    }

    /// The map of the tags of sockets, which the kernel reads when it lists them.
    pub fn socket_tags(&self) -> BorrowedFd<'_> {
        self.sockets.as_fd()
    }

    /// The maps of an object that is loaded and not pinned.
    ///
    /// # Errors
    /// The object lacks a map, or the kernel refused.
    pub(crate) fn of_object(object: &aya::Ebpf) -> Result<Self, OpenError> {
        Self::assemble(|name| {
            let refused = |cause| OpenError::Refused { path: name.into(), cause };
            let Some(
                Map::Array(data)
                | Map::HashMap(data)
                | Map::InodeStorage(data)
                | Map::LpmTrie(data)
                | Map::PerCpuArray(data)
                | Map::SkStorage(data)
                | Map::SockHash(data)
                | Map::Unsupported(data),
            ) = object.map(name)
            else {
                return Err(refused(io::ErrorKind::NotFound.into()));
            };
            data.fd().as_fd().try_clone_to_owned().map_err(refused)
        })
    }

    fn assemble(open: impl Fn(&'static str) -> Result<OwnedFd, OpenError>) -> Result<Self, OpenError> {
        use bpf_map_type::{
            BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_INODE_STORAGE, BPF_MAP_TYPE_LPM_TRIE,
            BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_SK_STORAGE, BPF_MAP_TYPE_SOCKHASH,
            BPF_MAP_TYPE_TASK_STORAGE,
        };
        Ok(Self {
            sockets: typed(&open, map_name::SOCKETS, BPF_MAP_TYPE_SK_STORAGE)?,
            tasks: typed(&open, map_name::TASKS, BPF_MAP_TYPE_TASK_STORAGE)?,
            epoch: typed(&open, map_name::EPOCH, BPF_MAP_TYPE_ARRAY)?,
            contexts: typed(&open, map_name::CONTEXTS, BPF_MAP_TYPE_HASH)?,
            states: typed(&open, map_name::CONTEXT_STATES, BPF_MAP_TYPE_HASH)?,
            epochs: typed(&open, map_name::EPOCHS, BPF_MAP_TYPE_HASH)?,
            // One counter per hook that the vs knew that made it.
            counters: typed(&open, map_name::HOOK_COUNTERS, BPF_MAP_TYPE_PERCPU_ARRAY)?
                .with_room_for(Hook::COUNT)
                .map_err(|cause| OpenError::Foreign { map: map_name::HOOK_COUNTERS, cause })?,
            aggregates: typed(&open, map_name::AGGREGATES, BPF_MAP_TYPE_HASH)?,
            networks: typed(&open, map_name::NETWORKS, BPF_MAP_TYPE_HASH)?,
            addresses: typed(&open, map_name::ADDRESSES, BPF_MAP_TYPE_LPM_TRIE)?,
            listeners: typed(&open, map_name::LISTENERS, BPF_MAP_TYPE_SOCKHASH)?,
            sources: typed(&open, map_name::SOURCES, BPF_MAP_TYPE_LPM_TRIE)?,
            ports: typed(&open, map_name::PORTS, BPF_MAP_TYPE_LPM_TRIE)?,
            host_epochs: typed(&open, map_name::HOST_EPOCHS, BPF_MAP_TYPE_ARRAY)?,
            inodes: typed(&open, map_name::INODES, BPF_MAP_TYPE_INODE_STORAGE)?,
            files: typed(&open, map_name::FILES, BPF_MAP_TYPE_HASH)?,
            file_epochs: typed(&open, map_name::FILE_EPOCHS, BPF_MAP_TYPE_ARRAY)?,
            file_filters: typed(&open, map_name::FILE_FILTERS, BPF_MAP_TYPE_ARRAY)?,
            capabilities: typed(&open, map_name::CAPABILITIES, BPF_MAP_TYPE_ARRAY)?,
        })
    }
}

fn typed<K: Pod + Ord, V: Pod>(
    open: impl Fn(&'static str) -> Result<OwnedFd, OpenError>,
    map: &'static str,
    kind: bpf_map_type,
) -> Result<TypedMap<K, V>, OpenError> {
    TypedMap::check(open(map)?, kind).map_err(|cause| OpenError::Foreign { map, cause })
}

/// Where the words of an epoch's filter are.
fn filter_indices(epoch: Epoch) -> impl Iterator<Item = u32> {
    // The words of two filters are few.
    let words = u32::try_from(FILTER_WORDS).unwrap_or(u32::MAX);
    (epoch.0 & 1) * words..
}

/// A failure of the kernel's, with the map and what was tried.
fn failed(map: &'static str, operation: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    move |cause| StoreError { map, operation, cause }
}

/// Fails with `ESRCH` if the process behind a pidfd is gone.
fn exists(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: signal 0 is only checked for, and there is neither information to read nor a flag.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), 0, no_info, 0) };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Waits until every program that began before has ended: programs run in RCU read-side sections, and this waits for a grace period
/// (`kernel/sched/membarrier.c`, `MEMBARRIER_CMD_GLOBAL`).
///
/// Where the kernel refuses (`nohz_full`), a program that read the old epoch may find its row gone; no row means enforce, so for that
/// one call a context in mode observe is enforced upon.
fn wait_for_programs() {
    // SAFETY: the command takes neither an address nor a flag.
    unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
}

impl Store for LiveStore {
    fn epoch(&self) -> Result<Epoch, StoreError> {
        let word = self.epoch.get(&0).map_err(failed(map_name::EPOCH, "read"))?;
        Ok(Epoch(word.unwrap_or_default()))
    }

    fn set_epoch(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.epoch.put(&0, &epoch.0, Put::Any).map_err(failed(map_name::EPOCH, "write"))?;
        wait_for_programs();
        Ok(())
    }

    fn context_rows(&self) -> Result<Vec<(ContextKey, ContextRules)>, StoreError> {
        self.contexts.list().map_err(failed(map_name::CONTEXTS, "list"))
    }

    fn context_rules(&self, key: ContextKey) -> Result<Option<ContextRules>, StoreError> {
        self.contexts.get(&key).map_err(failed(map_name::CONTEXTS, "read"))
    }

    fn put_context_rules(&mut self, key: ContextKey, rules: &ContextRules) -> Result<(), StoreError> {
        self.contexts.put(&key, rules, Put::Any).map_err(failed(map_name::CONTEXTS, "write"))
    }

    fn remove_context_rules(&mut self, key: ContextKey) -> Result<(), StoreError> {
        self.contexts.remove(&key).map_err(failed(map_name::CONTEXTS, "remove from"))
    }

    fn context_states(&self) -> Result<Vec<(Xid, ContextState)>, StoreError> {
        let states = self.states.list().map_err(failed(map_name::CONTEXT_STATES, "list"))?;
        Ok(states.into_iter().map(|(xid, state)| (Xid(xid), state)).collect())
    }

    fn context_state(&self, xid: Xid) -> Result<Option<ContextState>, StoreError> {
        self.states.get(&xid.0).map_err(failed(map_name::CONTEXT_STATES, "read"))
    }

    fn put_context_state(&mut self, xid: Xid, state: &ContextState) -> Result<(), StoreError> {
        self.states.put(&xid.0, state, Put::Any).map_err(failed(map_name::CONTEXT_STATES, "write"))
    }

    fn remove_context_state(&mut self, xid: Xid) -> Result<(), StoreError> {
        self.states.remove(&xid.0).map_err(failed(map_name::CONTEXT_STATES, "remove from"))
    }

    fn epoch_info(&self, epoch: Epoch) -> Result<Option<EpochInfo>, StoreError> {
        self.epochs.get(&epoch.0).map_err(failed(map_name::EPOCHS, "read"))
    }

    fn epoch_infos(&self) -> Result<Vec<(Epoch, EpochInfo)>, StoreError> {
        let infos = self.epochs.list().map_err(failed(map_name::EPOCHS, "list"))?;
        Ok(infos.into_iter().map(|(epoch, info)| (Epoch(epoch), info)).collect())
    }

    fn put_epoch_info(&mut self, epoch: Epoch, info: &EpochInfo) -> Result<(), StoreError> {
        self.epochs.put(&epoch.0, info, Put::Any).map_err(failed(map_name::EPOCHS, "write"))
    }

    fn remove_epoch_info(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.epochs.remove(&epoch.0).map_err(failed(map_name::EPOCHS, "remove from"))
    }

    fn task_tag(&self, pidfd: BorrowedFd<'_>) -> Result<Option<Tag>, StoreError> {
        let tag = self.tasks.get(&pidfd.as_raw_fd()).and_then(|tag| match tag {
            // On 6.1 a program leaves the host's tag behind when it has to be sure (`vs-ebpf/src/context.rs`).
            Some(tag) => Ok(Some(tag).filter(|tag| tag.xid != Xid::HOST)),
            // The kernel says the same of a task without storage and of one that is gone, and only the former is the host's
            // (`kernel/bpf/bpf_task_storage.c:bpf_pid_task_storage_lookup_elem`).
            None => exists(pidfd).map(|()| None),
        });
        tag.map_err(failed(map_name::TASKS, "read"))
    }

    fn set_task_tag(&mut self, pidfd: BorrowedFd<'_>, tag: Tag) -> Result<(), StoreError> {
        let put = |how| self.tasks.put(&pidfd.as_raw_fd(), &tag, how);
        let written = put(Put::New).or_else(|error| match error.raw_os_error() {
            // The host's tag is none. Nobody else writes this task's meanwhile: a program that finds a tag leaves it as it is.
            Some(libc::EEXIST) if self.task_tag(pidfd).is_ok_and(|tag| tag.is_none()) => put(Put::Any),
            // There is nothing else that a write could miss.
            Some(libc::ENOENT) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            _ => Err(error),
        });
        written.map_err(failed(map_name::TASKS, "write"))
    }

    fn hook_counters(&self, hook: Hook) -> Result<HookCounters, StoreError> {
        let values =
            self.counters.get_per_cpu(hook as u32).map_err(failed(map_name::HOOK_COUNTERS, "read"))?;
        Ok(values.iter().fold(HookCounters::default(), |sum, one| HookCounters {
            denials: sum.denials + one.denials,
            observed: sum.observed + one.observed,
            failures: sum.failures + one.failures,
            lost: sum.lost + one.lost,
            tried: sum.tried + one.tried,
        }))
    }

    fn aggregates(&self) -> Result<Vec<(AggregateKey, Aggregate)>, StoreError> {
        self.aggregates.list().map_err(failed(map_name::AGGREGATES, "list"))
    }

    fn take_aggregate(&mut self, key: AggregateKey) -> Result<Option<Aggregate>, StoreError> {
        self.aggregates.take(&key).map_err(failed(map_name::AGGREGATES, "remove from"))
    }

    fn network_rows(&self) -> Result<Vec<(ContextKey, NetworkRules)>, StoreError> {
        self.networks.list().map_err(failed(map_name::NETWORKS, "list"))
    }

    fn put_network_rules(&mut self, key: ContextKey, rules: &NetworkRules) -> Result<(), StoreError> {
        self.networks.put(&key, rules, Put::Any).map_err(failed(map_name::NETWORKS, "write"))
    }

    fn remove_network_rules(&mut self, key: ContextKey) -> Result<(), StoreError> {
        self.networks.remove(&key).map_err(failed(map_name::NETWORKS, "remove from"))
    }

    fn address_rows(&self) -> Result<Vec<(AddressKey, u8, Xid)>, StoreError> {
        let rows = self.addresses.list().map_err(failed(map_name::ADDRESSES, "list"))?;
        Ok(rows.into_iter().map(|(prefix, xid)| (prefix.key, prefix.family_length(), Xid(xid))).collect())
    }

    fn put_address(&mut self, key: AddressKey, length: u8, owner: Xid) -> Result<(), StoreError> {
        let prefix = AddressPrefix::new(key, length);
        self.addresses.put(&prefix, &owner.0, Put::Any).map_err(failed(map_name::ADDRESSES, "write"))
    }

    fn remove_address(&mut self, key: AddressKey, length: u8) -> Result<(), StoreError> {
        let prefix = AddressPrefix::new(key, length);
        self.addresses.remove(&prefix).map_err(failed(map_name::ADDRESSES, "remove from"))
    }

    fn is_host_confined(&self, epoch: Epoch) -> Result<bool, StoreError> {
        let word = self.host_epochs.get(&(epoch.0 & 1)).map_err(failed(map_name::HOST_EPOCHS, "read"))?;
        Ok(word == Some(epoch.0))
    }

    fn set_host_confined(&mut self, epoch: Epoch, is_confined: bool) -> Result<(), StoreError> {
        // No epoch in force is 0.
        let word = if is_confined { epoch.0 } else { 0 };
        self.host_epochs.put(&(epoch.0 & 1), &word, Put::Any).map_err(failed(map_name::HOST_EPOCHS, "write"))
    }

    fn port_rows(&self) -> Result<Vec<(ContextKey, PortPrefix)>, StoreError> {
        let rows = self.ports.list().map_err(failed(map_name::PORTS, "list"))?;
        Ok(rows.into_iter().map(|(key, _)| key.parts()).collect())
    }

    fn put_ports(&mut self, key: ContextKey, ports: PortPrefix) -> Result<(), StoreError> {
        let key = PortTrieKey::new(key, ports);
        self.ports.put(&key, &1, Put::Any).map_err(failed(map_name::PORTS, "write"))
    }

    fn remove_ports(&mut self, key: ContextKey, ports: PortPrefix) -> Result<(), StoreError> {
        self.ports.remove(&PortTrieKey::new(key, ports)).map_err(failed(map_name::PORTS, "remove from"))
    }

    fn source_rows(&self) -> Result<Vec<(AddressKey, u8, Address)>, StoreError> {
        let rows = self.sources.list().map_err(failed(map_name::SOURCES, "list"))?;
        Ok(rows.into_iter().map(|(prefix, source)| (prefix.key, prefix.family_length(), source)).collect())
    }

    fn put_source(&mut self, key: AddressKey, length: u8, source: Address) -> Result<(), StoreError> {
        let prefix = AddressPrefix::new(key, length);
        self.sources.put(&prefix, &source, Put::Any).map_err(failed(map_name::SOURCES, "write"))
    }

    fn remove_source(&mut self, key: AddressKey, length: u8) -> Result<(), StoreError> {
        let prefix = AddressPrefix::new(key, length);
        self.sources.remove(&prefix).map_err(failed(map_name::SOURCES, "remove from"))
    }

    fn file_rows(&self) -> Result<Vec<(FileKey, FileRow)>, StoreError> {
        self.files.list().map_err(failed(map_name::FILES, "list"))
    }

    fn put_file(&mut self, key: FileKey, row: &FileRow) -> Result<(), StoreError> {
        self.files.put(&key, row, Put::Any).map_err(failed(map_name::FILES, "write"))
    }

    fn remove_file(&mut self, key: FileKey) -> Result<(), StoreError> {
        self.files.remove(&key).map_err(failed(map_name::FILES, "remove from"))
    }

    fn file_filter(&self, epoch: Epoch) -> Result<FileFilter, StoreError> {
        let mut filter = [0; FILTER_WORDS];
        for (index, word) in filter_indices(epoch).zip(&mut filter) {
            let found = self.file_filters.get(&index).map_err(failed(map_name::FILE_FILTERS, "read"))?;
            *word = found.unwrap_or_default();
        }
        Ok(filter)
    }

    fn set_file_filter(&mut self, epoch: Epoch, filter: &FileFilter) -> Result<(), StoreError> {
        for (index, word) in filter_indices(epoch).zip(filter) {
            self.file_filters.put(&index, word, Put::Any).map_err(failed(map_name::FILE_FILTERS, "write"))?;
        }
        Ok(())
    }

    fn files_judged(&self, epoch: Epoch) -> Result<FilesJudged, StoreError> {
        let judged = self.file_epochs.get(&(epoch.0 & 1)).map_err(failed(map_name::FILE_EPOCHS, "read"))?;
        Ok(judged.unwrap_or_default())
    }

    fn set_files_judged(&mut self, judged: FilesJudged) -> Result<(), StoreError> {
        self.file_epochs
            .put(&(judged.epoch.0 & 1), &judged, Put::Any)
            .map_err(failed(map_name::FILE_EPOCHS, "write"))
    }

    fn common_capabilities(&self, epoch: Epoch) -> Result<CommonCapabilities, StoreError> {
        let common = self.capabilities.get(&(epoch.0 & 1)).map_err(failed(map_name::CAPABILITIES, "read"))?;
        Ok(common.unwrap_or_default())
    }

    fn set_common_capabilities(&mut self, common: CommonCapabilities) -> Result<(), StoreError> {
        self.capabilities
            .put(&(common.epoch & 1), &common, Put::Any)
            .map_err(failed(map_name::CAPABILITIES, "write"))
    }

    fn set_filesystem_tag(&mut self, root: BorrowedFd<'_>, tag: Tag) -> Result<(), StoreError> {
        self.inodes.put(&root.as_raw_fd(), &tag, Put::Any).map_err(failed(map_name::INODES, "write"))
    }

    fn listeners(&self) -> Result<Vec<ListenerKey>, StoreError> {
        self.listeners.keys().map_err(failed(map_name::LISTENERS, "list"))
    }
}
