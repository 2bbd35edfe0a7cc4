//! `struct inode`, `struct super_block`, `struct proc_inode`.

use core::ffi::c_void;

use vs_common::filesystem::{fold_uuid, magic};

use super::{layout, read};

/// `SB_NOUSER` of `include/linux/fs.h`.
const NO_USER: u64 = 1 << 31;

/// An inode as the verifier knows it: a hook's argument, or walked to from one.
#[derive(Clone, Copy)]
pub(crate) struct Inode(*mut c_void);

impl Inode {
    /// A hook's argument of type `struct inode *`, never NULL in the hooks that use this.
    #[inline(always)]
    pub(crate) fn argument(pointer: *mut c_void) -> Self {
        Self(pointer)
    }

    /// The end of a typed walk.
    #[inline(always)]
    pub(crate) fn walked(pointer: *mut c_void) -> Option<Self> {
        if pointer.is_null() { None } else { Some(Self(pointer)) }
    }

    /// For helpers that take an inode.
    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *mut c_void {
        self.0
    }

    /// `s_magic` of its file system.
    #[inline(always)]
    pub(crate) fn superblock_magic(self) -> u64 {
        // SAFETY: Typed pointers plus constants from this kernel's BTF; an inode has a superblock.
        unsafe {
            let superblock: *const u8 = *self.0.cast::<u8>().add(layout::INODE_I_SB.load() as usize).cast();
            *superblock.add(layout::SB_S_MAGIC.load() as usize).cast()
        }
    }

    /// Whether programs get to its file system by names: not so pipes, sockets, memory files and their like, which are on mounts of the
    /// kernel's own (`SB_NOUSER`).
    #[inline(always)]
    pub(crate) fn has_place(self) -> bool {
        // SAFETY: As above; a scalar.
        unsafe {
            let superblock: *const u8 = *self.0.cast::<u8>().add(layout::INODE_I_SB.load() as usize).cast();
            *superblock.add(layout::SB_S_FLAGS.load() as usize).cast::<u64>() & NO_USER == 0
        }
    }

    /// `i_ino` and `i_generation`.
    #[inline(always)]
    pub(crate) fn numbers(self) -> (u64, u32) {
        // SAFETY: As above; scalars.
        unsafe {
            let inode = self.0.cast::<u8>();
            (
                *inode.add(layout::INODE_I_INO.load() as usize).cast(),
                *inode.add(layout::INODE_I_GENERATION.load() as usize).cast(),
            )
        }
    }

    /// `s_dev` of its file system.
    #[inline(always)]
    pub(crate) fn superblock_device(self) -> u32 {
        // SAFETY: As above; a scalar.
        unsafe {
            let superblock: *const u8 = *self.0.cast::<u8>().add(layout::INODE_I_SB.load() as usize).cast();
            *superblock.add(layout::SB_S_DEV.load() as usize).cast()
        }
    }

    /// What its file system is called by, see [`fold_uuid`].
    #[inline(always)]
    pub(crate) fn superblock_identity(self) -> u32 {
        // SAFETY: As above; scalars, of sixteen bytes.
        unsafe {
            let superblock: *const u8 = *self.0.cast::<u8>().add(layout::INODE_I_SB.load() as usize).cast();
            let uuid = layout::SB_S_UUID.load() as usize;
            fold_uuid(*superblock.add(uuid).cast(), *superblock.add(uuid + 8).cast())
        }
    }

    /// The root of its file system.
    #[inline(always)]
    pub(crate) fn superblock_root(self) -> Option<Self> {
        // SAFETY: As above; each result is typed, and the last one tested before use.
        Self::walked(unsafe {
            let superblock: *const u8 = *self.0.cast::<u8>().add(layout::INODE_I_SB.load() as usize).cast();
            let root: *const u8 = *superblock.add(layout::SB_S_ROOT.load() as usize).cast();
            *root.add(layout::DENTRY_D_INODE.load() as usize).cast()
        })
    }

    /// `i_mode`: type and permissions.
    #[inline(always)]
    pub(crate) fn mode(self) -> u32 {
        // SAFETY: As above; a scalar.
        u32::from(unsafe { *self.0.cast::<u8>().add(layout::INODE_I_MODE.load() as usize).cast::<u16>() })
    }

    /// `i_rdev`: which device it stands for.
    #[inline(always)]
    pub(crate) fn represented_device(self) -> u32 {
        // SAFETY: As above; a scalar.
        unsafe { *self.0.cast::<u8>().add(layout::INODE_I_RDEV.load() as usize).cast() }
    }

    /// Whether no name leads to it yet: it is being made, and nobody but its maker knows it.
    #[inline(always)]
    pub(crate) fn is_unlinked(self) -> bool {
        // SAFETY: As above; a pointer that is only tested.
        unsafe { *self.0.cast::<u8>().add(layout::INODE_I_DENTRY.load() as usize).cast::<u64>() == 0 }
    }

    /// For reads by address.
    #[inline(always)]
    pub(crate) fn address(self) -> InodeAddress {
        InodeAddress(self.0 as u64)
    }
}

/// An inode by its address: what is read of it is zero where there is none.
#[derive(Clone, Copy)]
pub(crate) struct InodeAddress(pub(crate) u64);

impl InodeAddress {
    #[inline(always)]
    fn superblock(self) -> u64 {
        read(self.0 + layout::INODE_I_SB.load())
    }

    /// `s_dev` of its file system.
    #[inline(always)]
    pub(crate) fn device(self) -> u32 {
        read(self.superblock() + layout::SB_S_DEV.load())
    }

    /// `i_generation`.
    #[inline(always)]
    pub(crate) fn generation(self) -> u32 {
        read(self.0 + layout::INODE_I_GENERATION.load())
    }

    /// `i_ino`.
    #[inline(always)]
    pub(crate) fn number(self) -> u64 {
        read(self.0 + layout::INODE_I_INO.load())
    }

    /// Whether the inode lies on a procfs and stands for a process: `proc_inode.pid` is set for all below `/proc/PID`
    /// (`fs/proc/base.c:proc_pid_make_inode`) and NULL elsewhere (`fs/proc/inode.c:proc_alloc_inode`).
    #[inline(always)]
    pub(crate) fn is_process(self, superblock_magic: u64) -> bool {
        if superblock_magic != magic::PROC {
            return false;
        }
        let container = self.0.wrapping_sub(layout::PROC_VFS_INODE.load());
        let pid: u64 = read(container.wrapping_add(layout::PROC_PID.load()));
        pid != 0
    }
}
