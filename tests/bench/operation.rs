//! The operations that are measured, one row of the table each.
//!
//! An operation is one system call, or the few that belong together, and no work around them. It says what it expects of the kernel and
//! is tried before it is measured: what fails early in the kernel would be cheap for the wrong reason.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::AtomicU32;

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::{Resource, Rlimit};
use rustix::thread::futex;

use crate::limit::Ratio;
use crate::namespace::Namespace;
use crate::network;
use crate::partner::Partner;
use crate::place::Place;
use crate::system_call;

/// An operation that is ready to be done, any number of times.
pub(crate) type Act = Box<dyn FnMut() -> Result<(), Errno>>;

/// An operation.
#[derive(Debug)]
pub(crate) struct Operation {
    /// What it is called by.
    pub(crate) name: &'static str,
    /// How often it is done between two looks at the clock.
    pub(crate) batch: u32,
    /// What it answers the host, and what a guest.
    expected: [Result<(), Errno>; 2],
    /// How much more than the bare call is promised.
    pub(crate) ratio: Option<Ratio>,
    /// Whether it has two ends, which may be in different network namespaces.
    pub(crate) has_ends: bool,
    prepare: fn(&Site) -> Result<Act>,
}

impl Operation {
    /// The operation of this name.
    pub(crate) fn find(name: &str) -> Result<&'static Self> {
        OPERATIONS
            .iter()
            .chain(DEPTHS)
            .chain(network::OPERATIONS)
            .find(|operation| operation.name == name)
            .with_context(|| format!("no operation is called `{name}`"))
    }

    /// The same with a promise of what it takes in all.
    pub(crate) const fn promising(self, ratio: Ratio) -> Self {
        Self { ratio: Some(ratio), ..self }
    }

    /// The same, where it has two ends.
    pub(crate) const fn between_ends(self) -> Self {
        Self { has_ends: true, ..self }
    }

    /// Whether a guest is denied it.
    pub(crate) fn is_denied(&self) -> bool {
        self.expected[0] != self.expected[1]
    }

    /// Gets it ready and tries it.
    pub(crate) fn prepare(&self, site: &Site, is_guest: bool) -> Result<Act> {
        let mut act = (self.prepare)(site).with_context(|| format!("preparing `{}`", self.name))?;
        let answer = act();
        let expected = self.expected[usize::from(is_guest)];
        if answer != expected {
            bail!("`{}` answers {answer:?} where {expected:?} was expected", self.name);
        }
        Ok(act)
    }
}

/// What operations work on: made once by each worker, removed with it.
#[derive(Debug)]
pub(crate) struct Site {
    partner: Partner,
    folder: PathBuf,
    /// Where sockets are.
    pub(crate) place: Place,
    /// Where clients are, if not in the host's network namespace.
    namespace: Option<Namespace>,
}

impl Site {
    /// Starts the other process and makes the files.
    pub(crate) fn make(place: Place) -> Result<Self> {
        // `/run/vs-bench/1/2/file` has five components and is the same in every worker: what a path costs hangs on its length. Only root
        // writes there, so that nobody else decides what root opens and executes.
        let folder = PathBuf::from("/run/vs-bench");
        let namespace = if place == Place::Veth { Some(Namespace::make()?) } else { None };
        let site = Self { partner: Partner::start()?, folder, place, namespace };
        let inner = site.folder.join("1/2");
        fs::create_dir_all(&inner).with_context(|| format!("making {}", inner.display()))?;
        fs::write(inner.join("file"), b"x").context("making a file to open")?;
        crate::program::write(&site.program()).context("making a program to execute")?;
        Ok(site)
    }

    /// Has the sockets of a server made. Those that are made afterwards are a client's.
    pub(crate) fn serving<T>(&self, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(namespace) = &self.namespace else { return make() };
        namespace.leave()?;
        let answer = make()?;
        namespace.enter()?;
        Ok(answer)
    }

    fn file(&self) -> Result<CString> {
        c_string(&self.folder.join("1/2/file"))
    }

    /// A file seven directories deep.
    fn deep_file(&self) -> Result<CString> {
        let folder = self.folder.join("1/2/3/4/5");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        fs::write(folder.join("file"), b"x").context("making a file to look at")?;
        c_string(&folder.join("file"))
    }

    fn program(&self) -> PathBuf {
        self.folder.join("exit")
    }

    /// A file of the other process's in `/proc`.
    fn process_file(&self, name: &str) -> Result<CString> {
        c_string(Path::new(&format!("/proc/{}/{name}", self.partner.pid().as_raw_pid())))
    }
}

impl Site {
    /// Paths of what is not there, a few folders down.
    fn new_paths(&self) -> Result<Turns<CString>> {
        let paths = (0..16).map(|number| c_string(&self.folder.join(format!("1/2/made-{number:02}"))));
        let paths: Vec<CString> = paths.collect::<Result<_>>()?;
        let paths = paths.try_into().map_err(|_| anyhow!("sixteen paths"))?;
        Ok(Turns::new(paths, COSTLY))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What cannot be removed, the next worker finds and uses.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Cheap system calls. A batch has far fewer instructions than lie between two ticks of the kernel's clock (4 million), so that most
/// batches have no tick in them.
const CHEAP: u32 = 200;
/// System calls that walk a path, map memory or have to do with sockets.
pub(crate) const COSTLY: u32 = 40;
/// Whole processes.
const PROCESS: u32 = 2;

/// An operation that succeeds, and of which nothing is promised by itself.
pub(crate) const fn row(name: &'static str, batch: u32, prepare: fn(&Site) -> Result<Act>) -> Operation {
    Operation { name, batch, expected: [Ok(()); 2], ratio: None, has_ends: false, prepare }
}

/// A look at what has a path, by how long the path is.
pub(crate) static DEPTHS: &[Operation] = &[
    row("stat, 1 component", COSTLY, |_| {
        let path = c_string(Path::new("/run"))?;
        Ok(Box::new(move || rustix::fs::stat(&path).map(drop)))
    }),
    row("stat, 8 components", COSTLY, |site| {
        let path = site.deep_file()?;
        Ok(Box::new(move || rustix::fs::stat(&path).map(drop)))
    })
    .promising(Ratio::Walk),
];

/// Every operation but those on sockets, in the order of the table.
pub(crate) static OPERATIONS: &[Operation] = &[
    row("kill(itself, 0)", CHEAP, |_| {
        let pid = rustix::process::getpid();
        Ok(Box::new(move || rustix::process::test_kill_process(pid)))
    }),
    row("kill(another, 0)", CHEAP, |site| {
        let pid = site.partner.pid();
        Ok(Box::new(move || rustix::process::test_kill_process(pid)))
    }),
    row("getpgid(another)", CHEAP, |site| {
        let pid = Some(site.partner.pid());
        Ok(Box::new(move || rustix::process::getpgid(pid).map(drop)))
    }),
    row("getsid(another)", CHEAP, |site| {
        let pid = Some(site.partner.pid());
        Ok(Box::new(move || rustix::process::getsid(pid).map(drop)))
    }),
    row("sched_getscheduler(another)", CHEAP, |site| {
        let pid = site.partner.pid();
        Ok(Box::new(move || system_call::sched_getscheduler(pid)))
    }),
    row("sched_setaffinity(another)", CHEAP, |site| {
        let pid = Some(site.partner.pid());
        let processors = rustix::thread::sched_getaffinity(pid)?;
        Ok(Box::new(move || rustix::thread::sched_setaffinity(pid, &processors)))
    }),
    row("setpriority(another)", CHEAP, |site| {
        let pid = Some(site.partner.pid());
        Ok(Box::new(move || rustix::process::setpriority_process(pid, 0)))
    }),
    row("ioprio_get(another)", CHEAP, |site| {
        let pid = site.partner.pid();
        Ok(Box::new(move || system_call::ioprio_get(pid)))
    }),
    row("prlimit(another), set", CHEAP, |site| {
        let pid = Some(site.partner.pid());
        let limit = || Rlimit { current: Some(1024), maximum: Some(4096) };
        Ok(Box::new(move || rustix::process::prlimit(pid, Resource::Nofile, limit()).map(drop)))
    }),
    row("process_vm_readv(another)", CHEAP, |site| {
        let (pid, address) = (site.partner.pid(), site.partner.readable());
        Ok(Box::new(move || system_call::process_vm_readv(pid, address)))
    }),
    row("open+close /proc/PID/environ of another", COSTLY, |site| {
        Ok(open_and_close(site.process_file("environ")?))
    }),
    row("fcntl(F_GETFL)", CHEAP, |_| {
        let null = open(c"/dev/null", OFlags::RDWR)?;
        Ok(Box::new(move || rustix::fs::fcntl_getfl(&null).map(drop)))
    }),
    row("ioctl(FIONREAD)", CHEAP, |_| {
        let (reader, writer) = rustix::pipe::pipe()?;
        Ok(Box::new(move || {
            let _open = &writer;
            rustix::io::ioctl_fionread(&reader).map(drop)
        }))
    }),
    row("SIGIO (write+read of a pipe)", COSTLY, |_| {
        let (reader, writer) = rustix::pipe::pipe()?;
        system_call::set_owner(reader.as_fd())?;
        system_call::signal_owner(reader.as_fd())?;
        let mut byte = [0];
        Ok(Box::new(move || {
            rustix::io::write(&writer, &[0])?;
            rustix::io::read(&reader, &mut byte).map(drop)
        }))
    }),
    row("fcntl(F_SETOWN)", COSTLY, |_| {
        let null = open(c"/dev/null", OFlags::RDWR)?;
        Ok(Box::new(move || system_call::set_owner(null.as_fd())))
    }),
    // Asks for CAP_SETPCAP, which a context keeps, and only then looks at the number: the shortest way to `capable`.
    Operation {
        expected: [Err(Errno::INVAL); 2],
        ..row("capable (prctl PR_CAPBSET_DROP, none)", CHEAP, |_| {
            Ok(Box::new(system_call::drop_no_capability))
        })
    },
    Operation {
        expected: [Err(Errno::INVAL), Err(Errno::PERM)],
        ..row("bpf(no such command)", CHEAP, |_| Ok(Box::new(system_call::bpf_no_command)))
    },
    row("fork+exit+wait", PROCESS, |_| Ok(Box::new(|| system_call::child(None)))),
    row("fork+exec+exit+wait", PROCESS, |site| {
        let program = c_string(&site.program())?;
        Ok(Box::new(move || system_call::child(Some(&program))))
    }),
    row("getpid", CHEAP, |_| {
        Ok(Box::new(|| {
            let _ = rustix::process::getpid();
            Ok(())
        }))
    }),
    row("read, 1 byte", CHEAP, |_| {
        let zero = open(c"/dev/zero", OFlags::RDONLY)?;
        let mut byte = [0];
        Ok(Box::new(move || rustix::io::read(&zero, &mut byte).map(drop)))
    }),
    row("write, 1 byte", CHEAP, |_| {
        let null = open(c"/dev/null", OFlags::WRONLY)?;
        Ok(Box::new(move || rustix::io::write(&null, &[0]).map(drop)))
    }),
    row("futex(wake)", CHEAP, |_| {
        // One may share its bucket with a word that somebody waits for: `futex_wake` takes the bucket's lock then.
        let mut words = Turns::new(std::array::from_fn(|_| AtomicU32::new(0)), CHEAP);
        Ok(Box::new(move || futex::wake(words.next(), futex::Flags::PRIVATE, 1).map(drop)))
    }),
    row("mmap+munmap of memory", COSTLY, |_| {
        Ok(Box::new(|| {
            // SAFETY: New memory at an address that the kernel chooses, which nothing else points to, is given back at once.
            unsafe {
                let protection = ProtFlags::READ | ProtFlags::WRITE;
                let memory =
                    rustix::mm::mmap_anonymous(ptr::null_mut(), 1 << 16, protection, MapFlags::PRIVATE)?;
                rustix::mm::munmap(memory, 1 << 16)
            }
        }))
    }),
    row(network::FILE, COSTLY, |site| Ok(open_and_close(site.file()?))),
    row("stat, 5 components", COSTLY, |site| {
        let path = site.file()?;
        Ok(Box::new(move || rustix::fs::stat(&path).map(drop)))
    }),
    row("create+close+unlink, 5 components", COSTLY, |site| {
        let mut paths = site.new_paths()?;
        Ok(Box::new(move || {
            let path = paths.next();
            drop(rustix::fs::open(path, OFlags::CREATE | OFlags::WRONLY, Mode::RUSR)?);
            rustix::fs::unlink(path)
        }))
    }),
    row("mkdir+rmdir, 5 components", COSTLY, |site| {
        let mut paths = site.new_paths()?;
        Ok(Box::new(move || {
            let path = paths.next();
            rustix::fs::mkdir(path, Mode::RWXU)?;
            rustix::fs::rmdir(path)
        }))
    }),
    row("chmod, 5 components", COSTLY, |site| {
        let path = site.file()?;
        Ok(Box::new(move || rustix::fs::chmod(&path, Mode::RUSR)))
    }),
    row("stat /proc/PID/status of another", COSTLY, |site| {
        let path = site.process_file("status")?;
        Ok(Box::new(move || rustix::fs::stat(&path).map(drop)))
    }),
];

fn open(path: &std::ffi::CStr, flags: OFlags) -> Result<OwnedFd> {
    rustix::fs::open(path, flags, Mode::empty())
        .with_context(|| format!("opening {}", path.to_string_lossy()))
}

fn open_and_close(path: CString) -> Act {
    Box::new(move || rustix::fs::open(&path, OFlags::RDONLY, Mode::empty()).map(drop))
}

/// Things of a kind, one a batch in turn: what the kernel finds by a hash may have company in its bucket, and among several one has none.
struct Turns<T> {
    things: [T; 16],
    batch: usize,
    calls: usize,
}

impl<T> Turns<T> {
    fn new(things: [T; 16], batch: u32) -> Self {
        Self { things, batch: batch as usize, calls: 0 }
    }

    /// The one of this batch.
    fn next(&mut self) -> &T {
        let thing = &self.things[self.calls / self.batch % self.things.len()];
        self.calls += 1;
        thing
    }
}

fn c_string(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).with_context(|| format!("{} holds a zero byte", path.display()))
}
