//! What the kernel side only counted: violations beyond a context's rate, and records that found no room.
//!
//! Its counters only grow. The collector reads them again and again, and what they have grown by since becomes a record; what it has
//! reported is kept over its own restarts ([`super::saved`]), so that every count is reported once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vs_common::hook::Hook;
use vs_common::id::{Generation, Xid};

use crate::maps::store::{Store, StoreError};

/// The counters of one context.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ContextTotals {
    /// The use of the xid that they belong to.
    pub generation: u64,
    /// `ContextState.suppressed`.
    pub suppressed: u64,
    /// `ContextState.lost`.
    pub lost: u64,
}

/// All the counters at one time.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// By xid.
    contexts: BTreeMap<u32, ContextTotals>,
    /// `HookCounters.lost`, by hook number.
    hooks: BTreeMap<u16, u64>,
}

/// What a counter has grown by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Growth {
    /// `ContextState.suppressed`.
    Suppressed(Xid, Generation, Step),
    /// `ContextState.lost`.
    Lost(Xid, Generation, Step),
    /// `HookCounters.lost`.
    HookLost(Hook, Step),
}

/// One counter's way from one reading to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// How much it grew.
    pub count: u64,
    /// Where it stands.
    pub total: u64,
}

impl Totals {
    /// Reads all counters.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let contexts = store.context_states()?.into_iter().map(|(xid, state)| {
            let totals = ContextTotals {
                generation: state.generation.0,
                suppressed: state.suppressed,
                lost: state.lost,
            };
            (xid.0, totals)
        });
        let contexts = contexts.collect();
        let mut hooks = BTreeMap::new();
        for hook in Hook::ALL {
            let lost = store.hook_counters(*hook)?.lost;
            if lost > 0 {
                hooks.insert(*hook as u16, lost);
            }
        }
        Ok(Self { contexts, hooks })
    }

    /// The contexts counted.
    pub fn contexts(&self) -> impl Iterator<Item = (Xid, Generation)> {
        self.contexts.iter().map(|(xid, totals)| (Xid(*xid), Generation(totals.generation)))
    }

    /// What `now` has more than these; then these are `now`. A counter that stands lower than before, and one of another generation,
    /// began anew at zero.
    pub fn advance(&mut self, now: Self) -> Vec<Growth> {
        let mut growth = Vec::new();
        for (xid, totals) in &now.contexts {
            let before = self.contexts.get(xid).filter(|before| before.generation == totals.generation);
            let before = before.copied().unwrap_or_default();
            let (xid, generation) = (Xid(*xid), Generation(totals.generation));
            let suppressed = step(before.suppressed, totals.suppressed);
            growth.extend(suppressed.map(|step| Growth::Suppressed(xid, generation, step)));
            let lost = step(before.lost, totals.lost);
            growth.extend(lost.map(|step| Growth::Lost(xid, generation, step)));
        }
        for (number, total) in &now.hooks {
            let before = self.hooks.get(number).copied().unwrap_or_default();
            let hook = Hook::from_number(*number);
            growth.extend(hook.zip(step(before, *total)).map(|(hook, step)| Growth::HookLost(hook, step)));
        }
        *self = now;
        growth
    }
}

fn step(before: u64, total: u64) -> Option<Step> {
    let count = total.checked_sub(before).unwrap_or(total);
    (count > 0).then_some(Step { count, total })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(generation: u64, suppressed: u64, lost: u64) -> Totals {
        let contexts = BTreeMap::from([(100, ContextTotals { generation, suppressed, lost })]);
        Totals { contexts, hooks: BTreeMap::new() }
    }

    const WEB: Xid = Xid(100);

    #[test]
    fn growth_is_told_once() {
        let mut known = Totals::default();
        assert_eq!(known.advance(totals(1, 0, 0)), []);
        let suppressed = Growth::Suppressed(WEB, Generation(1), Step { count: 5, total: 5 });
        assert_eq!(known.advance(totals(1, 5, 0)), [suppressed]);
        assert_eq!(known.advance(totals(1, 5, 0)), []);
        let more = Growth::Suppressed(WEB, Generation(1), Step { count: 2, total: 7 });
        let lost = Growth::Lost(WEB, Generation(1), Step { count: 1, total: 1 });
        assert_eq!(known.advance(totals(1, 7, 1)), [more, lost]);
    }

    #[test]
    fn another_generation_counts_from_zero() {
        let mut known = totals(1, 5, 5);
        let suppressed = Growth::Suppressed(WEB, Generation(2), Step { count: 6, total: 6 });
        assert_eq!(known.advance(totals(2, 6, 0)), [suppressed]);
    }

    #[test]
    fn a_counter_that_began_anew_counts_from_zero() {
        let mut known = totals(1, 5, 5);
        let suppressed = Growth::Suppressed(WEB, Generation(1), Step { count: 3, total: 3 });
        assert_eq!(known.advance(totals(1, 3, 5)), [suppressed]);
    }

    #[test]
    fn a_context_that_went_and_came_back_counts_from_zero() {
        let mut known = totals(1, 5, 0);
        assert_eq!(known.advance(Totals::default()), []);
        let suppressed = Growth::Suppressed(WEB, Generation(1), Step { count: 5, total: 5 });
        assert_eq!(known.advance(totals(1, 5, 0)), [suppressed]);
    }

    #[test]
    fn hooks_count_too() {
        let mut known = Totals::default();
        let now = Totals { contexts: BTreeMap::new(), hooks: BTreeMap::from([(Hook::Bpf as u16, 3)]) };
        let lost = Growth::HookLost(Hook::Bpf, Step { count: 3, total: 3 });
        assert_eq!(known.advance(now.clone()), [lost]);
        assert_eq!(known.advance(now), []);
    }

    #[test]
    fn they_survive_being_saved() {
        let mut saved = totals(1, 5, 6);
        saved.hooks.insert(3, 4);
        let text = serde_json::to_string(&saved).unwrap();
        assert_eq!(serde_json::from_str::<Totals>(&text).unwrap(), saved);
    }
}
