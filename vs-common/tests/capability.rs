//! Capabilities: the default ones by the kernel's numbers, and nobody but the host beyond what rules leave.

use proptest::prelude::*;
use vs_common::capability::{
    CAPABILITIES as TABLE, CapabilityClass, CommonCapabilities, DEFAULT_SET, ENTRY_SET, NAMES, NET_RAW,
    SYS_ADMIN, SystemCall, decide_capability,
};
use vs_common::context::{Identity, Tag, lifecycle};
use vs_common::id::{Generation, Xid};
use vs_common::verdict::{Errno, Reason, Verdict};

/// Every capability by its number in `include/uapi/linux/capability.h`, and whether a context may use it unless policy says otherwise.
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

const REFUSED: Verdict = Verdict::Deny(Errno::Eperm, Reason::Capability);

#[test]
fn each_capability_is_decided_as_the_rules_say() {
    for (number, (name, is_default)) in (0..).zip(CAPABILITIES) {
        assert_eq!(TABLE[number as usize].name, name);
        assert_eq!(NAMES[number as usize], name);
        assert_eq!(TABLE[number as usize].class == CapabilityClass::Default, is_default, "{name}");
        assert_eq!(DEFAULT_SET >> number & 1 != 0, is_default, "{name}");
        for set in [0, 1 << number, !(1 << number), DEFAULT_SET, u64::MAX] {
            let expected = if set >> number & 1 != 0 { Verdict::Allow } else { REFUSED };
            for actor in members() {
                assert_eq!(decide_capability(actor, number, set), expected, "{name} of {set:#x}");
            }
            assert_eq!(decide_capability(Identity::Host, number, set), Verdict::Allow, "{name}");
            let unknown = Verdict::Deny(Errno::Eperm, Reason::UnknownActor);
            assert_eq!(decide_capability(Identity::Unknown, number, set), unknown, "{name}");
        }
    }
}

/// What policy gives is one raw socket at a time, and nothing else that the capability is for. Who uses the host's addresses has all of it.
#[test]
fn who_has_addresses_may_make_raw_sockets_one_at_a_time() {
    let member = |lifecycle| Identity::Member(Tag { xid: Xid(100), lifecycle, generation: Generation(1) });
    let makes = lifecycle::NETWORK | lifecycle::MAKES_RAW;
    for (lifecycle, set, expected) in [
        (0, 1 << NET_RAW, Verdict::Allow),
        (0, !(1 << NET_RAW), REFUSED),
        (lifecycle::NETWORK, u64::MAX, REFUSED),
        (makes, 1 << NET_RAW, Verdict::Allow),
        (makes, !(1 << NET_RAW), REFUSED),
    ] {
        assert_eq!(decide_capability(member(lifecycle), NET_RAW, set), expected, "{lifecycle:#x} {set:#x}");
    }
}

#[test]
fn who_enters_changes_its_user_whatever_the_rules_say() {
    let entering =
        Identity::Member(Tag { xid: Xid(100), lifecycle: lifecycle::ENTERING, generation: Generation(1) });
    for number in 0..64 {
        let expected = if ENTRY_SET >> number & 1 != 0 { Verdict::Allow } else { REFUSED };
        assert_eq!(decide_capability(entering, number, 0), expected, "{number}");
    }
}

#[test]
fn in_common_is_what_one_epoch_says() {
    let common = CommonCapabilities { set: DEFAULT_SET, epoch: 7, reserved: 0 };
    assert!(common.has(7, 0) && !common.has(6, 0) && !common.has(9, 0));
    assert!(!common.has(7, SYS_ADMIN) && !common.has(7, 64) && !common.has(7, u32::MAX));
    assert!(!CommonCapabilities::default().has(0, 0));
}

/// What a process is in the middle of that sets its own host name.
const SETS: SystemCall = SystemCall {
    number: 170,
    answer: (-38_i64).cast_unsigned(),
    is_compat: 0,
    task_flags: 0x40_0140,
    has_rings: 0,
    uts_namespace: 0xf000_0123,
};

#[test]
fn two_calls_set_a_host_name_by_their_numbers_in_each_table() {
    for (is_compat, numbers) in [(0, [170, 171]), (2, [74, 121])] {
        for number in (0..2000).chain((0..2000).map(|number| number | 1 << 30)) {
            let call = SystemCall { number, is_compat, ..SETS };
            assert_eq!(call.sets_own_hostname(), numbers.contains(&number), "{number} {is_compat}");
        }
        for number in [u64::MAX, 170 + (1 << 32), 74 + (1 << 32), 171 + (1 << 63)] {
            assert!(!SystemCall { number, is_compat, ..SETS }.sets_own_hostname(), "{number:#x}");
        }
    }
}

#[test]
fn nobody_sets_the_hosts_name_nor_has_it_done_by_others() {
    assert!(SETS.sets_own_hostname());
    for refused in [
        SystemCall { uts_namespace: 0xefff_fffe, ..SETS },
        SystemCall { uts_namespace: 0, ..SETS },
        SystemCall { answer: 0, ..SETS },
        SystemCall { answer: (-1_i64).cast_unsigned(), ..SETS },
        SystemCall { task_flags: 0x10, ..SETS },
        SystemCall { task_flags: 0x4000, ..SETS },
        SystemCall { task_flags: 0x20_0000, ..SETS },
        SystemCall { has_rings: 1, ..SETS },
    ] {
        assert!(!refused.sets_own_hostname(), "{refused:?}");
    }
}

proptest! {
    /// Numbers that no kernel has yet, and that would shift out of the set.
    #[test]
    fn a_capability_unheard_of_is_denied(number in 41u32.., set: u64) {
        for actor in members() {
            prop_assert_eq!(decide_capability(actor, number, set & DEFAULT_SET), REFUSED);
        }
        prop_assert_eq!(decide_capability(Identity::Host, number, set), Verdict::Allow);
    }
}
