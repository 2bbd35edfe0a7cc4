//! What can be wrong with a context's addresses.

use std::net::IpAddr;

use vs_common::limits::MAX_ADDRESSES;

use super::error::Quoted;
use super::network::NetworkPolicy;
use super::place::Place;
use super::port::PortPolicy;
use super::prefix::{Overlap, Prefix};

/// What is wrong with one key or one address, and how to cure it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetworkProblem {
    /// A key that means nothing without addresses.
    #[error(
        "{key} is for contexts that have addresses; add addresses = [\"192.0.2.10\"] with its own, or [] for none but its loopback, or take {key} out"
    )]
    NoAddresses {
        /// The key.
        key: &'static str,
    },
    /// A text that is neither address nor prefix.
    #[error(
        "{} is no address; write one as \"192.0.2.10\" or \"2001:db8::10\", or a prefix as \"192.0.2.0/28\"",
        Quoted(text)
    )]
    NotAnAddress {
        /// The text.
        text: String,
    },
    /// A length that the family does not have.
    #[error("{} has a length that is none; give one from 1 to {most}", Quoted(text))]
    BadLength {
        /// The text.
        text: String,
        /// The greatest.
        most: u8,
    },
    /// A prefix of length 0.
    #[error(
        "{} is every address there is; list those that the context has, or leave addresses out and it uses the host's",
        Quoted(text)
    )]
    EveryAddress {
        /// The text.
        text: String,
    },
    /// Bits where a prefix has none.
    #[error(
        "{} has bits beyond the first {length}; write \"{prefix}\" for all that begin so, or \"{address}\" for the one address",
        Quoted(text)
    )]
    BitsBeyond {
        /// The text.
        text: String,
        /// The length given.
        length: u8,
        /// The prefix without those bits.
        prefix: Prefix,
        /// The address.
        address: IpAddr,
    },
    /// IPv4 in the clothes of IPv6.
    #[error("{} is an IPv4 address written as one of IPv6; write \"{plain}\"", Quoted(text))]
    Mapped {
        /// The text.
        text: String,
        /// As it is to be written.
        plain: String,
    },
    /// An address that no context can have.
    #[error("{} {} {what}; {cure}", Quoted(text), if *.is_part { "contains" } else { "is" })]
    Unusable {
        /// The text.
        text: String,
        /// Whether only a part of the prefix is that.
        is_part: bool,
        /// What it is.
        what: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// An address twice in one context.
    #[error("{} {}, at {first}; keep one of them", Quoted(text), repeated_text(*overlap, *other))]
    Repeated {
        /// The text.
        text: String,
        /// How it meets the entry before it.
        overlap: Overlap,
        /// That entry.
        other: Prefix,
        /// Where that is.
        first: Place,
    },
    /// An address in two contexts.
    #[error(
        "{} {} {}, at {first}; {}",
        Quoted(text),
        taken_text(*overlap, *other),
        owner_text(by),
        taken_cure(by, *.is_shared)
    )]
    Taken {
        /// The text.
        text: String,
        /// How it meets the other context's entry.
        overlap: Overlap,
        /// That entry.
        other: Prefix,
        /// The other context.
        by: String,
        /// Where that entry is.
        first: Place,
        /// Whether both say that they share.
        is_shared: bool,
    },
    /// A view of processes for a context that does not confine them.
    #[error(
        "proc is for contexts that confine their processes, and with confine = \"network\" they are the host's; take one of the two out"
    )]
    ProcOfNetwork,
    /// Keys about the host's addresses where there are none.
    #[error(
        "{key} is for a host that is confined; add addresses = [\"192.0.2.1\"] with its own, or take {key} out"
    )]
    NoHostAddresses {
        /// The key.
        key: &'static str,
    },
    /// No address for the host.
    #[error(
        "the host needs an address that its services on 0.0.0.0 or :: get; list its own, or take addresses out"
    )]
    EmptyHostAddresses,
    /// The host is confined beside nobody.
    #[error(
        "the host is confined only beside contexts with addresses, and no context has any; give one addresses, or take these out"
    )]
    HostAlone,
    /// A text that is no protocol of raw sockets.
    #[error(
        "{} is no protocol that a context can have raw sockets of; write \"icmp\" or \"icmpv6\", or take it out",
        Quoted(text)
    )]
    NotRaw {
        /// The text.
        text: String,
    },
    /// A text that is no ports.
    #[error(
        "{} is no port; write a protocol (tcp, udp, udplite) alone or with a port or a range: \"udp\", \"tcp/80\", \"tcp/8000-8099\", with 0 for ports that the kernel chooses",
        Quoted(text)
    )]
    NotPorts {
        /// The text.
        text: String,
    },
    /// More entries than a list can have.
    #[error(
        "this is entry number {count} of the list, and it can have {}; write neighbours as a range",
        PortPolicy::MAX_RANGES
    )]
    TooManyPorts {
        /// How many there are so far.
        count: usize,
    },
    /// More entries than a context can have.
    #[error(
        "this is address number {count} of the context, and it can have {}; remove some, or write those that begin alike as a prefix",
        NetworkPolicy::MAX_ADDRESSES
    )]
    TooMany {
        /// How many there are so far.
        count: usize,
    },
    /// More entries than the maps hold.
    #[error(
        "this is address number {count} of all contexts, and there can be {MAX_ADDRESSES}; remove some, or write those that begin alike as a prefix"
    )]
    TooManyInAll {
        /// How many there are so far.
        count: usize,
    },
    /// A prefix where one address must be.
    #[error("primary cannot be {}, a prefix; give one address of it", Quoted(text))]
    PrimaryPrefix {
        /// The text.
        text: String,
    },
    /// A primary address that is not the context's.
    #[error(
        "primary is {}, which is none of the context's addresses; add it to addresses, or choose one of those",
        Quoted(text)
    )]
    ForeignPrimary {
        /// The text.
        text: String,
    },
    /// A text that is no name of a network interface.
    #[error(
        "assign cannot be {}, which is no interface's name; give one as `ip link` shows it, of 1 to {} bytes without '/', ':' and white space",
        Quoted(text),
        NetworkPolicy::INTERFACE_SIZE
    )]
    NotAnInterface {
        /// The text.
        text: String,
    },
    /// An interface for no address.
    #[error("assign is for contexts that have an address; add one to addresses, or take assign out")]
    NothingToAssign,
    /// Two primary addresses of one family.
    #[error("primary has an address of {family} already, at {first}; keep one of them")]
    SecondPrimary {
        /// IPv4 or IPv6.
        family: &'static str,
        /// Where the first is.
        first: Place,
    },
}

/// How an entry meets one of the same context.
fn repeated_text(overlap: Overlap, other: Prefix) -> String {
    match overlap {
        Overlap::Same => "is given already".to_owned(),
        Overlap::Part => format!("is part of \"{other}\", which is given already"),
        Overlap::Whole => format!("contains \"{other}\", which is given already"),
    }
}

/// How an entry meets one of another context.
fn taken_text(overlap: Overlap, other: Prefix) -> String {
    match overlap {
        Overlap::Same => "is an address of".to_owned(),
        Overlap::Part => format!("is part of \"{other}\" of"),
        Overlap::Whole => format!("contains \"{other}\" of"),
    }
}

/// What to do about an address in two contexts.
fn taken_cure(by: &str, is_shared: bool) -> &'static str {
    match (by, is_shared) {
        ("host", _) => "what is a context's cannot be the host's own",
        (_, true) => "write what they share alike in both",
        (_, false) => "give each address to one context, or write shared = true in both",
    }
}

/// Whose an entry is.
fn owner_text(by: &str) -> String {
    // No context can have that name.
    if by == "host" { "the host".to_owned() } else { format!("context {}", Quoted(by)) }
}
