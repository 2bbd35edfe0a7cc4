//! Files: every cell of the tables in the documentation of `decide_open`, `decide_look` and `decide_modify`.

use proptest::prelude::*;
use vs_common::context::{Identity, Tag, lifecycle};
use vs_common::filesystem::{
    FileFacts, FilesystemClass, classify, decide_look, decide_modify, decide_open, is_harmless_device,
    is_open_to_all,
};
use vs_common::id::{Generation, Xid};
use vs_common::verdict::{Errno, Reason, Verdict};

const ALLOW: Verdict = Verdict::Allow;

const fn enoent(reason: Reason) -> Verdict {
    Verdict::Deny(Errno::Enoent, reason)
}

const fn eacces(reason: Reason) -> Verdict {
    Verdict::Deny(Errno::Eacces, reason)
}

const fn member(xid: u32, generation: u64, lifecycle: u32) -> Identity {
    Identity::Member(Tag { xid: Xid(xid), lifecycle, generation: Generation(generation) })
}

// Those that live in the host's mount tree, which is what most of this is about.
const GUEST: Identity = member(100, 7, lifecycle::HOST_TREE);
const SPECTATOR: Identity = member(1, 8, lifecycle::HOST_TREE);
/// One with a mount namespace of its own, and one for whom policy asked for the second lock besides.
const SETTLED: Identity = member(100, 7, 0);
const LOCKED: Identity = member(100, 7, lifecycle::PROC_LOCK);

/// Superblock magics as the kernel's `include/uapi/linux/magic.h` has them (configfs: `fs/configfs/mount.c`), with their class.
const MAGICS: [(u64, FilesystemClass); 22] = [
    (0x9fa0, FilesystemClass::ReadOnly),         // PROC_SUPER_MAGIC
    (0x6265_6572, FilesystemClass::ReadOnly),    // SYSFS_MAGIC
    (0xcafe_4a11, FilesystemClass::Enforcement), // BPF_FS_MAGIC
    (0x27_e0eb, FilesystemClass::Control),       // CGROUP_SUPER_MAGIC
    (0x6367_7270, FilesystemClass::Control),     // CGROUP2_SUPER_MAGIC
    (0x6462_6720, FilesystemClass::Control),     // DEBUGFS_MAGIC
    (0x7472_6163, FilesystemClass::Control),     // TRACEFS_MAGIC
    (0x7363_6673, FilesystemClass::Control),     // SECURITYFS_MAGIC
    (0x5a3c_69f0, FilesystemClass::Control),     // AAFS_MAGIC
    (0xf97c_ff8c, FilesystemClass::Control),     // SELINUX_MAGIC
    (0x4341_5d53, FilesystemClass::Control),     // SMACK_MAGIC
    (0x4249_4e4d, FilesystemClass::Control),     // BINFMTFS_MAGIC
    (0xde5e_81e4, FilesystemClass::Control),     // EFIVARFS_MAGIC
    (0x6265_6570, FilesystemClass::Control),     // CONFIGFS_MAGIC
    (0x6165_676c, FilesystemClass::Control),     // PSTOREFS_MAGIC
    (0xef53, FilesystemClass::Ordinary),         // EXT4_SUPER_MAGIC
    (0x0102_1994, FilesystemClass::Ordinary),    // TMPFS_MAGIC, devtmpfs too
    (0x794c_7630, FilesystemClass::Ordinary),    // OVERLAYFS_SUPER_MAGIC
    (0x1cd1, FilesystemClass::Ordinary),         // DEVPTS_SUPER_MAGIC
    (0x1980_0202, FilesystemClass::Ordinary),    // MQUEUE_MAGIC
    (0, FilesystemClass::Ordinary),
    (u64::MAX, FilesystemClass::Ordinary),
];

const FIFO: u32 = 0o010_000;
const CHARACTER: u32 = 0o020_000;
const DIRECTORY: u32 = 0o040_000;
const BLOCK: u32 = 0o060_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const SOCKET: u32 = 0o140_000;

fn facts(superblock_magic: u64, file_type: u32, device: u32, is_write: bool) -> FileFacts {
    FileFacts { superblock_magic, mode: file_type | 0o755, device, process: None, is_write }
}

/// The kernel's `dev_t`: `MINORBITS` is 20.
const fn dev(major: u32, minor: u32) -> u32 {
    major * (1 << 20) + minor
}

#[test]
fn file_systems_have_the_class_of_what_they_do() {
    for (magic, class) in MAGICS {
        assert_eq!(classify(magic), class, "{magic:#x}");
        // Magics are 32 bits wide; what has more is none of them.
        assert_eq!(classify(magic | 1 << 32), FilesystemClass::Ordinary, "{magic:#x}");
    }
}

#[test]
fn the_harmless_devices_are_seven() {
    // `Documentation/admin-guide/devices.txt`: null, zero, full, random, urandom; tty, ptmx.
    let harmless = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
    for major in 0..4096 {
        for minor in (0..600).chain([0xf_fffe, 0xf_ffff]) {
            let expected = harmless.contains(&(major, minor));
            assert_eq!(is_harmless_device(dev(major, minor)), expected, "{major}:{minor}");
        }
    }
}

/// The second and third rows of `decide_open`'s table, and the last: a regular file on each class, for reading and for writing.
#[test]
fn files_are_open_as_far_as_their_file_system_is_harmless() {
    for (magic, class) in MAGICS {
        for file_type in [REGULAR, DIRECTORY, FIFO, LINK, SOCKET] {
            let (guest_reads, guest_writes, spectator_writes) = match class {
                FilesystemClass::Ordinary => (ALLOW, ALLOW, ALLOW),
                FilesystemClass::ReadOnly => {
                    (ALLOW, eacces(Reason::ControlFilesystem), eacces(Reason::ControlFilesystem))
                }
                FilesystemClass::Control => {
                    let denied = eacces(Reason::ControlFilesystem);
                    (denied, denied, denied)
                }
                FilesystemClass::Enforcement => {
                    let denied = eacces(Reason::Enforcement);
                    (denied, denied, denied)
                }
            };
            let (reading, writing) = (facts(magic, file_type, 0, false), facts(magic, file_type, 0, true));
            // Who cannot be told apart from a guest is treated as one.
            for actor in [GUEST, Identity::Unknown] {
                assert_eq!(decide_open(actor, &reading), guest_reads, "{actor:?} {reading:?}");
                assert_eq!(decide_open(actor, &writing), guest_writes, "{actor:?} {writing:?}");
            }
            assert_eq!(decide_open(SPECTATOR, &reading), ALLOW, "{reading:?}");
            assert_eq!(decide_open(SPECTATOR, &writing), spectator_writes, "{writing:?}");
            assert_eq!(decide_open(Identity::Host, &writing), ALLOW);
        }
    }
}

/// A hook that finds a file open to all asks no further.
#[test]
fn what_is_open_to_all_is_open_to_each() {
    let file_types = [REGULAR, DIRECTORY, FIFO, LINK, SOCKET, CHARACTER, BLOCK];
    for (magic, class) in MAGICS {
        for file_type in file_types {
            let is_file = !matches!(file_type, CHARACTER | BLOCK);
            let is_open = is_open_to_all(magic, file_type | 0o755);
            assert_eq!(is_open, is_file && class == FilesystemClass::Ordinary, "{magic:#x} {file_type:o}");
            for (actor, is_write) in
                [GUEST, SPECTATOR, Identity::Unknown].into_iter().flat_map(|a| [(a, false), (a, true)])
            {
                let file = facts(magic, file_type, dev(8, 0), is_write);
                assert!(!is_open || decide_open(actor, &file) == ALLOW, "{actor:?} {file:?}");
            }
        }
    }
}

#[test]
fn devices_are_closed_but_for_the_harmless_ones() {
    let devices = [
        (CHARACTER, dev(1, 3), true),
        (CHARACTER, dev(5, 2), true),
        (CHARACTER, dev(1, 1), false),
        (CHARACTER, dev(1, 11), false),
        (CHARACTER, dev(136, 0), false),
        (CHARACTER, dev(10, 200), false),
        (CHARACTER, 0, false),
        (BLOCK, dev(8, 0), false),
        // A block device with the numbers of /dev/null is a ram disk.
        (BLOCK, dev(1, 3), false),
    ];
    for (file_type, device, is_open) in devices {
        let expected = if is_open { ALLOW } else { eacces(Reason::Device) };
        for is_write in [false, true] {
            let file = facts(0x0102_1994, file_type, device, is_write);
            for actor in [GUEST, SPECTATOR, Identity::Unknown] {
                assert_eq!(decide_open(actor, &file), expected, "{actor:?} {file:?}");
            }
            assert_eq!(decide_open(Identity::Host, &file), ALLOW);
        }
    }
    // The number is that of a device only if the file is one.
    for file_type in [REGULAR, DIRECTORY, FIFO, LINK, SOCKET] {
        assert_eq!(decide_open(GUEST, &facts(0xef53, file_type, dev(1, 1), true)), ALLOW);
    }
}

/// Whose `/proc/PID` it is, and what a guest and the spectator are told: own, or why not.
fn owners(actor: Identity) -> Vec<(Identity, Option<Reason>)> {
    let Identity::Member(tag) = actor else { unreachable!("only members have a context") };
    let (xid, generation) = (tag.xid.0, tag.generation.0);
    vec![
        (member(xid, generation, 0), None),
        (member(xid, generation, lifecycle::PROCESS), None),
        // It is the context's already, and what is dangerous in its /proc asks ptrace.
        (member(xid, generation, lifecycle::ENTERING), None),
        (member(xid, generation + 1, 0), Some(Reason::ForeignTarget)),
        (member(xid + 1, generation, 0), Some(Reason::ForeignTarget)),
        (Identity::Host, Some(Reason::HostTarget)),
        (Identity::Unknown, Some(Reason::UnknownTarget)),
    ]
}

fn proc_pid(owner: Identity, is_write: bool) -> FileFacts {
    FileFacts { process: Some(owner), ..facts(0x9fa0, REGULAR, 0, is_write) }
}

#[test]
fn the_proc_of_others_is_not_there_for_a_guest() {
    for (owner, reason) in owners(GUEST) {
        let expected = reason.map_or(ALLOW, enoent);
        for is_write in [false, true] {
            assert_eq!(decide_open(GUEST, &proc_pid(owner, is_write)), expected, "{owner:?}");
        }
        assert_eq!(decide_look(GUEST, Some(owner)), expected, "{owner:?}");
    }
}

#[test]
fn the_spectator_looks_into_every_proc_and_writes_only_to_its_own() {
    for (owner, reason) in owners(SPECTATOR) {
        let expected = if reason.is_none() { ALLOW } else { eacces(Reason::SpectatorChange) };
        assert_eq!(decide_open(SPECTATOR, &proc_pid(owner, false)), ALLOW, "{owner:?}");
        assert_eq!(decide_open(SPECTATOR, &proc_pid(owner, true)), expected, "{owner:?}");
        assert_eq!(decide_look(SPECTATOR, Some(owner)), ALLOW, "{owner:?}");
    }
}

#[test]
fn the_host_sees_every_proc_and_an_unknown_actor_none() {
    let owners = [
        GUEST,
        SPECTATOR,
        Identity::Host,
        Identity::Unknown,
        member(u32::MAX, 1, 0),
        member(u32::MAX - 1, 1, 0),
    ];
    for owner in owners {
        for is_write in [false, true] {
            let file = proc_pid(owner, is_write);
            assert_eq!(decide_open(Identity::Host, &file), ALLOW, "{owner:?}");
            assert_eq!(decide_open(Identity::Unknown, &file), enoent(Reason::UnknownActor), "{owner:?}");
        }
        assert_eq!(decide_look(Identity::Host, Some(owner)), ALLOW, "{owner:?}");
        assert_eq!(decide_look(Identity::Unknown, Some(owner)), enoent(Reason::UnknownActor), "{owner:?}");
    }
    for actor in [GUEST, SPECTATOR, Identity::Host, Identity::Unknown] {
        assert_eq!(decide_look(actor, None), ALLOW, "{actor:?}");
    }
}

#[test]
fn nobody_but_the_host_changes_names_where_the_kernel_is_controlled() {
    for (magic, class) in MAGICS {
        let expected = match class {
            FilesystemClass::Ordinary => ALLOW,
            FilesystemClass::Enforcement => Verdict::Deny(Errno::Eperm, Reason::Enforcement),
            FilesystemClass::ReadOnly | FilesystemClass::Control => {
                Verdict::Deny(Errno::Eperm, Reason::ControlFilesystem)
            }
        };
        assert_eq!(decide_modify(Identity::Host, magic), ALLOW);
        for actor in [GUEST, SPECTATOR, Identity::Unknown] {
            assert_eq!(decide_modify(actor, magic), expected, "{actor:?} {magic:#x}");
        }
    }
}

#[test]
fn in_a_tree_of_its_own_a_guest_is_judged_for_nothing_but_proc_where_policy_asks() {
    let files = [
        facts(0xcafe_4a11, REGULAR, 0, true),
        facts(0x6367_7270, REGULAR, 0, true),
        facts(0x9fa0, REGULAR, 0, true),
        facts(0x0102_1994, BLOCK, dev(8, 0), true),
        facts(0x1cd1, CHARACTER, dev(136, 0), true),
    ];
    for file in files {
        assert_ne!(decide_open(GUEST, &file), ALLOW, "{file:?}");
        assert_eq!(decide_open(SETTLED, &file), ALLOW, "{file:?}");
        assert_eq!(decide_open(LOCKED, &file), ALLOW, "{file:?}");
    }
    for (magic, _) in MAGICS {
        assert_eq!(decide_modify(SETTLED, magic), ALLOW);
        assert_eq!(decide_modify(LOCKED, magic), ALLOW);
    }
    let others = proc_pid(Identity::Host, false);
    assert_eq!(decide_open(SETTLED, &others), ALLOW);
    assert_eq!(decide_look(SETTLED, Some(Identity::Host)), ALLOW);
    assert_eq!(decide_open(LOCKED, &others), enoent(Reason::HostTarget));
    assert_eq!(decide_look(LOCKED, Some(Identity::Host)), enoent(Reason::HostTarget));
}

fn any_identity() -> impl Strategy<Value = Identity> {
    let tag = (1u32..4, 0u64..3, any::<u32>());
    prop_oneof![
        Just(Identity::Host),
        Just(Identity::Unknown),
        tag.prop_map(|(xid, generation, lifecycle)| member(xid, generation, lifecycle)),
    ]
}

fn any_file() -> impl Strategy<Value = FileFacts> {
    let magic = prop_oneof![proptest::sample::select(&MAGICS[..]).prop_map(|(magic, _)| magic), any::<u64>()];
    (magic, any::<u32>(), any::<u32>(), proptest::option::of(any_identity()), any::<bool>()).prop_map(
        |(superblock_magic, mode, device, process, is_write)| FileFacts {
            superblock_magic,
            mode,
            device,
            process,
            is_write,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_host_is_never_denied(file in any_file()) {
        prop_assert_eq!(decide_open(Identity::Host, &file), ALLOW);
        prop_assert_eq!(decide_look(Identity::Host, file.process), ALLOW);
        prop_assert_eq!(decide_modify(Identity::Host, file.superblock_magic), ALLOW);
    }

    #[test]
    fn whoever_may_write_may_read(actor in any_identity(), file in any_file()) {
        let (reading, writing) = (FileFacts { is_write: false, ..file }, FileFacts { is_write: true, ..file });
        if decide_open(actor, &writing) == ALLOW {
            prop_assert_eq!(decide_open(actor, &reading), ALLOW);
        }
    }

    /// What cannot be looked at cannot be opened, and what can be opened can be looked at.
    #[test]
    fn looking_and_opening_agree(actor in any_identity(), file in any_file()) {
        let look = decide_look(actor, file.process);
        if file.process.is_some() {
            prop_assert_eq!(look, decide_open(actor, &FileFacts { is_write: false, ..file }));
        } else {
            prop_assert_eq!(look, ALLOW);
        }
    }

    /// An unknown actor has at most a guest's rights, and no process of its own.
    #[test]
    fn unknown_is_no_more_than_a_guest(file in any_file()) {
        if decide_open(Identity::Unknown, &file) == ALLOW {
            prop_assert!(file.process.is_none());
            prop_assert_eq!(decide_open(GUEST, &file), ALLOW);
        }
    }

    /// A spectator reads whatever a guest reads, and more; devices it has as a guest has.
    #[test]
    fn the_spectator_reads_at_least_what_guests_do(file in any_file()) {
        let file = FileFacts { is_write: false, ..file };
        if decide_open(GUEST, &file) == ALLOW {
            prop_assert_eq!(decide_open(SPECTATOR, &file), ALLOW);
        }
    }
}
