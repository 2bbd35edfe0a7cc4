//! What has led out of others: out of chroots, of Linux-VServer, LXC, runc, OpenVZ and jails. Each way is tried anew, from contexts with a
//! root of their own and from one in the host's tree, and leads nowhere; and outside, where it leads out, so that it is known to be one.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use vs_common::hook::Hook;
use vs_tests::actor::Actor;
use vs_tests::audit::Expected;
use vs_tests::disk_deed::handle_of;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{FILES, POLICY, World, actor_command, vs, vs_ok};

/// Contexts with a root, by name, number, and the name of the root.
const ROOTED: [(&str, u32, &str); 2] = [("files-root", 226, "root"), ("files-base", 227, "base")];
/// One with directories in the host's tree.
const PLAIN: (&str, u32) = ("files-a", 221);

/// Tries all of them.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    let marker = format!("{FILES}/shared/file");
    fs::write(&marker, "the host's")?;
    checks.during("ways out", |checks| ways(world, &marker, checks))?;
    checks.during("mounts", |checks| mounts(world, checks))?;
    checks.during("knobs", knobs)?;
    checks.during("moved away", |checks| moved_away(&marker, checks))?;
    checks.during("mount targets", |checks| mount_targets(world, checks))?;
    checks.during("working directories", |checks| working_directories(&marker, checks))?;
    checks.during("programs", programs)?;
    checks.during("tracers", tracers)
}

fn actor(context: &str) -> Result<Actor> {
    let name = format!("x-{}", context.trim_start_matches("files-"));
    Actor::start(actor_command(context, &name), &name)
}

fn expect(actor: &mut Actor, words: &str, expected: &str, checks: &mut Checks) -> Result<i32> {
    let answer = actor.order(&format!("do {words}"))?;
    let what = format!("{}: {words}", actor.name);
    checks.equal(&what, &errno_name(answer.errno), &expected);
    Ok(answer.pid)
}

/// Single system calls, and short chains of them.
fn ways(world: &mut World, marker: &str, checks: &mut Checks) -> Result<()> {
    let mut host = actor("host")?;
    let (kind, handle) = handle_of(marker).context("the file system of the suite has no handles")?;
    let shocker = format!("open-handle / {kind} {handle}");
    let own = std::process::id();
    let links = format!("links {marker} {own} {own}");
    let jail = format!("chroot {FILES}/root");
    for words in [
        format!("{jail} saved-descriptor {marker}"),
        format!("{jail} {shocker}"),
        format!("{jail} make-device /tmp/vs-device 1 11"),
        format!("{jail} open read /tmp/vs-device"),
        format!("{jail} unlink /tmp/vs-device"),
        // The root of a process must be a mount for this.
        format!("chroot {FILES} pivot-root /root/tmp"),
        links.clone(),
        "join /proc/self/ns/mnt".to_owned(),
        "open-tree /".to_owned(),
        "fsopen proc".to_owned(),
    ] {
        expect(&mut host, &words, "0", checks)?;
    }
    for (name, _, root) in ROOTED {
        let mut inside = actor(name)?;
        for (words, errno) in [
            (format!("saved-descriptor {marker}"), "ENOENT"),
            (shocker.clone(), "EPERM"),
            ("make-device /tmp/vs-device 1 11".to_owned(), "EPERM"),
            // A node that the host put there opens nothing.
            ("open read /vs-device".to_owned(), "EACCES"),
            ("pivot-root /tmp".to_owned(), "EPERM"),
            (links.clone(), "ENOENT"),
            ("join /proc/self/ns/mnt".to_owned(), "EPERM"),
            ("open-tree /".to_owned(), "EPERM"),
            ("fsopen proc".to_owned(), "EPERM"),
        ] {
            let device = format!("{FILES}/{root}/vs-device");
            expect(&mut host, &format!("make-device {device} 1 11"), "0", checks)?;
            expect(&mut inside, &words, errno, checks)?;
            fs::remove_file(device)?;
        }
    }
    let mut plain = actor(PLAIN.0)?;
    for (words, errno) in [
        (format!("open-handle {FILES} {kind} {handle}"), "EPERM"),
        (format!("make-device {FILES}/a/vs-device 1 11"), "EPERM"),
        (format!("pivot-root {FILES}/a"), "EPERM"),
        (links, "EACCES"),
        ("join /proc/1/ns/mnt".to_owned(), "EACCES"),
        ("open-tree /".to_owned(), "EPERM"),
        ("fsopen proc".to_owned(), "EPERM"),
    ] {
        expect(&mut plain, &words, errno, checks)?;
    }
    let pid = plain.order(&format!("do open write {marker}"))?.pid;
    recorded(world, PLAIN.1, Some(pid), (Hook::FileOpen, "EACCES"), checks)
}

fn recorded(
    world: &mut World,
    actor: u32,
    pid: Option<i32>,
    (hook, errno): (Hook, &'static str),
    checks: &mut Checks,
) -> Result<()> {
    let record = Expected { actor, pid, target: None, hook: hook.name(), errno, mode: "enforce" };
    for missing in world.audit.missing(&[record])? {
        checks.check(false, || format!("no audit record: {missing:?}"));
    }
    Ok(())
}

/// File systems that show or steer the kernel, and what is on a disk: nobody inside mounts them.
fn mounts(world: &mut World, checks: &mut Checks) -> Result<()> {
    const PLACE: &str = "/srv/vs-mount";
    fs::create_dir_all(PLACE)?;
    let mut host = actor("host")?;
    let mut all: Vec<(Actor, u32, String)> = Vec::new();
    for (name, xid, _) in ROOTED {
        all.push((actor(name)?, xid, "/tmp".to_owned()));
    }
    all.push((actor(PLAIN.0)?, PLAIN.1, format!("{FILES}/a")));
    for kind in ["proc", "sysfs", "devtmpfs", "cgroup2"] {
        expect(&mut host, &format!("mount {kind} {PLACE}"), "0", checks)?;
        expect(&mut host, &format!("umount {PLACE}"), "0", checks)?;
        for (inside, xid, place) in &mut all {
            let pid = expect(inside, &format!("mount {kind} {place}"), "EPERM", checks)?;
            // Those of a PID namespace have numbers of their own.
            let pid = (inside.name != "x-root").then_some(pid);
            recorded(world, *xid, pid, (Hook::SbMount, "EPERM"), checks)?;
        }
    }
    Ok(())
}

/// What has the kernel run a program as the host's root.
fn knobs(checks: &mut Checks) -> Result<()> {
    let mut host = actor("host")?;
    let mut inside = [actor("files-root")?, actor("files-base")?];
    for (path, errno) in [
        ("/proc/sys/kernel/core_pattern", "EROFS"),
        ("/proc/sys/kernel/modprobe", "EROFS"),
        ("/proc/sys/kernel/hotplug", "ENOENT"),
        ("/proc/sysrq-trigger", "EROFS"),
        ("/proc/sys/fs/binfmt_misc/register", "ENOENT"),
        ("/sys/kernel/uevent_helper", "EROFS"),
        ("/sys/fs/cgroup/cgroup.procs", "ENOENT"),
        ("/sys/fs/cgroup/release_agent", "ENOENT"),
        ("/sys/fs/bpf/vs", "ENOENT"),
    ] {
        // Some are of other kernels; those of this one can be written outside.
        let is_here = Path::new(path).is_file();
        if is_here {
            expect(&mut host, &format!("open write {path}"), "0", checks)?;
        }
        for inside in &mut inside {
            let errno = if errno == "EROFS" && !is_here { "ENOENT" } else { errno };
            expect(inside, &format!("open write {path}"), errno, checks)?;
        }
    }
    Ok(())
}

/// The host moves a directory out of the root in which somebody stands.
fn moved_away(marker: &str, checks: &mut Checks) -> Result<()> {
    let climb = format!("climb /tmp/moved/deep {marker} 1000");
    for (name, root, words, expected) in [
        ("host", "root", format!("chroot {FILES}/root {climb}"), "0"),
        ("files-root", "root", climb.clone(), "ENOENT"),
        ("files-base", "base", climb.clone(), "ENOENT"),
    ] {
        let (here, there) = (format!("{FILES}/{root}/tmp/moved"), format!("{FILES}/shared/moved"));
        fs::create_dir_all(format!("{here}/deep"))?;
        let mut climber = actor(name)?;
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| -> Result<()> {
            let mover = scope.spawn(|| -> Result<()> {
                // It has to stand there first.
                std::thread::sleep(std::time::Duration::from_millis(200));
                while !is_over.load(Ordering::Relaxed) {
                    fs::rename(&here, &there)?;
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    fs::rename(&there, &here)?;
                }
                Ok(())
            });
            let outcome = expect(&mut climber, &words, expected, checks);
            is_over.store(true, Ordering::Relaxed);
            mover.join().map_err(|_| anyhow::anyhow!("who moves the directory panicked"))??;
            outcome.map(drop)
        })?;
        fs::remove_dir_all(&here)?;
    }
    Ok(())
}

/// Where mounts are, on this machine.
fn mount_table() -> Result<BTreeSet<String>> {
    Ok(fs::read_to_string("/proc/self/mountinfo")?.lines().map(str::to_owned).collect())
}

/// Whoever has a root could put links in the places where entry mounts something: nothing is mounted, and nobody enters.
fn mount_targets(world: &mut World, checks: &mut Checks) -> Result<()> {
    const EXTRA: &str = "/tmp/escapes.toml";
    let root = format!("{FILES}/links");
    for directory in ["bin", "dev", "proc", "run", "sys", "etc"] {
        fs::create_dir_all(format!("{root}/{directory}"))?;
    }
    fs::copy(format!("{FILES}/root/bin/vs-actor"), format!("{root}/bin/vs-actor"))?;
    for (proc, xid) in [("pidns", 296), ("hidepid", 297)] {
        let name = format!("links-{proc}");
        fs::write(EXTRA, format!("[context.{name}]\nxid = {xid}\nproc = \"{proc}\"\nroot = \"{root}\"\n"))?;
        vs_ok(&["load", POLICY, EXTRA])?;
        let enter = |options: &[&str]| -> Result<std::process::Output> {
            let mut command = Command::new("vs");
            command.args(["run", "--context", &name]).args(options);
            Ok(command.args(["--", "/bin/vs-actor", "find", "0"]).stdin(Stdio::null()).output()?)
        };
        let before = mount_table()?;
        for target in ["dev", "proc", "run", "sys"] {
            let place = format!("{root}/{target}");
            for leads_to in ["../../../../../../../../tmp", "/etc", "/proc/self/cwd"] {
                fs::remove_dir(&place)?;
                symlink(leads_to, &place)?;
                let output = enter(&[])?;
                fs::remove_file(&place)?;
                fs::create_dir(&place)?;
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let is_refused = output.status.code() == Some(125) && said.contains(target);
                checks.check(is_refused, || {
                    format!("{name}: {target} leads to {leads_to}: {}, {said}", output.status)
                });
            }
        }
        // What is read for a user's name is not waited for, and is found within the root.
        let passwd = format!("{root}/etc/passwd");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &passwd,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o666),
            0,
        )?;
        let output = enter(&["--user", "root"])?;
        checks.check(output.status.code() == Some(125), || format!("{name}: a pipe: {}", output.status));
        fs::remove_file(&passwd)?;
        symlink(format!("../../../../../..{FILES}/shared/passwd"), &passwd)?;
        fs::write(format!("{FILES}/shared/passwd"), "known:x:7:7::/:/bin/sh\n")?;
        let output = enter(&["--user", "known"])?;
        checks.check(output.status.code() == Some(125), || format!("{name}: a link: {}", output.status));
        fs::remove_file(&passwd)?;

        checks.equal(&format!("{name}: mounts of the host"), &mount_table()?, &before);
        let output = enter(&[])?;
        checks.check(output.status.success(), || format!("{name}: without links: {}", output.status));
        vs_ok(&["kill", "--all", &name])?;
    }
    world.reload()
}

/// Somebody inside makes the directory in which a command is to start a link to what the entering process has open, or exchanges the two
/// while somebody enters: where the command starts is inside.
fn working_directories(marker: &str, checks: &mut Checks) -> Result<()> {
    let base = format!("{FILES}/base/tmp");
    for name in ["here", "there"] {
        // What is not there need not go.
        let _ = fs::remove_file(format!("{base}/{name}"));
    }
    let mut inside = actor("files-base")?;
    let mut host = actor("host")?;
    expect(&mut host, &format!("from-here {marker}"), "0", checks)?;
    let entered = |checks: &mut Checks, what: &str| -> Result<()> {
        let mut command = Command::new("vs");
        command.args(["enter", "files-base", "--cwd", "/tmp/here", "--", "/bin/vs-actor", "x-enter"]);
        command.stderr(Stdio::null());
        let Ok(mut actor) = Actor::start(command, "x-enter") else {
            // It was refused: nobody stands anywhere.
            checks.held += 1;
            return Ok(());
        };
        let answer = actor.order(&format!("do from-here {marker}"))?;
        checks.check(answer.errno == libc::ENOENT, || format!("{what}: {}", errno_name(answer.errno)));
        Ok(())
    };
    for number in 3..12 {
        symlink(format!("/proc/self/fd/{number}"), format!("{base}/here"))?;
        entered(checks, &format!("a link to descriptor {number}"))?;
        fs::remove_file(format!("{base}/here"))?;
    }
    fs::create_dir(format!("{base}/here"))?;
    symlink("/proc/self/fd/5/..", format!("{base}/there"))?;
    std::thread::scope(|scope| -> Result<()> {
        let swapper = scope.spawn(move || inside.order("do swap /tmp/here /tmp/there 3000"));
        for _ in 0..4 {
            entered(checks, "a directory that is exchanged with a link")?;
        }
        let answer = swapper.join().map_err(|_| anyhow::anyhow!("who exchanges them panicked"))??;
        checks.equal("exchange", &errno_name(answer.errno), &"0");
        Ok(())
    })
}

/// A script whose interpreter is whoever executes it: what runs inside then is `vs`, and its program can be written to by nobody. A copy of
/// it that runs from a file outside is overwritten the same way.
fn programs(checks: &mut Checks) -> Result<()> {
    const COPY: &str = "/tmp/vs-copy";
    let program = on_path("vs")?;
    fs::copy(&program, COPY)?;
    let mut host = actor("host")?;
    meanwhile(&mut host, "overwrite-executables vs-copy 5000", checks, "0", || {
        // Overwritten, it can be executed no more.
        let _ = Command::new(COPY).arg("--help").stdout(Stdio::null()).status();
        Ok(())
    })?;
    let evil = format!("{FILES}/base/bin/evil");
    fs::write(&evil, "#!/proc/self/exe\n")?;
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755))?;
    let before = fs::read(&program)?;
    let mut inside = actor("files-base")?;
    let mut said = String::new();
    meanwhile(&mut inside, "overwrite-executables memfd:vs 15000", checks, "EPERM", || {
        let output = vs(&["run", "--context", "files-base", "--", "/bin/evil"])?;
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(())
    })?;
    // What it says to a script instead of a command.
    checks.check(said.contains("subcommand '/bin/evil'"), || format!("vs does not run inside: {said}"));
    checks.check(fs::read(&program)? == before, || "the program of vs is another".to_owned());
    fs::remove_file(evil)?;
    Ok(())
}

/// Who enters cannot be traced before it is a command; who runs outside can.
fn tracers(checks: &mut Checks) -> Result<()> {
    const COPY: &str = "/tmp/vs-copy";
    // Overwritten, it can be executed no more.
    fs::remove_file(COPY)?;
    fs::copy(on_path("vs")?, COPY)?;
    let mut host = actor("host")?;
    meanwhile(&mut host, "trace-all vs-copy 2000", checks, "0", || {
        Ok(Command::new(COPY).arg("--help").stdout(Stdio::null()).status().map(drop)?)
    })?;
    fs::remove_file(COPY)?;
    for name in ["files-base", PLAIN.0] {
        let mut inside = actor(name)?;
        let answer = std::thread::scope(|scope| -> Result<i32> {
            let tracer = scope.spawn(|| inside.order("do trace-all memfd:vs 3000"));
            for _ in 0..3 {
                vs(&["run", "--context", name, "--", "/bin/true"])?;
            }
            let answer = tracer.join().map_err(|_| anyhow::anyhow!("the tracer panicked"))??;
            Ok(answer.errno)
        })?;
        checks.check([libc::EPERM, libc::ESRCH].contains(&answer), || {
            format!("{name}: trace who enters: {}", errno_name(answer))
        });
    }
    Ok(())
}

/// Has somebody try something while something else happens over and over, until it is known what came of it.
fn meanwhile(
    actor: &mut Actor,
    words: &str,
    checks: &mut Checks,
    expected: &str,
    mut happens: impl FnMut() -> Result<()>,
) -> Result<()> {
    let name = actor.name.clone();
    let errno = std::thread::scope(|scope| -> Result<i32> {
        let trial = scope.spawn(|| actor.order(&format!("do {words}")));
        while !trial.is_finished() {
            happens()?;
        }
        Ok(trial.join().map_err(|_| anyhow::anyhow!("{words} panicked"))??.errno)
    })?;
    checks.equal(&format!("{name}: {words}"), &errno_name(errno), &expected);
    Ok(())
}

fn on_path(name: &str) -> Result<std::path::PathBuf> {
    let path = std::env::var_os("PATH").context("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.exists())
        .with_context(|| format!("{name} is not on PATH"))
}
