//! `vs-guarantees`: every guarantee, on the kernel it runs on.
//!
//! Runs as root in a machine of its own (`cargo xtask test` boots one per kernel), with `vs` and `vs-actor` on PATH. One line a test,
//! what did not hold below it, and at the end `N passed, N failed`; the status is 0 if nothing failed.

#![expect(clippy::print_stdout, reason = "its report is its output")]

mod agreement;
mod audit_trail;
mod barrier;
mod capabilities;
mod detach;
mod disks;
mod entry;
mod escapes;
mod exit_codes;
mod files;
mod foreign_storage;
mod injection;
mod interaction;
mod lifecycle;
mod loading;
mod network;
mod observe;
mod procfs;
mod protection;
mod races;
mod refusal;
mod second_lock;
mod sigio;
mod status;
mod tools;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use vs_common::hook::Hook;
use vs_tests::report::Checks;
use vs_tests::world::World;

/// One guarantee's test.
struct Test {
    name: &'static str,
    run: fn(&mut World, &mut Checks, Option<Hook>) -> Result<()>,
    /// Whether it begins with nothing in force, instead of with the suite's policy and everybody in his context.
    begins_with_nothing: bool,
}

impl Test {
    const fn new(name: &'static str, run: fn(&mut World, &mut Checks, Option<Hook>) -> Result<()>) -> Self {
        Self { name, run, begins_with_nothing: false }
    }

    const fn with_nothing(self) -> Self {
        Self { begins_with_nothing: true, ..self }
    }
}

const TESTS: &[Test] = &[
    Test::new("interaction", interaction::run),
    Test::new("procfs", procfs::run),
    Test::new("sigio", sigio::run),
    Test::new("network", network::run),
    Test::new("files", files::run),
    Test::new("barrier", barrier::run),
    Test::new("escapes", escapes::run),
    Test::new("protection", protection::run),
    Test::new("capabilities", capabilities::run),
    Test::new("lifecycle", lifecycle::run),
    Test::new("entry: state", entry::state::run),
    Test::new("entry: directory", entry::directory::run),
    Test::new("entry: status", entry::status::run),
    Test::new("entry: terminal", entry::terminal::run),
    Test::new("entry: reaper", entry::reaper::run),
    Test::new("entry: daemon", entry::daemon::run),
    Test::new("agreement", agreement::run),
    Test::new("races", races::run),
    Test::new("audit", audit_trail::run),
    Test::new("observe", observe::run),
    Test::new("status", status::run),
    Test::new("loading", loading::run),
    Test::new("exit codes", exit_codes::run),
    Test::new("second lock", second_lock::run),
    Test::new("detach", detach::run),
    Test::new("injection", injection::run),
    Test::new("incomplete audit", audit_trail::incomplete),
    // It ends with nothing in force, as those after it begin: to put all in force takes longer than most tests.
    Test::new("foreign storage", foreign_storage::run),
    Test::new("rules of addresses", network::rules::run).with_nothing(),
    Test::new("files of nobody", files::nobodys).with_nothing(),
    Test::new("capabilities by policy", capabilities::policy::run).with_nothing(),
    Test::new("nothing loaded", exit_codes::nothing_loaded).with_nothing(),
];

/// Failures of one test that are printed; a kernel that denies nothing has thousands.
const SHOWN: usize = 25;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only =
        arguments.iter().position(|argument| argument == "--only").and_then(|at| arguments.get(at + 1));
    if arguments.iter().any(|argument| argument == "--list") {
        for test in TESTS {
            println!("{}", test.name);
        }
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--no-bpf-lsm") {
        let (passed, failed) = report("refusal without the BPF LSM", refusal::run);
        return finish(passed, failed);
    }
    if arguments.iter().any(|argument| argument == "--debian") {
        return debian(only.map(String::as_str));
    }
    let tests = TESTS
        .iter()
        .filter(|test| only.is_none_or(|only| only.split(',').any(|only| test.name.contains(only))));
    let mut world = match World::start() {
        Ok(world) => world,
        Err(error) => return hopeless(&error),
    };
    let (mut passed, mut failed) = (0, 0);
    for test in tests {
        let counts = report(test.name, |checks| {
            if test.begins_with_nothing {
                world.stop()?;
            } else {
                world.ensure()?;
            }
            (test.run)(&mut world, checks, None)
        });
        passed += counts.0;
        failed += counts.1;
    }
    finish(passed, failed)
}

/// The tests that take Debian's tools, or those whose name contains a word.
fn debian(only: Option<&str>) -> ExitCode {
    let is_wanted = |name: &str| only.is_none_or(|only| only.split(',').any(|only| name.contains(only)));
    if let Err(error) = tools::begin() {
        return hopeless(&error);
    }
    let (mut passed, mut failed) = (0, 0);
    let mut count = |counts: (u32, u32)| {
        passed += counts.0;
        failed += counts.1;
    };
    for (name, run) in tools::FIRST.into_iter().filter(|(name, _)| is_wanted(name)) {
        count(report(name, run));
    }
    let mut tests = tools::TESTS.iter().filter(|test| is_wanted(test.name)).peekable();
    if tests.peek().is_some() {
        let mut sleepers = match tools::Sleepers::lie_down() {
            Ok(sleepers) => sleepers,
            Err(error) => return hopeless(&error),
        };
        for test in tests {
            count(report(test.name, |checks| (test.run)(&mut sleepers, checks)));
        }
    }
    finish(passed, failed)
}

/// There is nothing to try anything with.
fn hopeless(error: &anyhow::Error) -> ExitCode {
    println!("FAIL world: {error:#}");
    finish(0, 1)
}

/// Runs one test and prints what came of it; how many passed and failed.
fn report(name: &str, run: impl FnOnce(&mut Checks) -> Result<()>) -> (u32, u32) {
    let begin = Instant::now();
    let mut checks = Checks::default();
    if let Err(error) = run(&mut checks) {
        checks.failures.push(format!("{error:#}"));
    }
    let seconds = begin.elapsed().as_secs_f32();
    if checks.failures.is_empty() {
        println!("ok   {name} ({} checks, {seconds:.1} s)", checks.held);
        return (1, 0);
    }
    println!("FAIL {name} ({} checks held, {} did not, {seconds:.1} s)", checks.held, checks.failures.len());
    for failure in checks.failures.iter().take(SHOWN) {
        println!("     {failure}");
    }
    (0, 1)
}

fn finish(passed: u32, failed: u32) -> ExitCode {
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
