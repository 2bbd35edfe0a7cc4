//! Where a command starts: in its caller's directory, if that is there inside; else in `/`; with `--cwd` there or not at all.

use std::fs;
use std::process::{Output, Stdio};

use anyhow::Result;
use vs_common::hook::Hook;
use vs_tests::report::Checks;
use vs_tests::world::World;

use super::state::said;
use super::{FEW_WAYS, WAYS, Way};

/// A directory of the host's, which is not in a tree of a context's own.
const HOSTS: &str = "/run/vs-suite-directory";

/// Tries the ways with directories that are there inside, and not.
pub(crate) fn run(_world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    fs::create_dir_all(HOSTS)?;
    for way in WAYS {
        let name = way.name();
        let expected = if way.has_own_tree() { "/" } else { HOSTS };
        for (caller, expected) in [("/bin", "/bin"), (HOSTS, expected)] {
            let output = pwd(way, &[], caller)?;
            checks.equal(&format!("{name}: called in {caller}"), &line(&output), &expected);
        }
    }
    for way in FEW_WAYS {
        let name = way.name();
        let output = pwd(way, &["--cwd", "/tmp"], "/bin")?;
        checks.equal(&format!("{name}: --cwd /tmp"), &line(&output), &"/tmp");
        for (there, is_there) in [(HOSTS, !way.has_own_tree()), ("tmp", false)] {
            let output = pwd(way, &["--cwd", there], "/")?;
            let code = if is_there { 0 } else { 125 };
            checks.check(output.status.code() == Some(code), || {
                format!("{name}: --cwd {there}: {}", said(&output))
            });
        }
    }
    a_directory_that_is_gone(checks)
}

fn a_directory_that_is_gone(checks: &mut Checks) -> Result<()> {
    let gone = format!("{HOSTS}/gone");
    for way in FEW_WAYS {
        fs::create_dir(&gone)?;
        // The shell goes there, takes it away, and runs the rest.
        let script = ["sh", "-c", "cd $0 && rmdir $0 && exec \"$@\"", &gone];
        let words: Vec<&str> = script.into_iter().chain(way.0.iter().copied()).collect();
        let output = Way(&[]).command(&words).args(["pwd"]).stdin(Stdio::null()).output()?;
        checks.equal(&format!("{}: called in a directory that is gone", way.name()), &line(&output), &"/");
    }
    Ok(())
}

/// Has the working directory printed.
fn pwd(way: Way, options: &[&str], caller: &str) -> Result<Output> {
    Ok(way.command_with(options, &["pwd"]).current_dir(caller).stdin(Stdio::null()).output()?)
}

fn line(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap_or_default().trim_end()
}
