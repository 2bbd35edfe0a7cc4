//! The first process of a test machine: mounts what programs expect, runs one command, reports, switches the machine off.
//!
//! `cargo xtask build` makes it as a static binary and `cargo xtask vm run` packs it as `/init`. It loads no policy and
//! changes no setting that a freshly booted system would not have; what it does to the root file system and the kernel's log
//! level is explained where it happens.

use std::fs::{self, File};
use std::io::{self, PipeReader, Read, Write};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::{env, panic, thread};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::mount::{MountFlags, mount, mount_bind, mount_move};
use rustix::process::{Pid, WaitOptions, wait};
use xtask::wire::frame::{EXIT_PORT, Frame, MAX_PAYLOAD, PORT};
use xtask::wire::job::{self, Job};

/// Why the command could not be run, and the status that says so, as shells and `timeout` number them.
struct Refusal(u8, String);

fn main() {
    let started = caught(prepare);
    // Only now: a process that may use ports hands that down to its children, who would pay for it at each switch of tasks.
    let mut channel = match Channel::open() {
        Ok(channel) => channel,
        // Nobody can be told except whoever reads the console; the host reports a lost guest.
        Err(error) => panic!("no access to the port of the host: {error}"),
    };
    let ended = started.and_then(|child| caught(|| forward(child, &mut channel)));
    channel.send(&match ended {
        Ok(status) => Frame::Exited(status),
        Err(Refusal(status, why)) => Frame::Failed(status, why),
    });
    channel.power_off();
}

/// Runs a step; a panic of the first process would panic the kernel, which reads like a finding about the kernel.
fn caught<T>(step: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    panic::catch_unwind(panic::AssertUnwindSafe(step))
        .unwrap_or_else(|_| Err(Refusal(125, "guest-init panicked; see the console".to_owned())))
}

/// Makes the machine what a command expects, and starts it.
fn prepare() -> Result<Child, Refusal> {
    let job = fs::read(job::PATH).map_err(|error| setup_failure("reading the job", &error))?;
    let job = Job::decode(&job).map_err(|_| Refusal(125, format!("{} is not a job", job::PATH)))?;
    leave_initial_root().map_err(|error| setup_failure("leaving the initial root", &error))?;
    mount_all()?;
    for module in &job.modules {
        load_module(module).map_err(|error| setup_failure(&format!("loading {module}"), &error))?;
    }
    bring_loopback_up().map_err(|error| setup_failure("bringing lo up", &error))?;
    // Booting quietly is faster; from here on a warning of the kernel is a finding, and the console shows it.
    fs::write("/proc/sys/kernel/printk", "5")
        .map_err(|error| setup_failure("setting the log level", &error))?;
    start(&job)
}

fn setup_failure(what: &str, error: &io::Error) -> Refusal {
    Refusal(125, format!("{what}: {error}"))
}

/// Puts a mount of the initial file system over itself and moves into it.
///
/// `pivot_root` refuses to replace the mount the kernel booted into, because nothing is above it. Servers pivot; so the
/// machine's root has to be a mount like any other, without a copy of its content.
fn leave_initial_root() -> io::Result<()> {
    fs::create_dir_all("/.vm/root")?;
    mount_bind("/", "/.vm/root")?;
    env::set_current_dir("/.vm/root")?;
    mount_move(".", "/")?;
    rustix::process::chroot(".")?;
    env::set_current_dir("/")
}

/// Mounts what a booted system has, parents first.
fn mount_all() -> Result<(), Refusal> {
    let plain = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let table = [
        ("proc", "/proc", plain, c""),
        ("sysfs", "/sys", plain, c""),
        ("devtmpfs", "/dev", MountFlags::NOSUID, c"mode=755"),
        ("devpts", "/dev/pts", MountFlags::NOSUID | MountFlags::NOEXEC, c"mode=620,ptmxmode=666"),
        ("tmpfs", "/dev/shm", MountFlags::NOSUID | MountFlags::NODEV, c"mode=1777"),
        ("tmpfs", "/run", MountFlags::NOSUID | MountFlags::NODEV, c"mode=755"),
        ("tmpfs", "/tmp", MountFlags::NOSUID | MountFlags::NODEV, c"mode=1777"),
        ("cgroup2", "/sys/fs/cgroup", plain, c""),
        ("bpf", "/sys/fs/bpf", plain, c"mode=700"),
        ("securityfs", "/sys/kernel/security", plain, c""),
    ];
    for (kind, target, flags, options) in table {
        fs::create_dir_all(target)
            .and_then(|()| mount(kind, target, kind, flags, options).map_err(io::Error::from))
            .map_err(|error| setup_failure(&format!("mounting {kind} on {target}"), &error))?;
    }
    for (name, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
        symlink(format!("/proc/self/fd{target}"), format!("/dev/{name}"))
            .map_err(|error| setup_failure(&format!("linking /dev/{name}"), &error))?;
    }
    Ok(())
}

fn load_module(path: &str) -> io::Result<()> {
    let file = File::open(path)?;
    match rustix::system::finit_module(file, c"", 0) {
        // Two modules asked for may need the same third one; and one that is only faster on some processors is not for this one.
        Err(rustix::io::Errno::EXIST | rustix::io::Errno::NODEV) => Ok(()),
        outcome => outcome.map_err(io::Error::from),
    }
}

/// Brings `lo` up; the kernel gives it `127.0.0.1` and `::1` by itself.
fn bring_loopback_up() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketType, socket};
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: an all-zero `ifreq` is valid: its name is an array of characters, its union holds plain numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP).unwrap_or_default();
    // SAFETY: SIOCSIFFLAGS reads one `ifreq` from the pointer, which is to a live one on this stack.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn start(job: &Job) -> Result<Child, Refusal> {
    let Some((program, arguments)) = job.command.split_first() else {
        return Err(Refusal(125, "no command".to_owned()));
    };
    let environment = job.environment.iter().filter_map(|variable| variable.split_once('='));
    Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| {
            let status = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
            Refusal(status, format!("{program}: {error}"))
        })
}

/// Sends on what the command writes until it has ended, and gives its status.
fn forward(command: Child, channel: &mut Channel) -> Result<u8, Refusal> {
    channel.send(&Frame::Started);
    pump(command, channel).map_err(|error| setup_failure("forwarding the output", &error))
}

/// Ends with the command and not with the last writer: a daemon it leaves behind may hold the pipes for ever.
fn pump(mut command: Child, channel: &mut Channel) -> io::Result<u8> {
    let (Some(mut stdout), Some(mut stderr)) = (command.stdout.take(), command.stderr.take()) else {
        return Err(io::Error::other("the command has no pipes"));
    };
    rustix::io::ioctl_fionbio(&stdout, true)?;
    rustix::io::ioctl_fionbio(&stderr, true)?;
    let mut ended = reap(Pid::from_child(&command))?;
    let mut buffer = vec![0; MAX_PAYLOAD];
    let (mut stdout_open, mut stderr_open) = (true, true);
    loop {
        let mut waiting = vec![PollFd::new(&ended, PollFlags::IN)];
        waiting.extend(stdout_open.then(|| PollFd::new(&stdout, PollFlags::IN)));
        waiting.extend(stderr_open.then(|| PollFd::new(&stderr, PollFlags::IN)));
        poll(&mut waiting, None)?;
        let has_ended = !waiting[0].revents().is_empty();
        // After the end: whatever the pipes still hold, at most their capacity, since a daemon may go on writing.
        for _ in 0..if has_ended { 16 } else { 1 } {
            stdout_open = stdout_open && pass(&mut stdout, &mut buffer, channel, Frame::Stdout)?;
            stderr_open = stderr_open && pass(&mut stderr, &mut buffer, channel, Frame::Stderr)?;
        }
        if has_ended {
            let mut status = [0];
            ended.read_exact(&mut status)?;
            return Ok(status[0]);
        }
    }
}

/// Collects the status of every process that ends, as the first process has to, and sends that of `command` down the pipe.
///
/// Waiting in a thread of its own needs no signal handler and no clock.
fn reap(command: Pid) -> io::Result<PipeReader> {
    let (ended, mut end) = io::pipe()?;
    thread::spawn(move || -> io::Result<()> {
        loop {
            if let Some((pid, status)) = wait(WaitOptions::empty())?
                && pid == command
            {
                let killed = status.terminating_signal().map(|signal| 128 + signal);
                let status = status.exit_status().or(killed).and_then(|status| u8::try_from(status).ok());
                end.write_all(&[status.unwrap_or(u8::MAX)])?;
            }
        }
    });
    Ok(ended)
}

/// Sends on one piece of output if there is any; false at the end of the stream.
fn pass(
    from: &mut (impl Read + AsFd),
    buffer: &mut [u8],
    channel: &mut Channel,
    frame: fn(Vec<u8>) -> Frame,
) -> io::Result<bool> {
    match from.read(buffer) {
        Ok(0) => Ok(false),
        Ok(length) => {
            channel.send(&frame(buffer[..length].to_vec()));
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

/// The way to the host. Ports are open to the thread that opened them, so a channel stays in its thread.
struct Channel {
    frames: u16,
    exit: u16,
    _not_send: PhantomData<*const ()>,
}

impl Channel {
    fn open() -> io::Result<Self> {
        for port in [PORT, EXIT_PORT] {
            // SAFETY: `ioperm` only changes which ports this thread may use; no memory is involved.
            if unsafe { libc::ioperm(port.into(), 1, 1) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self { frames: PORT, exit: EXIT_PORT, _not_send: PhantomData })
    }

    /// Sends a frame. The device takes bytes as fast as the host reads them, so nothing can fail or get lost.
    fn send(&mut self, frame: &Frame) {
        let bytes = frame.encode();
        // SAFETY: `rep outsb` reads `bytes.len()` bytes upwards from its start (the direction flag is clear by the ABI) and
        // writes none; `open` gave this thread the port, which belongs to a device that only takes bytes.
        unsafe {
            std::arch::asm!(
                "rep outsb",
                in("dx") self.frames,
                inout("rsi") bytes.as_ptr() => _,
                inout("rcx") bytes.len() => _,
                options(readonly, nostack, preserves_flags)
            );
        }
    }

    fn power_off(self) -> ! {
        // SAFETY: `open` gave this thread the port; a write there ends the machine and touches no memory.
        unsafe { std::arch::asm!("out dx, al", in("dx") self.exit, in("al") 0_u8, options(nomem, nostack)) };
        loop {
            thread::park();
        }
    }
}
