//! How many processes contexts have, and their end: what a load and an unload ask before they take rules away.

use std::collections::BTreeMap;

use vs_common::id::Xid;

use super::Failure;
use crate::context::processes::{ProcessError, for_each_member};
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

/// TEMPORARY until context::stop is on main.
pub(super) fn stop_contexts(store: &mut crate::maps::live::LiveStore, xids: impl Iterator<Item = Xid>) -> Result<(), Failure> {
    let xids: std::collections::BTreeSet<_> = xids.collect();
    for _ in 0..100 {
        let mut left = 0;
        for_each_member(store, |member| {
            if xids.contains(&member.tag.xid) {
                left += 1;
                let _ = rustix::process::pidfd_send_signal(&member.pidfd, rustix::process::Signal::KILL);
            }
            Ok::<_, ProcessError>(())
        })?;
        if left == 0 { break; }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(())
}
