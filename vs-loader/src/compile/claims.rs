//! Whose an address is when contexts of a policy meet those that are no policy's.

use vs_common::policy_entry::context_flag;

use super::context::ContextLabel;
use super::entries::EpochRows;
use crate::policy::{Claims, Overlap, Prefix};

/// A policy gives a context an address that a dynamic context has, or one that is kept as it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{context} would have {address}, which {by} has{}; {}", part(address, taken), cure(*.is_dynamic, by))]
pub struct AddressTaken {
    /// The context of the policy.
    pub context: ContextLabel,
    /// What it would have.
    pub address: Prefix,
    /// The context that stays.
    pub by: ContextLabel,
    /// What that one has.
    pub taken: Prefix,
    /// Whether that one is a dynamic context.
    pub is_dynamic: bool,
}

/// How far the other context has it, where that is not the same.
fn part(address: &Prefix, taken: &Prefix) -> String {
    match Overlap::of(address, taken) {
        Overlap::Same => String::new(),
        Overlap::Part => format!(" as part of {taken}"),
        Overlap::Whole => format!(" a part of, {taken}"),
    }
}

fn cure(is_dynamic: bool, by: &ContextLabel) -> String {
    let name = by.name.escape_debug();
    if is_dynamic {
        format!("give it another, or remove that one with `vs context remove {name}`")
    } else {
        format!("give it another, or stop that one with `vs kill --all {name}`")
    }
}

/// The addresses that a context would have although one that stays has them: a dynamic one, or one kept without the policy.
///
/// Within a policy there are none, so those that stay come first.
pub(super) fn taken_addresses(all: EpochRows<'_>) -> Vec<AddressTaken> {
    let stays = |flags: u32| flags & (context_flag::DYNAMIC | context_flag::ORPHAN) != 0;
    let mut networks: Vec<_> =
        all.networks.iter().filter_map(|(xid, network)| Some((*xid, all.rows.get(xid)?, network))).collect();
    networks.sort_by_key(|(_, rules, _)| !stays(rules.flags));
    let mut claims = Claims::default();
    let mut taken = Vec::new();
    for (xid, rules, network) in networks {
        let context = ContextLabel::of(xid, rules);
        for address in &network.addresses {
            match claims.overlapping(address) {
                None => claims.insert(*address, (context.clone(), rules.flags)),
                Some((other, (by, flags))) => taken.push(AddressTaken {
                    context: context.clone(),
                    address: *address,
                    by: by.clone(),
                    taken: *other,
                    is_dynamic: flags & context_flag::DYNAMIC != 0,
                }),
            }
        }
    }
    taken
}
