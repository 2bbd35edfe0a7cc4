//! What the kernel's maps and /proc know about the numbers in a record: [`Lookup`] for the collector.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, open, readlinkat, statx};
use vs_common::id::{Epoch, Generation, Xid};
use vs_common::limits::MAX_CONTEXT_ROWS;
use vs_common::policy_entry::{ContextKey, ContextRules};

use crate::maps::store::Store;

use super::device::Device;
use super::enrich::Lookup;
use super::printable::Printable;

/// Uses of contexts that are remembered; beyond them all are forgotten and asked for anew.
const MAX_NAMES: usize = 4 * MAX_CONTEXT_ROWS as usize;
/// Bytes of an executable's path that a record carries; of a longer one it has only the name.
const MAX_PATH: usize = 1024;

/// Names of contexts, remembered beyond the rows they came from: records of the last epoch are still in the ring when a load
/// removes its rows.
#[derive(Debug)]
pub struct Names {
    known: HashMap<(Xid, Generation), (Epoch, Printable)>,
    proc: PathBuf,
}

impl Names {
    /// Nothing known yet; processes are looked up in the procfs mounted at `proc`.
    pub fn new(proc: impl Into<PathBuf>) -> Self {
        Self { known: HashMap::new(), proc: proc.into() }
    }

    /// The names over these maps.
    pub fn over<'a>(&'a mut self, store: &'a dyn Store) -> StoreNames<'a> {
        StoreNames { names: self, store }
    }

    fn remember(&mut self, epoch: Epoch, xid: Xid, rules: &ContextRules) -> Printable {
        if self.known.len() >= MAX_NAMES {
            self.known.clear();
        }
        let name = Printable::from_padded(&rules.name);
        self.known.insert((xid, rules.generation), (epoch, name.clone()));
        name
    }
}

/// See [`Names::over`].
pub struct StoreNames<'a> {
    names: &'a mut Names,
    store: &'a dyn Store,
}

impl StoreNames<'_> {
    /// A map that cannot be read makes a record without a name, not one less: the number is in it, and the collector's poll of the
    /// same maps reports the failure.
    fn row(&self, epoch: Epoch, xid: Xid) -> Option<ContextRules> {
        self.store.context_rules(ContextKey { epoch, xid }).ok().flatten()
    }
}

impl Lookup for StoreNames<'_> {
    fn name(&mut self, epoch: Epoch, xid: Xid, generation: Generation) -> Option<Printable> {
        if let Some((known_in, name)) = self.names.known.get(&(xid, generation))
            && *known_in == epoch
        {
            return Some(name.clone());
        }
        match self.row(epoch, xid) {
            Some(rules) if rules.generation == generation => Some(self.names.remember(epoch, xid, &rules)),
            // The row is gone or speaks of another use of the number: what was known of this use before still holds.
            _ => self.names.known.get(&(xid, generation)).map(|(_, name)| name.clone()),
        }
    }

    fn current(&mut self, xid: Xid) -> Option<(Generation, Printable)> {
        let epoch = self.store.epoch().ok()?;
        let rules = self.row(epoch, xid)?;
        Some((rules.generation, self.names.remember(epoch, xid, &rules)))
    }

    fn executable_path(&mut self, tgid: u32, device: Device, inode: u64) -> Option<Printable> {
        executable_path(&self.names.proc, tgid, device, inode)
    }
}

/// The link and the inode are read through one descriptor, so they belong together even if the process executes something else
/// meanwhile or its number is given to another. The path is what the kernel says, in the process's own mount tree, with
/// " (deleted)" behind it where the file has no name any more.
///
/// `stat` gives another device than the superblock's on btrfs and, for some files, on overlayfs: there is no path then.
fn executable_path(proc: &Path, tgid: u32, device: Device, inode: u64) -> Option<Printable> {
    if tgid == 0 {
        return None;
    }
    let link = proc.join(tgid.to_string()).join("exe");
    let file = open(link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // Without a sync: a file on FUSE or NFS must not make the collector wait for its server.
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let status = statx(file.as_fd(), c"", flags, StatxFlags::INO).ok()?;
    let is_same = u64::from(status.stx_dev_major) == device.major()
        && u64::from(status.stx_dev_minor) == device.minor()
        && status.stx_ino == inode;
    if !is_same {
        return None;
    }
    let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let path = readlinkat(rustix::fs::CWD, own, Vec::with_capacity(MAX_PATH)).ok()?;
    let bytes = path.as_bytes();
    (bytes.len() <= MAX_PATH).then(|| Printable::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::fs::MetadataExt;

    #[test]
    fn the_path_of_an_executable_that_still_runs() {
        let metadata = std::fs::metadata("/proc/self/exe").unwrap();
        let raw = metadata.st_dev();
        let device = Device(u64::from(rustix::fs::major(raw)) << 20 | u64::from(rustix::fs::minor(raw)));
        let expected = std::fs::read_link("/proc/self/exe").unwrap();
        let path = executable_path(Path::new("/proc"), std::process::id(), device, metadata.st_ino());
        assert_eq!(path.unwrap().as_str(), expected.to_str().unwrap());

        for (device, inode) in [(device, metadata.st_ino() + 1), (Device(device.0 + 1), metadata.st_ino())] {
            assert_eq!(executable_path(Path::new("/proc"), std::process::id(), device, inode), None);
        }
        assert_eq!(executable_path(Path::new("/proc"), 0, device, metadata.st_ino()), None);
        assert_eq!(executable_path(Path::new("/nowhere"), 1, device, metadata.st_ino()), None);
    }
}
