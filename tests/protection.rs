//! The enforcement and the kernel are out of every context's reach: of guests' root in each proc mode, and of the spectator.

use anyhow::{Context as _, Result};
use vs_common::hook::Hook;
use vs_loader::kernel::layout::KernelVersion;
use vs_tests::audit::Expected;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::World;

/// Guests, and the spectator, by name and xid.
const CONFINED: [(&str, u32); 4] = [("pidns-a", 101), ("hidepid-a", 111), ("plain-a", 121), ("spectator", 1)];
/// Those of them that live in the host's mount tree.
const IN_HOST_TREE: [(&str, u32); 2] = [("plain-a", 121), ("spectator", 1)];

/// An act that must fail, and whose doing it is.
struct Forbidden {
    deed: String,
    errno: &'static [i32],
    hook: Option<Hook>,
}

fn forbidden(deed: impl Into<String>, errno: &'static [i32], hook: Hook) -> Forbidden {
    Forbidden { deed: deed.into(), errno, hook: Some(hook) }
}

/// One that something else than a hook stops first: a capability that is gone, a mount that is read-only, a file that is not there.
fn stopped(deed: impl Into<String>, errno: &'static [i32]) -> Forbidden {
    Forbidden { deed: deed.into(), errno, hook: None }
}

const EPERM: &[i32] = &[libc::EPERM];
const EACCES: &[i32] = &[libc::EACCES];

/// `enum bpf_cmd` of `include/uapi/linux/bpf.h`.
const MAP_CREATE: u32 = 0;
const PROG_LOAD: u32 = 5;

/// What nobody but the host may do, wherever it lives.
fn everywhere(is_before_6_4: bool) -> Vec<Forbidden> {
    // Every command of bpf(2) up to 7.x, and a few beyond. Before 6.4 the kernel denies two for want of CAP_BPF, and only then asks
    // (`kernel/bpf/syscall.c:__sys_bpf`, under `kernel.unprivileged_bpf_disabled`).
    let forestalled: &[u32] = if is_before_6_4 { &[MAP_CREATE, PROG_LOAD] } else { &[] };
    let mut acts: Vec<_> = (0..40)
        .map(|command| match format!("bpf {command}") {
            deed if forestalled.contains(&command) => stopped(deed, EPERM),
            deed => forbidden(deed, EPERM, Hook::Bpf),
        })
        .collect();
    acts.extend([
        forbidden("mount tmpfs /tmp", EPERM, Hook::SbMount),
        forbidden("bind-mount /bin /tmp", EPERM, Hook::SbMount),
        forbidden(format!("unshare {}", libc::CLONE_NEWUSER), EPERM, Hook::UsernsCreate),
        // The module is not there, or not for them: the address family does not exist either way.
        Forbidden {
            deed: "socket 9 5 0".into(),
            errno: &[libc::EAFNOSUPPORT],
            hook: Some(Hook::KernelModuleRequest),
        },
        stopped("umount /proc", EPERM),
        stopped("set-host-name", EPERM),
        stopped(format!("unshare {}", libc::CLONE_NEWNS), EPERM),
        stopped(format!("unshare {}", libc::CLONE_NEWPID), EPERM),
    ]);
    acts
}

/// What those in the host's mount tree may not do with what they find there.
fn in_host_tree(epoch_links: &str) -> Vec<Forbidden> {
    let pins = "/sys/fs/bpf/vs/1";
    vec![
        forbidden(format!("unlink {epoch_links}/task_kill"), EPERM, Hook::InodeUnlink),
        forbidden(format!("rename {epoch_links}/task_kill {epoch_links}/x"), EPERM, Hook::InodeRename),
        forbidden(format!("chmod {epoch_links}/task_kill"), EPERM, Hook::InodeSetattr),
        forbidden(format!("chown {pins}"), EPERM, Hook::InodeSetattr),
        forbidden(format!("rmdir {pins}/maps"), EPERM, Hook::InodeRmdir),
        forbidden("mkdir /sys/fs/bpf/x", EPERM, Hook::InodeMkdir),
        forbidden("symlink /tmp /sys/fs/bpf/x", EPERM, Hook::InodeSymlink),
        forbidden(format!("link {epoch_links}/task_kill {epoch_links}/x"), EPERM, Hook::InodeLink),
        forbidden("mkdir /sys/fs/cgroup/x", EPERM, Hook::InodeMkdir),
        forbidden("open write /sys/fs/cgroup/cgroup.procs", EACCES, Hook::FileOpen),
        forbidden("open write /proc/sysrq-trigger", EACCES, Hook::FileOpen),
        forbidden("open write /proc/sys/kernel/core_pattern", EACCES, Hook::FileOpen),
        forbidden("open write /proc/sys/kernel/modprobe", EACCES, Hook::FileOpen),
        forbidden("open write /sys/kernel/uevent_helper", &[libc::EACCES, libc::ENOENT], Hook::FileOpen),
        forbidden("open read /dev/kmsg", EACCES, Hook::FileOpen),
        stopped("open write /dev/mem", &[libc::EACCES, libc::EPERM, libc::ENOENT]),
    ]
}

/// What is not there, or cannot be written, in a mount namespace of ours.
fn in_own_tree() -> Vec<Forbidden> {
    const GONE: &[i32] = &[libc::ENOENT];
    const READ_ONLY: &[i32] = &[libc::EROFS];
    vec![
        stopped("open read /sys/fs/bpf/vs", GONE),
        stopped("open read /sys/fs/cgroup/cgroup.procs", GONE),
        stopped("open write /proc/sys/kernel/core_pattern", READ_ONLY),
        stopped("open write /proc/sysrq-trigger", READ_ONLY),
        stopped("open read /dev/kmsg", GONE),
        stopped("open read /dev/mem", GONE),
        stopped("open read /run/vs/lock", GONE),
    ]
}

/// What everybody may go on doing.
const ALLOWED: [&str; 6] = [
    "open read /proc/self/status",
    "open read /proc/meminfo",
    "open write /dev/null",
    "open read /dev/urandom",
    "socket 2 1 0",
    "fork",
];

/// Tries all, or what one hook denies.
pub(crate) fn run(world: &mut World, checks: &mut Checks, only: Option<Hook>) -> Result<()> {
    let links = links_of_epoch()?;
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let version = KernelVersion::parse(&release).with_context(|| format!("the release {release}"))?;
    let mut records = Vec::new();
    for (name, xid) in CONFINED {
        for act in everywhere(version < KernelVersion(6, 4)) {
            try_one(world, checks, &mut records, (name, xid), &act, only)?;
        }
        if only.is_none() {
            for deed in ALLOWED {
                let answer = world.order(name, &format!("do {deed}"))?;
                checks.check(answer.errno == 0, || format!("{name}: {deed}: {}", errno_name(answer.errno)));
            }
        }
    }
    for (name, xid) in IN_HOST_TREE {
        for act in in_host_tree(&links) {
            try_one(world, checks, &mut records, (name, xid), &act, only)?;
        }
    }
    for (name, xid) in [("pidns-a", 101), ("hidepid-a", 111)] {
        for act in in_own_tree() {
            try_one(world, checks, &mut records, (name, xid), &act, only)?;
        }
    }
    if only.is_none() || only == Some(Hook::PtraceTraceme) {
        traced_by_the_host(world, checks, &mut records)?;
    }
    if checks.are_decided() {
        return Ok(());
    }
    for missing in world.audit.missing(&records)? {
        checks.check(false, || format!("no audit record: {missing:?}"));
    }
    checks.held += u32::try_from(records.len()).unwrap_or(0);
    if only.is_none() {
        for deed in ["mkdir /sys/fs/bpf/suite", "rmdir /sys/fs/bpf/suite", "open read /dev/kmsg"] {
            let answer = world.order("host", &format!("do {deed}"))?;
            checks.check(answer.errno == 0, || format!("host: {deed}: {}", errno_name(answer.errno)));
        }
    }
    Ok(())
}

fn try_one(
    world: &mut World,
    checks: &mut Checks,
    records: &mut Vec<Expected>,
    (name, xid): (&str, u32),
    act: &Forbidden,
    only: Option<Hook>,
) -> Result<()> {
    if (only.is_some() && only != act.hook) || checks.are_decided() {
        return Ok(());
    }
    let answer = world.order(name, &format!("do {}", act.deed))?;
    checks.check(act.errno.contains(&answer.errno), || {
        let wanted: Vec<_> = act.errno.iter().map(|errno| errno_name(*errno)).collect();
        format!("{name}: {}: {}, expected {}", act.deed, errno_name(answer.errno), wanted.join(" or "))
    });
    if let Some(hook) = act.hook
        && answer.errno != libc::ENOENT
    {
        let errno = if hook == Hook::KernelModuleRequest { "EPERM" } else { errno_name(act.errno[0]) };
        records.push(Expected {
            actor: xid,
            pid: (xid != 101).then_some(answer.pid),
            target: None,
            hook: hook.name(),
            errno,
            mode: "enforce",
        });
    }
    Ok(())
}

/// The process that `vs run` waits for has a parent outside: it may not make that parent its tracer.
fn traced_by_the_host(world: &mut World, checks: &mut Checks, records: &mut Vec<Expected>) -> Result<()> {
    for (name, xid) in CONFINED {
        let answer = world.order(name, "self traceme")?;
        checks.check(answer.errno == libc::EPERM, || {
            format!("{name}: PTRACE_TRACEME by a parent on the host: {}", errno_name(answer.errno))
        });
        records.push(Expected {
            actor: xid,
            pid: None,
            target: Some(0),
            hook: Hook::PtraceTraceme.name(),
            errno: "EPERM",
            mode: "enforce",
        });
    }
    Ok(())
}

/// The folder of the links in force.
pub(crate) fn links_of_epoch() -> Result<String> {
    let mut newest = None;
    for entry in std::fs::read_dir("/sys/fs/bpf/vs/1")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(epoch) = name.strip_prefix("links-").and_then(|epoch| epoch.parse::<u32>().ok()) {
            newest = newest.max(Some(epoch));
        }
    }
    let epoch = newest.ok_or_else(|| anyhow::anyhow!("no links are pinned"))?;
    Ok(format!("/sys/fs/bpf/vs/1/links-{epoch}"))
}
