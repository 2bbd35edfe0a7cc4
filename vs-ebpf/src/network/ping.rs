//! Ping sockets: what they bind to, where they send, and from where. See `vs_common::network::ping`.

use core::ffi::{c_int, c_void};

use aya_ebpf::helpers::generated::bpf_setsockopt;
use aya_ebpf::macros::{lsm, lsm_cgroup};
use aya_ebpf::programs::LsmContext;

use vs_common::context::{Identity, Tag};
use vs_common::hook::Hook;
use vs_common::network::{
    Address, NetworkRules, decide_ping_bind, decide_ping_destination, is_ping, network_flag, number,
    ping_mark,
};
use vs_common::verdict::{Errno, Reason, Verdict};

use super::create::{flags_of_member, sock_tag};
use super::{epoch, listed, rules_of};
use crate::audit::Target;
use crate::kernel::read;
use crate::kernel::socket::{Sock, SockAddress, message};
use crate::kernel::task::Task;
use crate::verdict::{ALLOW, conclude};
use crate::{context, counters};

/// What a program at a hook of the LSM returns by a cgroup to let the call go on.
const PASS: i32 = 1;
/// And to have it fail, with EPERM.
const FAIL: i32 = 0;

/// `SOL_SOCKET`.
const SOCKET_LEVEL: c_int = 1;
/// `SO_MARK`.
const MARK: c_int = 36;

/// `__sock_create(sock, family, type, protocol, kern)`, once there is a socket and before anybody has it: one for pings gets the mark of its
/// maker's context, or there is none. It may run before the socket has its tag, so who runs decides.
#[lsm_cgroup(hook = "socket_post_create")]
fn ping_source(ctx: LsmContext) -> i32 {
    let (family, protocol, is_kernel): (u32, u32, u32) = (ctx.arg(1), ctx.arg(3), ctx.arg(4));
    if is_kernel != 0 || !is_ping(family, protocol) {
        return PASS;
    }
    let current = Task::current();
    if !current.has_storage() {
        return PASS;
    }
    let Some(sock) = Sock::of_socket(ctx.arg::<*const c_void>(0)) else { return PASS };
    member_has_created(current, sock)
}

/// The same for a task that has some storage.
#[inline(never)]
fn member_has_created(current: Task, sock: Sock) -> i32 {
    let Identity::Member(tag) = context::network_actor(current) else { return PASS };
    if flags_of_member(&tag) & network_flag::PING == 0 {
        return PASS;
    }
    let mut mark = ping_mark(tag.xid);
    let value = (&raw mut mark).cast::<c_void>();
    // SAFETY: `sock` is typed, which the verifier checks; the option's value is a live local of that size.
    if unsafe { bpf_setsockopt(sock.as_ptr(), SOCKET_LEVEL, MARK, value, 4) } == 0 {
        return PASS;
    }
    counters::count_failure(Hook::PingSource);
    FAIL
}

/// A member's ping socket.
#[derive(Clone, Copy)]
struct Ping {
    owner: Tag,
    facts: SockAddress,
    family: u32,
}

/// A socket that has some storage as one for pings of a context with addresses, if it is one.
#[inline(always)]
fn ping_of(sock: Sock) -> Option<Ping> {
    let facts = sock.address();
    let family = facts.family();
    if !is_ping(family, facts.protocol()) {
        return None;
    }
    let tag = sock_tag(sock);
    if tag.is_null() {
        return None;
    }
    // SAFETY: A map's value, which lives until the program returns.
    let owner = unsafe { *tag };
    if owner.has_network() { Some(Ping { owner, facts, family }) } else { None }
}

/// The address in a `struct sockaddr_in` or `struct sockaddr_in6` of the kernel's memory, whichever the socket takes.
#[inline(always)]
fn address_at(name: u64, family: u32) -> Address {
    if family == number::AF_INET { Address::v4(read(name + 4)) } else { Address(read(name + 8)) }
}

/// `bind(2)`, before it acts: see [`decide_ping_bind`]. Sockets that are for no pings are judged elsewhere.
#[lsm(hook = "socket_bind")]
fn socket_bind(ctx: LsmContext) -> i32 {
    let Some(sock) = Sock::of_socket(ctx.arg::<*const c_void>(0)) else { return ALLOW };
    if !sock.has_storage() {
        return ALLOW;
    }
    member_binds(sock, ctx.arg::<*const c_void>(1))
}

/// The same for a socket that has some storage.
#[inline(never)]
fn member_binds(sock: Sock, name: *const c_void) -> i32 {
    let Some(Ping { owner, facts, family }) = ping_of(sock) else { return ALLOW };
    let asked = address_at(name as u64, family);
    let epoch = epoch();
    let verdict = match rules_of(&owner, epoch) {
        Some(rules) => decide_ping_bind(rules, &asked, listed(epoch, owner.xid, &asked).is_some()),
        None => Verdict::Deny(Errno::Eaddrnotavail, Reason::StaleTarget),
    };
    if verdict == Verdict::Allow {
        return ALLOW;
    }
    let target = Target::address(family, facts.protocol(), 0, &asked);
    conclude(Hook::SocketBind, verdict, Identity::Member(owner), &target, 0)
}

/// `sock_sendmsg(sock, msg, size)`.
///
/// | ping socket of a context                 | verdict                                     |
/// |------------------------------------------|---------------------------------------------|
/// | whose rules are gone                     | ENETUNREACH                                 |
/// | with control messages, which may name a source | EINVAL                                |
/// | to an address                            | see [`decide_ping_destination`]             |
/// | bound to no address, and without the context's mark | EADDRNOTAVAIL                    |
/// | any other                                | allow                                       |
#[lsm(hook = "socket_sendmsg")]
fn socket_sendmsg(ctx: LsmContext) -> i32 {
    let Some(sock) = Sock::of_socket(ctx.arg::<*const c_void>(0)) else { return ALLOW };
    if !sock.has_storage() {
        return ALLOW;
    }
    member_sends(sock, ctx.arg::<*const c_void>(1))
}

/// The same for a socket that has some storage.
#[inline(never)]
fn member_sends(sock: Sock, header: *const c_void) -> i32 {
    let Some(Ping { owner, facts, family }) = ping_of(sock) else { return ALLOW };
    let (name, control_length) = message(header);
    let asked = if name == 0 { Address::NONE } else { address_at(name, family) };
    let verdict = match rules_of(&owner, epoch()) {
        None => Verdict::Deny(Errno::Enetunreach, Reason::StaleTarget),
        Some(_) if control_length != 0 => Verdict::Deny(Errno::Einval, Reason::ForeignSource),
        Some(rules) => judge(rules, &owner, facts, &asked, name != 0),
    };
    if verdict == Verdict::Allow {
        return ALLOW;
    }
    let target = Target::address(family, facts.protocol(), 0, &asked);
    conclude(Hook::SocketSendmsg, verdict, Identity::Member(owner), &target, 0)
}

/// Where it goes, and from where. Who is connected was asked then where to, and has a source since.
#[inline(always)]
fn judge(rules: &NetworkRules, owner: &Tag, facts: SockAddress, asked: &Address, is_asked: bool) -> Verdict {
    if !rules.has(network_flag::PING) {
        return Verdict::Deny(Errno::Eacces, Reason::SocketFamily);
    }
    if is_asked {
        let verdict = decide_ping_destination(rules, asked);
        if verdict != Verdict::Allow {
            return verdict;
        }
    }
    let is_bound =
        if facts.family() == number::AF_INET { facts.address4() != 0 } else { facts.address6() != [0; 4] };
    if is_bound || facts.mark() == ping_mark(owner.xid) {
        Verdict::Allow
    } else {
        Verdict::Deny(Errno::Eaddrnotavail, Reason::ForeignSource)
    }
}
