//! `struct file`, `struct path`, `struct dentry`, `struct fown_struct`.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;

use vs_common::filesystem::{ShortName, magic};
use vs_common::kernel_layout::ABSENT;

use super::inode::{Inode, InodeAddress};
use super::task::Task;
use super::{layout, read};

/// `FMODE_WRITE` of `include/linux/fs.h`.
const FMODE_WRITE: u32 = 2;

/// A hook's argument of type `struct file *`, never NULL in the hooks that use this.
#[derive(Clone, Copy)]
pub(crate) struct File(*const u8);

impl File {
    /// A hook's argument.
    #[inline(always)]
    pub(crate) fn argument(pointer: *const c_void) -> Self {
        Self(pointer.cast())
    }

    /// Its address: the identity of the open file description as long as it lives.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0 as u64
    }

    /// Its inode.
    #[inline(always)]
    pub(crate) fn inode(self) -> Option<Inode> {
        // SAFETY: A typed pointer plus a constant from this kernel's BTF; the result is typed, and tested before use.
        Inode::walked(unsafe { *self.0.add(layout::FILE_F_INODE.load() as usize).cast() })
    }

    /// Whether it is opened for writing.
    #[inline(always)]
    pub(crate) fn is_write(self) -> bool {
        // SAFETY: As above; a scalar.
        unsafe { *self.0.add(layout::FILE_F_MODE.load() as usize).cast::<u32>() & FMODE_WRITE != 0 }
    }

    /// Where its walk upward begins.
    #[inline(always)]
    pub(crate) fn place(self) -> Dentry {
        // SAFETY: As above; the result is typed. From 6.18 on it is one that helpers do not take, and loads do.
        Dentry(unsafe { *self.0.add(layout::FILE_F_DENTRY.load() as usize).cast() })
    }

    /// Whether it was opened in the mount namespace that the running task is in; 0 or 1. What is in no namespace any more is in nobody's.
    #[inline(never)]
    pub(crate) fn is_in_tree_of(self, task: Task) -> u32 {
        let mount: u64 = read(self.address() + layout::FILE_F_MNT.load());
        // The generic part is within the mount that it is of (`fs/mount.h:real_mount`).
        let mount = mount.wrapping_sub(layout::MOUNT_MNT.load());
        let namespace: u64 = read(mount + layout::MOUNT_MNT_NS.load());
        let proxy: u64 = read(task.address() + layout::TASK_NSPROXY.load());
        let own: u64 = read(proxy + layout::NSPROXY_MNT_NS.load());
        u32::from(namespace != 0 && namespace == own)
    }

    /// The address of its dentry.
    #[inline(always)]
    pub(crate) fn dentry(self) -> u64 {
        read(self.address() + layout::FILE_F_DENTRY.load())
    }
}

/// A dentry as the verifier knows it, from which a walk leads upward.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dentry(*const u8);

impl Dentry {
    /// A hook's argument of type `struct dentry *`, never NULL in the hooks that use this.
    #[inline(always)]
    pub(crate) fn argument(pointer: *const c_void) -> Self {
        Self(pointer.cast())
    }

    /// The directory that it is a name in; of a file system's root itself.
    #[inline(always)]
    pub(crate) fn parent(self) -> Self {
        // SAFETY: As in `File::inode`; a dentry has a parent.
        Self(unsafe { *self.0.add(layout::DENTRY_D_PARENT.load() as usize).cast() })
    }

    /// `i_ino` and `i_generation` of what it names. Not of a hook's argument that names nothing (kernel-facts: 6.12 takes the pointer for one
    /// that is never NULL).
    #[inline(always)]
    pub(crate) fn numbers(self) -> (u64, u32) {
        // SAFETY: As above; the inode is tested, which the verifier wants from 6.18 on.
        unsafe {
            let inode: *const u8 = *self.0.add(layout::DENTRY_D_INODE.load() as usize).cast();
            if inode.is_null() {
                return (0, 0);
            }
            (
                *inode.add(layout::INODE_I_INO.load() as usize).cast(),
                *inode.add(layout::INODE_I_GENERATION.load() as usize).cast(),
            )
        }
    }
}

/// The inode that a dentry at an address names; 0: it names nothing.
#[inline(always)]
pub(crate) fn named_inode(dentry: u64) -> InodeAddress {
    InodeAddress(read(dentry + layout::DENTRY_D_INODE.load()))
}

/// The dentry of a `struct path *` argument.
#[inline(always)]
pub(crate) fn path_dentry(path: *const c_void) -> Option<*const c_void> {
    // SAFETY: As in `File::inode`: a typed walk from an argument.
    let dentry: *const c_void = unsafe { *path.cast::<u8>().add(layout::PATH_DENTRY.load() as usize).cast() };
    if dentry.is_null() { None } else { Some(dentry) }
}

/// The inode of a positive `struct dentry *`. A negative one reads as none from 6.18 on and must not be asked before
/// (kernel-facts: 6.12 declares it never NULL).
#[inline(always)]
pub(crate) fn dentry_inode(dentry: *const c_void) -> Option<Inode> {
    // SAFETY: As in `File::inode`.
    Inode::walked(unsafe { *dentry.cast::<u8>().add(layout::DENTRY_D_INODE.load() as usize).cast() })
}

/// How deep files lie below `/proc/PID/net` at most: `rpc/nfs4.idtoname/channel`, and one more.
const NETWORK_DEPTH: u32 = 4;

/// Of a file on a procfs that stands for no process, at the address of its dentry: the name of its first component below `/proc/PID/net`,
/// which is a directory of a process in whose place nothing of its own lies (`fs/proc/proc_net.c:proc_tgid_net_lookup`). None: it lies
/// elsewhere.
#[inline(always)]
pub(crate) fn network_file(dentry: u64) -> Option<ShortName> {
    let mut dentry = dentry;
    let mut depth = 0;
    while depth < NETWORK_DEPTH {
        let parent: u64 = read(dentry + layout::DENTRY_D_PARENT.load());
        if parent == dentry {
            return None;
        }
        let inode: u64 = read(parent + layout::DENTRY_D_INODE.load());
        if InodeAddress(inode).is_process(magic::PROC) {
            let mut name: ShortName = [0; 2];
            // SAFETY: The destination is a live local of that size; the helper checks the source itself.
            unsafe {
                bpf_probe_read_kernel_str(
                    name.as_mut_ptr().cast(),
                    size_of::<ShortName>() as u32,
                    dentry_name(dentry) as *const c_void,
                );
            }
            return Some(name);
        }
        dentry = parent;
        depth += 1;
    }
    None
}

/// The address of the last component's name.
#[inline(always)]
pub(crate) fn dentry_name(dentry: u64) -> u64 {
    read(dentry + layout::DENTRY_D_NAME.load())
}

/// The address of the inode, device and inode number of the file at an address: `(inode, device, number)`.
#[inline(always)]
pub(crate) fn identity_at(file: u64) -> (u64, u64, u64) {
    let inode: u64 = read(file + layout::FILE_F_INODE.load());
    let superblock: u64 = read(inode + layout::INODE_I_SB.load());
    let device: u32 = read(superblock + layout::SB_S_DEV.load());
    (inode, u64::from(device), read(inode + layout::INODE_I_INO.load()))
}

/// The address of the dentry of the file at an address.
#[inline(always)]
pub(crate) fn dentry_at(file: u64) -> u64 {
    read(file + layout::FILE_F_DENTRY.load())
}

/// The address of the file that a `struct fown_struct *` argument belongs to: since 6.12 it points back, before it is part of it.
#[inline(always)]
pub(crate) fn owner_file(owner: *const c_void) -> u64 {
    if layout::FOWN_FILE.load() == ABSENT {
        (owner as u64).wrapping_sub(layout::FILE_F_OWNER.load())
    } else {
        // SAFETY: As in `File::inode`; the pointer is only a key.
        unsafe { *owner.cast::<u8>().add(layout::FOWN_FILE.load() as usize).cast() }
    }
}
