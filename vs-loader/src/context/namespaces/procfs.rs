//! A context's own `/proc` and `/sys`.
//!
//! What stands at the top of `/proc` and is no process is for reading only: the rule goes by what it finds (every directory,
//! every file with a write bit), so that a kernel's new knob is not left open. Some of it is hidden altogether ([`HIDDEN`]).
//! Entries that a module adds after the context's start are not covered; writing to them needs a capability that no context
//! has, or the module's own carelessness.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};

use super::fresh::{self, HARMLESS, MountError, READ_ONLY};
use super::tree::Visibility;

/// Entries of `/proc` that a context has no business with: kernel memory and addresses, the kernel's log, keys, and lists of
/// what processes outside do.
const HIDDEN: [&str; 16] = [
    "acpi",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
    "vmcore",
];

/// Entries that print process ids of the reader's PID namespace: with the host's they would list foreign ones. In a PID
/// namespace of its own a context sees its own processes in them (`fs/locks.c:locks_show`, `ipc/shm.c:sysvipc_shm_proc_show`).
const HIDDEN_WITHOUT_PID_NAMESPACE: [&str; 2] = ["locks", "sysvipc"];

/// Directories of `/sys` that are hidden: firmware tables, and power meters fine enough to read a neighbour's secrets.
const HIDDEN_IN_SYS: [&str; 2] = ["firmware", "devices/virtual/powercap"];

/// Whether an entry at the top of `/proc` is hidden.
fn is_hidden(name: &str, visibility: Visibility) -> bool {
    HIDDEN.contains(&name)
        || (visibility == Visibility::PtraceableOnly && HIDDEN_WITHOUT_PID_NAMESPACE.contains(&name))
}

/// What is done about an entry at the top of `/proc`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Treatment {
    Left,
    ReadOnly,
    Hidden,
}

fn treatment(name: &str, kind: FileType, mode: u32, visibility: Visibility) -> Treatment {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Treatment::Left;
    }
    match kind {
        FileType::Directory | FileType::RegularFile if is_hidden(name, visibility) => Treatment::Hidden,
        FileType::Directory => Treatment::ReadOnly,
        FileType::RegularFile if mode & 0o222 != 0 => Treatment::ReadOnly,
        // `self`, `thread-self`, `mounts` and `net` are links to the reader's own process.
        _ => Treatment::Left,
    }
}

/// Mounts `/proc`. Must run in the PID namespace that it is to show.
///
/// # Errors
/// The kernel refused.
pub(super) fn mount(visibility: Visibility) -> Result<OwnedFd, MountError> {
    let target = fresh::directory(CWD, "/proc")?;
    let options: &[(&str, &str)] = match visibility {
        Visibility::Namespace => &[],
        Visibility::PtraceableOnly => &[("hidepid", "ptraceable")],
    };
    let proc = fresh::filesystem("proc", options, HARMLESS)?;
    fresh::attach(proc.as_fd(), target, "/proc")?;
    Ok(proc)
}

/// Makes all of `/proc` but the processes read-only, and hides some of it. `devices` is `/dev`, whose `null` covers files.
///
/// # Errors
/// The kernel refused.
pub(super) fn restrict(
    proc: BorrowedFd<'_>,
    devices: BorrowedFd<'_>,
    visibility: Visibility,
) -> Result<(), MountError> {
    // Listed in an instance that nobody keeps: listing makes a dentry for every process, and one that is there is refused with
    // EPERM by `hidepid=ptraceable` where one that is not is ENOENT (`fs/proc/base.c:proc_pid_permission`, `proc_pid_lookup`).
    let listed = fresh::filesystem("proc", &[], HARMLESS)?;
    for (name, kind, mode) in entries(listed.as_fd())? {
        let path = format!("/proc/{name}");
        match treatment(&name, kind, mode, visibility) {
            Treatment::Left => {}
            Treatment::ReadOnly => fresh::bind(proc, &name, entry(proc, &name)?, &path, READ_ONLY)?,
            Treatment::Hidden if kind == FileType::Directory => {
                fresh::attach(empty_directory()?, entry(proc, &name)?, &path)?;
            }
            Treatment::Hidden => {
                // A device node works on a read-only mount; what does not is changing its mode.
                let attributes = READ_ONLY.difference(rustix::mount::MountAttrFlags::MOUNT_ATTR_NODEV);
                fresh::bind(devices, "null", entry(proc, &name)?, &path, attributes)?;
            }
        }
    }
    Ok(())
}

/// Mounts `/sys` read-only, without what the host has mounted below it. No error where there is no `/sys`: then there is
/// nothing to hide.
///
/// # Errors
/// The kernel refused.
pub(super) fn mount_sys() -> Result<Option<OwnedFd>, MountError> {
    let target = match fresh::directory(CWD, "/sys") {
        Err(error) if error.is_not_found() => return Ok(None),
        result => result?,
    };
    let sys = fresh::filesystem("sysfs", &[], READ_ONLY)?;
    fresh::attach(sys.as_fd(), target, "/sys")?;
    for path in HIDDEN_IN_SYS {
        match fresh::directory(&sys, path) {
            Ok(hidden) => fresh::attach(empty_directory()?, hidden, path)?,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(sys))
}

fn empty_directory() -> Result<OwnedFd, MountError> {
    fresh::filesystem("tmpfs", &[("mode", "0555"), ("size", "4k")], READ_ONLY)
}

fn entry(proc: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, MountError> {
    rustix::fs::openat(proc, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(MountError::at("open", format!("/proc/{name}")))
}

fn entries(proc: BorrowedFd<'_>) -> Result<Vec<(String, FileType, u32)>, MountError> {
    let listing = || -> rustix::io::Result<Vec<(String, FileType, u32)>> {
        let readable = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut entries = Vec::new();
        for entry in Dir::new(rustix::fs::openat(proc, ".", readable, Mode::empty())?)? {
            let entry = entry?;
            // Process ids and the kernel's own names are ASCII; of any other nobody could say what it is.
            let name = entry.file_name().to_str().map_err(|_| rustix::io::Errno::ILSEQ)?.to_owned();
            if name == "." || name == ".." {
                continue;
            }
            let facts = match rustix::fs::statat(proc, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                // A process that ended meanwhile.
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::SRCH) => continue,
                facts => facts?,
            };
            entries.push((name, FileType::from_raw_mode(facts.st_mode), facts.st_mode));
        }
        Ok(entries)
    };
    listing().map_err(MountError::at("list", "/proc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn treated(name: &str, kind: FileType, mode: u32) -> Treatment {
        treatment(name, kind, mode, Visibility::Namespace)
    }

    #[test]
    fn processes_and_links_are_left() {
        assert_eq!(treated("1", FileType::Directory, 0o555), Treatment::Left);
        assert_eq!(treated("self", FileType::Symlink, 0o777), Treatment::Left);
        assert_eq!(treated("net", FileType::Symlink, 0o777), Treatment::Left);
        assert_eq!(treated("meminfo", FileType::RegularFile, 0o444), Treatment::Left);
    }

    #[test]
    fn what_can_be_written_is_read_only_whatever_its_name() {
        for name in ["sys", "irq", "bus", "fs", "a-directory-of-next-year"] {
            assert_eq!(treated(name, FileType::Directory, 0o555), Treatment::ReadOnly, "{name}");
        }
        assert_eq!(treated("sysrq-trigger", FileType::RegularFile, 0o200), Treatment::ReadOnly);
        assert_eq!(treated("a-knob-of-next-year", FileType::RegularFile, 0o644), Treatment::ReadOnly);
    }

    #[test]
    fn kernel_memory_is_hidden_and_foreign_process_ids_where_there_is_no_namespace() {
        assert_eq!(treated("kcore", FileType::RegularFile, 0o400), Treatment::Hidden);
        assert_eq!(treated("scsi", FileType::Directory, 0o555), Treatment::Hidden);
        assert_eq!(treated("locks", FileType::RegularFile, 0o444), Treatment::Left);
        let treated = |name| treatment(name, FileType::RegularFile, 0o444, Visibility::PtraceableOnly);
        assert_eq!(treated("locks"), Treatment::Hidden);
    }
}
