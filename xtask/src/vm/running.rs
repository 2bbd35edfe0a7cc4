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
        let mut console = Console::default();
        let mut decoder = Decoder::default();
        let mut deadline = Instant::now() + BOOT_LIMIT;
        let (mut started, mut open) = (false, 2);
        while open > 0 {
            let event = match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => event,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let silent = if started { Outcome::TimedOut } else { Outcome::Lost(console.tail()) };
                    return console.outcome().unwrap_or(silent);
                }
            };
            match event {
                Event::Closed => open -= 1,
                Event::Console(bytes) => {
                    let was_in_trouble = console.is_in_trouble();
                    for line in console.push(&bytes) {
                        if started {
                            sink(Source::Kernel, line.as_bytes());
                        }
                    }
                    if console.is_in_trouble() && !was_in_trouble {
                        deadline = Instant::now() + REPORT_LIMIT;
                    }
                }
                Event::Frames(bytes) => {
                    let Ok(frames) = decoder.push(&bytes) else {
                        return Outcome::Lost(format!("{}\nthe report is damaged", console.tail()));
                    };
                    for frame in frames {
                        match frame {
                            Frame::Started => {
                                started = true;
                                deadline = Instant::now() + timeout;
                            }
                            Frame::Stdout(bytes) => sink(Source::Stdout, &bytes),
                            Frame::Stderr(bytes) => sink(Source::Stderr, &bytes),
                            // A report that comes through in spite of trouble is no success.
                            Frame::Exited(status) => {
                                return console.outcome().unwrap_or(Outcome::Exited(status));
                            }
                            Frame::Failed(status, why) => return Outcome::NotStarted(status, why),
                        }
                    }
                }
            }
        }
        console.outcome().unwrap_or_else(|| Outcome::Lost(console.tail()))
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
