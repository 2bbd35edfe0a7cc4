//! What a socket of a context is shown: its own loopback addresses look as they do on a machine of its own.

use core::ptr;

use aya_ebpf::bindings::bpf_sock_addr;
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;

use vs_common::context::{Tag, lifecycle};
use vs_common::network::{Address, network_flag};

use super::connect::{destination6, local4, local6, redirect6};
use super::{PASS, epoch, rules_of, tag_of};

/// `TCP_CLOSE`, in which an unconnected socket is, too.
const CLOSED: u32 = 7;
/// `TCP_LISTEN`.
const LISTENING: u32 = 10;

/// 127.0.0.1.
const LOOPBACK4: u32 = 0x7f00_0001_u32.to_be();

/// What is shown of an address of IPv4. The other side of a socket on the context's own loopback is on it as well, whatever address it
/// is bound to.
#[inline(always)]
pub(super) fn shown4(word: u32, local: u32) -> u32 {
    if Address::v4(word).is_context_loopback() {
        Address::shown_loopback4(word)
    } else if Address::v4(local).is_context_loopback() && word != 0 {
        LOOPBACK4
    } else {
        word
    }
}

/// The same of IPv6, which may be a mapped one.
#[inline(always)]
pub(super) fn shown6(address: &Address, local: &Address) -> Address {
    if address.is_v4() {
        let local = if local.is_v4() { local.v4_word() } else { 0 };
        Address::v4(shown4(address.v4_word(), local))
    } else if address.is_own_loopback6() || (local.is_own_loopback6() && *address != Address::NONE) {
        Address::LOOPBACK6
    } else {
        *address
    }
}

/// Shows the other side, in a program for IPv4.
#[inline(never)]
pub(super) fn show_peer4(ctx: *mut bpf_sock_addr) -> i32 {
    // SAFETY: The program's own context; the field may be written.
    unsafe {
        let address = &raw mut (*ctx).user_ip4;
        ptr::write_volatile(address, shown4(ptr::read_volatile(address), local4(ctx)));
    }
    PASS
}

/// Shows the other side, in a program for IPv6.
#[inline(never)]
pub(super) fn show_peer6(ctx: *mut bpf_sock_addr) -> i32 {
    let shown = shown6(&destination6(ctx), &local6(ctx));
    redirect6(ctx, &shown);
    PASS
}

/// `inet_getname` of the other side, which `accept(2)` asks too. Cannot deny.
#[cgroup_sock_addr(getpeername4)]
fn getpeername4(ctx: SockAddrContext) -> i32 {
    if tag_of(ctx.sock_addr).is_null() { PASS } else { show_peer4(ctx.sock_addr) }
}

/// `inet6_getname` of the other side. Cannot deny.
#[cgroup_sock_addr(getpeername6)]
fn getpeername6(ctx: SockAddrContext) -> i32 {
    if tag_of(ctx.sock_addr).is_null() { PASS } else { show_peer6(ctx.sock_addr) }
}

/// Whether a socket is to be shown ANY: policy says so, it was bound to ANY, and it is not one end of a connection.
#[inline(always)]
fn is_shown_any(ctx: *mut bpf_sock_addr, tag: *const Tag) -> bool {
    // SAFETY: A map's value, which lives until the program returns; the program's own context.
    let (owner, state) = unsafe {
        let sock = ptr::read_volatile(&raw const (*ctx).__bindgen_anon_1.sk);
        (*tag, ptr::read_volatile(&raw const (*sock).state))
    };
    if owner.lifecycle & lifecycle::BOUND_TO_ANY == 0 || (state != CLOSED && state != LISTENING) {
        return false;
    }
    match rules_of(&owner, epoch()) {
        Some(rules) => rules.has(network_flag::SHOW_ANY),
        None => false,
    }
}

/// `inet_getname`. Cannot deny.
#[cgroup_sock_addr(getsockname4)]
fn getsockname4(ctx: SockAddrContext) -> i32 {
    let tag = tag_of(ctx.sock_addr);
    if tag.is_null() { PASS } else { show_own4(ctx.sock_addr, tag) }
}

/// The same for a socket of a context.
#[inline(never)]
fn show_own4(ctx: *mut bpf_sock_addr, tag: *mut Tag) -> i32 {
    // SAFETY: The program's own context.
    let shown = shown4(unsafe { ptr::read_volatile(&raw const (*ctx).user_ip4) }, 0);
    let shown = if is_shown_any(ctx, tag) { 0 } else { shown };
    // SAFETY: As above; the field may be written.
    unsafe { ptr::write_volatile(&raw mut (*ctx).user_ip4, shown) };
    PASS
}

/// `inet6_getname`. Cannot deny.
#[cgroup_sock_addr(getsockname6)]
fn getsockname6(ctx: SockAddrContext) -> i32 {
    let tag = tag_of(ctx.sock_addr);
    if tag.is_null() { PASS } else { show_own6(ctx.sock_addr, tag) }
}

/// As [`show_own4`].
#[inline(never)]
fn show_own6(ctx: *mut bpf_sock_addr, tag: *mut Tag) -> i32 {
    let shown =
        if is_shown_any(ctx, tag) { Address::NONE } else { shown6(&destination6(ctx), &Address::NONE) };
    redirect6(ctx, &shown);
    PASS
}
