//! Another BPF tool on the host that keeps something on every task: a task-storage map of its own, and a program that puts a value into it
//! for whatever task makes a system call.
//!
//! Made by `bpf(2)` itself, since nothing in it is the product's: map, types and six instructions.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// `enum bpf_cmd`, `enum bpf_map_type`, `enum bpf_prog_type` and helpers of `include/uapi/linux/bpf.h`.
const MAP_CREATE: i64 = 0;
const MAP_LOOKUP: i64 = 1;
const PROG_LOAD: i64 = 5;
const RAW_TRACEPOINT_OPEN: i64 = 17;
const BTF_LOAD: i64 = 18;
const TASK_STORAGE: u32 = 29;
const NO_PREALLOC: u32 = 1;
const RAW_TRACEPOINT: u32 = 17;
const HELPER_TASK_STORAGE_GET: i32 = 156;
const HELPER_CURRENT_TASK_BTF: i32 = 158;

/// Bytes of `union bpf_attr` that are set here; the kernel takes the rest as zeros.
const ATTRIBUTES: usize = 128;

/// The attributes of one command: 32-bit fields at their offsets, and pairs of them where there is an address.
struct Attributes([u32; ATTRIBUTES / 4]);

impl Attributes {
    fn new() -> Self {
        Self([0; ATTRIBUTES / 4])
    }

    fn set(mut self, offset: usize, value: u32) -> Self {
        self.0[offset / 4] = value;
        self
    }

    fn set_address<T: ?Sized>(self, offset: usize, pointed_at: &T) -> Self {
        let address = std::ptr::from_ref(pointed_at).cast::<u8>() as u64;
        // The halves, lower first.
        let [low, high] = [address & u64::from(u32::MAX), address >> 32];
        let half = |value| u32::try_from(value).unwrap_or(0);
        self.set(offset, half(low)).set(offset + 4, half(high))
    }

    /// Has the kernel carry out the command; its descriptor.
    fn carry_out(&self, command: i64) -> io::Result<OwnedFd> {
        // SAFETY: The attributes are as long as is said, and every address in them is of something that outlives the call: `set_address`
        // was given references that the caller still holds.
        let fd = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_ptr(), size_of_val(&self.0)) };
        let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
        // SAFETY: The command gave a new descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// A tool at work. It ends with this.
#[derive(Debug)]
pub struct ForeignTool {
    map: OwnedFd,
    _program: OwnedFd,
    _link: OwnedFd,
}

impl ForeignTool {
    /// Begins to store.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn start() -> io::Result<Self> {
        let types = types();
        let types = Attributes::new()
            .set_address(0, types.as_slice())
            .set(16, u32::try_from(types.len()).unwrap_or(0))
            .carry_out(BTF_LOAD)?;
        let map = Attributes::new()
            .set(0, TASK_STORAGE)
            .set(4, 4)
            .set(8, 8)
            .set(16, NO_PREALLOC)
            .set(48, types.as_raw_fd().cast_unsigned())
            .set(52, KEY_TYPE)
            .set(56, VALUE_TYPE)
            .carry_out(MAP_CREATE)?;
        let (program, licence) = (instructions(map.as_raw_fd()), c"GPL");
        let program = Attributes::new()
            .set(0, RAW_TRACEPOINT)
            .set(4, u32::try_from(program.len()).unwrap_or(0))
            .set_address(8, program.as_slice())
            .set_address::<CStr>(16, licence)
            .carry_out(PROG_LOAD)?;
        let link = Attributes::new()
            .set_address::<CStr>(0, c"sys_enter")
            .set(8, program.as_raw_fd().cast_unsigned())
            .carry_out(RAW_TRACEPOINT_OPEN)?;
        Ok(Self { map, _program: program, _link: link })
    }
}

impl ForeignTool {
    /// Whether it keeps something on a process.
    ///
    /// # Errors
    /// There is no such process, or the kernel refuses.
    pub fn has_stored_on(&self, pid: i32) -> io::Result<bool> {
        // SAFETY: Numbers only.
        let process = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let process =
            RawFd::try_from(process).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
        // SAFETY: The call gave a new descriptor.
        let process = unsafe { OwnedFd::from_raw_fd(process) };
        // The value is written by the kernel.
        let (key, value) = (process.as_raw_fd(), std::sync::atomic::AtomicU64::new(0));
        let attributes = Attributes::new()
            .set(0, self.map.as_raw_fd().cast_unsigned())
            .set_address(8, &key)
            .set_address(16, &value);
        // SAFETY: As in `carry_out`; `value` may be written through a shared reference.
        let found = unsafe {
            libc::syscall(libc::SYS_bpf, MAP_LOOKUP, attributes.0.as_ptr(), size_of_val(&attributes.0))
        };
        Ok(found == 0)
    }
}

/// `bpf_task_storage_get(&map, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE)`, as `struct bpf_insn`: code, registers
/// (destination below, source above), offset, number.
fn instructions(map: RawFd) -> Vec<u64> {
    const CALL: u8 = 0x85;
    const MOVE: u8 = 0xbf;
    const MOVE_NUMBER: u8 = 0xb7;
    const LOAD_WIDE: u8 = 0x18;
    const EXIT: u8 = 0x95;
    /// `BPF_PSEUDO_MAP_FD`, in the place of a source register.
    const MAP: u8 = 1;
    let instruction = |code: u8, destination: u8, source: u8, number: i32| {
        let number = u64::from(number.cast_unsigned());
        u64::from(code) | u64::from(source << 4 | destination) << 8 | number << 32
    };
    vec![
        instruction(CALL, 0, 0, HELPER_CURRENT_TASK_BTF),
        instruction(MOVE, 2, 0, 0),
        instruction(LOAD_WIDE, 1, MAP, map),
        0,
        instruction(MOVE_NUMBER, 3, 0, 0),
        instruction(MOVE_NUMBER, 4, 0, 1),
        instruction(CALL, 0, 0, HELPER_TASK_STORAGE_GET),
        instruction(MOVE_NUMBER, 0, 0, 0),
        instruction(EXIT, 0, 0, 0),
    ]
}

/// The ids of the types below.
const KEY_TYPE: u32 = 1;
const VALUE_TYPE: u32 = 2;

/// BTF of two integers, which the kernel wants of a task storage: a key of 32 bits and a value of 64 (`Documentation/bpf/btf.rst`).
fn types() -> Vec<u8> {
    const INTEGER: u32 = 1 << 24;
    let strings = b"\0int\0u64\0";
    let integer = |name: u32, bytes: u32| [name, INTEGER, bytes, bytes * 8];
    let types: Vec<u8> =
        [integer(1, 4), integer(5, 8)].concat().into_iter().flat_map(u32::to_ne_bytes).collect();
    let [types_size, strings_size] =
        [types.len(), strings.len()].map(|size| u32::try_from(size).unwrap_or(0));
    let mut all = Vec::new();
    all.extend(0xeb9f_u16.to_ne_bytes());
    // Version 1, no flags.
    all.extend([1, 0]);
    for word in [24, 0, types_size, types_size, strings_size] {
        all.extend(u32::to_ne_bytes(word));
    }
    all.extend(types);
    all.extend(strings);
    all
}
