//! Records for tests: at least one of every kind.

use vs_common::context::Tag;
use vs_common::hook::Hook;
use vs_common::id::{Generation, Xid};
use vs_common::verdict::{Errno, Reason};
use vs_common::violation::Violation;

use super::control::*;
use super::decode::DecodeError;
use super::enrich::enrich;
use super::enrich::tests::{FakeLookup, WEB, address_words, against, padded, signal};
use super::printable::Printable;
use super::record::*;
use super::time::{BootId, Now, Time};
use super::word::Word;

/// 2026-11-21 12:00:00 UTC, one hour after boot.
pub(crate) const NOON: i128 = 1_795_262_400_000_000_000;

pub(crate) fn now() -> Now {
    Now { boot: 3_600_000_000_000, wall: Time::from_nanoseconds(NOON) }
}

pub(crate) fn boot() -> BootId {
    BootId::of("6a2e9d1c-0000-4000-8000-000000000001")
}

pub(crate) fn record(event: Event) -> AuditRecord {
    AuditRecord::new(Time::from_nanoseconds(NOON + 1_123_456_789), boot(), event)
}

pub(crate) fn violation(violation: &Violation) -> AuditRecord {
    record(Event::Violation(Box::new(enrich(violation, &mut FakeLookup))))
}

pub(crate) fn web() -> ContextName {
    ContextName { xid: Some(100), context: Some(Printable::from_escaped("web")), generation: 7 }
}

fn host() -> ContextName {
    ContextName { xid: Some(0), context: Some(Printable::from_escaped("host")), generation: 0 }
}

fn by() -> Caller {
    Caller { pid: 900, uid: 0, loginuid: Some(1000) }
}

fn text(text: &str) -> Printable {
    Printable::from_escaped(text)
}

fn at(hook: Hook, reason: Reason, errno: Errno, detail: u64, base: Violation) -> Violation {
    Violation { hook: hook as u16, reason: reason as u16, errno: errno as u16, detail, ..base }
}

fn violations() -> Vec<Violation> {
    let mut observed = signal();
    observed.mode = 1;
    observed.repeated = 17;
    let mut foreign = signal();
    foreign.target.tag = Tag { xid: Xid(200), lifecycle: 1, generation: Generation(8) };
    let mut unknown = signal();
    unknown.actor.tag = Tag { xid: Xid(u32::MAX), ..Tag::default() };
    let mut sigio = at(Hook::FileSendSigiotask, Reason::ForeignTarget, Errno::Eperm, 29, foreign);
    sigio.actor = vs_common::violation::ActorRecord {
        tag: WEB,
        pid: 0,
        tgid: 0,
        uid: u32::MAX,
        loginuid: u32::MAX,
        executable_device: 0,
        executable_inode: 0,
        comm: [0; 16],
        executable: [0; 32],
    };
    let tracefs = against(2, [0x1b, 12, 0x7472_6163, 0, 0], "events");
    vec![
        signal(),
        observed,
        at(Hook::PtraceAccessCheck, Reason::ForeignTarget, Errno::Eperm, 0x12, foreign),
        at(Hook::TaskKill, Reason::UnknownActor, Errno::Eperm, 0, unknown),
        sigio,
        at(Hook::FileOpen, Reason::ControlFilesystem, Errno::Eacces, 0, tracefs),
        at(Hook::Capable, Reason::Capability, Errno::Eperm, 21, against(3, [21, 0, 0, 0, 0], "")),
        at(Hook::Bpf, Reason::Enforcement, Errno::Eperm, 7, against(0, [0; 5], "")),
        at(Hook::SbMount, Reason::Mount, Errno::Eperm, 4096, against(0, [0; 5], "")),
        Violation {
            hook: 999,
            reason: 998,
            errno: 997,
            mode: 996,
            detail: 5,
            ..against(77, [1, 2, 3, 4, 5], "?")
        },
        against(5, [1, 42, 0, 0, 0], ""),
    ]
    .into_iter()
    .chain(network())
    .collect()
}

/// At least one of every hook that knows of sockets and can deny.
fn network() -> Vec<Violation> {
    let (v4, foreign6) = ([0, 0, 0xffff, 0xc000_0263], [0x2001_0db8, 0, 0, 0x99]);
    let to = |family, protocol, port, address| against(4, address_words(family, protocol, port, address), "");
    let no_address = [0; 4];
    let option = 0x1_0000_0019;
    vec![
        at(Hook::Bind4, Reason::ForeignAddress, Errno::Eaddrnotavail, 0, to(2, 6, 80, v4)),
        at(Hook::Bind6, Reason::ForeignAddress, Errno::Eaddrnotavail, 0, to(10, 6, 80, no_address)),
        at(Hook::Connect4, Reason::UnreachableAddress, Errno::Enetunreach, 0, to(2, 6, 443, v4)),
        at(Hook::Connect6, Reason::ForeignSource, Errno::Eaddrnotavail, 0, to(10, 17, 53, v4)),
        at(Hook::Sendmsg4, Reason::HostListener, Errno::Econnrefused, 0, to(2, 17, 53, v4)),
        at(Hook::Sendmsg6, Reason::ForeignSource, Errno::Einval, 0, to(10, 136, 53, foreign6)),
        at(Hook::SocketCreate, Reason::SocketFamily, Errno::Eperm, 3, to(2, 1, 0, no_address)),
        at(Hook::SocketCreate, Reason::SocketFamily, Errno::Eafnosupport, 3, to(17, 768, 0, no_address)),
        at(Hook::SocketCreate, Reason::SocketFamily, Errno::Eafnosupport, 2, to(99, 7, 0, no_address)),
        at(Hook::SocketPostCreate, Reason::NoStorage, Errno::Enomem, 0, to(10, 0, 0, no_address)),
        at(Hook::SocketListen, Reason::ForeignAddress, Errno::Eaddrnotavail, 0, to(2, 6, 0, no_address)),
        at(Hook::SocketSetsockopt, Reason::SocketOption, Errno::Eperm, option, to(2, 17, 68, no_address)),
        at(Hook::NetlinkSend, Reason::Netlink, Errno::Eperm, 20, to(16, 0, 0, no_address)),
    ]
}

fn counted() -> Counted {
    Counted { context: web(), count: 250, total: 900 }
}

fn counts() -> Vec<Event> {
    let repeated = Repeated {
        hook: Word::new(Some("task_kill"), 0_u16),
        reason: Word::new(Some("host-target"), 1_u16),
        errno: Some(Word::new(Some("EPERM"), 1_u16)),
        mode: Some(Word::new(Some("enforce"), 0_u16)),
        actor: RepeatedActor { context: web(), tgid: 4711, comm: Some(text("nginx")) },
        target: Some(host()),
        since: Time::from_nanoseconds(NOON),
        repeated: 500,
    };
    let unremembered = Repeated {
        errno: None,
        mode: None,
        actor: RepeatedActor { comm: None, ..repeated.actor.clone() },
        target: None,
        ..repeated.clone()
    };
    let bound = Repeated {
        hook: Word::new(Some("bind4"), 0_u16),
        reason: Word::new(Some("foreign-address"), 1_u16),
        errno: Some(Word::new(Some("EADDRNOTAVAIL"), 99_u16)),
        target: None,
        ..repeated.clone()
    };
    vec![
        Event::Repeated(Box::new(repeated)),
        Event::Repeated(Box::new(bound)),
        Event::Repeated(Box::new(unremembered)),
        Event::Suppressed(counted()),
        Event::Lost(Lost::Ring(counted())),
        Event::Lost(Lost::RingHook { hook: Word::new(Some("bpf"), 0_u16), count: 2, total: 3 }),
        Event::Lost(Lost::Spool { count: 4 }),
        Event::Unreadable(Unreadable {
            error: DecodeError::UnknownVersion { version: 2, length: 300 },
            count: 5,
        }),
    ]
}

fn commands() -> Vec<Event> {
    let load = Load {
        epoch: 1,
        previous_epoch: 0,
        contexts: 2,
        digest: "ab".repeat(32),
        files: vec![text("/etc/vs/policy.toml")],
        file_count: 1,
        by: by(),
    };
    let change = ContextChange { context: web(), by: by() };
    vec![
        Event::Load(load.clone()),
        Event::Reload(Load { epoch: 2, previous_epoch: 1, ..load }),
        Event::Unload(Unload { epoch: 2, by: Caller { loginuid: None, ..by() } }),
        Event::Enter(Enter { context: web(), pid: 4711, command: text("/usr/sbin/nginx"), by: by() }),
        Event::ContextCreate(change.clone()),
        Event::ContextRemove(change),
        Event::Mode(ModeChange {
            context: web(),
            from: Word::new(Some("enforce"), 0_u16),
            to: Word::new(Some("observe"), 1_u16),
            by: by(),
        }),
        Event::Capabilities(CapabilityChange::new(web(), "default", "-net_raw", by())),
    ]
}

fn collector() -> Vec<Event> {
    let since = Time::from_nanoseconds(NOON - 60_000_000_000);
    let (sink, error) = (text("file /var/log/vs/audit.jsonl"), text("No space left on device (os error 28)"));
    vec![
        Event::CollectorStart(CollectorStart { pid: 800, role: Role::Collect, version: text("0.1.0") }),
        Event::CollectorStart(CollectorStart { pid: 801, role: Role::Hold, version: text("0.1.0") }),
        Event::CollectorGap(CollectorGap { since, clean: false }),
        Event::CollectorGap(CollectorGap { since, clean: true }),
        Event::CollectorTrouble(CollectorTrouble {
            error: text("cannot list the map CONTEXT_STATES: EPERM"),
        }),
        Event::SinkFailed(SinkFailed { sink: sink.clone(), error: error.clone() }),
        Event::SinkRecovered(SinkRecovered { sink, since, error, kept: 4096, lost: 12 }),
        Event::CollectorStop(CollectorStop { pid: 800, role: Role::Collect, records: 1234 }),
    ]
}

/// At least one record of every kind.
pub(crate) fn all() -> Vec<AuditRecord> {
    let events = counts().into_iter().chain(commands()).chain(collector());
    violations().iter().map(violation).chain(events.map(record)).collect()
}

/// Records of processes that would forge lines and move cursors.
pub(crate) fn hostile() -> Vec<AuditRecord> {
    ["\n12:00:00 host", "\x1b[2J\x1b[H", "a\rb\x08", "\u{202e}txt"]
        .into_iter()
        .map(|name| {
            let mut hostile = against(2, [1, 2, 3, 0, 0], name);
            hostile.actor.comm = padded(name);
            hostile.actor.executable = padded(name);
            violation(&hostile)
        })
        .collect()
}
