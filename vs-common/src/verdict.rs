//! What a decision can say, and the only errnos that may leave a hook.

/// The errnos a hook may return: a closed set, because the kernel path that called the hook acts on some of them.
///
/// Never to be added: `ESRCH` (`kill_pid_info` retries for ever on it, 6.1 to 7.x), the restart codes (512 and above, they
/// leak into userspace or restart the call), `ESTALE` and `ECHILD` (they restart a path walk, `fs/namei.c:path_openat`).
#[repr(u16)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Errno {
    /// Operation not permitted: an act on another context's process.
    Eperm = 1,
    /// No such file or directory: another context's `/proc/PID`.
    Enoent = 2,
    /// Out of memory: a tag for which there is no storage.
    Enomem = 12,
    /// Permission denied: a file of the kernel's that no guest may open.
    Eacces = 13,
    /// Invalid argument: a source address that is not the context's, as the kernel answers to one that is not the machine's.
    Einval = 22,
    /// Protocol not supported: a protocol that no context may speak.
    Eprotonosupport = 93,
    /// Address family not supported: a family that no context may speak.
    Eafnosupport = 97,
    /// Cannot assign requested address: an address that is not the context's.
    Eaddrnotavail = 99,
    /// Network is unreachable: a destination for which the context has no address.
    Enetunreach = 101,
    /// Connection refused: on its loopback nobody of the context answers.
    Econnrefused = 111,
}

impl Errno {
    /// Every member, for tables and tests.
    pub const ALL: [Self; 10] = [
        Self::Eperm,
        Self::Enoent,
        Self::Enomem,
        Self::Eacces,
        Self::Einval,
        Self::Eprotonosupport,
        Self::Eafnosupport,
        Self::Eaddrnotavail,
        Self::Enetunreach,
        Self::Econnrefused,
    ];

    /// The symbol as `errno(3)` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eperm => "EPERM",
            Self::Enoent => "ENOENT",
            Self::Enomem => "ENOMEM",
            Self::Eacces => "EACCES",
            Self::Einval => "EINVAL",
            Self::Eprotonosupport => "EPROTONOSUPPORT",
            Self::Eafnosupport => "EAFNOSUPPORT",
            Self::Eaddrnotavail => "EADDRNOTAVAIL",
            Self::Enetunreach => "ENETUNREACH",
            Self::Econnrefused => "ECONNREFUSED",
        }
    }

    /// The member with this number, if it is in the set.
    pub const fn from_number(number: u16) -> Option<Self> {
        let mut at = 0;
        while at < Self::ALL.len() {
            if Self::ALL[at] as u16 == number {
                return Some(Self::ALL[at]);
            }
            at += 1;
        }
        None
    }
}

/// Why something was denied.
#[repr(u16)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The target is a process of the host.
    HostTarget = 1,
    /// The target belongs to another context.
    ForeignTarget = 2,
    /// The target carries the same xid with another generation: it belongs to nobody.
    StaleTarget = 3,
    /// The target is still entering the actor's context and may not be touched yet.
    EnteringTarget = 4,
    /// Whether the target has a tag could not be told.
    UnknownTarget = 5,
    /// Whether the actor has a tag could not be told.
    UnknownActor = 6,
    /// The spectator tried to change something.
    SpectatorChange = 7,
    /// The object is part of the enforcement itself, or reaches it.
    Enforcement = 8,
    /// The capability is not among those a context may use.
    Capability = 9,
    /// A file system through which the kernel is controlled.
    ControlFilesystem = 10,
    /// A device that is not among the harmless ones.
    Device = 11,
    /// There was no memory for the tag.
    NoStorage = 12,
    /// The context is being stopped and may not fork.
    Dying = 13,
    /// A user namespace would give back the capabilities that were dropped.
    UserNamespace = 14,
    /// Loading code into the kernel.
    KernelModule = 15,
    /// Changing the mount tree.
    Mount = 16,
    /// The address is not one of the context's.
    ForeignAddress = 17,
    /// The context has no address to reach the destination from.
    UnreachableAddress = 18,
    /// The source address is not one of the context's.
    ForeignSource = 19,
    /// On the context's loopback only the host would answer.
    HostListener = 20,
    /// A family, type or protocol whose addresses no program sees.
    SocketFamily = 21,
    /// A socket option that reaches beyond the socket.
    SocketOption = 22,
    /// A netlink message that changes something.
    Netlink = 23,
    /// A list of all sockets of the machine.
    SocketList = 24,
    /// Policy does not give the context this port.
    Port = 25,
    /// The file is another context's.
    ForeignFile = 26,
    /// The file is the host's.
    HostFile = 27,
    /// The file lies too deep to tell whose it is.
    UnknownFile = 28,
    /// The directory is a barrier, or one beyond the context's root.
    Barrier = 29,
    /// A program of a context's gives whoever executes it more than it has, and that is the host.
    ForeignPrivilege = 30,
}

impl Reason {
    /// Every member, for tables and tests.
    pub const ALL: [Self; 30] = [
        Self::HostTarget,
        Self::ForeignTarget,
        Self::StaleTarget,
        Self::EnteringTarget,
        Self::UnknownTarget,
        Self::UnknownActor,
        Self::SpectatorChange,
        Self::Enforcement,
        Self::Capability,
        Self::ControlFilesystem,
        Self::Device,
        Self::NoStorage,
        Self::Dying,
        Self::UserNamespace,
        Self::KernelModule,
        Self::Mount,
        Self::ForeignAddress,
        Self::UnreachableAddress,
        Self::ForeignSource,
        Self::HostListener,
        Self::SocketFamily,
        Self::SocketOption,
        Self::Netlink,
        Self::SocketList,
        Self::Port,
        Self::ForeignFile,
        Self::HostFile,
        Self::UnknownFile,
        Self::Barrier,
        Self::ForeignPrivilege,
    ];

    /// The word for it in audit records: lower case, stable once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostTarget => "host-target",
            Self::ForeignTarget => "foreign-target",
            Self::StaleTarget => "stale-target",
            Self::EnteringTarget => "entering-target",
            Self::UnknownTarget => "unknown-target",
            Self::UnknownActor => "unknown-actor",
            Self::SpectatorChange => "spectator-change",
            Self::Enforcement => "enforcement",
            Self::Capability => "capability",
            Self::ControlFilesystem => "control-filesystem",
            Self::Device => "device",
            Self::NoStorage => "no-storage",
            Self::Dying => "dying",
            Self::UserNamespace => "user-namespace",
            Self::KernelModule => "kernel-module",
            Self::Mount => "mount",
            Self::ForeignAddress => "foreign-address",
            Self::UnreachableAddress => "unreachable-address",
            Self::ForeignSource => "foreign-source",
            Self::HostListener => "host-listener",
            Self::SocketFamily => "socket-family",
            Self::SocketOption => "socket-option",
            Self::Netlink => "netlink",
            Self::SocketList => "socket-list",
            Self::Port => "port",
            Self::ForeignFile => "foreign-file",
            Self::HostFile => "host-file",
            Self::UnknownFile => "unknown-file",
            Self::Barrier => "barrier",
            Self::ForeignPrivilege => "foreign-privilege",
        }
    }

    /// The member with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u16 == number)
    }

    /// Whether it is about one context acting on another, which mode observe lets pass and records; all else is in force in every mode:
    /// inheritance, entry, the enforcement itself, what an unknown actor asks for.
    #[inline(always)]
    pub const fn is_between_contexts(self) -> bool {
        matches!(
            self,
            Self::HostTarget
                | Self::ForeignTarget
                | Self::StaleTarget
                | Self::UnknownTarget
                | Self::SpectatorChange
                | Self::ForeignAddress
                | Self::ForeignSource
                | Self::HostListener
                | Self::Port
                | Self::ForeignFile
                | Self::HostFile
                | Self::UnknownFile
        )
    }

    /// One sentence for the operator who asks `vs policy explain`.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::HostTarget => "a guest may not act on processes of the host",
            Self::ForeignTarget => "a guest may not act on processes of another context",
            Self::StaleTarget => "the target is left from an earlier use of this xid and belongs to nobody",
            Self::EnteringTarget => {
                "the target is still entering the context and cannot be touched before its exec"
            }
            Self::UnknownTarget => "the target's context could not be read, and unknown is denied to a guest",
            Self::UnknownActor => "the actor's context could not be read, and unknown is denied",
            Self::SpectatorChange => "the spectator sees all and changes nothing",
            Self::Enforcement => "the enforcement is out of every context's reach",
            Self::Capability => "the capability is not among those that a context may use",
            Self::ControlFilesystem => "the kernel is controlled through this file system",
            Self::Device => "only the harmless devices are open to a context",
            Self::NoStorage => "there was no memory for the child's tag, and no tag means no child",
            Self::Dying => "the context is being stopped and may not fork",
            Self::UserNamespace => "a user namespace would give back the capabilities dropped at entry",
            Self::KernelModule => "a context may not have code loaded into the kernel",
            Self::Mount => "a context may not change the mount tree",
            Self::ForeignAddress => "the address is not one of the context's",
            Self::UnreachableAddress => "the context has no address to reach that one from",
            Self::ForeignSource => "the source address is not one of the context's",
            Self::HostListener => "on the context's loopback only the host would answer",
            Self::SocketFamily => {
                "no program for addresses sees those of such sockets, so a context with addresses has none that policy does not name"
            }
            Self::SocketOption => "the option reaches beyond the socket",
            Self::SocketList => "the file lists the sockets of the whole machine",
            Self::Port => "policy does not give the context this port",
            Self::ForeignFile => "the file lies in a directory of another context",
            Self::HostFile => "the file is the host's: a guest changes files in its own directories only",
            Self::UnknownFile => {
                "the file lies too deep to tell whose it is, and unknown is denied to a guest"
            }
            Self::Barrier => {
                "the directory is a barrier, or beyond the context's root, and no guest passes there"
            }
            Self::ForeignPrivilege => {
                "the program lies in a context's directory and would give its user on the host more than that one has"
            }
            Self::Netlink => "a context may ask for links, addresses and routes, and change nothing",
        }
    }
}

/// The outcome of a decision. Whether a denial is carried out or only recorded is the mode's affair, not the decision's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Let it pass; nothing is recorded.
    Allow,
    /// Refuse it and record the attempt.
    Deny(Errno, Reason),
}
