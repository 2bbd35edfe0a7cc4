//! Processes that entered with less than policy gives their context now.

use std::collections::BTreeMap;

use vs_common::capability::CapabilitySet;
use vs_common::id::Xid;

use crate::cli::Failure;
use crate::compile::{Rows, name_of};
use crate::context::processes::{ProcessError, for_each_member};
use crate::maps::store::Store;
use crate::policy::capability_names;

/// Says of which contexts processes are left that gave up what policy gives the context now: only a restart gives it to them.
///
/// # Errors
/// `/proc` or a tag cannot be read.
pub(super) fn warn(store: &dyn Store, before: &Rows, rows: &Rows) -> Result<(), Failure> {
    let mut lacking: BTreeMap<Xid, (usize, CapabilitySet)> = BTreeMap::new();
    for_each_member(store, |member| {
        let rules = rows.get(&member.tag.xid).filter(|rules| rules.generation == member.tag.generation);
        // One that has ended meanwhile lacks nothing.
        if let Some(rules) = rules
            && let Some(old) = before.get(&member.tag.xid)
            && rules.entry_capabilities() & !old.entry_capabilities() != 0
            && let Some(bounding) = member.bounding_set()
        {
            let missing = rules.entry_capabilities() & !old.entry_capabilities() & !bounding;
            if missing != 0 {
                let (count, all) = lacking.entry(member.tag.xid).or_default();
                *count += 1;
                *all |= missing;
            }
        }
        Ok::<_, ProcessError>(())
    })?;
    for (xid, (count, missing)) in lacking {
        let Some(rules) = rows.get(&xid) else { continue };
        let (name, plural) = (name_of(rules), if count == 1 { "" } else { "es" });
        eprintln!(
            "vs: {count} process{plural} of the context {name} gave up {} on entry and will not have it; restart the context to give it to all (vs kill --all {name})",
            capability_names(missing).join(", ")
        );
    }
    Ok(())
}
