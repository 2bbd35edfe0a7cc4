//! What outlives a build: numbers and names in pinned maps and in audit records, the layouts of both, the set of errnos.

use std::collections::BTreeSet;
use std::mem::offset_of;

use vs_common::context::{Tag, lifecycle};
use vs_common::hook::{Hook, Need, Role};
use vs_common::id::{ContextKind, Xid};
use vs_common::network::{
    ADDRESS_KEY_BITS, AddressKey, LISTENER_V6, ListenerKey, NetworkRules, network_flag,
};
use vs_common::policy_entry::{
    ContextKey, ContextRules, ContextState, EpochInfo, HookCounters, Mode, ProcMode, context_flag,
};
use vs_common::verdict::{Errno, Reason};
use vs_common::violation::{ActorRecord, Aggregate, AggregateKey, TargetKind, TargetRecord, Violation};
use vs_common::{limits, map_name};

#[test]
fn the_errnos_are_those_that_a_hook_may_return() {
    let known: Vec<_> = (0..=u16::MAX).filter_map(Errno::from_number).collect();
    assert_eq!(known, Errno::ALL);
    let named: Vec<_> = known.iter().map(|errno| (*errno as u16, errno.name())).collect();
    // `include/uapi/asm-generic/errno-base.h`, `errno.h`.
    let expected = [
        (1, "EPERM"),
        (2, "ENOENT"),
        (12, "ENOMEM"),
        (13, "EACCES"),
        (22, "EINVAL"),
        (93, "EPROTONOSUPPORT"),
        (97, "EAFNOSUPPORT"),
        (99, "EADDRNOTAVAIL"),
        (101, "ENETUNREACH"),
        (111, "ECONNREFUSED"),
    ];
    assert_eq!(named, expected);
}

#[test]
fn reasons_keep_their_numbers_and_names() {
    let known: Vec<_> = (0..=u16::MAX).filter_map(Reason::from_number).collect();
    assert_eq!(known, Reason::ALL);
    let named: Vec<_> = known.iter().map(|reason| (*reason as u16, reason.name())).collect();
    let expected = [
        (1, "host-target"),
        (2, "foreign-target"),
        (3, "stale-target"),
        (4, "entering-target"),
        (5, "unknown-target"),
        (6, "unknown-actor"),
        (7, "spectator-change"),
        (8, "enforcement"),
        (9, "capability"),
        (10, "control-filesystem"),
        (11, "device"),
        (12, "no-storage"),
        (13, "dying"),
        (14, "user-namespace"),
        (15, "kernel-module"),
        (16, "mount"),
        (17, "foreign-address"),
        (18, "unreachable-address"),
        (19, "foreign-source"),
        (20, "host-listener"),
        (21, "socket-family"),
        (22, "socket-option"),
        (23, "netlink"),
        (24, "socket-list"),
        (25, "port"),
        (26, "foreign-file"),
        (27, "host-file"),
        (28, "unknown-file"),
        (29, "barrier"),
        (30, "foreign-privilege"),
    ];
    assert_eq!(named[..expected.len()], expected, "append, never change");
    let sentences: BTreeSet<_> = known.iter().map(|reason| reason.sentence()).collect();
    assert_eq!(sentences.len(), known.len(), "each reason has a sentence of its own");
}

/// Mode observe must not let pass what keeps the enforcement, or a process that still holds what is the host's.
#[test]
fn only_these_reasons_follow_the_mode() {
    let between: Vec<_> =
        Reason::ALL.into_iter().filter(|reason| reason.is_between_contexts()).map(Reason::name).collect();
    assert_eq!(
        between,
        [
            "host-target",
            "foreign-target",
            "stale-target",
            "unknown-target",
            "spectator-change",
            "foreign-address",
            "foreign-source",
            "host-listener",
            "port",
            "foreign-file",
            "host-file",
            "unknown-file",
        ]
    );
}

#[test]
fn hooks_are_numbered_in_their_order_and_named_once() {
    for (number, hook) in (0..).zip(Hook::ALL) {
        assert_eq!(*hook as u16, number);
        assert_eq!(Hook::from_number(number), Some(*hook));
        assert!(!hook.info().guarantee.is_empty());
        assert_eq!(hook.name(), hook.info().name);
    }
    assert_eq!(Hook::from_number(u16::try_from(Hook::COUNT).unwrap()), None);
    assert_eq!(Hook::from_number(u16::MAX), None);
    let names: BTreeSet<_> = Hook::ALL.iter().map(|hook| hook.name()).collect();
    assert_eq!(names.len(), Hook::COUNT);
}

/// What must be there before the first tag is, and as long as one is: everything that creates, inherits or clears one.
#[test]
fn tags_are_inherited_under_every_policy() {
    for hook in Hook::ALL.iter().filter(|hook| hook.info().role == Role::Lifecycle) {
        let expected = match *hook {
            // A /proc inode is tagged for those who live where the host's procfs is.
            Hook::TaskToInode => Need::HostTree,
            // A socket is tagged for those who have addresses.
            Hook::SocketPostCreate => Need::Network,
            // And marked for those who may ping.
            Hook::PingSource => Need::Ping,
            _ => Need::Always,
        };
        assert_eq!(hook.info().need, expected, "{}", hook.name());
    }
}

#[test]
fn names_of_maps_fit_into_the_kernel() {
    let names: BTreeSet<_> = map_name::ALL.iter().collect();
    assert_eq!(names.len(), map_name::ALL.len());
    for name in map_name::ALL {
        // `BPF_OBJ_NAME_LEN` is 16 with the zero; `bpf_obj_name_cpy` takes letters, digits, `_` and `.`.
        assert!(
            name.len() < 16 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'),
            "{name}"
        );
    }
}

#[test]
fn numbers_of_words_are_kept() {
    assert_eq!([0, 1].map(Mode::from_number), [Some(Mode::Enforce), Some(Mode::Observe)]);
    assert_eq!((2..300).find_map(Mode::from_number), None);
    assert_eq!([Mode::Enforce, Mode::Observe].map(Mode::name), ["enforce", "observe"]);
    let proc_modes = [ProcMode::Pidns, ProcMode::Hidepid, ProcMode::Plain];
    assert_eq!([0, 1, 2].map(ProcMode::from_number), proc_modes.map(Some));
    assert_eq!((3..300).find_map(ProcMode::from_number), None);
    assert_eq!(proc_modes.map(ProcMode::name), ["pidns", "hidepid", "plain"]);
    let kinds: Vec<_> = (0..300).filter_map(TargetKind::from_number).map(|kind| kind as u32).collect();
    assert_eq!(kinds, [0, 1, 2, 3, 4, 5]);
    let flags = [context_flag::DYNAMIC, context_flag::ORPHAN, context_flag::PROC_LOCK, context_flag::NETWORK];
    assert_eq!(flags, [1, 2, 4, 8]);
    let bits = [lifecycle::ENTERING, lifecycle::HOST_TREE, lifecycle::PROC_LOCK, lifecycle::NETWORK];
    assert_eq!(bits, [1, 2, 4, 8]);
    assert_eq!(
        [lifecycle::PROCESS, lifecycle::BOUND_TO_ANY, lifecycle::RAW, lifecycle::MAKES_RAW],
        [256, 512, 1024, 2048]
    );
    let flags = [
        network_flag::V4,
        network_flag::V6,
        network_flag::LOOPBACK_PRIVATE,
        network_flag::LOOPBACK_SHARED,
        network_flag::MULTICAST,
        network_flag::BROADCAST,
        network_flag::SHOW_ANY,
        network_flag::PING,
        network_flag::STRICT,
        network_flag::RAW_ICMP,
        network_flag::RAW_ICMPV6,
    ];
    assert_eq!(flags, [1, 2, 4, 8, 16, 32, 64, 4096, 8192, 16_384, 32_768]);
    assert_eq!([context_flag::PING, context_flag::RECEIVE, context_flag::RAW], [32, 64, 128]);
}

#[test]
fn xids_have_vservers_ranges() {
    assert_eq!([0, 1].map(|xid| Xid(xid).kind()), [ContextKind::Host, ContextKind::Spectator]);
    for xid in [2, 49_151, 49_152, 65_535, 65_536, Xid::CANARY.0, u32::MAX] {
        assert_eq!(Xid(xid).kind(), ContextKind::Guest, "{xid}");
    }
    assert_eq!((Xid::FIRST_STATIC.0, Xid::LAST_STATIC.0), (2, 49_151));
    assert_eq!((Xid::FIRST_DYNAMIC.0, Xid::LAST_DYNAMIC.0), (49_152, 65_535));
    assert!(Xid::CANARY > Xid::LAST_DYNAMIC, "no context is ever the canary");
}

#[test]
fn pinned_values_keep_their_layout() {
    assert_eq!((size_of::<Tag>(), align_of::<Tag>()), (16, 8));
    assert_eq!([offset_of!(Tag, xid), offset_of!(Tag, lifecycle), offset_of!(Tag, generation)], [0, 4, 8]);
    assert_eq!(size_of::<ContextKey>(), 8);
    assert_eq!([offset_of!(ContextKey, epoch), offset_of!(ContextKey, xid)], [0, 4]);
    assert_eq!(size_of::<ContextRules>(), 80);
    let rules = [
        offset_of!(ContextRules, generation),
        offset_of!(ContextRules, mode),
        offset_of!(ContextRules, proc_mode),
        offset_of!(ContextRules, flags),
        offset_of!(ContextRules, records_per_second),
        offset_of!(ContextRules, record_burst),
        offset_of!(ContextRules, reserved),
        offset_of!(ContextRules, capabilities),
        offset_of!(ContextRules, capabilities_max),
        offset_of!(ContextRules, name),
    ];
    assert_eq!(rules, [0, 8, 12, 16, 20, 24, 28, 32, 40, 48]);
    assert_eq!(size_of::<ContextState>(), 48);
    let state = [
        offset_of!(ContextState, generation),
        offset_of!(ContextState, millitokens),
        offset_of!(ContextState, refilled_at),
        offset_of!(ContextState, suppressed),
        offset_of!(ContextState, lost),
        offset_of!(ContextState, is_dying),
    ];
    assert_eq!(state, [0, 8, 16, 24, 32, 40]);
    assert_eq!(size_of::<EpochInfo>(), 56);
    let info = [
        offset_of!(EpochInfo, loaded_at),
        offset_of!(EpochInfo, digest),
        offset_of!(EpochInfo, uid),
        offset_of!(EpochInfo, loginuid),
        offset_of!(EpochInfo, contexts),
    ];
    assert_eq!(info, [0, 8, 40, 44, 48]);
    assert_eq!(size_of::<NetworkRules>(), 48);
    let network = [
        offset_of!(NetworkRules, generation),
        offset_of!(NetworkRules, flags),
        offset_of!(NetworkRules, reserved),
        offset_of!(NetworkRules, primary4),
        offset_of!(NetworkRules, primary6),
    ];
    assert_eq!(network, [0, 8, 12, 16, 32]);
    // A trie compares from the first bit on: what must be the same stands before the address.
    assert_eq!((size_of::<AddressKey>(), size_of::<ListenerKey>()), (24, 24));
    let key = [offset_of!(AddressKey, epoch), offset_of!(AddressKey, xid), offset_of!(AddressKey, address)];
    assert_eq!(key, [0, 4, ADDRESS_KEY_BITS as usize / 8]);
    assert!(LISTENER_V6 > u32::from(u16::MAX), "no port has the bit");
    let key = [offset_of!(ListenerKey, xid), offset_of!(ListenerKey, port), offset_of!(ListenerKey, address)];
    assert_eq!(key, [0, 4, 8]);
    assert_eq!((size_of::<HookCounters>(), size_of::<AggregateKey>(), size_of::<Aggregate>()), (40, 16, 16));
}

#[test]
fn a_record_keeps_its_layout() {
    assert_eq!((size_of::<Violation>(), align_of::<Violation>()), (232, 8));
    let violation = [
        offset_of!(Violation, version),
        offset_of!(Violation, size),
        offset_of!(Violation, hook),
        offset_of!(Violation, reason),
        offset_of!(Violation, errno),
        offset_of!(Violation, mode),
        offset_of!(Violation, epoch),
        offset_of!(Violation, time),
        offset_of!(Violation, repeated),
        offset_of!(Violation, detail),
        offset_of!(Violation, actor),
        offset_of!(Violation, target),
    ];
    assert_eq!(violation, [0, 2, 4, 6, 8, 10, 12, 16, 24, 32, 40, 136]);
    let actor = [
        offset_of!(ActorRecord, tag),
        offset_of!(ActorRecord, pid),
        offset_of!(ActorRecord, tgid),
        offset_of!(ActorRecord, uid),
        offset_of!(ActorRecord, loginuid),
        offset_of!(ActorRecord, executable_device),
        offset_of!(ActorRecord, executable_inode),
        offset_of!(ActorRecord, comm),
        offset_of!(ActorRecord, executable),
    ];
    assert_eq!(actor, [0, 16, 20, 24, 28, 32, 40, 48, 64]);
    let target = [
        offset_of!(TargetRecord, kind),
        offset_of!(TargetRecord, is_unknown),
        offset_of!(TargetRecord, tag),
        offset_of!(TargetRecord, words),
        offset_of!(TargetRecord, text),
    ];
    assert_eq!(target, [0, 4, 8, 24, 64]);
}

#[test]
fn sizes_hold_together() {
    assert_eq!(
        limits::MAX_CONTEXT_ROWS,
        2 * limits::MAX_CONTEXTS,
        "a load writes an epoch beside the one in force"
    );
    assert_eq!(
        limits::MAX_ADDRESS_ROWS,
        4 * limits::MAX_ADDRESSES,
        "two epochs, and each address on two lists in each"
    );
    // `kernel/bpf/ringbuf.c:ringbuf_map_alloc`: a power of two, and whole pages.
    assert!(limits::RING_SIZE.is_power_of_two() && limits::RING_SIZE.is_multiple_of(65_536));
    let dynamic = Xid::LAST_DYNAMIC.0 - Xid::FIRST_DYNAMIC.0 + 1;
    assert!(dynamic >= limits::MAX_CONTEXTS, "numbers do not run out before rows do");
}
