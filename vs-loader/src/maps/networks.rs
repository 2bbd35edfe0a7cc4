//! The addresses of an epoch's contexts, in the maps and out of them.
//!
//! Where some context has addresses of its own, each of the others has a row too, which says that it uses the host's: its sockets stay out of
//! the private loopbacks.
//!
//! Each prefix is there twice: on its context's list, and on the list that says whose an address is, which has the xid of the host.

use std::collections::BTreeSet;

use vs_common::id::{Epoch, Xid};
use vs_common::network::{AddressKey, NetworkRules, network_flag};
use vs_common::policy_entry::ContextKey;

use super::store::{Store, StoreError};
use crate::compile::Rows;
use crate::compile::network::{Network, Networks, Prefix};

/// The addresses of an epoch's contexts.
///
/// # Errors
/// The kernel refused.
pub fn networks_of<S: Store + ?Sized>(store: &S, epoch: Epoch) -> Result<Networks, StoreError> {
    let mut networks = Networks::new();
    for (key, rules) in store.network_rows()? {
        if key.epoch == epoch && !rules.has(network_flag::HOST) {
            networks.insert(key.xid, Network { rules, addresses: BTreeSet::new() });
        }
    }
    for (key, length, _) in store.address_rows()? {
        if key.epoch == epoch
            && let Some(network) = networks.get_mut(&key.xid)
        {
            network.addresses.insert(Prefix { address: key.address, length });
        }
    }
    Ok(networks)
}

/// Writes the addresses of an epoch's contexts, and which of them use the host's.
///
/// # Errors
/// The kernel refused, or a map is full.
pub(super) fn put_networks<S: Store>(
    store: &mut S,
    rows: &Rows,
    networks: &Networks,
    epoch: Epoch,
) -> Result<(), StoreError> {
    for (xid, rules) in rows.iter().filter(|(xid, _)| !networks.is_empty() && !networks.contains_key(xid)) {
        let rules = NetworkRules {
            generation: rules.generation,
            flags: network_flag::HOST,
            ..NetworkRules::default()
        };
        store.put_network_rules(ContextKey { epoch, xid: *xid }, &rules)?;
    }
    for (xid, network) in networks {
        store.put_network_rules(ContextKey { epoch, xid: *xid }, &network.rules)?;
        for Prefix { address, length } in &network.addresses {
            for list in [*xid, Xid::HOST] {
                store.put_address(AddressKey { epoch, xid: list, address: *address }, *length, *xid)?;
            }
        }
    }
    Ok(())
}

/// Removes the addresses of the epochs that are asked for.
///
/// # Errors
/// The kernel refused.
pub(super) fn remove_networks<S: Store>(
    store: &mut S,
    is_gone: impl Fn(Epoch) -> bool,
) -> Result<(), StoreError> {
    for (key, _) in store.network_rows()? {
        if is_gone(key.epoch) {
            store.remove_network_rules(key)?;
        }
    }
    for (key, length, _) in store.address_rows()? {
        if is_gone(key.epoch) {
            store.remove_address(key, length)?;
        }
    }
    Ok(())
}
