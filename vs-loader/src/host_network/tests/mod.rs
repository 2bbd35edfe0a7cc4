//! The machine's addresses, without a kernel.

use std::collections::BTreeSet;
use std::io;

use super::*;
use crate::compile::{ContextLabel, Known, compile};
use crate::policy::{self, PolicySource};

mod change;
mod message;
mod ping;
mod plan;
mod route;
mod source;

/// An interface that is up.
fn interface(index: u32, name: &str) -> Link {
    Link { index, name: name.to_owned(), is_up: true, is_loopback: name == "lo" }
}

/// An address of somebody else's, as `address/length`.
fn theirs(network: &str, link: u32) -> HostAddress {
    let (address, length) = network.split_once('/').unwrap();
    HostAddress { address: address.parse().unwrap(), length: length.parse().unwrap(), link, origin: 0 }
}

/// An address with the mark.
fn ours(address: &str, link: u32) -> HostAddress {
    let address = address.parse().unwrap();
    HostAddress { address, length: single_length(address), link, origin: MARK }
}

/// A machine with `lo`, `eth0` and `eth1`.
fn machine(addresses: &[HostAddress]) -> HostNetwork {
    let mut host = HostNetwork {
        links: vec![interface(1, "lo"), interface(2, "eth0"), interface(3, "eth1")],
        addresses: vec![theirs("127.0.0.1/8", 1), theirs("::1/128", 1), theirs("192.0.2.1/24", 2)],
    };
    host.addresses.extend_from_slice(addresses);
    host
}

fn placement(address: &str, link: u32, link_name: &str) -> Placement {
    Placement { address: address.parse().unwrap(), link, link_name: link_name.to_owned() }
}

/// What the contexts of a policy need.
fn claims(text: &str) -> Vec<Claim> {
    let source = PolicySource { name: "p".to_owned(), contents: text.as_bytes().to_vec() };
    let policy = policy::parse(&[source]).unwrap();
    let entries = compile(&policy, &Known::NOTHING).unwrap();
    claims_of(Some(&policy), entries.rows(), entries.networks())
}

/// One context without a loopback, with these keys.
fn web(keys: &str) -> Vec<Claim> {
    claims(&format!("[context.web]\nxid = 100\nloopback = \"none\"\n{keys}"))
}
