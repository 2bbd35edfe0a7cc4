//! Whose a file is: everybody tries every act on files in everybody's directories.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::Result;
use vs_common::hook::Hook;
use vs_tests::actor::Actor;
use vs_tests::audit::Expected;
use vs_tests::hooks;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{FILES, POLICY, World, actor_command, vs, vs_ok};

/// Who acts: name, xid, whether it is kept from what is nobody's, whether its process numbers are its own.
pub(crate) struct Party {
    pub(crate) name: &'static str,
    pub(crate) xid: u32,
    is_confined: bool,
    has_own_numbers: bool,
}

pub(crate) const fn party(name: &'static str, xid: u32, is_confined: bool) -> Party {
    Party { name, xid, is_confined, has_own_numbers: false }
}

const PARTIES: [Party; 8] = [
    party("host", 0, false),
    party("spectator", 1, false),
    party("files-a", 221, true),
    party("files-b", 222, true),
    Party { has_own_numbers: true, ..party("files-none", 223, true) },
    party("files-hidepid", 224, true),
    party("files-shared", 225, false),
    party("plain-a", 121, false),
];

/// The directories, and whose each is.
const PLACES: [(&str, u32); 6] =
    [("shared", 0), ("a", 221), ("a/inner", 222), ("b", 222), ("h", 224), ("w", 225)];

/// What an act does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Look,
    Change,
}
use Kind::{Change, Look};

/// An act: the words of the order, in which `@` is the directory; what it does; the hook that sees it.
pub(crate) type Act = (&'static str, Kind, Hook);

pub(crate) const ACTS: [Act; 31] = [
    ("open read @/file", Look, Hook::FileOpen),
    ("list @", Look, Hook::FileOpen),
    ("open write @/file", Change, Hook::FileOpen),
    ("open-empty @/file", Change, Hook::InodeSetattr),
    ("reopen @/file", Change, Hook::FileOpen),
    ("open-pipe @/pipe", Change, Hook::FileOpen),
    ("temporary @", Change, Hook::FileOpen),
    ("create @/new", Change, Hook::InodeCreate),
    ("mkdir @/new", Change, Hook::InodeMkdir),
    ("mkfifo @/new", Change, Hook::InodeMknod),
    ("bind-socket @/new", Change, Hook::InodeMknod),
    ("symlink anywhere @/new", Change, Hook::InodeSymlink),
    ("link @/file @/new", Change, Hook::InodeLink),
    ("unlink @/file", Change, Hook::InodeUnlink),
    ("rmdir @/directory", Change, Hook::InodeRmdir),
    ("rename @/file @/new", Change, Hook::InodeRename),
    ("exchange @/file @/directory", Change, Hook::InodeRename),
    ("chmod @/file", Change, Hook::InodeSetattr),
    ("chown @/file", Change, Hook::InodeSetattr),
    ("truncate @/file", Change, Hook::InodeSetattr),
    ("utimes @/file", Change, Hook::InodeSetattr),
    ("chmod @/directory", Change, Hook::InodeSetattr),
    ("set-attribute user.vs @/file", Change, Hook::InodeSetxattr),
    ("remove-attribute user.vs @/file", Change, Hook::InodeRemovexattr),
    ("set-access-list @/file", Change, Hook::InodeSetAcl),
    ("remove-attribute system.posix_acl_access @/file", Change, Hook::InodeRemoveAcl),
    ("set-flags @/file", Change, Hook::FileRequest),
    ("set-flags-32 @/file", Change, Hook::FileRequestCompat),
    // FS_IOC_SET_ENCRYPTION_POLICY and BTRFS_IOC_SUBVOL_CREATE.
    ("request 2148296211 @/directory", Change, Hook::FileRequest),
    ("request 1342215182 @", Change, Hook::FileRequest),
    ("set-file-attributes @/file", Change, Hook::InodeFileSetattr),
];

/// What an act comes to where it is allowed and the file system has no such thing: attributes, flags.
pub(crate) const LACKING: [i32; 4] = [libc::EOPNOTSUPP, libc::ENODATA, libc::ENOTTY, libc::EINVAL];

/// The hook that sees an act on this kernel; none: the kernel has no such call.
pub(crate) fn hook_of(act: &Act, here: &[Hook]) -> Option<Hook> {
    match act.2 {
        hook if here.contains(&hook) => Some(hook),
        // Before 6.2 access lists are attributes like others.
        Hook::InodeSetAcl => Some(Hook::InodeSetxattr),
        Hook::InodeRemoveAcl => Some(Hook::InodeRemovexattr),
        _ => None,
    }
}

/// Whether somebody may do something in a directory.
pub(crate) fn is_allowed(actor: &Party, place: (&str, u32), kind: Kind) -> bool {
    match actor.xid {
        0 => true,
        1 => kind == Look,
        xid if place.1 == xid => true,
        _ => place.1 == 0 && (kind == Look || !actor.is_confined),
    }
}

/// Puts everything in a directory, a path or one of [`FILES`], back that an act could have changed.
pub(crate) fn furnish(place: &str) -> Result<()> {
    let directory = Path::new(FILES).join(place);
    for name in ["new", "file", "directory", "pipe"] {
        let path = directory.join(name);
        // What is not there need not go.
        let _ = fs::remove_dir(&path);
        let _ = fs::remove_file(&path);
    }
    fs::write(directory.join("file"), "contents")?;
    fs::set_permissions(directory.join("file"), fs::Permissions::from_mode(0o666))?;
    fs::create_dir(directory.join("directory"))?;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        directory.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )?;
    Ok(())
}

/// The record of a refusal.
pub(crate) fn record(actor: &Party, pid: i32, target: u32, hook: Hook) -> Expected {
    Expected {
        actor: actor.xid,
        pid: (!actor.has_own_numbers).then_some(pid),
        target: Some(target),
        hook: hook.name(),
        errno: "EACCES",
        mode: "enforce",
    }
}

/// Under a policy without directories guests change files as permissions let them, and the spectator changes none.
pub(crate) fn nobodys(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    const FREE: &str = "/tmp/files-free.toml";
    fs::write(FREE, "[spectator]\n[context.free]\nxid = 298\nproc = \"plain\"\n")?;
    vs_ok(&["load", FREE])?;
    let spectator = party("spectator", 1, false);
    let (here, mut records) = (hooks::all_here()?, Vec::new());
    for name in ["free", "spectator"] {
        let mut actor = actor_of(name)?;
        for act in &ACTS {
            let Some(hook) = hook_of(act, &here) else { continue };
            furnish("shared")?;
            let words = act.0.replace('@', &format!("{FILES}/shared"));
            let answer = actor.order(&format!("do {words}"))?;
            let may = name == "free" || act.1 == Look;
            let is_right = if may {
                answer.errno == 0 || LACKING.contains(&answer.errno)
            } else {
                answer.errno == libc::EACCES
            };
            checks.check(is_right, || format!("{name}: {words}: {}", errno_name(answer.errno)));
            if !may {
                records.push(record(&spectator, answer.pid, 0, hook));
            }
        }
    }
    for missing in world.audit.missing(&records)? {
        checks.check(false, || format!("no audit record: {missing:?}"));
    }
    world.stop()
}

/// An actor of this test's own, whose name nobody else in the suite has.
fn actor_of(context: &str) -> Result<Actor> {
    let name = format!("f-{}", context.trim_start_matches("files-"));
    Actor::start(actor_command(context, &name), &name)
}

/// Tries everything, or what one hook sees.
pub(crate) fn run(world: &mut World, checks: &mut Checks, only: Option<Hook>) -> Result<()> {
    let mut records = Vec::new();
    let mut acts = Vec::new();
    let here = hooks::all_here()?;
    for act in &ACTS {
        if let Some(hook) = hook_of(act, &here).filter(|hook| only.is_none_or(|only| only == *hook)) {
            acts.push((act, hook));
        }
    }
    for party in &PARTIES {
        let mut actor = actor_of(party.name)?;
        for place in PLACES {
            for (act, hook) in &acts {
                furnish(place.0)?;
                let may_look = is_allowed(party, place, Look);
                let may = is_allowed(party, place, act.1);
                // A request wants the file open.
                let hook = match hook {
                    Hook::FileRequest | Hook::FileRequestCompat if !may_look => Hook::FileOpen,
                    // The kernel opens it before it empties it.
                    Hook::InodeSetattr if act.0.starts_with("open-empty") && !may_look => Hook::FileOpen,
                    hook => *hook,
                };
                let words = act.0.replace('@', &format!("{FILES}/{}", place.0));
                let answer = actor.order(&format!("do {words}"))?;
                let is_right = if may {
                    answer.errno == 0 || LACKING.contains(&answer.errno)
                } else {
                    answer.errno == libc::EACCES
                };
                checks.check(is_right, || {
                    let expected = if may { "0" } else { "EACCES" };
                    format!("{}: {words}: {}, expected {expected}", party.name, errno_name(answer.errno))
                });
                if !may {
                    records.push(record(party, answer.pid, place.1, hook));
                }
                if checks.are_decided() {
                    return Ok(());
                }
            }
        }
        across(&mut actor, party, checks, &mut records, only)?;
    }
    for missing in world.audit.missing(&records)? {
        checks.check(false, || format!("no audit record: {missing:?}"));
    }
    checks.held += u32::try_from(records.len()).unwrap_or(0);
    if only.is_none() {
        checks.during("places that change", |checks| changing_places(world, checks))?;
        checks.during("directories of the host's alone", |checks| host_alone(world, checks))?;
        checks.during("own memory", own_memory)?;
        checks.during("own root", |checks| own_root(world, checks))?;
        checks.during("policy", faulty_directories)?;
    }
    Ok(())
}

/// Acts with two ends, of whoever has the directory `a`: `a` itself, and what of others lies in it, stay where they are.
fn across(
    actor: &mut Actor,
    party: &Party,
    checks: &mut Checks,
    records: &mut Vec<Expected>,
    only: Option<Hook>,
) -> Result<()> {
    if party.name != "files-a" {
        return Ok(());
    }
    let acts = [
        ("link @/shared/file @/a/new", Hook::InodeLink, 0),
        ("link @/a/file @/shared/new", Hook::InodeLink, 0),
        ("link @/b/file @/a/new", Hook::InodeLink, 222),
        ("rename @/shared/file @/a/new", Hook::InodeRename, 0),
        ("rename @/a/file @/shared/new", Hook::InodeRename, 0),
        ("rename @/a/file @/b/file", Hook::InodeRename, 222),
        ("exchange @/a/file @/b/file", Hook::InodeRename, 222),
        ("rename @/a @/z", Hook::InodeRename, 0),
        ("rename @/a/inner @/a/new", Hook::InodeRename, 222),
        ("rename @/a/directory @/a/inner", Hook::InodeRename, 222),
        ("exchange @/a/directory @/a/inner", Hook::InodeRename, 222),
        ("rmdir @/a/inner", Hook::InodeRmdir, 222),
        ("rmdir @/a", Hook::InodeRmdir, 0),
    ];
    for (words, hook, target) in acts {
        if only.is_some_and(|only| only != hook) {
            continue;
        }
        for (place, _) in PLACES {
            furnish(place)?;
        }
        let words = words.replace('@', FILES);
        let answer = actor.order(&format!("do {words}"))?;
        checks.check(answer.errno == libc::EACCES, || {
            format!("{}: {words}: {}, expected EACCES", party.name, errno_name(answer.errno))
        });
        records.push(record(party, answer.pid, target, hook));
    }
    Ok(())
}

/// A file belongs to whoever has the directory that it lies in now; a directory that is made anew is another one.
fn changing_places(world: &mut World, checks: &mut Checks) -> Result<()> {
    let at = |path: &str| format!("{FILES}/{path}");
    let mut a = actor_of("files-a")?;
    let mut b = actor_of("files-b")?;
    let mut expect = |actor: &mut Actor, words: &str, errno: i32| -> Result<()> {
        let answer = actor.order(&format!("do {}", words.replace('@', FILES)))?;
        checks.equal(words, &errno_name(answer.errno), &errno_name(errno));
        Ok(())
    };
    for place in ["a", "b", "shared"] {
        furnish(place)?;
    }
    expect(&mut a, "open write @/a/file", 0)?;
    fs::rename(at("a/file"), at("b/file"))?;
    expect(&mut a, "open read @/b/file", libc::EACCES)?;
    expect(&mut b, "open write @/b/file", 0)?;
    // A second name that the host gives: by each it is whose the name is.
    fs::hard_link(at("b/file"), at("a/file"))?;
    expect(&mut a, "open write @/a/file", 0)?;
    expect(&mut a, "open write @/b/file", libc::EACCES)?;
    // A link leads to the file, and whose that is decides.
    symlink(at("b/file"), at("a/new"))?;
    expect(&mut a, "open read @/a/new", libc::EACCES)?;
    // What is mounted elsewhere is still what it is.
    fs::create_dir_all("/srv/vs-bound")?;
    rustix::mount::mount_bind(at("b"), "/srv/vs-bound")?;
    expect(&mut a, "open read /srv/vs-bound/file", libc::EACCES)?;
    expect(&mut b, "open write /srv/vs-bound/file", 0)?;
    rustix::mount::unmount("/srv/vs-bound", rustix::mount::UnmountFlags::DETACH)?;
    // Deeper than is looked.
    let mut deep = at("a/deep");
    for _ in 0..70 {
        fs::create_dir(&deep)?;
        deep.push_str("/d");
    }
    fs::write(&deep, "x")?;
    expect(&mut a, &format!("open read {deep}"), libc::EACCES)?;
    fs::remove_dir_all(at("a/deep"))?;
    // Without a place.
    expect(&mut a, "memory-file", 0)?;
    // Made anew, a directory is nobody's until policy is loaded again.
    fs::remove_dir_all(at("b"))?;
    fs::create_dir(at("b"))?;
    expect(&mut b, "create @/b/new", libc::EACCES)?;
    world.reload()?;
    expect(&mut b, "create @/b/new", 0)
}

/// `[host] directories`: no guest reads there, the spectator does.
fn host_alone(world: &mut World, checks: &mut Checks) -> Result<()> {
    const EXTRA: &str = "/tmp/files-host.toml";
    fs::write(EXTRA, format!("[host]\ndirectories = [\"{FILES}/secret\"]\n"))?;
    furnish("secret")?;
    vs_ok(&["load", POLICY, EXTRA])?;
    let mut records = Vec::new();
    for party in &PARTIES {
        let mut actor = actor_of(party.name)?;
        for (how, kind) in [("read", Look), ("write", Change)] {
            let answer = actor.order(&format!("do open {how} {FILES}/secret/file"))?;
            let may = party.xid == 0 || (party.xid == 1 && kind == Look);
            let expected = if may { 0 } else { libc::EACCES };
            checks.equal(
                &format!("{}: open {how}", party.name),
                &errno_name(answer.errno),
                &errno_name(expected),
            );
            if !may {
                records.push(record(party, answer.pid, 0, Hook::FileOpen));
            }
        }
    }
    for missing in world.audit.missing(&records)? {
        checks.check(false, || format!("no audit record: {missing:?}"));
    }
    world.reload()
}

/// A context with directories and a mount tree of its own has temporary files of its own; without such a tree it has none but policy's.
fn own_memory(checks: &mut Checks) -> Result<()> {
    for (name, errno) in [("files-none", 0), ("files-hidepid", 0), ("files-a", libc::EACCES)] {
        let mut actor = actor_of(name)?;
        for place in ["/tmp", "/var/tmp", "/dev/shm", "/run"] {
            if !Path::new(place).exists() {
                continue;
            }
            let path = format!("{place}/vs-own");
            let answer = actor.order(&format!("do create {path}"))?;
            checks.equal(&format!("{name}: {path}"), &errno_name(answer.errno), &errno_name(errno));
            checks.check(!Path::new(&path).exists(), || format!("{name}: {path} is the host's"));
        }
    }
    Ok(())
}

/// A context with a root finds itself in it, and nothing above: what leads out of a chroot on the host leads nowhere.
fn own_root(world: &mut World, checks: &mut Checks) -> Result<()> {
    let marker = format!("{FILES}/shared/file");
    furnish("shared")?;
    let mut host = actor_of("host")?;
    for way in ["dots", "process-root", "descriptor", "jail"] {
        let answer = host.order(&format!("do escape {way} {marker}"))?;
        checks.equal(&format!("host: {way}"), &errno_name(answer.errno), &"0");
    }
    let mut other = actor_of("files-a")?;
    for (name, xid, root) in [("files-root", 226, "root"), ("files-base", 227, "base")] {
        let mut actor = actor_of(name)?;
        for way in ["dots", "process-root", "descriptor", "jail"] {
            let answer = actor.order(&format!("do escape {way} {marker}"))?;
            checks.equal(&format!("{name}: {way}"), &errno_name(answer.errno), &"ENOENT");
        }
        for words in ["bind-mount / /tmp", "umount /", "unshare 131072"] {
            let answer = actor.order(&format!("do {words}"))?;
            checks.equal(&format!("{name}: {words}"), &errno_name(answer.errno), &"EPERM");
        }
        for words in ["create /etc/new", "create /tmp/new", "create /new", "open write /dev/null"] {
            let answer = actor.order(&format!("do {words}"))?;
            checks.equal(&format!("{name}: {words}"), &errno_name(answer.errno), &"0");
        }
        for file in ["etc/new", "new"] {
            let path = format!("{FILES}/{root}/{file}");
            checks.check(Path::new(&path).exists(), || format!("{path} is not there"));
            let answer = other.order(&format!("do open read {path}"))?;
            checks.equal(&format!("files-a: {path}"), &errno_name(answer.errno), &"EACCES");
            let record = Expected {
                actor: 221,
                pid: Some(answer.pid),
                target: Some(xid),
                hook: Hook::FileOpen.name(),
                errno: "EACCES",
                mode: "enforce",
            };
            for missing in world.audit.missing(&[record])? {
                checks.check(false, || format!("no audit record: {missing:?}"));
            }
        }
        for file in ["etc/new", "tmp/new", "new"] {
            // What was not made was told above.
            let _ = fs::remove_file(format!("{FILES}/{root}/{file}"));
        }
    }
    Ok(())
}

/// Directories that cannot be given to anybody: nothing is loaded, and the message names the place.
fn faulty_directories(checks: &mut Checks) -> Result<()> {
    const FAULTY: &str = "/tmp/files-faulty.toml";
    let link = format!("{FILES}/link");
    // Left by an earlier run.
    let _ = fs::remove_file(&link);
    symlink(format!("{FILES}/a"), &link)?;
    for (path, code, says) in [
        ("/srv/none", 18, "is not there"),
        (link.as_str(), 18, "symbolic link"),
        ("/tmp/files-faulty.toml", 18, "is no directory"),
        ("srv", 3, "does not begin with /"),
        ("/proc/sys", 3, "holds no files"),
    ] {
        fs::write(FAULTY, format!("[context.x]\nxid = 299\ndirectories = [\"{path}\"]\n"))?;
        let output = vs(&["load", "--dry-run", FAULTY])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        checks.equal(&format!("{path}: status"), &output.status.code(), &Some(code));
        checks.check(said.contains(says) && said.contains(&format!("{FAULTY}:3:")), || {
            format!("{path}: it says {said:?}")
        });
    }
    fs::remove_file(link)?;
    Ok(())
}
