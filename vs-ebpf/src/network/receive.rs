//! What sockets receive.
//!
//! A socket that has sent without being bound has a port at every address of the host, and a raw one has what comes to any of them
//! (`net/ipv4/raw.c:raw_v4_input`). So where policy asks for it, and for raw sockets wherever contexts may have any, each packet's destination is
//! looked at when a socket is about to receive it.
//!
//! What the kernel hands to a socket that is not whole, of a connection that is asked for or has ended, is judged by the listener or by nobody
//! (`kernel/bpf/cgroup.c:__cgroup_bpf_run_filter_skb`). Falls open for sockets that no flag is set for, and closed for a raw one whose rules are gone.
//! No record: who sends is no context, and could fill the audit.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::{bpf_sk_storage_get, bpf_skb_load_bytes};
use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::programs::SkBuffContext;

use vs_common::context::Tag;
use vs_common::hook::Hook;
use vs_common::id::Epoch;
use vs_common::network::{Address, AddressKind, decide_receive, network_flag, number};

use super::{epoch, listed, own_tag, rules_of};
use crate::counters;
use crate::maps::SOCKETS;
use crate::verdict::is_observed;

/// What the program returns to have the packet received.
const PASS: i32 = 1;
/// To have it dropped.
const DROP: i32 = 0;

/// `ETH_P_IP` and `ETH_P_IPV6` in network order.
const IPV4: u32 = 0x0800_u16.to_be() as u32;
const IPV6: u32 = 0x86dd_u16.to_be() as u32;
/// `PACKET_BROADCAST`: to all of its link.
const TO_ALL: u32 = 1;

/// `sk_filter_trim_cap`, with the packet from its network header on: see [`decide_receive`].
#[cgroup_skb(ingress)]
fn ingress(ctx: SkBuffContext) -> i32 {
    let packet = ctx.skb.skb;
    // SAFETY: The program's own context. Volatile, see `super::Act::new`.
    let sock: *mut c_void = unsafe { ptr::read_volatile(&raw const (*packet).__bindgen_anon_2.sk).cast() };
    if sock.is_null() {
        return PASS;
    }
    // SAFETY: The socket is known to the verifier, and the map is a socket storage of `Tag`.
    let tag = own_tag(unsafe { bpf_sk_storage_get(SOCKETS.as_ptr(), sock, ptr::null_mut(), 0).cast() });
    if tag.is_null() { PASS } else { member_receives(packet, tag) }
}

/// The same for a socket of a context. Not inlined, since a program saves every register that any of its paths uses.
#[inline(never)]
fn member_receives(packet: *mut __sk_buff, tag: *const Tag) -> i32 {
    // SAFETY: A map's value, which lives until the program returns.
    let owner = unsafe { *tag };
    let epoch = epoch();
    let flags = match rules_of(&owner, epoch) {
        Some(rules) => rules.flags,
        None => 0,
    };
    if !owner.has_network() || (!owner.is_raw() && flags & network_flag::STRICT == 0) {
        return PASS;
    }
    if is_for(packet, tag, epoch.0) != 0 {
        return PASS;
    }
    // What a raw socket may see does not follow the mode.
    let is_observed = !owner.is_raw() && is_observed(&owner, epoch);
    counters::count_denial(Hook::Ingress as u32, !is_observed);
    if is_observed { PASS } else { DROP }
}

/// What a header says.
#[repr(C)]
struct Header {
    source: Address,
    destination: Address,
    /// What comes after it.
    protocol: u32,
}

/// Whether a packet is for a context's socket: 0 or 1.
#[inline(never)]
fn is_for(packet: *mut __sk_buff, tag: *const Tag, epoch: u32) -> u32 {
    let mut header = Header { source: Address::NONE, destination: Address::NONE, protocol: 0 };
    // SAFETY: As above; a map's value, which lives until the program returns.
    let (protocol, kind, owner) = unsafe {
        (
            ptr::read_volatile(&raw const (*packet).protocol),
            ptr::read_volatile(&raw const (*packet).pkt_type),
            *tag,
        )
    };
    // By the packet, not by the socket: one of IPv6 receives IPv4, too.
    let is_read = match protocol {
        IPV4 => read4(packet, &mut header),
        IPV6 => read6(packet, &mut header),
        _ => 0,
    };
    if is_read == 0 {
        return 0;
    }
    let epoch = Epoch(epoch);
    let Some(rules) = rules_of(&owner, epoch) else { return 0 };
    let is_listed = matches!(header.destination.kind(), AddressKind::Unicast)
        && listed(epoch, owner.xid, &header.destination).is_some();
    if decide_receive(rules, owner.xid, &header.destination, is_listed, kind == TO_ALL) {
        return 1;
    }
    // A machine answers an echo request for one of its own addresses from there to there. Only a ping socket receives ICMP that is not raw, and
    // only what bears its number (`net/ipv4/ping.c:ping_rcv`).
    let is_echo = header.protocol == number::ICMP || header.protocol == number::ICMPV6;
    u32::from(is_echo && !owner.is_raw() && header.source == header.destination)
}

/// Reads a header of IPv4 (`struct iphdr`). 0: there is none.
#[inline(never)]
fn read4(packet: *mut __sk_buff, header: &mut Header) -> u32 {
    let mut words = [0_u32; 5];
    // SAFETY: The program's own context, and a live local of that size.
    let failed = unsafe { bpf_skb_load_bytes(packet.cast(), 0, words.as_mut_ptr().cast(), 20) };
    if failed != 0 {
        return 0;
    }
    header.source = Address::v4(words[3]);
    header.destination = Address::v4(words[4]);
    header.protocol = u32::from_be(words[2]) >> 16 & 0xff;
    1
}

/// The same of IPv6 (`struct ipv6hdr`).
#[inline(never)]
fn read6(packet: *mut __sk_buff, header: &mut Header) -> u32 {
    let mut words = [0_u32; 10];
    // SAFETY: As above.
    let failed = unsafe { bpf_skb_load_bytes(packet.cast(), 0, words.as_mut_ptr().cast(), 40) };
    if failed != 0 {
        return 0;
    }
    header.source = Address([words[2], words[3], words[4], words[5]]);
    header.destination = Address([words[6], words[7], words[8], words[9]]);
    header.protocol = u32::from_be(words[1]) >> 8 & 0xff;
    1
}
