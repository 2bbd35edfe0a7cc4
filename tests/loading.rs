//! Load, reload, unload: a policy applies whole or not at all, and something is in force at every instant.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use vs_common::hook::Hook;
use vs_tests::audit::Expected;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{POLICY, World, policy, vs, vs_ok};

/// A policy file that is only for one step.
const OTHER: &str = "/tmp/other.toml";

/// Whether a guest is kept from the host just now.
pub(crate) fn is_enforced(world: &mut World) -> Result<bool> {
    let host = world.inhabitant("host")?.actor.target;
    Ok(world.order("plain-a", &format!("op kill {host}"))?.errno == libc::EPERM)
}

/// Runs `vs load` on a policy and checks its exit code, and that what is in force denies still.
fn load_with(
    world: &mut World,
    checks: &mut Checks,
    what: &str,
    text: &str,
    arguments: &[&str],
    code: i32,
) -> Result<()> {
    fs::write(OTHER, text)?;
    let mut all = vec!["load"];
    all.extend(arguments);
    all.push(OTHER);
    let output = vs(&all)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    checks.check(output.status.code() == Some(code), || {
        format!("{what}: {:?}, expected {code}: {said}", output.status)
    });
    checks.check(code == 0 || !said.trim().is_empty(), || format!("{what}: it says nothing"));
    let holds = is_enforced(world)?;
    checks.check(holds, || format!("{what}: a guest reaches the host afterwards"));
    Ok(())
}

/// Every step in turn.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    refusals(world, checks)?;
    modes(world, checks)?;
    killed_loader(world, checks)?;
    reload_under_load(world, checks)?;
    orphans(world, checks)?;
    unload_and_load(world, checks)
}

fn refusals(world: &mut World, checks: &mut Checks) -> Result<()> {
    load_with(world, checks, "broken TOML", "[context.x\n", &[], 3)?;
    load_with(world, checks, "unknown key", "[context.x]\nxid = 5\nprox = 1\n", &[], 3)?;
    load_with(world, checks, "xid out of range", "[context.x]\nxid = 1\n", &[], 3)?;
    load_with(world, checks, "contexts with processes are missing", "[context.x]\nxid = 5\n", &[], 10)?;
    let moved = policy("enforce").replace("proc = \"hidepid\"", "proc = \"plain\"");
    // Which a root is not for.
    let moved = moved.replace("proc = \"plain\"\nroot", "proc = \"hidepid\"\nroot");
    load_with(world, checks, "the proc mode of living contexts changes", &moved, &[], 10)?;
    let output = vs(&["unload"])?;
    checks.equal("unload with processes alive", &output.status.code(), &Some(10));
    let still = is_enforced(world)?;
    checks.check(still, || "after a refused unload a guest reaches the host");
    // Not root: said in one line, with its own code.
    let output =
        Command::new("vs").args(["load", POLICY]).uid(65534).gid(65534).stdin(Stdio::null()).output()?;
    checks.equal("load by nobody", &output.status.code(), &Some(4));
    Ok(())
}

fn modes(world: &mut World, checks: &mut Checks) -> Result<()> {
    let host = world.inhabitant("host")?.actor.target;
    vs_ok(&["load", "--observe", POLICY])?;
    let answer = world.order("plain-a", &format!("op kill {host}"))?;
    checks.check(answer.errno == 0, || {
        format!("mode observe: a guest signals the host: {}", errno_name(answer.errno))
    });
    let observed = Expected {
        actor: 121,
        pid: Some(answer.pid),
        target: Some(0),
        hook: Hook::TaskKill.name(),
        errno: "EPERM",
        mode: "observe",
    };
    let missing = world.audit.missing(&[observed])?;
    checks.check(missing.is_empty(), || format!("mode observe: no record: {missing:?}"));
    // What protects the enforcement is in force in every mode.
    let answer = world.order("plain-a", "do bpf 0")?;
    checks
        .check(answer.errno == libc::EPERM, || format!("mode observe: bpf(2): {}", errno_name(answer.errno)));
    vs_ok(&["load", POLICY])?;
    let holds = is_enforced(world)?;
    checks.check(holds, || "back in mode enforce a guest reaches the host");
    Ok(())
}

/// A loader that dies at any moment leaves one whole rule set in force, and the next one finds its way.
fn killed_loader(world: &mut World, checks: &mut Checks) -> Result<()> {
    // A load takes a second or two here: these moments lie before, between and after its steps.
    for milliseconds in [1, 5, 20, 50, 100, 200, 350, 500, 700, 900, 1100, 1300, 1600, 2000] {
        let mut loader =
            Command::new("vs").args(["load", POLICY]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(milliseconds));
        let _ = loader.kill();
        loader.wait()?;
        let holds = is_enforced(world)?;
        checks.check(holds, || {
            format!("a loader killed after {milliseconds} ms left a guest that reaches the host")
        });
    }
    vs_ok(&["load", POLICY]).context("load after killed loaders")?;
    let links = fs::read_dir("/sys/fs/bpf/vs/1")?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("links-"))
        .count();
    checks.equal("link folders after killed loaders and a load", &links, &1);
    Ok(())
}

/// While programs are exchanged, no attempt gets through.
fn reload_under_load(world: &mut World, checks: &mut Checks) -> Result<()> {
    let host = world.inhabitant("host")?.actor.target;
    let mut reload = Command::new("vs").args(["load", POLICY]).stdout(Stdio::null()).spawn()?;
    let (mut attempts, mut through) = (0, 0);
    let status = loop {
        let errno = world.order("hidepid-a", &format!("op kill {host}"))?.errno;
        attempts += 1;
        through += u32::from(errno != libc::EPERM);
        if let Some(status) = reload.try_wait()? {
            break status;
        }
    };
    checks.check(status.success(), || format!("a reload under load: {status}"));
    checks.check(through == 0, || format!("{through} of {attempts} attempts got through during a reload"));
    checks.check(attempts > 10, || format!("only {attempts} attempts fell into the reload"));
    Ok(())
}

fn orphans(world: &mut World, checks: &mut Checks) -> Result<()> {
    load_with(world, checks, "keep orphans", "[context.x]\nxid = 5\n", &["--keep-orphans"], 0)?;
    load_with(world, checks, "orphans come back", &policy("enforce"), &[], 0)
}

/// Detached, nothing is enforced and nothing is left; attached again, all is.
fn unload_and_load(world: &mut World, checks: &mut Checks) -> Result<()> {
    world.inhabitants.clear();
    vs_ok(&["unload", "--stop"])?;
    checks.check(
        !std::path::Path::new("/sys/fs/bpf/vs/1/maps").exists(),
        || "pinned maps are left after unload",
    );
    checks.equal("status with nothing loaded", &vs(&["status"])?.status.code(), &Some(9));
    checks.equal(
        "run with nothing loaded",
        &vs(&["run", "--context", "plain-a", "--", "true"])?.status.code(),
        &Some(125),
    );
    world.restart()?;
    let holds = is_enforced(world)?;
    checks.check(holds, || "loaded again, a guest reaches the host");
    Ok(())
}
