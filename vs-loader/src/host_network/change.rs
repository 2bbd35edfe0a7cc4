//! Addresses are put on interfaces and taken away again.

use std::fmt;
use std::io;

use super::plan::Addition;
use super::{HostNetworkError, Interfaces, Placement};

/// An address with the mark that could not be removed.
#[derive(Debug)]
pub struct Leftover {
    /// What and where.
    pub placement: Placement,
    /// Why not.
    pub cause: io::Error,
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { placement, cause } = self;
        write!(
            f,
            "cannot remove {placement}: {cause}; the next vs load or vs unload does, or `ip address del {} dev {}`",
            super::Single(placement.address),
            placement.link_name
        )
    }
}

/// Adds all, or none: the first that fails ends it, and those before it are removed. Returns what was added.
///
/// # Errors
/// The kernel refused one, and what could not be removed of those before it.
pub fn put(
    interfaces: &mut dyn Interfaces,
    additions: &[Addition],
) -> Result<Vec<Placement>, (HostNetworkError, Vec<Leftover>)> {
    let mut added = Vec::new();
    for Addition { placement, context, is_optional, .. } in additions {
        let Err(cause) = interfaces.add(placement) else {
            added.push(placement.clone());
            continue;
        };
        let number = cause.raw_os_error();
        // Somebody was faster, and whoever adds an address keeps it.
        let is_there = number == Some(libc::EEXIST);
        // `ipv6.disable=1`: nobody answers for the family; `net.ipv6.conf.lo.disable_ipv6=1`: `ipv6_add_addr` refuses.
        let has_no_ipv6 = matches!(number, Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EACCES));
        if is_there || (*is_optional && has_no_ipv6) {
            continue;
        }
        let error = HostNetworkError::Add { context: context.clone(), placement: placement.clone(), cause };
        return Err((error, take_away(interfaces, &added)));
    }
    Ok(added)
}

/// Removes all that can be removed. Returns what is left.
pub fn take_away(interfaces: &mut dyn Interfaces, placements: &[Placement]) -> Vec<Leftover> {
    let mut left = Vec::new();
    for placement in placements {
        match interfaces.remove(placement) {
            Ok(()) => {}
            // The address, or the interface with it, is gone.
            Err(cause) if matches!(cause.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => {}
            Err(cause) => left.push(Leftover { placement: placement.clone(), cause }),
        }
    }
    left
}

/// All addresses with the mark.
///
/// # Errors
/// They cannot be listed.
pub fn marked(interfaces: &mut dyn Interfaces) -> Result<Vec<Placement>, HostNetworkError> {
    let host = interfaces.list()?;
    Ok(host.addresses.iter().filter(|at| at.is_marked()).map(|at| host.placement(at)).collect())
}
