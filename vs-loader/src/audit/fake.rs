//! The kernel's maps in memory, as far as the audit reads them.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;

use vs_common::capability::CommonCapabilities;
use vs_common::capability::DEFAULT_SET;
use vs_common::context::Tag;
use vs_common::filesystem::{FileFilter, FileKey, FileRow, FilesJudged};
use vs_common::hook::Hook;
use vs_common::id::{Epoch, Generation, Xid};
use vs_common::network::{Address, AddressKey, ListenerKey, NetworkRules};
use vs_common::policy_entry::{ContextKey, ContextRules, ContextState, EpochInfo, HookCounters};
use vs_common::violation::{Aggregate, AggregateKey};

use crate::compile::port::PortPrefix;
use crate::maps::store::{Store, StoreError};

use super::enrich::tests::padded;

#[derive(Default)]
pub(crate) struct FakeMaps {
    pub(crate) rules: HashMap<ContextKey, ContextRules>,
    pub(crate) states: HashMap<Xid, ContextState>,
    pub(crate) aggregates: HashMap<AggregateKey, Aggregate>,
    pub(crate) lost_at: HashMap<Hook, u64>,
    pub(crate) is_broken: bool,
}

impl FakeMaps {
    /// Epoch 3 with the context web, xid 100, generation 7.
    pub(crate) fn with_web() -> Self {
        let mut maps = Self::default();
        maps.name(3, 100, 7, "web");
        maps.states.insert(Xid(100), ContextState { generation: Generation(7), ..ContextState::default() });
        maps
    }

    pub(crate) fn name(&mut self, epoch: u32, xid: u32, generation: u64, name: &str) {
        let rules = ContextRules {
            generation: Generation(generation),
            mode: 0,
            proc_mode: 0,
            flags: 0,
            records_per_second: 100,
            record_burst: 400,
            reserved: 0,
            capabilities: DEFAULT_SET,
            capabilities_max: DEFAULT_SET,
            name: padded(name),
        };
        self.rules.insert(ContextKey { epoch: Epoch(epoch), xid: Xid(xid) }, rules);
    }

    fn ask<T>(&self, answer: T) -> Result<T, StoreError> {
        if self.is_broken {
            let cause = io::Error::from_raw_os_error(libc::EIO);
            return Err(StoreError { map: "CONTEXTS", operation: "read", cause });
        }
        Ok(answer)
    }
}

impl Store for FakeMaps {
    fn epoch(&self) -> Result<Epoch, StoreError> {
        self.ask(Epoch(3))
    }
    fn context_rows(&self) -> Result<Vec<(ContextKey, ContextRules)>, StoreError> {
        self.ask(self.rules.iter().map(|(key, rules)| (*key, *rules)).collect())
    }
    fn context_rules(&self, key: ContextKey) -> Result<Option<ContextRules>, StoreError> {
        self.ask(self.rules.get(&key).copied())
    }
    fn context_states(&self) -> Result<Vec<(Xid, ContextState)>, StoreError> {
        self.ask(self.states.iter().map(|(xid, state)| (*xid, *state)).collect())
    }
    fn context_state(&self, xid: Xid) -> Result<Option<ContextState>, StoreError> {
        self.ask(self.states.get(&xid).copied())
    }
    fn hook_counters(&self, hook: Hook) -> Result<HookCounters, StoreError> {
        let lost = self.lost_at.get(&hook).copied().unwrap_or_default();
        self.ask(HookCounters { lost, ..HookCounters::default() })
    }
    fn aggregates(&self) -> Result<Vec<(AggregateKey, Aggregate)>, StoreError> {
        self.ask(self.aggregates.iter().map(|(key, aggregate)| (*key, *aggregate)).collect())
    }
    fn take_aggregate(&mut self, key: AggregateKey) -> Result<Option<Aggregate>, StoreError> {
        let taken = self.aggregates.remove(&key);
        self.ask(taken)
    }

    // The audit writes no map and asks no process.
    fn set_epoch(&mut self, _: Epoch) -> Result<(), StoreError> {
        unreachable!()
    }
    fn put_context_rules(&mut self, _: ContextKey, _: &ContextRules) -> Result<(), StoreError> {
        unreachable!()
    }
    fn remove_context_rules(&mut self, _: ContextKey) -> Result<(), StoreError> {
        unreachable!()
    }
    fn put_context_state(&mut self, _: Xid, _: &ContextState) -> Result<(), StoreError> {
        unreachable!()
    }
    fn remove_context_state(&mut self, _: Xid) -> Result<(), StoreError> {
        unreachable!()
    }
    fn epoch_infos(&self) -> Result<Vec<(Epoch, EpochInfo)>, StoreError> {
        unreachable!()
    }
    fn epoch_info(&self, _: Epoch) -> Result<Option<EpochInfo>, StoreError> {
        unreachable!()
    }
    fn put_epoch_info(&mut self, _: Epoch, _: &EpochInfo) -> Result<(), StoreError> {
        unreachable!()
    }
    fn remove_epoch_info(&mut self, _: Epoch) -> Result<(), StoreError> {
        unreachable!()
    }
    fn task_tag(&self, _: BorrowedFd<'_>) -> Result<Option<Tag>, StoreError> {
        unreachable!()
    }
    fn set_task_tag(&mut self, _: BorrowedFd<'_>, _: Tag) -> Result<(), StoreError> {
        unreachable!()
    }
    fn network_rows(&self) -> Result<Vec<(ContextKey, NetworkRules)>, StoreError> {
        unreachable!()
    }
    fn put_network_rules(&mut self, _: ContextKey, _: &NetworkRules) -> Result<(), StoreError> {
        unreachable!()
    }
    fn remove_network_rules(&mut self, _: ContextKey) -> Result<(), StoreError> {
        unreachable!()
    }
    fn address_rows(&self) -> Result<Vec<(AddressKey, u8, Xid)>, StoreError> {
        unreachable!()
    }
    fn put_address(&mut self, _: AddressKey, _: u8, _: Xid) -> Result<(), StoreError> {
        unreachable!()
    }
    fn remove_address(&mut self, _: AddressKey, _: u8) -> Result<(), StoreError> {
        unreachable!()
    }
    fn is_host_confined(&self, _: Epoch) -> Result<bool, StoreError> {
        unreachable!()
    }
    fn set_host_confined(&mut self, _: Epoch, _: bool) -> Result<(), StoreError> {
        unreachable!()
    }
    fn file_rows(&self) -> Result<Vec<(FileKey, FileRow)>, StoreError> {
        unreachable!()
    }
    fn put_file(&mut self, _: FileKey, _: &FileRow) -> Result<(), StoreError> {
        unreachable!()
    }
    fn remove_file(&mut self, _: FileKey) -> Result<(), StoreError> {
        unreachable!()
    }
    fn file_filter(&self, _: Epoch) -> Result<FileFilter, StoreError> {
        unreachable!()
    }
    fn set_file_filter(&mut self, _: Epoch, _: &FileFilter) -> Result<(), StoreError> {
        unreachable!()
    }
    fn common_capabilities(&self, _: Epoch) -> Result<CommonCapabilities, StoreError> {
        unreachable!()
    }
    fn set_common_capabilities(&mut self, _: CommonCapabilities) -> Result<(), StoreError> {
        unreachable!()
    }
    fn files_judged(&self, _: Epoch) -> Result<FilesJudged, StoreError> {
        unreachable!()
    }
    fn set_files_judged(&mut self, _: FilesJudged) -> Result<(), StoreError> {
        unreachable!()
    }
    fn set_filesystem_tag(&mut self, _: BorrowedFd<'_>, _: Tag) -> Result<(), StoreError> {
        unreachable!()
    }
    fn port_rows(&self) -> Result<Vec<(ContextKey, PortPrefix)>, StoreError> {
        unreachable!()
    }
    fn put_ports(&mut self, _: ContextKey, _: PortPrefix) -> Result<(), StoreError> {
        unreachable!()
    }
    fn remove_ports(&mut self, _: ContextKey, _: PortPrefix) -> Result<(), StoreError> {
        unreachable!()
    }
    fn source_rows(&self) -> Result<Vec<(AddressKey, u8, Address)>, StoreError> {
        unreachable!()
    }
    fn put_source(&mut self, _: AddressKey, _: u8, _: Address) -> Result<(), StoreError> {
        unreachable!()
    }
    fn remove_source(&mut self, _: AddressKey, _: u8) -> Result<(), StoreError> {
        unreachable!()
    }
    fn listeners(&self) -> Result<Vec<ListenerKey>, StoreError> {
        unreachable!()
    }
}
