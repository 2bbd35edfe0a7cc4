//! A program that is detached for a while. Whoever holds it attaches it again where it was, and the verifier is not asked once more.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::programs::{ProgramInfo, loaded_programs};
use vs_common::hook::{Hook, ProgramKind};

// `enum bpf_cmd` and `enum bpf_attach_type` of `include/uapi/linux/bpf.h`.
const BPF_OBJ_PIN: u32 = 6;
const BPF_LINK_CREATE: u32 = 28;
const BPF_CGROUP_INET_INGRESS: u32 = 0;
const BPF_CGROUP_SOCK_OPS: u32 = 3;
const BPF_LSM_MAC: u32 = 27;
const BPF_TRACE_ITER: u32 = 28;
const BPF_SK_LOOKUP: u32 = 36;
const BPF_LSM_CGROUP: u32 = 43;

/// Where the suite's machines have the cgroup-2 hierarchy.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";
/// The network namespace of the suite, and of the loader.
const NETWORK_NAMESPACE: &str = "/proc/self/ns/net";
/// Bytes of a program's name that the kernel keeps (`BPF_OBJ_NAME_LEN`, without the zero).
const NAME_LENGTH: usize = 15;
/// How often to try again while the kernel takes the old link away.
const ATTEMPTS: u32 = 200;

/// The attributes of `BPF_LINK_CREATE`, as far as they are needed.
#[repr(C)]
struct LinkCreate {
    program: i32,
    target: i32,
    attach_type: u32,
    rest: [u32; 13],
}

/// The attributes of `BPF_OBJ_PIN`.
#[repr(C)]
struct ObjectPin {
    path: u64,
    object: i32,
    flags: u32,
}

/// A program without its link.
#[derive(Debug)]
pub struct Detached {
    hook: Hook,
    program: OwnedFd,
    pin: String,
}

impl Detached {
    /// Takes the pin of a hook's link away, which detaches its program, and keeps the program.
    ///
    /// # Errors
    /// It is not loaded, or not pinned there.
    pub fn unpin(hook: Hook, pin: String) -> Result<Self> {
        let name = &hook.name().as_bytes()[..hook.name().len().min(NAME_LENGTH)];
        // The last one: those before it are on their way out.
        let program = loaded_programs()
            .flatten()
            .filter(|program| program.name() == name)
            .max_by_key(ProgramInfo::id)
            .with_context(|| format!("there is no program {}", hook.name()))?;
        let program = program.fd()?.as_fd().try_clone_to_owned()?;
        fs::remove_file(&pin).with_context(|| format!("unpin {pin}"))?;
        Ok(Self { hook, program, pin })
    }

    /// Attaches it again, and pins it where it was.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn attach(self) -> Result<()> {
        let (attach_type, target) = match self.hook.info().kind {
            ProgramKind::Lsm | ProgramKind::LsmOf(_) => (BPF_LSM_MAC, None),
            ProgramKind::ControlGroupLsm(_) => (BPF_LSM_CGROUP, Some(CONTROL_GROUPS)),
            ProgramKind::SocketAddress(number) => (number, Some(CONTROL_GROUPS)),
            ProgramKind::SocketEvents => (BPF_CGROUP_SOCK_OPS, Some(CONTROL_GROUPS)),
            ProgramKind::ReceivedPackets => (BPF_CGROUP_INET_INGRESS, Some(CONTROL_GROUPS)),
            ProgramKind::DatagramSockets => (BPF_TRACE_ITER, None),
            ProgramKind::SocketLookup => (BPF_SK_LOOKUP, Some(NETWORK_NAMESPACE)),
        };
        let target = target.map(File::open).transpose()?;
        let attributes = LinkCreate {
            program: self.program.as_raw_fd(),
            target: target.as_ref().map_or(0, AsRawFd::as_raw_fd),
            attach_type,
            rest: [0; 13],
        };
        let link = create(&attributes).with_context(|| format!("attach {} again", self.hook.name()))?;
        let path = CString::new(self.pin.as_str())?;
        let pin = ObjectPin { path: path.as_ptr() as u64, object: link.as_raw_fd(), flags: 0 };
        // SAFETY: The path is a string with its zero, alive during the call.
        unsafe { bpf(BPF_OBJ_PIN, &pin) }.with_context(|| format!("pin {} again", self.pin))?;
        Ok(())
    }
}

/// A link; one program has one at a time, and the old one is taken away by a worker (`kernel/bpf/inode.c:bpf_any_put`).
fn create(attributes: &LinkCreate) -> io::Result<OwnedFd> {
    let mut attempts = 0;
    loop {
        // SAFETY: The attributes hold numbers only.
        match unsafe { bpf(BPF_LINK_CREATE, attributes) } {
            // SAFETY: The command returns a new descriptor that nobody else has.
            Ok(link) => return Ok(unsafe { OwnedFd::from_raw_fd(link) }),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && attempts < ATTEMPTS => {
                attempts += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Calls bpf(2).
///
/// # Safety
/// What the attributes point to lives, and is what the command wants.
unsafe fn bpf<A>(command: u32, attributes: &A) -> io::Result<i32> {
    // SAFETY: The attributes are alive and have that size; the rest is the caller's.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(i32::try_from(result).unwrap_or(-1)) }
}
