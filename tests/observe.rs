//! Mode observe: what contexts do to others goes through, and is recorded with the errno that it would have come to. All else is in force.

use anyhow::{Context as _, Result};
use vs_common::context::{Identity, Tag, lifecycle};
use vs_common::hook::Hook;
use vs_common::id::{Generation, Xid};
use vs_loader::maps::live::LiveStore;
use vs_loader::maps::store::Store as _;
use vs_tests::audit::Expected;
use vs_tests::operation::{self, Operation};
use vs_tests::path_operation;
use vs_tests::relation::{Outcome, Party, expected};
use vs_tests::report::{Checks, errno_name};
use vs_tests::status::Status;
use vs_tests::world::{POLICY, Proc, World, vs_ok};

use crate::agreement::Subject;
use crate::sigio::{is_pending, next_signal};

/// Who acts on whom: a guest of each proc mode on one of another context and on the host, and the spectator, who is never in mode observe.
const PAIRS: [(&str, &str); 6] = [
    ("pidns-a", "pidns-b"),
    ("hidepid-a", "plain-b"),
    ("hidepid-a", "host"),
    ("plain-a", "hidepid-b"),
    ("plain-a", "host"),
    ("spectator", "plain-b"),
];

/// Loads the policy in mode observe, and in the end as it was.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    let before = Status::ask()?;
    vs_ok(&["load", "--observe", POLICY])?;
    let mut records = Vec::new();
    for (actor, target) in PAIRS {
        for operation in operation::ALL {
            relation(world, checks, &mut records, operation, (actor, target))?;
        }
    }
    for pair in [("plain-a", "host"), ("plain-a", "hidepid-b"), ("hidepid-a", "plain-b")] {
        for operation in path_operation::ALL {
            path(world, checks, &mut records, operation.name, pair)?;
        }
    }
    owner(world, checks, &mut records)?;
    protection(world, checks, &mut records)?;
    capability(world, checks)?;
    dying(world, checks, &mut records)?;
    for missing in world.audit.missing(&records)? {
        checks.check(false, || format!("no audit record: {missing:?}"));
    }
    checks.held += u32::try_from(records.len()).unwrap_or(0);
    let after = Status::ask()?;
    for hook in [Hook::TaskKill, Hook::PtraceAccessCheck, Hook::FileOpen, Hook::TaskSetrlimit] {
        let grown = after.count(hook, "observed") - before.count(hook, "observed");
        checks.check(grown > 0, || format!("{}: nothing observed is counted", hook.name()));
    }
    checks.equal("the status in mode observe", &after.code, &Some(0));
    vs_ok(&["load", POLICY])?;
    let host = world.inhabitant("host")?.actor.target;
    let errno = world.order("plain-a", &format!("op kill {host}"))?.errno;
    checks.equal("a guest's signal to the host, enforced again", &errno, &libc::EPERM);
    Ok(())
}

/// What must come of an operation: a guest's goes as far as within its own context, where it can be told that it does.
fn observed(
    operation: &Operation,
    actor: Party,
    target: Party,
    is_unreachable: bool,
) -> (Outcome, &'static str) {
    let enforced = expected(operation, actor, target, is_unreachable);
    match (actor, enforced.denied_by) {
        (Party::Guest(_), Some(_)) => (Outcome { errnos: operation.guest_allowed, ..enforced }, "observe"),
        _ => (enforced, "enforce"),
    }
}

fn relation(
    world: &mut World,
    checks: &mut Checks,
    records: &mut Vec<Expected>,
    operation: &Operation,
    (actor, target): (&str, &str),
) -> Result<()> {
    let (target_party, target_number) = {
        let target = world.inhabitant(target)?;
        (target.party, target.actor.target)
    };
    let (party, proc) = {
        let actor = world.inhabitant(actor)?;
        (actor.party, actor.proc)
    };
    let (wanted, mode) = observed(operation, party, target_party, proc == Proc::Pidns);
    let answer = world.order(actor, &format!("op {} {target_number}", operation.name))?;
    checks.check(wanted.errnos.contains(&answer.errno), || {
        let wanted: Vec<_> = wanted.errnos.iter().map(|errno| errno_name(*errno)).collect();
        let found = errno_name(answer.errno);
        format!("{}: {actor} on {target}: {found}, expected {}", operation.name, wanted.join(" or "))
    });
    if let Some(hook) = wanted.denied_by {
        records.push(Expected {
            actor: party.xid(),
            pid: Some(answer.pid),
            target: Some(target_party.xid()),
            hook: hook.name(),
            errno: "EPERM",
            mode,
        });
    }
    Ok(())
}

/// A guest looks into another's `/proc/PID`, which is as if it were its own.
fn path(
    world: &mut World,
    checks: &mut Checks,
    records: &mut Vec<Expected>,
    name: &str,
    (actor, target): (&str, &str),
) -> Result<()> {
    let (target_party, number) = {
        let target = world.inhabitant(target)?;
        (target.party, target.actor.target)
    };
    let (party, proc) = {
        let actor = world.inhabitant(actor)?;
        (actor.party, actor.proc)
    };
    let answer = world.order(actor, &format!("path {name} {number}"))?;
    checks.check(answer.errno == 0, || {
        format!("{name}: {actor} on {target}: {}, expected 0", errno_name(answer.errno))
    });
    // What hides a process is another hook in each proc mode; what no hook sees is published.
    let (hook, errno) = match (proc, name) {
        (_, "listed") | (Proc::Plain, "access" | "chdir" | "o-path") => return Ok(()),
        (Proc::Hidepid, _) | (_, "follow-exe" | "follow-root") => (Hook::PtraceAccessCheck, "EPERM"),
        (_, "stat" | "stat-status" | "lstat-exe") => (Hook::InodeGetattr, "ENOENT"),
        (_, "readlink-exe" | "readlink-cwd") => (Hook::InodeReadlink, "ENOENT"),
        _ => (Hook::FileOpen, "ENOENT"),
    };
    records.push(Expected {
        actor: party.xid(),
        pid: Some(answer.pid),
        target: Some(target_party.xid()),
        hook: hook.name(),
        errno,
        mode: "observe",
    });
    Ok(())
}

/// A signal that a guest has arranged comes.
fn owner(world: &mut World, checks: &mut Checks, records: &mut Vec<Expected>) -> Result<()> {
    let (signal, target) = (next_signal(world, "host")?, world.inhabitant("host")?.actor.target);
    let answer = world.order("hidepid-b", &format!("do set-owner fcntl {target} {signal}"))?;
    checks.equal("a guest gives a file an owner", &answer.errno, &0);
    checks.check(is_pending(target, signal)?, || "a signal that a guest arranged did not come");
    records.push(Expected {
        actor: 112,
        pid: None,
        target: Some(0),
        hook: Hook::FileSendSigiotask.name(),
        errno: "EPERM",
        mode: "observe",
    });
    Ok(())
}

/// The kernel and the enforcement are out of reach.
fn protection(world: &mut World, checks: &mut Checks, records: &mut Vec<Expected>) -> Result<()> {
    let user_namespace = format!("unshare {}", libc::CLONE_NEWUSER);
    let everywhere = [
        ("bpf 11", libc::EPERM, Hook::Bpf),
        ("mount tmpfs /tmp", libc::EPERM, Hook::SbMount),
        (user_namespace.as_str(), libc::EPERM, Hook::UsernsCreate),
    ];
    let in_host_tree = [
        ("mkdir /sys/fs/bpf/of-a-guest", libc::EPERM, Hook::InodeMkdir),
        ("rmdir /sys/fs/bpf/vs/1/maps", libc::EPERM, Hook::InodeRmdir),
        ("chmod /sys/fs/bpf/vs", libc::EPERM, Hook::InodeSetattr),
        ("open write /proc/sysrq-trigger", libc::EACCES, Hook::FileOpen),
        ("open read /dev/kmsg", libc::EACCES, Hook::FileOpen),
    ];
    for (who, xid) in [("pidns-a", 101), ("hidepid-a", 111), ("plain-a", 121), ("spectator", 1)] {
        let is_in_host_tree = matches!(who, "plain-a" | "spectator");
        for (deed, errno, hook) in everywhere.iter().chain(in_host_tree.iter().filter(|_| is_in_host_tree)) {
            let answer = world.order(who, &format!("do {deed}"))?;
            checks.check(answer.errno == *errno, || {
                format!("{who}: {deed}: {}, expected {}", errno_name(answer.errno), errno_name(*errno))
            });
            records.push(Expected {
                actor: xid,
                pid: (who != "pidns-a").then_some(answer.pid),
                target: None,
                hook: hook.name(),
                errno: errno_name(*errno),
                mode: "enforce",
            });
        }
    }
    Ok(())
}

/// The second lock on capabilities, for a process of an observed context that never dropped any.
fn capability(world: &mut World, checks: &mut Checks) -> Result<()> {
    let mut store = LiveStore::open().context("open the pinned maps")?;
    let generation = Status::ask()?.context(122)["generation"].as_u64().context("plain-b's generation")?;
    let tag = Tag { xid: Xid(122), lifecycle: lifecycle::HOST_TREE, generation: Generation(generation) };
    let host = world.inhabitant("host")?.actor.target;
    // That it is observed is seen by what it may do to the host.
    for (what, act, errno) in [("signals the host", 0, 0), ("sets the host's name", 1, libc::EPERM)] {
        // SAFETY: A constant string and its length, or numbers.
        let subject = Subject::new(|| unsafe {
            match act {
                0 => libc::syscall(libc::SYS_kill, host, 0),
                _ => libc::syscall(libc::SYS_sethostname, c"suite".as_ptr(), 5),
            }
        })?;
        subject.tag(&mut store, Identity::Member(tag))?;
        let found = subject.finish()?;
        checks.check(found == errno, || format!("an observed guest {what}: {}", errno_name(found)));
    }
    Ok(())
}

/// A context that is being stopped has no children.
fn dying(world: &mut World, checks: &mut Checks, records: &mut Vec<Expected>) -> Result<()> {
    let mut store = LiveStore::open().context("open the pinned maps")?;
    let state = store.context_state(Xid(102))?.context("the state of pidns-b")?;
    let dying = vs_common::policy_entry::ContextState { is_dying: 1, ..state };
    store.put_context_state(Xid(102), &dying)?;
    let errno = world.order("pidns-b", "self fork")?.errno;
    let another = world.order("pidns-a", "self fork")?.errno;
    let now = store.context_state(Xid(102))?.context("the state of pidns-b")?;
    store.put_context_state(Xid(102), &vs_common::policy_entry::ContextState { is_dying: 0, ..now })?;
    checks.equal("a fork in a context that is being stopped", &errno, &libc::EPERM);
    checks.equal("a fork in another context", &another, &0);
    checks.equal("a fork when it is stopped no more", &world.order("pidns-b", "self fork")?.errno, &0);
    records.push(Expected {
        actor: 102,
        pid: None,
        target: None,
        hook: Hook::TaskAlloc.name(),
        errno: "EPERM",
        mode: "enforce",
    });
    Ok(())
}
