//! Which source a destination gets, on machines with several interfaces.

use std::collections::BTreeMap;

use super::super::source::*;
use super::*;
use crate::compile::Network;
use crate::policy::Prefix;

/// The addresses of a context `web`.
fn network(keys: &str) -> Network {
    let text = format!("[context.web]\nxid = 100\n{keys}");
    let policy = policy::parse(&[PolicySource::new("p", text)]).unwrap();
    compile(&policy, &Known::NOTHING).unwrap().networks().values().next().unwrap().clone()
}

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
}

/// `destination [via gateway] dev link [src source] [metric number]`, as `ip route` shows it.
pub(super) fn route(text: &str) -> Route {
    let words: Vec<_> = text.split_whitespace().collect();
    let after = |word: &str| words.iter().position(|at| *at == word).map(|at| words[at + 1]);
    Route {
        destination: prefix(words[0]),
        link: after("dev").unwrap().parse().unwrap(),
        gateway: after("via").map(|address| address.parse().unwrap()),
        source: after("src").map(|address| address.parse().unwrap()),
        metric: after("metric").map_or(0, |metric| metric.parse().unwrap()),
        is_on_link: words.contains(&"onlink"),
        is_plain: true,
    }
}

/// A machine in 192.0.2.0/24 and `2001:db8:1::/64` by `eth0`, in 198.51.100.0/24 and `2001:db8:2::/64` by `eth1`.
fn two_networks() -> HostNetwork {
    machine(&[
        theirs("192.0.2.10/24", 2),
        theirs("2001:db8:1::10/64", 2),
        theirs("198.51.100.1/24", 3),
        theirs("198.51.100.10/24", 3),
        theirs("2001:db8:2::10/64", 3),
        theirs("fe80::10/64", 2),
        theirs("fe80::10/64", 3),
    ])
}

fn sources_on(host: &HostNetwork, keys: &str, routes: &[&str]) -> Vec<(String, String)> {
    let routes: Vec<_> = routes.iter().map(|text| route(text)).collect();
    let label = ContextLabel { xid: vs_common::id::Xid(100), name: "web".to_owned() };
    let found: BTreeMap<_, _> = sources_of(&label, &network(keys), host, &routes).unwrap();
    found.iter().map(|(to, from)| (to.to_string(), from.to_string())).collect()
}

fn sources(keys: &str, routes: &[&str]) -> Vec<(String, String)> {
    sources_on(&two_networks(), keys, routes)
}

fn rows(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(to, from)| ((*to).to_owned(), (*from).to_owned())).collect()
}

const BOTH: &str = "addresses = [\"192.0.2.10\", \"198.51.100.10\"]";
const ALL: &str = "addresses = [\"192.0.2.10\", \"198.51.100.10\", \"2001:db8:1::10\", \"2001:db8:2::10\"]";

#[test]
fn the_primary_needs_no_rows() {
    let routes = [
        "0.0.0.0/0 via 192.0.2.254 dev 2",
        "192.0.2.0/24 dev 2 src 192.0.2.1",
        "2001:db8:1::/64 dev 2 metric 256",
        "::/0 via fe80::1 dev 2 metric 1024",
    ];
    assert_eq!(sources("addresses = [\"192.0.2.10\", \"2001:db8:1::10\"]", &routes), []);
    assert_eq!(sources("addresses = [\"192.0.2.10\"]", &["198.51.100.0/24 dev 3 src 198.51.100.1"]), []);
    assert_eq!(sources("addresses = []", &routes), []);
}

#[test]
fn the_network_of_an_interface_and_what_is_behind_it() {
    let routes = [
        "0.0.0.0/0 via 192.0.2.254 dev 2",
        "192.0.2.0/24 dev 2 src 192.0.2.1",
        "198.51.100.0/24 dev 3 src 198.51.100.1",
        "203.0.113.0/24 via 198.51.100.254 dev 3",
    ];
    let expected = rows(&[("198.51.100.0/24", "198.51.100.10"), ("203.0.113.0/24", "198.51.100.10")]);
    assert_eq!(sources(BOTH, &routes), expected);
}

#[test]
fn a_default_route_by_the_second_interface_leaves_the_primary_its_own_network() {
    let routes = [
        "0.0.0.0/0 via 198.51.100.254 dev 3",
        "192.0.2.0/24 dev 2 src 192.0.2.1",
        "198.51.100.0/24 dev 3 src 198.51.100.1",
    ];
    let expected = rows(&[("0.0.0.0/0", "198.51.100.10"), ("192.0.2.0/24", "192.0.2.10")]);
    assert_eq!(sources(BOTH, &routes), expected);
}

#[test]
fn a_preferred_source_counts_if_it_is_the_context_s() {
    let routes = ["203.0.113.0/24 via 192.0.2.254 dev 2 src 198.51.100.10"];
    assert_eq!(sources(BOTH, &routes), rows(&[("203.0.113.0/24", "198.51.100.10")]));
    assert_eq!(sources("addresses = [\"192.0.2.10\"]", &routes), []);
}

#[test]
fn an_added_address_is_in_the_network_that_the_machine_has() {
    // Both on one interface, each without a network of its own.
    let host = machine(&[theirs("198.51.100.1/24", 2), ours("192.0.2.10", 2), ours("198.51.100.10", 2)]);
    let routes = ["0.0.0.0/0 via 198.51.100.254 dev 2", "192.0.2.0/24 dev 2", "198.51.100.0/24 dev 2"];
    let expected = rows(&[("0.0.0.0/0", "198.51.100.10"), ("192.0.2.0/24", "192.0.2.10")]);
    assert_eq!(sources_on(&host, BOTH, &routes), expected);
}

#[test]
fn an_address_on_the_interface_is_better_than_none() {
    let host = machine(&[theirs("198.51.100.10/32", 3)]);
    let routes = ["203.0.113.0/24 dev 3", "0.0.0.0/0 dev 2"];
    assert_eq!(sources_on(&host, BOTH, &routes), rows(&[("203.0.113.0/24", "198.51.100.10")]));
}

#[test]
fn addresses_in_a_prefix_count_where_the_machine_has_them() {
    let keys = "addresses = [\"192.0.2.10\", \"198.51.100.8/29\"]";
    let routes = ["198.51.100.0/24 dev 3 src 198.51.100.1"];
    assert_eq!(sources(keys, &routes), rows(&[("198.51.100.0/24", "198.51.100.10")]));
    assert_eq!(sources_on(&machine(&[theirs("198.51.100.1/24", 3)]), keys, &routes), []);
}

#[test]
fn the_lowest_metric_counts() {
    let routes =
        ["0.0.0.0/0 via 192.0.2.254 dev 2 metric 200", "0.0.0.0/0 via 198.51.100.254 dev 3 metric 100"];
    assert_eq!(sources(BOTH, &routes), rows(&[("0.0.0.0/0", "198.51.100.10")]));
    let routes = ["0.0.0.0/0 via 198.51.100.254 dev 3 metric 100", "0.0.0.0/0 via 192.0.2.254 dev 2"];
    assert_eq!(sources(BOTH, &routes), []);
    let routes = ["0.0.0.0/0 via 192.0.2.254 dev 2 metric 9", "0.0.0.0/0 via 198.51.100.254 dev 3 metric 9"];
    assert_eq!(sources(BOTH, &routes), []);
}

#[test]
fn a_default_route_of_ipv6_is_none_of_ipv4() {
    let routes = ["::/0 via fe80::1 dev 3 metric 1024", "2001:db8:1::/64 dev 2 metric 256"];
    let expected = rows(&[
        ("::/0", "2001:db8:2::10"),
        ("0.0.0.0/0", "192.0.2.10"),
        ("2001:db8:1::/64", "2001:db8:1::10"),
    ]);
    assert_eq!(sources(ALL, &routes), expected);
    // Without IPv4 nobody asks for it.
    let expected = rows(&[("::/0", "2001:db8:2::10"), ("2001:db8:1::/64", "2001:db8:1::10")]);
    assert_eq!(sources("addresses = [\"2001:db8:1::10\", \"2001:db8:2::10\"]", &routes), expected);
}

#[test]
fn loopback_and_link_local_are_no_ways_out() {
    let routes = ["198.51.100.0/24 dev 1", "fe80::/64 dev 3 metric 256", "169.254.0.0/16 dev 3"];
    assert_eq!(sources(ALL, &routes), []);
}

#[test]
fn what_is_so_without_it_is_left_out() {
    let routes = [
        "0.0.0.0/0 via 198.51.100.254 dev 3",
        "203.0.113.0/24 via 198.51.100.254 dev 3",
        "203.0.113.0/25 via 192.0.2.254 dev 2",
        "203.0.113.0/26 via 192.0.2.254 dev 2",
        "203.0.113.0/27 via 198.51.100.254 dev 3",
    ];
    let expected = rows(&[
        ("0.0.0.0/0", "198.51.100.10"),
        ("203.0.113.0/25", "192.0.2.10"),
        ("203.0.113.0/27", "198.51.100.10"),
    ]);
    assert_eq!(sources(BOTH, &routes), expected);
}

#[test]
fn too_many_name_the_context() {
    let label = ContextLabel { xid: vs_common::id::Xid(100), name: "web".to_owned() };
    let host = two_networks();
    let found = |count: u32| {
        let routes: Vec<_> = (0..count)
            .map(|at| route(&format!("10.{}.{}.0/24 via 198.51.100.254 dev 3", at / 256, at % 256)))
            .collect();
        sources_of(&label, &network(BOTH), &host, &routes)
    };
    assert_eq!(found(1024).unwrap().len(), MOST_SOURCES);
    assert_eq!(
        found(1025).unwrap_err().to_string(),
        "context web (xid 100): by the routes of the machine its source differs between 1025 destinations, and at most 1024 are possible; give the routes fewer preferred sources, or the context fewer addresses"
    );
}
