//! From a [`Violation`] to the event that is written: numbers get their words, contexts their names.
//!
//! Pure but for what a [`Lookup`] answers. Nothing here fails: a name that cannot be found is null in the record, beside the number
//! that identifies.

use vs_common::context::Tag;
use vs_common::filesystem::magic;
use vs_common::hook::Hook;
use vs_common::id::{ContextKind, Epoch, Generation, Xid};
use vs_common::policy_entry::Mode;
use vs_common::verdict::{Errno, Reason};
use vs_common::violation::{ActorRecord, TargetKind, TargetRecord, Violation};

use super::detail::{self, Numbered};
use super::device::Device;
use super::network;
use super::printable::Printable;
use super::record::{Actor, ContextName, Executable, Target, ViolationEvent};
use super::word::Word;

/// What cannot be told from the record alone.
pub trait Lookup {
    /// The name of a context that was in use in this epoch under this generation.
    fn name(&mut self, epoch: Epoch, xid: Xid, generation: Generation) -> Option<Printable>;

    /// The generation and the name that a context has now.
    fn current(&mut self, xid: Xid) -> Option<(Generation, Printable)>;

    /// The path of what the process executes, if that is still this inode.
    fn executable_path(&mut self, tgid: u32, device: Device, inode: u64) -> Option<Printable>;
}

/// A violation with names.
pub fn enrich(violation: &Violation, lookup: &mut dyn Lookup) -> ViolationEvent {
    let hook = Hook::from_number(violation.hook);
    let epoch = Epoch(violation.epoch);
    ViolationEvent {
        hook: hook_word(violation.hook),
        reason: reason_word(violation.reason),
        errno: Word::new(Errno::from_number(violation.errno).map(Errno::name), violation.errno),
        mode: Word::new(Mode::from_number(violation.mode.into()).map(Mode::name), violation.mode),
        epoch: violation.epoch,
        actor: actor(&violation.actor, epoch, lookup),
        target: target(hook, &violation.target, epoch, lookup),
        detail: detail::describe(hook, violation.detail),
        repeated: violation.repeated,
    }
}

/// The word for a hook's number.
pub fn hook_word(number: u16) -> Word {
    Word::new(Hook::from_number(number).map(Hook::name), number)
}

/// The word for a reason's number.
pub fn reason_word(number: u16) -> Word {
    Word::new(Reason::from_number(number).map(Reason::name), number)
}

/// A context's name at the time of a record.
pub fn context_name(xid: Xid, generation: Generation, epoch: Epoch, lookup: &mut dyn Lookup) -> ContextName {
    let context = fixed_name(xid).or_else(|| lookup.name(epoch, xid, generation));
    ContextName { xid: Some(xid.0), context, generation: generation.0 }
}

/// A context's name where only its number is known.
pub fn current_name(xid: Xid, lookup: &mut dyn Lookup) -> ContextName {
    if xid.0 == u32::MAX {
        return ContextName::default();
    }
    if let Some(name) = fixed_name(xid) {
        return ContextName { xid: Some(xid.0), context: Some(name), generation: 0 };
    }
    let (generation, name) = lookup.current(xid).unzip();
    ContextName { xid: Some(xid.0), context: name, generation: generation.unwrap_or_default().0 }
}

fn fixed_name(xid: Xid) -> Option<Printable> {
    match xid.kind() {
        ContextKind::Host => Some(Printable::from_escaped("host")),
        ContextKind::Spectator => Some(Printable::from_escaped("spectator")),
        ContextKind::Guest => None,
    }
}

fn actor(actor: &ActorRecord, epoch: Epoch, lookup: &mut dyn Lookup) -> Actor {
    let device = Device(actor.executable_device);
    let has_executable = actor.executable_device != 0 || actor.executable_inode != 0;
    Actor {
        context: tagged(&actor.tag, actor.tag.xid.0 == u32::MAX, epoch, lookup),
        entering: actor.tag.is_entering(),
        pid: (actor.pid != 0).then_some(actor.pid),
        tgid: (actor.tgid != 0).then_some(actor.tgid),
        uid: (actor.uid != u32::MAX).then_some(actor.uid),
        loginuid: (actor.loginuid != u32::MAX).then_some(actor.loginuid),
        comm: Printable::from_padded(&actor.comm),
        executable: has_executable.then(|| Executable {
            name: Printable::from_padded(&actor.executable),
            path: lookup.executable_path(actor.tgid, device, actor.executable_inode),
            device,
            inode: actor.executable_inode,
        }),
    }
}

fn tagged(tag: &Tag, is_unknown: bool, epoch: Epoch, lookup: &mut dyn Lookup) -> ContextName {
    if is_unknown {
        return ContextName::default();
    }
    context_name(tag.xid, tag.generation, epoch, lookup)
}

fn target(hook: Option<Hook>, target: &TargetRecord, epoch: Epoch, lookup: &mut dyn Lookup) -> Target {
    let [first, second, third, ..] = target.words;
    let mut context =
        || tagged(&target.tag, target.is_unknown != 0 || target.tag.xid.0 == u32::MAX, epoch, lookup);
    let text = Printable::from_padded(&target.text);
    match TargetKind::from_number(target.kind) {
        Some(TargetKind::None) => Target::Kernel {},
        Some(TargetKind::Process) => Target::Process {
            context: context(),
            entering: target.tag.is_entering(),
            pid: first,
            tgid: second,
            comm: text,
        },
        Some(TargetKind::File) => Target::File {
            context: context(),
            name: text,
            filesystem: Word::new(filesystem_name(third), third),
            device: Device(first),
            inode: second,
        },
        Some(TargetKind::Capability) => Target::Capability(Numbered::capability(first)),
        Some(TargetKind::Address) => network::address(hook, &target.words),
        Some(TargetKind::Ipc) => Target::Ipc { context: context(), object: first, id: second },
        None => Target::Other { context: context(), number: target.kind, words: target.words, text },
    }
}

/// As `/proc/filesystems` names them.
const fn filesystem_name(superblock_magic: u64) -> Option<&'static str> {
    Some(match superblock_magic {
        magic::PROC => "proc",
        magic::SYSFS => "sysfs",
        magic::BPF_FS => "bpf",
        magic::CGROUP => "cgroup",
        magic::CGROUP2 => "cgroup2",
        magic::DEBUGFS => "debugfs",
        magic::TRACEFS => "tracefs",
        magic::SECURITYFS => "securityfs",
        magic::AAFS => "apparmorfs",
        magic::SELINUX => "selinuxfs",
        magic::SMACK => "smackfs",
        magic::BINFMT => "binfmt_misc",
        magic::EFIVARFS => "efivarfs",
        magic::CONFIGFS => "configfs",
        magic::PSTORE => "pstore",
        // `include/uapi/linux/magic.h`: what devices and ordinary files lie on.
        0xef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x8584_58f6 => "ramfs",
        0x794c_7630 => "overlay",
        0x1cd1 => "devpts",
        _ => return None,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use vs_common::context::lifecycle;
    use vs_common::violation::VIOLATION_VERSION;

    /// Knows one context and one executable.
    pub(crate) struct FakeLookup;

    impl Lookup for FakeLookup {
        fn name(&mut self, _: Epoch, xid: Xid, generation: Generation) -> Option<Printable> {
            (xid == Xid(100) && generation == Generation(7)).then(|| Printable::from_escaped("web"))
        }

        fn current(&mut self, xid: Xid) -> Option<(Generation, Printable)> {
            (xid == Xid(100)).then(|| (Generation(7), Printable::from_escaped("web")))
        }

        fn executable_path(&mut self, tgid: u32, device: Device, inode: u64) -> Option<Printable> {
            ((tgid, device, inode) == (4711, Device(0x80_0001), 5150))
                .then(|| Printable::from_escaped("/usr/sbin/nginx"))
        }
    }

    pub(crate) const WEB: Tag = Tag { xid: Xid(100), lifecycle: 0, generation: Generation(7) };

    pub(crate) fn padded<const N: usize>(text: &str) -> [u8; N] {
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes
    }

    /// nginx of context web sends SIGKILL to the host's systemd.
    pub(crate) fn signal() -> Violation {
        Violation {
            version: VIOLATION_VERSION,
            size: 232,
            hook: Hook::TaskKill as u16,
            reason: Reason::HostTarget as u16,
            errno: Errno::Eperm as u16,
            mode: 0,
            epoch: 3,
            time: 1_000_000_000,
            repeated: 0,
            detail: 9,
            actor: ActorRecord {
                tag: WEB,
                pid: 4712,
                tgid: 4711,
                uid: 0,
                loginuid: u32::MAX,
                executable_device: 0x80_0001,
                executable_inode: 5150,
                comm: padded("nginx"),
                executable: padded("nginx"),
            },
            target: TargetRecord {
                kind: TargetKind::Process as u32,
                is_unknown: 0,
                tag: Tag::default(),
                words: [1, 1, 0, 0, 0],
                text: padded("systemd"),
            },
        }
    }

    /// The same with another target.
    pub(crate) fn against(kind: u32, words: [u64; 5], text: &str) -> Violation {
        let target = TargetRecord { kind, is_unknown: 0, tag: Tag::default(), words, text: padded(text) };
        Violation { target, ..signal() }
    }

    /// A network address as `vs-ebpf/src/audit.rs` writes it; the address from its first 32 bits to its last.
    pub(crate) fn address_words(family: u64, protocol: u64, port: u64, address: [u32; 4]) -> [u64; 5] {
        let words = address.map(|word| u64::from(word.to_be()));
        [family, port, words[0] | words[1] << 32, words[2] | words[3] << 32, protocol]
    }

    fn target_json(violation: &Violation) -> String {
        serde_json::to_string(&enrich(violation, &mut FakeLookup).target).unwrap()
    }

    #[test]
    fn numbers_get_their_words_and_contexts_their_names() {
        let event = enrich(&signal(), &mut FakeLookup);
        assert!(event.hook.is("task_kill") && event.reason.is("host-target") && event.errno.is("EPERM"));
        assert!(event.mode.is("enforce"));
        assert_eq!(event.actor.context.label(), "web(100)");
        assert_eq!((event.actor.pid, event.actor.tgid), (Some(4712), Some(4711)));
        assert_eq!(event.actor.loginuid, None);
        assert_eq!(event.actor.executable.unwrap().path.unwrap().as_str(), "/usr/sbin/nginx");
        assert_eq!(event.target.context().unwrap().label(), "host");
    }

    #[test]
    fn unknown_numbers_stay_numbers() {
        let event =
            enrich(&Violation { hook: 999, reason: 998, errno: 997, mode: 996, ..signal() }, &mut FakeLookup);
        assert_eq!(event.hook, Word::Number(999));
        assert_eq!(event.reason, Word::Number(998));
        assert_eq!(event.errno, Word::Number(997));
        assert_eq!(event.mode, Word::Number(996));
    }

    #[test]
    fn a_tag_that_could_not_be_read_is_no_context() {
        let mut violation = signal();
        violation.actor.tag.xid = Xid(u32::MAX);
        violation.target.is_unknown = 1;
        let event = enrich(&violation, &mut FakeLookup);
        assert_eq!(event.actor.context.label(), "unknown");
        assert_eq!(event.target.context().unwrap().label(), "unknown");
        assert_eq!(event.actor.context.xid, None);
    }

    #[test]
    fn another_generation_of_the_xid_does_not_get_the_name() {
        let mut violation = signal();
        violation.target.tag = Tag { generation: Generation(6), lifecycle: lifecycle::ENTERING, ..WEB };
        let event = enrich(&violation, &mut FakeLookup);
        assert_eq!(event.target.context().unwrap().label(), "?(100)");
        assert!(matches!(event.target, Target::Process { entering: true, .. }));
    }

    #[test]
    fn an_actor_that_is_gone_has_no_pid_and_no_executable() {
        let mut violation = signal();
        violation.actor.pid = 0;
        violation.actor.tgid = 0;
        violation.actor.uid = u32::MAX;
        violation.actor.executable_device = 0;
        violation.actor.executable_inode = 0;
        let actor = enrich(&violation, &mut FakeLookup).actor;
        assert_eq!((actor.pid, actor.tgid, actor.uid, actor.executable), (None, None, None, None));
    }

    #[test]
    fn every_kind_of_target() {
        let targets = [
            against(0, [0; 5], ""),
            against(2, [0x1b, 12, magic::TRACEFS, 0, 0], "events"),
            against(2, [0x80_0001, 12, 0xdead_beef, 0, 0], "a\x1bb"),
            against(3, [21, 0, 0, 0, 0], ""),
            against(4, address_words(2, 6, 80, [0, 0, 0xffff, 0x7f00_0001]), ""),
            against(4, address_words(10, 17, 80, [0, 0, 0, 1]), ""),
            against(4, address_words(10, 17, 80, [0, 0, 0xffff, 0xc000_020a]), ""),
            against(4, address_words(16, 0, 0, [0; 4]), ""),
            against(5, [1, 42, 0, 0, 0], ""),
            against(77, [1, 2, 3, 4, 5], "x"),
        ];
        let lines: Vec<_> = targets.iter().map(target_json).collect();
        insta::assert_snapshot!("targets", lines.join("\n"));
    }
}
