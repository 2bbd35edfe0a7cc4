//! What a process can try, in the operator's words: which hook the kernel asks then, and which decision that hook is.
//!
//! One table. Each row ends in a function of vs-common that the kernel's program for that hook was compiled from, so nothing here says
//! what is allowed.

use vs_common::capability::decide_capability;
use vs_common::context::{Access, Identity, decide_fork, decide_host_only, decide_interaction};
use vs_common::filesystem::{FileFacts, decide_look, decide_modify, decide_open, file_type, magic};
use vs_common::hook::Hook;
use vs_common::verdict::{Reason, Verdict};

/// What an act is done to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// Nothing in particular.
    Nothing,
    /// A process.
    Process,
    /// A file, of a [`FileKind`].
    File,
    /// A capability.
    Capability,
}

/// The function of vs-common that decides, with what the act itself says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Decision {
    Interaction(Access),
    Fork { is_dying: bool },
    HostOnly(Reason),
    Capability,
    Open { is_write: bool },
    Look,
    Modify,
}

/// An act, and what the kernel asks when a process tries it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Act {
    /// The word for it.
    pub name: &'static str,
    /// The system calls that are this act.
    pub calls: &'static str,
    /// The hook that is asked.
    pub hook: Hook,
    /// What it is done to.
    pub operand: Operand,
    /// Whether the target is named by its process id, which a PID namespace has none of for processes outside.
    pub is_by_number: bool,
    decision: Decision,
}

/// What the act is done to, as the hook would find it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target<'t> {
    /// The process; for a file of `/proc/PID` whose that is.
    pub process: Identity,
    /// The file.
    pub file: Option<&'t FileKind>,
    /// The capability's number.
    pub capability: u32,
}

impl Act {
    /// What the hook would decide.
    pub fn decide(&self, actor: Identity, target: &Target<'_>) -> Verdict {
        let file = |is_write| {
            let kind = target.file.unwrap_or(&FileKind::ORDINARY);
            FileFacts {
                superblock_magic: kind.superblock_magic,
                mode: kind.mode,
                device: kind.device,
                process: kind.has_process.then_some(target.process),
                is_write,
            }
        };
        match self.decision {
            Decision::Interaction(access) => decide_interaction(actor, target.process, access),
            Decision::Fork { is_dying } => decide_fork(actor, is_dying),
            Decision::HostOnly(reason) => decide_host_only(actor, reason),
            Decision::Capability => decide_capability(actor, target.capability),
            Decision::Open { is_write } => decide_open(actor, &file(is_write)),
            Decision::Look => decide_look(actor, Some(target.process)),
            Decision::Modify => decide_modify(actor, file(true).superblock_magic),
        }
    }

    /// The act with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ACTS.iter().find(|act| act.name == name)
    }
}

/// An act on a process that is named by its number.
const fn on_process(name: &'static str, hook: Hook, access: Access, calls: &'static str) -> Act {
    let decision = Decision::Interaction(access);
    Act { name, calls, hook, operand: Operand::Process, is_by_number: true, decision }
}

/// An act on nothing that is named by a number.
const fn act(
    name: &'static str,
    hook: Hook,
    operand: Operand,
    decision: Decision,
    calls: &'static str,
) -> Act {
    Act { name, calls, hook, operand, is_by_number: false, decision }
}

/// An act that changes the directory tree.
const fn modify(name: &'static str, hook: Hook, calls: &'static str) -> Act {
    act(name, hook, Operand::File, Decision::Modify, calls)
}

/// An act that is the host's alone.
const fn host_only(name: &'static str, hook: Hook, reason: Reason, calls: &'static str) -> Act {
    act(name, hook, Operand::Nothing, Decision::HostOnly(reason), calls)
}

/// Every act. A hook that decides nothing between an actor and a target has none: it keeps tags.
pub const ACTS: &[Act] = &[
    on_process(
        "signal",
        Hook::TaskKill,
        Access::Change,
        "kill, tkill, tgkill, rt_sigqueueinfo, pidfd_send_signal",
    ),
    on_process(
        "trace",
        Hook::PtraceAccessCheck,
        Access::Change,
        "ptrace attach and seize, process_vm_readv and writev, /proc/PID/mem, pidfd_getfd",
    ),
    on_process(
        "read-process",
        Hook::PtraceAccessCheck,
        Access::Read,
        "what /proc/PID shows only to who may trace for reading, kcmp, process_madvise, get_robust_list",
    ),
    act(
        "be-traced",
        Hook::PtraceTraceme,
        Operand::Process,
        Decision::Interaction(Access::Change),
        "ptrace traceme: the actor makes its parent, the target, its tracer",
    ),
    on_process("getpgid", Hook::TaskGetpgid, Access::Read, "getpgid"),
    on_process("getsid", Hook::TaskGetsid, Access::Read, "getsid"),
    on_process(
        "get-scheduler",
        Hook::TaskGetscheduler,
        Access::Read,
        "sched_getscheduler, sched_getparam, sched_getattr, sched_getaffinity, sched_rr_get_interval",
    ),
    on_process(
        "set-scheduler",
        Hook::TaskSetscheduler,
        Access::Change,
        "sched_setscheduler, sched_setparam, sched_setattr, sched_setaffinity",
    ),
    on_process("set-priority", Hook::TaskSetnice, Access::Change, "setpriority"),
    on_process("get-io-priority", Hook::TaskGetioprio, Access::Read, "ioprio_get"),
    on_process("set-io-priority", Hook::TaskSetioprio, Access::Change, "ioprio_set"),
    on_process("move-memory", Hook::TaskMovememory, Access::Change, "move_pages, migrate_pages"),
    on_process("set-limits", Hook::TaskSetrlimit, Access::Change, "prlimit that sets"),
    act(
        "signal-by-file",
        Hook::FileSendSigiotask,
        Operand::Process,
        Decision::Interaction(Access::Change),
        "SIGIO and SIGURG of a file whose owner is the target: F_SETOWN, F_SETOWN_EX, FIOSETOWN, SIOCSPGRP",
    ),
    act(
        "fork",
        Hook::TaskAlloc,
        Operand::Nothing,
        Decision::Fork { is_dying: false },
        "fork, vfork, clone, clone3",
    ),
    act(
        "fork-while-stopping",
        Hook::TaskAlloc,
        Operand::Nothing,
        Decision::Fork { is_dying: true },
        "the same while the context is being stopped",
    ),
    host_only("bpf", Hook::Bpf, Reason::Enforcement, "bpf, every command"),
    act(
        "use-capability",
        Hook::Capable,
        Operand::Capability,
        Decision::Capability,
        "whatever asks for the capability, in whatever user namespace",
    ),
    host_only(
        "create-user-namespace",
        Hook::UsernsCreate,
        Reason::UserNamespace,
        "unshare and clone with CLONE_NEWUSER",
    ),
    host_only("mount", Hook::SbMount, Reason::Mount, "mount: new mounts, binds, moves, remounts"),
    host_only(
        "load-module",
        Hook::KernelModuleRequest,
        Reason::KernelModule,
        "what makes the kernel load a module by itself: socket, mount, ioctl",
    ),
    act(
        "open",
        Hook::FileOpen,
        Operand::File,
        Decision::Open { is_write: false },
        "open, openat, openat2 for reading",
    ),
    act(
        "open-for-writing",
        Hook::FileOpen,
        Operand::File,
        Decision::Open { is_write: true },
        "open, openat, openat2, creat for writing",
    ),
    modify("unlink", Hook::InodeUnlink, "unlink, unlinkat"),
    modify("rmdir", Hook::InodeRmdir, "rmdir, unlinkat with AT_REMOVEDIR"),
    modify("rename", Hook::InodeRename, "rename, renameat, renameat2"),
    modify("mkdir", Hook::InodeMkdir, "mkdir, mkdirat"),
    modify("symlink", Hook::InodeSymlink, "symlink, symlinkat"),
    modify("link", Hook::InodeLink, "link, linkat"),
    modify("set-attributes", Hook::InodeSetattr, "chmod, chown, utimensat, truncate"),
    act(
        "stat-proc",
        Hook::InodeGetattr,
        Operand::Process,
        Decision::Look,
        "stat, fstat, statx of /proc/PID of the target or below",
    ),
    act(
        "readlink-proc",
        Hook::InodeReadlink,
        Operand::Process,
        Decision::Look,
        "readlink of a link in /proc/PID of the target",
    ),
];

/// Which file is meant: what the hook reads of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileKind {
    /// The word for it.
    pub name: &'static str,
    /// Which files these are.
    pub meaning: &'static str,
    /// Whether it stands for a process, the target.
    pub has_process: bool,
    superblock_magic: u64,
    mode: u32,
    device: u32,
}

/// `S_IFREG | 0644`; decisions read nothing but the type of it.
const REGULAR: u32 = 0o100_644;
/// `EXT4_SUPER_MAGIC`.
const EXT4: u64 = 0xef53;
/// `TMPFS_MAGIC`, which devtmpfs has too.
const TMPFS: u64 = 0x0102_1994;

impl FileKind {
    /// A file of a file system that holds files.
    const ORDINARY: Self = on("ordinary", EXT4, "a file or directory of a file system that holds files");

    /// The kind with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FILE_KINDS.iter().find(|kind| kind.name == name)
    }
}

/// A file of that file system.
const fn on(name: &'static str, superblock_magic: u64, meaning: &'static str) -> FileKind {
    FileKind { name, meaning, has_process: false, superblock_magic, mode: REGULAR, device: 0 }
}

/// A device file, by the kernel's `dev_t`: 12 bits of major above 20 of minor.
const fn device(
    name: &'static str,
    file_type: u32,
    major: u32,
    minor: u32,
    meaning: &'static str,
) -> FileKind {
    let device = major << 20 | minor;
    FileKind { name, meaning, has_process: false, superblock_magic: TMPFS, mode: file_type | 0o600, device }
}

/// Every kind of file that decisions tell apart.
pub const FILE_KINDS: &[FileKind] = &[
    FileKind::ORDINARY,
    FileKind {
        has_process: true,
        ..on("proc-pid", magic::PROC, "/proc/PID of the target, or a file or directory in it")
    },
    on("proc", magic::PROC, "/proc outside of /proc/PID: /proc/sys, /proc/sysrq-trigger"),
    on("sysfs", magic::SYSFS, "/sys"),
    on("bpffs", magic::BPF_FS, "/sys/fs/bpf, where the enforcement is pinned"),
    on("cgroup", magic::CGROUP, "a cgroup hierarchy of version 1"),
    on("cgroup2", magic::CGROUP2, "/sys/fs/cgroup, version 2"),
    on("debugfs", magic::DEBUGFS, "/sys/kernel/debug"),
    on("tracefs", magic::TRACEFS, "/sys/kernel/tracing"),
    on("securityfs", magic::SECURITYFS, "/sys/kernel/security"),
    on("apparmorfs", magic::AAFS, "AppArmor's own file system"),
    on("selinuxfs", magic::SELINUX, "/sys/fs/selinux"),
    on("smackfs", magic::SMACK, "/sys/fs/smackfs"),
    on("binfmt-misc", magic::BINFMT, "/proc/sys/fs/binfmt_misc"),
    on("efivarfs", magic::EFIVARFS, "/sys/firmware/efi/efivars"),
    on("configfs", magic::CONFIGFS, "/sys/kernel/config"),
    on("pstore", magic::PSTORE, "/sys/fs/pstore"),
    device(
        "null",
        file_type::CHARACTER,
        1,
        3,
        "/dev/null; zero, full, random, urandom, tty and ptmx are like it",
    ),
    device("terminal", file_type::CHARACTER, 136, 0, "a terminal of the host, /dev/pts/0"),
    device("memory", file_type::CHARACTER, 1, 1, "/dev/mem"),
    device("kernel-log", file_type::CHARACTER, 1, 11, "/dev/kmsg"),
    device("disk", file_type::BLOCK, 8, 0, "a block device, /dev/sda"),
];

/// The names of capabilities by number (`include/uapi/linux/capability.h`, 7.x), in lower case without `CAP_`.
pub const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The number of a capability that is given by its name, in whatever case, with or without `CAP_`, or by its number.
pub fn capability_number(text: &str) -> Option<u32> {
    let name = text.to_ascii_lowercase();
    let name = name.strip_prefix("cap_").unwrap_or(&name);
    let named = (0..).zip(CAPABILITIES).find(|(_, known)| *known == name).map(|(number, _)| number);
    named.or_else(|| name.parse().ok())
}
