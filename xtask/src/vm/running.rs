//! Watching a started machine until it ends, whichever way.

use std::io::Read;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use xtask::wire::frame::{Decoder, Frame};

use super::console::Console;
use super::{Outcome, Source, boot};

/// How long a kernel may take to reach our init. Two seconds are usual; another load can make it many times that.
const BOOT_LIMIT: Duration = Duration::from_mins(1);

/// How long a kernel in trouble gets to finish its report.
const REPORT_LIMIT: Duration = Duration::from_secs(3);

/// How long a machine may take to end after the guest's last word: the console comes another way, and may be behind.
const END_LIMIT: Duration = Duration::from_secs(1);

/// What the threads that read QEMU's two streams have to say.
enum Event {
    Frames(Vec<u8>),
    Console(Vec<u8>),
    Closed,
}

/// A started machine; dropping it ends it.
pub(super) struct Running {
    qemu: Child,
    events: Receiver<Event>,
}

impl Running {
    pub(super) fn start(mut qemu: Command) -> Result<Self> {
        let mut qemu =
            qemu.spawn().with_context(|| format!("starting {}; run `cargo xtask setup`", boot::QEMU))?;
        let (sender, events) = mpsc::channel();
        if let Some(frames) = qemu.stdout.take() {
            read_in_thread(frames, sender.clone(), Event::Frames);
        }
        if let Some(console) = qemu.stderr.take() {
            read_in_thread(console, sender, Event::Console);
        }
        Ok(Self { qemu, events })
    }

    /// Waits for the end, whichever it is.
    pub(super) fn watch(self, timeout: Duration, sink: &mut dyn FnMut(Source, &[u8])) -> Outcome {
        let mut progress = Progress::new(timeout);
        let mut open = 2;
        while open > 0 {
            match self.events.recv_timeout(progress.deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Console(bytes)) => progress.console_said(&bytes, sink),
                Ok(Event::Frames(bytes)) => progress.guest_said(&bytes, sink),
                Ok(Event::Closed) => open -= 1,
                Err(RecvTimeoutError::Timeout) => return progress.outcome(/* time_is_up: */ true),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        progress.outcome(/* time_is_up: */ false)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill, and only its status to collect.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn read_in_thread(mut from: impl Read + Send + 'static, to: Sender<Event>, event: fn(Vec<u8>) -> Event) {
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        // A receiver that is gone has its outcome and doesn't want the rest.
        while let Ok(length) = from.read(&mut buffer)
            && length > 0
            && to.send(event(buffer[..length].to_vec())).is_ok()
        {}
        let _ = to.send(Event::Closed);
    });
}

/// What is known of a run, and until when to wait for more.
struct Progress {
    console: Console,
    decoder: Decoder,
    has_started: bool,
    /// What the guest reported as its end. The console may still have something to add.
    reported: Option<Outcome>,
    deadline: Instant,
    /// For the command, from its start.
    timeout: Duration,
}

impl Progress {
    fn new(timeout: Duration) -> Self {
        Self {
            console: Console::default(),
            decoder: Decoder::default(),
            has_started: false,
            reported: None,
            deadline: Instant::now() + BOOT_LIMIT,
            timeout,
        }
    }

    fn console_said(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Source, &[u8])) {
        let was_in_trouble = self.console.is_in_trouble();
        for line in self.console.push(bytes) {
            if self.has_started {
                sink(Source::Kernel, line.as_bytes());
            }
        }
        if self.console.is_in_trouble() && !was_in_trouble {
            self.deadline = Instant::now() + REPORT_LIMIT;
        }
    }

    fn guest_said(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Source, &[u8])) {
        let Ok(frames) = self.decoder.push(bytes) else {
            return self
                .end(Outcome::Lost(format!("{}\nthe guest's report is damaged", self.console.tail())));
        };
        for frame in frames {
            match frame {
                Frame::Started => {
                    self.has_started = true;
                    if !self.console.is_in_trouble() {
                        self.deadline = Instant::now() + self.timeout;
                    }
                }
                Frame::Stdout(bytes) => sink(Source::Stdout, &bytes),
                Frame::Stderr(bytes) => sink(Source::Stderr, &bytes),
                Frame::Exited(status) => self.end(Outcome::Exited(status)),
                Frame::Failed(status, why) => self.end(Outcome::NotStarted(status, why)),
            }
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.reported.get_or_insert(outcome);
        self.deadline = self.deadline.min(Instant::now() + END_LIMIT);
    }

    /// What all of it comes to. Trouble of the kernel goes first: a report in spite of it is no success.
    fn outcome(self, time_is_up: bool) -> Outcome {
        let silent = || {
            if time_is_up && self.has_started {
                Outcome::TimedOut
            } else {
                Outcome::Lost(self.console.tail())
            }
        };
        self.console.outcome().or(self.reported).unwrap_or_else(silent)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Stdio;

    use super::*;

    /// What becomes of a machine that sends these frames, prints this on its console and then runs the rest of the script.
    fn outcome_of(frames: &[Frame], console: &str, rest: &str) -> (Outcome, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let [frame_file, console_file] = ["frames", "console"].map(|name| folder.path().join(name));
        fs::write(&frame_file, frames.iter().flat_map(Frame::encode).collect::<Vec<u8>>()).expect("frames");
        fs::write(&console_file, console).expect("console");
        let script = format!("cat {} >&2; cat {}; {rest}", console_file.display(), frame_file.display());
        let mut machine = Command::new("sh");
        machine.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut output = String::new();
        let running = Running::start(machine).expect("sh");
        let outcome = running.watch(Duration::from_millis(300), &mut |source, bytes| {
            if source == Source::Stdout {
                output.push_str(&String::from_utf8_lossy(bytes));
            }
        });
        (outcome, output)
    }

    #[test]
    fn a_command_that_ends_is_reported_with_its_output() {
        let frames = [Frame::Started, Frame::Stdout(b"one\n".to_vec()), Frame::Exited(7)];
        assert_eq!(outcome_of(&frames, "", "sleep 9"), (Outcome::Exited(7), "one\n".to_owned()));
        let refused = Frame::Failed(127, "x: not found".to_owned());
        assert_eq!(outcome_of(&[refused], "", "").0, Outcome::NotStarted(127, "x: not found".to_owned()));
    }

    #[test]
    fn silence_is_told_apart_from_death() {
        assert_eq!(outcome_of(&[Frame::Started], "", "exec sleep 9").0, Outcome::TimedOut);
        assert_eq!(
            outcome_of(&[Frame::Started], "[ 1.0] last words\n", "").0,
            Outcome::Lost("[ 1.0] last words".into())
        );
        assert!(
            matches!(outcome_of(&[], "", "echo no frame").0, Outcome::Lost(text) if text.contains("damaged"))
        );
    }

    #[test]
    fn trouble_of_the_kernel_goes_before_everything_else() {
        let oops = "[    3.1] BUG: kernel NULL pointer dereference, address: 0\n";
        assert!(
            matches!(outcome_of(&[Frame::Started], oops, "").0, Outcome::Oops(text) if text.contains("NULL"))
        );
        let stall = "[   33.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n";
        assert!(matches!(outcome_of(&[], stall, "sleep 1").0, Outcome::Stall(_)));
    }
}
