//! Which capabilities a context may use.

use crate::context::Identity;
use crate::verdict::{Errno, Reason, Verdict};

/// A set of capabilities, bit n standing for capability n of `linux/capability.h`.
pub type CapabilitySet = u64;

/// A capability of `linux/capability.h`: its number and its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capability {
    /// The number, `CAP_CHOWN` being 0.
    pub number: u32,
    /// The name in lower case without `CAP_`.
    pub name: &'static str,
}

/// The names of capabilities by number (`include/uapi/linux/capability.h`, 7.x), in lower case without `CAP_`.
pub const NAMES: [&str; 41] = [
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

/// What is left to root inside a context: acts on its own files, processes and ports, nothing that reaches the host.
///
/// `SYS_PTRACE` stays because `hidepid=ptraceable` asks for it before it asks us (`fs/proc/base.c:has_pid_permissions`,
/// `kernel/ptrace.c:__ptrace_may_access`), and `KILL` because a service's root signals its own workers; both are confined by
/// `ptrace_access_check` and `task_kill`. Not here, each for one reason: `SYS_ADMIN` mounts and joins namespaces,
/// `DAC_READ_SEARCH` opens by handle (`open_by_handle_at` has no hook), `MKNOD` makes the disk, `SETFCAP` leaves capabilities on
/// files the host executes, `NET_RAW` and `NET_ADMIN` reach the shared network, `SYS_NICE` takes the processor from the host.
pub const SAFE: [Capability; 11] = [
    Capability { number: 0, name: "chown" },
    Capability { number: 1, name: "dac_override" },
    Capability { number: 3, name: "fowner" },
    Capability { number: 4, name: "fsetid" },
    Capability { number: 5, name: "kill" },
    Capability { number: 6, name: "setgid" },
    Capability { number: 7, name: "setuid" },
    Capability { number: 8, name: "setpcap" },
    Capability { number: 10, name: "net_bind_service" },
    Capability { number: 18, name: "sys_chroot" },
    Capability { number: 19, name: "sys_ptrace" },
];

/// [`SAFE`] as a set.
pub const SAFE_SET: CapabilitySet = {
    let mut set = 0;
    let mut i = 0;
    while i < SAFE.len() {
        set |= 1 << SAFE[i].number;
        i += 1;
    }
    set
};

/// `CAP_NET_RAW`: what the kernel asks of who makes a raw socket (`net/ipv4/af_inet.c:inet_create`), and of much else.
pub const NET_RAW: u32 = 13;

/// What a context has that policy gives raw sockets: entry leaves it the capability, and [`decide_capability`] what it is good for.
pub const RAW_SET: CapabilitySet = SAFE_SET | 1 << NET_RAW;

/// Whether a capability may be used, in whatever user namespace it was asked for.
///
/// | actor            | capability in [`SAFE`]          | verdict |
/// |------------------|---------------------------------|---------|
/// | host             | any                             | allow   |
/// | spectator, guest | yes                             | allow   |
/// | spectator, guest | `NET_RAW`, for a raw socket that policy gives it | allow |
/// | spectator, guest | no, or unheard of               | EPERM   |
/// | unknown          | any                             | EPERM   |
#[inline(always)]
pub const fn decide_capability(actor: Identity, number: u32) -> Verdict {
    match actor {
        Identity::Host => Verdict::Allow,
        Identity::Unknown => Verdict::Deny(Errno::Eperm, Reason::UnknownActor),
        Identity::Member(_) if number < u64::BITS && SAFE_SET & (1 << number) != 0 => Verdict::Allow,
        Identity::Member(tag) if number == NET_RAW && tag.makes_raw() => Verdict::Allow,
        Identity::Member(_) => Verdict::Deny(Errno::Eperm, Reason::Capability),
    }
}
