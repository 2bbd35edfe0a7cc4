//! What the kernel shall hold under a policy: every context's row, sorted, printable, comparable.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use vs_common::capability::DEFAULT_SET;
use vs_common::hook::Hook;
use vs_common::id::{Generation, Xid};
use vs_common::limits::{MAX_ADDRESSES, MAX_CONTEXTS, MAX_PORTS};
use vs_common::policy_entry::{ContextRules, context_flag};

use super::claims::{AddressTaken, taken_addresses};
use super::context::{
    SPECTATOR_NAME, context_rules, flag_names, mode_name, name_of, proc_mode_name, spectator_rules,
};
use super::needs::needed_hooks;
use super::network::{Network, Networks};
use crate::policy::{Confine, Policy, capabilities_text};

/// The rows of one epoch.
pub type Rows = BTreeMap<Xid, ContextRules>;

/// All that one epoch holds of contexts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochRows<'r> {
    /// Every context's rules.
    pub rows: &'r Rows,
    /// The addresses of those that have some.
    pub networks: &'r Networks,
}

/// What is in force before a load.
#[derive(Clone, Copy, Debug)]
pub struct Known<'k> {
    /// The rows in force.
    pub rows: &'k Rows,
    /// The addresses in force.
    pub networks: &'k Networks,
    /// Above every generation ever given, also to contexts that are gone.
    pub next_generation: Generation,
}

impl Known<'_> {
    /// Nothing was ever loaded.
    pub const NOTHING: Known<'static> = {
        static NO_ROWS: Rows = Rows::new();
        static NO_NETWORKS: Networks = Networks::new();
        Known { rows: &NO_ROWS, networks: &NO_NETWORKS, next_generation: Generation(1) }
    };
}

/// Why a valid policy does not fit what is in force.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CompileError {
    /// Names of dynamic contexts, all that are taken.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    NamesTaken(Vec<NameTaken>),
    /// Addresses of dynamic contexts or of contexts that are kept, all that are taken.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    AddressesTaken(Vec<AddressTaken>),
    /// More addresses than the maps hold.
    #[error(
        "with the contexts in force that stay there would be {0} addresses, and there can be {MAX_ADDRESSES}; remove some, see `vs context list`"
    )]
    TooManyAddresses(usize),
    /// More rows of ports than the maps hold.
    #[error("the ports of all contexts come to {0} rows, and there can be {MAX_PORTS}; write fewer ranges")]
    TooManyPorts(usize),
    /// More rows than the maps hold.
    #[error(
        "with the dynamic contexts in force there would be {0} contexts, and there can be {MAX_CONTEXTS}; remove some, see `vs context list`"
    )]
    TooManyContexts(usize),
    /// Every generation has been given.
    #[error("no generation is left to give to a new context; unload and load again")]
    NoGeneration,
}

/// A policy gives a context the name that a dynamic context has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "context {name} (xid {xid}) would have the name of a dynamic context (xid {taken_by}); rename it, or remove that one with `vs context remove {name}`"
)]
pub struct NameTaken {
    /// The name.
    pub name: String,
    /// The number that the policy gives.
    pub xid: Xid,
    /// The dynamic context's number.
    pub taken_by: Xid,
}

/// The rows that a policy comes to.
///
/// Every row has a name of its own, no address is two contexts', and generations are never given twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MapEntries {
    pub(super) rows: Rows,
    networks: Networks,
    next_generation: Generation,
}

/// Flags that policy puts on every row.
const OF_ALL: u32 = context_flag::PROC_LOCK | context_flag::FILES_JUDGED | context_flag::BARRIERS;

/// Compiles a policy to the rows of the next epoch.
///
/// - A context that is in force with the same number and the same name keeps its generation: its processes go on. Every other one gets
///   a new generation, in the order of the numbers.
/// - Dynamic contexts are no policy's: their rows and addresses are carried over. The second lock on `/proc` is for all contexts, so for them too.
///
/// Whether processes that are alive allow it is another question: [`super::reload_conflicts`].
///
/// # Errors
/// What is in force does not allow for it.
pub fn compile(policy: &Policy, known: &Known<'_>) -> Result<MapEntries, CompileError> {
    let highest = known.rows.values().map(|rules| rules.generation).max().unwrap_or_default();
    let lock = if policy.proc_lock().value() { context_flag::PROC_LOCK } else { 0 };
    let lock = if policy.judges_files() { lock | context_flag::FILES_JUDGED } else { lock };
    let lock = if policy.barriers().next().is_some() { lock | context_flag::BARRIERS } else { lock };
    let mut generations = Generations { known: known.rows, next: known.next_generation.max(after(highest)?) };
    let mut rows: Rows = known
        .rows
        .iter()
        .filter(|(_, rules)| rules.flags & context_flag::DYNAMIC != 0)
        .map(|(xid, rules)| {
            let flags = rules.flags & !(context_flag::ORPHAN | OF_ALL) | lock;
            (*xid, ContextRules { flags, ..*rules })
        })
        .collect();
    let mut networks: Networks = known
        .networks
        .iter()
        .filter(|(xid, _)| rows.contains_key(xid))
        .map(|(xid, network)| (*xid, network.clone()))
        .collect();
    let taken = taken_names(policy, &rows);
    if !taken.is_empty() {
        return Err(CompileError::NamesTaken(taken));
    }
    if let Some(spectator) = policy.spectator() {
        let generation = generations.of(Xid::SPECTATOR, SPECTATOR_NAME)?;
        rows.insert(Xid::SPECTATOR, spectator_rules(spectator, generation, lock));
    }
    for context in policy.contexts() {
        let xid = context.xid().value();
        let generation = generations.of(xid, context.name().as_str())?;
        let mut flags = lock;
        if context.confine().value() == Confine::Network {
            flags |= context_flag::NETWORK_ONLY;
        }
        if let Some(network) = context.network() {
            let network = Network::of(network, generation);
            flags |= network.context_flags();
            networks.insert(xid, network);
        }
        if context.files().is_some_and(|files| !files.shared_write().value()) {
            flags |= context_flag::FILES;
        }
        if context.files().is_some_and(|files| files.root().is_some()) {
            flags |= context_flag::ROOT;
        }
        if context.capabilities().set_utsname().value() {
            flags |= context_flag::SET_UTSNAME;
        }
        rows.insert(xid, context_rules(context, generation, flags));
    }
    if let Some(host) = policy.host_network() {
        networks.insert(Xid::HOST, Network::of_host(host));
    }
    MapEntries { rows, networks, next_generation: generations.next }.checked()
}

/// The names that both policy and a dynamic context have.
fn taken_names(policy: &Policy, dynamic: &Rows) -> Vec<NameTaken> {
    let names: BTreeMap<_, _> = dynamic.iter().map(|(xid, rules)| (name_of(rules), *xid)).collect();
    let taken = policy.contexts().filter_map(|context| {
        let name = context.name().as_str();
        let taken_by = *names.get(name)?;
        Some(NameTaken { name: name.to_owned(), xid: context.xid().value(), taken_by })
    });
    taken.collect()
}

/// The generation after this one.
fn after(generation: Generation) -> Result<Generation, CompileError> {
    generation.0.checked_add(1).map(Generation).ok_or(CompileError::NoGeneration)
}

/// Gives each context its generation.
struct Generations<'k> {
    known: &'k Rows,
    next: Generation,
}

impl Generations<'_> {
    fn of(&mut self, xid: Xid, name: &str) -> Result<Generation, CompileError> {
        match self.known.get(&xid) {
            Some(rules) if name_of(rules) == name => Ok(rules.generation),
            _ => {
                let generation = self.next;
                self.next = after(generation)?;
                Ok(generation)
            }
        }
    }
}

impl MapEntries {
    /// The rows, by number.
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The addresses of those contexts that have some, by number.
    pub const fn networks(&self) -> &Networks {
        &self.networks
    }

    /// Both.
    pub const fn epoch_rows(&self) -> EpochRows<'_> {
        EpochRows { rows: &self.rows, networks: &self.networks }
    }

    /// Above every generation given, these rows' included: what the next load starts from.
    pub const fn next_generation(&self) -> Generation {
        self.next_generation
    }

    /// The hooks that must be attached for these rows, in the order of their numbers.
    pub fn needed_hooks(&self) -> Vec<Hook> {
        needed_hooks(&self.rows)
    }

    /// The same with other rows.
    pub(super) const fn with_rows(&self, rows: Rows, networks: Networks) -> Self {
        Self { rows, networks, next_generation: self.next_generation }
    }

    /// Itself, if the maps can hold it.
    pub(super) fn checked(self) -> Result<Self, CompileError> {
        let names: BTreeSet<_> = self.rows.values().map(name_of).collect();
        debug_assert_eq!(names.len(), self.rows.len(), "every row has a name of its own");
        if self.rows.len() > MAX_CONTEXTS as usize {
            return Err(CompileError::TooManyContexts(self.rows.len()));
        }
        let addresses = self.networks.values().map(|network| network.addresses.len()).sum();
        if addresses > MAX_ADDRESSES as usize {
            return Err(CompileError::TooManyAddresses(addresses));
        }
        let ports = self.networks.values().map(|network| network.port_rows().len()).sum();
        if ports > MAX_PORTS as usize {
            return Err(CompileError::TooManyPorts(ports));
        }
        let taken = taken_addresses(self.epoch_rows());
        if !taken.is_empty() {
            return Err(CompileError::AddressesTaken(taken));
        }
        Ok(self)
    }
}

impl fmt::Display for MapEntries {
    /// One row a line, by number, every field with its name; beneath it its addresses, if it has some.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(network) = self.networks.get(&Xid::HOST) {
            writeln!(f, "host {network}")?;
        }
        for (xid, rules) in &self.rows {
            let flags = flag_names(rules.flags).join("+");
            write!(
                f,
                "xid {xid} generation {} name {} mode {} proc {} flags {} records_per_second {} record_burst {}",
                rules.generation.0,
                name_of(rules).escape_debug(),
                mode_name(rules.mode),
                proc_mode_name(rules.proc_mode),
                if flags.is_empty() { "-" } else { &flags },
                rules.records_per_second,
                rules.record_burst,
            )?;
            for (key, set) in
                [("capabilities", rules.capabilities), ("capabilities_max", rules.capabilities_max)]
            {
                if set != DEFAULT_SET {
                    write!(f, " {key} {}", capabilities_text(set))?;
                }
            }
            writeln!(f)?;
            if let Some(network) = self.networks.get(xid) {
                writeln!(f, "  generation {}; {network}", network.rules.generation.0)?;
            }
        }
        Ok(())
    }
}
