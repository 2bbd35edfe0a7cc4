//! Capabilities: the safe ones by the kernel's numbers, and nobody but the host beyond them.

use proptest::prelude::*;
use vs_common::capability::{NET_RAW, RAW_SET, SAFE, SAFE_SET, decide_capability};
use vs_common::context::{Identity, Tag, lifecycle};
use vs_common::id::{Generation, Xid};
use vs_common::verdict::{Errno, Reason, Verdict};

/// Every capability by its number in `include/uapi/linux/capability.h`, and whether a context may use it.
const CAPABILITIES: [(&str, bool); 41] = [
    ("chown", true),
    ("dac_override", true),
    ("dac_read_search", false),
    ("fowner", true),
    ("fsetid", true),
    ("kill", true),
    ("setgid", true),
    ("setuid", true),
    ("setpcap", true),
    ("linux_immutable", false),
    ("net_bind_service", true),
    ("net_broadcast", false),
    ("net_admin", false),
    ("net_raw", false),
    ("ipc_lock", false),
    ("ipc_owner", false),
    ("sys_module", false),
    ("sys_rawio", false),
    ("sys_chroot", true),
    ("sys_ptrace", true),
    ("sys_pacct", false),
    ("sys_admin", false),
    ("sys_boot", false),
    ("sys_nice", false),
    ("sys_resource", false),
    ("sys_time", false),
    ("sys_tty_config", false),
    ("mknod", false),
    ("lease", false),
    ("audit_write", false),
    ("audit_control", false),
    ("setfcap", false),
    ("mac_override", false),
    ("mac_admin", false),
    ("syslog", false),
    ("wake_alarm", false),
    ("block_suspend", false),
    ("audit_read", false),
    ("perfmon", false),
    ("bpf", false),
    ("checkpoint_restore", false),
];

fn members() -> [Identity; 3] {
    [1, 2, u32::MAX]
        .map(|xid| Identity::Member(Tag { xid: Xid(xid), lifecycle: 0, generation: Generation(1) }))
}

#[test]
fn each_capability_is_decided_as_the_list_says() {
    for (number, (name, is_safe)) in (0..).zip(CAPABILITIES) {
        let expected = if is_safe { Verdict::Allow } else { Verdict::Deny(Errno::Eperm, Reason::Capability) };
        for actor in members() {
            assert_eq!(decide_capability(actor, number), expected, "{name}");
        }
        assert_eq!(decide_capability(Identity::Host, number), Verdict::Allow, "{name}");
        let unknown = Verdict::Deny(Errno::Eperm, Reason::UnknownActor);
        assert_eq!(decide_capability(Identity::Unknown, number), unknown, "{name}");
    }
}

/// What policy gives is one raw socket at a time, and nothing else that the capability is for.
#[test]
fn who_makes_a_raw_socket_may_for_that() {
    assert_eq!((CAPABILITIES[NET_RAW as usize].0, RAW_SET), ("net_raw", SAFE_SET | 1 << 13));
    let makes = Tag { xid: Xid(100), lifecycle: lifecycle::MAKES_RAW, generation: Generation(1) };
    for number in 0..64 {
        let idle =
            decide_capability(Identity::Member(Tag { lifecycle: !lifecycle::MAKES_RAW, ..makes }), number);
        let expected = if number == NET_RAW { Verdict::Allow } else { idle };
        assert_eq!(decide_capability(Identity::Member(makes), number), expected, "{number}");
        assert_eq!(idle == Verdict::Allow, SAFE_SET & (1 << number) != 0, "{number}");
    }
}

#[test]
fn the_list_and_the_set_are_one() {
    let safe: Vec<_> = (0..)
        .zip(CAPABILITIES)
        .filter(|(_, (_, is_safe))| *is_safe)
        .map(|(number, (name, _))| (number, name))
        .collect();
    assert_eq!(SAFE.map(|capability| (capability.number, capability.name)).to_vec(), safe);
    assert_eq!(SAFE_SET, safe.iter().fold(0, |set, (number, _)| set | 1u64 << number));
}

proptest! {
    /// Numbers that no kernel has yet, and that would shift out of the set.
    #[test]
    fn a_capability_unheard_of_is_denied(number in 41u32..) {
        for actor in members() {
            prop_assert_eq!(decide_capability(actor, number), Verdict::Deny(Errno::Eperm, Reason::Capability));
        }
        prop_assert_eq!(decide_capability(Identity::Host, number), Verdict::Allow);
    }
}
