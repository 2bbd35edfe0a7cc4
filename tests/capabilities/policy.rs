//! What policy gives and takes, and what is made of the one capability that is left to a context for two system calls.

use std::fs;

use anyhow::{Context as _, Result};
use vs_common::capability::{DEFAULT_SET, SYS_ADMIN};
use vs_common::hook::Hook;
use vs_tests::actor::Actor;
use vs_tests::audit::Expected;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{World, actor_command, vs, vs_ok};

const POLICY: &str = "/tmp/capabilities.toml";

/// What is in force: no capability, more than the default and a higher maximum, less, a host name in both kinds of namespaces, and nothing said.
const TEXT: &str = r#"
[context.none]
xid = 301
capabilities = "none"
records_per_second = 10000
[context.more]
xid = 302
capabilities = ["+audit_write"]
capabilities_max = ["+net_raw"]
records_per_second = 10000
[context.name]
xid = 303
context_capabilities = ["set_utsname"]
records_per_second = 10000
record_burst = 2184
[context.name-h]
xid = 304
proc = "hidepid"
context_capabilities = ["set_utsname"]
records_per_second = 10000
record_burst = 2184
[context.base]
xid = 305
"#;

const AUDIT_WRITE: u64 = 1 << 29;
const NET_RAW: u64 = 1 << 13;

/// What each context's processes have at most, and may use.
const SETS: [(&str, u64); 5] = [
    ("none", 0),
    ("more", DEFAULT_SET | AUDIT_WRITE | NET_RAW),
    ("name", DEFAULT_SET | 1 << SYS_ADMIN),
    ("name-h", DEFAULT_SET | 1 << SYS_ADMIN),
    ("base", DEFAULT_SET),
];

/// What `CAP_SYS_ADMIN` is good for otherwise, and what only others are: none of it is let pass.
const ATTACKS: [&str; 42] = [
    "unshare 131072",
    "unshare 67108864",
    "unshare 134217728",
    "unshare 536870912",
    "unshare 1073741824",
    "unshare 33554432",
    "unshare 128",
    "unshare 268435456",
    "clone 131072",
    "clone 67108864",
    "clone 134217728",
    "clone 536870912",
    "clone 1073741824",
    "clone 33554432",
    "clone 268435456",
    "set-namespace uts",
    "set-namespace mnt",
    "set-namespace net",
    "set-namespace ipc",
    "set-namespace pid",
    "set-namespace cgroup",
    "mount tmpfs /",
    "bind-mount / /",
    "umount /",
    "open-tree /",
    "mount-setattr /",
    "move-mount / /",
    "fsopen tmpfs",
    "try-pivot-root /",
    "swapon /none",
    "account /none",
    "clear-log",
    "set-time",
    "reboot",
    "bpf 0",
    // FIFREEZE.
    "request 3221510263 /",
    // CAP_SYS_MODULE, CAP_SYS_ADMIN.
    "ambient 16",
    "set-capability 1ffffffffff",
    "set-capability-of 1",
    "ambient 13",
    "set-host-name-after-ring",
    "set-attribute trusted.vs /tmp",
];

fn actor_of(context: &str) -> Result<Actor> {
    let name = format!("c-{context}");
    Actor::start(actor_command(context, &name), &name)
}

pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    fs::write(POLICY, TEXT)?;
    vs_ok(&["load", POLICY])?;
    let mut actors = Vec::new();
    for (context, set) in SETS {
        let actor = actor_of(context)?;
        let status = fs::read_to_string(format!("/proc/{}/status", actor.target))?;
        for (line, expected) in
            [("CapPrm", set), ("CapEff", set), ("CapBnd", set), ("CapInh", 0), ("CapAmb", 0)]
        {
            let found = status.lines().find_map(|found| found.strip_prefix(&format!("{line}:")));
            let found =
                u64::from_str_radix(found.context("capability sets in /proc/PID/status")?.trim(), 16)?;
            checks.equal(&format!("{context}: {line}"), &format!("{found:x}"), &format!("{expected:x}"));
        }
        actors.push((context, actor));
    }
    let mut actors: std::collections::BTreeMap<_, _> = actors.into_iter().collect();
    let mut expect = |checks: &mut Checks, context: &str, deed: &str, errno: i32| -> Result<()> {
        let answer = actors.get_mut(context).context("an actor")?.order(&format!("do {deed}"))?;
        checks.equal(&format!("{context}: {deed}"), &errno_name(answer.errno), &errno_name(errno));
        Ok(())
    };
    // A raw socket of the host's network; a new root.
    let (raw, root) = ("socket 2 3 1", "chroot /");
    for (context, errno) in [("none", libc::EPERM), ("more", 0), ("base", 0)] {
        expect(checks, context, root, errno)?;
        expect(checks, context, raw, libc::EPERM)?;
    }
    for (change, deed, errno) in [
        ("+net_raw", raw, 0),
        ("-net_raw", raw, libc::EPERM),
        ("+CAP_NET_RAW,-sys_chroot", raw, 0),
        ("-sys_chroot", root, libc::EPERM),
        ("+sys_chroot", root, 0),
    ] {
        vs_ok(&["context", "set", "more", "--capability", change])?;
        expect(checks, "more", deed, errno)?;
        // It is one context that is changed.
        expect(checks, "base", root, 0)?;
        expect(checks, "base", raw, libc::EPERM)?;
    }
    for (context, change) in [("more", "+sys_admin"), ("none", "+chown"), ("base", "+audit_write")] {
        let refused = vs(&["context", "set", context, "--capability", change])?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        checks.check(refused.status.code() == Some(1) && said.contains("without a restart"), || {
            format!("{context} {change}: {} {said}", refused.status)
        });
    }
    let shown = vs_ok(&["--json", "context", "show", "more"])?;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    for (key, name) in [("capabilities", "net_raw"), ("capabilities_max", "audit_write")] {
        let has = shown[key].as_array().is_some_and(|set| set.iter().any(|found| found == name));
        checks.check(has, || format!("more: {key} lacks {name}: {shown}"));
    }
    // The file is the truth again.
    vs_ok(&["load", POLICY])?;
    expect(checks, "more", raw, libc::EPERM)?;
    // The host's name is what it was, whoever sets one.
    let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
    let mut records = Vec::new();
    for (context, xid) in [("name", 303), ("name-h", 304)] {
        let own = || vs_ok(&["run", "--context", context, "--", "cat", "/proc/sys/kernel/hostname"]);
        checks.equal(&format!("{context}: the name at first"), &own()?, &host);
        for deed in ["set-domain-name", "set-host-name-32", "set-domain-name-32", "set-host-name"] {
            expect(checks, context, deed, 0)?;
        }
        checks.equal(&format!("{context}: its name"), &own()?.trim(), &"guest");
        for deed in ATTACKS {
            expect(checks, context, deed, libc::EPERM)?;
        }
        // By its number of x32, which these kernels do not have.
        expect(checks, context, "set-host-name-by 1073741994", libc::ENOSYS)?;
        records.push(Expected {
            actor: xid,
            pid: None,
            target: None,
            hook: Hook::Capable.name(),
            errno: "EPERM",
            mode: "enforce",
        });
    }
    for context in ["name", "name-h", "base"] {
        expect(checks, context, "open write /proc/sys/kernel/hostname", libc::EROFS)?;
    }
    expect(checks, "base", "set-host-name", libc::EPERM)?;
    expect(checks, "none", "secure-bits-and-user", 0)?;
    expect(checks, "name", "secure-bits-and-user", 0)?;
    checks.equal("the host's name", &fs::read_to_string("/proc/sys/kernel/hostname")?, &host);
    let missing = world.audit.missing(&records)?;
    checks.check(missing.is_empty(), || format!("no audit record: {missing:?}"));
    as_a_user(checks)?;
    reduced(checks)?;
    warns(checks)?;
    drop(actors);
    world.stop()
}

/// The sets in a `/proc/PID/status`, as hexadecimal.
fn set_in(status: &str, name: &str) -> Result<u64> {
    let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(u64::from_str_radix(found.with_context(|| format!("{name} in /proc/PID/status"))?.trim(), 16)?)
}

/// Who enters as another user has become that, though it may not change its user once inside.
fn as_a_user(checks: &mut Checks) -> Result<()> {
    for (context, bounding) in [("none", 0), ("base", DEFAULT_SET)] {
        let as_user = ["run", "--context", context, "--uid", "1000", "--gid", "1000"];
        let status = vs_ok(&[&as_user[..], &["--", "cat", "/proc/self/status"]].concat())?;
        let is_user = status.lines().any(|line| line == "Uid:\t1000\t1000\t1000\t1000");
        checks.check(is_user, || format!("{context}: as another user: {status}"));
        for (set, expected) in [("CapPrm", 0), ("CapEff", 0), ("CapAmb", 0), ("CapBnd", bounding)] {
            let found = set_in(&status, set)?;
            checks.check(found == expected, || format!("{context}, as a user: {set} {found:x}"));
        }
    }
    Ok(())
}

/// `vs reducecap` takes away what is asked, of all sets, and leaves the rest.
fn reduced(checks: &mut Checks) -> Result<()> {
    let cat = ["--", "cat", "/proc/self/status"];
    let whole = set_in(&fs::read_to_string("/proc/self/status")?, "CapBnd")?;
    let secure = 1 << 9 | 0x1_f << 11 | 3 << 16 | 0x3f << 20 | 1 << 27;
    for (options, taken) in [
        (&["reducecap", "--drop", "net_raw,CAP_MKNOD"][..], NET_RAW | 1 << 27),
        (&["reducecap", "--CAP_NET_RAW", "--CAP_LEASE"], NET_RAW | 1 << 28),
        (&["reducecap", "--secure"], secure),
    ] {
        let status = vs_ok(&[options, &cat].concat())?;
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            let found = set_in(&status, set)?;
            checks.check(found == whole & !taken, || format!("{options:?}: {set} {found:x} of {whole:x}"));
        }
    }
    let shown = vs_ok(&["reducecap", "--show"])?;
    checks.check(shown.contains("bounding    all"), || format!("reducecap --show: {shown}"));
    let missing = vs(&["reducecap", "--secure", "--", "/none"])?;
    checks.equal("reducecap of no command", &missing.status.code(), &Some(127));
    Ok(())
}

/// A load that gives more than processes have says whose.
fn warns(checks: &mut Checks) -> Result<()> {
    fs::write(POLICY, TEXT.replace("capabilities = \"none\"", "capabilities = [\"chown\"]"))?;
    let output = vs(&["load", POLICY])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    checks.check(output.status.success() && said.contains("the context none gave up chown"), || {
        format!("a load that gives more: {} {said}", output.status)
    });
    Ok(())
}
