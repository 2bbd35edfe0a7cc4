//! `connect(2)`, and every way to it: fast open, `io_uring`.

use core::ptr;

use aya_ebpf::bindings::{bpf_sock, bpf_sock_addr};
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::helpers::generated::bpf_bind;
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;

use vs_common::context::Tag;
use vs_common::hook::Hook;
use vs_common::id::{Epoch, Xid};
use vs_common::network::{
    ADDRESS_KEY_BITS, Address, AddressKey, DestinationChoice, IcmpGrant, PortUse, decide_destination,
    decide_icmp_destination, is_icmp, network_flag, number,
};
use vs_common::verdict::{Errno, Reason, Verdict};

use super::loopback;
use super::{
    AS_ASKED, AS_HOST, Act, OWN_LOOPBACK, PASS, epoch, failure, has_port, refusal, refuse, rules_of, tag_of,
};
use crate::maps::SOURCES;

/// Where `act.address` leads, and from which address: see [`decide_destination`]. On the context's own loopback both are set.
#[inline(never)]
pub(super) fn destination(tag: *const Tag, act: &mut Act) -> i32 {
    // SAFETY: A map's value, which lives until the program returns.
    let owner = unsafe { *tag };
    let epoch = epoch();
    let Some(rules) = rules_of(&owner, epoch) else {
        return refusal(Errno::Enetunreach, Reason::StaleTarget);
    };
    let is_v4 = act.address.is_v4();
    let has_primary = if is_v4 { rules.has(network_flag::V4) } else { rules.has(network_flag::V6) };
    if has_primary {
        act.primary = if is_v4 { rules.primary4 } else { rules.primary6 };
    }
    // A raw socket does not come here (`net/ipv4/raw.c:raw_prot` has no `pre_connect`).
    let is_ping = is_icmp(act.family, act.protocol);
    let grant = IcmpGrant::of(act.family, false);
    if is_ping && let Verdict::Deny(errno, reason) = decide_icmp_destination(rules, grant, &act.address) {
        return refusal(errno, reason);
    }
    let choice = decide_destination(rules, &act.address);
    // On its own loopback a context is among itself, and an echo request has no port.
    if !is_ping
        && rules.has(network_flag::CONNECT_PORTS)
        && matches!(choice, DestinationChoice::AsAsked | DestinationChoice::Host)
        && !has_port(&owner, epoch, PortUse::Connect, act)
    {
        return refusal(Errno::Eacces, Reason::Port);
    }
    match choice {
        DestinationChoice::AsAsked => {
            act.source = act.primary;
            if rules.has(network_flag::SOURCES) {
                route_source(epoch.0, owner.xid.0, act);
            }
            AS_ASKED
        }
        DestinationChoice::Host => AS_HOST,
        DestinationChoice::OwnLoopback => {
            if is_v4 {
                let asked = act.address.v4_word();
                // Of ANY there is no last octet: the first address.
                let asked = if asked == 0 { 1_u32.to_be() } else { asked };
                act.address = Address::v4(Address::own_loopback4(owner.xid, asked));
                act.source = Address::v4(Address::own_loopback4(owner.xid, 1_u32.to_be()));
            } else {
                act.address = Address::own_loopback6(owner.xid);
                act.source = act.address;
            }
            OWN_LOOPBACK
        }
        DestinationChoice::Refused(errno, reason) => refusal(errno, reason),
    }
}

/// Takes the source that the routes say, where they say another than the primary address.
#[inline(never)]
fn route_source(epoch: u32, xid: u32, act: &mut Act) {
    let key = AddressKey { epoch: Epoch(epoch), xid: Xid(xid), address: act.address };
    if let Some(source) = SOURCES.get(&Key::new(ADDRESS_KEY_BITS + 128, key)) {
        act.source = *source;
    }
}

/// The socket of a program's context.
#[inline(always)]
pub(super) fn sock(ctx: *mut bpf_sock_addr) -> *mut bpf_sock {
    // SAFETY: The program's own context.
    unsafe { ptr::read_volatile(&raw const (*ctx).__bindgen_anon_1.sk) }
}

/// The port that a socket is bound to, in the machine's order; 0: none.
#[inline(always)]
pub(super) fn local_port(ctx: *mut bpf_sock_addr) -> u32 {
    // SAFETY: As above; the socket is known to the verifier, and the field may be read.
    unsafe { ptr::read_volatile(&raw const (*sock(ctx)).src_port) }
}

/// The IPv4 address that a socket is bound to, in network order; 0: none.
#[inline(always)]
pub(super) fn local4(ctx: *mut bpf_sock_addr) -> u32 {
    // SAFETY: As above.
    unsafe { ptr::read_volatile(&raw const (*sock(ctx)).src_ip4) }
}

/// The IPv6 address that a socket is bound to.
#[inline(always)]
pub(super) fn local6(ctx: *mut bpf_sock_addr) -> Address {
    let sock = sock(ctx);
    // SAFETY: As above.
    unsafe {
        Address([
            ptr::read_volatile(&raw const (*sock).src_ip6[0]),
            ptr::read_volatile(&raw const (*sock).src_ip6[1]),
            ptr::read_volatile(&raw const (*sock).src_ip6[2]),
            ptr::read_volatile(&raw const (*sock).src_ip6[3]),
        ])
    }
}

/// The address that a program for IPv6 was called with.
#[inline(always)]
pub(super) fn destination6(ctx: *mut bpf_sock_addr) -> Address {
    // SAFETY: The program's own context.
    unsafe {
        Address([
            ptr::read_volatile(&raw const (*ctx).user_ip6[0]),
            ptr::read_volatile(&raw const (*ctx).user_ip6[1]),
            ptr::read_volatile(&raw const (*ctx).user_ip6[2]),
            ptr::read_volatile(&raw const (*ctx).user_ip6[3]),
        ])
    }
}

/// Changes the address that a program for IPv6 was called with.
#[inline(always)]
pub(super) fn redirect6(ctx: *mut bpf_sock_addr, address: &Address) {
    // SAFETY: The program's own context; the field may be written.
    unsafe {
        ptr::write_volatile(&raw mut (*ctx).user_ip6[0], address.0[0]);
        ptr::write_volatile(&raw mut (*ctx).user_ip6[1], address.0[1]);
        ptr::write_volatile(&raw mut (*ctx).user_ip6[2], address.0[2]);
        ptr::write_volatile(&raw mut (*ctx).user_ip6[3], address.0[3]);
    }
}

/// Binds a socket to where its packets are to come from, and to no port yet. Not 0: it could not be.
#[inline(always)]
fn bind_source(ctx: *mut bpf_sock_addr, source: &Address, family: u32) -> i32 {
    // `struct sockaddr_in6`, or `struct sockaddr_in` in its first 16 bytes; no port.
    let mut name = [0_u32; 7];
    let size = if family == number::AF_INET {
        name[0] = number::AF_INET;
        name[1] = source.v4_word();
        16
    } else {
        name[0] = number::AF_INET6;
        name[2] = source.0[0];
        name[3] = source.0[1];
        name[4] = source.0[2];
        name[5] = source.0[3];
        28
    };
    // SAFETY: The program's own context, and a live local of that size.
    unsafe { bpf_bind(ctx, name.as_mut_ptr().cast(), size) as i32 }
}

/// Gives the socket its source. One that has a port has a source already, or comes too late for one: it sent before it was connected,
/// and the kernel took the port with no address.
#[inline(always)]
fn settle_source(ctx: *mut bpf_sock_addr, act: &Act, has_address: bool) -> i32 {
    if local_port(ctx) == 0 {
        return if bind_source(ctx, &act.source, act.family) == 0 {
            AS_ASKED
        } else {
            // The address is on no interface of the host's.
            failure(Errno::Eaddrnotavail)
        };
    }
    if has_address { AS_ASKED } else { refusal(Errno::Eaddrnotavail, Reason::ForeignSource) }
}

/// `tcp_v4_pre_connect`, `udp_pre_connect`, before anything is looked up.
#[cgroup_sock_addr(connect4)]
fn connect4(ctx: SockAddrContext) -> i32 {
    let tag = tag_of(ctx.sock_addr);
    if tag.is_null() { PASS } else { member_connects4(ctx.sock_addr, tag) }
}

/// The same for a socket of a context.
#[inline(never)]
fn member_connects4(ctx: *mut bpf_sock_addr, tag: *mut Tag) -> i32 {
    // SAFETY: The program's own context.
    let asked = Address::v4(unsafe { ptr::read_volatile(&raw const (*ctx).user_ip4) });
    let mut act = Act::new(ctx, asked, Hook::Connect4);
    let local = local4(ctx);
    let local = if local == 0 { Address::NONE } else { Address::v4(local) };
    let outcome = connect(ctx, tag, &mut act, &local);
    if outcome < 0 {
        return refuse(tag, &act, outcome);
    }
    // SAFETY: As above; the field may be written.
    unsafe { ptr::write_volatile(&raw mut (*ctx).user_ip4, act.address.v4_word()) };
    PASS
}

/// `tcp_v6_pre_connect`, `udpv6_pre_connect`.
#[cgroup_sock_addr(connect6)]
fn connect6(ctx: SockAddrContext) -> i32 {
    let tag = tag_of(ctx.sock_addr);
    if tag.is_null() { PASS } else { member_connects6(ctx.sock_addr, tag) }
}

/// As [`member_connects4`].
#[inline(never)]
fn member_connects6(ctx: *mut bpf_sock_addr, tag: *mut Tag) -> i32 {
    let mut act = Act::new(ctx, destination6(ctx), Hook::Connect6);
    let local = local6(ctx);
    let outcome = connect(ctx, tag, &mut act, &local);
    if outcome < 0 {
        return refuse(tag, &act, outcome);
    }
    redirect6(ctx, &act.address);
    PASS
}

/// Where the socket is connected to is in `act.address` afterwards. `local`: what it is bound to, or none. Negative: a refusal.
#[inline(always)]
fn connect(ctx: *mut bpf_sock_addr, tag: *mut Tag, act: &mut Act, local: &Address) -> i32 {
    let has_address = *local != Address::NONE;
    let outcome = destination(tag, act);
    if outcome == OWN_LOOPBACK && act.protocol != number::TCP {
        // For a connection `socket_lookup` finds the listener.
        let port = local_port(ctx);
        if port != 0 && has_address {
            act.source = *local;
        }
        let source = act.source;
        let outcome = loopback::find(ctx, tag, act, &source, port);
        if outcome < 0 {
            return outcome;
        }
    } else if outcome < 0 || outcome == AS_HOST {
        return outcome;
    }
    settle_source(ctx, act, has_address)
}
