//! [`Store`] and [`Programs`] in memory: they fail, or die, at the operation that a test names.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;

use vs_common::capability::CommonCapabilities;
use vs_common::context::Tag;
use vs_common::filesystem::{FILTER_WORDS, FileFilter, FileKey, FileRow, FilesJudged};
use vs_common::hook::Hook;
use vs_common::id::{Epoch, Xid};
use vs_common::limits::MAX_CONTEXT_ROWS;
use vs_common::map_name;
use vs_common::network::{Address, AddressKey, ListenerKey, NetworkRules};
use vs_common::policy_entry::{ContextKey, ContextRules, ContextState, EpochInfo, HookCounters};
use vs_common::violation::{Aggregate, AggregateKey};

use super::apply::Programs;
use super::store::{Store, StoreError};
use crate::compile::port::PortPrefix;

/// Where things go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Plan {
    /// Nowhere.
    Sound,
    /// At the operation with this number, counted from 0; those after it work.
    FailAt(usize),
    /// At the operation with this number and at all after it: the loader was killed there.
    KillAt(usize),
    /// At every operation of this kind on this map.
    FailEvery(&'static str, &'static str),
}

/// The plan, and how many operations there were: shared by the store and the programs, whose operations count together.
#[derive(Clone)]
pub(crate) struct Faults(Rc<(Cell<Plan>, Cell<usize>)>);

impl Faults {
    pub(crate) fn set(&self, plan: Plan) {
        self.0.0.set(plan);
        self.0.1.set(0);
    }

    /// Operations since the plan was set.
    pub(crate) fn operations(&self) -> usize {
        self.0.1.get()
    }

    fn step(&self, map: &'static str, operation: &'static str) -> Result<(), StoreError> {
        let number = self.0.1.replace(self.0.1.get() + 1);
        let is_failing = match self.0.0.get() {
            Plan::Sound => false,
            Plan::FailAt(at) => number == at,
            Plan::KillAt(at) => number >= at,
            Plan::FailEvery(on, what) => (on, what) == (map, operation),
        };
        if is_failing {
            return Err(StoreError { map, operation, cause: io::Error::other("told to fail") });
        }
        Ok(())
    }
}

/// The kernel's maps in memory.
#[derive(Clone)]
pub(crate) struct FakeStore {
    pub(crate) faults: Faults,
    pub(crate) epoch: Epoch,
    pub(crate) rows: BTreeMap<ContextKey, ContextRules>,
    pub(crate) states: BTreeMap<Xid, ContextState>,
    pub(crate) infos: BTreeMap<Epoch, EpochInfo>,
    /// By process id.
    pub(crate) tags: BTreeMap<i32, Tag>,
    pub(crate) counters: BTreeMap<Hook, HookCounters>,
    pub(crate) aggregates: BTreeMap<AggregateKey, Aggregate>,
    pub(crate) networks: BTreeMap<ContextKey, NetworkRules>,
    pub(crate) addresses: BTreeMap<(AddressKey, u8), Xid>,
    pub(crate) listeners: Vec<ListenerKey>,
    pub(crate) confined: [u32; 2],
    pub(crate) files: BTreeMap<FileKey, FileRow>,
    pub(crate) judged: [FilesJudged; 2],
    pub(crate) common: [CommonCapabilities; 2],
    pub(crate) filters: [FileFilter; 2],
    pub(crate) ports: BTreeSet<(ContextKey, PortPrefix)>,
    pub(crate) sources: BTreeMap<(AddressKey, u8), Address>,
    /// Whether writes to rows are forgotten: a map that does not hold what it was given.
    pub(crate) is_forgetful: bool,
}

impl FakeStore {
    pub(crate) fn new() -> Self {
        Self {
            faults: Faults(Rc::new((Cell::new(Plan::Sound), Cell::new(0)))),
            epoch: Epoch(0),
            rows: BTreeMap::new(),
            states: BTreeMap::new(),
            infos: BTreeMap::new(),
            tags: BTreeMap::new(),
            counters: BTreeMap::new(),
            aggregates: BTreeMap::new(),
            networks: BTreeMap::new(),
            addresses: BTreeMap::new(),
            listeners: Vec::new(),
            confined: [0; 2],
            files: BTreeMap::new(),
            judged: [FilesJudged::default(); 2],
            common: [CommonCapabilities::default(); 2],
            filters: [[0; FILTER_WORDS]; 2],
            ports: BTreeSet::new(),
            sources: BTreeMap::new(),
            is_forgetful: false,
        }
    }
}

/// The process behind a pidfd; a gone one has the number -1 (`fs/proc/fd.c`, `pidfd_show_fdinfo`).
fn process(map: &'static str, operation: &'static str, pidfd: BorrowedFd<'_>) -> Result<i32, StoreError> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(path).map_err(|cause| StoreError { map, operation, cause })?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    let gone = StoreError { map, operation, cause: io::Error::from_raw_os_error(libc::ESRCH) };
    number.filter(|number| *number > 0).ok_or(gone)
}

impl Store for FakeStore {
    fn epoch(&self) -> Result<Epoch, StoreError> {
        self.faults.step(map_name::EPOCH, "read")?;
        Ok(self.epoch)
    }

    fn set_epoch(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.faults.step(map_name::EPOCH, "write")?;
        self.epoch = epoch;
        Ok(())
    }

    fn context_rows(&self) -> Result<Vec<(ContextKey, ContextRules)>, StoreError> {
        self.faults.step(map_name::CONTEXTS, "list")?;
        Ok(self.rows.iter().map(|(key, rules)| (*key, *rules)).collect())
    }

    fn context_rules(&self, key: ContextKey) -> Result<Option<ContextRules>, StoreError> {
        self.faults.step(map_name::CONTEXTS, "read")?;
        Ok(self.rows.get(&key).copied())
    }

    fn put_context_rules(&mut self, key: ContextKey, rules: &ContextRules) -> Result<(), StoreError> {
        self.faults.step(map_name::CONTEXTS, "write")?;
        if self.rows.len() >= MAX_CONTEXT_ROWS as usize {
            let cause = io::Error::from_raw_os_error(libc::E2BIG);
            return Err(StoreError { map: map_name::CONTEXTS, operation: "write", cause });
        }
        if !self.is_forgetful {
            self.rows.insert(key, *rules);
        }
        Ok(())
    }

    fn remove_context_rules(&mut self, key: ContextKey) -> Result<(), StoreError> {
        self.faults.step(map_name::CONTEXTS, "remove from")?;
        self.rows.remove(&key);
        Ok(())
    }

    fn context_states(&self) -> Result<Vec<(Xid, ContextState)>, StoreError> {
        self.faults.step(map_name::CONTEXT_STATES, "list")?;
        Ok(self.states.iter().map(|(xid, state)| (*xid, *state)).collect())
    }

    fn context_state(&self, xid: Xid) -> Result<Option<ContextState>, StoreError> {
        self.faults.step(map_name::CONTEXT_STATES, "read")?;
        Ok(self.states.get(&xid).copied())
    }

    fn put_context_state(&mut self, xid: Xid, state: &ContextState) -> Result<(), StoreError> {
        self.faults.step(map_name::CONTEXT_STATES, "write")?;
        self.states.insert(xid, *state);
        Ok(())
    }

    fn remove_context_state(&mut self, xid: Xid) -> Result<(), StoreError> {
        self.faults.step(map_name::CONTEXT_STATES, "remove from")?;
        self.states.remove(&xid);
        Ok(())
    }

    fn epoch_info(&self, epoch: Epoch) -> Result<Option<EpochInfo>, StoreError> {
        self.faults.step(map_name::EPOCHS, "read")?;
        Ok(self.infos.get(&epoch).copied())
    }

    fn epoch_infos(&self) -> Result<Vec<(Epoch, EpochInfo)>, StoreError> {
        self.faults.step(map_name::EPOCHS, "list")?;
        Ok(self.infos.iter().map(|(epoch, info)| (*epoch, *info)).collect())
    }

    fn put_epoch_info(&mut self, epoch: Epoch, info: &EpochInfo) -> Result<(), StoreError> {
        self.faults.step(map_name::EPOCHS, "write")?;
        self.infos.insert(epoch, *info);
        Ok(())
    }

    fn remove_epoch_info(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.faults.step(map_name::EPOCHS, "remove from")?;
        self.infos.remove(&epoch);
        Ok(())
    }

    fn task_tag(&self, pidfd: BorrowedFd<'_>) -> Result<Option<Tag>, StoreError> {
        self.faults.step(map_name::TASKS, "read")?;
        Ok(self.tags.get(&process(map_name::TASKS, "read", pidfd)?).copied())
    }

    fn set_task_tag(&mut self, pidfd: BorrowedFd<'_>, tag: Tag) -> Result<(), StoreError> {
        self.faults.step(map_name::TASKS, "write")?;
        let process = process(map_name::TASKS, "write", pidfd)?;
        if self.tags.contains_key(&process) {
            let cause = io::Error::from_raw_os_error(libc::EEXIST);
            return Err(StoreError { map: map_name::TASKS, operation: "write", cause });
        }
        self.tags.insert(process, tag);
        Ok(())
    }

    fn hook_counters(&self, hook: Hook) -> Result<HookCounters, StoreError> {
        self.faults.step(map_name::HOOK_COUNTERS, "read")?;
        Ok(self.counters.get(&hook).copied().unwrap_or_default())
    }

    fn aggregates(&self) -> Result<Vec<(AggregateKey, Aggregate)>, StoreError> {
        self.faults.step(map_name::AGGREGATES, "list")?;
        Ok(self.aggregates.iter().map(|(key, run)| (*key, *run)).collect())
    }

    fn take_aggregate(&mut self, key: AggregateKey) -> Result<Option<Aggregate>, StoreError> {
        self.faults.step(map_name::AGGREGATES, "remove from")?;
        Ok(self.aggregates.remove(&key))
    }

    fn network_rows(&self) -> Result<Vec<(ContextKey, NetworkRules)>, StoreError> {
        self.faults.step(map_name::NETWORKS, "list")?;
        Ok(self.networks.iter().map(|(key, rules)| (*key, *rules)).collect())
    }

    fn put_network_rules(&mut self, key: ContextKey, rules: &NetworkRules) -> Result<(), StoreError> {
        self.faults.step(map_name::NETWORKS, "write")?;
        self.networks.insert(key, *rules);
        Ok(())
    }

    fn remove_network_rules(&mut self, key: ContextKey) -> Result<(), StoreError> {
        self.faults.step(map_name::NETWORKS, "remove from")?;
        self.networks.remove(&key);
        Ok(())
    }

    fn address_rows(&self) -> Result<Vec<(AddressKey, u8, Xid)>, StoreError> {
        self.faults.step(map_name::ADDRESSES, "list")?;
        Ok(self.addresses.iter().map(|((key, length), xid)| (*key, *length, *xid)).collect())
    }

    fn put_address(&mut self, key: AddressKey, length: u8, owner: Xid) -> Result<(), StoreError> {
        self.faults.step(map_name::ADDRESSES, "write")?;
        self.addresses.insert((key, length), owner);
        Ok(())
    }

    fn remove_address(&mut self, key: AddressKey, length: u8) -> Result<(), StoreError> {
        self.faults.step(map_name::ADDRESSES, "remove from")?;
        self.addresses.remove(&(key, length));
        Ok(())
    }

    fn is_host_confined(&self, epoch: Epoch) -> Result<bool, StoreError> {
        self.faults.step(map_name::HOST_EPOCHS, "read")?;
        Ok(self.confined[epoch.0 as usize & 1] == epoch.0)
    }

    fn set_host_confined(&mut self, epoch: Epoch, is_confined: bool) -> Result<(), StoreError> {
        self.faults.step(map_name::HOST_EPOCHS, "write")?;
        self.confined[epoch.0 as usize & 1] = if is_confined { epoch.0 } else { 0 };
        Ok(())
    }

    fn file_rows(&self) -> Result<Vec<(FileKey, FileRow)>, StoreError> {
        self.faults.step(map_name::FILES, "list")?;
        Ok(self.files.iter().map(|(key, row)| (*key, *row)).collect())
    }

    fn put_file(&mut self, key: FileKey, row: &FileRow) -> Result<(), StoreError> {
        self.faults.step(map_name::FILES, "write")?;
        self.files.insert(key, *row);
        Ok(())
    }

    fn remove_file(&mut self, key: FileKey) -> Result<(), StoreError> {
        self.faults.step(map_name::FILES, "remove from")?;
        self.files.remove(&key);
        Ok(())
    }

    fn file_filter(&self, epoch: Epoch) -> Result<FileFilter, StoreError> {
        self.faults.step(map_name::FILE_FILTERS, "read")?;
        Ok(self.filters[epoch.0 as usize & 1])
    }

    fn set_file_filter(&mut self, epoch: Epoch, filter: &FileFilter) -> Result<(), StoreError> {
        self.faults.step(map_name::FILE_FILTERS, "write")?;
        self.filters[epoch.0 as usize & 1] = *filter;
        Ok(())
    }

    fn files_judged(&self, epoch: Epoch) -> Result<FilesJudged, StoreError> {
        self.faults.step(map_name::FILE_EPOCHS, "read")?;
        Ok(self.judged[epoch.0 as usize & 1])
    }

    fn set_files_judged(&mut self, judged: FilesJudged) -> Result<(), StoreError> {
        self.faults.step(map_name::FILE_EPOCHS, "write")?;
        self.judged[judged.epoch.0 as usize & 1] = judged;
        Ok(())
    }

    fn common_capabilities(&self, epoch: Epoch) -> Result<CommonCapabilities, StoreError> {
        self.faults.step(map_name::CAPABILITIES, "read")?;
        Ok(self.common[epoch.0 as usize & 1])
    }

    fn set_common_capabilities(&mut self, common: CommonCapabilities) -> Result<(), StoreError> {
        self.faults.step(map_name::CAPABILITIES, "write")?;
        self.common[common.epoch as usize & 1] = common;
        Ok(())
    }

    fn set_filesystem_tag(&mut self, _: BorrowedFd<'_>, _: Tag) -> Result<(), StoreError> {
        self.faults.step(map_name::INODES, "write")
    }

    fn port_rows(&self) -> Result<Vec<(ContextKey, PortPrefix)>, StoreError> {
        self.faults.step(map_name::PORTS, "list")?;
        Ok(self.ports.iter().copied().collect())
    }

    fn put_ports(&mut self, key: ContextKey, ports: PortPrefix) -> Result<(), StoreError> {
        self.faults.step(map_name::PORTS, "write")?;
        self.ports.insert((key, ports));
        Ok(())
    }

    fn remove_ports(&mut self, key: ContextKey, ports: PortPrefix) -> Result<(), StoreError> {
        self.faults.step(map_name::PORTS, "remove from")?;
        self.ports.remove(&(key, ports));
        Ok(())
    }

    fn source_rows(&self) -> Result<Vec<(AddressKey, u8, Address)>, StoreError> {
        self.faults.step(map_name::SOURCES, "list")?;
        Ok(self.sources.iter().map(|((key, length), source)| (*key, *length, *source)).collect())
    }

    fn put_source(&mut self, key: AddressKey, length: u8, source: Address) -> Result<(), StoreError> {
        self.faults.step(map_name::SOURCES, "write")?;
        self.sources.insert((key, length), source);
        Ok(())
    }

    fn remove_source(&mut self, key: AddressKey, length: u8) -> Result<(), StoreError> {
        self.faults.step(map_name::SOURCES, "remove from")?;
        self.sources.remove(&(key, length));
        Ok(())
    }

    fn listeners(&self) -> Result<Vec<ListenerKey>, StoreError> {
        self.faults.step(map_name::LISTENERS, "list")?;
        Ok(self.listeners.clone())
    }
}

/// What the kernel's programs can do wrong, told as the store tells it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FakeProgramsError {
    #[error(transparent)]
    Step(#[from] StoreError),
    #[error("not denied")]
    NotDenied,
}

/// Links in memory. Every link that comes or goes is an operation of its own.
#[derive(Clone)]
pub(crate) struct FakePrograms {
    faults: Faults,
    pub(crate) links: RefCell<BTreeMap<Epoch, BTreeSet<Hook>>>,
    pub(crate) is_denying: bool,
}

impl FakePrograms {
    /// Programs that fail together with a store.
    pub(crate) fn beside(store: &FakeStore) -> Self {
        Self { faults: store.faults.clone(), links: RefCell::default(), is_denying: true }
    }
}

impl Programs for FakePrograms {
    type Error = FakeProgramsError;

    fn epochs(&self) -> Result<Vec<Epoch>, FakeProgramsError> {
        self.faults.step("links", "list")?;
        Ok(self.links.borrow().keys().copied().collect())
    }

    fn attach(&mut self, epoch: Epoch, hooks: &[Hook], _: Option<Epoch>) -> Result<(), FakeProgramsError> {
        self.faults.step("links", "create")?;
        self.links.get_mut().insert(epoch, BTreeSet::new());
        for hook in hooks {
            self.faults.step("links", "attach")?;
            self.links.get_mut().entry(epoch).or_default().insert(*hook);
        }
        Ok(())
    }

    fn prove(&mut self, _: &mut dyn Store) -> Result<(), FakeProgramsError> {
        self.faults.step("links", "prove")?;
        if self.is_denying { Ok(()) } else { Err(FakeProgramsError::NotDenied) }
    }

    fn detach(&mut self, epoch: Epoch) -> Result<(), FakeProgramsError> {
        while let Some(hook) = self.links.get_mut().get(&epoch).and_then(|links| links.last().copied()) {
            self.faults.step("links", "detach")?;
            self.links.get_mut().entry(epoch).or_default().remove(&hook);
        }
        self.faults.step("links", "remove")?;
        self.links.get_mut().remove(&epoch);
        Ok(())
    }
}
