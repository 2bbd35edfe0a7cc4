//! One listener for every address of its context.
//!
//! A socket is bound to one address. So whoever listens for a context is remembered when it begins to, by context, port and what it asked
//! to be bound to, and when a connection comes in for an address of a context, whoever listens there on ANY gets it. A search of this kind
//! is made once for a connection, when it is asked for, and not for packets of one that stands.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::bindings::{bpf_sk_lookup, bpf_sock};
use aya_ebpf::helpers::generated::{
    bpf_get_netns_cookie, bpf_map_lookup_elem, bpf_sk_assign, bpf_sk_release, bpf_sk_storage_get,
    bpf_sock_hash_update,
};
use aya_ebpf::macros::{sk_lookup, sock_ops};
use aya_ebpf::programs::{SkLookupContext, SockOpsContext};

use vs_common::context::{Tag, lifecycle};
use vs_common::hook::Hook;
use vs_common::id::{ContextKind, Epoch, Xid};
use vs_common::network::{Address, LISTENER_UDP, LISTENER_V6, ListenerKey, network_flag, number};
use vs_common::policy_entry::ContextKey;

use super::{epoch, is_host_confined, listed};
use crate::counters;
use crate::kernel::socket::SockAddress;
use crate::maps::{DATAGRAMS, LISTENERS, NETWORKS, SOCKETS};

/// `BPF_SOCK_OPS_TCP_LISTEN_CB`, which needs no flag to be called.
const LISTEN: u32 = 11;
/// `TCP_ESTABLISHED`.
const ESTABLISHED: u32 = 1;
/// What the program returns: nothing hangs on it.
const DONE: u32 = 1;
/// `SK_PASS`.
const PASS: u32 = 1;
/// `SK_DROP`: nobody listens.
const DROP: u32 = 0;

#[inline(always)]
fn listeners() -> *mut c_void {
    ptr::from_ref(&LISTENERS).cast_mut().cast()
}

/// `inet_csk_listen_start`, once the socket listens. Of a context's it is remembered where. Cannot deny; if there is no room, or no memory,
/// it listens at the one address that it is bound to, which is counted.
#[sock_ops]
fn listen_event(ctx: SockOpsContext) -> u32 {
    // SAFETY: The program's own context.
    let (operation, sock) = unsafe {
        (
            ptr::read_volatile(&raw const (*ctx.ops).op),
            ptr::read_volatile(&raw const (*ctx.ops).__bindgen_anon_2.sk),
        )
    };
    if operation != LISTEN || sock.is_null() || !is_in_first_namespace(&ctx) {
        return DONE;
    }
    // SAFETY: The socket is known to the verifier, and the map is a socket storage of `Tag`.
    let tag: *const Tag =
        unsafe { bpf_sk_storage_get(SOCKETS.as_ptr(), sock.cast(), ptr::null_mut(), 0).cast() };
    if tag.is_null() {
        return DONE;
    }
    // SAFETY: A map's value, which lives until the program returns.
    let owner = unsafe { *tag };
    // Where the host is confined, who uses its addresses listens beside its own services.
    let xid = if owner.has_network() {
        owner.xid
    } else if is_host_confined(epoch()) {
        Xid::HOST
    } else {
        return DONE;
    };
    let is_any = owner.lifecycle & lifecycle::BOUND_TO_ANY != 0;
    let facts = SockAddress::of(sock.cast());
    let is_v6 = facts.family() == number::AF_INET6;
    let port = facts.port();
    let address = if is_any {
        Address::NONE
    } else if is_v6 {
        Address(facts.address6())
    } else {
        Address::v4(facts.address4())
    };
    let mut key = ListenerKey { xid, port, address };
    let mut is_kept = true;
    // One of IPv6 that is not for IPv6 only listens for IPv4 as well.
    if !is_v6 || !facts.is_v6_only() {
        is_kept = remember(&ctx, &mut key);
    }
    if is_v6 {
        key.port = port | LISTENER_V6;
        is_kept = remember(&ctx, &mut key) && is_kept;
    }
    if !is_kept {
        counters::count_failure(Hook::ListenEvent);
    }
    DONE
}

/// Whether a socket is in the initial network namespace. Of another one it must not be found by connections here, and the kernel hands a socket
/// out whatever namespace it is in (`net/core/filter.c:bpf_sk_lookup_assign`).
#[inline(always)]
fn is_in_first_namespace(ctx: &SockOpsContext) -> bool {
    // SAFETY: The program's own context, or none, which asks for the initial namespace.
    unsafe { bpf_get_netns_cookie(ctx.ops.cast()) == bpf_get_netns_cookie(ptr::null_mut()) }
}

#[inline(always)]
fn remember(ctx: &SockOpsContext, key: &mut ListenerKey) -> bool {
    // SAFETY: The program's own context, and a live local of the map's key type.
    unsafe { bpf_sock_hash_update(ctx.ops, listeners(), ptr::from_mut(key).cast(), 0) == 0 }
}

/// `__inet_lookup_listener`, `__inet6_lookup_listener`, before the kernel's own search; `__udp4_lib_lookup`, `__udp6_lib_lookup`, after
/// that for one address and before that for ANY.
///
/// | destination                   | listener at it | on ANY | outcome                    |
/// |-------------------------------|----------------|--------|----------------------------|
/// | no context's                  | -              | -      | the kernel's search        |
/// | a context's                   | yes            | -      | the kernel's search        |
/// | a context's                   | no             | yes    | that one                   |
/// | a context's, listed           | no             | no     | the kernel's search: a service of the host's on ANY has the port |
/// | a context's own loopback      | no             | no     | nobody: refused            |
/// | a context's own loopback, datagrams | -        | -      | the kernel's search        |
#[sk_lookup]
fn socket_lookup(ctx: SkLookupContext) -> u32 {
    let lookup = ctx.lookup;
    // SAFETY: The program's own context. Volatile, see `Act::new`.
    let (protocol, family) = unsafe {
        (ptr::read_volatile(&raw const (*lookup).protocol), ptr::read_volatile(&raw const (*lookup).family))
    };
    let is_datagram = protocol == number::UDP;
    if protocol != number::TCP && !(is_datagram && DATAGRAMS.get(0).is_some_and(|word| *word != 0)) {
        return PASS;
    }
    let epoch = epoch();
    let address = destination(lookup, family);
    let Some((xid, is_loopback)) = owner(epoch, &address) else { return PASS };
    // There `connect` and `sendmsg` have chosen a pair that a server's answer fits, whatever it is bound to (`loopback`).
    if is_datagram && is_loopback {
        return PASS;
    }
    // SAFETY: As above.
    let port = unsafe { ptr::read_volatile(&raw const (*lookup).local_port) };
    let port = if family == number::AF_INET6 { port | LISTENER_V6 } else { port };
    let port = if is_datagram { port | LISTENER_UDP } else { port };
    let mut key = ListenerKey { xid, port, address };
    // SAFETY: The map, a live local of its key type, the program's own context; each socket found is released.
    unsafe {
        let exact = bpf_map_lookup_elem(listeners(), ptr::from_ref(&key).cast());
        if !exact.is_null() {
            bpf_sk_release(exact);
            return PASS;
        }
        key.address = Address::NONE;
        let any = bpf_map_lookup_elem(listeners(), ptr::from_ref(&key).cast());
        if !any.is_null() {
            // One that is connected takes datagrams from where it is connected to, and those find it.
            let is_open = ptr::read_volatile(&raw const (*any.cast::<bpf_sock>()).state) != ESTABLISHED;
            let is_assigned = is_open && bpf_sk_assign(lookup.cast(), any, 0) == 0;
            bpf_sk_release(any);
            if is_assigned {
                return PASS;
            }
        }
    }
    if is_loopback { DROP } else { PASS }
}

/// Where a connection is for.
#[inline(always)]
fn destination(lookup: *mut bpf_sk_lookup, family: u32) -> Address {
    // SAFETY: The program's own context.
    unsafe {
        if family == number::AF_INET6 {
            Address([
                ptr::read_volatile(&raw const (*lookup).local_ip6[0]),
                ptr::read_volatile(&raw const (*lookup).local_ip6[1]),
                ptr::read_volatile(&raw const (*lookup).local_ip6[2]),
                ptr::read_volatile(&raw const (*lookup).local_ip6[3]),
            ])
        } else {
            Address::v4(ptr::read_volatile(&raw const (*lookup).local_ip4))
        }
    }
}

/// Whose address it is, and whether it is that context's own loopback. None: the host's, or nobody's here.
#[inline(always)]
fn owner(epoch: Epoch, address: &Address) -> Option<(Xid, bool)> {
    let xid = if address.is_v4() && Address::is_loopback4(address.v4_word()) {
        Address::loopback4_owner(address.v4_word())
    } else if *address == Address::LOOPBACK6 {
        Xid::HOST
    } else if address.is_own_loopback6() {
        address.loopback6_owner()
    } else {
        return listed(epoch, Xid::HOST, address).map(|xid| (xid, false));
    };
    if !matches!(xid.kind(), ContextKind::Guest) {
        // Where the host is confined, whoever listens for it on ANY has its loopback, too.
        return if is_host_confined(epoch) { Some((Xid::HOST, false)) } else { None };
    }
    // SAFETY: As in `super::rules_of`.
    let rules = unsafe { NETWORKS.get(&ContextKey { epoch, xid })? };
    if rules.has(network_flag::LOOPBACK_PRIVATE) { Some((xid, true)) } else { None }
}
