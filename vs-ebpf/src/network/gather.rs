//! Sockets for datagrams at every address of their context.
//!
//! Nobody listens for datagrams, so there is no event at which a program could put their socket into `LISTENERS`, and no program that sees a
//! bind may write there (`kernel/bpf/verifier.c:may_update_sockmap`). One that goes through all sockets of UDP may. It runs when its pin is
//! read; `bind` tells whoever does that (`vs steer`) when there is a reason to.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::helpers::generated::{bpf_map_update_elem, bpf_ringbuf_output, bpf_sk_storage_get};

use vs_common::context::{Tag, lifecycle};
use vs_common::hook::Hook;
use vs_common::id::Xid;
use vs_common::network::{Address, LISTENER_UDP, LISTENER_V6, ListenerKey, number};

use crate::counters;
use crate::kernel::socket::SockAddress;
use crate::maps::{BOUND, DATAGRAMS, LISTENERS, SOCKETS};

/// What the program returns: go on with the next socket.
const NEXT: i32 = 0;

/// `struct bpf_iter__udp`, as far as it is read.
#[repr(C)]
struct UdpIteration {
    meta: *const c_void,
    /// `struct udp_sock *`; null: there is no further one.
    sock: *mut c_void,
}

/// Tells that a socket for datagrams is about to be bound to ANY, or to one address before which one on ANY must not stand. If there is no
/// room, whoever reads has been told already.
#[inline(always)]
pub(super) fn tell(is_any: bool) {
    if !is_any && DATAGRAMS.get(0).is_none_or(|word| *word == 0) {
        return;
    }
    let word = 1_u32;
    // SAFETY: The map, and a live local of that size.
    unsafe {
        let ring: *mut c_void = ptr::from_ref(&BOUND).cast_mut().cast();
        bpf_ringbuf_output(ring, ptr::from_ref(&word).cast_mut().cast(), 4, 0);
    }
}

/// `udp_seq_ops`: remembers a context's socket for datagrams under what it was bound to, as `listen` does with who listens. Those bound to one
/// address are remembered too, so that who is bound to ANY does not stand before them.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/udp")]
extern "C" fn udp_sockets(ctx: *const UdpIteration) -> i32 {
    // SAFETY: The program's own context.
    let sock = unsafe { (*ctx).sock };
    if sock.is_null() {
        return NEXT;
    }
    // SAFETY: The socket is known to the verifier, and the map is a socket storage of `Tag`.
    let tag: *const Tag = unsafe { bpf_sk_storage_get(SOCKETS.as_ptr(), sock, ptr::null_mut(), 0).cast() };
    if tag.is_null() {
        return NEXT;
    }
    // SAFETY: A map's value, which lives until the program returns.
    let owner = unsafe { *tag };
    let facts = SockAddress(sock as u64);
    let port = facts.port();
    // Those of contexts that use the host's addresses are the host's here.
    let xid = if owner.has_network() { owner.xid } else { Xid::HOST };
    let is_any = owner.lifecycle & lifecycle::BOUND_TO_ANY != 0;
    if (!owner.has_network() && !is_any)
        || port == 0
        || facts.protocol() != number::UDP
        || facts.is_connected()
    {
        return NEXT;
    }
    let is_v6 = facts.family() == number::AF_INET6;
    let address = if is_any {
        Address::NONE
    } else if is_v6 {
        Address(facts.address6())
    } else {
        Address::v4(facts.address4())
    };
    let mut key = ListenerKey { xid, port: port | LISTENER_UDP, address };
    let mut is_kept = true;
    // One of IPv6 that is not for IPv6 only has datagrams of IPv4 as well.
    if !is_v6 || !facts.is_v6_only() {
        is_kept = remember(sock, &mut key);
    }
    if is_v6 {
        key.port |= LISTENER_V6;
        is_kept = remember(sock, &mut key) && is_kept;
    }
    if is_kept {
        if let Some(word) = DATAGRAMS.get_ptr_mut(0) {
            // SAFETY: A map's value; one aligned word that only ever becomes 1.
            unsafe { *word = 1 };
        }
    } else {
        counters::count_failure(Hook::UdpSockets);
    }
    NEXT
}

#[inline(always)]
fn remember(sock: *mut c_void, key: &mut ListenerKey) -> bool {
    // SAFETY: The map, a live local of its key type, and a socket that the verifier knows.
    unsafe {
        let map: *mut c_void = ptr::from_ref(&LISTENERS).cast_mut().cast();
        bpf_map_update_elem(map, ptr::from_mut(key).cast(), sock, 0) == 0
    }
}
