//! What the rest of the loader may ask of the pinned maps.
//!
//! The pinned maps are the only truth about what runs; whoever needs to know or to change it goes through [`Store`]. The real one
//! is over bpffs; the fake one lives in memory, fails where a test tells it to, and shows that a load that fails anywhere leaves
//! the old rules in force.

use std::os::fd::BorrowedFd;

use vs_common::capability::CommonCapabilities;
use vs_common::context::Tag;
use vs_common::filesystem::{FileFilter, FileKey, FileRow, FilesJudged};
use vs_common::hook::Hook;
use vs_common::id::{Epoch, Xid};
use vs_common::network::{Address, AddressKey, ListenerKey, NetworkRules};
use vs_common::policy_entry::{ContextKey, ContextRules, ContextState, EpochInfo, HookCounters};
use vs_common::violation::{Aggregate, AggregateKey};

use crate::compile::port::PortPrefix;

/// A map operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} the map {map}: {cause}")]
pub struct StoreError {
    /// The map's name, of [`vs_common::map_name`].
    pub map: &'static str,
    /// What was tried: "read", "write", "remove from", "list".
    pub operation: &'static str,
    /// The kernel's answer.
    pub cause: std::io::Error,
}

/// The pinned maps.
///
/// Every method returns an error only if the kernel refused the operation; a key that is not there is `None`, and removing it
/// again is no error.
pub trait Store {
    /// The epoch in force; 0 before the first load.
    ///
    /// # Errors
    /// The kernel refused.
    fn epoch(&self) -> Result<Epoch, StoreError>;

    /// Flips the one word that all programs read: from here on the rows of `epoch` are in force. When it returns, no program still
    /// works with the rows of the old one.
    ///
    /// # Errors
    /// The kernel refused; the old epoch is in force.
    fn set_epoch(&mut self, epoch: Epoch) -> Result<(), StoreError>;

    /// Every row of every epoch, in no order.
    ///
    /// # Errors
    /// The kernel refused.
    fn context_rows(&self) -> Result<Vec<(ContextKey, ContextRules)>, StoreError>;

    /// The rules of one context in one epoch.
    ///
    /// # Errors
    /// The kernel refused.
    fn context_rules(&self, key: ContextKey) -> Result<Option<ContextRules>, StoreError>;

    /// Writes one row.
    ///
    /// # Errors
    /// The kernel refused, or the map is full.
    fn put_context_rules(&mut self, key: ContextKey, rules: &ContextRules) -> Result<(), StoreError>;

    /// Removes one row.
    ///
    /// # Errors
    /// The kernel refused.
    fn remove_context_rules(&mut self, key: ContextKey) -> Result<(), StoreError>;

    /// Every context's state, in no order.
    ///
    /// # Errors
    /// The kernel refused.
    fn context_states(&self) -> Result<Vec<(Xid, ContextState)>, StoreError>;

    /// One context's state.
    ///
    /// # Errors
    /// The kernel refused.
    fn context_state(&self, xid: Xid) -> Result<Option<ContextState>, StoreError>;

    /// Writes one context's state. Programs add to its counters meanwhile: write a new one, or one whose context cannot deny.
    ///
    /// # Errors
    /// The kernel refused, or the map is full.
    fn put_context_state(&mut self, xid: Xid, state: &ContextState) -> Result<(), StoreError>;

    /// Removes one context's state.
    ///
    /// # Errors
    /// The kernel refused.
    fn remove_context_state(&mut self, xid: Xid) -> Result<(), StoreError>;

    /// Who loaded the epoch, when, and what.
    ///
    /// # Errors
    /// The kernel refused.
    fn epoch_info(&self, epoch: Epoch) -> Result<Option<EpochInfo>, StoreError>;

    /// Who loaded each epoch that is known, in no order.
    ///
    /// # Errors
    /// The kernel refused.
    fn epoch_infos(&self) -> Result<Vec<(Epoch, EpochInfo)>, StoreError>;

    /// Writes who loaded the epoch.
    ///
    /// # Errors
    /// The kernel refused, or the map is full.
    fn put_epoch_info(&mut self, epoch: Epoch, info: &EpochInfo) -> Result<(), StoreError>;

    /// Removes what was written about the epoch.
    ///
    /// # Errors
    /// The kernel refused.
    fn remove_epoch_info(&mut self, epoch: Epoch) -> Result<(), StoreError>;

    /// The tag of the task behind a pidfd; `None`: it has none, it is the host's.
    ///
    /// # Errors
    /// The kernel refused, or the process is gone (`ESRCH`).
    fn task_tag(&self, pidfd: BorrowedFd<'_>) -> Result<Option<Tag>, StoreError>;

    /// Tags the task behind a pidfd. The kernel tags that one thread: call it for a process with a single one.
    ///
    /// # Errors
    /// The kernel refused, the process is gone (`ESRCH`), or it has a tag already (`EEXIST`): a tag is given once.
    fn set_task_tag(&mut self, pidfd: BorrowedFd<'_>, tag: Tag) -> Result<(), StoreError>;

    /// What all processors counted at one hook, summed.
    ///
    /// # Errors
    /// The kernel refused.
    fn hook_counters(&self, hook: Hook) -> Result<HookCounters, StoreError>;

    /// Every run of repeated violations being counted, in no order.
    ///
    /// # Errors
    /// The kernel refused.
    fn aggregates(&self) -> Result<Vec<(AggregateKey, Aggregate)>, StoreError>;

    /// Takes one run out of the map, with what was counted up to that instant (`BPF_MAP_LOOKUP_AND_DELETE_ELEM`).
    ///
    /// # Errors
    /// The kernel refused.
    fn take_aggregate(&mut self, key: AggregateKey) -> Result<Option<Aggregate>, StoreError>;

    /// What every context's sockets may do, of every epoch, in no order.
    ///
    /// # Errors
    /// The kernel refused.
    fn network_rows(&self) -> Result<Vec<(ContextKey, NetworkRules)>, StoreError>;

    /// Writes what a context's sockets may do.
    ///
    /// # Errors
    /// The kernel refused, or the map is full.
    fn put_network_rules(&mut self, key: ContextKey, rules: &NetworkRules) -> Result<(), StoreError>;

    /// Removes what a context's sockets may do.
    ///
    /// # Errors
    /// The kernel refused.
    fn remove_network_rules(&mut self, key: ContextKey) -> Result<(), StoreError>;

    /// Every prefix of every epoch, with how many bits of its address are compared, of 128, and whose it is, in no order.
    ///
    /// # Errors
    /// The kernel refused.
    fn address_rows(&self) -> Result<Vec<(AddressKey, u8, Xid)>, StoreError>;

    /// Writes whose a prefix is.
    ///
    /// # Errors
    /// The kernel refused, or the map is full.
    fn put_address(&mut self, key: AddressKey, length: u8, owner: Xid) -> Result<(), StoreError>;

    /// Removes a prefix.
    ///
    /// # Errors
    /// The kernel refused.
    fn remove_address(&mut self, key: AddressKey, length: u8) -> Result<(), StoreError>;

    /// Whether the host is confined in an epoch.
    ///
    /// # Errors
    /// The kernel refused.
    fn is_host_confined(&self, epoch: Epoch) -> Result<bool, StoreError>;

    /// Says whether the host is confined in an epoch that is not in force yet, or no longer.
    ///
    /// # Errors
    /// The kernel refused.
    fn set_host_confined(&mut self, epoch: Epoch, is_confined: bool) -> Result<(), StoreError>;

    /// Every port that a context of any epoch is given, in no order.
    ///
    /// # Errors
    /// The kernel refused.
    fn port_rows(&self) -> Result<Vec<(ContextKey, PortPrefix)>, StoreError>;

    /// Gives a context ports.
    ///
    /// # Errors
    /// The kernel refused, or the map is full.
    fn put_ports(&mut self, key: ContextKey, ports: PortPrefix) -> Result<(), StoreError>;

    /// Takes ports from a context.
    ///
    /// # Errors
    /// The kernel refused.
    fn remove_ports(&mut self, key: ContextKey, ports: PortPrefix) -> Result<(), StoreError>;

    /// Every destination that a context of any epoch has a source for, with how many bits of it are compared, of 128, in no order.
    ///
    /// # Errors
    /// The kernel refused.
    fn source_rows(&self) -> Result<Vec<(AddressKey, u8, Address)>, StoreError>;

    /// Writes where a context's packets to a destination come from.
    ///
    /// # Errors
    /// The kernel refused, or the map is full.
    fn put_source(&mut self, key: AddressKey, length: u8, source: Address) -> Result<(), StoreError>;

    /// Removes where a context's packets to a destination come from.
    ///
    /// # Errors
    /// The kernel refused.
    fn remove_source(&mut self, key: AddressKey, length: u8) -> Result<(), StoreError>;

    /// Every directory that policy of any epoch gives to somebody, in no order.
    ///
    /// # Errors
    /// The kernel refused.
    fn file_rows(&self) -> Result<Vec<(FileKey, FileRow)>, StoreError>;

    /// Gives a directory to somebody.
    ///
    /// # Errors
    /// The kernel refused, or the map is full.
    fn put_file(&mut self, key: FileKey, row: &FileRow) -> Result<(), StoreError>;

    /// Takes a directory from whoever had it.
    ///
    /// # Errors
    /// The kernel refused.
    fn remove_file(&mut self, key: FileKey) -> Result<(), StoreError>;

    /// The filter of an epoch's directories.
    ///
    /// # Errors
    /// The kernel refused.
    fn file_filter(&self, epoch: Epoch) -> Result<FileFilter, StoreError>;

    /// Writes the filter of the directories of an epoch that is not in force yet.
    ///
    /// # Errors
    /// The kernel refused.
    fn set_file_filter(&mut self, epoch: Epoch, filter: &FileFilter) -> Result<(), StoreError>;

    /// Why files are judged in an epoch.
    ///
    /// # Errors
    /// The kernel refused.
    fn files_judged(&self, epoch: Epoch) -> Result<FilesJudged, StoreError>;

    /// Says why files are judged in an epoch that is not in force yet.
    ///
    /// # Errors
    /// The kernel refused.
    fn set_files_judged(&mut self, judged: FilesJudged) -> Result<(), StoreError>;

    /// The capabilities that all contexts of an epoch may use.
    ///
    /// # Errors
    /// The kernel refused.
    fn common_capabilities(&self, epoch: Epoch) -> Result<CommonCapabilities, StoreError>;

    /// Says which capabilities all contexts of an epoch may use.
    ///
    /// # Errors
    /// The kernel refused.
    fn set_common_capabilities(&mut self, common: CommonCapabilities) -> Result<(), StoreError>;

    /// Gives the whole file system that a descriptor leads to the root of to a context, for as long as it is there.
    ///
    /// # Errors
    /// The kernel refused.
    fn set_filesystem_tag(&mut self, root: BorrowedFd<'_>, tag: Tag) -> Result<(), StoreError>;

    /// Who listens for connections in contexts with addresses, in no order.
    ///
    /// # Errors
    /// The kernel refused.
    fn listeners(&self) -> Result<Vec<ListenerKey>, StoreError>;
}
