//! The barrier: nobody who is inside passes it, by whatever way led out of a changed root before; and directories that are handed in lead out
//! by no other.

use std::fs::{self, File};
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, bail};
use vs_common::hook::Hook;
use vs_tests::actor::Actor;
use vs_tests::audit::Expected;
use vs_tests::handover::Giver;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{FILES, World, actor_command, vs};

/// The directory that the roots are in, and the barrier.
const ABOVE: &str = "jails";
/// Ways out, each of which leads past the barrier or onto it.
const WAYS: [&str; 8] = [
    "at-once",
    "step-by-step",
    "open-above",
    "change-above",
    "path-above",
    "down-from-above",
    "make-above",
    "rename-above",
];
/// Acts on the barrier by whoever sees the host's tree.
const ACTS: [&str; 5] = [
    "list @",
    "open read @/../shared/file",
    "open read @/a/bin/vs-actor",
    "create @/new",
    "rename @/none @/new",
];
/// What `received` says if it got nothing.
const NOTHING: i32 = 253;

fn actor_of(context: &str) -> Result<Actor> {
    let name = format!("c-{context}");
    Actor::start(actor_command(context, &name), &name)
}

fn refused(actor: u32, pid: Option<i32>, target: Option<u32>, hook: Hook) -> Expected {
    Expected { actor, pid, target, hook: hook.name(), errno: "EACCES", mode: "enforce" }
}

/// Everything, or what one hook sees.
pub(crate) fn run(world: &mut World, checks: &mut Checks, only: Option<Hook>) -> Result<()> {
    fs::write(format!("{FILES}/shared/file"), "contents")?;
    let mut records = Vec::new();
    if only.is_none_or(|only| only == Hook::InodePermission) {
        from_the_hosts_tree(checks, &mut records)?;
    }
    if only.is_none() {
        from_within(checks, &mut records)?;
        checks.during("a barrier that is lost", no_entry_without)?;
    }
    if only.is_none_or(|only| only == Hook::FileReceive) {
        handed_in(checks, &mut records)?;
    }
    for missing in world.audit.missing(&records)? {
        checks.check(false, || format!("no audit record: {missing:?}"));
    }
    checks.held += u32::try_from(records.len()).unwrap_or(0);
    Ok(())
}

/// A barrier holds every guest, of whatever context and mount tree; the host does not notice, and the spectator looks.
fn from_the_hosts_tree(checks: &mut Checks, records: &mut Vec<Expected>) -> Result<()> {
    let barrier = format!("{FILES}/{ABOVE}");
    for (name, xid, has_own_numbers) in [
        ("host", 0, false),
        ("spectator", 1, false),
        ("plain-a", 121, false),
        ("files-b", 222, false),
        ("pidns-a", 101, true),
    ] {
        let mut actor = actor_of(name)?;
        for act in ACTS {
            let words = act.replace('@', &barrier);
            let errno = actor.order(&format!("do {words}"))?;
            let expected = match (xid, act) {
                (0, "rename @/none @/new") => libc::ENOENT,
                (0, _) => 0,
                (1, "rename @/none @/new") => libc::ENOENT,
                (1, act) if !act.starts_with("create") => 0,
                _ => libc::EACCES,
            };
            checks.equal(&format!("{name}: {words}"), &errno_name(errno.errno), &errno_name(expected));
            if xid > 1 {
                let pid = (!has_own_numbers).then_some(errno.pid);
                records.push(refused(xid, pid, None, Hook::InodePermission));
            }
            // Where nobody was stopped, it is there.
            let _ = fs::remove_file(format!("{barrier}/new"));
        }
    }
    Ok(())
}

/// Who is in a root of the host's tree does not get out; the same from a root without a barrier does.
fn from_within(checks: &mut Checks, records: &mut Vec<Expected>) -> Result<()> {
    let marker = format!("{FILES}/shared/file");
    let root = format!("{FILES}/{ABOVE}/a");
    for way in WAYS {
        let mut host = actor_of("host")?;
        let expected = if way == "rename-above" { libc::ENOENT } else { 0 };
        let answer = host.order(&format!("do climb-out {way} {marker} {root}"))?;
        checks.equal(&format!("host: {way}"), &errno_name(answer.errno), &errno_name(expected));

        let mut inside = actor_of("barrier-a")?;
        let answer = inside.order(&format!("do climb-out {way} {marker}"))?;
        checks.equal(&format!("barrier-a: {way}"), &errno_name(answer.errno), &"EACCES");
        records.push(refused(228, Some(answer.pid), None, Hook::InodePermission));
    }
    // A mount tree of its own has nothing above to climb to, barrier or not.
    let mut pivoted = actor_of("barrier-b")?;
    let answer = pivoted.order(&format!("do escape dots {marker}"))?;
    checks.equal("barrier-b: dots", &errno_name(answer.errno), &"ENOENT");
    let mut inside = actor_of("barrier-a")?;
    for (words, errno) in [
        ("open read /bin/vs-actor", "0"),
        ("create /new", "0"),
        ("mkdir /tmp/new", "0"),
        ("rmdir /tmp/new", "0"),
        ("unlink /new", "0"),
        ("bind-mount / /tmp", "EPERM"),
        ("umount /", "EPERM"),
        ("unshare 131072", "EPERM"),
    ] {
        let answer = inside.order(&format!("do {words}"))?;
        checks.equal(&format!("barrier-a: {words}"), &errno_name(answer.errno), &errno);
    }
    Ok(())
}

/// Where the directory above a root is another one than the load found, nobody enters.
fn no_entry_without(checks: &mut Checks) -> Result<()> {
    let (root, elsewhere) = (format!("{FILES}/{ABOVE}/a"), format!("{FILES}/shared/a"));
    let enter = |says: &str, checks: &mut Checks| -> Result<()> {
        let output = vs(&["run", "--context", "barrier-a", "--", "vs-actor"])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        checks.equal("status", &output.status.code(), &Some(125));
        checks.check(said.contains(says), || format!("it says {said:?}"));
        Ok(())
    };
    fs::rename(&root, &elsewhere)?;
    enter("cannot open the root", checks)?;
    fs::create_dir(&root)?;
    enter("is not the one that was given", checks)?;
    fs::remove_dir(&root)?;
    fs::rename(&elsewhere, &root)?;
    // The same root, and above it another directory.
    let above = format!("{FILES}/{ABOVE}");
    fs::rename(&above, format!("{above}-old"))?;
    fs::create_dir(&above)?;
    fs::rename(format!("{above}-old/a"), &root)?;
    enter("is no barrier", checks)?;
    fs::rename(&root, format!("{above}-old/a"))?;
    fs::remove_dir(&above)?;
    fs::rename(format!("{above}-old"), &above)?;
    drop(actor_of("barrier-a")?);
    Ok(())
}

/// A directory that somebody hands in is received if it is one's own, or leads to nothing that is not everybody's who has no root.
fn handed_in(checks: &mut Checks, records: &mut Vec<Expected>) -> Result<()> {
    let nothing = |target| (NOTHING, Some(target));
    for (who, xid, directory, path, (errno, target)) in [
        ("barrier-a", 228, format!("{FILES}/shared"), "file", nothing(0)),
        ("barrier-a", 228, "/proc".to_owned(), "version", nothing(0)),
        ("barrier-a", 228, format!("{FILES}/b"), ".", nothing(222)),
        ("barrier-a", 228, format!("{FILES}/{ABOVE}/a"), "bin/vs-actor", (0, None)),
        ("files-root", 226, format!("{FILES}/shared"), "file", nothing(0)),
        ("files-root", 226, "/".to_owned(), ".", nothing(0)),
        ("files-root", 226, "/sys".to_owned(), ".", nothing(0)),
        // Its own, by a mount of the host's: `..` leads out of it.
        ("files-root", 226, format!("{FILES}/root"), "bin/vs-actor", nothing(226)),
        ("files-a", 221, format!("{FILES}/shared"), "file", (0, None)),
        ("files-a", 221, format!("{FILES}/b"), ".", nothing(222)),
        ("files-a", 221, format!("{FILES}/a"), ".", (0, None)),
        ("spectator", 1, format!("{FILES}/b"), ".", (0, None)),
        ("host", 0, format!("{FILES}/b"), ".", (0, None)),
    ] {
        let mut actor = actor_of(who)?;
        let (found, pid) = receive(&mut actor, &directory, path)?;
        checks.equal(&format!("{who} receives {directory}"), &found, &errno);
        if let Some(target) = target {
            let pid = (who != "files-root").then_some(pid);
            records.push(refused(xid, pid, Some(target), Hook::FileReceive));
        }
    }
    // What is no directory leads nowhere, and its own rules are asked when it is opened.
    let mut actor = actor_of("barrier-a")?;
    let (found, _) = receive_file(&mut actor, &format!("{FILES}/shared/file"))?;
    checks.equal("barrier-a receives a file", &found, &libc::ENOTDIR);
    // What it opened itself is its own to pass on.
    let mut giver = actor_of("files-root")?;
    for (directory, path) in
        [("/proc", "version"), ("/bin", "vs-actor"), ("/sys", "kernel/ostype"), ("/run", ".")]
    {
        let found = giver.order(&format!("do received-own {directory} {path}"))?.errno;
        let expected = if directory == "/sys" { libc::ENOENT } else { 0 };
        checks.equal(&format!("files-root hands its own {directory} to itself"), &found, &expected);
    }
    Ok(())
}

fn receive(actor: &mut Actor, directory: &str, path: &str) -> Result<(i32, i32)> {
    hand(actor, &File::open(directory)?, &format!("do received read {path}"))
}

fn receive_file(actor: &mut Actor, file: &str) -> Result<(i32, i32)> {
    hand(actor, &File::open(file)?, "do received read .")
}

/// Hands a descriptor to somebody who does something with it; the errno, and who it was.
fn hand(actor: &mut Actor, file: &File, order: &str) -> Result<(i32, i32)> {
    let giver = Giver::new().context("hand a descriptor over")?;
    std::thread::scope(|scope| {
        let handing = scope.spawn(|| giver.give(file.as_fd()));
        let answer = actor.order(order)?;
        match handing.join() {
            Ok(handed) => handed.context("hand a descriptor over")?,
            Err(_) => bail!("whoever hands a descriptor over panicked"),
        }
        Ok((answer.errno, answer.pid))
    })
}
