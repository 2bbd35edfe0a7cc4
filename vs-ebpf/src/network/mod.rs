//! Addresses that belong to contexts.
//!
//! A socket has its creator's tag ([`create`]) and keeps it wherever it goes; what it asks for is judged by that, whoever holds it. The
//! host's sockets have none and are let go after one look.
//!
//! | program                          | job                                                                       |
//! |----------------------------------|---------------------------------------------------------------------------|
//! | `bind4`, `bind6`                 | ANY is the primary address, loopback the context's own, a foreign one is not there |
//! | `connect4`, `connect6`           | the source is the context's; loopback leads to its own                    |
//! | `sendmsg4`, `sendmsg6`           | the same for each datagram of a socket that is not connected              |
//! | `recvmsg*`, `getsockname*`, `getpeername*` | loopback is shown as loopback                                   |
//! | `listen_event`, `udp_sockets`, `socket_lookup` | one listener on ANY has the connections of every address of its context   |
//! | `ping_source`, `socket_bind`, `socket_sendmsg` | echo requests of those who may ping, and what raw sockets send, are the context's |
//! | `ingress`                        | what is for another address is not received                               |
//! | `socket_create` and other hooks of the LSM | what the programs above do not see is refused                   |
//!
//! Decisions are `vs_common::network`'s.

mod bind;
mod connect;
mod create;
mod datagram;
mod gather;
mod icmp;
mod listen;
mod loopback;
mod name;
mod receive;

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::bindings::bpf_sock_addr;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::helpers::generated::{bpf_set_retval, bpf_sk_storage_get};

use vs_common::context::Tag;
use vs_common::hook::Hook;
use vs_common::id::{Epoch, Xid};
use vs_common::network::{
    ADDRESS_KEY_BITS, Address, AddressKey, NetworkRules, PORT_KEY_BITS, PortKey, PortUse,
};
use vs_common::policy_entry::ContextKey;
use vs_common::verdict::{Errno, Reason};

use crate::maps::{ADDRESSES, HOST_EPOCHS, NETWORKS, PORTS, SOCKETS, epoch};
use crate::verdict::{Denial, deny};

/// What a program at a socket address returns to let the call go on.
const PASS: i32 = 1;
/// And to have it fail, with what `bpf_set_retval` was given.
const FAIL: i32 = 0;

/// What came of a question: go on as asked. A [`refusal`] is negative.
const AS_ASKED: i32 = 0;
/// Go on with another address.
const CHANGED: i32 = 1;
/// Go on, on the context's own loopback.
const OWN_LOOPBACK: i32 = 2;
/// Go on as the host would.
const AS_HOST: i32 = 3;

/// What a socket asks for, and what is made of it. On the stack of a program, handed on by reference.
#[repr(C)]
struct Act {
    /// The address, asked for or to be taken.
    address: Address,
    /// Where it is to come from.
    source: Address,
    /// The context's own primary address of that family.
    primary: Address,
    /// The port, in the machine's order.
    port: u32,
    /// The socket's family.
    family: u32,
    /// The socket's protocol.
    protocol: u32,
    /// A [`Hook`]'s number: whose record it would be.
    hook: Hook,
}

impl Act {
    /// Of the address that a program was called with.
    #[inline(always)]
    fn new(ctx: *mut bpf_sock_addr, address: Address, hook: Hook) -> Self {
        // SAFETY: The program's own context. Volatile, that each field is read by an access of its own: the verifier wants whole ones.
        let (port, family, protocol) = unsafe {
            (
                ptr::read_volatile(&raw const (*ctx).user_port),
                ptr::read_volatile(&raw const (*ctx).family),
                ptr::read_volatile(&raw const (*ctx).protocol),
            )
        };
        let port = u32::from(u16::from_be(port as u16));
        Self { address, source: Address::NONE, primary: Address::NONE, port, family, protocol, hook }
    }
}

/// The tag of the socket that a program was called for; null: it is the host's.
#[inline(always)]
fn tag_of(ctx: *mut bpf_sock_addr) -> *mut Tag {
    // SAFETY: The program's own context; its socket is never NULL and known to the verifier, and the map is a socket storage of `Tag`.
    unsafe {
        let sock: *mut c_void = ptr::read_volatile(&raw const (*ctx).__bindgen_anon_1.sk).cast();
        own_tag(bpf_sk_storage_get(SOCKETS.as_ptr(), sock, ptr::null_mut(), 0).cast())
    }
}

/// A socket's tag; null if it is the host's, whose sockets have one only where they were bound to ANY and the host is confined.
#[inline(always)]
fn own_tag(tag: *mut Tag) -> *mut Tag {
    // SAFETY: A map's value, which lives until the program returns.
    if !tag.is_null() && unsafe { (*tag).xid } == Xid::HOST { ptr::null_mut() } else { tag }
}

/// What policy says of the addresses of a socket's context. None: the context is gone, or its number has been given again; the socket
/// belongs to nobody.
#[inline(always)]
fn rules_of(tag: &Tag, epoch: Epoch) -> Option<&'static NetworkRules> {
    // SAFETY: A row is written whole before its epoch is in force and not changed after; removal frees it after a grace period.
    let rules = unsafe { NETWORKS.get(&ContextKey { epoch, xid: tag.xid })? };
    if rules.generation.0 == tag.generation.0 { Some(rules) } else { None }
}

/// Whether an address is on a context's list; with xid 0, whose it is.
#[inline(always)]
fn listed(epoch: Epoch, xid: Xid, address: &Address) -> Option<Xid> {
    let key = Key::new(ADDRESS_KEY_BITS + 128, AddressKey { epoch, xid, address: *address });
    ADDRESSES.get(&key).copied()
}

/// Whether an address is no context's: the host's, or nobody's here. By reference: of an owner that is copied LLVM compares the register where
/// there is none, and the verifier refuses.
#[inline(always)]
fn is_hosts(epoch: Epoch, address: &Address) -> bool {
    let key = Key::new(ADDRESS_KEY_BITS + 128, AddressKey { epoch, xid: Xid::HOST, address: *address });
    match ADDRESSES.get(&key) {
        Some(owner) => *owner == Xid::HOST,
        None => true,
    }
}

/// Whether policy in force has `[host] addresses`.
#[inline(always)]
fn is_host_confined(epoch: Epoch) -> bool {
    HOST_EPOCHS.get(epoch.0 & 1).is_some_and(|confined| *confined == epoch.0)
}

/// Whether policy gives a context a port.
#[inline(never)]
fn is_given_port(epoch: u32, xid: u32, usage: u32, port: u32) -> u32 {
    let key =
        PortKey { epoch: Epoch(epoch), xid: Xid(xid), usage: usage as u16, port: (port as u16).to_be() };
    u32::from(PORTS.get(&Key::new(PORT_KEY_BITS + 16, key)).is_some())
}

/// Whether policy gives the socket's context the port that it asks for.
#[inline(always)]
fn has_port(owner: &Tag, epoch: Epoch, usage: PortUse, act: &Act) -> bool {
    let usage = PortKey::usage_of(usage, act.protocol as u8);
    is_given_port(epoch.0, owner.xid.0, u32::from(usage), act.port) != 0
}

/// A denial as a negative number, for functions that say what to do next: the errno, the reason, and whether mode observe lets it pass.
#[inline(always)]
const fn refusal(errno: Errno, reason: Reason) -> i32 {
    -(errno as i32 | (reason as i32) << 8 | (reason.is_between_contexts() as i32) << 16)
}

/// An errno without a denial, in the same form: the kernel's own answer.
#[inline(always)]
const fn failure(errno: Errno) -> i32 {
    -(errno as i32)
}

// All of them fit.
const _: () = assert!(Errno::Econnrefused as u16 == 111 && Reason::ALL.len() < 256);

/// Carries out a refusal at a socket address: what the program returns. Here and not where it was found out, since the stack of all functions
/// in a chain is bounded by 512 bytes (`MAX_BPF_STACK`), and a record takes much of it.
#[inline(never)]
fn refuse(tag: *const Tag, act: &Act, refusal: i32) -> i32 {
    let code = refusal.wrapping_neg().cast_unsigned();
    let (errno, reason, is_between) = (code & 0xff, code >> 8 & 0xff, code >> 16);
    if reason != 0 {
        let mut denial = Denial::NONE;
        // SAFETY: A map's value, which lives until the program returns.
        denial.actor = unsafe { *tag };
        denial.target.set_address(act.family, act.protocol, act.port, &act.address);
        denial.hook = act.hook as u16;
        denial.reason = reason as u16;
        denial.errno = errno as u16;
        denial.is_between = is_between as u16;
        if deny(&denial) == 0 {
            return PASS;
        }
    }
    // SAFETY: Takes a number.
    unsafe { bpf_set_retval(errno.cast_signed().wrapping_neg()) };
    FAIL
}
