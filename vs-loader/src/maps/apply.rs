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

use super::capabilities::common_of;
pub use super::files::files_of;
use super::files::{filter_of, judged_in, put_files, remove_files};
pub use super::networks::networks_of;
use super::networks::{put_networks, remove_networks};
use super::store::{Store, StoreError};
use crate::compile::files::{Files, is_in_force};
use crate::compile::network::Networks;
use crate::compile::{Rows, needed_hooks};

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
    /// Every context's rules.
    pub rows: Rows,
    /// The addresses of those that have some.
    pub networks: Networks,
    /// The directories that are somebody's.
    pub files: Files,
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
    #[error(
        "{cause}; and what it left could not be removed: {leftover}; the next vs load or vs unload removes it"
    )]
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
/// `change` works on the rows and addresses in force and may use the generation it is given and those above. The policy's digest, time and author
/// stay.
///
/// # Errors
/// As [`load`].
pub fn change_rows<S: Store, P: Programs>(
    store: &mut S,
    programs: &mut P,
    change: impl FnOnce(&mut Rows, &mut Networks, Generation),
    now: u64,
) -> Result<Loaded<P::Error>, ApplyError<P::Error>> {
    let epoch = store.epoch()?;
    let mut rows = rows_of(store, epoch)?;
    let mut networks = networks_of(store, epoch)?;
    let mut files = files_of(store, epoch)?;
    change(&mut rows, &mut networks, next_generation(store, now)?);
    // Nobody's, if it was lost: what matters is in the rows.
    let nobody =
        EpochInfo { loaded_at: 0, digest: [0; 32], uid: 0, loginuid: u32::MAX, contexts: 0, reserved: 0 };
    let info = store.epoch_info(epoch)?.unwrap_or(nobody);
    let contexts = u32::try_from(rows.len()).map_err(|_| ApplyError::TooMany(rows.len()))?;
    networks.retain(|xid, network| {
        *xid == Xid::HOST || rows.get(xid).is_some_and(|rules| rules.generation == network.rules.generation)
    });
    files.retain(|_, row| row.owner.xid == Xid::HOST || is_in_force(&rows, &row.owner));
    let hooks = needed_hooks(&rows);
    let wanted = Wanted { hooks, rows, networks, files, info: EpochInfo { contexts, ..info } };
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
    remove_networks(store, |epoch| epoch != current || current == Epoch(0))?;
    remove_files(store, |epoch| epoch != current || current == Epoch(0))?;
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
    let rows = &wanted.rows;
    if rows.len() > MAX_CONTEXTS as usize {
        return Err(ApplyError::TooMany(rows.len()));
    }
    for (xid, rules) in rows {
        // A number that changes hands keeps the old state until after the flip: the old rules are in force.
        if store.context_state(*xid)?.is_none() {
            store.put_context_state(*xid, &full(rules, now))?;
        }
        store.put_context_rules(ContextKey { epoch: new, xid: *xid }, rules)?;
    }
    put_networks(store, rows, &wanted.networks, new)?;
    put_files(store, &wanted.files, judged_in(new, rows))?;
    store.set_common_capabilities(common_of(new, rows))?;
    store.put_epoch_info(new, &wanted.info)?;
    read_back(store, wanted, new)?;
    let in_force = (old != Epoch(0)).then_some(old);
    programs.attach(new, &wanted.hooks, in_force).map_err(ApplyError::Programs)?;
    programs.prove(store).map_err(ApplyError::Programs)
}

fn read_back<S: Store, E: std::error::Error>(
    store: &S,
    wanted: &Wanted,
    epoch: Epoch,
) -> Result<(), ApplyError<E>> {
    if rows_of(store, epoch)? != wanted.rows {
        return Err(ApplyError::ReadBack(map_name::CONTEXTS));
    }
    if networks_of(store, epoch)? != wanted.networks {
        return Err(ApplyError::ReadBack(map_name::ADDRESSES));
    }
    if files_of(store, epoch)? != wanted.files
        || store.file_filter(epoch)? != filter_of(&wanted.files)
        || store.files_judged(epoch)? != judged_in(epoch, &wanted.rows)
    {
        return Err(ApplyError::ReadBack(map_name::FILES));
    }
    if store.common_capabilities(epoch)? != common_of(epoch, &wanted.rows) {
        return Err(ApplyError::ReadBack(map_name::CAPABILITIES));
    }
    if store.epoch_info(epoch)? != Some(wanted.info) {
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
pub fn rows_of<S: Store + ?Sized>(store: &S, epoch: Epoch) -> Result<Rows, StoreError> {
    let rows = store.context_rows()?.into_iter();
    Ok(rows.filter(|(key, _)| key.epoch == epoch).map(|(key, rules)| (key.xid, rules)).collect())
}

/// A generation above every one ever given. `now` is the boot clock in nanoseconds.
///
/// The boot clock never goes back, and tags do not survive a boot: not even a state that was lost brings a generation back. The
/// contexts of one load get one nanosecond each; writing a single row takes longer, so the next load begins behind them.
///
/// # Errors
/// The kernel refused.
pub fn next_generation<S: Store + ?Sized>(store: &S, now: u64) -> Result<Generation, StoreError> {
    let rows = store.context_rows()?.into_iter().map(|(_, rules)| rules.generation);
    let states = store.context_states()?.into_iter().map(|(_, state)| state.generation);
    let used = rows.chain(states).max().unwrap_or_default();
    Ok(Generation(now.max(used.0.saturating_add(1))))
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
