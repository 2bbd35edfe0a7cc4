//! Offsets of the running kernel, set by the loader before the object is loaded.
//!
//! They lie in `.rodata`, which the loader freezes: to the verifier each is a constant, a pointer plus it is a typed pointer with a
//! fixed offset, and a branch on one is pruned. `vs_common::kernel_layout` says which field each stands for.

use aya_ebpf::Global;

macro_rules! globals {
    ($type:ty: $($name:ident)*) => {
        $(
            #[unsafe(no_mangle)]
            pub(crate) static $name: Global<$type> = Global::new(0);
        )*
    };
}

globals!(u64:
    TASK_BPF_STORAGE TASK_MM TASK_LOGINUID TASK_PID TASK_TGID TASK_COMM MM_EXE_FILE FILE_F_INODE FILE_F_MODE FILE_F_DENTRY
    FILE_F_MNT MOUNT_MNT MOUNT_MNT_NS NSPROXY_MNT_NS
    FILE_F_OWNER FOWN_FILE PATH_DENTRY DENTRY_D_INODE DENTRY_D_PARENT DENTRY_D_NAME INODE_I_INO INODE_I_SB INODE_I_MODE INODE_I_RDEV
    INODE_I_DENTRY SB_S_DEV SB_S_MAGIC SB_S_FLAGS SB_S_ROOT SB_S_UUID INODE_I_GENERATION PROC_PID PROC_VFS_INODE CANARY_GENERATION
    SOCKET_SK SOCK_BPF_STORAGE SOCK_PROTOCOL SOCK_FAMILY SOCK_STATE SOCK_ADDRESS4 SOCK_ADDRESS6 SOCK_PORT SOCK_V6ONLY_BIT SK_BUFF_DATA
    SK_BUFF_LENGTH SOCK_MARK SOCK_PEER4 SOCK_PEER6 MESSAGE_NAME MESSAGE_CONTROL_LENGTH
    TASK_FLAGS TASK_CRED TASK_NSPROXY TASK_IO_URING TASK_STATUS REGS_ORIG_AX REGS_AX NSPROXY_UTS UTS_NUMBER BPRM_CRED CRED_EUID CRED_EGID
    CRED_PERMITTED
);
globals!(u32: STORAGE_BUSY STORAGE_CACHE SETATTR_IDMAP INJECT);

/// Whether a test asked for this failure. Constant false in production, and the branch is gone.
#[inline(always)]
pub(crate) fn is_injected(failure: u32) -> bool {
    INJECT.load() & failure != 0
}
