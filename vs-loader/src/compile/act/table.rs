//! Every act.

use vs_common::context::Access;
use vs_common::hook::Hook;
use vs_common::verdict::Reason;

use super::{Act, Decision, Operand};

/// An act on a process that is named by its number.
const fn on_process(name: &'static str, hook: Hook, access: Access, calls: &'static str) -> Act {
    let decision = Decision::Interaction(access);
    Act { name, calls, hook, hook6: None, operand: Operand::Process, is_by_number: true, decision }
}

/// An act on nothing that is named by a number.
const fn act(
    name: &'static str,
    hook: Hook,
    operand: Operand,
    decision: Decision,
    calls: &'static str,
) -> Act {
    Act { name, calls, hook, hook6: None, operand, is_by_number: false, decision }
}

/// An act that changes the directory tree.
const fn modify(name: &'static str, hook: Hook, calls: &'static str) -> Act {
    act(name, hook, Operand::File, Decision::Modify, calls)
}

/// An act that is the host's alone.
const fn host_only(name: &'static str, hook: Hook, reason: Reason, calls: &'static str) -> Act {
    act(name, hook, Operand::Nothing, Decision::HostOnly(reason), calls)
}

/// An act on an address, which another hook is asked of if the socket is one of IPv6.
const fn on_address(
    name: &'static str,
    hook: Hook,
    hook6: Hook,
    decision: Decision,
    calls: &'static str,
) -> Act {
    Act { hook6: Some(hook6), ..act(name, hook, Operand::Address, decision, calls) }
}

/// Setting a socket option, by its numbers (`include/uapi/asm-generic/socket.h`, `include/uapi/linux/in.h`).
const fn set_option(name: &'static str, level: u32, option: u32, calls: &'static str) -> Act {
    let decision = Decision::SocketOption { level, option };
    act(name, Hook::SocketSetsockopt, Operand::Nothing, decision, calls)
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
    modify("create", Hook::InodeCreate, "open with O_CREAT, creat"),
    modify("make-node", Hook::InodeMknod, "mkfifo, mknod, bind of a socket of the file system"),
    modify("set-attribute", Hook::InodeSetxattr, "setxattr; before 6.2 access lists, too"),
    modify("remove-attribute", Hook::InodeRemovexattr, "removexattr; before 6.2 access lists, too"),
    modify("set-access-list", Hook::InodeSetAcl, "setxattr of an access list, since 6.2"),
    modify("remove-access-list", Hook::InodeRemoveAcl, "removexattr of an access list, since 6.2"),
    modify("set-file-attributes", Hook::InodeFileSetattr, "file_setattr, since 6.17"),
    act(
        "set-flags",
        Hook::FileRequest,
        Operand::File,
        Decision::Request,
        "ioctl of flags, versions, projects, verity, encryption, and subvolumes",
    ),
    act(
        "set-flags-32",
        Hook::FileRequestCompat,
        Operand::File,
        Decision::Request,
        "the same of a 32-bit program",
    ),
    act(
        "search",
        Hook::InodePermission,
        Operand::File,
        Decision::Pass,
        "going through a directory, into or out of it: paths, chdir, fchdir, chroot; opening it",
    ),
    act(
        "receive-directory",
        Hook::FileReceive,
        Operand::File,
        Decision::Receive,
        "recvmsg, pidfd_getfd and a seccomp listener, of a descriptor of a directory",
    ),
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
    act("create-socket", Hook::SocketCreate, Operand::Socket, Decision::CreateSocket, "socket, socketpair"),
    on_address("bind", Hook::Bind4, Hook::Bind6, Decision::Bind, "bind"),
    on_address(
        "connect",
        Hook::Connect4,
        Hook::Connect6,
        Decision::Destination,
        "connect, sendto with MSG_FASTOPEN",
    ),
    on_address(
        "send",
        Hook::Sendmsg4,
        Hook::Sendmsg6,
        Decision::Destination,
        "sendto, sendmsg, sendmmsg of a datagram socket that is not connected",
    ),
    act(
        "listen-unbound",
        Hook::SocketListen,
        Operand::Nothing,
        Decision::ListenUnbound,
        "listen of a socket that was never bound",
    ),
    set_option("set-broadcast", 1, 6, "setsockopt SO_BROADCAST"),
    set_option("bind-to-device", 1, 25, "setsockopt SO_BINDTODEVICE, SO_BINDTOIFINDEX"),
    set_option("set-source-route", 0, 4, "setsockopt IP_OPTIONS"),
    set_option(
        "join-group",
        0,
        35,
        "setsockopt IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP, MCAST_JOIN_GROUP and others",
    ),
    act(
        "ask-netlink",
        Hook::NetlinkSend,
        Operand::Nothing,
        Decision::Netlink { message: RTM_GETLINK },
        "netlink messages that ask for links, addresses, routes: RTM_GET*",
    ),
    act(
        "change-by-netlink",
        Hook::NetlinkSend,
        Operand::Nothing,
        Decision::Netlink { message: RTM_NEWLINK },
        "netlink messages that change them: RTM_NEW*, RTM_DEL*, RTM_SET*",
    ),
];

/// The first message that asks (`include/uapi/linux/rtnetlink.h`).
const RTM_GETLINK: u16 = 18;
/// The first that changes something.
const RTM_NEWLINK: u16 = 16;
