//! A context's addresses: whether they are addresses, whose they are, and what they come to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vs_common::limits::MAX_ADDRESSES;
use vs_common::network::LOOPBACK6_NETWORK;

use super::{Validator, Words};
use crate::policy::document::{Field, NetworkKeys, TableName};
use crate::policy::error::Problem;
use crate::policy::model::Rule;
use crate::policy::network::{HostNetworkPolicy, Loopback, NetworkPolicy, RawProtocol, Receive};
use crate::policy::network_error::NetworkProblem;
use crate::policy::place::{Located, Place};
use crate::policy::prefix::{Overlap, Prefix};

/// What `loopback` can be; the first is the default.
const LOOPBACKS: Words<Loopback, 3> = Words {
    key: "loopback",
    known: &[Loopback::Private.name(), Loopback::Shared.name(), Loopback::None.name()],
    meanings: [Loopback::Private, Loopback::Shared, Loopback::None],
};

/// What `receive` can be; the first is the default.
const RECEIVES: Words<Receive, 2> = Words {
    key: "receive",
    known: &[Receive::Kernel.name(), Receive::Strict.name()],
    meanings: [Receive::Kernel, Receive::Strict],
};

/// Who has addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Claimant {
    /// Its name.
    name: String,
    /// Whether others who say so too may have them.
    is_shared: bool,
    /// Whether it is the host's in all but its addresses, and may have the host's.
    is_network_only: bool,
    /// Where the one at hand was given first.
    place: Option<Place>,
}

impl Claimant {
    fn new(name: &str, is_shared: bool, is_network_only: bool) -> Self {
        Self { name: name.to_owned(), is_shared, is_network_only, place: None }
    }
}

impl Validator {
    /// The addresses of a context; `None`: it uses the host's, or has none that could be read.
    ///
    /// `is_whole`: the file's syntax is right, so a key that was not found is not there. `is_network_only`: the context confines nothing else.
    pub(super) fn network(
        &mut self,
        table: &TableName,
        name: &str,
        keys: NetworkKeys,
        (is_whole, is_network_only): (bool, bool),
    ) -> Option<NetworkPolicy> {
        let places = [
            ("primary", keys.primary.place()),
            ("loopback", keys.loopback.place()),
            ("multicast", keys.multicast.place()),
            ("broadcast", keys.broadcast.place()),
            ("show_any", keys.show_any.place()),
            ("ping", keys.ping.place()),
            ("receive", keys.receive.place()),
            ("raw", keys.raw.place()),
            ("assign", keys.assign.place()),
            ("shared", keys.shared.place()),
            ("bind_allow", keys.bind_allow.place()),
            ("bind_deny", keys.bind_deny.place()),
            ("connect_allow", keys.connect_allow.place()),
            ("connect_deny", keys.connect_deny.place()),
        ]
        .map(|(key, place)| (key, place.cloned()));
        let loopback = self.word(table, keys.loopback, &LOOPBACKS);
        let receive = self.word(table, keys.receive, &RECEIVES);
        let (raw, raw_place) = self.raw_protocols(table, keys.raw);
        let bind_ports = self.ports(table, keys.bind_allow, keys.bind_deny);
        let connect_ports = self.ports(table, keys.connect_allow, keys.connect_deny);
        let shared = grant(keys.shared);
        let Located { value: written, place } = match keys.addresses {
            Field::Given(written) => written,
            Field::Faulty => return None,
            Field::Absent => {
                for (key, place) in places.into_iter().filter(|_| is_whole) {
                    if let Some(place) = place {
                        self.refuse(table, place, NetworkProblem::NoAddresses { key });
                    }
                }
                return None;
            }
        };
        let count = written.len();
        let addresses = self.addresses(table, &Claimant::new(name, shared.value, is_network_only), written);
        let primary = self.primaries(table, keys.primary, (addresses.len() == count).then_some(&addresses));
        let primary4 = primary_of(&primary, &addresses, v4);
        let primary6 = primary_of(&primary, &addresses, v6);
        let assign = self.assign(table, keys.assign, count);
        Some(NetworkPolicy {
            place,
            addresses,
            primary4,
            primary6,
            loopback,
            multicast: grant(keys.multicast),
            broadcast: grant(keys.broadcast),
            show_any: grant(keys.show_any),
            ping: grant(keys.ping),
            receive,
            raw,
            raw_place,
            assign,
            shared,
            bind_ports,
            connect_ports,
        })
    }

    /// The protocols of raw sockets, and where they are listed.
    fn raw_protocols(
        &mut self,
        table: &TableName,
        field: Field<Vec<Field<String>>>,
    ) -> (Vec<Rule<RawProtocol>>, Option<Place>) {
        let Field::Given(Located { value: written, place }) = field else { return (Vec::new(), None) };
        let mut rules = Vec::new();
        for item in written {
            let Field::Given(Located { value: text, place }) = item else { continue };
            let known =
                RawProtocol::ALL.into_iter().find(|(_, name, number)| text == *name || text == *number);
            match known {
                Some((value, ..)) => rules.push(Rule { value, place: Some(place) }),
                None => self.refuse(table, place, NetworkProblem::NotRaw { text }),
            }
        }
        (rules, Some(place))
    }

    /// The host's own addresses; `None`: it is not confined, or none could be read.
    pub(super) fn host_network(
        &mut self,
        addresses: Field<Vec<Field<String>>>,
        primary: Field<Vec<Field<String>>>,
        any_ports: Field<Vec<Field<String>>>,
    ) -> Option<HostNetworkPolicy> {
        let table = TableName::Host;
        let others = [("primary", primary.place()), ("any_ports", any_ports.place())];
        let others = others.map(|(key, place)| (key, place.cloned()));
        let any_ports = self.port_list(&table, any_ports).map(|(rules, _)| rules);
        let Located { value: written, place } = match addresses {
            Field::Given(written) => written,
            Field::Faulty => return None,
            Field::Absent => {
                for (key, place) in others {
                    if let Some(place) = place {
                        self.refuse(&table, place, NetworkProblem::NoHostAddresses { key });
                    }
                }
                return None;
            }
        };
        if written.is_empty() {
            self.refuse(&table, place, NetworkProblem::EmptyHostAddresses);
            return None;
        }
        let count = written.len();
        let addresses = self.addresses(&table, &Claimant::new("host", false, false), written);
        let primary = self.primaries(&table, primary, (addresses.len() == count).then_some(&addresses));
        let primary4 = primary_of(&primary, &addresses, v4);
        let primary6 = primary_of(&primary, &addresses, v6);
        Some(HostNetworkPolicy { place, addresses, primary4, primary6, any_ports })
    }

    /// Reports addresses of the host's beside which no context has any: nothing would come of them.
    pub(super) fn alone(&mut self) {
        let has_network = self.contexts.values().any(|context| context.network.is_some());
        if let Some(network) = self.host.as_ref().and_then(|host| host.network.as_ref())
            && !has_network
            && self.errors.is_empty()
        {
            let place = network.place.clone();
            self.refuse(&TableName::Host, place, NetworkProblem::HostAlone);
        }
    }

    /// The addresses that could be read and are no other's.
    fn addresses(
        &mut self,
        table: &TableName,
        claimant: &Claimant,
        written: Vec<Field<String>>,
    ) -> Vec<Rule<Prefix>> {
        let mut addresses = Vec::new();
        for (number, field) in (1..).zip(written) {
            let Field::Given(Located { value: text, place }) = field else { continue };
            self.addresses += 1;
            if number == NetworkPolicy::MAX_ADDRESSES + 1 {
                self.refuse(table, place.clone(), NetworkProblem::TooMany { count: number });
            }
            if self.addresses == MAX_ADDRESSES as usize + 1 {
                let problem = NetworkProblem::TooManyInAll { count: self.addresses };
                self.refuse(table, place.clone(), problem);
            }
            match prefix_of(&text).and_then(|prefix| self.claim(claimant, text, prefix, &place)) {
                Ok(value) => addresses.push(Rule { value, place: Some(place) }),
                Err(problem) => self.refuse(table, place, problem),
            }
        }
        addresses
    }

    /// Gives an address to a context, if nobody has it.
    fn claim(
        &mut self,
        claimant: &Claimant,
        text: String,
        prefix: Prefix,
        place: &Place,
    ) -> Result<Prefix, NetworkProblem> {
        let Some((other, first)) = self.claims.overlapping(&prefix).cloned() else {
            self.claims.insert(prefix, Claimant { place: Some(place.clone()), ..claimant.clone() });
            return Ok(prefix);
        };
        let overlap = Overlap::of(&prefix, &other);
        let (by, is_shared) = (first.name, first.is_shared && claimant.is_shared);
        let first = first.place.unwrap_or_else(|| place.clone());
        if by == claimant.name {
            return Err(NetworkProblem::Repeated { text, overlap, other, first });
        }
        if claimant.is_network_only && by == "host" {
            return Ok(prefix);
        }
        match overlap {
            // What is shared is shared whole: whose a part of it was could not be told by one search.
            Overlap::Same if is_shared => Ok(prefix),
            _ => Err(NetworkProblem::Taken { text, overlap, other, by, first, is_shared }),
        }
    }

    /// The primary addresses that policy gives. `addresses`: those that the context has; `None`: not all of them could be read.
    fn primaries(
        &mut self,
        table: &TableName,
        field: Field<Vec<Field<String>>>,
        addresses: Option<&Vec<Rule<Prefix>>>,
    ) -> Vec<Rule<IpAddr>> {
        let mut primaries: Vec<Rule<IpAddr>> = Vec::new();
        let Field::Given(Located { value: written, .. }) = field else { return primaries };
        for field in written {
            let Field::Given(Located { value: text, place }) = field else { continue };
            match primary(&text, addresses, &primaries) {
                Ok(value) => primaries.push(Rule { value, place: Some(place) }),
                Err(problem) => self.refuse(table, place, problem),
            }
        }
        primaries
    }

    /// The interface for what the machine lacks of as many entries of `addresses`. Of a prefix nothing but a primary address can be
    /// given to it, and of every family there is one.
    fn assign(
        &mut self,
        table: &TableName,
        field: Field<String>,
        addresses: usize,
    ) -> Option<Located<String>> {
        let Field::Given(interface) = field else { return None };
        let problem = if !is_interface(&interface.value) {
            NetworkProblem::NotAnInterface { text: interface.value }
        } else if addresses == 0 {
            NetworkProblem::NothingToAssign
        } else {
            return Some(interface);
        };
        self.refuse(table, interface.place, problem);
        None
    }

    pub(super) fn refuse(&mut self, table: &TableName, place: Place, cause: NetworkProblem) {
        self.report(place, Problem::Network { table: table.clone(), cause });
    }
}

/// The address that a text gives as a primary one beside those `before` it.
fn primary(
    text: &str,
    addresses: Option<&Vec<Rule<Prefix>>>,
    before: &[Rule<IpAddr>],
) -> Result<IpAddr, NetworkProblem> {
    let prefix = prefix_of(text)?;
    let text = text.to_owned();
    if !prefix.is_single() {
        return Err(NetworkProblem::PrimaryPrefix { text });
    }
    let address = prefix.first();
    let has =
        |addresses: &Vec<Rule<Prefix>>| addresses.iter().any(|rule| rule.value.contains(prefix.address));
    if addresses.is_some_and(|addresses| !has(addresses)) {
        return Err(NetworkProblem::ForeignPrimary { text });
    }
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let first = before.iter().find(|other| other.value.is_ipv4() == address.is_ipv4());
    match first.and_then(|first| first.place.clone()) {
        Some(first) => Err(NetworkProblem::SecondPrimary { family, first }),
        None => Ok(address),
    }
}

/// The primary address of one family: the one that policy gives, or the first address, or the first of the first prefix.
fn primary_of<A>(
    given: &[Rule<IpAddr>],
    addresses: &[Rule<Prefix>],
    family: fn(IpAddr) -> Option<A>,
) -> Option<Rule<A>> {
    let given = given.iter().find_map(|rule| Some((family(rule.value)?, rule.place.clone())));
    if let Some((value, place)) = given {
        return Some(Rule { value, place });
    }
    let mut all = addresses.iter().map(|rule| rule.value).filter(|prefix| family(prefix.first()).is_some());
    let first = all.clone().find(Prefix::is_single).or_else(|| all.next())?;
    Some(Rule { value: family(first.first_usable())?, place: None })
}

const fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

const fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}

/// Whether a text can be the name of a network interface (`net/core/dev.c:dev_valid_name`), and be shown on a line.
fn is_interface(text: &str) -> bool {
    let is_usable = |c: char| !matches!(c, '/' | ':') && !c.is_whitespace() && !c.is_control();
    (1..=NetworkPolicy::INTERFACE_SIZE).contains(&text.len())
        && !matches!(text, "." | "..")
        && text.chars().all(is_usable)
}

/// Something that is off unless policy says otherwise.
fn grant(field: Field<bool>) -> Rule<bool> {
    match field {
        Field::Given(Located { value, place }) => Rule { value, place: Some(place) },
        Field::Absent | Field::Faulty => Rule { value: false, place: None },
    }
}

/// The address or prefix that a text stands for, if a context can have it.
fn prefix_of(text: &str) -> Result<Prefix, NetworkProblem> {
    let owned = || text.to_owned();
    let (address, length) = text.split_once('/').map_or((text, None), |(text, length)| (text, Some(length)));
    let Ok(address) = address.parse::<IpAddr>() else {
        return Err(NetworkProblem::NotAnAddress { text: owned() });
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => most,
        // `u8` would take a sign.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().unwrap_or(u8::MAX),
        Some(_) => u8::MAX,
    };
    if length > most {
        return Err(NetworkProblem::BadLength { text: owned(), most });
    }
    if let Some(plain) = v6(address).and_then(|address| address.to_ipv4_mapped()) {
        let plain = match length {
            97..128 => format!("{plain}/{}", length - 96),
            _ => plain.to_string(),
        };
        return Err(NetworkProblem::Mapped { text: owned(), plain });
    }
    if length == 0 {
        return Err(NetworkProblem::EveryAddress { text: owned() });
    }
    let Some(prefix) = Prefix::new(address, length) else {
        let prefix = Prefix::around(address, length);
        return Err(NetworkProblem::BitsBeyond { text: owned(), length, prefix, address });
    };
    match unusable(&prefix) {
        Some((is_part, what, cure)) => Err(NetworkProblem::Unusable { text: owned(), is_part, what, cure }),
        None => Ok(prefix),
    }
}

/// Why no context can have all of these addresses: whether a part of them only is the reason, what that is, and what to do.
fn unusable(prefix: &Prefix) -> Option<(bool, &'static str, &'static str)> {
    const LEAVE_LOOPBACK: &str = "leave it out, and see loopback: a context has one of its own anyway";
    const LEAVE_MULTICAST: &str = "leave it out, and set multicast = true if the context may use groups";
    const LEAVE_ANY: &str =
        "list those that the context has; bound to this one its sockets get the primary address";
    let own = LOOPBACK6_NETWORK.map(u32::from_be);
    let own = Ipv6Addr::from_bits(u128::from(own[0]) << 96 | u128::from(own[1]) << 64);
    let refused = [
        (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 32, "the address that means any", LEAVE_ANY),
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128, "the address that means any", LEAVE_ANY),
        (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8, "loopback", LEAVE_LOOPBACK),
        (IpAddr::V6(Ipv6Addr::LOCALHOST), 128, "loopback", LEAVE_LOOPBACK),
        (IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 4, "multicast", LEAVE_MULTICAST),
        (IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8, "multicast", LEAVE_MULTICAST),
        (
            IpAddr::V4(Ipv4Addr::BROADCAST),
            32,
            "the broadcast address",
            "leave it out, and set broadcast = true if the context may use it",
        ),
        (
            IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)),
            10,
            "link-local, the same on every link",
            "give the context an address that is the machine's",
        ),
        (IpAddr::V6(own), 48, "contexts' own loopback", "choose another network"),
    ];
    let refused = refused
        .into_iter()
        .filter_map(|(address, length, what, cure)| Some((Prefix::new(address, length)?, what, cure)));
    // `Prefix` has IPv4 within IPv6, so a prefix of IPv6 that is short enough has it too.
    let mapped =
        Prefix::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0).filter(|_| !prefix.address.is_v4()).map(|mapped| {
            (mapped, "IPv4 written as IPv6", "list addresses of IPv4 as such, and longer prefixes of IPv6")
        });
    let (range, what, cure) = mapped.into_iter().chain(refused).find(|(range, ..)| range.overlaps(prefix))?;
    Some((prefix.length < range.length, what, cure))
}
