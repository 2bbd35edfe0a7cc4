//! The kernel's verdict is the pure function's: for random identities of actor and target, what a program answers is what
//! `decide_interaction`, which `vs policy explain` asks, says it will.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use anyhow::{Context as _, Result};
use vs_common::context::{Access, Identity, Tag, decide_interaction, lifecycle};
use vs_common::hook::Hook;
use vs_common::id::{Generation, Xid};
use vs_common::verdict::Verdict;
use vs_loader::maps::live::LiveStore;
use vs_loader::maps::store::Store as _;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::World;

/// Pairs that are tried.
const PAIRS: u32 = 150;

/// A child that waits for one byte, does one act to the process it is given, and exits with the errno; or that only waits.
pub(crate) struct Subject {
    pid: i32,
    pidfd: OwnedFd,
    orders: OwnedFd,
}

impl Subject {
    /// Makes one that does this when it is let go, by system calls alone.
    pub(crate) fn new(act: impl FnOnce() -> libc::c_long) -> Result<Self> {
        let mut pipe = [0_i32; 2];
        // SAFETY: Room for two descriptors. The child uses system calls only; descriptors are this function's own.
        unsafe {
            anyhow::ensure!(
                libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) == 0,
                "pipe2: {}",
                io::Error::last_os_error()
            );
            let child = libc::fork();
            if child == 0 {
                libc::close(pipe[1]);
                let mut byte = 0_u8;
                libc::read(pipe[0], (&raw mut byte).cast(), 1);
                let result = act();
                libc::_exit(if result < 0 { *libc::__errno_location() } else { 0 });
            }
            libc::close(pipe[0]);
            let pidfd = libc::syscall(libc::SYS_pidfd_open, child, 0);
            anyhow::ensure!(pidfd >= 0, "pidfd_open: {}", io::Error::last_os_error());
            Ok(Self {
                pid: child,
                pidfd: OwnedFd::from_raw_fd(i32::try_from(pidfd)?),
                orders: OwnedFd::from_raw_fd(pipe[1]),
            })
        }
    }

    /// Tags it, unless it is to be the host's.
    pub(crate) fn tag(&self, store: &mut LiveStore, identity: Identity) -> Result<()> {
        if let Identity::Member(tag) = identity {
            store.set_task_tag(self.pidfd.as_fd(), tag).context("tag a subject")?;
        }
        Ok(())
    }

    /// Lets it go on and gives its status.
    pub(crate) fn finish(self) -> Result<i32> {
        drop(self.orders);
        let mut status = 0;
        // SAFETY: `status` is a live local; the child is this process's own.
        let waited = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        anyhow::ensure!(waited == self.pid && libc::WIFEXITED(status), "a subject ended oddly: {status:#x}");
        Ok(libc::WEXITSTATUS(status))
    }
}

/// A generator whose run is the same each time (Knuth's MMIX constants): a failure names a pair that comes again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Few values of each, so that equal and nearly equal pairs are frequent. The numbers have no rules: what is denied is denied.
    fn identity(&mut self) -> Identity {
        match self.below(5) {
            0 => Identity::Host,
            _ => Identity::Member(Tag {
                xid: Xid([1, 700, 701][usize::try_from(self.below(3)).unwrap_or(0)]),
                lifecycle: if self.below(4) == 0 { lifecycle::ENTERING } else { 0 },
                generation: Generation(1 + self.below(2)),
            }),
        }
    }
}

/// Tries all pairs.
pub(crate) fn run(_world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    let mut store = LiveStore::open().context("open the pinned maps")?;
    let mut random = Random(20_261_121);
    for _ in 0..PAIRS {
        let (actor, target) = (random.identity(), random.identity());
        let access = if random.below(2) == 0 { Access::Read } else { Access::Change };
        let object = Subject::new(|| 0)?;
        let target_pid = object.pid;
        let subject = Subject::new(move || {
            // SAFETY: Numbers only.
            unsafe {
                match access {
                    Access::Change => libc::syscall(libc::SYS_kill, target_pid, 0),
                    Access::Read => libc::syscall(libc::SYS_getpgid, target_pid),
                }
            }
        })?;
        object.tag(&mut store, target)?;
        subject.tag(&mut store, actor)?;
        let wanted = match decide_interaction(actor, target, access) {
            Verdict::Allow => 0,
            Verdict::Deny(errno, _) => i32::from(errno as u16),
        };
        let found = subject.finish()?;
        object.finish()?;
        checks.check(found == wanted, || {
            format!(
                "{actor:?} does {access:?} to {target:?}: {}, decided {}",
                errno_name(found),
                errno_name(wanted)
            )
        });
    }
    Ok(())
}
