//! Addresses in rows: what they come to, who keeps them, and that none is two contexts'.

use std::collections::BTreeSet;
use std::net::IpAddr;

use vs_common::network::{Address, network_flag};
use vs_common::policy_entry::context_flag;

use super::*;
use crate::compile::network::Prefix;

const WEB: &str =
    "[context.web]\nxid = 100\naddresses = [\"192.0.2.10\", \"192.0.2.16/28\", \"2001:db8::10\"]\n";

#[test]
fn addresses_come_to_rows() {
    let entries = entries(&format!(
        "[context.db]\nxid = 101\naddresses = []\nloopback = \"none\"\n{WEB}multicast = true\nshow_any = true\n[context.mail]\nxid = 102\n"
    ));
    assert_eq!(
        entries.to_string(),
        concat!(
            "xid 100 generation 1 name web mode enforce proc pidns flags network records_per_second 100 record_burst 400\n",
            "  generation 1; addresses 192.0.2.10, 192.0.2.16/28, 2001:db8::10; primary 192.0.2.10, 2001:db8::10; loopback private; multicast; show_any\n",
            "xid 101 generation 2 name db mode enforce proc pidns flags network records_per_second 100 record_burst 400\n",
            "  generation 2; addresses none; primary none; loopback none\n",
            "xid 102 generation 3 name mail mode enforce proc pidns flags - records_per_second 100 record_burst 400\n",
        )
    );
    let web = &entries.networks()[&Xid(100)];
    assert_eq!(
        web.rules.flags,
        network_flag::V4
            | network_flag::V6
            | network_flag::LOOPBACK_PRIVATE
            | network_flag::MULTICAST
            | network_flag::SHOW_ANY
    );
    assert_eq!((web.rules.generation, web.rules.reserved), (Generation(1), 0));
    assert_eq!(web.rules.primary4, Address::v4(0xc000_020a_u32.to_be()));
    assert_eq!(web.rules.primary6, Address([0x2001_0db8_u32.to_be(), 0, 0, 0x10_u32.to_be()]));
    let prefixes: Vec<_> = web.addresses.iter().map(|prefix| (prefix.to_string(), prefix.length)).collect();
    let expected = [("192.0.2.10", 128), ("192.0.2.16/28", 124), ("2001:db8::10", 128)];
    assert_eq!(prefixes, expected.map(|(text, length)| (text.to_owned(), length)));
    let db = &entries.networks()[&Xid(101)];
    assert_eq!((db.rules.flags, db.rules.primary4, db.rules.primary6), (0, Address::NONE, Address::NONE));
    assert!(!entries.networks().contains_key(&Xid(102)));
}

#[test]
fn every_word_of_policy_is_a_bit() {
    let flags =
        |keys: &str| entries(&format!("[context.web]\nxid = 100\n{keys}")).networks()[&Xid(100)].rules.flags;
    assert_eq!(flags("addresses = []\n"), network_flag::LOOPBACK_PRIVATE);
    assert_eq!(flags("addresses = []\nloopback = \"shared\"\n"), network_flag::LOOPBACK_SHARED);
    let none = "addresses = []\nloopback = \"none\"\n";
    assert_eq!(flags(none), 0);
    assert_eq!(flags(&format!("{none}broadcast = true\n")), network_flag::BROADCAST);
    let none = "loopback = \"none\"\n";
    assert_eq!(flags(&format!("addresses = [\"192.0.2.1\"]\n{none}")), network_flag::V4);
    assert_eq!(flags(&format!("addresses = [\"2001:db8::1\"]\n{none}")), network_flag::V6);
}

#[test]
fn a_network_has_the_generation_of_its_row() {
    let first = entries(&format!("[context.db]\nxid = 99\n{WEB}"));
    let second = after(&first, &format!("{WEB}[context.new]\nxid = 99\naddresses = [\"192.0.2.11\"]\n"));
    for (xid, network) in second.networks() {
        assert_eq!(network.rules.generation, second.rows()[xid].generation);
    }
    assert_eq!(second.networks()[&Xid(100)], first.networks()[&Xid(100)]);
    let without = after(&second, "[context.web]\nxid = 100\n");
    assert_eq!((without.networks().len(), without.rows()[&Xid(100)].flags), (0, 0));
}

/// What is in force with one context more that no policy names, under these flags.
fn with_shell(old: &MapEntries, flags: u32, addresses: &[(&str, u8)]) -> (Rows, Networks) {
    let (mut rows, mut networks) = (old.rows().clone(), old.networks().clone());
    let xid = Xid(49_152);
    rows.insert(xid, ContextRules { flags: flags | context_flag::NETWORK, ..rules("shell", 90) });
    let addresses = addresses
        .iter()
        .map(|(address, length)| Prefix::new(address.parse::<IpAddr>().unwrap(), *length).unwrap());
    let mut network = entries(WEB).networks()[&Xid(100)].clone();
    network.rules.generation = Generation(90);
    network.addresses = addresses.collect();
    networks.insert(xid, network);
    (rows, networks)
}

#[test]
fn dynamic_contexts_keep_their_addresses_and_others_do_not() {
    let old = entries("[context.old]\nxid = 99\naddresses = [\"192.0.2.99\"]\n");
    let (rows, networks) = with_shell(&old, context_flag::DYNAMIC, &[("192.0.2.50", 32)]);
    let known = Known { rows: &rows, networks: &networks, next_generation: Generation(91) };
    let new = compile(&policy(WEB), &known).unwrap();
    assert_eq!(new.networks().keys().map(|xid| xid.0).collect::<Vec<_>>(), [100, 49_152]);
    assert_eq!(new.networks()[&Xid(49_152)], networks[&Xid(49_152)]);
}

#[test]
fn what_a_dynamic_context_has_is_not_given_to_another() {
    let old = entries("[context.old]\nxid = 99\n");
    let own = [("192.0.2.10", 32), ("192.0.2.24", 29), ("2001:db8::", 64)];
    let (rows, networks) = with_shell(&old, context_flag::DYNAMIC, &own);
    let known = Known { rows: &rows, networks: &networks, next_generation: Generation(91) };
    let cure = "give it another, or remove that one with `vs context remove shell`";
    let by = "context shell (xid 49152) has";
    assert_eq!(
        compile(&policy(WEB), &known).unwrap_err().to_string(),
        format!(
            "context web (xid 100) would have 192.0.2.10, which {by}; {cure}\n\
             context web (xid 100) would have 192.0.2.16/28, which {by} a part of, 192.0.2.24/29; {cure}\n\
             context web (xid 100) would have 2001:db8::10, which {by} as part of 2001:db8::/64; {cure}"
        )
    );
}

#[test]
fn there_are_no_more_addresses_than_the_maps_hold() {
    let old = entries("[context.old]\nxid = 99\n");
    let (rows, mut networks) = with_shell(&old, context_flag::DYNAMIC, &[]);
    networks.get_mut(&Xid(49_152)).unwrap().addresses = (0..16_382_u32)
        .map(|number| Prefix::single(IpAddr::from((0x0a00_0000 | number).to_be_bytes())))
        .collect::<BTreeSet<_>>();
    let known = Known { rows: &rows, networks: &networks, next_generation: Generation(91) };
    assert_eq!(compile(&policy(WEB), &known), Err(CompileError::TooManyAddresses(16_385)));
    networks.get_mut(&Xid(49_152)).unwrap().addresses.pop_first();
    let known = Known { rows: &rows, networks: &networks, next_generation: Generation(91) };
    assert!(compile(&policy(WEB), &known).is_ok());
}

/// The conflicts in words, and what keeping them comes to.
fn reload(old: &str, new: &str) -> (Vec<String>, Result<MapEntries, KeepError>) {
    let old = entries(old);
    let new = after(&old, new);
    let live = old.rows().keys().map(|xid| (*xid, 1)).collect();
    let conflicts = reload_conflicts(old.rows(), new.rows(), &live);
    let kept = keep_orphans(&new, old.epoch_rows(), &conflicts);
    (conflicts.iter().map(ToString::to_string).collect(), kept)
}

#[test]
fn whoever_has_processes_keeps_its_network() {
    let bare = "[context.web]\nxid = 100\n";
    let (conflicts, kept) = reload(WEB, bare);
    assert_eq!(
        conflicts,
        [
            "context web (xid 100) has 1 live process, and the new policy gives it the host's addresses, while it has its own"
        ]
    );
    let kept = kept.unwrap();
    assert_eq!(kept.networks(), entries(WEB).networks());
    assert_eq!(kept.rows()[&Xid(100)].flags, context_flag::NETWORK | context_flag::ORPHAN);
    let (conflicts, kept) = reload(bare, WEB);
    assert_eq!(
        conflicts,
        [
            "context web (xid 100) has 1 live process, and the new policy gives it addresses of its own, while it uses the host's"
        ]
    );
    assert!(kept.unwrap().networks().is_empty());
}

#[test]
fn addresses_and_grants_change_under_running_processes() {
    let new =
        "[context.web]\nxid = 100\naddresses = [\"192.0.2.11\"]\nloopback = \"none\"\nmulticast = true\n";
    let (conflicts, kept) = reload(WEB, new);
    assert_eq!(conflicts, [""; 0]);
    assert_eq!(kept.unwrap().networks(), entries(new).networks());
}

#[test]
fn what_is_kept_keeps_its_addresses_from_others() {
    let (conflicts, kept) =
        reload(WEB, "[context.db]\nxid = 101\naddresses = [\"192.0.2.10\", \"2001:db8::/64\"]\n");
    assert_eq!(
        conflicts,
        ["context web (xid 100) has 1 live process, and the new policy has no such context"]
    );
    let cure = "give it another, or stop that one with `vs kill --all web`";
    assert_eq!(
        kept.unwrap_err().to_string(),
        format!(
            "context db (xid 101) would have 192.0.2.10, which context web (xid 100) has; {cure}\n\
             context db (xid 101) would have 2001:db8::/64, which context web (xid 100) has a part of, 2001:db8::10; {cure}"
        )
    );
    // What is not kept is free.
    let old = entries(WEB);
    let new = after(&old, "[context.db]\nxid = 101\naddresses = [\"192.0.2.10\"]\n");
    assert_eq!(reload_conflicts(old.rows(), new.rows(), &BTreeMap::new()), []);
    assert_eq!(new.networks().len(), 1);
}
