//! By which numbers a directory is known: what `FILES` has for keys, told to whoever holds a descriptor of it.
//!
//! stat(2) does not show them: its device is another on btrfs, and it shows no generation.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_seq_write;

use vs_common::filesystem::FileNumbers;

use crate::kernel::file::File;
use crate::kernel::task::Task;

/// What the program returns: go on with the next file.
const NEXT: i32 = 0;

/// `struct bpf_iter_meta`, as far as it is read.
#[repr(C)]
struct Iteration {
    /// `struct seq_file *`: what is read from the iterator's descriptor.
    output: *mut c_void,
}

/// `struct bpf_iter__task_file`.
#[repr(C)]
struct FileIteration {
    meta: *const Iteration,
    /// `struct task_struct *`; null: there is no further file.
    task: *mut c_void,
    /// The descriptor's number, and padding.
    descriptor: u64,
    /// `struct file *`; null: there is no further one.
    file: *const c_void,
}

/// `task_file_seq_show`, for each descriptor of each task: of the reader's own the numbers are written.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
extern "C" fn file_numbers(ctx: *const FileIteration) -> i32 {
    // SAFETY: The program's own context.
    let (task, file, descriptor) = unsafe { ((*ctx).task, (*ctx).file, (*ctx).descriptor as u32) };
    if task.is_null() || file.is_null() {
        return NEXT;
    }
    // The reader's thread group in the initial PID namespace.
    if Task::argument(task).tgid() != (bpf_get_current_pid_tgid() >> 32) as u32 {
        return NEXT;
    }
    let Some(inode) = File::argument(file).inode() else { return NEXT };
    let address = inode.address();
    let numbers = FileNumbers {
        descriptor,
        device: address.device(),
        inode: address.number(),
        generation: address.generation(),
        filesystem: inode.superblock_identity(),
        magic: inode.superblock_magic(),
    };
    // SAFETY: The output is the kernel's own and known to the verifier; a live local of that size. What does not fit makes the kernel call
    // again with a larger buffer.
    unsafe {
        let output = (*(*ctx).meta).output;
        bpf_seq_write(output.cast(), ptr::from_ref(&numbers).cast(), size_of::<FileNumbers>() as u32);
    }
    NEXT
}
