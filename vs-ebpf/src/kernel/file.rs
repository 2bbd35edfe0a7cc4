//! `struct file`, `struct path`, `struct dentry`, `struct fown_struct`.

use core::ffi::c_void;

use vs_common::kernel_layout::ABSENT;

use super::inode::Inode;
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

    /// The address of its dentry.
    #[inline(always)]
    pub(crate) fn dentry(self) -> u64 {
        read(self.address() + layout::FILE_F_DENTRY.load())
    }
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
