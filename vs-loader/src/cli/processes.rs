//! How many processes contexts have, and their end: what a load and an unload ask before they take rules away.

use std::collections::{BTreeMap, BTreeSet};

use vs_common::id::{Epoch, Xid};
use vs_common::policy_entry::ContextKey;

use super::Failure;
use crate::compile::Rows;
use crate::context::processes::{ProcessError, for_each_member};
use crate::context::registry::Context;
use crate::context::state::StateDirectory;
use crate::context::syscall::SingleThreaded;
use crate::context::{host_tree, stop};
use crate::kernel::support::{Refusal, Support};
use crate::maps::store::Store;

/// How many processes each context has.
///
/// # Errors
/// `/proc` or a tag could not be read.
pub(super) fn live_processes(store: &dyn Store) -> Result<BTreeMap<Xid, usize>, ProcessError> {
    let mut live = BTreeMap::new();
    for_each_member(store, |member| {
        *live.entry(member.tag.xid).or_default() += 1;
        Ok::<_, ProcessError>(())
    })?;
    Ok(live)
}

/// Ends every process of these contexts. The caller holds the exclusive lock.
///
/// # Errors
/// One could not be ended.
pub(super) fn stop_contexts(
    store: &mut dyn Store,
    rows: &Rows,
    xids: impl IntoIterator<Item = Xid>,
) -> Result<(), Failure> {
    let state = StateDirectory::open().map_err(anyhow::Error::from)?;
    for xid in xids.into_iter().collect::<BTreeSet<_>>() {
        let key = ContextKey { epoch: Epoch(0), xid };
        let context = rows.get(&xid).map(|rules| Context::from_row(key, rules)).transpose();
        let context = context.map_err(anyhow::Error::from)?;
        let name = context.as_ref().map(|context| context.name.as_str());
        stop::stop(store, &state, xid, name, stop::PATIENCE).map_err(anyhow::Error::from)?;
    }
    Ok(())
}

/// What commands that change something, or must not be changed under, begin with: they move to the host's mount tree, where the lock,
/// the state and the pins are, wherever the administrator stands.
///
/// # Errors
/// The capabilities are missing, or the host's tree cannot be joined.
pub(super) fn join_host(support: &Support) -> Result<(), Failure> {
    if !support.missing_capabilities.is_empty() {
        return Err(Refusal::NotRoot(support.missing_capabilities.clone()).into());
    }
    let token = SingleThreaded::check()?;
    host_tree::join(token).map(drop).map_err(|error| anyhow::Error::from(error).into())
}
