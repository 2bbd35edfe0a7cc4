//! Which contexts there are: the rows of the epoch in force, with their names.

use std::os::fd::BorrowedFd;

use vs_common::capability::{CapabilitySet, SYS_ADMIN};
use vs_common::context::{Tag, lifecycle};
use vs_common::id::{Epoch, Generation, Xid};
use vs_common::policy_entry::{ContextKey, ContextRules, Mode, ProcMode, context_flag};

use crate::maps::store::{Store, StoreError};

/// Why a context cannot be named or entered.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Nothing was loaded.
    #[error("no policy is loaded; load one with `vs load POLICY`")]
    NotLoaded,
    /// No such context.
    #[error("there is no context {wanted}; {known}")]
    NoSuchContext {
        /// As it was asked for.
        wanted: String,
        /// What there is instead.
        known: String,
    },
    /// The policy does not mention the spectator.
    #[error(
        "the loaded policy has no [spectator] table, so nobody may enter xid 1; add it and load the policy again"
    )]
    NoSpectator,
    /// A row that this version does not understand.
    #[error(
        "the row of xid {0} in the map CONTEXTS is not of a form that this vs knows; load the policy again with this vs"
    )]
    BadRow(Xid),
    /// It is being stopped.
    #[error("the context {0} is being stopped; wait until `vs context list` shows it as stopped")]
    Dying(String),
    /// What was loaded changed while the process was entering.
    #[error("the policy that is loaded changed while the process was entering {0}; run the command again")]
    Changed(String),
    /// The kernel does not say of a process what was written.
    #[error("a process that was to enter {context} does not have its tag ({found}); nothing was executed")]
    NotTagged {
        /// The context.
        context: String,
        /// What it has instead.
        found: String,
    },
    /// The maps could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One context of the epoch in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Context {
    /// Its number.
    pub xid: Xid,
    /// Which use of the number.
    pub generation: Generation,
    /// Its name.
    pub name: String,
    /// What becomes of denials.
    pub mode: Mode,
    /// How it sees processes.
    pub proc_mode: ProcMode,
    /// It was made by `vs context create`, not by a policy file.
    pub is_dynamic: bool,
    /// The policy last loaded does not have it, and it has processes left.
    pub is_orphan: bool,
    /// It confines addresses and nothing else.
    pub is_network_only: bool,
    /// The capabilities that its processes may use now.
    pub capabilities: CapabilitySet,
    /// What they may ever use.
    pub capabilities_max: CapabilitySet,
    /// What is left of the capabilities to who enters.
    pub entry_capabilities: CapabilitySet,
    /// The bits of a member's lifecycle that say where it lives ([`ContextRules::residence`]).
    pub residence: u32,
}

impl Context {
    /// The name of the spectator's row.
    pub const SPECTATOR_NAME: &'static str = "spectator";

    /// Reads a row.
    ///
    /// # Errors
    /// The row is of a form that this version does not know.
    pub fn from_row(key: ContextKey, rules: &ContextRules) -> Result<Self, RegistryError> {
        let bad = || RegistryError::BadRow(key.xid);
        let name = context_name(&rules.name).ok_or_else(bad)?;
        let is_spectator = key.xid == Xid::SPECTATOR;
        Ok(Self {
            xid: key.xid,
            generation: rules.generation,
            name: if is_spectator { Self::SPECTATOR_NAME.to_owned() } else { name.to_owned() },
            mode: Mode::from_number(rules.mode).ok_or_else(bad)?,
            // It is to see all of the host's processes, whatever its row says.
            proc_mode: if is_spectator {
                ProcMode::Plain
            } else {
                ProcMode::from_number(rules.proc_mode).ok_or_else(bad)?
            },
            is_dynamic: rules.flags & context_flag::DYNAMIC != 0,
            is_orphan: rules.flags & context_flag::ORPHAN != 0,
            is_network_only: rules.flags & context_flag::NETWORK_ONLY != 0,
            capabilities: rules.capabilities,
            capabilities_max: rules.capabilities_max,
            entry_capabilities: rules.entry_capabilities(),
            residence: rules.residence(key.xid),
        })
    }

    /// Whether it has a UTS namespace of its own, in which it sets its name.
    pub const fn has_own_hostname(&self) -> bool {
        self.entry_capabilities >> SYS_ADMIN & 1 != 0
    }

    /// The tag of a process that is entering.
    pub fn entering_tag(&self) -> Tag {
        let lifecycle = lifecycle::ENTERING | self.residence;
        Tag { xid: self.xid, lifecycle, generation: self.generation }
    }

    /// Whether a tag is that of a process of this context.
    pub fn has(&self, tag: &Tag) -> bool {
        tag.xid == self.xid && tag.generation == self.generation
    }
}

/// A name out of a row: it names a directory under `/run/vs/contexts`, so it is checked here once more.
fn context_name(padded: &[u8]) -> Option<&str> {
    let end = padded.iter().position(|byte| *byte == 0).unwrap_or(padded.len());
    let (name, padding) = padded.split_at(end);
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_good = is_first(*name.first()?)
        && name.iter().all(|byte| is_first(*byte) || b"_.-".contains(byte))
        && padding.iter().all(|byte| *byte == 0);
    if is_good { std::str::from_utf8(name).ok() } else { None }
}

/// How a context is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selector {
    /// By its name.
    Name(String),
    /// By its number.
    Xid(Xid),
    /// The spectator.
    Spectator,
}

/// All contexts of the epoch in force, by xid.
///
/// # Errors
/// Nothing is loaded, a row is of an unknown form, or the maps cannot be read.
pub fn contexts(store: &dyn Store) -> Result<Vec<Context>, RegistryError> {
    let epoch = epoch_in_force(store)?;
    let mut contexts = store
        .context_rows()?
        .iter()
        .filter(|(key, _)| key.epoch == epoch)
        .map(|(key, rules)| Context::from_row(*key, rules))
        .collect::<Result<Vec<_>, _>>()?;
    contexts.sort_by_key(|context| context.xid);
    Ok(contexts)
}

/// The context that is asked for.
///
/// # Errors
/// There is none, nothing is loaded, a row is of an unknown form, or the maps cannot be read.
pub fn find(store: &dyn Store, selector: &Selector) -> Result<Context, RegistryError> {
    let all = contexts(store)?;
    let found = all.iter().find(|context| match selector {
        // The spectator is no guest of that name.
        Selector::Name(name) => context.name == *name && context.xid != Xid::SPECTATOR,
        Selector::Xid(xid) => context.xid == *xid,
        Selector::Spectator => context.xid == Xid::SPECTATOR,
    });
    if let Some(context) = found {
        return Ok(context.clone());
    }
    Err(match selector {
        Selector::Spectator | Selector::Xid(Xid::SPECTATOR) => RegistryError::NoSpectator,
        Selector::Name(name) => {
            RegistryError::NoSuchContext { wanted: format!("named {name}"), known: known(&all) }
        }
        Selector::Xid(xid) => {
            RegistryError::NoSuchContext { wanted: format!("with xid {xid}"), known: known(&all) }
        }
    })
}

fn known(contexts: &[Context]) -> String {
    let names: Vec<_> = contexts.iter().map(|context| context.name.as_str()).collect();
    if names.is_empty() { "none is loaded".to_owned() } else { format!("there are {}", names.join(", ")) }
}

/// Whether a context may be entered now: the same generation of it is still in force, and nobody is stopping it.
///
/// # Errors
/// It is not so, or the maps cannot be read.
pub fn check_enterable(store: &dyn Store, context: &Context) -> Result<(), RegistryError> {
    let epoch = epoch_in_force(store)?;
    let rules = store.context_rules(ContextKey { epoch, xid: context.xid })?;
    if rules.is_none_or(|rules| rules.generation != context.generation) {
        return Err(RegistryError::Changed(context.name.clone()));
    }
    if is_dying(store, context.xid)? {
        return Err(RegistryError::Dying(context.name.clone()));
    }
    Ok(())
}

/// Reads the tag of a process that is entering back from the kernel, and looks once more whether the context may be entered:
/// from here on whoever stops it finds the process.
///
/// # Errors
/// The tag is another, the context is not to be entered any more, or the maps cannot be read.
pub(super) fn verify_entering(
    store: &dyn Store,
    context: &Context,
    pidfd: BorrowedFd<'_>,
) -> Result<(), RegistryError> {
    let found = store.task_tag(pidfd)?;
    if found == Some(context.entering_tag()) {
        return check_enterable(store, context);
    }
    let found = found.map_or("it has none".to_owned(), |found| {
        format!("it has xid {}, generation {}, lifecycle {}", found.xid, found.generation.0, found.lifecycle)
    });
    Err(RegistryError::NotTagged { context: context.name.clone(), found })
}

/// Whether a context is being stopped.
///
/// # Errors
/// The maps cannot be read.
pub fn is_dying(store: &dyn Store, xid: Xid) -> Result<bool, StoreError> {
    Ok(store.context_state(xid)?.is_some_and(|state| state.is_dying != 0))
}

/// The epoch in force.
///
/// # Errors
/// Nothing is loaded, or the maps cannot be read.
pub fn epoch_in_force(store: &dyn Store) -> Result<Epoch, RegistryError> {
    match store.epoch()? {
        Epoch(0) => Err(RegistryError::NotLoaded),
        epoch => Ok(epoch),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use vs_common::limits::CONTEXT_NAME_SIZE;
    use vs_common::policy_entry::ContextState;

    use super::*;
    use crate::maps::fake::FakeStore;

    pub(in crate::context) fn rules(name: &str, generation: u64, proc_mode: ProcMode) -> ContextRules {
        let mut padded = [0; CONTEXT_NAME_SIZE];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        ContextRules {
            generation: Generation(generation),
            mode: Mode::Enforce as u32,
            proc_mode: proc_mode as u32,
            flags: 0,
            records_per_second: 1,
            record_burst: 1,
            reserved: 0,
            capabilities: vs_common::capability::DEFAULT_SET,
            capabilities_max: vs_common::capability::DEFAULT_SET,
            name: padded,
        }
    }

    fn loaded() -> FakeStore {
        let mut store = FakeStore::new();
        store.set_epoch(Epoch(7)).unwrap();
        for (epoch, xid, name) in [(7, 5, "web"), (7, 2, "db"), (6, 9, "old"), (7, 1, "spectator")] {
            let key = ContextKey { epoch: Epoch(epoch), xid: Xid(xid) };
            store.put_context_rules(key, &rules(name, 40, ProcMode::Pidns)).unwrap();
        }
        store
    }

    #[test]
    fn only_the_epoch_in_force_counts() {
        let names: Vec<_> = contexts(&loaded()).unwrap().into_iter().map(|context| context.name).collect();
        assert_eq!(names, ["spectator", "db", "web"]);
    }

    #[test]
    fn a_context_is_found_by_name_number_and_as_the_spectator() {
        let store = loaded();
        assert_eq!(find(&store, &Selector::Name("web".into())).unwrap().xid, Xid(5));
        assert_eq!(find(&store, &Selector::Xid(Xid(2))).unwrap().name, "db");
        let spectator = find(&store, &Selector::Spectator).unwrap();
        assert_eq!((spectator.xid, spectator.proc_mode), (Xid::SPECTATOR, ProcMode::Plain));
    }

    #[test]
    fn what_is_not_there_is_an_error_that_says_what_is() {
        let mut store = loaded();
        let message = |selector| find(&store, &selector).unwrap_err().to_string();
        assert_eq!(
            message(Selector::Name("old".into())),
            "there is no context named old; there are spectator, db, web"
        );
        assert_eq!(
            message(Selector::Name("spectator".into())).split(';').next(),
            Some("there is no context named spectator")
        );
        assert_eq!(message(Selector::Xid(Xid(9))).split(';').next(), Some("there is no context with xid 9"));
        store.remove_context_rules(ContextKey { epoch: Epoch(7), xid: Xid(1) }).unwrap();
        assert!(matches!(find(&store, &Selector::Spectator), Err(RegistryError::NoSpectator)));
        assert!(matches!(contexts(&FakeStore::new()), Err(RegistryError::NotLoaded)));
    }

    #[test]
    fn a_context_is_enterable_in_its_own_generation_while_it_is_not_dying() {
        let mut store = loaded();
        let mut context = find(&store, &Selector::Name("web".into())).unwrap();
        check_enterable(&store, &context).unwrap();
        store.put_context_state(Xid(5), &ContextState { is_dying: 1, ..ContextState::default() }).unwrap();
        assert!(matches!(check_enterable(&store, &context), Err(RegistryError::Dying(_))));
        store.remove_context_state(Xid(5)).unwrap();
        context.generation = Generation(41);
        assert!(matches!(check_enterable(&store, &context), Err(RegistryError::Changed(_))));
        context.generation = Generation(40);
        store.set_epoch(Epoch(8)).unwrap();
        assert!(matches!(check_enterable(&store, &context), Err(RegistryError::Changed(_))));
    }

    #[test]
    fn a_name_that_is_no_name_is_a_bad_row() {
        for bad in ["", ".", "..", "../x", "Web", "a/b", "-a", "a b"] {
            let mut padded = [0; CONTEXT_NAME_SIZE];
            padded[..bad.len()].copy_from_slice(bad.as_bytes());
            assert_eq!(context_name(&padded), None, "{bad}");
        }
        assert_eq!(context_name(b"a\0b\0"), None);
        assert_eq!(context_name(b"a.b-c_9\0"), Some("a.b-c_9"));
        assert_eq!(context_name(&[b'a'; CONTEXT_NAME_SIZE]).map(str::len), Some(CONTEXT_NAME_SIZE));
    }
}
