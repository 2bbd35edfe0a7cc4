//! Which capabilities a context may use.

use crate::context::Identity;
use crate::verdict::{Errno, Reason, Verdict};

/// A set of capabilities, bit n standing for capability n of `linux/capability.h`.
pub type CapabilitySet = u64;

/// What a context may be given of a capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CapabilityClass {
    /// It has it unless policy says otherwise.
    Default,
    /// It has it if policy says so.
    Grantable,
    /// Policy may give it to contexts that use the host's addresses; those with addresses of their own have single sockets by `raw`.
    WithoutAddresses,
    /// Policy may give it to contexts that change files in their own directories only.
    WithDirectories,
    /// Nobody but the host has it.
    Never,
}

/// A capability of `linux/capability.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capability {
    /// The name in lower case without `CAP_`.
    pub name: &'static str,
    /// Who may have it.
    pub class: CapabilityClass,
    /// What it is good for, as far as that is the reason.
    pub reason: &'static str,
}

const fn capability(name: &'static str, class: CapabilityClass, reason: &'static str) -> Capability {
    Capability { name, class, reason }
}

/// Every capability by number (`include/uapi/linux/capability.h`, 7.x), and what the kernel asks for it (6.1 to 7.x).
///
/// In the default is what lets root act on its context's own files, processes and ports, and nothing that reaches the host. It is VServer's but
/// for these: `DAC_READ_SEARCH` and `SYS_BOOT` are nobody's; `LEASE`, `SYS_TTY_CONFIG` and `AUDIT_WRITE` reach beyond the context and are given
/// on request; `SETPCAP` is here, because a service that drops capabilities asks for it.
pub const CAPABILITIES: [Capability; 41] = {
    [
        capability("chown", CapabilityClass::Default, "changes owners of files that it may change"),
        capability("dac_override", CapabilityClass::Default, "passes permissions of files"),
        // `open_by_handle_at` has no hook.
        capability(
            "dac_read_search",
            CapabilityClass::Never,
            "opens files by handle, past any root and barrier",
        ),
        capability("fowner", CapabilityClass::Default, "acts as the owner of files that it may change"),
        capability("fsetid", CapabilityClass::Default, "keeps setuid bits of files that it changes"),
        // Held to the context by `task_kill`.
        capability("kill", CapabilityClass::Default, "signals other users' processes of the same context"),
        capability("setgid", CapabilityClass::Default, "changes its groups"),
        capability("setuid", CapabilityClass::Default, "changes its user"),
        capability("setpcap", CapabilityClass::Default, "gives up capabilities"),
        capability(
            "linux_immutable",
            CapabilityClass::Grantable,
            "sets and clears the flags immutable and append-only",
        ),
        capability(
            "net_bind_service",
            CapabilityClass::Default,
            "binds ports below 1024 of its own addresses",
        ),
        capability("net_broadcast", CapabilityClass::Grantable, "is asked for by nothing"),
        capability(
            "net_admin",
            CapabilityClass::Never,
            "changes links, addresses, routes and filters, which all share",
        ),
        capability(
            "net_raw",
            CapabilityClass::WithoutAddresses,
            "makes raw and packet sockets, which see what is not its own",
        ),
        capability(
            "ipc_lock",
            CapabilityClass::Grantable,
            "locks memory beyond its limit, which the host lacks then",
        ),
        // No hook is attached to SysV objects, and the namespace is the host's.
        capability(
            "ipc_owner",
            CapabilityClass::Never,
            "passes permissions of the host's shared memory, queues and semaphores",
        ),
        capability("sys_module", CapabilityClass::Never, "loads code into the kernel"),
        capability(
            "sys_rawio",
            CapabilityClass::Never,
            "reads and writes the machine's memory, ports and disks",
        ),
        capability(
            "sys_chroot",
            CapabilityClass::Default,
            "changes its root to a directory that it can reach",
        ),
        // `hidepid=ptraceable` asks for it before it asks us (`fs/proc/base.c:has_pid_permissions`, `kernel/ptrace.c:__ptrace_may_access`);
        // held to the context by `ptrace_access_check`.
        capability(
            "sys_ptrace",
            CapabilityClass::Default,
            "sees and traces other users' processes of the same context",
        ),
        capability("sys_pacct", CapabilityClass::Never, "has every process of the machine written to a file"),
        capability(
            "sys_admin",
            CapabilityClass::Never,
            "mounts, joins namespaces and much else; see context_capabilities",
        ),
        capability("sys_boot", CapabilityClass::Never, "ends or replaces the kernel"),
        // Held to the context by `task_setscheduler` and `task_setnice`.
        capability(
            "sys_nice",
            CapabilityClass::Grantable,
            "takes processor time before the host's processes",
        ),
        capability(
            "sys_resource",
            CapabilityClass::Grantable,
            "passes limits, quotas and what file systems keep in reserve",
        ),
        capability("sys_time", CapabilityClass::Never, "sets the clock, which all share"),
        capability(
            "sys_tty_config",
            CapabilityClass::Grantable,
            "hangs up terminals and configures consoles",
        ),
        capability("mknod", CapabilityClass::Never, "makes the disk, and opens it"),
        capability(
            "lease",
            CapabilityClass::Grantable,
            "takes leases on others' files, for which who opens them waits",
        ),
        capability(
            "audit_write",
            CapabilityClass::Grantable,
            "writes to the log of the machine's audit system",
        ),
        capability("audit_control", CapabilityClass::Never, "switches the machine's audit system off"),
        capability(
            "setfcap",
            CapabilityClass::WithDirectories,
            "leaves capabilities on files that the host may execute",
        ),
        capability("mac_override", CapabilityClass::Never, "passes the host's other security modules"),
        capability("mac_admin", CapabilityClass::Never, "configures the host's other security modules"),
        capability("syslog", CapabilityClass::Never, "reads and clears the kernel's log"),
        capability("wake_alarm", CapabilityClass::Grantable, "sets alarms that wake the machine"),
        capability("block_suspend", CapabilityClass::Grantable, "keeps the machine awake"),
        capability("audit_read", CapabilityClass::Never, "reads the log of the machine's audit system"),
        capability("perfmon", CapabilityClass::Never, "observes the whole machine"),
        capability("bpf", CapabilityClass::Never, "reaches the enforcement itself"),
        capability(
            "checkpoint_restore",
            CapabilityClass::Never,
            "opens others' mapped files and chooses process numbers",
        ),
    ]
};

/// The names of capabilities by number, in lower case without `CAP_`.
pub const NAMES: [&str; CAPABILITIES.len()] = {
    let mut names = [""; CAPABILITIES.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = CAPABILITIES[i].name;
        i += 1;
    }
    names
};

/// What a context has unless policy says otherwise.
pub const DEFAULT_SET: CapabilitySet = {
    let mut set = 0;
    let mut i = 0;
    while i < CAPABILITIES.len() {
        if matches!(CAPABILITIES[i].class, CapabilityClass::Default) {
            set |= 1 << i;
        }
        i += 1;
    }
    set
};

/// `CAP_SETGID`, `CAP_SETUID`, `CAP_SETPCAP`: what a process that enters needs on its way to its exec, and has up to there.
pub const ENTRY_SET: CapabilitySet = 1 << 6 | 1 << 7 | 1 << 8;

/// `CAP_NET_RAW`: what the kernel asks of who makes a raw socket (`net/ipv4/af_inet.c:inet_create`), and of much else.
pub const NET_RAW: u32 = 13;

/// `CAP_SYS_ADMIN`: what the kernel asks of who sets the host name, and of everything else.
pub const SYS_ADMIN: u32 = 21;

/// The capabilities that every context of an epoch may use, whatever it does: who asks for one of these is answered without a look into rules.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CommonCapabilities {
    /// Which they are.
    pub set: CapabilitySet,
    /// The epoch.
    pub epoch: u32,
    /// Always 0.
    pub reserved: u32,
}

const _: () = assert!(size_of::<CommonCapabilities>() == 16);

impl CommonCapabilities {
    /// Those that two contexts have in common, as far as nothing but the row decides about them.
    pub const UNCONDITIONAL: CapabilitySet = !(1 << NET_RAW | 1 << SYS_ADMIN);

    /// Whether every context of this epoch may use it.
    #[inline(always)]
    pub const fn has(&self, epoch: u32, number: u32) -> bool {
        self.epoch == epoch && number < CapabilitySet::BITS && self.set >> number & 1 != 0
    }
}

/// Whether a capability may be used, in whatever user namespace it was asked for. `usable`: what the context's rules leave it now, with
/// `SYS_ADMIN` while it does what it was granted ([`SystemCall::sets_own_hostname`]).
///
/// | actor            | capability                                                  | verdict |
/// |------------------|-------------------------------------------------------------|---------|
/// | host             | any                                                         | allow   |
/// | spectator, guest | usable, and not `NET_RAW`                                   | allow   |
/// | spectator, guest | `NET_RAW`, usable, without addresses                        | allow   |
/// | spectator, guest | `NET_RAW`, usable, for a raw socket that policy gives it    | allow   |
/// | entering         | of [`ENTRY_SET`]                                            | allow   |
/// | spectator, guest | any other, or unheard of                                    | EPERM   |
/// | unknown          | any                                                         | EPERM   |
#[inline(always)]
pub const fn decide_capability(actor: Identity, number: u32, usable: CapabilitySet) -> Verdict {
    let tag = match actor {
        Identity::Host => return Verdict::Allow,
        Identity::Unknown => return Verdict::Deny(Errno::Eperm, Reason::UnknownActor),
        Identity::Member(tag) => tag,
    };
    let usable = if tag.is_entering() { usable | ENTRY_SET } else { usable };
    let is_usable = number < CapabilitySet::BITS && usable >> number & 1 != 0;
    if is_usable && (number != NET_RAW || !tag.has_network() || tag.makes_raw()) {
        Verdict::Allow
    } else {
        Verdict::Deny(Errno::Eperm, Reason::Capability)
    }
}

/// What a task is in the middle of, as far as a grant asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SystemCall {
    /// The number as the task asked for it, all bits (`pt_regs.orig_ax`). -1 in the middle of anything else.
    pub number: u64,
    /// The answer so far (`pt_regs.ax`).
    pub answer: u64,
    /// 1: of the 32-bit table (`TS_COMPAT`).
    pub is_compat: u32,
    /// `task_struct.flags`.
    pub task_flags: u32,
    /// 1: the task has used `io_uring`: what it left there is done at the end of whatever call.
    pub has_rings: u32,
    /// The number of the UTS namespace that it is in.
    pub uts_namespace: u32,
}

impl SystemCall {
    /// `PF_IO_WORKER`, `PF_USER_WORKER`, `PF_KTHREAD`.
    const WORKERS: u32 = 0x10 | 0x4000 | 0x20_0000;
    /// `PROC_UTS_INIT_INO`: the host's.
    const HOST_UTS_NAMESPACE: u32 = 0xefff_fffe;
    /// `-ENOSYS`: what the entry puts there, and what stays until the call has an answer.
    const NO_ANSWER: u64 = (-38_i64).cast_unsigned();

    /// Whether it sets the host name or domain name of a UTS namespace that is not the host's: `sethostname(2)` or `setdomainname(2)` and
    /// nothing else. All bits of the number count, so that x32 (bit 30) is refused, and what a call with a number cut off would be.
    #[inline(always)]
    pub const fn sets_own_hostname(&self) -> bool {
        let is_named = if self.is_compat == 0 {
            self.number == 170 || self.number == 171
        } else {
            self.number == 74 || self.number == 121
        };
        is_named
            && self.answer == Self::NO_ANSWER
            && self.task_flags & Self::WORKERS == 0
            && self.has_rings == 0
            && self.uts_namespace != Self::HOST_UTS_NAMESPACE
            && self.uts_namespace != 0
    }
}

#[cfg(feature = "user")]
mod user {
    use super::CommonCapabilities;

    // SAFETY: `repr(C)`, `Copy`, no padding (the size is asserted above), every bit pattern is a value.
    unsafe impl aya::Pod for CommonCapabilities {}
}
