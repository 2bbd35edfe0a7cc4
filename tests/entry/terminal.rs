//! The host's terminal stays outside: a command has a terminal of its context's own, which behaves like the caller's.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use vs_common::hook::Hook;
use vs_tests::report::Checks;
use vs_tests::terminal::{ANSWER, Device, LEGACY_TIOCSTI, Seat};
use vs_tests::world::World;

use super::{FEW_WAYS, OUTSIDE, WAYS, Way};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an administrator's shell does: runs a command, says how it ended, and reads on.
const SHELL: &str = "\"$@\"; echo \"> ended $?\"; read -r line; echo \"> read $line\"";
/// Or with only one end of the command at the terminal.
const NO_INPUT: &str = "\"$@\" </dev/null; echo \"> ended $?\"";
const NO_OUTPUT: &str = "\"$@\" 2>&1 | cat; echo '> ended'";

/// An administrator at a terminal, with a shell that runs one command.
struct Administrator {
    /// What he types goes in here, what he sees comes out.
    master: File,
    /// Keeps the terminal from hanging up.
    slave: File,
    shell: Child,
    seen: String,
}

impl Administrator {
    fn sit_down(mut command: impl FnMut(&str) -> Command) -> Result<Self> {
        let master: OwnedFd =
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::unlockpt(&master)?;
        let path = rustix::pty::ptsname(&master, Vec::new())?.into_string()?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = File::from(rustix::fs::open(&path, flags, Mode::empty())?);
        set_size(&master, (33, 99))?;
        let mut command = command(&path);
        command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave.try_clone()?);
        // SAFETY: Two system calls with numbers.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?)
            });
        }
        let shell = command.spawn()?;
        Ok(Self { master: master.into(), slave, shell, seen: String::new() })
    }

    /// Runs a command in the shell.
    fn run(shell: &str, way: Way, words: impl Fn(&str) -> Vec<String>) -> Result<Self> {
        Self::sit_down(|path| {
            let words = words(path);
            let mut all = vec!["sh", "-c", shell, "sh"];
            all.extend(way.0);
            all.extend(words.iter().map(String::as_str));
            OUTSIDE.command(&all)
        })
    }

    fn at_the_actor(shell: &str, way: Way) -> Result<Self> {
        Self::run(shell, way, |path| ["vs-actor", "sit", path].map(str::to_owned).to_vec())
    }

    fn types(&mut self, text: &str) -> Result<()> {
        Ok(self.master.write_all(text.as_bytes())?)
    }

    /// The next answer, without what marks it as one.
    fn answer(&mut self) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            while let Some((line, rest)) = self.seen.split_once('\n') {
                // Before it may be the echo of a key that ended a command.
                let answer = line.trim_end().split_once(ANSWER).map(|(_, answer)| answer.to_owned());
                self.seen = rest.to_owned();
                if let Some(answer) = answer {
                    return Ok(answer);
                }
            }
            if Instant::now() > end {
                bail!("no answer; seen: {:?}", self.seen);
            }
            let mut ready = [PollFd::new(&self.master, PollFlags::IN)];
            let tick = Timespec { tv_sec: 1, tv_nsec: 0 };
            if rustix::event::poll(&mut ready, Some(&tick))? > 0 {
                let mut bytes = [0; 4096];
                let count = self.master.read(&mut bytes)?;
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        }
    }

    fn asks(&mut self, text: &str) -> Result<String> {
        self.types(text)?;
        self.answer()
    }
}

impl Drop for Administrator {
    fn drop(&mut self) {
        // It has ended, or is waiting for something that did not come; the status tells nothing that matters here.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn set_size(terminal: &OwnedFd, (ws_row, ws_col): (u16, u16)) -> Result<()> {
    Ok(rustix::termios::tcsetwinsize(terminal, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })?)
}

/// Tries the ways from a terminal.
pub(crate) fn run(_world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    // As before 6.2, and as some systems set it: who sits at a terminal may push characters into it.
    let before = std::fs::read_to_string(LEGACY_TIOCSTI).ok();
    if before.is_some() {
        std::fs::write(LEGACY_TIOCSTI, "1")?;
    }
    let result = all(checks);
    if let Some(before) = before {
        std::fs::write(LEGACY_TIOCSTI, before)?;
    }
    result
}

fn all(checks: &mut Checks) -> Result<()> {
    outside(checks).context("at a terminal, outside")?;
    for way in WAYS {
        inside(way, checks).with_context(|| format!("at a terminal, {}", way.name()))?;
    }
    for way in FEW_WAYS {
        partly(way, checks).with_context(|| format!("partly at a terminal, {}", way.name()))?;
        interrupt(way, checks).with_context(|| format!("an interrupt key, {}", way.name()))?;
    }
    Ok(())
}

/// What a command could do if it had the caller's terminal.
fn outside(checks: &mut Checks) -> Result<()> {
    let mut administrator = Administrator::at_the_actor(SHELL, OUTSIDE)?;
    let seat: Seat = serde_json::from_str(&administrator.answer()?)?;
    let device = Device::of(&administrator.slave)?;
    checks.equal("outside: 0, 1 and 2", &seat.standard, &vec![device; 3]);
    checks.equal("outside: the terminal at its path", &seat.other, &Some(device));
    checks.equal("outside: push into the terminal", &seat.other_push, &0);
    checks.equal(
        "outside: push and leave",
        &administrator.asks("push-and-leave evil\n")?.as_str(),
        &"pushed 0",
    );
    checks.equal("outside: status", &administrator.answer()?.as_str(), &"ended 9");
    checks.equal("outside: what the shell reads", &administrator.answer()?.as_str(), &"read evil");
    Ok(())
}

fn inside(way: Way, checks: &mut Checks) -> Result<()> {
    let name = way.name();
    let mut administrator = Administrator::at_the_actor(SHELL, way)?;
    let seat: Seat = serde_json::from_str(&administrator.answer()?)?;
    let device = Device::of(&administrator.slave)?;
    let own = seat.standard[0];
    checks.check(own != device, || format!("{name}: has the host's terminal"));
    checks.equal(&format!("{name}: 0, 1 and 2"), &seat.standard, &vec![own; 3]);
    checks.check(seat.is_controlling, || format!("{name}: its terminal is not its session's"));
    if way.has_own_tree() {
        checks.check(seat.other != Some(device), || format!("{name}: the host's terminal has a path inside"));
    } else {
        // Whoever opens it reads what its owner types.
        checks.equal(&format!("{name}: open the host's terminal"), &seat.other_open, &libc::EACCES);
    }
    checks.equal(&format!("{name}: size"), &administrator.asks("size\n")?.as_str(), &"33 99");
    resize(&name, &mut administrator, checks)?;
    checks.equal(
        &format!("{name}: typed"),
        &administrator.asks("hello there\n")?.as_str(),
        &"heard hello there",
    );
    let pushed = administrator.asks("push-and-leave evil\n")?;
    checks.equal(&format!("{name}: push into its own terminal"), &pushed.as_str(), &"pushed 0");
    checks.equal(&format!("{name}: status"), &administrator.answer()?.as_str(), &"ended 9");
    let read = administrator.asks("typed\n")?;
    checks.equal(&format!("{name}: what the caller's shell reads"), &read.as_str(), &"read typed");
    Ok(())
}

/// Only input, or only output, is at the terminal: that is replaced, and the rest goes in as it is.
fn partly(way: Way, checks: &mut Checks) -> Result<()> {
    let null = Device::of(&File::open("/dev/null")?)?;
    for (shell, at_terminal, ended) in [(NO_INPUT, [1, 2].as_slice(), "ended 8"), (NO_OUTPUT, &[0], "ended")]
    {
        let what = format!("{}: {shell}", way.name());
        let mut administrator = Administrator::at_the_actor(shell, way)?;
        let seat: Seat = serde_json::from_str(&administrator.answer()?)?;
        let device = Device::of(&administrator.slave)?;
        for (number, found) in seat.standard.iter().enumerate() {
            // Majors 136 to 143 are those of pseudo-terminals.
            let is_terminal = (136..144).contains(&rustix::fs::major(found.1));
            let is_right = found != &device && is_terminal == at_terminal.contains(&number);
            checks
                .check(is_right, || format!("{what}: {number} is {found:?}, the host's terminal {device:?}"));
        }
        if shell == NO_INPUT {
            checks.equal(&format!("{what}: 0"), &seat.standard[0].1, &null.1);
        } else {
            checks.equal(&format!("{what}: typed"), &administrator.asks("hello\n")?.as_str(), &"heard hello");
            // The key that ends input, at the beginning of a line.
            administrator.types("\x04")?;
        }
        checks.equal(&format!("{what}: status"), &administrator.answer()?.as_str(), &ended);
    }
    Ok(())
}

/// A window that changes its size does so inside, too; in its own time.
fn resize(name: &str, administrator: &mut Administrator, checks: &mut Checks) -> Result<()> {
    let master = OwnedFd::from(administrator.master.try_clone()?);
    set_size(&master, (20, 40))?;
    let end = Instant::now() + PATIENCE;
    let mut size = administrator.asks("size\n")?;
    while size != "20 40" && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
        size = administrator.asks("size\n")?;
    }
    checks.equal(&format!("{name}: size after a change"), &size.as_str(), &"20 40");
    Ok(())
}

/// The interrupt key goes to the command, not to the caller's shell.
fn interrupt(way: Way, checks: &mut Checks) -> Result<()> {
    let words = ["sh", "-c", "echo '> ready'; exec sleep 1000"].map(str::to_owned);
    let mut administrator = Administrator::run(SHELL, way, |_| words.to_vec())?;
    let name = way.name();
    checks.equal(&format!("{name}: a command at a terminal"), &administrator.answer()?.as_str(), &"ready");
    checks.equal(&format!("{name}: interrupted"), &administrator.asks("\x03")?.as_str(), &"ended 130");
    checks.equal(
        &format!("{name}: the shell goes on"),
        &administrator.asks("typed\n")?.as_str(),
        &"read typed",
    );
    let status = administrator.shell.wait()?;
    checks.check(status.success(), || format!("{name}: the shell ended with {status}"));
    Ok(())
}
