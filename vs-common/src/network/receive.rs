//! What a socket receives, by destination.

use super::address::{Address, AddressKind};
use super::rules::{NetworkRules, network_flag};
use crate::id::Xid;

/// Whether a packet for this destination is for a socket of the context.
///
/// | destination          | received                                                        |
/// |----------------------|-----------------------------------------------------------------|
/// | unicast              | if it is one of the context's                                   |
/// | loopback             | private: its own; shared: the host's; none: no                  |
/// | multicast            | if granted                                                      |
/// | broadcast, also of a network | if granted                                              |
/// | ANY                  | no                                                              |
///
/// `is_broadcast`: it came to all of its link, which tells a network's own broadcast address from a machine's. A context that uses the host's
/// addresses receives what the host would.
#[inline(always)]
pub const fn decide_receive(
    rules: &NetworkRules,
    xid: Xid,
    destination: &Address,
    is_listed: bool,
    is_broadcast: bool,
) -> bool {
    if rules.has(network_flag::HOST) {
        return true;
    }
    match destination.kind() {
        AddressKind::Unicast => is_listed || is_broadcast && rules.has(network_flag::BROADCAST),
        AddressKind::Loopback if rules.has(network_flag::LOOPBACK_PRIVATE) => {
            if !destination.is_context_loopback() {
                false
            } else if destination.is_v4() {
                Address::loopback4_owner(destination.v4_word()).0 == xid.0
            } else {
                destination.loopback6_owner().0 == xid.0
            }
        }
        AddressKind::Loopback => {
            rules.has(network_flag::LOOPBACK_SHARED) && !destination.is_context_loopback()
        }
        AddressKind::Multicast => rules.has(network_flag::MULTICAST),
        AddressKind::Broadcast => rules.has(network_flag::BROADCAST),
        AddressKind::Any => false,
    }
}
