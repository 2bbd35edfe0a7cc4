//! Datagrams on a context's own loopback.
//!
//! A connection finds its listener when it comes in (`listen`); a datagram has to know where to go when it leaves, since no program can
//! keep a socket that datagrams come to. A server on ANY is bound to the primary address, one on 127.0.0.1 to the context's own
//! loopback, and either may be answered by a socket that is connected to either. So the pairs of source and destination that mean
//! loopback to the context are tried, and the first that a socket of the context answers to is taken. None: only the host could answer.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::bindings::{bpf_sock_addr, bpf_sock_tuple};
use aya_ebpf::helpers::generated::{bpf_sk_lookup_udp, bpf_sk_release, bpf_sk_storage_get};

use vs_common::context::Tag;
use vs_common::network::Address;
use vs_common::verdict::{Errno, Reason};

use super::name::shown6;
use super::{Act, OWN_LOOPBACK, refusal};
use crate::maps::SOCKETS;

/// `BPF_F_CURRENT_NETNS`.
const CURRENT_NAMESPACE: u64 = u64::MAX;

/// A way that a datagram could take.
#[repr(C)]
#[derive(Clone, Copy)]
struct Way {
    from: Address,
    to: Address,
    /// Ports in the machine's order; 0: not known yet.
    from_port: u32,
    to_port: u32,
}

/// Takes `act.source` and `act.address`, both the context's own loopback, to a pair that is answered to; `second` is another source that
/// the datagram may have, or the same. [`OWN_LOOPBACK`] or a refusal.
#[inline(never)]
pub(super) fn find(
    ctx: *mut bpf_sock_addr,
    tag: *const Tag,
    act: &mut Act,
    second: &Address,
    from_port: u32,
) -> i32 {
    let mut way = Way { from: act.source, to: act.address, from_port, to_port: act.port };
    if answers(ctx, tag, &way) != 0 {
        return OWN_LOOPBACK;
    }
    if *second != act.source {
        way.from = *second;
        if answers(ctx, tag, &way) != 0 {
            act.source = *second;
            return OWN_LOOPBACK;
        }
        way.from = act.source;
    }
    if act.primary != Address::NONE {
        way.to = act.primary;
        if answers(ctx, tag, &way) != 0 {
            act.address = act.primary;
            return OWN_LOOPBACK;
        }
    }
    // The record names what was asked for.
    act.address = shown6(&act.address, &Address::NONE);
    refusal(Errno::Econnrefused, Reason::HostListener)
}

/// Whether a datagram that goes this way would come to a socket of the same context: 0 or 1.
#[inline(never)]
fn answers(ctx: *mut bpf_sock_addr, tag: *const Tag, way: &Way) -> u32 {
    // `struct bpf_sock_tuple`: addresses, then both ports.
    let ports = u32::from((way.from_port as u16).to_be()) | u32::from((way.to_port as u16).to_be()) << 16;
    let mut tuple = [0_u32; 9];
    let size = if way.to.is_v4() {
        tuple[0] = way.from.v4_word();
        tuple[1] = way.to.v4_word();
        tuple[2] = ports;
        12
    } else {
        tuple[0] = way.from.0[0];
        tuple[1] = way.from.0[1];
        tuple[2] = way.from.0[2];
        tuple[3] = way.from.0[3];
        tuple[4] = way.to.0[0];
        tuple[5] = way.to.0[1];
        tuple[6] = way.to.0[2];
        tuple[7] = way.to.0[3];
        tuple[8] = ports;
        36
    };
    // SAFETY: The program's own context, a live local of that size; the socket that is found is held until it is released.
    unsafe {
        let tuple: *mut bpf_sock_tuple = tuple.as_mut_ptr().cast();
        let sock = bpf_sk_lookup_udp(ctx.cast(), tuple, size, CURRENT_NAMESPACE, 0);
        if sock.is_null() {
            return 0;
        }
        let found: *const Tag =
            bpf_sk_storage_get(SOCKETS.as_ptr(), sock.cast::<c_void>(), ptr::null_mut(), 0).cast();
        let is_own = !found.is_null() && (*found).is_same_context(&*tag);
        bpf_sk_release(sock.cast());
        u32::from(is_own)
    }
}
