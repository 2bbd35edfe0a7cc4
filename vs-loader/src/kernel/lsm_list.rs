//! Which LSMs the running kernel asks. A program on a kernel that does not ask `bpf` attaches without an error and never runs.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// `lsm_list_modules(2)`, since 6.8, the same number on every architecture.
const SYS_LSM_LIST_MODULES: libc::c_long = 461;

/// The ids of `include/uapi/linux/lsm.h`.
const NAMES: [(u64, &str); 14] = [
    (100, "capability"),
    (101, "selinux"),
    (102, "smack"),
    (103, "tomoyo"),
    (104, "apparmor"),
    (105, "yama"),
    (106, "loadpin"),
    (107, "safesetid"),
    (108, "lockdown"),
    (109, "bpf"),
    (110, "landlock"),
    (111, "ima"),
    (112, "evm"),
    (113, "ipe"),
];

/// The active LSMs, in the order in which they are asked.
///
/// # Errors
/// The kernel has neither the system call (6.8) nor a readable list in securityfs; the error is the latter's.
pub fn active() -> io::Result<Vec<String>> {
    if let Ok(names) = from_system_call() {
        return Ok(names);
    }
    let mut text = String::new();
    match File::open("/sys/kernel/security/lsm") {
        Ok(mut file) => file.read_to_string(&mut text)?,
        Err(_) => File::from(securityfs_file()?).read_to_string(&mut text)?,
    };
    Ok(parse(&text))
}

fn from_system_call() -> io::Result<Vec<String>> {
    let mut ids = [0_u64; 64];
    let mut size = u32::try_from(size_of_val(&ids)).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `size` bytes of ids and then their real size, both to live locals.
    let count = unsafe { libc::syscall(SYS_LSM_LIST_MODULES, ids.as_mut_ptr(), &raw mut size, 0) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    Ok(ids.iter().take(count).map(|id| name(*id)).collect())
}

fn name(id: u64) -> String {
    let known = NAMES.into_iter().find(|(known, _)| *known == id);
    known.map_or_else(|| format!("lsm-{id}"), |(_, name)| name.to_owned())
}

/// The list from a securityfs that is mounted nowhere: who did not mount it shall not find it mounted afterwards.
fn securityfs_file() -> io::Result<OwnedFd> {
    let context = fsopen("securityfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    Ok(openat(root, "lsm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

fn parse(text: &str) -> Vec<String> {
    text.trim().split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What to put on the kernel's command line so that it asks `bpf` too: the list as it is, and `bpf` behind it.
pub fn command_line_with_bpf(active: &[String]) -> String {
    // The kernel puts `capability` first by itself (`security/security.c:ordered_lsm_parse`).
    let others = active.iter().map(String::as_str).filter(|name| !matches!(*name, "capability" | "bpf"));
    format!("lsm={}", others.chain(["bpf"]).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_securityfs_is_split_at_commas() {
        assert_eq!(parse("lockdown,capability,bpf\n"), ["lockdown", "capability", "bpf"]);
        assert!(parse("\n").is_empty());
    }

    #[test]
    fn an_lsm_newer_than_the_table_has_its_number_for_a_name() {
        assert_eq!(name(109), "bpf");
        assert_eq!(name(999), "lsm-999");
    }

    #[test]
    fn the_cure_keeps_what_is_active() {
        let active = parse("capability,landlock,yama,apparmor");
        assert_eq!(command_line_with_bpf(&active), "lsm=landlock,yama,apparmor,bpf");
        assert_eq!(command_line_with_bpf(&[]), "lsm=bpf");
    }

    /// Wherever the tests run, the kernel says something, or that it has no list: never an empty one.
    #[test]
    fn this_kernel_answers() {
        assert!(active().map_or(true, |names| !names.is_empty()));
    }
}
