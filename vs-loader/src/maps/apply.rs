//! From wanted rows to rows in force, by epochs: one whole rule set is in force at every instant, whoever is killed where.
//!
//! A load writes epoch N+1 beside epoch N, reads it back, attaches the programs that it needs, sees a denial happen, and then flips
//! the one word that all programs read. Up to the flip nothing of N+1 is in force; from it on nothing of N is, and it is taken away.
//! What does not belong to the epoch in force is the loser, whether it was left by a failure, by a kill or by a reload that
//! succeeded, and [`recover`] removes it: there is one way to clean up, and every load walks it.
//!
//! The caller holds the exclusive lock from before the first look at the maps to after the last. Tags on processes are never touched.

use std::collections::BTreeMap;

use vs_common::hook::Hook;
use vs_common::id::{Epoch, Generation, Xid};
use vs_common::limits::MAX_CONTEXTS;
use vs_common::map_name;
use vs_common::policy_entry::{ContextKey, ContextRules, ContextState, EpochInfo};

use super::store::{Store, StoreError};

/// The programs, as far as a load deals with them.
pub trait Programs {
    /// What can go wrong with them.
    type Error: std::error::Error;

    /// The epochs that have links, whole or in part.
    ///
    /// # Errors
    /// The links cannot be listed.
    fn epochs(&self) -> Result<Vec<Epoch>, Self::Error>;

    /// Attaches a program to each hook and keeps them attached under this epoch; links of `in_force` may be shared.
    ///
    /// # Errors
    /// The kernel refused one. Some may be attached: [`Self::detach`] takes them away.
    fn attach(&mut self, epoch: Epoch, hooks: &[Hook], in_force: Option<Epoch>) -> Result<(), Self::Error>;

    /// Sees that a forbidden act is denied and an allowed one is not.
    ///
    /// # Errors
    /// It is not so.
    fn prove(&mut self, store: &mut dyn Store) -> Result<(), Self::Error>;

    /// Takes an epoch's links away; what another epoch shares stays attached. No links: nothing to do.
    ///
    /// # Errors
    /// The kernel refused.
    fn detach(&mut self, epoch: Epoch) -> Result<(), Self::Error>;
}

/// What is to be in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Every context's rules. Their generations are filled in here.
    pub rows: BTreeMap<Xid, ContextRules>,
    /// The hooks that they need.
    pub hooks: Vec<Hook>,
    /// Who loads what.
    pub info: EpochInfo,
}

/// What a load came to.
#[derive(Debug)]
pub struct Loaded<E: std::error::Error> {
    /// The epoch in force.
    pub epoch: Epoch,
    /// What could not be removed of the old one. It is not in force; the next command that changes something removes it.
    pub leftover: Option<ApplyError<E>>,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError<E: std::error::Error> {
    /// A map.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A program.
    #[error(transparent)]
    Programs(E),
    /// The kernel does not hold what was written.
    #[error("the map {0} does not hold what was written to it; is another tool writing there?")]
    ReadBack(&'static str),
    /// More contexts than fit.
    #[error("{0} contexts are more than {MAX_CONTEXTS}, which is what fits")]
    TooMany(usize),
    /// Every epoch's number is used up.
    #[error("epoch {} was the last one; vs unload, then vs load", u32::MAX)]
    NoEpochLeft,
    /// The word may or may not have been flipped.
    #[error("cannot tell which policy is in force: {0}; run vs status")]
    Undecided(StoreError),
    /// A step failed, and so did taking back what was done before it. What was in force before still is.
    #[error("{cause}; and what it left could not be removed: {leftover}; the next vs load or vs unload removes it")]
    NotUndone {
        /// Why the load failed.
        cause: Box<Self>,
        /// Why it was not undone.
        leftover: Box<Self>,
    },
}

/// Puts `wanted` in force, all or nothing. `now` is the boot clock in nanoseconds.
///
/// # Errors
/// A step failed; what was in force before still is, except after [`ApplyError::Undecided`].
pub fn load<S: Store, P: Programs>(
    store: &mut S,
    programs: &mut P,
    wanted: &Wanted,
    now: u64,
) -> Result<Loaded<P::Error>, ApplyError<P::Error>> {
    recover(store, programs, now)?;
    let old = store.epoch()?;
    let new = Epoch(old.0.checked_add(1).ok_or(ApplyError::NoEpochLeft)?);
    let flipped = prepare(store, programs, wanted, old, new, now).and_then(|()| flip(store, new));
    match flipped {
        Ok(()) => {
            let leftover = recover(store, programs, now).err();
            Ok(Loaded { epoch: new, leftover })
        }
        Err(cause @ ApplyError::Undecided(_)) => Err(cause),
        Err(cause) => Err(match recover(store, programs, now) {
            Ok(()) => cause,
            Err(leftover) => ApplyError::NotUndone { cause: Box::new(cause), leftover: Box::new(leftover) },
        }),
    }
}

/// Loads what is in force once more, with some rows changed: contexts that no policy file names.
///
/// `hooks` tells which hooks rows need. The policy's digest, time and author stay.
///
/// # Errors
/// As [`load`].
pub fn change_rows<S: Store, P: Programs>(
    store: &mut S,
    programs: &mut P,
    hooks: impl FnOnce(&BTreeMap<Xid, ContextRules>) -> Vec<Hook>,
    change: impl FnOnce(&mut BTreeMap<Xid, ContextRules>),
    now: u64,
) -> Result<Loaded<P::Error>, ApplyError<P::Error>> {
    let epoch = store.epoch()?;
    let mut rows = rows_of(store, epoch)?;
    change(&mut rows);
    // Nobody's, if it was lost: what matters is in the rows.
    let nobody = EpochInfo { loaded_at: 0, digest: [0; 32], uid: 0, loginuid: u32::MAX, contexts: 0, reserved: 0 };
    let mut info = store.epoch_info(epoch)?.unwrap_or(nobody);
    info.contexts = count(&rows)?;
    let wanted = Wanted { hooks: hooks(&rows), rows, info };
    load(store, programs, &wanted, now)
}

/// Takes everything out of force and removes it; the maps stay, empty but for the tags. The caller has made sure that no context has a
/// process: without programs they would be the host's.
///
/// # Errors
/// A step failed. Before the word is 0 everything is in force, afterwards nothing; another unload removes what is left.
pub fn unload<S: Store, P: Programs>(store: &mut S, programs: &mut P) -> Result<(), ApplyError<P::Error>> {
    store.set_epoch(Epoch(0))?;
    recover(store, programs, 0)
}

/// Removes what does not belong to the epoch in force, and gives each of its contexts the state it lacks.
///
/// # Errors
/// The kernel refused; what is in force is untouched.
pub fn recover<S: Store, P: Programs>(
    store: &mut S,
    programs: &mut P,
    now: u64,
) -> Result<(), ApplyError<P::Error>> {
    let current = store.epoch()?;
    for epoch in programs.epochs().map_err(ApplyError::Programs)? {
        if epoch != current {
            programs.detach(epoch).map_err(ApplyError::Programs)?;
        }
    }
    let mut rows = BTreeMap::new();
    for (key, rules) in store.context_rows()? {
        if key.epoch == current && current != Epoch(0) {
            rows.insert(key.xid, rules);
        } else {
            store.remove_context_rules(key)?;
        }
    }
    for (epoch, _) in store.epoch_infos()? {
        if epoch != current {
            store.remove_epoch_info(epoch)?;
        }
    }
    for (xid, state) in store.context_states()? {
        // A context that came under another's number, or lost its state, gets a new one; one that is gone needs none. Nobody can
        // be entering meanwhile, and no process is left of either.
        if rows.get(&xid).is_none_or(|rules| rules.generation != state.generation) {
            store.remove_context_state(xid)?;
        }
    }
    for (xid, rules) in rows {
        if store.context_state(xid)?.is_none() {
            store.put_context_state(xid, &full(&rules, now))?;
        }
    }
    Ok(())
}

/// Everything before the flip.
fn prepare<S: Store, P: Programs>(
    store: &mut S,
    programs: &mut P,
    wanted: &Wanted,
    old: Epoch,
    new: Epoch,
    now: u64,
) -> Result<(), ApplyError<P::Error>> {
    let rows = with_generations(store, &wanted.rows, old, now)?;
    let info = EpochInfo { contexts: count(&rows)?, ..wanted.info };
    for (xid, rules) in &rows {
        // A number that changes hands keeps the old state until after the flip: the old rules are in force.
        if store.context_state(*xid)?.is_none() {
            store.put_context_state(*xid, &full(rules, now))?;
        }
        store.put_context_rules(ContextKey { epoch: new, xid: *xid }, rules)?;
    }
    store.put_epoch_info(new, &info)?;
    read_back(store, &rows, new, &info)?;
    let in_force = (old != Epoch(0)).then_some(old);
    programs.attach(new, &wanted.hooks, in_force).map_err(ApplyError::Programs)?;
    programs.prove(store).map_err(ApplyError::Programs)
}

/// The rows with their generations: a context that is in force under the same number and name keeps its own, any other gets one that
/// was never used.
fn with_generations<S: Store, E: std::error::Error>(
    store: &S,
    wanted: &BTreeMap<Xid, ContextRules>,
    old: Epoch,
    now: u64,
) -> Result<BTreeMap<Xid, ContextRules>, ApplyError<E>> {
    let in_force = rows_of(store, old)?;
    // The boot clock never goes back, and tags do not survive a boot: no lost state can bring a generation back. The contexts of one
    // load get one nanosecond each; writing a single row takes longer, so the next load begins behind them.
    let states = store.context_states()?.into_iter().map(|(_, state)| state.generation);
    let used = in_force.values().map(|rules| rules.generation).chain(states).max().unwrap_or_default();
    let mut fresh = (used.0 + 1).max(now)..;
    Ok(wanted
        .iter()
        .map(|(xid, rules)| {
            let kept = in_force.get(xid).filter(|old| old.name == rules.name).map(|old| old.generation);
            let generation = kept.or_else(|| fresh.next().map(Generation)).unwrap_or_default();
            (*xid, ContextRules { generation, ..*rules })
        })
        .collect())
}

fn read_back<S: Store, E: std::error::Error>(
    store: &S,
    rows: &BTreeMap<Xid, ContextRules>,
    epoch: Epoch,
    info: &EpochInfo,
) -> Result<(), ApplyError<E>> {
    if rows_of(store, epoch)? != *rows {
        return Err(ApplyError::ReadBack(map_name::CONTEXTS));
    }
    if store.epoch_info(epoch)? != Some(*info) {
        return Err(ApplyError::ReadBack(map_name::EPOCHS));
    }
    Ok(())
}

/// Flips the word, and makes sure which way it lies.
fn flip<S: Store, E: std::error::Error>(store: &mut S, new: Epoch) -> Result<(), ApplyError<E>> {
    let Err(error) = store.set_epoch(new) else { return Ok(()) };
    match store.epoch() {
        Ok(epoch) if epoch == new => Ok(()),
        Ok(_) => Err(error.into()),
        Err(error) => Err(ApplyError::Undecided(error)),
    }
}

/// The rows of one epoch.
///
/// # Errors
/// The kernel refused.
pub fn rows_of<S: Store + ?Sized>(store: &S, epoch: Epoch) -> Result<BTreeMap<Xid, ContextRules>, StoreError> {
    let rows = store.context_rows()?.into_iter();
    Ok(rows.filter(|(key, _)| key.epoch == epoch).map(|(key, rules)| (key.xid, rules)).collect())
}

fn count<E: std::error::Error>(rows: &BTreeMap<Xid, ContextRules>) -> Result<u32, ApplyError<E>> {
    u32::try_from(rows.len()).ok().filter(|n| *n <= MAX_CONTEXTS).ok_or(ApplyError::TooMany(rows.len()))
}

/// The state of a context that begins: all its tokens are there.
fn full(rules: &ContextRules, now: u64) -> ContextState {
    ContextState {
        generation: rules.generation,
        millitokens: u64::from(rules.record_burst) * 1000,
        refilled_at: now,
        ..ContextState::default()
    }
}

#[cfg(test)]
mod tests;
