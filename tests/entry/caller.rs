//! A caller with all that must not be handed on: descriptors, a key, blocked and ignored signals, a narrow umask, odd securebits, secrets
//! in its environment.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use aya::maps::MapData;
use libc::c_long;
use vs_common::map_name;
use vs_loader::kernel::pins::Pins;
use vs_tests::finding::{self, KEY};

use super::Way;

/// Where a caller's extra descriptors are.
pub(super) const EXTRA: [i32; 6] = [3, 4, 5, 6, 200, 1000];
/// Signals that it blocks, and that it ignores.
pub(super) const BLOCKED: [i32; 3] = [libc::SIGTERM, libc::SIGUSR1, 40];
pub(super) const IGNORED: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGPIPE, libc::SIGCHLD];
/// `SECBIT_NO_SETUID_FIXUP`: with it, who changes to another user keeps root's capabilities.
pub(super) const SECUREBITS: i32 = 1 << 2;
/// What it has in its environment, and whether that is handed on.
pub(super) const ENVIRONMENT: [(&str, &str, bool); 8] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/suite", true),
    ("TERM", "vt220", true),
    ("TZ", "UTC", true),
    ("LC_SUITE", "C", true),
    ("SSH_AUTH_SOCK", "/run/agent", false),
    ("LD_SUITE", "/tmp/lib.so", false),
    ("TOKEN", "secret", false),
    ("PWD", "/nowhere", false),
];

/// The caller.
pub(super) struct Caller {
    /// The serial number of its session keyring.
    pub(super) keyring: c_long,
    /// And of a key in it.
    pub(super) key: c_long,
    /// What becomes the extra descriptors.
    open: [OwnedFd; EXTRA.len()],
}

impl Caller {
    /// Makes this process one with a key; the rest comes with each command.
    pub(super) fn new() -> Result<Self> {
        let map = MapData::from_pin(Pins::default().map(map_name::TASKS)).context("open a pinned map")?;
        let (read, write) = rustix::pipe::pipe()?;
        let open = [
            File::open("/proc/mounts")?.into(),
            File::open("/")?.into(),
            read,
            write,
            File::options().read(true).write(true).open("/dev/null")?.into(),
            map.fd().as_fd().try_clone_to_owned()?,
        ];
        // SAFETY: A null name, strings that end in a zero, and a payload with its length.
        let (keyring, key) = unsafe {
            let keyring = finding::keyctl(libc::KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0);
            let session = libc::KEY_SPEC_SESSION_KEYRING;
            let (kind, name) = (KEY.0.as_ptr(), KEY.1.as_ptr());
            (keyring, libc::syscall(libc::SYS_add_key, kind, name, c"secret".as_ptr(), 6, session))
        };
        ensure!(keyring > 0 && key > 0, "make a key: {}", io::Error::last_os_error());
        Ok(Self { keyring, key, open })
    }

    /// Has a command run by this caller, and gives what came of it.
    pub(super) fn output(&self, way: Way, words: &[&str]) -> Result<Output> {
        let mut command = way.command(words);
        self.burden(&mut command);
        command.output().with_context(|| format!("{}: run {}", way.name(), words.join(" ")))
    }

    /// Gives a command all that must not be handed on.
    pub(super) fn burden(&self, command: &mut Command) {
        command.stdin(Stdio::null()).env_clear();
        command.envs(ENVIRONMENT.map(|(name, value, _)| (name, value)));
        let open: Vec<i32> = self.open.iter().map(AsRawFd::as_raw_fd).collect();
        // SAFETY: Between fork and exec only system calls are made, on numbers and live locals.
        unsafe {
            command.pre_exec(move || {
                // Two steps: one that is to be moved may lie where another is to go.
                let mut moved = [0; EXTRA.len()];
                for (moved, file) in moved.iter_mut().zip(&open) {
                    *moved = libc::fcntl(*file, libc::F_DUPFD_CLOEXEC, 300);
                }
                for (moved, number) in moved.into_iter().zip(EXTRA) {
                    succeed(libc::dup2(moved, number))?;
                }
                let mut blocked: libc::sigset_t = std::mem::zeroed();
                for signal in BLOCKED {
                    libc::sigaddset(&raw mut blocked, signal);
                }
                succeed(libc::sigprocmask(libc::SIG_SETMASK, &raw const blocked, std::ptr::null_mut()))?;
                for signal in IGNORED {
                    libc::signal(signal, libc::SIG_IGN);
                }
                libc::umask(0o077);
                succeed(libc::prctl(libc::PR_SET_SECUREBITS, SECUREBITS))
            });
        }
    }
}

fn succeed(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
