//! A store in memory for this module's tests: rows and states as they were put, and tags by process number.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use vs_common::context::Tag;
use vs_common::hook::Hook;
use vs_common::id::{Epoch, Xid};
use vs_common::policy_entry::{ContextKey, ContextRules, ContextState, EpochInfo, HookCounters};
use vs_common::violation::{Aggregate, AggregateKey};

use crate::maps::store::{Store, StoreError};

/// The store.
#[derive(Debug, Default)]
pub(super) struct MemoryStore {
    epoch: Epoch,
    rows: BTreeMap<ContextKey, ContextRules>,
    states: BTreeMap<Xid, ContextState>,
    /// Tags by the host's process number.
    pub(super) tags: BTreeMap<u32, Tag>,
}

fn process_of(pidfd: BorrowedFd<'_>) -> Result<u32, StoreError> {
    let failed = |cause| StoreError { map: "TASKS", operation: "read", cause };
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).map_err(failed)?;
    text.lines()
        .find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
        .ok_or_else(|| failed(io::Error::from_raw_os_error(libc::ESRCH)))
}

impl Store for MemoryStore {
    fn epoch(&self) -> Result<Epoch, StoreError> {
        Ok(self.epoch)
    }

    fn set_epoch(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.epoch = epoch;
        Ok(())
    }

    fn context_rows(&self) -> Result<Vec<(ContextKey, ContextRules)>, StoreError> {
        Ok(self.rows.iter().map(|(key, rules)| (*key, *rules)).collect())
    }

    fn context_rules(&self, key: ContextKey) -> Result<Option<ContextRules>, StoreError> {
        Ok(self.rows.get(&key).copied())
    }

    fn put_context_rules(&mut self, key: ContextKey, rules: &ContextRules) -> Result<(), StoreError> {
        self.rows.insert(key, *rules);
        Ok(())
    }

    fn remove_context_rules(&mut self, key: ContextKey) -> Result<(), StoreError> {
        self.rows.remove(&key);
        Ok(())
    }

    fn context_states(&self) -> Result<Vec<(Xid, ContextState)>, StoreError> {
        Ok(self.states.iter().map(|(xid, state)| (*xid, *state)).collect())
    }

    fn context_state(&self, xid: Xid) -> Result<Option<ContextState>, StoreError> {
        Ok(self.states.get(&xid).copied())
    }

    fn put_context_state(&mut self, xid: Xid, state: &ContextState) -> Result<(), StoreError> {
        self.states.insert(xid, *state);
        Ok(())
    }

    fn remove_context_state(&mut self, xid: Xid) -> Result<(), StoreError> {
        self.states.remove(&xid);
        Ok(())
    }

    fn epoch_info(&self, _: Epoch) -> Result<Option<EpochInfo>, StoreError> {
        Ok(None)
    }

    fn put_epoch_info(&mut self, _: Epoch, _: &EpochInfo) -> Result<(), StoreError> {
        Ok(())
    }

    fn remove_epoch_info(&mut self, _: Epoch) -> Result<(), StoreError> {
        Ok(())
    }

    fn task_tag(&self, pidfd: BorrowedFd<'_>) -> Result<Option<Tag>, StoreError> {
        Ok(self.tags.get(&process_of(pidfd)?).copied())
    }

    fn set_task_tag(&mut self, pidfd: BorrowedFd<'_>, tag: Tag) -> Result<(), StoreError> {
        self.tags.insert(process_of(pidfd)?, tag);
        Ok(())
    }

    fn hook_counters(&self, _: Hook) -> Result<HookCounters, StoreError> {
        Ok(HookCounters::default())
    }

    fn aggregates(&self) -> Result<Vec<(AggregateKey, Aggregate)>, StoreError> {
        Ok(Vec::new())
    }

    fn take_aggregate(&mut self, _: AggregateKey) -> Result<Option<Aggregate>, StoreError> {
        Ok(None)
    }
}
