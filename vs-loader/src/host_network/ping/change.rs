//! Rules and routes are added and removed.

use std::fmt;
use std::io;

use super::{Entry, Routing, Rule, TableRoute};
use crate::host_network::HostNetworkError;

/// Something with the mark that could not be removed.
#[derive(Debug)]
pub struct Remnant {
    /// What.
    pub entry: Entry,
    /// Why not.
    pub cause: io::Error,
}

impl fmt::Display for Remnant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot remove {}: {}; the next vs load or vs unload does", self.entry, self.cause)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(Rule { is_v4, mark, mask, table, .. }) => {
                let family = if *is_v4 { "IPv4" } else { "IPv6" };
                write!(f, "the {family} rule for the mark {mark:#x}/{mask:#x}")?;
                table.map_or(Ok(()), |table| write!(f, ", table {table:#x}"))
            }
            Self::Route(TableRoute { table, destination, .. }) => {
                write!(f, "the route to {destination} of table {table:#x}")
            }
        }
    }
}

/// Adds all, or none: the first that fails ends it, and those before it are removed. What is there already is left alone.
///
/// # Errors
/// The kernel refused one, and what could not be removed of those before it.
pub fn put_entries(
    kernel: &mut dyn Routing,
    entries: &[Entry],
) -> Result<Vec<Entry>, (HostNetworkError, Vec<Remnant>)> {
    let mut added = Vec::new();
    for entry in entries {
        match kernel.add_entry(entry) {
            Ok(()) => added.push(entry.clone()),
            Err(cause) if cause.raw_os_error() == Some(libc::EEXIST) => {}
            Err(cause) => {
                // Routes before their rules.
                added.reverse();
                let left = take_entries(kernel, &added);
                return Err((HostNetworkError::Entry { entry: entry.clone(), cause }, left));
            }
        }
    }
    added.reverse();
    Ok(added)
}

/// Removes all that can be removed, in this order. Returns what is left.
pub fn take_entries(kernel: &mut dyn Routing, entries: &[Entry]) -> Vec<Remnant> {
    let mut left = Vec::new();
    for entry in entries {
        match kernel.remove_entry(entry) {
            Ok(()) => {}
            // It is gone: with its interface, or with the address that it names.
            Err(cause) if matches!(cause.raw_os_error(), Some(libc::ENOENT | libc::ESRCH | libc::ENODEV)) => {
            }
            Err(cause) => left.push(Remnant { entry: entry.clone(), cause }),
        }
    }
    left
}
