//! Addresses that belong to contexts: what a socket of a context may bind to, where it may send, and what it is shown.
//!
//! VServer's rules (`vserver-semantics` 1.6): an address that is not the context's is not there (EADDRNOTAVAIL); ANY is the context's
//! primary address; 127.0.0.0/8 is the context's own. Here they are decided; `vs-ebpf/src/network` carries them out.

mod address;
mod decide;
mod icmp;
mod receive;
mod rules;
mod socket;

pub use address::{Address, AddressKind, LOOPBACK6_NETWORK};
pub use decide::{BindChoice, DestinationChoice, Reach, decide_bind, decide_destination, decide_host_bind};
pub use icmp::{
    ICMP_MARK, ICMP_MARK_MASK, IcmpGrant, decide_icmp_bind, decide_icmp_destination, decide_icmp_option,
    icmp_mark, is_icmp,
};
pub use receive::decide_receive;
pub use rules::{
    ADDRESS_KEY_BITS, AddressKey, LISTENER_UDP, LISTENER_V6, ListenerKey, NetworkRules, PORT_KEY_BITS,
    PortKey, PortUse, SHARED_OWNER, network_flag,
};
pub use socket::{decide_socket, decide_socket_option, is_netlink_question, number};
