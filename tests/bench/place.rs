//! Where the sockets of a worker are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clap::ValueEnum;

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Place {
    /// At the host's addresses.
    Host,
    /// At the addresses of the context.
    Guest,
    /// At both ends of a veth pair: servers at the host's, clients at that of a network namespace.
    Veth,
}

/// Which kind of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Those of IPv4.
    Four,
    /// Those of IPv6.
    Six,
}

/// Who speaks to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Who connects and sends.
    pub(crate) client: IpAddr,
    /// Who accepts and receives.
    pub(crate) server: IpAddr,
}

impl Family {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Four, Self::Six];

    /// What stands for every address.
    pub(crate) const fn any(self) -> IpAddr {
        match self {
            Self::Four => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::Six => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// What `ip` calls it.
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Self::Four => "-4",
            Self::Six => "-6",
        }
    }

    /// The length of an address, in bits.
    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::Four => 32,
            Self::Six => 128,
        }
    }
}

impl Place {
    /// The addresses here.
    pub(crate) const fn ends(self, family: Family) -> Ends {
        let (client, server) = match self {
            Self::Host => (1, 1),
            Self::Guest => (10, 10),
            Self::Veth => (102, 101),
        };
        Ends { client: address(family, client), server: address(family, server) }
    }

    /// The name by which a worker is told.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Guest => "guest",
            Self::Veth => "veth",
        }
    }
}

/// One of those for documentation, which lead nowhere else.
const fn address(family: Family, number: u8) -> IpAddr {
    match family {
        Family::Four => IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)),
        Family::Six => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number as u16)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_understands_the_name_of_its_place() {
        for place in Place::value_variants() {
            assert_eq!(Place::from_str(place.name(), false), Ok(*place));
        }
    }

    #[test]
    fn only_over_a_pair_the_ends_differ() {
        for family in Family::ALL {
            for place in Place::value_variants() {
                let ends = place.ends(family);
                assert_eq!(ends.client != ends.server, *place == Place::Veth);
            }
        }
    }
}
