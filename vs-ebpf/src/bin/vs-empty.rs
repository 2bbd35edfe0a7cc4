//! For `cargo xtask bench` only: on every hook of `vs_common::hook` a program that lets everything pass.
//!
//! What a system call costs more with these attached is what any program on the hook costs, whatever it does: the trampoline. The
//! benchmark compares the programs of the object with them.
#![no_std]
#![no_main]

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::hook::Hook;

macro_rules! empty_programs {
    ($($hook:ident $name:tt)*) => {
        $(
            #[lsm(hook = $name)]
            fn $hook(_ctx: LsmContext) -> i32 {
                0
            }
        )*

        const NAMES: &[&str] = &[$($name,)*];
        $(const _: () = assert!(is_equal(stringify!($hook), $name));)*
    };
}

empty_programs! {
    task_alloc "task_alloc"
    bprm_committed_creds "bprm_committed_creds"
    task_kill "task_kill"
    ptrace_access_check "ptrace_access_check"
    ptrace_traceme "ptrace_traceme"
    task_getpgid "task_getpgid"
    task_getsid "task_getsid"
    task_getscheduler "task_getscheduler"
    task_setscheduler "task_setscheduler"
    task_setnice "task_setnice"
    task_getioprio "task_getioprio"
    task_setioprio "task_setioprio"
    task_movememory "task_movememory"
    task_setrlimit "task_setrlimit"
    file_fcntl "file_fcntl"
    file_ioctl "file_ioctl"
    file_ioctl_compat "file_ioctl_compat"
    file_set_fowner "file_set_fowner"
    file_send_sigiotask "file_send_sigiotask"
    bpf "bpf"
    capable "capable"
    userns_create "userns_create"
    sb_mount "sb_mount"
    kernel_module_request "kernel_module_request"
    file_open "file_open"
    inode_unlink "inode_unlink"
    inode_rmdir "inode_rmdir"
    inode_rename "inode_rename"
    inode_mkdir "inode_mkdir"
    inode_symlink "inode_symlink"
    inode_link "inode_link"
    inode_setattr "inode_setattr"
    task_to_inode "task_to_inode"
    inode_getattr "inode_getattr"
    inode_readlink "inode_readlink"
}

// The list above is the table's, in its order: a hook that is added there fails the build here.
const _: () = {
    assert!(NAMES.len() == Hook::COUNT);
    let mut i = 0;
    while i < Hook::COUNT {
        assert!(is_equal(NAMES[i], Hook::ALL[i].name()));
        i += 1;
    }
};

const fn is_equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Never reached: nothing here panics.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// LSM programs must be GPL (`kernel/bpf/bpf_lsm.c:bpf_lsm_verify_prog`).
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
