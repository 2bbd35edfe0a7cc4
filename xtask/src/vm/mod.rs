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
mod running;
mod tools;

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use xtask::wire::job::{self, Job};

pub(crate) use self::boot::QEMU;
use self::lines::Lines;
pub(crate) use self::outcome::Outcome;
use self::running::Running;
pub(crate) use self::tools::Tools;
use crate::kernels::Kernel;
use crate::rootfs::Rootfs;

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

/// Modules by which the kernel lists sockets, and for pairs of interfaces.
const NETWORK_MODULES: [&str; 3] = ["tcp_diag", "udp_diag", "veth"];

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

    /// The same with what lists sockets and makes interfaces, which a machine with a modprobe would load when it is asked for. A kernel from a file has it built
    /// in, or not.
    pub(crate) fn with_socket_lists(mut self) -> Self {
        if self.kernel.has_modules() {
            self.modules.extend(NETWORK_MODULES.map(str::to_owned));
        }
        self
    }

    /// Boots, runs the command, hands on its output piece by piece, and switches off.
    ///
    /// The machine ends with the thread that calls this, should that be killed.
    pub(crate) fn run(&self, command: &[String], sink: &mut dyn FnMut(Source, &[u8])) -> Result<Outcome> {
        let initial = self.initial(command).context("packing the initial file system")?;
        let running = Running::start(boot::command(self, &initial))?;
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

    /// Packs the initial file system into a file without a name, which goes away with this task, however that ends.
    fn initial(&self, command: &[String]) -> Result<File> {
        let file = tempfile::tempfile().context("making a temporary file")?;
        let mut image = self.rootfs.begin(file)?;
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
