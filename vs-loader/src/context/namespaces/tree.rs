//! A context's own mount tree: a copy of the host's, from which everything that shows or steers the kernel is taken out, and
//! into which an own `/proc`, `/sys`, `/dev` and `/run` are put.
//!
//! The order is: cut off from the host's tree (private, not slave: nothing mounted later comes in); take out; make device nodes
//! dead everywhere; put in; read the result back and refuse it if anything of the host's is left. `/run` is empty because the
//! sockets in it (`/run/systemd/private`, `/run/dbus/system_bus_socket`, `/run/docker.sock`) are doors to processes that act as
//! the host for whoever asks as uid 0. Nobody inside has the capability to undo any of it, and the `sb_mount` hook refuses even
//! where a mistake left it.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{MountAttrFlags, MountPropagationFlags, OpenTreeFlags, UnmountFlags};
use vs_common::filesystem::FileKey;

use super::fresh::{self, HARMLESS, MountError};
use super::mountinfo::{self, Mount, MountinfoError};
use super::{devices, filesystems, procfs, resolver};
use crate::compile::files::{Files, root_of};
use crate::context::registry::Context;
use crate::context::syscall;
use crate::host_files;
use crate::maps::apply::files_of;
use crate::maps::store::{Store, StoreError};
use filesystems::Fate;

/// How an own `/proc` shows only the context's processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::context) enum Visibility {
    /// It belongs to the context's PID namespace.
    Namespace,
    /// It belongs to the host's, and shows what the reader may trace (`hidepid=ptraceable`).
    PtraceableOnly,
}

/// Why a mount tree could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A step failed.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The kernel's list of mounts could not be understood.
    #[error(transparent)]
    Mountinfo(#[from] MountinfoError),
    /// A mount of the host's cannot be taken out.
    #[error("the host's {filesystem} on {} cannot be detached; unmount what covers it, or it, on the host", .place.display())]
    Stuck {
        /// Its type.
        filesystem: String,
        /// Where.
        place: PathBuf,
    },
    /// The directory that is to be the root is not the one that policy gave.
    #[error("the directory {} is not the one that was given to the context when policy was loaded; load the policy again", .0.display())]
    OtherRoot(PathBuf),
    /// The root has no place for what every tree has.
    #[error("the root {} has no directory {missing}; make it, for a mount of the context's own", .root.display())]
    RootLacks {
        /// The root.
        root: PathBuf,
        /// What it lacks.
        missing: &'static str,
    },
    /// Something of the host's is left in the finished tree.
    #[error("{what} on {} is left in the context's tree", .place.display())]
    Left {
        /// What is wrong with it.
        what: String,
        /// Where.
        place: PathBuf,
    },
}

/// Everything below these directories goes, whatever its type; they get a mount of our own.
const REPLACED: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];

/// How many times the list of mounts is read again while something is left to detach.
const ROUNDS: usize = 64;

/// Directories for files that nobody keeps. A context that has its own files has its own of these.
pub(in crate::context) const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// Where a tree is to begin, if not where the host's does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::context) struct Root {
    /// Its path in the host's tree.
    pub path: PathBuf,
    /// The numbers by which policy knows it.
    pub key: FileKey,
}

impl Root {
    /// The root of a context, if policy in force gives it one.
    ///
    /// # Errors
    /// The kernel refused.
    pub(in crate::context) fn of(store: &dyn Store, context: &Context) -> Result<Option<Self>, StoreError> {
        Ok(Self::among(&files_of(store, store.epoch()?)?, context))
    }

    /// The same, among the directories in force.
    pub(in crate::context) fn among(files: &Files, context: &Context) -> Option<Self> {
        root_of(files, context.xid).map(|(key, path)| Self { path: path.into(), key })
    }
}

/// A mount tree that is finished.
#[derive(Debug)]
pub(in crate::context) struct Tree {
    /// What the administrator should know: which mounts the context does not get because nobody knows their type.
    pub notices: Vec<String>,
    /// The roots of the file systems in memory that were made for it.
    pub own: Vec<OwnedFd>,
}

/// Turns the caller's mount namespace, which must be a new one with the host's tree, into a context's. `temporary`: which of [`TEMPORARY`] are
/// to be its own. `root`: where it begins.
///
/// # Errors
/// A step failed, or something of the host's is left: the namespace must not be used.
pub(in crate::context) fn build(
    visibility: Visibility,
    temporary: &[&str],
    root: Option<&Root>,
) -> Result<Tree, TreeError> {
    let host_proc = fresh::directory(CWD, "/proc")?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(MountError::at("make private the mounts below", "/"))?;
    let resolver_files = resolver::collect()?;
    if let Some(root) = root {
        begin_at(root)?;
    }
    let notices = detach_the_hosts(&host_proc)?;
    syscall::set_mount_attributes(
        fresh::root()?.as_fd(),
        MountAttrFlags::MOUNT_ATTR_NODEV.bits().into(),
        true,
    )
    .map_err(MountError::at("forbid device nodes below", "/"))?;

    let devices = devices::mount()?;
    let proc = procfs::mount(visibility)?;
    procfs::restrict(proc.as_fd(), devices.directory.as_fd(), visibility)?;
    let sys = procfs::mount_sys()?;
    mount_run(&resolver_files)?;
    for path in temporary {
        mount_temporary(path)?;
    }
    rustix::process::chdir("/").map_err(MountError::at("change into", "/"))?;

    let own = Own {
        proc: fresh::device(proc.as_fd())?,
        devices: fresh::device(devices.directory.as_fd())?,
        terminals: fresh::mount_id(devices.terminals.as_fd())?,
        sys: sys.as_ref().map(|sys| fresh::mount_id(sys.as_fd())).transpose()?,
    };
    let on_devices = read_below(&proc, "filesystems")?;
    let on_devices = String::from_utf8_lossy(&on_devices);
    match first_left(&mounts(&proc)?, &own, &filesystems::on_devices(&on_devices)) {
        None => Ok(Tree { notices, own: own_directories(temporary)? }),
        Some(left) => Err(left),
    }
}

/// Makes a directory the root of this mount namespace: the host's tree above it is gone, and nothing in the namespace leads there
/// (`fs/namespace.c:pivot_root`).
fn begin_at(root: &Root) -> Result<(), TreeError> {
    let path = root.path.display().to_string();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat2(CWD, &root.path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        .map_err(MountError::at("open the root", path.clone()))?;
    if !host_files::is_given(&directory, &root.key)
        .map_err(MountError::at("look at the root", path.clone()))?
    {
        return Err(TreeError::OtherRoot(root.path.clone()));
    }
    for missing in ["dev", "proc", "sys"] {
        if fresh::directory(&directory, missing).is_err_and(|error| error.is_not_found()) {
            return Err(TreeError::RootLacks { root: root.path.clone(), missing });
        }
    }
    // A root must be a mount. What is mounted below comes with it.
    let tree = rustix::mount::open_tree(
        &directory,
        "",
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_EMPTY_PATH,
    )
    .map_err(MountError::at("make a mount of", path.clone()))?;
    fresh::attach(&tree, &directory, &path)?;
    rustix::process::fchdir(&tree)
        .and_then(|()| rustix::process::pivot_root(".", "."))
        // The old root lies over the new one until it is detached (pivot_root(2)).
        .and_then(|()| rustix::mount::unmount(".", UnmountFlags::DETACH))
        .and_then(|()| rustix::process::chdir("/"))
        .map_err(MountError::at("begin the tree at", path))?;
    Ok(())
}

/// Detaches, from the leaves on, every mount that a context's tree does not keep.
fn detach_the_hosts(host_proc: &OwnedFd) -> Result<Vec<String>, TreeError> {
    let listing = read_below(host_proc, "filesystems")?;
    let listing = String::from_utf8_lossy(&listing);
    let on_devices = filesystems::on_devices(&listing);
    // The mount is addressed through /proc/self/fd of the host's /proc, which has no name any more when it is its turn.
    rustix::process::fchdir(host_proc).map_err(MountError::at("change into", "/proc"))?;
    let mut notices = Vec::new();
    for round in 0..ROUNDS {
        let all = mounts(host_proc)?;
        let doomed: Vec<_> = all.iter().filter(|mount| is_doomed(mount, &on_devices)).collect();
        if round == 0 {
            notices = unknown(&doomed, &on_devices);
        }
        let Some(last) = doomed.last() else { return Ok(notices) };
        let stuck = || TreeError::Stuck { filesystem: last.filesystem.clone(), place: last.place.clone() };
        // The kernel lists parents before children and a lower mount before the one that covers it.
        let mut detached = 0;
        for mount in doomed.iter().rev() {
            detached += usize::from(detach(mount)?);
        }
        if detached == 0 {
            return Err(stuck());
        }
    }
    Err(TreeError::Stuck { filesystem: "mounts".to_owned(), place: "/".into() })
}

fn unknown(doomed: &[&Mount], on_devices: &HashSet<&str>) -> Vec<String> {
    let unknown = doomed
        .iter()
        .filter(|mount| filesystems::fate(&mount.filesystem, on_devices) == Fate::DetachedUnknown);
    let notice = |mount: &&Mount| {
        format!(
            "the context does not get {}: it is of the type {}, which is not known to hold data",
            mount.place.display(),
            mount.filesystem
        )
    };
    unknown.map(notice).collect()
}

fn is_doomed(mount: &Mount, on_devices: &HashSet<&str>) -> bool {
    REPLACED.iter().any(|place| mount.place.starts_with(place))
        || filesystems::fate(&mount.filesystem, on_devices) != Fate::Kept
}

/// Detaches one mount, if its path leads to it now: while another covers it, or the path has changed, it does not.
fn detach(mount: &Mount) -> Result<bool, TreeError> {
    let opened = rustix::fs::openat2(
        CWD,
        &mount.place,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS,
    );
    let Ok(file) = opened else { return Ok(false) };
    if fresh::mount_id(file.as_fd())? != mount.id {
        return Ok(false);
    }
    let link = format!("self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    rustix::mount::unmount(link, UnmountFlags::DETACH)
        .map_err(MountError::at("detach", mount.place.display().to_string()))?;
    Ok(true)
}

/// Mounts an empty `/run`. No error where there is none: then nothing of the host's is in it.
fn mount_run(resolver_files: &[resolver::ResolverFile]) -> Result<(), TreeError> {
    let target = match fresh::directory(CWD, "/run") {
        Err(error) if error.is_not_found() => return Ok(()),
        result => result?,
    };
    let attributes = HARMLESS.difference(MountAttrFlags::MOUNT_ATTR_NOEXEC);
    let run = fresh::filesystem("tmpfs", &[("mode", "0755")], attributes)?;
    rustix::fs::mkdirat(&run, "lock", Mode::from_raw_mode(0o1777))
        .and_then(|()| {
            rustix::fs::chmodat(&run, "lock", Mode::from_raw_mode(0o1777), rustix::fs::AtFlags::empty())
        })
        .map_err(MountError::at("make the directory", "/run/lock"))?;
    resolver::write(&run, resolver_files)?;
    fresh::attach(run, target, "/run")?;
    Ok(())
}

/// Mounts an empty directory that everybody may write to over one that the host has; no error where it has none, or a link to another one
/// (`/var/tmp`, on some systems).
fn mount_temporary(path: &str) -> Result<(), TreeError> {
    let target = match fresh::directory(CWD, path) {
        Err(error) if error.is_not_found() || error.is_link() => return Ok(()),
        result => result?,
    };
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    fresh::attach(fresh::filesystem("tmpfs", &[("mode", "1777")], attributes)?, target, path)?;
    Ok(())
}

/// The roots of the mounts in memory that are ours, in a finished tree.
fn own_directories(temporary: &[&str]) -> Result<Vec<OwnedFd>, TreeError> {
    let mut own = Vec::new();
    for path in ["/dev", "/dev/shm", "/run"].iter().chain(temporary) {
        match fresh::directory(CWD, path) {
            Ok(directory) => own.push(directory),
            Err(error) if error.is_not_found() || temporary.contains(path) && error.is_link() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(own)
}

/// What in the finished tree is ours.
#[derive(Clone, Copy, Debug)]
struct Own {
    proc: (u32, u32),
    devices: (u32, u32),
    terminals: u64,
    sys: Option<u64>,
}

/// The first mount that must not be in a context's tree.
fn first_left(mounts: &[Mount], own: &Own, on_devices: &HashSet<&str>) -> Option<TreeError> {
    mounts.iter().find_map(|mount| {
        let is_ours = match mount.filesystem.as_str() {
            "proc" => mount.device == own.proc,
            "sysfs" => Some(mount.id) == own.sys,
            "devpts" => mount.id == own.terminals,
            other => filesystems::fate(other, on_devices) == Fate::Kept,
        };
        let may_have_devices = mount.device == own.devices || mount.id == own.terminals;
        let what = if !is_ours {
            format!("the host's {}", mount.filesystem)
        } else if !may_have_devices && !mount.options.iter().any(|option| option == "nodev") {
            "a mount with device nodes".to_owned()
        } else if !mount.propagation.is_empty() {
            "a mount that follows the host's".to_owned()
        } else {
            return None;
        };
        Some(TreeError::Left { what, place: mount.place.clone() })
    })
}

fn mounts(proc: &OwnedFd) -> Result<Vec<Mount>, TreeError> {
    Ok(mountinfo::parse(&read_below(proc, "self/mountinfo")?)?)
}

fn read_below(directory: &OwnedFd, path: &str) -> Result<Vec<u8>, MountError> {
    let read = || -> std::io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mut file = fs::File::from(rustix::fs::openat(directory, path, flags, Mode::empty())?);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(MountError::at("read", Path::new("/proc").join(path).display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Own = Own { proc: (0, 50), devices: (0, 51), terminals: 60, sys: Some(61) };

    fn left(lines: &str) -> Option<String> {
        let mounts = mountinfo::parse(lines.as_bytes()).unwrap();
        first_left(&mounts, &OWN, &filesystems::on_devices("\text4\n")).map(|error| error.to_string())
    }

    const FINISHED: &str = "\
        40 1 254:0 / / rw,nodev,relatime - ext4 /dev/vda rw\n\
        51 40 0:51 / /dev rw,nosuid,noexec - tmpfs tmpfs rw\n\
        60 51 0:52 / /dev/pts rw,nosuid,noexec - devpts devpts rw\n\
        62 40 0:50 / /proc rw,nosuid,nodev,noexec - proc proc rw\n\
        63 62 0:50 /sys /proc/sys ro,nosuid,nodev,noexec - proc proc rw\n\
        64 62 0:51 /null /proc/kcore ro,nosuid,noexec - tmpfs tmpfs rw\n\
        61 40 0:22 / /sys ro,nosuid,nodev,noexec - sysfs sysfs rw\n";

    #[test]
    fn a_finished_tree_passes() {
        assert_eq!(left(FINISHED), None);
    }

    #[test]
    fn whatever_is_the_hosts_is_named() {
        for (line, expected) in [
            ("70 40 0:21 / /srv/a/proc rw,nodev - proc proc rw\n", "the host's proc on /srv/a/proc"),
            ("70 40 0:22 / /srv/a/sys ro,nodev - sysfs sysfs rw\n", "the host's sysfs on /srv/a/sys"),
            ("70 40 0:24 / /srv/pts rw,nodev - devpts devpts rw\n", "the host's devpts on /srv/pts"),
            ("70 40 0:6 / /srv/dev rw,nodev - devtmpfs udev rw\n", "the host's devtmpfs on /srv/dev"),
            ("70 40 0:9 / /srv/x rw,nodev - newfs newfs rw\n", "the host's newfs on /srv/x"),
            ("70 40 254:1 / /srv rw - ext4 /dev/vdb rw\n", "a mount with device nodes on /srv"),
            (
                "70 40 254:1 / /srv rw,nodev master:3 - ext4 /dev/vdb rw\n",
                "a mount that follows the host's on /srv",
            ),
        ] {
            let message = left(&format!("{FINISHED}{line}")).unwrap();
            assert_eq!(message, format!("{expected} is left in the context's tree"));
        }
    }

    #[test]
    fn what_lies_below_a_replaced_directory_goes_whatever_it_is() {
        let on_devices = filesystems::on_devices("\text4\n");
        for (place, expected) in [
            ("/run", true),
            ("/run/user/0", true),
            ("/runs", false),
            ("/srv", false),
            ("/dev/hugepages", true),
            ("/", false),
        ] {
            let line = format!("1 0 0:1 / {place} rw - tmpfs t rw\n");
            let mounts = mountinfo::parse(line.as_bytes()).unwrap();
            assert_eq!(is_doomed(&mounts[0], &on_devices), expected, "{place}");
        }
    }
}
