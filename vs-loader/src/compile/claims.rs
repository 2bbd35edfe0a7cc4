//! Whose an address is when contexts of a policy meet those that are no policy's.

use vs_common::id::Xid;
use vs_common::network::network_flag;
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

/// Whether a context confines addresses only, and the other is the host.
fn is_hosts_own((_, flags): (&ContextLabel, u32), other: &ContextLabel) -> bool {
    flags & context_flag::NETWORK_ONLY != 0 && other.xid == Xid::HOST
}

/// The addresses that a context would have although one that stays has them: a dynamic one, or one kept without the policy.
///
/// Within a policy there are none, so those that stay come first.
pub fn taken_addresses(all: EpochRows<'_>) -> Vec<AddressTaken> {
    let stays = |flags: u32| flags & (context_flag::DYNAMIC | context_flag::ORPHAN) != 0;
    let mut networks: Vec<_> = all
        .networks
        .iter()
        .filter_map(|(xid, network)| {
            let label = |rules| (ContextLabel::of(*xid, rules), rules.flags);
            let owner = all.rows.get(xid).map(label);
            Some((owner.or_else(|| (*xid == Xid::HOST).then(|| (ContextLabel::host(), 0)))?, network))
        })
        .collect();
    networks.sort_by_key(|((_, flags), _)| !stays(*flags));
    let mut claims = Claims::default();
    let mut taken = Vec::new();
    for ((context, own_flags), network) in networks {
        let is_shared = network.rules.has(network_flag::SHARED);
        for address in &network.addresses {
            match claims.overlapping(address) {
                None => claims.insert(*address, (context.clone(), own_flags, is_shared)),
                Some((other, (_, _, true))) if is_shared && other == address => {}
                // What confines addresses only is the host's in all else, and may have the host's.
                Some((_, (by, flags, _)))
                    if is_hosts_own((by, *flags), &context) || is_hosts_own((&context, own_flags), by) => {}
                Some((other, (by, flags, _))) => taken.push(AddressTaken {
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
