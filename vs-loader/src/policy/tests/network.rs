//! Contexts with addresses: what is read of them, and every error by its exact text and place.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use vs_common::id::Xid;

use super::wrong_network::WRONG;
use super::*;
use crate::policy::{RawProtocol, Receive};

/// What the table of one context comes to.
fn network(keys: &str) -> NetworkPolicy {
    let policy = policy(&format!("[context.web]\nxid = 100\n{keys}"));
    policy.context(Xid(100)).unwrap().network().unwrap().clone()
}

/// The primary addresses of one context, IPv4 first.
fn primaries(keys: &str) -> Vec<String> {
    let network = network(keys);
    let primary4 = network.primary4().map(|rule| rule.value().to_string());
    let primary6 = network.primary6().map(|rule| rule.value().to_string());
    [primary4, primary6].into_iter().flatten().collect()
}

#[test]
fn what_is_given_is_kept_with_its_place() {
    let network = network(concat!(
        "addresses = [\"2001:db8::/64\",\n \"192.0.2.10\"]\n",
        "primary = [\"2001:db8::10\", \"192.0.2.10\"]\n",
        "loopback = \"shared\"\nmulticast = true\nbroadcast = true\nshow_any = true\nping = true\n",
        "assign = \"br-lan.100\"\n",
    ));
    let addresses: Vec<_> = network
        .addresses()
        .iter()
        .map(|rule| (rule.value().to_string(), rule.place().unwrap().to_string()))
        .collect();
    let expected = [("2001:db8::/64", "p:3:14"), ("192.0.2.10", "p:4:2")];
    assert_eq!(addresses, expected.map(|(text, place)| (text.to_owned(), place.to_owned())));
    assert_eq!(network.place().to_string(), "p:3:13");
    let primary6 = network.primary6().unwrap();
    assert_eq!((primary6.value().to_string(), primary6.place().unwrap().line()), ("2001:db8::10".into(), 5));
    let primary4 = network.primary4().unwrap();
    assert_eq!((primary4.value().to_string(), primary4.place().unwrap().column()), ("192.0.2.10".into(), 28));
    let loopback = network.loopback();
    assert_eq!((loopback.value(), loopback.place().unwrap().line()), (Loopback::Shared, 6));
    for (line, grant) in
        (7..).zip([network.multicast(), network.broadcast(), network.show_any(), network.ping()])
    {
        assert_eq!((grant.value(), grant.place().unwrap().line()), (true, line));
    }
    assert_eq!(network.assign().map(|(name, place)| (name, place.line())), Some(("br-lan.100", 11)));
}

#[test]
fn protocols_of_raw_sockets_have_words_and_numbers() {
    let network = network("addresses = []\nreceive = \"strict\"\nraw = [\"58\", \"icmp\"]\n");
    let receive = network.receive();
    assert_eq!((receive.value(), receive.place().unwrap().to_string()), (Receive::Strict, "p:4:11".into()));
    let raw: Vec<_> =
        network.raw().iter().map(|rule| (rule.value(), rule.place().unwrap().column())).collect();
    assert_eq!(raw, [(RawProtocol::Icmpv6, 8), (RawProtocol::Icmp, 14)]);
    assert_eq!(network.raw_place().unwrap().to_string(), "p:5:7");
    for (protocol, word, number) in RawProtocol::ALL {
        assert_eq!(protocol.name(), word);
        assert!(network.has_raw(protocol), "{number}");
    }
}

#[test]
fn what_is_left_out_is_the_default() {
    assert_eq!(policy("[context.web]\nxid = 100\n").context(Xid(100)).unwrap().network(), None);
    let network = network("addresses = []\n");
    assert_eq!(network.addresses(), []);
    assert_eq!((network.primary4(), network.primary6()), (None, None));
    assert_eq!((network.loopback().value(), network.loopback().place()), (Loopback::Private, None));
    for grant in [network.multicast(), network.broadcast(), network.show_any(), network.ping()] {
        assert_eq!((grant.value(), grant.place()), (false, None));
    }
    assert_eq!((network.receive().value(), network.raw().len()), (Receive::Kernel, 0));
    assert_eq!(network.assign(), None);
}

#[test]
fn the_first_address_is_the_primary_one_unless_policy_says_otherwise() {
    let cases: &[(&str, &[&str])] = &[
        ("addresses = [\"192.0.2.0/28\", \"192.0.2.20\", \"192.0.2.19\"]\n", &["192.0.2.20"]),
        ("addresses = [\"192.0.2.0/28\", \"198.51.100.0/24\"]\n", &["192.0.2.1"]),
        ("addresses = [\"192.0.2.8/30\"]\n", &["192.0.2.9"]),
        ("addresses = [\"192.0.2.8/31\"]\n", &["192.0.2.8"]),
        ("addresses = [\"192.0.2.8/32\"]\n", &["192.0.2.8"]),
        ("addresses = [\"2001:db8::/64\"]\n", &["2001:db8::1"]),
        ("addresses = [\"2001:db8::/126\"]\n", &["2001:db8::1"]),
        ("addresses = [\"2001:db8::/127\"]\n", &["2001:db8::"]),
        ("addresses = [\"2001:db8::8\", \"192.0.2.8\"]\n", &["192.0.2.8", "2001:db8::8"]),
        (
            "addresses = [\"2001:db8::8\", \"192.0.2.8\", \"192.0.2.9\"]\nprimary = \"192.0.2.9\"\n",
            &["192.0.2.9", "2001:db8::8"],
        ),
        (
            "addresses = [\"192.0.2.8\", \"2001:db8::/64\"]\nprimary = [\"2001:DB8:0::0:7\"]\n",
            &["192.0.2.8", "2001:db8::7"],
        ),
        ("addresses = [\"192.0.2.8\"]\nprimary = []\n", &["192.0.2.8"]),
    ];
    for (keys, expected) in cases {
        assert_eq!(primaries(keys), *expected, "{keys}");
    }
}

#[test]
fn each_error_of_addresses_names_its_place_and_its_cure() {
    for (keys, expected) in WRONG {
        assert_eq!(errors_of(&format!("[context.web]\nxid = 100\n{keys}")), [*expected], "{keys}");
    }
}

#[test]
fn all_errors_of_addresses_come_at_once() {
    let web = "[context.web]\nxid = 100\naddresses = [\"192.0.2.1/24\", \"::1\", 7, \"192.0.2.10\"]\nprimary = [\"x\", \"192.0.2.99\"]\nloopback = \"own\"\n";
    let db = "[context.Db]\naddresses = [\"192.0.2.0/24\"]\n";
    let places: Vec<_> = errors(&[("web", web), ("db", db)])
        .iter()
        .map(|error| error.split(": ").next().unwrap().to_owned())
        .collect();
    let expected =
        ["web:3:14", "web:3:30", "web:3:37", "web:4:12", "web:5:12", "db:1:10", "db:1:10", "db:2:14"];
    assert_eq!(places, expected);
}

#[test]
fn keys_that_may_have_been_lost_are_not_missed() {
    let found = errors_of("[context.web]\nxid = 100\naddresses = [\"192.0.2.10\"\nloopback = \"shared\"\n");
    assert!(found.iter().all(|error| error.contains("TOML syntax")), "{found:?}");
}

/// A table of a context with as many addresses, no other of which has the same `from`.
fn table(xid: usize, from: usize, count: usize) -> String {
    let addresses: Vec<_> =
        (from..from + count).map(|n| format!("\"10.{}.{}.{}\"", n >> 16, n >> 8 & 255, n & 255)).collect();
    format!("[context.c{xid}]\nxid = {xid}\naddresses = [{}]\n", addresses.join(", "))
}

#[test]
fn a_context_has_no_more_addresses_than_a_list_bears() {
    assert_eq!(
        policy(&table(100, 1, 64)).context(Xid(100)).unwrap().network().unwrap().addresses().len(),
        64
    );
    let text = table(100, 0, 66);
    let column = text.lines().nth(2).unwrap().find("\"10.0.0.64\"").unwrap() + 1;
    assert_eq!(
        errors_of(&text),
        [format!(
            "p:3:{column}: context \"c100\": this is address number 65 of the context, and it can have 64; remove some, or write those that begin alike as a prefix"
        )]
    );
}

#[test]
fn all_contexts_have_no_more_addresses_than_the_maps_hold() {
    let full = (0..256).map(|n| table(100 + n, n * 64, 64)).collect::<Vec<_>>().concat();
    assert_eq!(policy(&full).contexts().len(), 256);
    let more = format!("{full}{}", table(900, 256 * 64, 2));
    assert_eq!(
        errors_of(&more),
        [
            "p:771:14: context \"c900\": this is address number 16385 of all contexts, and there can be 16384; remove some, or write those that begin alike as a prefix"
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_as_an_address_makes_it_panic(text in "[0-9a-f:./%+]{0,24}") {
        let list = format!("[context.web]\nxid = 100\naddresses = [\"{text}\"]\nprimary = \"{text}\"\n");
        if let Err(errors) = parse(&sources(&[("p", &list)])) {
            prop_assert!(errors.as_slice().iter().all(|error| error.place.line() >= 3));
        }
    }

    /// Whatever contexts ask for, none gets what another has, and whoever is refused is told of one that has it.
    #[test]
    fn no_address_has_two_owners(wanted in proptest::collection::vec((0usize..3, 0u32..16, 28u32..=32), 1..12)) {
        let text = |(_, last, length): &(usize, u32, u32)| format!("\"192.0.2.{}/{length}\"", last & !0 << (32 - length) & 0xff);
        let tables: Vec<_> = (0..3).map(|context| {
            let own: Vec<_> = wanted.iter().filter(|(owner, ..)| *owner == context).map(text).collect();
            format!("[context.c{context}]\nxid = {}\naddresses = [{}]\n", 100 + context, own.join(", "))
        }).collect();
        let bounds = |(_, last, length): &(usize, u32, u32)| (last >> (32 - length) << (32 - length), 1 << (32 - length));
        let meet = |a, b| {
            let ((a, size_a), (b, size_b)): ((u32, u32), (u32, u32)) = (bounds(a), bounds(b));
            a < b + size_b && b < a + size_a
        };
        let is_disjoint = wanted.iter().enumerate().all(|(number, one)| wanted[..number].iter().all(|other| !meet(one, other)));
        match parse(&sources(&[("p", &tables.concat())])) {
            Ok(policy) => {
                prop_assert!(is_disjoint);
                let count: usize = policy.contexts().filter_map(ContextPolicy::network).map(|network| network.addresses().len()).sum();
                prop_assert_eq!(count, wanted.len());
            }
            Err(errors) => prop_assert!(!is_disjoint, "{errors}"),
        }
    }
}

#[test]
fn ports_are_what_is_allowed_without_what_is_denied() {
    let network = |keys: &str| {
        let policy = policy(&format!("[context.web]\nxid = 100\naddresses = []\n{keys}"));
        policy.context_named("web").and_then(ContextPolicy::network).cloned().unwrap()
    };
    assert_eq!(network("").bind_ports().allowed(), None);
    let limited = network("bind_allow = [\"tcp/80-90\", \"udp\"]\nbind_deny = [\"tcp/85\"]\n");
    assert_eq!(limited.bind_ports().allowed().unwrap().to_string(), "tcp/80-84, tcp/86-90, udp");
    assert_eq!(limited.connect_ports().allowed(), None);
    let key = |protocol, port| limited.bind_ports().place_for(protocol, port).map(|(key, _)| key);
    assert_eq!((key(Protocol::Tcp, 85), key(Protocol::Tcp, 22)), (Some("deny"), Some("allow")));
    let denied = network("connect_deny = [\"udp\"]\n").connect_ports().allowed().unwrap();
    assert_eq!(denied.to_string(), "tcp, udplite");
    assert_eq!(network("bind_allow = []\n").bind_ports().allowed().unwrap().to_string(), "none");
}

#[test]
fn the_host_keeps_any_where_broadcasts_come() {
    let host = |keys: &str| {
        let text =
            format!("[context.web]\nxid = 100\naddresses = []\n[host]\naddresses = [\"192.0.2.1\"]\n{keys}");
        policy(&text).host_network().cloned().unwrap()
    };
    let ports =
        |keys: &str| host(keys).any_ports().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(ports(""), "udp/67-68 udp/546-547 udp/1900 udp/5353 udp/5355");
    assert_eq!(ports("any_ports = [\"tcp/22\"]\n"), "tcp/22");
    assert_eq!(host("").primary4().map(Rule::value), Some(Ipv4Addr::new(192, 0, 2, 1)));
    assert_eq!(host("").primary6(), None);
}

#[test]
fn shared_addresses_are_written_alike() {
    let text = "[context.web]\nxid = 100\naddresses = [\"192.0.2.1\"]\nshared = true\n[context.db]\nxid = 101\naddresses = [\"192.0.2.1\"]\nshared = true\n";
    assert_eq!(policy(text).contexts().len(), 2);
}

#[test]
fn what_confines_addresses_only_may_have_the_hosts() {
    let host = "[host]\naddresses = [\"192.0.2.0/28\"]\n";
    let only = "[context.web]\nxid = 100\naddresses = [\"192.0.2.1\"]\nconfine = \"network\"\n";
    // Whichever file comes first.
    for files in [[host, only], [only, host]] {
        let files: Vec<_> = files.iter().zip(["a", "b"]).map(|(text, name)| (name, *text)).collect();
        assert_eq!(parse(&sources(&files)).map(|policy| policy.contexts().len()), Ok(1), "{files:?}");
    }
    let guest = only.replace("confine = \"network\"\n", "");
    assert_eq!(
        errors_of(&format!("{host}{guest}")),
        [
            "p:5:14: context \"web\": \"192.0.2.1\" is part of \"192.0.2.0/28\" of the host, at p:2:14; what is a context's cannot be the host's own"
        ]
    );
}
