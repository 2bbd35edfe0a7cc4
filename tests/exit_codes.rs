//! Every refusal has its exit code and one clear line, and changes nothing: what was in force stays in force.
//!
//! 5 is `refusal`'s, which wants another kernel command line; 15 is `status`'s.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, Result};
use vs_common::hook::Hook;
use vs_common::kernel_layout::inject;
use vs_tests::report::Checks;
use vs_tests::world::{POLICY, World, policy, vs};

use crate::loading::is_enforced;

/// The kernel's types, and the folder that they lie in.
const TYPES: &str = "/sys/kernel/btf/vmlinux";
const TYPES_FOLDER: &str = "/sys/kernel/btf";
/// Where the suite puts types of its own.
const OTHER_TYPES: &str = "/tmp/types";
/// A policy file that is only for one step.
const OTHER: &str = "/tmp/other.toml";
/// `CAP_BPF` of `include/uapi/linux/capability.h`.
const CAP_BPF: libc::c_ulong = 39;

/// New programs, of which one that denies is missing, beside those in force, which deny: it is the new ones that are tried. They are those
/// that the canary meets, and the one that keeps `/proc` in order, since the verifier takes its time for each, in an emulator.
fn idle_programs(world: &mut World, checks: &mut Checks) -> Result<()> {
    const MET: [Hook; 4] = [Hook::TaskAlloc, Hook::BprmCommittedCreds, Hook::Bpf, Hook::TaskToInode];
    let other = inject::OWNER_FULL.to_string();
    let load_with = |tried: &[Hook]| {
        let mut arguments = vec!["load", "--test-inject", &other];
        for hook in Hook::ALL.iter().filter(|hook| !tried.contains(hook)) {
            arguments.extend(["--test-without", hook.name()]);
        }
        arguments.push(POLICY);
        vs(&arguments)
    };
    let output = load_with(&MET)?;
    is_refused(world, checks, "programs that do not deny", &output, (8, &["was not denied", "kill:"]))?;
    let output = load_with(&[&MET[..], &[Hook::TaskKill]].concat())?;
    checks.check(output.status.success(), || format!("other programs that deny: {}", output.status));
    world.reload()
}

/// Every code in turn.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    // Whoever waits for the lock waits for long: meanwhile all is tried that is refused before the lock is asked for.
    let locked = Locked::begin()?;
    bad_policies(world, checks)?;
    not_root(world, checks)?;
    other_types(world, checks)?;
    locked.end(world, checks)?;
    missing_hook(world, checks)?;
    idle_programs(world, checks)?;
    contexts(world, checks)?;
    unknown_layout(world, checks)
}

/// Checks a refusal: its code, and that it says why in one line that has these words.
fn is_refused(
    world: &mut World,
    checks: &mut Checks,
    what: &str,
    output: &Output,
    (code, words): (i32, &[&str]),
) -> Result<()> {
    check_words(checks, what, output, code, words);
    let holds = is_enforced(world)?;
    checks.check(holds, || format!("{what}: a guest reaches the host afterwards"));
    Ok(())
}

/// The same where nothing is in force.
fn check_words(checks: &mut Checks, what: &str, output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    checks.check(output.status.code() == Some(code), || {
        format!("{what}: {}, expected {code}: {said}", output.status)
    });
    // A load for tests says that it is one.
    let lines = said.lines().filter(|line| !line.contains("this load is for tests"));
    let lines: Vec<&str> = lines.collect();
    checks.check(lines.len() == 1, || format!("{what}: not one line: {said}"));
    for word in words {
        checks.check(said.contains(word), || format!("{what}: no word of {word:?}: {said}"));
    }
}

/// 3, with each error's file and line, all of them at once; 2 for a command line.
fn bad_policies(world: &mut World, checks: &mut Checks) -> Result<()> {
    fs::write(
        OTHER,
        "[host]\nproc_lok = true\n\n[context.a]\nxid = 1\nmode = \"watch\"\n\n[context.b]\nxid = 70000\nprox = \"plain\"\n",
    )?;
    for arguments in [&["load", OTHER][..], &["policy", "check", OTHER]] {
        let output = vs(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let what = arguments.join(" ");
        checks.equal(&what, &output.status.code(), &Some(3));
        for (line, word) in [(2, "proc_lok"), (5, "1"), (6, "watch"), (9, "70000"), (10, "prox")] {
            let place = format!("{OTHER}:{line}:");
            let is_told = said.lines().any(|told| told.contains(&place) && told.contains(word));
            checks.check(is_told, || format!("{what}: nothing of {word} at {place} {said}"));
        }
    }
    for arguments in [&["load"][..], &["lode"], &["load", "--stop", "--keep-orphans", POLICY]] {
        checks.equal("a wrong command line", &vs(arguments)?.status.code(), &Some(2));
    }
    let holds = is_enforced(world)?;
    checks.check(holds, || "after bad policies a guest reaches the host");
    Ok(())
}

/// 4: nobody, and a root who lacks one of the capabilities that it takes, which is named.
fn not_root(world: &mut World, checks: &mut Checks) -> Result<()> {
    for arguments in [&["load", POLICY][..], &["unload"], &["status"], &["ps"], &["doctor"]] {
        let what = format!("{} by nobody", arguments.join(" "));
        let output =
            Command::new("vs").args(arguments).uid(65534).gid(65534).stdin(Stdio::null()).output()?;
        if arguments == ["doctor"] {
            checks.equal(&what, &output.status.code(), &Some(4));
        } else {
            is_refused(world, checks, &what, &output, (4, &["root"]))?;
        }
    }
    for arguments in [&["load", POLICY][..], &["unload"], &["status"]] {
        let what = format!("{} without CAP_BPF", arguments.join(" "));
        let mut command = Command::new("vs");
        command.args(arguments).stdin(Stdio::null());
        // SAFETY: The closure makes one system call on numbers. What is not in the bounding set is not regained by exec.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_CAPBSET_DROP, CAP_BPF, 0, 0, 0) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        is_refused(world, checks, &what, &command.output()?, (4, &["root", "capabilities bpf are missing"]))?;
    }
    Ok(())
}

/// Runs `vs` where a file of the suite's lies in place of the kernel's types, in a mount namespace of its own.
fn with_types(types: &Path, over: &str, arguments: &[&str]) -> Result<Output> {
    let [from, over] = [&types.to_string_lossy(), over].map(CString::new);
    let (from, over) = (from?, over?);
    let mut command = Command::new("vs");
    command.args(arguments).stdin(Stdio::null());
    // SAFETY: The closure makes system calls on strings that it owns and that end in a zero.
    unsafe {
        command.pre_exec(move || {
            let nothing = std::ptr::null();
            let private = libc::MS_REC | libc::MS_PRIVATE;
            if libc::unshare(libc::CLONE_NEWNS) != 0
                || libc::mount(nothing, c"/".as_ptr(), nothing, private, nothing.cast()) != 0
                || libc::mount(from.as_ptr(), over.as_ptr(), nothing, libc::MS_BIND, nothing.cast()) != 0
            {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    command.output().context("run vs with other types")
}

/// The kernel's types with one name written differently (`include/uapi/linux/btf.h:struct btf_header`: where the names begin).
fn renamed(types: &[u8], name: &str) -> Vec<u8> {
    let word = |at: usize| types[at..at + 4].try_into().map_or(0, u32::from_ne_bytes) as usize;
    let mut at = word(4) + word(16);
    let mut renamed = types.to_vec();
    for found in types[at..].split(|byte| *byte == 0) {
        if found == name.as_bytes() {
            renamed[at] = b'?';
        }
        at += found.len() + 1;
    }
    renamed
}

/// 6: no types, types that are none, a field that is missing.
fn other_types(world: &mut World, checks: &mut Checks) -> Result<()> {
    let types = fs::read(TYPES).context("read the kernel's types")?;
    let file = Path::new(OTHER_TYPES);
    for (what, bytes, word) in [
        ("empty types", Vec::new(), "malformed BTF"),
        ("half of the types", types[..types.len() / 2].to_vec(), "malformed BTF"),
        ("types without a field", renamed(&types, "loginuid"), "task_struct has no member loginuid"),
    ] {
        fs::write(file, bytes)?;
        let output = with_types(file, TYPES, &["load", POLICY])?;
        is_refused(world, checks, what, &output, (6, &[word]))?;
    }
    let empty = Path::new("/tmp/nothing");
    fs::create_dir_all(empty)?;
    let output = with_types(empty, TYPES_FOLDER, &["load", POLICY])?;
    is_refused(world, checks, "no types", &output, (6, &["cannot read the kernel's type information"]))
}

/// 7: a hook is missing. Of such a kernel `vs doctor` does not promise all.
fn missing_hook(world: &mut World, checks: &mut Checks) -> Result<()> {
    let types = fs::read(TYPES).context("read the kernel's types")?;
    let file = Path::new(OTHER_TYPES);
    fs::write(file, renamed(&types, "bpf_lsm_task_setrlimit"))?;
    let output = with_types(file, TYPES, &["load", POLICY])?;
    is_refused(world, checks, "types without a hook", &output, (7, &["lacks the hooks task_setrlimit"]))?;
    let doctor = with_types(file, TYPES, &["doctor"])?;
    checks.equal("doctor without a hook", &doctor.status.code(), &Some(14));
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    checks.check(said.contains("task_setrlimit"), || format!("doctor does not name the hook: {said}"));
    Ok(())
}

/// 11, by several commands that wait for one lock at once.
struct Locked {
    _lock: fs::File,
    waiting: Vec<(&'static str, Child)>,
}

impl Locked {
    fn begin() -> Result<Self> {
        let lock = fs::OpenOptions::new().read(true).write(true).open("/run/vs/lock")?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
        let mut waiting = Vec::new();
        for (what, arguments) in
            [("load", &["load", POLICY][..]), ("unload", &["unload"]), ("status", &["status"])]
        {
            let mut command = Command::new("vs");
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            waiting.push((what, command.spawn()?));
        }
        Ok(Self { _lock: lock, waiting })
    }

    fn end(self, world: &mut World, checks: &mut Checks) -> Result<()> {
        let holder = format!("process {}", std::process::id());
        for (what, child) in self.waiting {
            let what = format!("{what} while another changes something");
            is_refused(world, checks, &what, &child.wait_with_output()?, (11, &["another vs", &holder]))?;
        }
        Ok(())
    }
}

/// 10 and 12.
fn contexts(world: &mut World, checks: &mut Checks) -> Result<()> {
    let moved = policy("enforce").replace("xid = 121", "xid = 131");
    let locked = format!("[host]\nproc_lock = true\n\n{}", policy("enforce"));
    for (what, text) in [("a living context's number changes", moved), ("its second lock changes", locked)] {
        fs::write(OTHER, text)?;
        let output = vs(&["load", OTHER])?;
        checks.equal(what, &output.status.code(), &Some(10));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        checks.check(said.contains("plain-a"), || format!("{what}: plain-a is not named: {said}"));
    }
    for (arguments, code) in [
        (&["context", "show", "nosuch"][..], 12),
        (&["kill", "--all", "nosuch"], 12),
        (&["ps", "--context", "nosuch"], 12),
        (&["run", "--context", "nosuch", "--", "true"], 125),
        (&["run", "--xid", "4000", "--", "true"], 125),
        (&["enter", "nosuch"], 125),
    ] {
        is_refused(world, checks, &arguments.join(" "), &vs(arguments)?, (code, &[]))?;
    }
    Ok(())
}

/// 13: pins of a layout that this `vs` does not know.
fn unknown_layout(world: &mut World, checks: &mut Checks) -> Result<()> {
    fs::create_dir("/sys/fs/bpf/vs/999")?;
    for arguments in [&["load", POLICY][..], &["unload", "--stop"], &["status"], &["ps"]] {
        let words: &[&str] = &["\"999\"", "/sys/fs/bpf/vs"];
        is_refused(
            world,
            checks,
            &format!("{} beside layout 999", arguments.join(" ")),
            &vs(arguments)?,
            (13, words),
        )?;
    }
    fs::remove_dir("/sys/fs/bpf/vs/999")?;
    checks.equal("status without layout 999", &vs(&["status"])?.status.code(), &Some(0));
    Ok(())
}

/// 9, and 8 of a load over nothing, which leaves nothing. What `vs doctor` tries for a moment leaves nothing either.
pub(crate) fn nothing_loaded(_world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    for arguments in [
        &["status"][..],
        &["ps"],
        &["context", "list"],
        &["context", "show", "plain-a"],
        &["kill", "--all", "plain-a"],
    ] {
        let what = format!("{} with nothing loaded", arguments.join(" "));
        check_words(checks, &what, &vs(arguments)?, 9, &["no policy is loaded"]);
    }
    let entered = vs(&["enter", "plain-a"])?;
    check_words(checks, "enter with nothing loaded", &entered, 125, &["no policy is loaded"]);
    let canary = [Hook::TaskKill, Hook::Bpf, Hook::TaskAlloc];
    for (without, act) in canary.into_iter().zip(["kill:", "bpf:", "kill by a child:"]) {
        let mut arguments = vec!["load"];
        // What the canary does not meet would only take its time.
        for hook in Hook::ALL.iter().filter(|hook| **hook == without || !canary.contains(hook)) {
            arguments.extend(["--test-without", hook.name()]);
        }
        arguments.push(POLICY);
        let what = format!("load without {}", without.name());
        check_words(checks, &what, &vs(&arguments)?, 8, &["was not denied", act]);
        let is_left = Path::new("/sys/fs/bpf/vs/1/maps").exists();
        checks.check(!is_left, || format!("a {what} leaves maps"));
        checks.equal("status after it", &vs(&["status"])?.status.code(), &Some(9));
    }
    let types = fs::read(TYPES).context("read the kernel's types")?;
    fs::write(OTHER_TYPES, renamed(&types, "bpf_lsm_task_setrlimit"))?;
    let output = with_types(Path::new(OTHER_TYPES), TYPES, &["load", POLICY])?;
    check_words(checks, "load over nothing without a hook", &output, 7, &["task_setrlimit"]);
    let doctor = vs(&["doctor"])?;
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    checks.check(doctor.status.code() == Some(0), || {
        format!("doctor with nothing loaded: {} {said}", doctor.status)
    });
    let is_full = !said.lines().any(|line| line.starts_with("partial ") || line.starts_with("none "));
    checks.check(is_full, || format!("doctor promises less: {said}"));
    checks.check(!Path::new("/sys/fs/bpf/vs/1/maps").exists(), || "doctor leaves maps");
    Ok(())
}
