//! A terminal of the context's own, in place of the administrator's.
//!
//! Whoever has a terminal can push characters into its input (`TIOCSTI`) or wait for its owner's next password, and terminal
//! signals are sent by the kernel without asking anybody. So the host's terminal never goes in: the child makes a pair on the
//! context's devpts and hands the master out; the launching `vs` copies bytes between the two.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios};

use super::descriptors::Use;

/// Why there is no terminal.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// A step failed.
    #[error("cannot {act}: {cause}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// `/dev/pts/ptmx` is something else.
    #[error(
        "/dev/pts/ptmx is not the multiplexer of a devpts; mount one on /dev/pts (newinstance, ptmxmode=0666)"
    )]
    NoMultiplexer,
}

fn failed<E: Into<io::Error>>(act: &'static str) -> impl FnOnce(E) -> TerminalError {
    move |cause| TerminalError::Io { act, cause: cause.into() }
}

/// `DEVPTS_SUPER_MAGIC`.
const DEVPTS: i64 = 0x1cd1;

/// Both ends of a terminal.
#[derive(Debug)]
pub(super) struct Pair {
    /// What the launching `vs` reads and writes.
    pub master: OwnedFd,
    /// What the command has for 0, 1 or 2.
    pub slave: OwnedFd,
}

/// Makes a terminal on the devpts of the caller's mount tree, owned by the user who will use it.
///
/// # Errors
/// There is no devpts, or the kernel refused.
pub(super) fn make(owner: Uid) -> Result<Pair, TerminalError> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let master = rustix::fs::openat2(CWD, "/dev/pts/ptmx", flags, Mode::empty(), resolve)
        .map_err(failed("open /dev/pts/ptmx"))?;
    let status = rustix::fs::fstat(&master).map_err(failed("examine /dev/pts/ptmx"))?;
    let magic = rustix::fs::fstatfs(&master).map_err(failed("examine /dev/pts/ptmx"))?.f_type;
    let is_multiplexer = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice
        && status.st_rdev == rustix::fs::makedev(5, 2)
        && magic == DEVPTS;
    if !is_multiplexer {
        return Err(TerminalError::NoMultiplexer);
    }
    rustix::pty::unlockpt(&master).map_err(failed("unlock a terminal"))?;
    let slave = open_slave(&master)?;
    rustix::fs::fchown(&slave, Some(owner), None::<Gid>).map_err(failed("give a terminal to its user"))?;
    Ok(Pair { master, slave })
}

/// The slave of a master, without a path that could lead elsewhere.
fn open_slave(master: &OwnedFd) -> Result<OwnedFd, TerminalError> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    rustix::pty::ioctl_tiocgptpeer(master, flags).map_err(failed("open a terminal's slave"))
}

/// How the administrator's terminal is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    /// Input and output are the terminal: it hands every key on, and the context's terminal does the rest.
    Raw,
    /// Only the input is: it goes on editing lines and showing what is typed, because what follows in the pipe uses it as well.
    Lines,
    /// Only output is: nothing is read from it.
    OutputOnly,
}

/// The style for descriptors of these uses; nothing, if none is a terminal.
pub(super) fn style(uses: [Use; 3]) -> Option<Style> {
    match uses {
        [Use::Replaced, Use::Replaced, _] => Some(Style::Raw),
        [Use::Replaced, Use::Kept, _] => Some(Style::Lines),
        [Use::Kept, Use::Kept, Use::Kept] => None,
        [Use::Kept, ..] => Some(Style::OutputOnly),
    }
}

/// The administrator's terminal, and what it was like before.
#[derive(Debug)]
pub(super) struct HostTerminal {
    style: Style,
    /// Where keys are read; the terminal itself in every style.
    input: OwnedFd,
    output: OwnedFd,
    before: Termios,
    is_changed: bool,
}

impl HostTerminal {
    /// The terminal among 0, 1 and 2 of this process.
    ///
    /// # Errors
    /// The kernel refused.
    pub(super) fn open(style: Style, uses: [Use; 3]) -> Result<Self, TerminalError> {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let output = match uses {
            [_, Use::Replaced, _] => stdout.as_fd(),
            [_, _, Use::Replaced] => stderr.as_fd(),
            _ => stdin.as_fd(),
        };
        let input = if uses[0] == Use::Replaced { stdin.as_fd() } else { output };
        Self::of(style, input, output)
    }

    fn of(style: Style, input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> Result<Self, TerminalError> {
        let before = rustix::termios::tcgetattr(input).map_err(failed("read the terminal's settings"))?;
        Ok(Self {
            style,
            input: own_description(input, OFlags::RDONLY)?,
            output: own_description(output, OFlags::WRONLY)?,
            before,
            is_changed: false,
        })
    }

    /// Prepares the context's terminal: its size, and who edits lines and shows what is typed.
    ///
    /// # Errors
    /// The kernel refused.
    pub(super) fn prepare(&self, master: &OwnedFd) -> Result<(), TerminalError> {
        // Settings given to a master are its slave's (`tty_mode_ioctl`).
        let mut settings = match self.style {
            Style::Raw => self.before.clone(),
            Style::Lines | Style::OutputOnly => {
                rustix::termios::tcgetattr(master).map_err(failed("read a terminal's settings"))?
            }
        };
        match self.style {
            Style::Raw => {}
            Style::Lines => {
                settings.local_modes.remove(LocalModes::ECHO);
                settings.output_modes.remove(OutputModes::OPOST);
            }
            Style::OutputOnly => settings.output_modes.remove(OutputModes::OPOST),
        }
        rustix::termios::tcsetattr(master, OptionalActions::Now, &settings)
            .map_err(failed("set a terminal's settings"))?;
        self.copy_size(master);
        Ok(())
    }

    /// Gives the context's terminal the size of this one. A terminal without a size (a serial line) has none to give.
    pub(super) fn copy_size(&self, master: &OwnedFd) {
        if let Ok(size) = rustix::termios::tcgetwinsize(&self.output) {
            // A refusal leaves the old size, with which programs work as well.
            let _ = rustix::termios::tcsetwinsize(master, size);
        }
    }

    /// Lets every key through, if that is its style and the terminal is this process's to use now: a job in the background must
    /// leave it alone, or is stopped.
    ///
    /// # Errors
    /// The kernel refused.
    pub(super) fn take(&mut self) -> Result<(), TerminalError> {
        if self.style == Style::Raw && self.is_foreground() {
            let mut raw = self.before.clone();
            raw.make_raw();
            rustix::termios::tcsetattr(&self.input, OptionalActions::Now, &raw)
                .map_err(failed("set the terminal's settings"))?;
            self.is_changed = true;
        }
        Ok(())
    }

    /// Whether this process may read from the terminal without being stopped.
    pub(super) fn is_foreground(&self) -> bool {
        // An error means that it is no controlling terminal of this session: nobody is stopped for reading it.
        rustix::termios::tcgetpgrp(&self.input).map_or(true, |group| group == rustix::process::getpgrp())
    }

    /// Where keys come from, if they are read.
    pub(super) fn input(&self) -> Option<BorrowedFd<'_>> {
        (self.style != Style::OutputOnly && self.is_foreground()).then(|| self.input.as_fd())
    }

    /// Where output goes.
    pub(super) fn output(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    /// The key that ends input, where this terminal edits lines and turns it into an end of file.
    pub(super) fn end_of_input(&self) -> Option<u8> {
        (self.style == Style::Lines).then(|| self.before.special_codes[SpecialCodeIndex::VEOF])
    }
}

impl Drop for HostTerminal {
    fn drop(&mut self) {
        if self.is_changed {
            // There is nobody left to tell: the terminal is gone then, or in the state that `reset` repairs.
            let _ = rustix::termios::tcsetattr(&self.input, OptionalActions::Flush, &self.before);
        }
    }
}

/// Keeps the context's terminal from reporting a hang-up while nobody inside has it open.
#[derive(Debug)]
pub(super) struct ContextTerminal {
    /// What is read and written.
    pub master: OwnedFd,
    _slave: OwnedFd,
}

impl ContextTerminal {
    /// Takes the master that the child handed out.
    ///
    /// # Errors
    /// The kernel refused.
    pub(super) fn new(master: OwnedFd) -> Result<Self, TerminalError> {
        let slave = open_slave(&master)?;
        rustix::io::ioctl_fionbio(&master, true).map_err(failed("set up a terminal's master"))?;
        Ok(Self { master, _slave: slave })
    }
}

/// The terminal opened once more, so that not waiting for it is a matter of this process alone: the description behind 0, 1 and
/// 2 is shared with the caller's shell.
fn own_description(descriptor: BorrowedFd<'_>, access: OFlags) -> Result<OwnedFd, TerminalError> {
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        // Not every terminal can be opened again (after su, or with another devpts). Then reads follow a poll and do not wait
        // either.
        .or_else(|_| rustix::io::fcntl_dupfd_cloexec(descriptor, 3))
        .map_err(failed("open the terminal once more"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A terminal as an administrator sits at it: what he types goes into the master. With it, its slave, as a program has it.
    pub(in crate::context::enter) fn administrator(style: Style) -> (OwnedFd, HostTerminal) {
        let pair = make(rustix::process::getuid()).unwrap();
        let terminal = HostTerminal::of(style, pair.slave.as_fd(), pair.slave.as_fd()).unwrap();
        (pair.master, terminal)
    }

    /// A context's terminal, and its slave, as the command has it.
    pub(in crate::context::enter) fn context() -> (ContextTerminal, OwnedFd) {
        let pair = make(rustix::process::getuid()).unwrap();
        (ContextTerminal::new(pair.master).unwrap(), pair.slave)
    }

    fn local_modes(terminal: &HostTerminal) -> LocalModes {
        rustix::termios::tcgetattr(&terminal.input).unwrap().local_modes
    }

    #[test]
    fn a_terminal_is_raw_while_it_is_taken_and_as_before_afterwards() {
        let (_master, mut terminal) = administrator(Style::Raw);
        let keeper = terminal.input.try_clone().unwrap();
        let before = local_modes(&terminal);
        assert!(before.contains(LocalModes::ECHO | LocalModes::ICANON));
        terminal.take().unwrap();
        assert!(!local_modes(&terminal).intersects(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG));
        drop(terminal);
        assert_eq!(rustix::termios::tcgetattr(keeper).unwrap().local_modes, before);
    }

    #[test]
    fn where_lines_are_edited_outside_nothing_is_shown_twice() {
        let (_master, mut host) = administrator(Style::Lines);
        let (context, slave) = context();
        host.prepare(&context.master).unwrap();
        host.take().unwrap();
        assert!(local_modes(&host).contains(LocalModes::ECHO));
        assert!(!rustix::termios::tcgetattr(slave).unwrap().local_modes.contains(LocalModes::ECHO));
        assert_eq!(host.end_of_input(), Some(4));
    }

    #[test]
    fn the_context_has_the_size_of_the_administrators_terminal() {
        let (master, host) = administrator(Style::Raw);
        let size = rustix::termios::Winsize { ws_row: 33, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).unwrap();
        let (context, slave) = context();
        host.prepare(&context.master).unwrap();
        let size = rustix::termios::tcgetwinsize(slave).unwrap();
        assert_eq!((size.ws_row, size.ws_col), (33, 99));
    }

    #[test]
    fn the_style_follows_from_what_is_a_terminal() {
        use Use::{Kept, Replaced};
        for (uses, expected) in [
            ([Replaced, Replaced, Replaced], Some(Style::Raw)),
            ([Replaced, Replaced, Kept], Some(Style::Raw)),
            ([Replaced, Kept, Replaced], Some(Style::Lines)),
            ([Replaced, Kept, Kept], Some(Style::Lines)),
            ([Kept, Replaced, Replaced], Some(Style::OutputOnly)),
            ([Kept, Kept, Replaced], Some(Style::OutputOnly)),
            ([Kept, Kept, Kept], None),
        ] {
            assert_eq!(style(uses), expected, "{uses:?}");
        }
    }
}
