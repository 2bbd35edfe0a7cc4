//! `bind(2)` and `listen(2)`.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::bindings::bpf_sock_addr;
use aya_ebpf::macros::{cgroup_sock_addr, lsm};
use aya_ebpf::programs::{LsmContext, SockAddrContext};

use vs_common::context::{Identity, Tag, lifecycle};
use vs_common::hook::Hook;
use vs_common::network::{Address, AddressKind, BindChoice, Reach, decide_bind, network_flag, number};
use vs_common::verdict::{Errno, Reason, Verdict};

use super::create::sock_tag;
use super::{Act, CHANGED, PASS, epoch, listed, refusal, refuse, rules_of, tag_of};
use crate::audit::Target;
use crate::kernel::socket::{Sock, SockAddress};
use crate::verdict::{ALLOW, conclude};

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
        && listed(epoch, owner.xid, &act.address).is_some();
    let reach = match reach {
        0 => Reach::V4,
        1 => Reach::V6,
        _ => Reach::Both,
    };
    let is_any = matches!(act.address.kind(), AddressKind::Any);
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
    if is_any && !rules.has(network_flag::HOST) {
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
    if tag.is_null() { PASS } else { member_binds4(ctx.sock_addr, tag) }
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
    if tag.is_null() { PASS } else { member_binds6(ctx.sock_addr, tag) }
}

/// As [`member_binds4`].
#[inline(never)]
fn member_binds6(ctx: *mut bpf_sock_addr, tag: *mut Tag) -> i32 {
    let mut act = Act::new(ctx, super::connect::destination6(ctx), Hook::Bind6);
    let reach = if SockAddress::of(super::connect::sock(ctx).cast()).is_v6_only() { 1 } else { 2 };
    let outcome = bind(tag, &mut act, reach);
    if outcome < 0 {
        return refuse(tag, &act, outcome);
    }
    super::connect::redirect6(ctx, &act.address);
    PASS
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
