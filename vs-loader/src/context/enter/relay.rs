//! Waiting for the command: its end, signals to hand on, and bytes between the two terminals.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus};

use super::signals::{Event, Signals};
use super::terminal::{ContextTerminal, HostTerminal, TerminalError};
use crate::context::channel::{Channel, FailureKind, Message};

/// Bytes that are copied at a time.
const CHUNK: usize = 16 * 1024;

/// Chunks that are still copied when the command has ended: more than a terminal's buffers hold, and an end where a process
/// that was left behind goes on writing.
const LAST_CHUNKS: usize = 16;

/// Why waiting failed. The command goes on.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The kernel refused a step.
    #[error("cannot wait for the command: {0}")]
    Io(#[from] io::Error),
    /// The terminal failed.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
}

impl From<Errno> for WaitError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// How the command ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It exited with this status.
    Exited(u8),
    /// A signal ended it.
    Killed(u8),
    /// It never ran.
    NotExecuted {
        /// How the shell is to tell it.
        kind: FailureKind,
        /// Why.
        reason: String,
    },
}

/// A process that has entered, its launcher's child.
#[derive(Debug)]
pub struct Entered {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) channel: Channel,
    pub(super) signals: Signals,
    pub(super) terminals: Option<Terminals>,
}

/// The two terminals.
#[derive(Debug)]
pub(super) struct Terminals {
    pub host: HostTerminal,
    pub context: ContextTerminal,
}

impl Entered {
    /// Its number in the host's PID namespace.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until it has ended, handing on signals and copying bytes between the terminals meanwhile.
    ///
    /// # Errors
    /// The kernel refused a step. The command goes on.
    pub fn wait(mut self) -> Result<Ending, WaitError> {
        let mut relay = self.terminals.take().map(Relay::new).transpose()?;
        let mut ending = None;
        let mut failure = None;
        let mut is_channel_open = true;
        loop {
            let ready = self.poll(relay.as_ref(), is_channel_open)?;
            if ready.channel || (ready.end && is_channel_open) {
                (is_channel_open, failure) = self.hear(failure)?;
            }
            if ready.signals {
                while let Some(event) = self.signals.next()? {
                    self.handle(event, relay.as_mut(), &mut ending)?;
                }
            }
            if let Some(relay) = &mut relay {
                relay.copy(ready)?;
            }
            // Its last words are in the channel until the channel is at its end, which comes with the end of the process at the
            // latest.
            if ready.end && !is_channel_open {
                let ending = match ending {
                    Some(ending) => ending,
                    None => self.reap()?,
                };
                if let Some(relay) = &mut relay {
                    relay.finish()?;
                }
                return Ok(failure.unwrap_or(ending));
            }
        }
    }

    fn poll(&self, relay: Option<&Relay>, is_channel_open: bool) -> Result<Ready, WaitError> {
        let mut descriptors =
            vec![PollFd::new(&self.pidfd, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        let channel = is_channel_open.then(|| watch(&mut descriptors, self.channel.as_fd(), PollFlags::IN));
        let wanted = relay.map(Relay::wanted).unwrap_or_default();
        let places = wanted.map(|wanted| wanted.map(|(file, flags)| watch(&mut descriptors, file, flags)));
        match rustix::event::poll(&mut descriptors, None) {
            Err(Errno::INTR) => return Ok(Ready::default()),
            result => result?,
        };
        let is_ready = |place: Option<usize>| {
            place.is_some_and(|place| {
                descriptors.get(place).is_some_and(|descriptor| !descriptor.revents().is_empty())
            })
        };
        let [keys_in, keys_out, output_in, output_out] = places.map(is_ready);
        Ok(Ready {
            end: is_ready(Some(0)),
            signals: is_ready(Some(1)),
            channel: is_ready(channel),
            keys_in,
            keys_out,
            output_in,
            output_out,
        })
    }

    /// Takes what the process has to say before its program runs. Whether there may be more, and why it failed, if it did.
    fn hear(&self, failure: Option<Ending>) -> Result<(bool, Option<Ending>), WaitError> {
        Ok(match self.channel.receive()? {
            Some((Message::Failed { kind, reason }, _)) => (true, Some(Ending::NotExecuted { kind, reason })),
            Some(_) => (true, failure),
            None => (false, failure),
        })
    }

    fn handle(
        &self,
        event: Event,
        relay: Option<&mut Relay>,
        ending: &mut Option<Ending>,
    ) -> Result<(), WaitError> {
        match (event, relay) {
            (Event::Forward(signal), _) => match rustix::process::pidfd_send_signal(&self.pidfd, signal) {
                // It has ended meanwhile: the loop is about to see that.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            },
            // A guest can make siblings of its own (`CLONE_PARENT`). They are this process's children then, and nobody waits
            // for them.
            (Event::ChildEnded, _) => loop {
                match rustix::process::wait(WaitOptions::NOHANG) {
                    Ok(Some((pid, status))) if pid == self.pid => *ending = Some(ending_of(status)),
                    Ok(Some(_)) => {}
                    Ok(None) | Err(Errno::CHILD) => break,
                    Err(error) => return Err(error.into()),
                }
            },
            (Event::Resized, Some(relay)) => relay.host.copy_size(&relay.context.master),
            (Event::Continued, Some(relay)) => {
                relay.host.take()?;
                relay.host.copy_size(&relay.context.master);
            }
            (Event::Resized | Event::Continued, None) => {}
        }
        Ok(())
    }

    fn reap(&self) -> Result<Ending, WaitError> {
        loop {
            match rustix::process::waitpid(Some(self.pid), WaitOptions::empty()) {
                Ok(Some((_, status))) => return Ok(ending_of(status)),
                Ok(None) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn watch<'fd>(descriptors: &mut Vec<PollFd<'fd>>, file: BorrowedFd<'fd>, flags: PollFlags) -> usize {
    descriptors.push(PollFd::from_borrowed_fd(file, flags));
    descriptors.len() - 1
}

fn ending_of(status: WaitStatus) -> Ending {
    let byte = |number: i32| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
    match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => Ending::Exited(byte(status)),
        (None, Some(signal)) => Ending::Killed(byte(signal)),
        // Neither stopped nor continued children are asked for.
        (None, None) => Ending::Exited(u8::MAX),
    }
}

/// What can be done without waiting.
#[derive(Clone, Copy, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one for each descriptor that is polled")]
struct Ready {
    end: bool,
    signals: bool,
    channel: bool,
    keys_in: bool,
    keys_out: bool,
    output_in: bool,
    output_out: bool,
}

/// Copies keys from the administrator's terminal to the context's, and output back.
#[derive(Debug)]
struct Relay {
    host: HostTerminal,
    context: ContextTerminal,
    keys: Vec<u8>,
    output: Vec<u8>,
    has_input: bool,
    has_output: bool,
}

impl Relay {
    fn new(terminals: Terminals) -> Result<Self, WaitError> {
        let Terminals { mut host, context } = terminals;
        host.take()?;
        Ok(Self { host, context, keys: Vec::new(), output: Vec::new(), has_input: true, has_output: true })
    }

    /// What to wait for: keys to read and to write, output to read and to write. A chunk is written before the next is read.
    fn wanted(&self) -> [Option<(BorrowedFd<'_>, PollFlags)>; 4] {
        let master = self.context.master.as_fd();
        let input = self.host.input().filter(|_| self.has_input && self.keys.is_empty());
        [
            input.map(|input| (input, PollFlags::IN)),
            (!self.keys.is_empty()).then_some((master, PollFlags::OUT)),
            self.output.is_empty().then_some((master, PollFlags::IN)),
            (!self.output.is_empty()).then(|| (self.host.output(), PollFlags::OUT)),
        ]
    }

    fn copy(&mut self, ready: Ready) -> Result<(), WaitError> {
        if ready.keys_in {
            self.read_keys()?;
        }
        if ready.keys_out {
            write(self.context.master.as_fd(), &mut self.keys)?;
        }
        if ready.output_in {
            self.read_output()?;
        }
        if ready.output_out {
            self.write_output()?;
        }
        Ok(())
    }

    fn read_keys(&mut self) -> Result<(), WaitError> {
        let Some(input) = self.host.input() else { return Ok(()) };
        match read(input, &mut self.keys) {
            Ok(0) => match self.host.end_of_input() {
                // The terminal edits lines and made an end of file of the key: the context's terminal gets the key.
                Some(key) if !self.is_hung_up() => self.keys.push(key),
                _ => self.has_input = false,
            },
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            // Hung up, or in an orphaned process group.
            Err(Errno::IO) => self.has_input = false,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn is_hung_up(&self) -> bool {
        let mut descriptors = [PollFd::from_borrowed_fd(self.host.output(), PollFlags::OUT)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut descriptors, Some(&now)).is_err()
            || descriptors[0].revents().contains(PollFlags::HUP)
    }

    /// Whether there was any.
    fn read_output(&mut self) -> Result<bool, WaitError> {
        match read(self.context.master.as_fd(), &mut self.output) {
            Ok(count) => Ok(count > 0),
            Err(Errno::AGAIN | Errno::INTR | Errno::IO) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn write_output(&mut self) -> Result<(), WaitError> {
        if !self.has_output {
            self.output.clear();
            return Ok(());
        }
        match write(self.host.output(), &mut self.output) {
            // The terminal is gone. The command is told by its own; what it still says has no reader.
            Err(Errno::IO) => {
                self.has_output = false;
                self.output.clear();
                Ok(())
            }
            result => Ok(result?),
        }
    }

    /// Copies what the command had written when it ended.
    fn finish(&mut self) -> Result<(), WaitError> {
        for _ in 0..LAST_CHUNKS {
            while !self.output.is_empty() {
                let mut descriptors = [PollFd::from_borrowed_fd(self.host.output(), PollFlags::OUT)];
                match rustix::event::poll(&mut descriptors, None) {
                    Err(Errno::INTR) => continue,
                    result => result?,
                };
                self.write_output()?;
            }
            if !self.read_output()? {
                break;
            }
        }
        Ok(())
    }
}

fn read(file: BorrowedFd<'_>, into: &mut Vec<u8>) -> Result<usize, Errno> {
    let mut chunk = [0; CHUNK];
    let count = rustix::io::read(file, &mut chunk)?;
    into.extend_from_slice(&chunk[..count]);
    Ok(count)
}

fn write(file: BorrowedFd<'_>, from: &mut Vec<u8>) -> Result<(), Errno> {
    match rustix::io::write(file, from) {
        Ok(count) => {
            from.drain(..count);
            Ok(())
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::terminal::Style;
    use super::super::terminal::tests::{administrator, context};
    use super::*;

    const ALL: Ready = Ready {
        end: false,
        signals: false,
        channel: false,
        keys_in: true,
        keys_out: true,
        output_in: true,
        output_out: true,
    };

    /// Reads until so many bytes have come.
    fn expect(file: impl AsFd, expected: &[u8]) {
        let mut bytes = Vec::new();
        while bytes.len() < expected.len() {
            let mut chunk = [0; 64];
            let count = rustix::io::read(&file, &mut chunk).unwrap();
            bytes.extend_from_slice(&chunk[..count]);
        }
        assert_eq!(bytes.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    fn relay(style: Style) -> (OwnedFd, Relay, OwnedFd) {
        let (keyboard, host) = administrator(style);
        let (context, slave) = context();
        host.prepare(&context.master).unwrap();
        (keyboard, Relay::new(Terminals { host, context }).unwrap(), slave)
    }

    #[test]
    fn keys_go_in_and_output_comes_out() {
        let (screen, mut relay, slave) = relay(Style::Raw);
        rustix::io::write(&screen, b"ls\r").unwrap();
        relay.copy(ALL).unwrap();
        // The context's terminal shows what is typed, and makes of the key what a program reads.
        expect(&slave, b"ls\n");
        relay.copy(ALL).unwrap();
        relay.copy(ALL).unwrap();
        expect(&screen, b"ls\r\n");
        rustix::io::write(&slave, b"file\n").unwrap();
        relay.finish().unwrap();
        expect(&screen, b"file\r\n");
    }

    #[test]
    fn the_end_of_input_of_edited_lines_is_one_inside() {
        let (keyboard, mut relay, slave) = relay(Style::Lines);
        rustix::io::write(&keyboard, b"a\n\x04").unwrap();
        for _ in 0..4 {
            relay.copy(ALL).unwrap();
        }
        expect(&slave, b"a\n");
        assert_eq!(rustix::io::read(&slave, &mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn nothing_is_read_where_only_output_is_a_terminal() {
        let (keyboard, mut relay, slave) = relay(Style::OutputOnly);
        rustix::io::write(&keyboard, b"a\n").unwrap();
        relay.copy(ALL).unwrap();
        rustix::io::ioctl_fionbio(&slave, true).unwrap();
        assert_eq!(rustix::io::read(&slave, &mut [0; 8]), Err(Errno::AGAIN));
    }
}
