//! The capabilities of an epoch's contexts: what all have in common, and one context's, which change while it is in force.

use vs_common::capability::{CapabilitySet, CommonCapabilities};
use vs_common::id::{Epoch, Xid};
use vs_common::map_name;
use vs_common::policy_entry::ContextKey;

use super::apply::rows_of;
use super::store::{Store, StoreError};
use crate::compile::Rows;

/// What all contexts of an epoch may use.
pub(super) fn common_of(epoch: Epoch, rows: &Rows) -> CommonCapabilities {
    let common = rows.values().fold(CommonCapabilities::UNCONDITIONAL, |set, rules| set & rules.capabilities);
    CommonCapabilities { set: if rows.is_empty() { 0 } else { common }, epoch: epoch.0, reserved: 0 }
}

/// Why a context's capabilities are not changed.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// A map.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is gone.
    #[error("the context has been removed meanwhile")]
    Gone,
    /// The kernel does not hold what was written.
    #[error("the map {0} does not hold what was written to it; is another tool writing there?")]
    ReadBack(&'static str),
}

/// Changes what a context's processes may use, at once: in the row in force. The caller holds the exclusive lock. What is taken away is taken
/// from the common ones first and what is given comes there last, so that at no instant more is allowed than before and after.
///
/// # Errors
/// The kernel refused, which leaves the context with the old set or the new one.
pub fn set_capabilities<S: Store + ?Sized>(
    store: &mut S,
    xid: Xid,
    capabilities: CapabilitySet,
) -> Result<(), SetError> {
    let epoch = store.epoch()?;
    let mut rows = rows_of(store, epoch)?;
    let before = common_of(epoch, &rows);
    let rules = rows.get_mut(&xid).ok_or(SetError::Gone)?;
    rules.capabilities = capabilities;
    let rules = *rules;
    let after = common_of(epoch, &rows);
    store.set_common_capabilities(CommonCapabilities { set: before.set & after.set, ..after })?;
    store.put_context_rules(ContextKey { epoch, xid }, &rules)?;
    store.set_common_capabilities(after)?;
    if store.context_rules(ContextKey { epoch, xid })? != Some(rules) {
        return Err(SetError::ReadBack(map_name::CONTEXTS));
    }
    if store.common_capabilities(epoch)? != after {
        return Err(SetError::ReadBack(map_name::CAPABILITIES));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vs_common::capability::{DEFAULT_SET, NET_RAW};

    use super::*;
    use crate::context::create::{self, Wish};
    use crate::maps::fake::FakeStore;
    use vs_common::policy_entry::{ContextRules, Mode, ProcMode};

    fn rules(name: &str, capabilities: CapabilitySet) -> ContextRules {
        let wish = Wish { name: Some(name), mode: Mode::Enforce, proc_mode: ProcMode::Pidns, flags: 0 };
        ContextRules { capabilities, ..create::row(&Rows::new(), &wish).unwrap().1 }
    }

    #[test]
    fn in_common_is_what_every_context_has_and_nothing_that_depends() {
        let rows = |sets: &[CapabilitySet]| -> Rows {
            (2..).map(Xid).zip(sets.iter().map(|set| rules("a", *set))).collect()
        };
        let common = |sets: &[CapabilitySet]| common_of(Epoch(3), &rows(sets)).set;
        assert_eq!(common(&[]), 0);
        assert_eq!(common(&[DEFAULT_SET, DEFAULT_SET | 1 << NET_RAW | 1 << 29]), DEFAULT_SET);
        assert_eq!(common(&[DEFAULT_SET | 1 << NET_RAW]), DEFAULT_SET);
        assert_eq!(common(&[DEFAULT_SET, 0]), 0);
        assert!(common_of(Epoch(3), &rows(&[DEFAULT_SET])).has(3, 0));
        assert!(!common_of(Epoch(3), &rows(&[DEFAULT_SET])).has(5, 0), "of another epoch");
    }

    #[test]
    fn a_change_is_in_force_at_once_and_of_one_context() {
        let mut store = FakeStore::new();
        store.set_epoch(Epoch(1)).unwrap();
        for xid in [2, 3] {
            let key = ContextKey { epoch: Epoch(1), xid: Xid(xid) };
            store.put_context_rules(key, &rules("a", DEFAULT_SET)).unwrap();
        }
        let set = |store: &FakeStore, xid| {
            let key = ContextKey { epoch: Epoch(1), xid: Xid(xid) };
            store.context_rules(key).unwrap().unwrap().capabilities
        };
        set_capabilities(&mut store, Xid(2), 0).unwrap();
        assert_eq!((set(&store, 2), set(&store, 3)), (0, DEFAULT_SET));
        assert_eq!(store.common_capabilities(Epoch(1)).unwrap().set, 0);
        set_capabilities(&mut store, Xid(2), DEFAULT_SET).unwrap();
        assert_eq!(store.common_capabilities(Epoch(1)).unwrap().set, DEFAULT_SET);
        assert!(matches!(set_capabilities(&mut store, Xid(9), 0), Err(SetError::Gone)));
    }
}
