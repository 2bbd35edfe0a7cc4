//! Failures of the kernel's helpers, acted out by the programs themselves: each falls closed, is counted where it should be, and changes
//! nothing for the host. Mode observe, in force where a test says so, softens none of it.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;
use vs_common::context::{Identity, Tag};
use vs_common::hook::Hook;
use vs_common::id::{Generation, Xid};
use vs_common::kernel_layout::inject;
use vs_loader::maps::live::LiveStore;
use vs_tests::actor::Actor;
use vs_tests::desk::Desk;
use vs_tests::hooks;
use vs_tests::report::{Checks, errno_name};
use vs_tests::status::Status;
use vs_tests::world::{POLICY, World, actor_command, vs, vs_ok, wait_for_detached};

use crate::agreement::Subject;
use crate::audit_trail::{accounted, wait_for_account};
use crate::sigio::{self, is_pending, next_signal};
use crate::{lifecycle, procfs};

/// Members of each kind, by name and xid.
const MEMBERS: [(&str, u32); 4] = [("pidns-a", 101), ("hidepid-a", 111), ("plain-a", 121), ("spectator", 1)];

/// Acts out each failure, several at a time where they have nothing to do with each other, and ends with an enforcement that is whole.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    let mut first = Failing {
        bits: inject::RING_FULL | inject::INODE_CREATE | inject::ENTER_CLEAR | inject::SOCKET_CREATE,
        hooks: &[
            Hook::TaskKill,
            Hook::TaskGetsid,
            Hook::PtraceAccessCheck,
            Hook::FileOpen,
            Hook::TaskToInode,
            Hook::InodeGetattr,
            Hook::InodeReadlink,
            Hook::SocketPostCreate,
        ],
        epoch: 0,
    };
    first.load("enforce")?;
    checks.during("no tag for a socket", no_tag_for_a_socket)?;
    checks.during("the ring is full", |checks| ring_full(world, checks))?;
    checks.during("the ring is full", |checks| ring_full_for_nobody(world, checks))?;
    checks.during("no tag for an inode", |checks| no_tag_for_an_inode(world, checks))?;
    first.load("observe")?;
    checks.during("the flag stays", |checks| flag_stays(world, checks))?;

    let mut second = Failing {
        bits: inject::TASK_CREATE | inject::TARGET_READ | inject::OWNER_FULL,
        hooks: &[
            Hook::TaskKill,
            Hook::PtraceAccessCheck,
            Hook::TaskGetscheduler,
            Hook::TaskSetrlimit,
            Hook::TaskGetpgid,
            Hook::FileFcntl,
            Hook::FileIoctl,
            Hook::FileIoctlCompat,
            Hook::FileOpen,
            Hook::TaskToInode,
            Hook::InodeGetattr,
        ],
        epoch: 0,
    };
    second.load("enforce")?;
    checks.during("the target is unknown", |checks| target_unknown(world, checks, &second))?;
    second.load("observe")?;
    checks.during("no tag for a child", |checks| no_tag_for_a_child(world, checks, &second))?;
    checks.during("no room for owners", |checks| owners_full(world, checks, &second))?;

    let mut third = Failing {
        bits: inject::ACTOR_READ,
        hooks: &[
            Hook::TaskKill,
            Hook::PtraceAccessCheck,
            Hook::TaskGetpgid,
            Hook::SbMount,
            Hook::FileFcntl,
            Hook::FileOpen,
            Hook::TaskToInode,
            Hook::InodeGetattr,
            Hook::InodeReadlink,
            Hook::InodeMkdir,
        ],
        epoch: 0,
    };
    third.load("observe")?;
    checks.during("the actor is unknown", |checks| actor_unknown(world, checks, &third))?;
    checks.during("whole again", |checks| whole_again(world, checks))
}

/// Programs that act out failures.
struct Failing {
    bits: u32,
    /// Those that are attached, beside [`ALWAYS`]: the verifier takes its time for each, in an emulator.
    hooks: &'static [Hook],
    /// The epoch that they are in force with.
    epoch: u64,
}

/// What a load without is refused: the canary meets them, and who enters needs them.
const ALWAYS: [Hook; 3] = [Hook::TaskAlloc, Hook::BprmCommittedCreds, Hook::Bpf];

impl Failing {
    /// Loads the suite's policy with them, in a mode.
    fn load(&mut self, mode: &str) -> Result<()> {
        let bits = self.bits.to_string();
        let mut arguments = vec!["load", "--test-inject", &bits];
        for hook in Hook::ALL.iter().filter(|hook| !self.hooks.contains(hook) && !ALWAYS.contains(hook)) {
            arguments.extend(["--test-without", hook.name()]);
        }
        arguments.extend((mode == "observe").then_some("--observe"));
        arguments.push(POLICY);
        vs_ok(&arguments)?;
        wait_for_detached()?;
        self.epoch = Status::ask()?.epoch();
        Ok(())
    }
}

/// What a record of a denial must say.
struct Denied {
    epoch: u64,
    /// `None`: unknown.
    xid: Option<u32>,
    hook: Hook,
    reason: &'static str,
    errno: &'static str,
}

impl Denied {
    /// Whether a record says so. None of what is tried here may be let pass by mode observe.
    fn is(&self, record: &Value) -> bool {
        record["kind"] == "violation"
            && record["epoch"] == self.epoch
            && record["mode"] == "enforce"
            && record["actor"]["xid"].as_u64() == self.xid.map(u64::from)
            && record["hook"] == self.hook.name()
            && record["reason"] == self.reason
            && record["errno"] == self.errno
    }

    fn check(&self, world: &mut World, checks: &mut Checks) -> Result<()> {
        let found = world.audit.wait_for(|record| self.is(record))?;
        checks.check(found.is_some(), || {
            let (hook, reason) = (self.hook.name(), self.reason);
            format!("no record that {hook} denies xid {:?} for {reason} with {}", self.xid, self.errno)
        });
        Ok(())
    }
}

/// Has an inhabitant do something and checks what comes of it.
fn comes_to(world: &mut World, checks: &mut Checks, who: &str, order: &str, errnos: &[i32]) -> Result<()> {
    let errno = world.order(who, order)?.errno;
    checks.check(errnos.contains(&errno), || {
        let wanted: Vec<_> = errnos.iter().map(|errno| errno_name(*errno)).collect();
        format!("{who}: {order}: {} ({errno}), expected {}", errno_name(errno), wanted.join(" or "))
    });
    Ok(())
}

/// The field of a process's status that is a number.
fn field(pid: i32, name: &str) -> Result<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix(name)).context("a field of /proc/PID/status")?;
    Ok(line.trim_start_matches(':').trim().parse()?)
}

/// How many children an inhabitant's actor has, and how many threads.
fn offspring(world: &mut World, who: &str) -> Result<(usize, i32)> {
    let target = world.inhabitant(who)?.actor.target;
    let actor = field(target, "PPid")?;
    let mut children = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        // It may have ended since it was listed.
        children += usize::from(field(pid, "PPid").is_ok_and(|parent| parent == actor));
    }
    Ok((children, field(actor, "Threads")?))
}

/// No storage for a child's tag: no child, and no thread. Entering needs one, too.
fn no_tag_for_a_child(world: &mut World, checks: &mut Checks, failing: &Failing) -> Result<()> {
    let before = Status::ask()?.count(Hook::TaskAlloc, "failures");
    for (who, xid) in MEMBERS {
        comes_to(world, checks, who, "self fork", &[libc::ENOMEM])?;
        // The C library says EAGAIN where the kernel says ENOMEM (`nptl/pthread_create.c`).
        comes_to(world, checks, who, "self thread", &[libc::EAGAIN])?;
        checks.equal("children and threads of one that may have none", &offspring(world, who)?, &(1, 1));
        let denied = Denied {
            epoch: failing.epoch,
            xid: Some(xid),
            hook: Hook::TaskAlloc,
            reason: "no-storage",
            errno: "ENOMEM",
        };
        denied.check(world, checks)?;
    }
    for order in ["do fork", "self thread"] {
        comes_to(world, checks, "host", order, &[0])?;
    }
    for context in ["pidns-b", "plain-b"] {
        let output = vs(&["run", "--context", context, "--", "true"])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        checks.equal("an entry without memory for a tag", &output.status.code(), &Some(125));
        checks.check(said.contains("memory"), || format!("it does not say why: {said}"));
    }
    let grown = Status::ask()?.count(Hook::TaskAlloc, "failures") - before;
    checks.check(grown >= 2 * MEMBERS.len() as u64, || format!("{grown} failures of task_alloc are counted"));
    Ok(())
}

/// The actor's own tag cannot be read: it is not the host, and no guest of whom anything is known. Its own context is closed to it, too.
fn actor_unknown(world: &mut World, checks: &mut Checks, failing: &Failing) -> Result<()> {
    let host = world.inhabitant("host")?.actor.target;
    for who in ["hidepid-a", "plain-a", "spectator"] {
        let own = world.inhabitant(who)?.actor.own_target;
        for (order, errno) in [
            (format!("self op kill {host}"), libc::EPERM),
            (format!("self op tkill {own}"), libc::EPERM),
            (format!("self op kcmp {own}"), libc::EPERM),
            (format!("self op getpgid {own}"), libc::EPERM),
            ("self fork".to_owned(), libc::ENOMEM),
            ("self bpf 11".to_owned(), libc::EPERM),
            ("self mount tmpfs /tmp".to_owned(), libc::EPERM),
            (format!("self set-owner fcntl {own} 40"), libc::ENOMEM),
        ] {
            comes_to(world, checks, who, &order, &[errno])?;
        }
    }
    let own = world.inhabitant("plain-a")?.actor.own_target;
    for path in ["open-status", "stat", "readlink-exe"] {
        comes_to(world, checks, "plain-a", &format!("self path {path} {own}"), &[libc::ENOENT])?;
    }
    comes_to(world, checks, "plain-a", "self mkdir /sys/fs/bpf/of-nobody", &[libc::EPERM])?;
    for (hook, errno) in [
        (Hook::TaskKill, "EPERM"),
        (Hook::PtraceAccessCheck, "EPERM"),
        (Hook::TaskGetpgid, "EPERM"),
        (Hook::TaskAlloc, "ENOMEM"),
        (Hook::Bpf, "EPERM"),
        (Hook::SbMount, "EPERM"),
        (Hook::FileFcntl, "ENOMEM"),
        (Hook::FileOpen, "ENOENT"),
        (Hook::InodeGetattr, "ENOENT"),
        (Hook::InodeReadlink, "ENOENT"),
    ] {
        let denied = Denied { epoch: failing.epoch, xid: None, hook, reason: "unknown-actor", errno };
        denied.check(world, checks)?;
    }
    comes_to(world, checks, "host", &format!("op kill {own}"), &[0])?;
    comes_to(world, checks, "host", &format!("op ptrace-attach {own}"), &[0])
}

/// The target's tag cannot be read: it is nobody's whom a guest may touch, its own context's neither. The host's processes have nothing
/// that could be unreadable.
fn target_unknown(world: &mut World, checks: &mut Checks, failing: &Failing) -> Result<()> {
    let neighbour = world.inhabitant("hidepid-b")?.actor.target;
    let own = world.inhabitant("hidepid-a")?.actor.own_target;
    for order in ["kill", "kcmp", "sched-getaffinity", "prlimit-set"] {
        for target in [own, neighbour] {
            comes_to(world, checks, "hidepid-a", &format!("self op {order} {target}"), &[libc::EPERM])?;
        }
    }
    for hook in [Hook::TaskKill, Hook::PtraceAccessCheck, Hook::TaskGetscheduler, Hook::TaskSetrlimit] {
        let denied =
            Denied { epoch: failing.epoch, xid: Some(111), hook, reason: "unknown-target", errno: "EPERM" };
        denied.check(world, checks)?;
    }
    // Its inode in /proc loses the tag that it had.
    let own = world.inhabitant("plain-a")?.actor.own_target;
    for path in ["open-status", "stat"] {
        comes_to(world, checks, "plain-a", &format!("self path {path} {own}"), &[libc::ENOENT])?;
    }
    // Who looks only may look at whom nobody knows.
    comes_to(world, checks, "spectator", &format!("self op getpgid {neighbour}"), &[0])?;
    comes_to(world, checks, "spectator", &format!("self op kill {neighbour}"), &[libc::EPERM])?;
    comes_to(world, checks, "host", &format!("op kill {neighbour}"), &[0])
}

/// The ring has no room: the verdict is the same, and what is not recorded is counted by context, exactly.
fn ring_full(world: &mut World, checks: &mut Checks) -> Result<()> {
    const PROCESSES: u64 = 40;
    const REPETITIONS: u64 = 25;
    let host = world.inhabitant("host")?.actor.target;
    let lost = |status: &Status| status.context(122)["lost"].as_u64().unwrap_or(0);
    let before = lost(&Status::ask()?);
    let before_accounted = accounted(world.audit.read()?, 122);
    let before_records = count_lost(world.audit.read()?, 122);
    comes_to(world, checks, "plain-b", &format!("do kill-storm {host} {PROCESSES}"), &[libc::EPERM])?;
    comes_to(world, checks, "plain-b", &format!("do kill-many {host} {REPETITIONS}"), &[libc::EPERM])?;
    // Each process's first attempt wants a record; what it repeats at once is counted without one.
    let grown = lost(&Status::ask()?) - before;
    checks.equal("records that vs status calls lost", &grown, &(PROCESSES + 1));
    let accounted =
        wait_for_account(world, 122, before_accounted + PROCESSES + REPETITIONS)? - before_accounted;
    checks.equal("attempts that the audit accounts for", &accounted, &(PROCESSES + REPETITIONS));
    let told = count_lost(world.audit.read()?, 122) - before_records;
    checks.equal("records that the audit calls lost", &told, &(PROCESSES + 1));
    Ok(())
}

/// What the audit says was lost of one context's records.
fn count_lost(records: &[Value], xid: u64) -> u64 {
    let is_lost = |record: &&Value| record["kind"] == "lost" && record["xid"] == xid;
    records.iter().filter(is_lost).filter_map(|record| record["count"].as_u64()).sum()
}

/// The same of an actor of whose context nothing is known but its number: counted by hook.
fn ring_full_for_nobody(world: &mut World, checks: &mut Checks) -> Result<()> {
    let host = world.inhabitant("host")?.actor.target;
    let before = Status::ask()?.count(Hook::TaskGetsid, "lost");
    let mut store = LiveStore::open().context("open the pinned maps")?;
    // SAFETY: A number.
    let subject = Subject::new(|| unsafe { libc::syscall(libc::SYS_getsid, host) })?;
    let stranger = Tag { xid: Xid(700), lifecycle: 0, generation: Generation(1) };
    subject.tag(&mut store, Identity::Member(stranger))?;
    checks.equal("a stranger asks for the host's session", &subject.finish()?, &libc::EPERM);
    let grown = Status::ask()?.count(Hook::TaskGetsid, "lost") - before;
    checks.equal("records of a stranger's that vs status calls lost", &grown, &1);
    let told = world.audit.wait_for(|record| {
        record["kind"] == "lost" && record["hook"] == Hook::TaskGetsid.name() && record["count"] == 1
    })?;
    checks.check(told.is_some(), || "the audit does not tell of a record that was lost of a stranger's");
    Ok(())
}

/// No storage for a socket's tag: there is no socket, of a context with addresses or without, and the host notices nothing.
fn no_tag_for_a_socket(checks: &mut Checks) -> Result<()> {
    let before = Status::ask()?.count(Hook::SocketPostCreate, "failures");
    for (context, expected) in
        [("net-a", Err(libc::ENOMEM)), ("plain-a", Err(libc::ENOMEM)), ("host", Ok(()))]
    {
        let mut desk = Desk::start(context)?;
        for order in ["socket s v4 tcp", "socket s v6 udp", "socket s netlink netlink"] {
            let found = desk.order(order)?.map(drop);
            checks.equal(&format!("{context}: {order}"), &found, &expected);
        }
    }
    let grown = Status::ask()?.count(Hook::SocketPostCreate, "failures") - before;
    checks.equal("failures that vs status counts", &grown, &6);
    Ok(())
}

/// No room to remember who gave a file its owner: a guest gives none, the host does.
fn owners_full(world: &mut World, checks: &mut Checks, failing: &Failing) -> Result<()> {
    let before = Status::ask()?;
    for (who, xid) in MEMBERS {
        let own = world.inhabitant(who)?.actor.own_target;
        for (way, _) in sigio::WAYS {
            comes_to(world, checks, who, &format!("self set-owner {way} {own} 40"), &[libc::ENOMEM])?;
        }
        for hook in [Hook::FileFcntl, Hook::FileIoctl, Hook::FileIoctlCompat] {
            let denied =
                Denied { epoch: failing.epoch, xid: Some(xid), hook, reason: "no-storage", errno: "ENOMEM" };
            denied.check(world, checks)?;
        }
    }
    let status = Status::ask()?;
    for (hook, ways) in [(Hook::FileFcntl, 2), (Hook::FileIoctl, 2), (Hook::FileIoctlCompat, 1)] {
        let grown = status.count(hook, "failures") - before.count(hook, "failures");
        checks.equal("failures to remember an owner", &grown, &(ways * MEMBERS.len() as u64));
    }
    let target = world.inhabitant("host")?.actor.target;
    for (way, _) in sigio::WAYS {
        let signal = next_signal(world, "host")?;
        comes_to(world, checks, "host", &format!("do set-owner {way} {target} {signal}"), &[0])?;
        checks.check(is_pending(target, signal)?, || format!("{way}: the host's signal did not come"));
    }
    Ok(())
}

/// The flag of one that enters cannot be cleared: it stays out of its context's reach, and so does what it begets.
fn flag_stays(world: &mut World, checks: &mut Checks) -> Result<()> {
    let before = Status::ask()?;
    let mut stuck = Actor::start(actor_command("hidepid-a", "stuck"), "stuck")?;
    for act in ["kill", "ptrace-attach"] {
        let answer = stuck.order(&format!("op {act} {}", stuck.own_target))?;
        checks.equal("one that enters still acts on its child", &answer.errno, &libc::EPERM);
        comes_to(world, checks, "hidepid-a", &format!("op {act} {}", stuck.target), &[libc::EPERM])?;
        comes_to(world, checks, "host", &format!("op {act} {}", stuck.target), &[0])?;
    }
    // It is observed all the same in what it does to others.
    let neighbour = world.inhabitant("hidepid-b")?.actor.target;
    checks.equal("its signal to another context", &stuck.order(&format!("op kill {neighbour}"))?.errno, &0);
    let after = Status::ask()?;
    let grown = |hook, counter| after.count(hook, counter) - before.count(hook, counter);
    let failures = grown(Hook::BprmCommittedCreds, "failures");
    checks.check(failures > 0, || "a flag that stays is not counted as a failure");
    checks.equal("denials of signals", &grown(Hook::TaskKill, "denials"), &2);
    checks.equal("observed signals", &grown(Hook::TaskKill, "observed"), &1);
    let listed = vs_ok(&["--json", "ps", "--context", "hidepid-a"])?;
    let entering = listed.matches("\"entering\":true").count();
    checks.check(entering >= 2, || format!("{entering} processes of hidepid-a are entering: {listed}"));
    Ok(())
}

/// No storage for the tag of a `/proc/PID` inode: it is foreign to every guest, whosever process it is.
fn no_tag_for_an_inode(world: &mut World, checks: &mut Checks) -> Result<()> {
    let before = Status::ask()?.count(Hook::TaskToInode, "failures");
    // Its inodes are made from now on.
    let mut late = Actor::start(actor_command("plain-a", "late"), "late")?;
    for path in ["open-status", "open-directory", "stat", "readlink-exe"] {
        let answer = late.order(&format!("path {path} {}", late.own_target))?;
        checks.check(answer.errno == libc::ENOENT, || {
            format!("{path} on an inode of one's own without a tag: {}", errno_name(answer.errno))
        });
        comes_to(world, checks, "plain-b", &format!("path {path} {}", late.target), &[libc::ENOENT])?;
        comes_to(world, checks, "spectator", &format!("path {path} {}", late.target), &[0])?;
        comes_to(world, checks, "host", &format!("path {path} {}", late.target), &[0])?;
    }
    let grown = Status::ask()?.count(Hook::TaskToInode, "failures") - before;
    checks.check(grown > 0, || "an inode without a tag is not counted as a failure");
    Ok(())
}

/// Loaded as for everybody, all is as it was: for new processes, since an inode that was made without a tag stays foreign. Programs that
/// know no actor and give no child a tag would keep the next load's canary from the host, so they go first.
fn whole_again(world: &mut World, checks: &mut Checks) -> Result<()> {
    world.stop()?;
    world.restart()?;
    let before = Status::ask()?;
    checks.equal("the status of a load without failures", &before.code, &Some(0));
    lifecycle::run(world, checks, None)?;
    procfs::run(world, checks, Some(Hook::TaskToInode))?;
    sigio::run(world, checks, Some(Hook::FileFcntl))?;
    let after = Status::ask()?;
    for hook in hooks::all_here()? {
        let grown = after.count(hook, "failures") - before.count(hook, "failures");
        checks.check(grown == 0, || format!("{} counts {grown} failures that nobody acted out", hook.name()));
    }
    Ok(())
}
