//! Sockets of ICMP, for pings and raw ones: what they bind to, where they send, and from where. See `vs_common::network::icmp`.

use core::ffi::{c_int, c_void};

use aya_ebpf::helpers::generated::bpf_setsockopt;
use aya_ebpf::macros::{lsm, lsm_cgroup};
use aya_ebpf::programs::LsmContext;

use vs_common::context::{Identity, Tag};
use vs_common::hook::Hook;
use vs_common::network::{
    Address, AddressKind, IcmpGrant, decide_icmp_bind, decide_icmp_destination, icmp_mark, is_icmp, number,
};
use vs_common::verdict::{Errno, Reason, Verdict};

use super::create::{flags_of_member, sock_tag};
use super::{epoch, listed, refusal, rules_of};
use crate::audit::Target;
use crate::kernel::read;
use crate::kernel::socket::{Sock, SockAddress, message};
use crate::kernel::task::Task;
use crate::verdict::{ALLOW, Denial, carry_out_denial, conclude};
use crate::{context, counters};

/// What a program at a hook of the LSM returns by a cgroup to let the call go on.
const PASS: i32 = 1;
/// And to have it fail, with EPERM.
const FAIL: i32 = 0;

/// `SOL_SOCKET`.
const SOCKET_LEVEL: c_int = 1;
/// `SO_MARK`.
const MARK: c_int = 36;

/// `__sock_create(sock, family, type, protocol, kern)`, once there is a socket and before anybody has it: one of ICMP gets the mark of its
/// maker's context, or there is none. It may run before the socket has its tag, so who runs decides.
#[lsm_cgroup(hook = "socket_post_create")]
fn ping_source(ctx: LsmContext) -> i32 {
    let (family, kind, protocol, is_kernel): (u32, u32, u32, u32) =
        (ctx.arg(1), ctx.arg(2), ctx.arg(3), ctx.arg(4));
    if is_kernel != 0 || !is_icmp(family, protocol) {
        return PASS;
    }
    let current = Task::current();
    if !current.has_storage() {
        return PASS;
    }
    let Some(sock) = Sock::of_socket(ctx.arg::<*const c_void>(0)) else { return PASS };
    member_has_created(current, sock, IcmpGrant::of(family, kind == number::SOCK_RAW).flag)
}

/// The same for a task that has some storage; `flag`: what such a socket has to be granted by.
#[inline(never)]
fn member_has_created(current: Task, sock: Sock, flag: u32) -> i32 {
    let Identity::Member(tag) = context::network_actor(current) else { return PASS };
    if flags_of_member(&tag) & flag == 0 {
        return PASS;
    }
    let mut mark = icmp_mark(tag.xid);
    let value = (&raw mut mark).cast::<c_void>();
    // SAFETY: `sock` is typed, which the verifier checks; the option's value is a live local of that size.
    if unsafe { bpf_setsockopt(sock.as_ptr(), SOCKET_LEVEL, MARK, value, 4) } == 0 {
        return PASS;
    }
    counters::count_failure(Hook::PingSource);
    FAIL
}

/// A member's socket of ICMP.
#[derive(Clone, Copy)]
struct IcmpSocket {
    owner: Tag,
    facts: SockAddress,
    family: u32,
}

/// A socket that has some storage as one of ICMP of a context with addresses, if it is one.
#[inline(always)]
fn icmp_socket(sock: Sock) -> Option<IcmpSocket> {
    let facts = sock.address();
    let family = facts.family();
    if !is_icmp(family, facts.protocol()) {
        return None;
    }
    let tag = sock_tag(sock);
    if tag.is_null() {
        return None;
    }
    // SAFETY: A map's value, which lives until the program returns.
    let owner = unsafe { *tag };
    if owner.has_network() { Some(IcmpSocket { owner, facts, family }) } else { None }
}

/// The address in a `struct sockaddr_in` or `struct sockaddr_in6` of the kernel's memory, whichever the socket takes.
#[inline(always)]
fn address_at(name: u64, family: u32) -> Address {
    if family == number::AF_INET { Address::v4(read(name + 4)) } else { Address(read(name + 8)) }
}

/// `bind(2)`, before it acts: see [`decide_icmp_bind`]. Sockets that are of no ICMP are judged elsewhere.
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
    let Some(IcmpSocket { owner, facts, family }) = icmp_socket(sock) else { return ALLOW };
    let asked = address_at(name as u64, family);
    let epoch = epoch();
    let verdict = match rules_of(&owner, epoch) {
        Some(rules) => decide_icmp_bind(rules, &asked, listed(epoch, owner.xid, &asked).is_some()),
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
/// | socket of ICMP of a context                    | verdict                                     |
/// |------------------------------------------------|---------------------------------------------|
/// | whose rules are gone                           | ENETUNREACH                                 |
/// | with control messages, which may name a source | EINVAL                                      |
/// | to an address, given or, of a raw one, connected to | see [`decide_icmp_destination`]        |
/// | bound to no address, and without the context's mark | EADDRNOTAVAIL                          |
/// | a raw one, at another address than [`decide_icmp_bind`] allows or the destination | EADDRNOTAVAIL |
/// | any other                                      | allow                                       |
///
/// A ping socket that is connected was asked then where to. Of a raw one no program sees that, and the kernel gave it the source that leads there:
/// within the host, the destination.
#[lsm(hook = "socket_sendmsg")]
fn socket_sendmsg(ctx: LsmContext) -> i32 {
    context::end_raw(Task::current());
    let Some(sock) = Sock::of_socket(ctx.arg::<*const c_void>(0)) else { return ALLOW };
    if !sock.has_storage() {
        return ALLOW;
    }
    member_sends(sock, ctx.arg::<*const c_void>(1))
}

/// A message about to be sent.
#[repr(C)]
struct Message {
    owner: Tag,
    /// Where to; none: where the socket is connected to, and it was asked then.
    to: Address,
    /// What the socket is bound to.
    from: Address,
    family: u32,
    mark: u32,
    /// Bytes of control messages.
    control_length: u64,
}

/// The same for a socket that has some storage.
#[inline(never)]
fn member_sends(sock: Sock, header: *const c_void) -> i32 {
    let Some(IcmpSocket { owner, facts, family }) = icmp_socket(sock) else { return ALLOW };
    let is_v4 = family == number::AF_INET;
    let (name, control_length) = message(header);
    let to = if name != 0 {
        address_at(name, family)
    } else if !owner.is_raw() || !facts.is_connected() {
        Address::NONE
    } else if is_v4 {
        Address::v4(facts.peer4())
    } else {
        Address(facts.peer6())
    };
    let from = if is_v4 { Address::v4(facts.address4()) } else { Address(facts.address6()) };
    // `::` that is asked for is the same as none: it leads to loopback.
    let is_asked = name != 0 || to != Address::NONE;
    let message = Message { owner, to, from, family, mark: facts.mark(), control_length };
    let outcome = judge(&message, u32::from(is_asked)).wrapping_neg().cast_unsigned();
    if outcome == 0 {
        return ALLOW;
    }
    let mut denial = Denial::NONE;
    denial.actor = owner;
    denial.target.set_address(family, facts.protocol(), 0, &to);
    denial.hook = Hook::SocketSendmsg as u16;
    denial.reason = (outcome >> 8 & 0xff) as u16;
    denial.errno = (outcome & 0xff) as u16;
    denial.is_between = (outcome >> 16) as u16;
    carry_out_denial(&denial)
}

/// Where it goes, and from where. 0 or a [`refusal`].
#[inline(never)]
fn judge(message: &Message, is_asked: u32) -> i32 {
    let owner = &message.owner;
    let epoch = epoch();
    let Some(rules) = rules_of(owner, epoch) else {
        return refusal(Errno::Enetunreach, Reason::StaleTarget);
    };
    if message.control_length != 0 {
        return refusal(Errno::Einval, Reason::ForeignSource);
    }
    let grant = IcmpGrant::of(message.family, owner.is_raw());
    if !rules.has(grant.flag) {
        return refusal(grant.errno, Reason::SocketFamily);
    }
    if is_asked != 0
        && let Verdict::Deny(errno, reason) = decide_icmp_destination(rules, grant, &message.to)
    {
        return refusal(errno, reason);
    }
    let is_own = if matches!(message.from.kind(), AddressKind::Any) {
        message.mark == icmp_mark(owner.xid)
    } else {
        !owner.is_raw()
            || message.from == message.to
            || decide_icmp_bind(rules, &message.from, listed(epoch, owner.xid, &message.from).is_some())
                == Verdict::Allow
    };
    if is_own { 0 } else { refusal(Errno::Eaddrnotavail, Reason::ForeignSource) }
}
