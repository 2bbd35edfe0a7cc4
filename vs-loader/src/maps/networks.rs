//! The addresses of an epoch's contexts, in the maps and out of them.
//!
//! Where some context has addresses of its own, each of the others has a row too, which says that it uses the host's: its sockets stay out of
//! the private loopbacks.
//!
//! Each prefix is there twice: on its context's list, and on the list that says whose an address is, which has the xid of the host.

use std::collections::BTreeMap;

use vs_common::id::{Epoch, Xid};
use vs_common::network::{AddressKey, NetworkRules, PortUse, SHARED_OWNER, network_flag};
use vs_common::policy_entry::ContextKey;

use super::store::{Store, StoreError};
use crate::compile::Rows;
use crate::compile::network::{Network, Networks, Prefix};
use crate::compile::port::{PortPrefix, ports_of};

/// The addresses of an epoch's contexts.
///
/// # Errors
/// The kernel refused.
pub fn networks_of<S: Store + ?Sized>(store: &S, epoch: Epoch) -> Result<Networks, StoreError> {
    let mut networks = Networks::new();
    for (key, rules) in store.network_rows()? {
        if key.epoch == epoch && !rules.has(network_flag::HOST) {
            networks.insert(key.xid, Network::bare(rules));
        }
    }
    for (key, length, owner) in store.address_rows()? {
        if key.epoch == epoch
            // On the list that says whose an address is, only the host's own are the host's.
            && (key.xid != Xid::HOST || owner == Xid::HOST)
            && let Some(network) = networks.get_mut(&key.xid)
        {
            network.addresses.insert(Prefix { address: key.address, length });
        }
    }
    let mut ports: BTreeMap<Xid, Vec<PortPrefix>> = BTreeMap::new();
    for (key, prefix) in store.port_rows()? {
        if key.epoch == epoch {
            ports.entry(key.xid).or_default().push(prefix);
        }
    }
    for (xid, network) in &mut networks {
        let rows = || ports.get(xid).into_iter().flatten();
        let has = |flag| network.rules.has(flag);
        network.bind_ports = has(network_flag::BIND_PORTS).then(|| ports_of(PortUse::Bind, rows()));
        network.connect_ports = has(network_flag::CONNECT_PORTS).then(|| ports_of(PortUse::Connect, rows()));
    }
    for (key, length, source) in store.source_rows()? {
        if key.epoch == epoch
            && let Some(network) = networks.get_mut(&key.xid)
        {
            network.sources.insert(Prefix { address: key.address, length }, source);
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
    store.set_host_confined(epoch, networks.contains_key(&Xid::HOST))?;
    for (xid, network) in networks {
        let key = ContextKey { epoch, xid: *xid };
        store.put_network_rules(key, &network.rules)?;
        for prefix @ Prefix { address, length } in &network.addresses {
            let owners = networks.values().filter(|other| other.addresses.contains(prefix)).count();
            let is_hosts = networks.get(&Xid::HOST).is_some_and(|host| host.addresses.contains(prefix));
            // With the host shares who is the host's in all else.
            let owner = if is_hosts {
                Xid::HOST
            } else if owners == 1 {
                *xid
            } else {
                SHARED_OWNER
            };
            for (list, owner) in [(*xid, *xid), (Xid::HOST, owner)] {
                store.put_address(AddressKey { epoch, xid: list, address: *address }, *length, owner)?;
            }
        }
        for ports in network.port_rows() {
            store.put_ports(key, ports)?;
        }
        for (Prefix { address, length }, source) in &network.sources {
            store.put_source(AddressKey { epoch, xid: *xid, address: *address }, *length, *source)?;
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
    for (key, ports) in store.port_rows()? {
        if is_gone(key.epoch) {
            store.remove_ports(key, ports)?;
        }
    }
    for (key, length, _) in store.source_rows()? {
        if is_gone(key.epoch) {
            store.remove_source(key, length)?;
        }
    }
    Ok(())
}
