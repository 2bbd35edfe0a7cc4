//! [`Interfaces`] of the running kernel.

use std::io;

use super::message;
use super::ping::{self, Entry, Routing, Rule, TableRoute};
use super::{HostNetwork, HostNetworkError, Interfaces, Placement, Route, route};
use crate::netlink::{ATTEMPTS, Netlink, Protocol};

/// A socket to the kernel's rtnetlink. It answers for the network namespace that the caller was in when it was opened.
#[derive(Debug)]
pub struct Rtnetlink {
    kernel: Netlink,
}

impl Rtnetlink {
    /// Opens one.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn open() -> Result<Self, HostNetworkError> {
        let kernel = Netlink::open(Protocol::Route).map_err(HostNetworkError::Socket)?;
        Ok(Self { kernel })
    }

    /// Lists all of one kind.
    fn whole_list<T>(
        &mut self,
        what: &'static str,
        question: fn(u32) -> Vec<u8>,
        read: impl FnMut(u16, &[u8]) -> io::Result<Option<T>>,
    ) -> Result<Vec<T>, HostNetworkError> {
        let list =
            self.kernel.list(question, read).map_err(|cause| HostNetworkError::List { what, cause })?;
        list.ok_or(HostNetworkError::Restless { what, attempts: ATTEMPTS })
    }
}

impl Interfaces for Rtnetlink {
    fn list(&mut self) -> Result<HostNetwork, HostNetworkError> {
        let links = self.whole_list("interfaces", message::list_links, |kind, payload| match kind {
            message::NEW_LINK => message::link(payload).map(Some),
            _ => Ok(None),
        })?;
        let addresses =
            self.whole_list("addresses", message::list_addresses, |kind, payload| match kind {
                message::NEW_ADDRESS => message::address(payload),
                _ => Ok(None),
            })?;
        Ok(HostNetwork { links, addresses })
    }

    fn routes(&mut self) -> Result<Vec<Route>, HostNetworkError> {
        self.whole_list("routes", message::list_routes, |kind, payload| match kind {
            message::NEW_ROUTE => route::route(payload),
            _ => Ok(None),
        })
    }

    fn add(&mut self, placement: &Placement) -> io::Result<()> {
        self.kernel.order(|sequence| message::add(placement, sequence))
    }

    fn remove(&mut self, placement: &Placement) -> io::Result<()> {
        self.kernel.order(|sequence| message::remove(placement, sequence))
    }
}

impl Routing for Rtnetlink {
    fn marked_rules(&mut self) -> Result<Vec<Rule>, HostNetworkError> {
        self.whole_list("rules", ping::message::list_rules, |kind, payload| match kind {
            ping::message::NEW_RULE => ping::message::rule(payload),
            _ => Ok(None),
        })
    }

    fn marked_routes(&mut self) -> Result<Vec<TableRoute>, HostNetworkError> {
        self.whole_list("routes", message::list_routes, |kind, payload| match kind {
            message::NEW_ROUTE => ping::message::route(payload),
            _ => Ok(None),
        })
    }

    fn add_entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.kernel.order(|sequence| ping::message::add(entry, sequence))
    }

    fn remove_entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.kernel.order(|sequence| ping::message::remove(entry, sequence))
    }
}
