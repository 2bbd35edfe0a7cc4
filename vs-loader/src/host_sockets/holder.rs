//! Which processes hold a socket.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::audit::printable::Printable;

/// A process that holds a socket.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Debug)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// What it calls itself.
    pub comm: Printable,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.comm, self.pid)
    }
}

/// The holders of sockets, by the numbers of their inodes. A process that ends meanwhile, or that the caller may not look at, holds nothing.
pub fn holders_of(inodes: &BTreeSet<u32>) -> BTreeMap<u32, BTreeSet<Holder>> {
    let mut holders: BTreeMap<u32, BTreeSet<Holder>> = BTreeMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // Where nothing is asked for, nobody's descriptors are looked at.
    for pid in pids.filter(|_| !inodes.is_empty()) {
        let process = Path::new("/proc").join(pid.to_string());
        let held: BTreeSet<_> = descriptors(&process).filter(|inode| inodes.contains(inode)).collect();
        if held.is_empty() {
            continue;
        }
        let comm = fs::read(process.join("comm")).unwrap_or_default();
        let comm = Printable::from_bytes(comm.strip_suffix(b"\n").unwrap_or(&comm));
        for inode in held {
            holders.entry(inode).or_default().insert(Holder { pid, comm: comm.clone() });
        }
    }
    holders
}

/// The inodes of the sockets that a process holds.
fn descriptors(process: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}
