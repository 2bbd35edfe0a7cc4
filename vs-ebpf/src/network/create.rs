//! Sockets are made: which may be, whose they are, and what may be asked of them.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::helpers::generated::bpf_sk_storage_get;
use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::context::{Identity, Tag, lifecycle};
use vs_common::hook::Hook;
use vs_common::kernel_layout::inject;
use vs_common::network::{
    Address, decide_icmp_option, decide_socket, decide_socket_option, is_icmp, is_netlink_question, number,
};
use vs_common::verdict::{Errno, Reason, Verdict};

use super::{epoch, own_tag, rules_of};
use crate::audit::Target;
use crate::kernel::layout::is_injected;
use crate::kernel::read;
use crate::kernel::socket::{Sock, packet};
use crate::kernel::task::Task;
use crate::maps::SOCKETS;
use crate::verdict::{ALLOW, allow_host, conclude};
use crate::{context, counters};

/// `BPF_LOCAL_STORAGE_GET_F_CREATE`.
const CREATE: u64 = 1;
/// What a socket has of its maker's lifecycle.
const OF_A_SOCKET: u32 = lifecycle::NETWORK | lifecycle::NETWORK_ONLY;
/// Messages in one buffer that are looked at; more than that is nobody's question.
const MAX_MESSAGES: u32 = 16;

/// The tag of a socket, or null.
#[inline(always)]
pub(super) fn sock_tag(sock: Sock) -> *mut Tag {
    // SAFETY: The map is a socket storage of `Tag`; `sock` is typed, which the verifier checks.
    own_tag(unsafe { bpf_sk_storage_get(SOCKETS.as_ptr(), sock.as_ptr(), ptr::null_mut(), 0).cast() })
}

/// Whether a family has addresses of the kind that contexts have.
#[inline(always)]
const fn is_internet(family: u32) -> bool {
    family == number::AF_INET || family == number::AF_INET6
}

/// `__sock_create(family, type, protocol, kern)`, before there is anything: see [`decide_socket`]. Members of contexts without addresses of
/// their own are let go, and so is the kernel, which makes sockets in the name of whoever runs.
#[lsm(hook = "socket_create")]
fn socket_create(ctx: LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    let (family, kind, protocol, is_kernel): (u32, u32, u32, u32) =
        (ctx.arg(0), ctx.arg(1), ctx.arg(2), ctx.arg(3));
    if is_kernel != 0 {
        return ALLOW;
    }
    member_creates(current, family, kind, protocol)
}

/// The same for a task that has some storage.
#[inline(never)]
fn member_creates(current: Task, family: u32, kind: u32, protocol: u32) -> i32 {
    let actor = context::network_actor(current);
    match actor {
        Identity::Host => return allow_host(),
        Identity::Member(tag) if !tag.has_network() => return ALLOW,
        Identity::Member(tag) if tag.is_network_only() && !is_internet(family) => return ALLOW,
        _ => {}
    }
    let flags = if is_icmp(family, protocol) { flags_of(actor) } else { 0 };
    let verdict = decide_socket(actor, flags, family, kind, protocol);
    if verdict == Verdict::Allow {
        if kind == number::SOCK_RAW && is_internet(family) {
            allow_raw(current);
        }
        return ALLOW;
    }
    let target = Target::address(family, protocol, 0, &Address::NONE);
    conclude(Hook::SocketCreate, verdict, actor, &target, u64::from(kind))
}

/// Lets the running task use `CAP_NET_RAW` once: the next that is asked of it is the socket's (`net/ipv4/af_inet.c:inet_create`). Whoever's tag
/// cannot be had is refused there.
#[inline(always)]
fn allow_raw(current: Task) {
    let tag = context::task_tag(current);
    if tag.is_null() {
        counters::count_failure(Hook::SocketCreate);
        return;
    }
    // SAFETY: A map's value, which lives until the program returns; only the task's own calls change it.
    unsafe { (*tag).lifecycle |= lifecycle::MAKES_RAW };
}

/// What is granted to a context, as [`vs_common::network::network_flag`] bits.
#[inline(never)]
pub(super) fn flags_of_member(tag: &Tag) -> u32 {
    match rules_of(tag, epoch()) {
        Some(rules) => rules.flags,
        None => 0,
    }
}

/// The same for whoever acts.
#[inline(always)]
fn flags_of(actor: Identity) -> u32 {
    match actor {
        Identity::Member(tag) => flags_of_member(&tag),
        Identity::Host | Identity::Unknown => 0,
    }
}

/// `__sock_create(sock, family, type, protocol, kern)`, once there is a socket: it gets its creator's tag, or there is none.
///
/// | creator | storage | verdict             |
/// |---------|---------|---------------------|
/// | host    | -       | allow, no tag       |
/// | member  | yes     | allow, the same tag |
/// | member  | no      | ENOMEM              |
///
/// Also of contexts that use the host's addresses: they stay out of others' private loopback.
#[lsm(hook = "socket_post_create")]
fn socket_post_create(ctx: LsmContext) -> i32 {
    let current = Task::current();
    if !current.has_storage() {
        return ALLOW;
    }
    let (family, kind, is_kernel): (u32, u32, u32) = (ctx.arg(1), ctx.arg(2), ctx.arg(4));
    if is_kernel != 0 || family == number::AF_UNIX {
        return ALLOW;
    }
    let Some(sock) = Sock::of_socket(ctx.arg::<*const c_void>(0)) else { return ALLOW };
    let is_raw = kind == number::SOCK_RAW && is_internet(family);
    member_has_created(current, sock, family, if is_raw { lifecycle::RAW } else { 0 })
}

/// The same for a task that has some storage; `kind`: what its tag says of the socket itself.
#[inline(never)]
fn member_has_created(current: Task, sock: Sock, family: u32, kind: u32) -> i32 {
    let actor = context::network_actor(current);
    let verdict = match actor {
        Identity::Host => return allow_host(),
        Identity::Unknown => Verdict::Deny(Errno::Enomem, Reason::UnknownActor),
        Identity::Member(tag) => {
            let mut value = Tag { lifecycle: tag.lifecycle & OF_A_SOCKET | kind, ..tag };
            // SAFETY: As in `sock_tag`; `value` is a live local of the map's value type. The socket is its maker's alone.
            let stored = unsafe {
                bpf_sk_storage_get(
                    SOCKETS.as_ptr(),
                    sock.as_ptr(),
                    ptr::from_mut(&mut value).cast::<c_void>(),
                    CREATE,
                )
            };
            if !stored.is_null() && !is_injected(inject::SOCKET_CREATE) {
                return ALLOW;
            }
            counters::count_failure(Hook::SocketPostCreate);
            Verdict::Deny(Errno::Enomem, Reason::NoStorage)
        }
    };
    conclude(Hook::SocketPostCreate, verdict, actor, &Target::address(family, 0, 0, &Address::NONE), 0)
}

/// `setsockopt(sock, level, option)`, before it acts: see [`decide_socket_option`]. The detail is level and option.
#[lsm(hook = "socket_setsockopt")]
fn socket_setsockopt(ctx: LsmContext) -> i32 {
    context::end_raw(Task::current());
    let Some(sock) = Sock::of_socket(ctx.arg::<*const c_void>(0)) else { return ALLOW };
    if !sock.has_storage() {
        return ALLOW;
    }
    let (level, option): (u32, u32) = (ctx.arg(1), ctx.arg(2));
    // Without any grant: nearly every option needs none.
    if decide_socket_option(0, level, option) == Verdict::Allow
        && decide_icmp_option(true, level, option) == Verdict::Allow
    {
        return ALLOW;
    }
    member_sets_option(sock, level, option)
}

/// The same for a socket that has some storage and an option that reaches beyond it.
#[inline(never)]
fn member_sets_option(sock: Sock, level: u32, option: u32) -> i32 {
    let tag = sock_tag(sock);
    if tag.is_null() {
        return ALLOW;
    }
    // SAFETY: A map's value, which lives until the program returns.
    let owner = unsafe { *tag };
    if !owner.has_network() {
        return ALLOW;
    }
    let address = sock.address();
    let verdict = match decide_socket_option(flags_of_member(&owner), level, option) {
        Verdict::Allow if is_icmp(address.family(), address.protocol()) => {
            decide_icmp_option(owner.is_raw(), level, option)
        }
        verdict => verdict,
    };
    if verdict == Verdict::Allow {
        return ALLOW;
    }
    let target = Target::address(address.family(), address.protocol(), address.port(), &Address::NONE);
    let detail = u64::from(level) << 32 | u64::from(option);
    conclude(Hook::SocketSetsockopt, verdict, Identity::Member(owner), &target, detail)
}

/// `netlink_sendmsg(sk, skb)`: a socket of a context asks, and orders nothing. The detail is the first message that does.
///
/// | socket                  | every message a question | verdict |
/// |-------------------------|--------------------------|---------|
/// | the host's              | -                        | allow   |
/// | a member's              | yes                      | allow   |
/// | a member's              | no                       | EPERM   |
#[lsm(hook = "netlink_send")]
fn netlink_send(ctx: LsmContext) -> i32 {
    let sock = Sock::argument(ctx.arg(0));
    if !sock.has_storage() {
        return ALLOW;
    }
    member_sends(sock, ctx.arg(1))
}

/// The same for a socket that has some storage.
#[inline(never)]
fn member_sends(sock: Sock, buffer: *const c_void) -> i32 {
    let tag = sock_tag(sock);
    if tag.is_null() {
        return ALLOW;
    }
    // SAFETY: As in `member_sets_option`.
    let owner = unsafe { *tag };
    if !owner.has_network() || owner.is_network_only() {
        return ALLOW;
    }
    let (data, length) = packet(buffer);
    let order = first_order(data, length);
    if order == 0 {
        return ALLOW;
    }
    let target = Target::address(number::AF_NETLINK, sock.address().protocol(), 0, &Address::NONE);
    let verdict = Verdict::Deny(Errno::Eperm, Reason::Netlink);
    conclude(Hook::NetlinkSend, verdict, Identity::Member(owner), &target, u64::from(order))
}

/// `struct nlmsghdr`, its first half: the rest is not looked at.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct MessageHeader {
    length: u32,
    kind: u16,
    flags: u16,
}

/// Bytes of `struct nlmsghdr`.
const HEADER_SIZE: u32 = 16;

/// The type of the first message that is no question; 0: all are. Walks as the kernel does (`net/netlink/af_netlink.c:netlink_rcv_skb`),
/// and what it stops at, the kernel stops at. The bytes are the kernel's own copy.
#[inline(always)]
fn first_order(data: u64, length: u32) -> u32 {
    let mut at = 0_u32;
    let mut message = 0;
    while message < MAX_MESSAGES {
        if length.wrapping_sub(at) < HEADER_SIZE || at > length {
            return 0;
        }
        let header: MessageHeader = read(data + u64::from(at));
        if header.length < HEADER_SIZE {
            return 0;
        }
        if !is_netlink_question(header.kind) {
            return u32::from(header.kind);
        }
        // `NLMSG_ALIGN`. A length beyond the buffer ends the walk above, and the kernel's.
        let step = header.length.wrapping_add(3) & !3;
        if step < HEADER_SIZE || step > length {
            return 0;
        }
        at = at.wrapping_add(step);
        message += 1;
    }
    u32::MAX
}
