//! For `cargo xtask bench` only: on every hook of `vs_common::hook` a program that lets everything pass.
//!
//! What a system call costs more with these attached is what any program on the hook costs, whatever it does: the trampoline, or what the
//! kernel makes ready for programs at sockets. The benchmark compares the programs of the object with them.
#![no_std]
#![no_main]

use core::ffi::c_void;

use aya_ebpf::macros::{cgroup_skb, cgroup_sock_addr, lsm, lsm_cgroup, sk_lookup, sock_ops};
use aya_ebpf::programs::{LsmContext, SkBuffContext, SkLookupContext, SockAddrContext, SockOpsContext};

use vs_common::hook::Hook;

/// What lets a call with a socket address pass, `SK_PASS`, and what any of events returns.
const PASS: u32 = 1;

macro_rules! empty_programs {
    (
        hooks { $($hook:ident $name:tt)* }
        addresses { $($address:ident $address_name:tt)* }
        others { $($other:tt)* }
        hooks { $($late:ident $late_name:tt)* }
        others { $($last:tt)* }
        hooks { $($latest:ident $latest_name:tt)* }
        others { $($finals:tt)* }
    ) => {
        $(
            #[lsm(hook = $latest_name)]
            fn $latest(_ctx: LsmContext) -> i32 {
                0
            }
        )*

        $(
            #[lsm(hook = $late_name)]
            fn $late(_ctx: LsmContext) -> i32 {
                0
            }
        )*

        $(
            #[lsm(hook = $name)]
            fn $hook(_ctx: LsmContext) -> i32 {
                0
            }
        )*

        $(
            #[cgroup_sock_addr($address)]
            fn $address(_ctx: SockAddrContext) -> i32 {
                PASS as i32
            }
        )*

        const NAMES: &[&str] = &[$($name,)* $($address_name,)* $($other,)* $($late_name,)* $($last,)* $($latest_name,)* $($finals,)*];
        $(const _: () = assert!(is_equal(stringify!($hook), $name));)*
        $(const _: () = assert!(is_equal(stringify!($late), $late_name));)*
        $(const _: () = assert!(is_equal(stringify!($latest), $latest_name));)*
        $(const _: () = assert!(is_equal(stringify!($address), $address_name));)*
    };
}

empty_programs! {
    hooks {
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
        socket_create "socket_create"
        socket_post_create "socket_post_create"
        socket_listen "socket_listen"
        socket_setsockopt "socket_setsockopt"
        netlink_send "netlink_send"
    }
    addresses {
        bind4 "bind4"
        bind6 "bind6"
        connect4 "connect4"
        connect6 "connect6"
        sendmsg4 "sendmsg4"
        sendmsg6 "sendmsg6"
        recvmsg4 "recvmsg4"
        recvmsg6 "recvmsg6"
        getpeername4 "getpeername4"
        getpeername6 "getpeername6"
        getsockname4 "getsockname4"
        getsockname6 "getsockname6"
    }
    others { "listen_event" "socket_lookup" "udp_sockets" }
    hooks {
        socket_bind "socket_bind"
        socket_sendmsg "socket_sendmsg"
    }
    others { "ping_source" "ingress" }
    hooks {
        inode_create "inode_create"
        inode_mknod "inode_mknod"
        inode_setxattr "inode_setxattr"
        inode_removexattr "inode_removexattr"
        inode_set_acl "inode_set_acl"
        inode_remove_acl "inode_remove_acl"
        inode_file_setattr "inode_file_setattr"
    }
    others { "file_request" "file_request_compat" "inode_permission" "file_receive" "bprm_creds_from_file" }
}

#[sock_ops]
fn listen_event(_ctx: SockOpsContext) -> u32 {
    PASS
}

#[sk_lookup]
fn socket_lookup(_ctx: SkLookupContext) -> u32 {
    PASS
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/udp")]
extern "C" fn udp_sockets(_ctx: *const c_void) -> i32 {
    0
}

#[lsm(hook = "file_ioctl")]
fn file_request(_ctx: LsmContext) -> i32 {
    0
}

#[lsm(hook = "file_ioctl_compat")]
fn file_request_compat(_ctx: LsmContext) -> i32 {
    0
}

#[lsm(hook = "inode_permission")]
fn inode_permission(_ctx: LsmContext) -> i32 {
    0
}

#[lsm(hook = "file_receive")]
fn file_receive(_ctx: LsmContext) -> i32 {
    0
}

#[lsm(hook = "bprm_creds_from_file")]
fn bprm_creds_from_file(_ctx: LsmContext) -> i32 {
    0
}

#[lsm_cgroup(hook = "socket_post_create")]
fn ping_source(_ctx: LsmContext) -> i32 {
    PASS as i32
}

#[cgroup_skb(ingress)]
fn ingress(_ctx: SkBuffContext) -> i32 {
    PASS as i32
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
