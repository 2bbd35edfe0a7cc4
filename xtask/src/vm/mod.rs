//! Runs a command on a stock kernel, in an emulated machine.
//!
//! [`Machine`] says what to boot and what to take along, [`Machine::run`] boots it, hands on what the command prints and gives
//! the [`Outcome`]. The guest's side is `src/bin/guest-init.rs`; what travels between the two is `src/wire/`.

mod boot;
pub(crate) mod cli;
mod console;
pub(crate) mod image;
mod lines;
mod outcome;
mod tools;

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Child;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use xtask::wire::frame::{Decoder, Frame};
use xtask::wire::job::{self, Job};

use self::console::Console;
use self::lines::Lines;
pub(crate) use self::outcome::Outcome;
pub(crate) use self::tools::Tools;
use crate::kernels::Kernel;
use crate::rootfs::Rootfs;

/// How long a kernel may take to reach our init. Two seconds are usual; another load can make it many times that.
const BOOT_LIMIT: Duration = Duration::from_mins(1);

/// How long a kernel in trouble gets to finish its report.
const REPORT_LIMIT: Duration = Duration::from_secs(3);

/// Where a piece of output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The command's standard output.
    Stdout,
    /// The command's standard error.
    Stderr,
    /// A line the kernel printed while the command ran.
    Kernel,
}

/// Something of the host that the guest gets a copy of.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// A file or a folder.
    pub(crate) host: PathBuf,
    /// Its path in the guest.
    pub(crate) guest: PathBuf,
}

/// What to boot.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) kernel: Kernel,
    pub(crate) tools: Tools,
    pub(crate) rootfs: Rootfs,
    pub(crate) with: Vec<Shared>,
    /// Kernel modules to load before the command runs.
    pub(crate) modules: Vec<String>,
    pub(crate) memory_mib: u32,
    pub(crate) cpus: u32,
    /// For the command. Booting has its own limit.
    pub(crate) timeout: Duration,
    /// More arguments for the kernel.
    pub(crate) append: Vec<String>,
    /// Whether the guest's clock counts instructions: figures then repeat from run to run, on any machine.
    pub(crate) icount: bool,
}

impl Machine {
    /// A machine with the usual measures.
    pub(crate) fn new(kernel: Kernel, tools: Tools) -> Self {
        Self {
            kernel,
            tools,
            rootfs: Rootfs::Busybox,
            with: Vec::new(),
            modules: Vec::new(),
            memory_mib: 512,
            cpus: 1,
            timeout: Duration::from_mins(10),
            append: Vec::new(),
            icount: false,
        }
    }

    /// Boots, runs the command, hands on its output piece by piece, and switches off.
    pub(crate) fn run(&self, command: &[String], sink: &mut dyn FnMut(Source, &[u8])) -> Result<Outcome> {
        let work =
            tempfile::Builder::new().prefix("vs-vm-").tempdir().context("making a folder for the machine")?;
        let initial = work.path().join("initramfs");
        self.write_initial(&initial, command).context("packing the initial file system")?;
        let mut qemu = boot::command(self, &initial);
        // SAFETY: the closure runs between fork and exec and makes one system call, which is all that is allowed there.
        unsafe {
            qemu.pre_exec(|| {
                // A machine must not outlive a task that was killed.
                rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
                Ok(())
            })
        };
        let running = Running::start(qemu)?;
        Ok(running.watch(self.timeout, sink))
    }

    /// Like [`Machine::run`], with the output cut into lines; what isn't UTF-8 is replaced.
    pub(crate) fn run_lines(
        &self,
        command: &[String],
        sink: &mut dyn FnMut(Source, &str),
    ) -> Result<Outcome> {
        let mut lines = Lines::default();
        let outcome = self.run(command, &mut |source, bytes| lines.push(source, bytes, sink))?;
        lines.finish(sink);
        Ok(outcome)
    }

    fn write_initial(&self, path: &std::path::Path, command: &[String]) -> Result<()> {
        let mut image = self.rootfs.begin(path)?;
        self.tools.add_to(&mut image)?;
        for shared in &self.with {
            image.copy(&shared.guest, &shared.host)?;
        }
        let mut modules = Vec::new();
        for module in self.kernel.modules(&self.modules)? {
            let path = format!("/.vm/modules/{}", module.name);
            image.bytes(&path, &module.content, 0o600)?;
            modules.push(path);
        }
        let job = Job {
            command: command.to_vec(),
            environment: [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME=/root",
                "USER=root",
                "LANG=C.UTF-8",
                "TERM=dumb",
            ]
            .map(str::to_owned)
            .to_vec(),
            modules,
        };
        image.folder("/root".as_ref())?;
        image.bytes(job::PATH, &job.encode(), 0o600)?;
        image.finish()
    }
}

/// What the threads that read QEMU's two streams have to say.
enum Event {
    Frames(Vec<u8>),
    Console(Vec<u8>),
    Closed,
}

/// A started machine; dropping it ends it.
struct Running {
    qemu: Child,
    events: Receiver<Event>,
}

impl Running {
    fn start(mut qemu: std::process::Command) -> Result<Self> {
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
    fn watch(self, timeout: Duration, sink: &mut dyn FnMut(Source, &[u8])) -> Outcome {
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
