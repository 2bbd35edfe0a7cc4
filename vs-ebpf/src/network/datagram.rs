//! Datagrams of sockets that are not connected.

use core::ptr;

use aya_ebpf::bindings::bpf_sock_addr;
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;

use vs_common::context::Tag;
use vs_common::hook::Hook;
use vs_common::network::{Address, AddressKind, network_flag};
use vs_common::verdict::{Errno, Reason};

use super::connect::{destination, destination6, local_port, local4, local6, redirect6};
use super::name::{show_peer4, show_peer6};
use super::{
    AS_ASKED, Act, OWN_LOOPBACK, PASS, epoch, is_hosts, listed, loopback, refusal, refuse, rules_of, tag_of,
};

/// Where a datagram comes from, before anybody looked: none is [`Address::NONE`].
#[repr(C)]
struct Sources {
    /// What came along with it (`IP_PKTINFO`, `IPV6_PKTINFO`).
    given: Address,
    /// What the socket is bound to.
    local: Address,
}

/// Takes the source that came with a datagram, in `act.address`, to one of the context's own, in `act.source`. 0 or a refusal.
#[inline(never)]
fn own_source(tag: *const Tag, act: &mut Act) -> i32 {
    // SAFETY: A map's value, which lives until the program returns.
    let owner = unsafe { *tag };
    let epoch = epoch();
    act.source = act.address;
    let Some(rules) = rules_of(&owner, epoch) else {
        return refusal(Errno::Einval, Reason::StaleTarget);
    };
    let is_own = match act.address.kind() {
        AddressKind::Loopback if rules.has(network_flag::LOOPBACK_PRIVATE) => {
            act.source = if act.address.is_v4() {
                Address::v4(Address::own_loopback4(owner.xid, act.address.v4_word()))
            } else {
                Address::own_loopback6(owner.xid)
            };
            true
        }
        AddressKind::Loopback => {
            rules.has(network_flag::LOOPBACK_SHARED | network_flag::HOST)
                && !act.address.is_context_loopback()
        }
        AddressKind::Unicast if rules.has(network_flag::HOST) => is_hosts(epoch, &act.address),
        _ if rules.has(network_flag::HOST) => true,
        AddressKind::Unicast => listed(epoch, owner.xid, &act.address).is_some(),
        AddressKind::Any | AddressKind::Multicast | AddressKind::Broadcast => false,
    };
    if is_own { AS_ASKED } else { refusal(Errno::Einval, Reason::ForeignSource) }
}

/// Where a datagram goes is in `act.address` afterwards, and where it comes from in `act.source`; none: where the socket says. Negative: a
/// refusal.
#[inline(never)]
fn send(ctx: *mut bpf_sock_addr, tag: *const Tag, act: &mut Act, sources: &mut Sources) -> i32 {
    let asked = act.address;
    if sources.given != Address::NONE {
        act.address = sources.given;
        let outcome = own_source(tag, act);
        if outcome < 0 {
            return outcome;
        }
        sources.given = act.source;
        act.address = asked;
    }
    // A socket that is connected and has a source given for one datagram comes here without a destination.
    if act.port == 0 && matches!(asked.kind(), AddressKind::Any) {
        act.source = sources.given;
        return AS_ASKED;
    }
    let outcome = destination(tag, act);
    if outcome < 0 {
        return outcome;
    }
    if outcome == OWN_LOOPBACK {
        let second = if sources.given != Address::NONE {
            sources.given
        } else if sources.local != Address::NONE {
            sources.local
        } else if act.primary != Address::NONE {
            act.primary
        } else {
            act.source
        };
        return loopback::find(ctx, tag, act, &second, local_port(ctx));
    }
    if sources.given != Address::NONE {
        act.source = sources.given;
    } else if outcome != AS_ASKED || sources.local != Address::NONE {
        act.source = Address::NONE;
    }
    outcome
}

/// `udp_sendmsg`, before anything is looked up. A socket of IPv6 comes here with an address of IPv4, too.
#[cgroup_sock_addr(sendmsg4)]
fn sendmsg4(ctx: SockAddrContext) -> i32 {
    let tag = tag_of(ctx.sock_addr);
    if tag.is_null() { PASS } else { member_sends4(ctx.sock_addr, tag) }
}

/// An address of IPv4; 0 is none.
#[inline(always)]
fn some4(word: u32) -> Address {
    if word == 0 { Address::NONE } else { Address::v4(word) }
}

/// The same for a socket of a context.
#[inline(never)]
fn member_sends4(ctx: *mut bpf_sock_addr, tag: *mut Tag) -> i32 {
    // SAFETY: The program's own context.
    let (asked, given) = unsafe {
        (ptr::read_volatile(&raw const (*ctx).user_ip4), ptr::read_volatile(&raw const (*ctx).msg_src_ip4))
    };
    let mut act = Act::new(ctx, Address::v4(asked), Hook::Sendmsg4);
    let mut sources = Sources { given: some4(given), local: some4(local4(ctx)) };
    let outcome = send(ctx, tag, &mut act, &mut sources);
    if outcome < 0 {
        return refuse(tag, &act, outcome);
    }
    // SAFETY: As above; the fields may be written.
    unsafe {
        ptr::write_volatile(&raw mut (*ctx).user_ip4, act.address.v4_word());
        if act.source != Address::NONE {
            ptr::write_volatile(&raw mut (*ctx).msg_src_ip4, act.source.v4_word());
        }
    }
    PASS
}

/// `udpv6_sendmsg`, before anything is looked up.
#[cgroup_sock_addr(sendmsg6)]
fn sendmsg6(ctx: SockAddrContext) -> i32 {
    let tag = tag_of(ctx.sock_addr);
    if tag.is_null() { PASS } else { member_sends6(ctx.sock_addr, tag) }
}

/// As [`member_sends4`].
#[inline(never)]
fn member_sends6(ctx: *mut bpf_sock_addr, tag: *mut Tag) -> i32 {
    // SAFETY: The program's own context.
    let given = unsafe {
        Address([
            ptr::read_volatile(&raw const (*ctx).msg_src_ip6[0]),
            ptr::read_volatile(&raw const (*ctx).msg_src_ip6[1]),
            ptr::read_volatile(&raw const (*ctx).msg_src_ip6[2]),
            ptr::read_volatile(&raw const (*ctx).msg_src_ip6[3]),
        ])
    };
    let mut act = Act::new(ctx, destination6(ctx), Hook::Sendmsg6);
    let mut sources = Sources { given, local: local6(ctx) };
    let outcome = send(ctx, tag, &mut act, &mut sources);
    if outcome < 0 {
        return refuse(tag, &act, outcome);
    }
    redirect6(ctx, &act.address);
    if act.source != Address::NONE {
        // SAFETY: As above; the field may be written.
        unsafe {
            ptr::write_volatile(&raw mut (*ctx).msg_src_ip6[0], act.source.0[0]);
            ptr::write_volatile(&raw mut (*ctx).msg_src_ip6[1], act.source.0[1]);
            ptr::write_volatile(&raw mut (*ctx).msg_src_ip6[2], act.source.0[2]);
            ptr::write_volatile(&raw mut (*ctx).msg_src_ip6[3], act.source.0[3]);
        }
    }
    PASS
}

/// `udp_recvmsg`, with where a datagram came from. Cannot deny.
#[cgroup_sock_addr(recvmsg4)]
fn recvmsg4(ctx: SockAddrContext) -> i32 {
    if tag_of(ctx.sock_addr).is_null() { PASS } else { show_peer4(ctx.sock_addr) }
}

/// `udpv6_recvmsg`, with where a datagram came from. Cannot deny.
#[cgroup_sock_addr(recvmsg6)]
fn recvmsg6(ctx: SockAddrContext) -> i32 {
    if tag_of(ctx.sock_addr).is_null() { PASS } else { show_peer6(ctx.sock_addr) }
}
