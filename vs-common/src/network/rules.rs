//! What policy says of addresses, as the maps have it.

use super::address::Address;
use crate::id::{Epoch, Generation, Xid};

/// The bits of [`NetworkRules::flags`].
pub mod network_flag {
    /// There is a primary IPv4 address.
    pub const V4: u32 = 1;
    /// There is a primary IPv6 address.
    pub const V6: u32 = 1 << 1;
    /// `loopback = "private"`: 127.0.0.0/8 and `::1` are the context's own.
    pub const LOOPBACK_PRIVATE: u32 = 1 << 2;
    /// `loopback = "shared"`: they are the host's. Neither bit: there is no loopback.
    pub const LOOPBACK_SHARED: u32 = 1 << 3;
    /// `multicast = true`: groups may be joined and sent to.
    pub const MULTICAST: u32 = 1 << 4;
    /// `broadcast = true`.
    pub const BROADCAST: u32 = 1 << 5;
    /// `show_any = true`: a socket bound to ANY is shown ANY.
    pub const SHOW_ANY: u32 = 1 << 6;
    /// The context has no addresses of its own and uses the host's, all but the private loopbacks of others.
    pub const HOST: u32 = 1 << 7;
    /// Some destinations have a source of their own: there are rows in `SOURCES`.
    pub const SOURCES: u32 = 1 << 8;
    /// Not every port may be bound to: those that may are in `PORTS`. Of the host's row: those whose sockets stay on ANY.
    pub const BIND_PORTS: u32 = 1 << 9;
    /// Not every port may be connected or sent to: those that may are in `PORTS`.
    pub const CONNECT_PORTS: u32 = 1 << 10;
    /// `shared = true`: others that say so too may have its addresses.
    pub const SHARED: u32 = 1 << 11;
    /// `ping = true`: sockets of ICMP datagrams may be made.
    pub const PING: u32 = 1 << 12;
    /// `receive = "strict"`: what is for another address is not received.
    pub const STRICT: u32 = 1 << 13;
    /// `raw = ["icmp"]`: raw sockets of ICMP may be made.
    pub const RAW_ICMP: u32 = 1 << 14;
    /// `raw = ["icmpv6"]`: raw sockets of `ICMPv6` may be made.
    pub const RAW_ICMPV6: u32 = 1 << 15;
    /// Either of these.
    pub const RAW: u32 = RAW_ICMP | RAW_ICMPV6;
    /// Some of its sockets have its mark, and it has routes of its own for them.
    pub const MARKED: u32 = PING | RAW;
}

/// What policy says of one context's addresses in one epoch: the value of `NETWORKS`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NetworkRules {
    /// The generation that the rules are for.
    pub generation: Generation,
    /// [`network_flag`] bits.
    pub flags: u32,
    /// Always 0.
    pub reserved: u32,
    /// What ANY is in IPv4, and the source of what goes out.
    pub primary4: Address,
    /// The same in IPv6.
    pub primary6: Address,
}

const _: () = assert!(size_of::<NetworkRules>() == 48);

impl NetworkRules {
    /// Whether one of some [`network_flag`]s is set.
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// The data of a key of `ADDRESSES`, a trie over prefixes: the first 64 bits are always compared.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AddressKey {
    /// The load that the row belongs to.
    pub epoch: Epoch,
    /// Whose list the address is on; 0: of the list that says whose an address is.
    pub xid: Xid,
    /// The address.
    pub address: Address,
}

const _: () = assert!(size_of::<AddressKey>() == 24);

/// Bits of [`AddressKey`] before the address.
pub const ADDRESS_KEY_BITS: u32 = 64;

/// Who has an address that several contexts share, on the list that says whose an address is: nobody has this xid.
pub const SHARED_OWNER: Xid = Xid(u32::MAX - 1);

/// What a port is used for: half of what [`PortKey::usage`] says.
#[repr(u16)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PortUse {
    /// A socket binds to it.
    Bind = 0,
    /// A socket connects or sends to it.
    Connect = 1,
}

/// The data of a key of `PORTS`, a trie over prefixes of ports: the first 80 bits are always compared. A row is there for what is allowed.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortKey {
    /// The load that the row belongs to.
    pub epoch: Epoch,
    /// The context.
    pub xid: Xid,
    /// A [`PortUse`]'s number, and above it the protocol's: [`PortKey::usage_of`].
    pub usage: u16,
    /// The port, in network order.
    pub port: u16,
}

const _: () = assert!(size_of::<PortKey>() == 12);

/// Bits of [`PortKey`] before the port.
pub const PORT_KEY_BITS: u32 = 80;

impl PortKey {
    /// [`PortKey::usage`] of one use of a port in one protocol.
    #[inline(always)]
    pub const fn usage_of(usage: PortUse, protocol: u8) -> u16 {
        (protocol as u16) << 8 | usage as u16
    }
}

/// The key of `LISTENERS`: where packets for a context's address and port go.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerKey {
    /// The context.
    pub xid: Xid,
    /// The port, in the machine's order, and [`LISTENER_V6`] and [`LISTENER_UDP`].
    pub port: u32,
    /// The address; none: the socket was bound to ANY.
    pub address: Address,
}

const _: () = assert!(size_of::<ListenerKey>() == 24);

/// In [`ListenerKey::port`]: for IPv6.
pub const LISTENER_V6: u32 = 1 << 16;
/// In [`ListenerKey::port`]: for datagrams.
pub const LISTENER_UDP: u32 = 1 << 17;

#[cfg(feature = "user")]
mod user {
    //! SAFETY of all: `repr(C)`, `Copy`, no padding (the sizes are asserted above), every bit pattern is a value.
    use super::{Address, AddressKey, ListenerKey, NetworkRules, PortKey};

    // SAFETY: see the module.
    unsafe impl aya::Pod for NetworkRules {}
    // SAFETY: see the module.
    unsafe impl aya::Pod for AddressKey {}
    // SAFETY: see the module.
    unsafe impl aya::Pod for ListenerKey {}
    // SAFETY: see the module.
    unsafe impl aya::Pod for PortKey {}
    // SAFETY: see the module.
    unsafe impl aya::Pod for Address {}
}
