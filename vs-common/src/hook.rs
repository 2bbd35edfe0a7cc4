//! The one table of hooks: what the object holds, what the loader attaches and when, what `vs status` counts.

/// When a program is attached. What no loaded policy needs stays detached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Need {
    /// As soon as a policy is loaded: every context needs it.
    Always,
    /// While a context lives in the host's mount tree (`proc = "plain"`, or the spectator), or policy asks for the second lock.
    HostTree,
    /// While a context sees the host's procfs (`proc = "plain"`), or policy asks for the second lock.
    HostProc,
    /// While a context has addresses of its own.
    Network,
    /// While a context may ping from addresses of its own, or have raw sockets.
    Ping,
    /// While what some context receives is judged: `receive = "strict"`, or it may have raw sockets.
    Receive,
    /// While a context lives in the host's mount tree, has addresses of its own, or policy gives some directory to somebody.
    HostTreeNetworkOrFiles,
    /// While a context lives in the host's mount tree, or policy gives some directory to somebody.
    HostTreeOrFiles,
    /// While policy gives some directory to somebody.
    Files,
    /// While policy has a barrier.
    Barriers,
}

/// What kind of program it is: how the loader attaches it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProgramKind {
    /// To the LSM hook of its name.
    Lsm,
    /// To this LSM hook, which another program of ours is attached to as well, with another job.
    LsmOf(&'static str),
    /// To an LSM hook by the root of the cgroup-2 hierarchy (`BPF_LSM_CGROUP`), where a program may set options of the socket.
    ControlGroupLsm(&'static str),
    /// To socket addresses, at the root of the cgroup-2 hierarchy (`BPF_PROG_TYPE_CGROUP_SOCK_ADDR`), by the kernel's number
    /// (`enum bpf_attach_type`).
    SocketAddress(u32),
    /// To events of sockets, there too (`BPF_PROG_TYPE_SOCK_OPS`).
    SocketEvents,
    /// To what sockets receive, there too (`BPF_PROG_TYPE_CGROUP_SKB`, `BPF_CGROUP_INET_INGRESS`).
    ReceivedPackets,
    /// To an iteration over the kernel's UDP sockets (`BPF_TRACE_ITER`), which happens when somebody reads its pin.
    DatagramSockets,
    /// To the search for whom a packet is for, in the loader's network namespace (`BPF_PROG_TYPE_SK_LOOKUP`).
    SocketLookup,
}

/// What a program does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Creates, inherits or clears tags. Denies only what would lose one.
    Lifecycle,
    /// Compares contexts. Denials of one context's acts on another follow the actor's mode: in `observe` they are recorded only.
    Between,
    /// Keeps the enforcement and the kernel out of reach, in every mode.
    Protection,
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HookInfo {
    /// The kernel's name of the hook, and the program's.
    pub name: &'static str,
    /// How it is attached.
    pub kind: ProgramKind,
    /// When it is attached.
    pub need: Need,
    /// What it does.
    pub role: Role,
    /// What is guaranteed by it, in the operator's words.
    pub guarantee: &'static str,
}

macro_rules! hooks {
    (@kind) => { ProgramKind::Lsm };
    (@kind $kind:expr) => { $kind };
    ($($(#[$doc:meta])* $variant:ident $name:literal $need:ident $role:ident $guarantee:literal $([$kind:expr])?;)*) => {
        /// A hook of the kernel's that we have a program for. The number is its index in `HOOK_COUNTERS` and stays in audit records:
        /// append, never reorder.
        #[repr(u16)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Hook {
            $($(#[$doc])* $variant,)*
        }

        impl Hook {
            /// Every hook, in the order of its numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Its row.
            pub const fn info(self) -> HookInfo {
                match self {
                    $(Self::$variant => HookInfo {
                        name: $name, kind: hooks!(@kind $($kind)?), need: Need::$need, role: Role::$role, guarantee: $guarantee,
                    },)*
                }
            }
        }
    };
}

hooks! {
    /// `copy_process`: the child inherits the tag, or there is no child.
    TaskAlloc "task_alloc" Always Lifecycle "every thread and child stays in its context";
    /// `begin_new_exec`, after the point of no return: the entering process is the context's from here on.
    BprmCommittedCreds "bprm_committed_creds" Always Lifecycle "a process that enters cannot be touched before its exec";
    /// `check_kill_permission`: kill, tkill, tgkill, sigqueue, `pidfd_send_signal`.
    TaskKill "task_kill" Always Between "signals";
    /// `__ptrace_may_access`: attach, seize, `process_vm_*`, `/proc/PID` that asks ptrace, `pidfd_getfd`, kcmp.
    PtraceAccessCheck "ptrace_access_check" Always Between "tracing, memory and the visibility of processes";
    /// `PTRACE_TRACEME`.
    PtraceTraceme "ptrace_traceme" Always Between "handing oneself to a tracer";
    /// `getpgid(2)`.
    TaskGetpgid "task_getpgid" Always Between "process groups and sessions";
    /// `getsid(2)`.
    TaskGetsid "task_getsid" Always Between "process groups and sessions";
    /// `sched_getscheduler(2)`, `sched_getparam(2)`, `sched_getattr(2)`, `sched_getaffinity(2)`.
    TaskGetscheduler "task_getscheduler" Always Between "scheduling";
    /// `sched_setscheduler(2)`, `sched_setaffinity(2)` and their kin.
    TaskSetscheduler "task_setscheduler" Always Between "scheduling";
    /// `setpriority(2)`, for each task it reaches.
    TaskSetnice "task_setnice" Always Between "scheduling";
    /// `ioprio_get(2)`.
    TaskGetioprio "task_getioprio" Always Between "scheduling";
    /// `ioprio_set(2)`.
    TaskSetioprio "task_setioprio" Always Between "scheduling";
    /// `move_pages(2)`, `migrate_pages(2)`.
    TaskMovememory "task_movememory" Always Between "memory placement";
    /// `prlimit(2)` that sets.
    TaskSetrlimit "task_setrlimit" Always Between "resource limits";
    /// `fcntl(2)`: remembers who gave a file an owner for SIGIO, or refuses.
    FileFcntl "file_fcntl" Always Lifecycle "signals by asynchronous input and output";
    /// `ioctl(2)`: the same for `FIOSETOWN` and `SIOCSPGRP`.
    FileIoctl "file_ioctl" Always Lifecycle "signals by asynchronous input and output";
    /// `ioctl(2)` of 32-bit programs.
    FileIoctlCompat "file_ioctl_compat" Always Lifecycle "signals by asynchronous input and output";
    /// `__f_setown`: forgets what was remembered of a file that has a new owner.
    FileSetFowner "file_set_fowner" Always Lifecycle "signals by asynchronous input and output";
    /// `sigio_perm`, at delivery, in whatever context.
    FileSendSigiotask "file_send_sigiotask" Always Between "signals by asynchronous input and output";
    /// `bpf(2)`, every command.
    Bpf "bpf" Always Protection "the enforcement's maps and programs";
    /// `ns_capable` and all that ends in it, in every user namespace.
    Capable "capable" Always Protection "capabilities beyond the safe ones";
    /// `create_user_ns`.
    UsernsCreate "userns_create" Always Protection "capabilities beyond the safe ones";
    /// `path_mount`, before its own capability check.
    SbMount "sb_mount" Always Protection "the mount tree";
    /// `__request_module`.
    KernelModuleRequest "kernel_module_request" Always Protection "kernel modules";
    /// `do_dentry_open`.
    FileOpen "file_open" HostTreeNetworkOrFiles Protection "files of /proc/PID, control file systems and devices in the host's mount tree";
    /// `vfs_unlink`.
    InodeUnlink "inode_unlink" HostTreeOrFiles Protection "the pins of the enforcement and control file systems";
    /// `vfs_rmdir`.
    InodeRmdir "inode_rmdir" HostTreeOrFiles Protection "the pins of the enforcement and control file systems";
    /// `vfs_rename`.
    InodeRename "inode_rename" HostTreeOrFiles Protection "the pins of the enforcement and control file systems";
    /// `vfs_mkdir`.
    InodeMkdir "inode_mkdir" HostTreeOrFiles Protection "the pins of the enforcement and control file systems";
    /// `vfs_symlink`.
    InodeSymlink "inode_symlink" HostTreeOrFiles Protection "the pins of the enforcement and control file systems";
    /// `vfs_link`.
    InodeLink "inode_link" HostTreeOrFiles Protection "the pins of the enforcement and control file systems";
    /// `notify_change`.
    InodeSetattr "inode_setattr" HostTreeOrFiles Protection "the pins of the enforcement and control file systems";
    /// `proc_pid_make_inode` and its revalidation: the process's tag is copied to its `/proc/PID` inode.
    TaskToInode "task_to_inode" HostTree Lifecycle "the visibility of processes in the host's procfs";
    /// `vfs_getattr`.
    InodeGetattr "inode_getattr" HostProc Between "the visibility of processes in the host's procfs";
    /// `readlinkat(2)`.
    InodeReadlink "inode_readlink" HostProc Between "the visibility of processes in the host's procfs";
    /// `__sock_create`, before there is a socket.
    SocketCreate "socket_create" Network Protection "socket families that stay within a context's addresses";
    /// `__sock_create`: the socket gets its creator's tag, or there is no socket.
    SocketPostCreate "socket_post_create" Network Lifecycle "every socket stays with its context";
    /// `listen(2)`: one that was never bound would listen everywhere.
    SocketListen "socket_listen" Network Between "addresses";
    /// `setsockopt(2)`.
    SocketSetsockopt "socket_setsockopt" Network Protection "socket options that stay within the socket";
    /// `netlink_sendmsg`.
    NetlinkSend "netlink_send" Network Protection "the host's links, addresses and routes";
    /// `inet_bind`.
    Bind4 "bind4" Network Between "addresses" [ProgramKind::SocketAddress(8)];
    /// `inet6_bind`.
    Bind6 "bind6" Network Between "addresses" [ProgramKind::SocketAddress(9)];
    /// `tcp_v4_pre_connect`, `udp_pre_connect`.
    Connect4 "connect4" Network Between "addresses" [ProgramKind::SocketAddress(10)];
    /// `tcp_v6_pre_connect`, `udpv6_pre_connect`.
    Connect6 "connect6" Network Between "addresses" [ProgramKind::SocketAddress(11)];
    /// `udp_sendmsg` of a socket that is not connected.
    Sendmsg4 "sendmsg4" Network Between "addresses" [ProgramKind::SocketAddress(14)];
    /// `udpv6_sendmsg` of a socket that is not connected.
    Sendmsg6 "sendmsg6" Network Between "addresses" [ProgramKind::SocketAddress(15)];
    /// `udp_recvmsg`: shows loopback as loopback.
    Recvmsg4 "recvmsg4" Network Between "the context's own loopback" [ProgramKind::SocketAddress(19)];
    /// `udpv6_recvmsg`: shows loopback as loopback.
    Recvmsg6 "recvmsg6" Network Between "the context's own loopback" [ProgramKind::SocketAddress(20)];
    /// `inet_getname`, of the other side.
    Getpeername4 "getpeername4" Network Between "the context's own loopback" [ProgramKind::SocketAddress(29)];
    /// `inet6_getname`, of the other side.
    Getpeername6 "getpeername6" Network Between "the context's own loopback" [ProgramKind::SocketAddress(30)];
    /// `inet_getname`.
    Getsockname4 "getsockname4" Network Between "the context's own loopback" [ProgramKind::SocketAddress(31)];
    /// `inet6_getname`.
    Getsockname6 "getsockname6" Network Between "the context's own loopback" [ProgramKind::SocketAddress(32)];
    /// `inet_csk_listen_start`: remembers who listens for a context.
    ListenEvent "listen_event" Network Between "one listener for every address of a context" [ProgramKind::SocketEvents];
    /// `__inet_lookup_listener`, `__inet6_lookup_listener`: finds whom a connection is for.
    SocketLookup "socket_lookup" Network Between "one listener for every address of a context" [ProgramKind::SocketLookup];
    /// `udp_seq_ops`: remembers who has datagrams for a context.
    UdpSockets "udp_sockets" Network Between "one listener for every address of a context" [ProgramKind::DatagramSockets];
    /// `bind(2)`, before it acts: of ping and raw sockets, which bind past the programs for addresses (`net/ipv4/af_inet.c:inet_bind_sk`).
    SocketBind "socket_bind" Ping Between "the source of echo requests";
    /// `sock_sendmsg`: of ping and raw sockets.
    SocketSendmsg "socket_sendmsg" Ping Between "the source of echo requests";
    /// `__sock_create`: a ping or raw socket gets its context's mark.
    PingSource "ping_source" Ping Lifecycle "the source of echo requests" [ProgramKind::ControlGroupLsm("socket_post_create")];
    /// `sk_filter_trim_cap`: a packet is about to be received.
    Ingress "ingress" Receive Between "packets for other addresses" [ProgramKind::ReceivedPackets];
    /// `vfs_create`.
    InodeCreate "inode_create" HostTreeOrFiles Between "files of other contexts and the host's";
    /// `vfs_mknod`.
    InodeMknod "inode_mknod" HostTreeOrFiles Between "files of other contexts and the host's";
    /// `vfs_setxattr`; before 6.2 access lists, too.
    InodeSetxattr "inode_setxattr" HostTreeOrFiles Between "files of other contexts and the host's";
    /// `vfs_removexattr`; before 6.2 access lists, too.
    InodeRemovexattr "inode_removexattr" HostTreeOrFiles Between "files of other contexts and the host's";
    /// `vfs_set_acl`, since 6.2.
    InodeSetAcl "inode_set_acl" HostTreeOrFiles Between "files of other contexts and the host's";
    /// `vfs_remove_acl`, since 6.2.
    InodeRemoveAcl "inode_remove_acl" HostTreeOrFiles Between "files of other contexts and the host's";
    /// `file_setattr(2)`, since 6.17.
    InodeFileSetattr "inode_file_setattr" HostTreeOrFiles Between "files of other contexts and the host's";
    /// `ioctl(2)`: what changes a file by a descriptor that is open for reading.
    FileRequest "file_request" HostTreeOrFiles Between "files of other contexts and the host's" [ProgramKind::LsmOf("file_ioctl")];
    /// The same of 32-bit programs.
    FileRequestCompat "file_request_compat" HostTreeOrFiles Between "files of other contexts and the host's" [ProgramKind::LsmOf("file_ioctl_compat")];
    /// `inode_permission`: every directory that a path goes through.
    InodePermission "inode_permission" Barriers Protection "what is above a barrier";
    /// `receive_fd`: a descriptor over a socket, by `pidfd_getfd` or a seccomp listener.
    FileReceive "file_receive" Files Between "directories of other contexts and the host's, handed over";
    /// `bprm_creds_from_file`, before an exec is past return, once the new credentials are made.
    BprmCredsFromFile "bprm_creds_from_file" Files Protection "the host's users against programs of contexts";
}

impl Hook {
    /// The hook with this number, as audit records and counters carry it.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether it is a hook of the LSM.
    pub const fn is_lsm(self) -> bool {
        matches!(self.info().kind, ProgramKind::Lsm | ProgramKind::LsmOf(_))
    }

    /// The hook of the LSM that it is attached to, if it is to one.
    pub const fn lsm_name(self) -> Option<&'static str> {
        match self.info().kind {
            ProgramKind::Lsm => Some(self.info().name),
            ProgramKind::ControlGroupLsm(name) | ProgramKind::LsmOf(name) => Some(name),
            _ => None,
        }
    }

    /// Whether kernels are enforced upon that do not have it: there another hook sees what it does, or there is no such call.
    pub const fn is_optional(self) -> bool {
        matches!(self, Self::InodeSetAcl | Self::InodeRemoveAcl | Self::InodeFileSetattr)
    }

    /// The kernel's name, and the program's.
    pub const fn name(self) -> &'static str {
        self.info().name
    }
}
