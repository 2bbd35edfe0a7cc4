//! `struct socket`, `struct sock`, `struct sk_buff`.

use core::ffi::c_void;

use super::{layout, read};

/// A `struct sock` as the verifier knows it: walked to from a hook's `struct socket`.
#[derive(Clone, Copy)]
pub(crate) struct Sock(*mut c_void);

impl Sock {
    /// What lies behind a hook's argument of type `struct socket *`; none: the socket is being made or taken apart.
    #[inline(always)]
    pub(crate) fn of_socket(socket: *const c_void) -> Option<Self> {
        // SAFETY: A typed pointer plus a constant from this kernel's BTF; the result is typed, and tested before use.
        let sock: *mut c_void = unsafe { *socket.cast::<u8>().add(layout::SOCKET_SK.load() as usize).cast() };
        if sock.is_null() { None } else { Some(Self(sock)) }
    }

    /// A hook's argument of type `struct sock *`, never NULL in the hooks that use this.
    #[inline(always)]
    pub(crate) fn argument(pointer: *mut c_void) -> Self {
        Self(pointer)
    }

    /// For helpers that take a socket.
    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *mut c_void {
        self.0
    }

    /// Whether any BPF tool has stored anything on it. The host's sockets have nothing: one load, no helper.
    #[inline(always)]
    pub(crate) fn has_storage(self) -> bool {
        // SAFETY: As above; a pointer that is only tested.
        unsafe { *self.0.cast::<u8>().add(layout::SOCK_BPF_STORAGE.load() as usize).cast::<u64>() != 0 }
    }

    /// For reads by address.
    #[inline(always)]
    pub(crate) fn address(self) -> SockAddress {
        SockAddress(self.0 as u64)
    }
}

/// A `struct sock` by its address.
#[derive(Clone, Copy)]
pub(crate) struct SockAddress(pub(crate) u64);

impl SockAddress {
    /// Of a socket that the verifier knows as one of its own kind, and to which it lets nothing be added: read back from the stack as memory,
    /// the pointer is a number.
    #[inline(always)]
    pub(crate) fn of(sock: *const c_void) -> Self {
        let spilled = sock as u64;
        Self(read(&raw const spilled as u64))
    }

    /// Its address family.
    #[inline(always)]
    pub(crate) fn family(self) -> u32 {
        u32::from(read::<u16>(self.0 + layout::SOCK_FAMILY.load()))
    }

    /// Its protocol.
    #[inline(always)]
    pub(crate) fn protocol(self) -> u32 {
        u32::from(read::<u16>(self.0 + layout::SOCK_PROTOCOL.load()))
    }

    /// The port it is bound to, in the machine's order; 0: none.
    #[inline(always)]
    pub(crate) fn port(self) -> u32 {
        u32::from(read::<u16>(self.0 + layout::SOCK_PORT.load()))
    }

    /// Whether it is connected (`TCP_ESTABLISHED`, which a socket for datagrams is, too).
    #[inline(always)]
    pub(crate) fn is_connected(self) -> bool {
        read::<u8>(self.0 + layout::SOCK_STATE.load()) == 1
    }

    /// The IPv4 address it is bound to, in network order; of a socket of IPv6 the mapped one.
    #[inline(always)]
    pub(crate) fn address4(self) -> u32 {
        read(self.0 + layout::SOCK_ADDRESS4.load())
    }

    /// The IPv6 address it is bound to, in network order.
    #[inline(always)]
    pub(crate) fn address6(self) -> [u32; 4] {
        read(self.0 + layout::SOCK_ADDRESS6.load())
    }

    /// The IPv4 address it is connected to, in network order.
    #[inline(always)]
    pub(crate) fn peer4(self) -> u32 {
        read(self.0 + layout::SOCK_PEER4.load())
    }

    /// The IPv6 address it is connected to, in network order.
    #[inline(always)]
    pub(crate) fn peer6(self) -> [u32; 4] {
        read(self.0 + layout::SOCK_PEER6.load())
    }

    /// The mark of its packets (`SO_MARK`).
    #[inline(always)]
    pub(crate) fn mark(self) -> u32 {
        read(self.0 + layout::SOCK_MARK.load())
    }

    /// Whether it is for IPv6 only (`IPV6_V6ONLY`).
    #[inline(always)]
    pub(crate) fn is_v6_only(self) -> bool {
        let bit = layout::SOCK_V6ONLY_BIT.load();
        read::<u8>(self.0 + bit / 8) & (1 << (bit % 8)) != 0
    }
}

/// The bytes of a `struct sk_buff *` argument: their address and how many there are.
#[inline(always)]
pub(crate) fn packet(buffer: *const c_void) -> (u64, u32) {
    let buffer = buffer as u64;
    (read(buffer + layout::SK_BUFF_DATA.load()), read(buffer + layout::SK_BUFF_LENGTH.load()))
}

/// Of a `struct msghdr *` argument where the address is that was given, in kernel memory, or 0, and how many bytes of control messages came
/// along.
#[inline(always)]
pub(crate) fn message(message: *const c_void) -> (u64, u64) {
    let message = message as u64;
    (read(message + layout::MESSAGE_NAME.load()), read(message + layout::MESSAGE_CONTROL_LENGTH.load()))
}
