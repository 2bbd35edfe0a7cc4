//! `bind(2)` and `listen(2)`.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::bindings::bpf_sock_addr;
use aya_ebpf::helpers::generated::bpf_sk_storage_get;
use aya_ebpf::macros::{cgroup_sock_addr, lsm};
use aya_ebpf::programs::{LsmContext, SockAddrContext};

use vs_common::context::{Identity, Tag, lifecycle};
use vs_common::hook::Hook;
use vs_common::id::{Generation, Xid};
use vs_common::network::{
    Address, AddressKind, BindChoice, PortUse, Reach, decide_bind, decide_host_bind, network_flag, number,
};
use vs_common::policy_entry::ContextKey;
use vs_common::verdict::{Errno, Reason, Verdict};

use super::create::sock_tag;
use super::{
    AS_ASKED, Act, CHANGED, PASS, epoch, has_port, is_host_confined, is_hosts, listed, refusal, refuse,
    rules_of, tag_of,
};
use crate::audit::Target;
use crate::counters;
use crate::kernel::socket::{Sock, SockAddress};
use crate::maps::{NETWORKS, SOCKETS};
use crate::verdict::{ALLOW, conclude};

/// `BPF_LOCAL_STORAGE_GET_F_CREATE`.
const CREATE: u64 = 1;

/// What a socket asks for in `act.address` becomes what it gets: see [`decide_bind`].
#[inline(never)]
fn bind(tag: *mut Tag, act: &mut Act, reach: u32) -> i32 {
    // SAFETY: A map's value, which lives until the program returns; only its own socket's calls change it.
    let owner = unsafe { *tag };
    let lifecycle = owner.lifecycle & !lifecycle::BOUND_TO_ANY;
    // What an earlier call asked for is past, whatever this one comes to.
    // SAFETY: As above.
    unsafe { (*tag).lifecycle = lifecycle };
    let epoch = epoch();
    let Some(rules) = rules_of(&owner, epoch) else {
        return refusal(Errno::Eaddrnotavail, Reason::StaleTarget);
    };
    let is_listed = matches!(act.address.kind(), AddressKind::Unicast)
        && if rules.has(network_flag::HOST) {
            is_hosts(epoch, &act.address)
        } else {
            listed(epoch, owner.xid, &act.address).is_some()
        };
    let reach_number = reach;
    let reach = reach_of(reach);
    let is_any = matches!(act.address.kind(), AddressKind::Any);
    if rules.has(network_flag::BIND_PORTS) && !has_port(&owner, epoch, PortUse::Bind, act) {
        // On its own loopback a context is among itself.
        let is_private =
            matches!(act.address.kind(), AddressKind::Loopback) && rules.has(network_flag::LOOPBACK_PRIVATE);
        if !is_private {
            return refusal(Errno::Eacces, Reason::Port);
        }
    }
    let own = match decide_bind(rules, &act.address, reach, is_listed) {
        BindChoice::AsAsked => act.address,
        BindChoice::Primary4 => rules.primary4,
        BindChoice::Primary6 => rules.primary6,
        BindChoice::Loopback4 => {
            // Of ANY there is no last octet: the first address.
            let asked = if is_any { 1_u32.to_be() } else { act.address.v4_word() };
            Address::v4(Address::own_loopback4(owner.xid, asked))
        }
        BindChoice::Loopback6 => Address::own_loopback6(owner.xid),
        BindChoice::Refused(errno, reason) => return refusal(errno, reason),
    };
    if act.protocol == number::UDP {
        super::gather::tell(is_any);
    }
    if is_any && rules.has(network_flag::HOST) {
        // Its services are in nobody's way either.
        if !is_host_confined(epoch) || confine(act, reach_number) == AS_ASKED {
            return AS_ASKED;
        }
        // SAFETY: As above.
        unsafe { (*tag).lifecycle = lifecycle | lifecycle::BOUND_TO_ANY };
        return CHANGED;
    }
    if is_any {
        // SAFETY: As above.
        unsafe { (*tag).lifecycle = lifecycle | lifecycle::BOUND_TO_ANY };
    }
    act.address = own;
    CHANGED
}

/// `inet_bind`, before any check.
#[cgroup_sock_addr(bind4)]
fn bind4(ctx: SockAddrContext) -> i32 {
    let tag = tag_of(ctx.sock_addr);
    if !tag.is_null() {
        return member_binds4(ctx.sock_addr, tag);
    }
    if is_host_confined(epoch()) { host_binds4(ctx.sock_addr) } else { PASS }
}

/// The same for a socket of a context. Not inlined, since a program saves every register that any of its paths uses.
#[inline(never)]
fn member_binds4(ctx: *mut bpf_sock_addr, tag: *mut Tag) -> i32 {
    // SAFETY: The program's own context.
    let asked = Address::v4(unsafe { ptr::read_volatile(&raw const (*ctx).user_ip4) });
    let mut act = Act::new(ctx, asked, Hook::Bind4);
    let outcome = bind(tag, &mut act, 0);
    if outcome < 0 {
        return refuse(tag, &act, outcome);
    }
    // SAFETY: As above; the field may be written.
    unsafe { ptr::write_volatile(&raw mut (*ctx).user_ip4, act.address.v4_word()) };
    PASS
}

/// `inet6_bind`, before any check.
#[cgroup_sock_addr(bind6)]
fn bind6(ctx: SockAddrContext) -> i32 {
    let tag = tag_of(ctx.sock_addr);
    if !tag.is_null() {
        return member_binds6(ctx.sock_addr, tag);
    }
    if is_host_confined(epoch()) { host_binds6(ctx.sock_addr) } else { PASS }
}

/// As [`member_binds4`].
#[inline(never)]
fn member_binds6(ctx: *mut bpf_sock_addr, tag: *mut Tag) -> i32 {
    let mut act = Act::new(ctx, super::connect::destination6(ctx), Hook::Bind6);
    let outcome = bind(tag, &mut act, reach6(ctx));
    if outcome < 0 {
        return refuse(tag, &act, outcome);
    }
    super::connect::redirect6(ctx, &act.address);
    PASS
}

/// By the number that functions hand on.
#[inline(always)]
const fn reach_of(number: u32) -> Reach {
    match number {
        0 => Reach::V4,
        1 => Reach::V6,
        _ => Reach::Both,
    }
}

/// Takes ANY to an address of the host's, see [`decide_host_bind`]. [`CHANGED`], or [`AS_ASKED`]: it asks for one address, or for a port that
/// stays on ANY. A port that the kernel chooses stands in nobody's way.
#[inline(never)]
fn confine(act: &mut Act, reach: u32) -> i32 {
    let epoch = epoch();
    let host = Tag { xid: Xid::HOST, lifecycle: 0, generation: Generation(0) };
    // SAFETY: As in `super::rules_of`.
    let Some(rules) = (unsafe { NETWORKS.get(&ContextKey { epoch, xid: Xid::HOST }) }) else {
        return AS_ASKED;
    };
    let Some(address) = decide_host_bind(rules, &act.address, reach_of(reach)) else { return AS_ASKED };
    if act.port == 0 || has_port(&host, epoch, PortUse::Bind, act) {
        return AS_ASKED;
    }
    act.address = address;
    CHANGED
}

/// A bind of the host's: not 0 if `act.address` has become another. Whatever fails, the host gets what it asked for.
#[inline(never)]
fn host_bind(ctx: *mut bpf_sock_addr, act: &mut Act, reach: u32) -> i32 {
    let asked = act.address;
    let outcome = confine(act, reach);
    // Who listens at one address is remembered, so that whoever listens on ANY does not stand before it.
    let is_one = !matches!(asked.kind(), AddressKind::Any);
    if outcome == AS_ASKED && !(is_one && act.port != 0 && act.protocol == number::TCP) {
        return AS_ASKED;
    }
    let any = if is_one { 0 } else { lifecycle::BOUND_TO_ANY };
    let mut tag = Tag { xid: Xid::HOST, lifecycle: lifecycle::NETWORK | any, generation: Generation(0) };
    // SAFETY: The program's own context; the map is a socket storage of `Tag`, and `tag` a live local of that type.
    let stored: *mut Tag = unsafe {
        let sock: *mut c_void = super::connect::sock(ctx).cast();
        bpf_sk_storage_get(SOCKETS.as_ptr(), sock, ptr::from_mut(&mut tag).cast(), CREATE).cast()
    };
    if stored.is_null() {
        counters::count_failure(act.hook);
        return AS_ASKED;
    }
    // SAFETY: A map's value, which lives until the program returns; only its own socket's calls change it.
    unsafe { (*stored).lifecycle = tag.lifecycle };
    if act.protocol == number::UDP {
        super::gather::tell(true);
    }
    outcome
}

/// The same for IPv4. Cannot deny.
#[inline(never)]
fn host_binds4(ctx: *mut bpf_sock_addr) -> i32 {
    // SAFETY: The program's own context; the field may be written.
    unsafe {
        let address = &raw mut (*ctx).user_ip4;
        let mut act = Act::new(ctx, Address::v4(ptr::read_volatile(address)), Hook::Bind4);
        if host_bind(ctx, &mut act, 0) == CHANGED {
            ptr::write_volatile(address, act.address.v4_word());
        }
    }
    PASS
}

/// The same for IPv6. Cannot deny.
#[inline(never)]
fn host_binds6(ctx: *mut bpf_sock_addr) -> i32 {
    let mut act = Act::new(ctx, super::connect::destination6(ctx), Hook::Bind6);
    if host_bind(ctx, &mut act, reach6(ctx)) == CHANGED {
        super::connect::redirect6(ctx, &act.address);
    }
    PASS
}

/// The number of what a socket of IPv6 can have.
#[inline(always)]
fn reach6(ctx: *mut bpf_sock_addr) -> u32 {
    if SockAddress::of(super::connect::sock(ctx).cast()).is_v6_only() { 1 } else { 2 }
}

/// `listen(2)`, before it acts. A socket that was never bound would be bound to ANY by the kernel, past every program
/// (`net/ipv4/inet_connection_sock.c:inet_csk_listen_start`).
///
/// | socket                 | verdict       |
/// |------------------------|---------------|
/// | the host's             | allow         |
/// | a member's, bound      | allow         |
/// | a member's, to no port | EADDRNOTAVAIL |
#[lsm(hook = "socket_listen")]
fn socket_listen(ctx: LsmContext) -> i32 {
    let Some(sock) = Sock::of_socket(ctx.arg::<*const c_void>(0)) else { return ALLOW };
    if !sock.has_storage() {
        return ALLOW;
    }
    member_listens(sock)
}

/// The same for a socket that has some storage.
#[inline(never)]
fn member_listens(sock: Sock) -> i32 {
    let tag = sock_tag(sock);
    let address = sock.address();
    let family = address.family();
    let is_internet = family == number::AF_INET || family == number::AF_INET6;
    if tag.is_null() || !is_internet || address.port() != 0 {
        return ALLOW;
    }
    // SAFETY: A map's value, which lives until the program returns.
    let owner = unsafe { *tag };
    if !owner.has_network() {
        return ALLOW;
    }
    let target = Target::address(family, address.protocol(), 0, &Address::NONE);
    let verdict = Verdict::Deny(Errno::Eaddrnotavail, Reason::ForeignAddress);
    conclude(Hook::SocketListen, verdict, Identity::Member(owner), &target, 0)
}
