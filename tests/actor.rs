//! `vs-actor NAME`: runs inside a context and does there what it is told.
//!
//! On standard input, one line an order: `op NAME PID`, `path NAME PID`, `do WORDS...`, `self ...` any of these; on standard output one line an answer:
//! `done ERRNO PID`, the errno (0: it went through) and the number, in the actor's own PID namespace, of the process that tried. Each
//! order but `self` is carried out in a process of its own: what one leaves behind (a traced child, a changed directory) is gone with it, and the
//! audit counts repetitions by process. The first line is `ready PID`, the actor's target.
//!
//! `vs-actor find KEY`: prints what it finds itself with, as JSON. KEY is the serial number of a key to try.
//!
//! `vs-actor daemon NAME PID`: leaves a daemon behind that signals a process.
//!
//! `vs-actor sit PATH`: says which terminal it sits at, what it may do to the one at PATH, and obeys what is typed.
//!
//! `vs-actor sockets`: holds sockets and does with them what it is told, see `sockets`.
//!
//! `vs-actor trace alone|follow COMMAND...`: runs a command as its tracer, and if it follows, as that of all that it forks.
//!
//! `vs-actor storm PID N`: has N children each send signal 0 to a process, from the first instant on; the status is the errno that all got.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use vs_tests::finding::{Finding, look_around};
use vs_tests::{daemon, deed, operation, path_operation, sockets, target, terminal, tracer};

/// The status of an actor that could not do what it was started for.
const FAILED: u8 = 254;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse().unwrap_or(0);
    let status = match words[..] {
        ["find", key] => tell(&look_around(number(key).into())),
        ["sit", other] => terminal::sit(other),
        ["sockets"] => sockets::serve(),
        ["daemon", name, host] => daemon::daemonise(name, number(host)).map(|()| 0),
        ["trace", how, ..] => tracer::trace(&arguments[2..], how == "follow"),
        ["storm", host, times] => {
            let errno = deed::run(&["kill-storm", host, times]).unwrap_or(255);
            Ok(u8::try_from(errno).unwrap_or(255))
        }
        _ => serve(words.first().unwrap_or(&"actor")).map(|()| 0),
    };
    match status {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("vs-actor {}: {error}", words.join(" "));
            ExitCode::from(FAILED)
        }
    }
}

/// Prints a finding on one line.
fn tell(finding: &Finding) -> io::Result<u8> {
    let line = serde_json::to_string(finding)?;
    writeln!(io::stdout(), "{line}").map(|()| 0)
}

fn serve(name: &str) -> io::Result<()> {
    let mut out = io::stdout();
    // SAFETY: The process has one thread; the child goes its own way.
    let target = unsafe { libc::fork() };
    match target {
        -1 => return Err(io::Error::last_os_error()),
        0 => return target::wait_for_ever(&format!("t-{name}")),
        _ => {}
    }
    writeln!(out, "ready {target}")?;
    out.flush()?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let (errno, pid) = match words[..] {
            ["self", ref order @ ..] => (deed::run(order).unwrap_or_else(|| obey(order)), 0),
            _ => in_child(|| obey(&words))?,
        };
        writeln!(out, "done {errno} {pid}")?;
        out.flush()?;
    }
    // SAFETY: The target is this process's own child.
    unsafe { libc::kill(target, libc::SIGKILL) };
    Ok(())
}

/// What an order comes to; 255: it is not one.
fn obey(words: &[&str]) -> i32 {
    let pid = |word: &str| word.parse().unwrap_or(0);
    match *words {
        ["op", name, process] => operation::by_name(name).map(|operation| (operation.run)(pid(process))),
        ["path", name, process] => {
            path_operation::by_name(name).map(|operation| (operation.run)(pid(process)))
        }
        ["do", ref deed @ ..] => deed::run(deed),
        _ => None,
    }
    .unwrap_or(255)
}

/// Runs something in a child and says what it came to, and which child it was.
fn in_child(act: impl FnOnce() -> i32) -> io::Result<(i32, i32)> {
    // SAFETY: The process has one thread. The child ends by `_exit`, so that nothing of the parent's is flushed twice.
    let child = unsafe { libc::fork() };
    match child {
        -1 => Ok((io::Error::last_os_error().raw_os_error().unwrap_or(255), 0)),
        0 => {
            let errno = act();
            // SAFETY: Ends this process.
            unsafe { libc::_exit(errno) }
        }
        _ => {
            let mut status = 0;
            // SAFETY: `status` is a live local; the child is this process's own.
            if unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
            let errno = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 254 };
            Ok((errno, child))
        }
    }
}
