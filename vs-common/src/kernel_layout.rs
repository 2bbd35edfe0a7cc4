//! The fields of kernel structures that programs read, by name: rustc emits no field relocations for BPF, so the loader resolves
//! each from the running kernel's BTF and hands its offset over as a read-only global before the object is loaded. Frozen, such a
//! global is a constant to the verifier, and a pointer plus it is still a typed pointer.

/// The value of the global of an optional field that this kernel does not have.
pub const ABSENT: u64 = u64::MAX;

/// One field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KernelField {
    /// The object's global variable for the offset: in bytes, or in bits for a bit field.
    pub global: &'static str,
    /// The kernel's `struct`.
    pub structure: &'static str,
    /// The member; dots descend into embedded structures. Anonymous structures and unions are looked through.
    pub member: &'static str,
    /// Whether a kernel without the field can be enforced upon: the program has another way then.
    pub is_optional: bool,
    /// Whether it is a bit field.
    pub is_bit: bool,
}

const fn field(global: &'static str, structure: &'static str, member: &'static str) -> KernelField {
    KernelField { global, structure, member, is_optional: false, is_bit: false }
}

/// One that a kernel may lack.
const fn optional(global: &'static str, structure: &'static str, member: &'static str) -> KernelField {
    KernelField { is_optional: true, ..field(global, structure, member) }
}

/// Every field that a program reads.
pub const KERNEL_FIELDS: &[KernelField] = &[
    field("TASK_BPF_STORAGE", "task_struct", "bpf_storage"),
    field("TASK_MM", "task_struct", "mm"),
    field("TASK_LOGINUID", "task_struct", "loginuid.val"),
    field("TASK_PID", "task_struct", "pid"),
    field("TASK_TGID", "task_struct", "tgid"),
    field("TASK_COMM", "task_struct", "comm"),
    field("MM_EXE_FILE", "mm_struct", "exe_file"),
    field("FILE_F_INODE", "file", "f_inode"),
    field("FILE_F_MODE", "file", "f_mode"),
    field("FILE_F_DENTRY", "file", "f_path.dentry"),
    field("FILE_F_MNT", "file", "f_path.mnt"),
    field("MOUNT_MNT", "mount", "mnt"),
    field("MOUNT_MNT_NS", "mount", "mnt_ns"),
    field("NSPROXY_MNT_NS", "nsproxy", "mnt_ns"),
    field("FILE_F_OWNER", "file", "f_owner"),
    // Since 6.12 a file points to its owner, which points back; before, the owner is part of the file.
    optional("FOWN_FILE", "fown_struct", "file"),
    field("PATH_DENTRY", "path", "dentry"),
    field("DENTRY_D_INODE", "dentry", "d_inode"),
    field("DENTRY_D_PARENT", "dentry", "d_parent"),
    field("DENTRY_D_NAME", "dentry", "d_name.name"),
    field("INODE_I_INO", "inode", "i_ino"),
    field("INODE_I_SB", "inode", "i_sb"),
    field("INODE_I_MODE", "inode", "i_mode"),
    field("INODE_I_RDEV", "inode", "i_rdev"),
    field("INODE_I_DENTRY", "inode", "i_dentry.first"),
    field("SB_S_DEV", "super_block", "s_dev"),
    field("SB_S_MAGIC", "super_block", "s_magic"),
    field("SB_S_FLAGS", "super_block", "s_flags"),
    field("SB_S_ROOT", "super_block", "s_root"),
    field("SB_S_UUID", "super_block", "s_uuid"),
    field("INODE_I_GENERATION", "inode", "i_generation"),
    field("PROC_PID", "proc_inode", "pid"),
    field("PROC_VFS_INODE", "proc_inode", "vfs_inode"),
    field("SOCKET_SK", "socket", "sk"),
    field("SOCK_BPF_STORAGE", "sock", "sk_bpf_storage"),
    field("SOCK_PROTOCOL", "sock", "sk_protocol"),
    field("SOCK_FAMILY", "sock", "__sk_common.skc_family"),
    field("SOCK_STATE", "sock", "__sk_common.skc_state"),
    field("SOCK_ADDRESS4", "sock", "__sk_common.skc_rcv_saddr"),
    field("SOCK_ADDRESS6", "sock", "__sk_common.skc_v6_rcv_saddr"),
    field("SOCK_PEER4", "sock", "__sk_common.skc_daddr"),
    field("SOCK_PEER6", "sock", "__sk_common.skc_v6_daddr"),
    field("SOCK_PORT", "sock", "__sk_common.skc_num"),
    KernelField {
        global: "SOCK_V6ONLY_BIT",
        structure: "sock",
        member: "__sk_common.skc_ipv6only",
        is_optional: false,
        is_bit: true,
    },
    field("SOCK_MARK", "sock", "sk_mark"),
    field("MESSAGE_NAME", "msghdr", "msg_name"),
    field("MESSAGE_CONTROL_LENGTH", "msghdr", "msg_controllen"),
    field("SK_BUFF_DATA", "sk_buff", "data"),
    field("SK_BUFF_LENGTH", "sk_buff", "len"),
    field("TASK_FLAGS", "task_struct", "flags"),
    field("TASK_CRED", "task_struct", "cred"),
    field("TASK_NSPROXY", "task_struct", "nsproxy"),
    optional("TASK_IO_URING", "task_struct", "io_uring"),
    // Of x86.
    optional("TASK_STATUS", "task_struct", "thread_info.status"),
    optional("REGS_ORIG_AX", "pt_regs", "orig_ax"),
    optional("REGS_AX", "pt_regs", "ax"),
    field("NSPROXY_UTS", "nsproxy", "uts_ns"),
    field("UTS_NUMBER", "uts_namespace", "ns.inum"),
    field("BPRM_CRED", "linux_binprm", "cred"),
    field("CRED_EUID", "cred", "euid.val"),
    field("CRED_EGID", "cred", "egid.val"),
    field("CRED_PERMITTED", "cred", "cap_permitted"),
];

/// Other read-only globals that the loader sets.
pub mod global {
    /// 1 where `bpf_task_storage_get` gives NULL when its per-CPU lock is busy (before 6.2), 0 elsewhere.
    pub const TASK_STORAGE_MAY_BE_BUSY: &str = "STORAGE_BUSY";
    /// 1 where a typed load may read a task's storage past the helper, see `vs-ebpf/src/kernel/storage.rs`; 0 elsewhere, and while a failure
    /// to read a tag is acted out.
    pub const TASK_STORAGE_IS_READABLE: &str = "STORAGE_CACHE";
    /// 1 where `inode_setattr` has the mount's id map before the dentry (since 6.2), 0 elsewhere.
    pub const SETATTR_HAS_IDMAP: &str = "SETATTR_IDMAP";
    /// The generation of the canary that is these programs' own. To all others a canary is the host's, so that what a load tries is not
    /// what is in force already.
    pub const CANARY_GENERATION: &str = "CANARY_GENERATION";
    /// [`super::inject`] bits; 0 in production, and the branches are pruned by the verifier.
    pub const INJECT: &str = "INJECT";
}

/// Helper failures that a test can ask the programs to act out, as bits of the global `INJECT`.
pub mod inject {
    /// No storage for a child's tag.
    pub const TASK_CREATE: u32 = 1;
    /// The actor's tag cannot be read.
    pub const ACTOR_READ: u32 = 1 << 1;
    /// The target's tag cannot be read.
    pub const TARGET_READ: u32 = 1 << 2;
    /// The ring buffer is full.
    pub const RING_FULL: u32 = 1 << 3;
    /// No storage for the tag of a `/proc/PID` inode.
    pub const INODE_CREATE: u32 = 1 << 4;
    /// No room to remember who gave a file its owner.
    pub const OWNER_FULL: u32 = 1 << 5;
    /// The flag `entering` cannot be cleared.
    pub const ENTER_CLEAR: u32 = 1 << 6;
    /// No storage for the tag of a socket.
    pub const SOCKET_CREATE: u32 = 1 << 7;

    /// Of these the loader's canary would die: it has a child and is asked who it is. Nothing that meets them is put in force by anybody but
    /// a test.
    pub const MET_BY_CANARY: u32 = TASK_CREATE | ACTOR_READ;
}
