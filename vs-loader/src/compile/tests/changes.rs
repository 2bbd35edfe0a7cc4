//! The diff: its words, its order, and that it is whole.

use std::net::IpAddr;

use vs_common::network::{Address, NetworkRules, network_flag};
use vs_common::policy_entry::context_flag;

use super::*;
use crate::compile::network::{LOOPBACK, Prefix};
use crate::policy::{PortRange, PortSet, Protocol};

fn lines(old: &str, new: &str) -> Vec<String> {
    let old = entries(old);
    diff(old.epoch_rows(), after(&old, new).epoch_rows()).iter().map(ToString::to_string).collect()
}

#[test]
fn changes_read_as_the_operator_would_say_them_what_tightens_first() {
    let old = concat!(
        "[spectator]\n",
        "[context.a]\nxid = 100\n",
        "[context.b]\nxid = 101\nmode = \"observe\"\nproc = \"plain\"\n",
        "[context.c]\nxid = 102\n[context.d]\nxid = 103\n",
    );
    let new = concat!(
        "[host]\nproc_lock = true\n",
        "[context.a]\nxid = 100\nmode = \"observe\"\nproc = \"plain\"\nrecord_burst = 5\n",
        "[context.b]\nxid = 101\nproc = \"hidepid\"\nrecords_per_second = 9\n",
        "[context.cc]\nxid = 102\n[context.d]\nxid = 104\n",
    );
    assert_eq!(
        lines(old, new),
        [
            "spectator (xid 1): removed",
            "context c (xid 102): removed",
            "context d (xid 103): removed",
            "context a (xid 100): proc_lock off -> on",
            "context b (xid 101): mode observe -> enforce",
            "context b (xid 101): proc plain -> hidepid",
            "context b (xid 101): proc_lock off -> on",
            "context a (xid 100): record_burst 400 -> 5",
            "context b (xid 101): records_per_second 100 -> 9",
            "context a (xid 100): mode enforce -> observe",
            "context a (xid 100): proc pidns -> plain",
            "context cc (xid 102): added with mode enforce, proc pidns, records_per_second 100, record_burst 400, proc_lock",
            "context d (xid 104): added with mode enforce, proc pidns, records_per_second 100, record_burst 400, proc_lock",
        ]
    );
    assert_eq!(lines(old, old), [""; 0]);
}

#[test]
fn changes_of_addresses_read_so_too() {
    let old = concat!(
        "[context.a]\nxid = 100\naddresses = [\"192.0.2.10\", \"192.0.2.11\"]\nmulticast = true\n",
        "[context.b]\nxid = 101\naddresses = [\"192.0.2.12\", \"2001:db8::12\"]\nloopback = \"shared\"\n",
        "[context.c]\nxid = 102\n",
        "[context.d]\nxid = 103\naddresses = []\n",
    );
    let new = concat!(
        "[context.a]\nxid = 100\naddresses = [\"192.0.2.11\", \"192.0.2.16/28\", \"2001:db8::10\"]\nshow_any = true\n",
        "[context.b]\nxid = 101\naddresses = [\"192.0.2.12\"]\nbroadcast = true\n",
        "[context.c]\nxid = 102\naddresses = [\"192.0.2.13\"]\nloopback = \"none\"\n",
        "[context.d]\nxid = 103\n",
        "[context.e]\nxid = 104\naddresses = [\"192.0.2.10\"]\n",
    );
    assert_eq!(
        lines(old, new),
        [
            "context a (xid 100): address 192.0.2.10 removed",
            "context a (xid 100): multicast on -> off",
            "context b (xid 101): address 2001:db8::12 removed",
            "context b (xid 101): primary 2001:db8::12 -> none",
            "context b (xid 101): loopback shared -> private",
            "context c (xid 102): network the host's -> its own",
            "context d (xid 103): addresses of its own removed",
            "context a (xid 100): primary 192.0.2.10 -> 192.0.2.11",
            "context a (xid 100): show_any off -> on",
            "context a (xid 100): primary none -> 2001:db8::10",
            "context a (xid 100): address 192.0.2.16/28 added",
            "context a (xid 100): address 2001:db8::10 added",
            "context b (xid 101): broadcast off -> on",
            "context c (xid 102): added addresses 192.0.2.13; primary 192.0.2.13; loopback none",
            "context d (xid 103): network its own -> the host's",
            "context e (xid 104): added with mode enforce, proc pidns, records_per_second 100, record_burst 400, network; addresses 192.0.2.10; primary 192.0.2.10; loopback private",
        ]
    );
    assert_eq!(lines(new, new), [""; 0]);
}

#[test]
fn what_cannot_be_told_loosens() {
    let loosening = [
        Change::Mode(0, 9),
        Change::ProcMode(0, 9),
        Change::ProcMode(9, 0),
        Change::Flag { flag: 1 << 30, is_set: true },
        Change::Flag { flag: 1 << 30, is_set: false },
        Change::Flag { flag: context_flag::PROC_LOCK, is_set: false },
        Change::Flag { flag: context_flag::NETWORK, is_set: false },
        Change::NetworkFlag { flag: 1 << 30, is_set: true },
        Change::NetworkFlag { flag: 1 << 30, is_set: false },
        Change::Loopback(LOOPBACK, 0),
        Change::Loopback(0, LOOPBACK),
    ];
    for change in loosening {
        assert_eq!(change.direction(), Direction::Loosens, "{change}");
    }
}

/// Any row at all, as a map could hold it.
fn any_rules() -> impl Strategy<Value = ContextRules> {
    let sets = (any::<u64>(), any::<u64>());
    (0u64..3, 0u32..4, 0u32..5, any::<u32>(), (0u32..3, 0u32..3), 0u32..2, 0u8..3, sets).prop_map(
        |(generation, mode, proc_mode, flags, rate, reserved, name, sets)| ContextRules {
            generation: Generation(generation),
            mode,
            proc_mode,
            flags,
            records_per_second: rate.0,
            record_burst: rate.1,
            reserved,
            capabilities: sets.0,
            capabilities_max: sets.1,
            name: pad(&format!("c{name}")),
        },
    )
}

/// Any addresses at all of one context.
fn any_network() -> impl Strategy<Value = Network> {
    let address = (0u32..3).prop_map(|last| Address::v4((0xc000_0200 | last).to_be()));
    let prefixes = proptest::collection::btree_set((0u8..8, 29u8..=32), 0..4);
    let port = (0u16..4).prop_map(|port| PortRange { protocol: Protocol::Tcp, ports: port..=port });
    let ports = proptest::collection::vec(port, 0..3).prop_map(PortSet::of);
    let source = address.clone();
    let all =
        (0u64..2, any::<u32>(), 0u32..2, address.clone(), address, any::<bool>(), prefixes, ports, source);
    all.prop_map(|(generation, flags, reserved, primary4, primary6, is_plain, prefixes, ports, source)| {
        let has = |flag: u32| flags & flag != 0 || !is_plain;
        let own = |flag: u32| (flags & flag != 0).then(|| ports.clone());
        let sources = (flags & network_flag::SOURCES != 0)
            .then_some((Prefix::around(IpAddr::from([192, 0, 2, 0]), 24), source));
        Network {
            bind_ports: own(network_flag::BIND_PORTS),
            connect_ports: own(network_flag::CONNECT_PORTS),
            sources: sources.into_iter().collect(),
            rules: NetworkRules {
                generation: Generation(generation),
                flags,
                reserved,
                primary4: if has(network_flag::V4) { primary4 } else { Address::NONE },
                primary6: if has(network_flag::V6) { primary6 } else { Address::NONE },
            },
            addresses: prefixes
                .into_iter()
                .map(|(last, length)| Prefix::around(IpAddr::from([192, 0, 2, last]), length))
                .collect(),
        }
    })
}

/// What an epoch could hold.
type Held = (Rows, Networks);

fn any_held() -> impl Strategy<Value = Held> {
    let context = (any_rules(), proptest::option::of(any_network()));
    let contexts = proptest::collection::btree_map((1u32..7).prop_map(Xid), context, 0..6);
    // The host has addresses and no row.
    (contexts, proptest::option::of(any_network())).prop_map(|(contexts, host)| {
        let rows = contexts.iter().map(|(xid, (rules, _))| (*xid, *rules)).collect();
        let networks = contexts.into_iter().filter_map(|(xid, (_, network))| Some((xid, network?)));
        (rows, networks.chain(host.map(|network| (Xid::HOST, network))).collect())
    })
}

const fn epoch((rows, networks): &Held) -> EpochRows<'_> {
    EpochRows { rows, networks }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn made_one_after_the_other_they_lead_from_old_to_new(old in any_held(), new in any_held()) {
        let changes = diff(epoch(&old), epoch(&new));
        let mut held = old.clone();
        for change in &changes {
            change.apply_to(&mut held.0, &mut held.1);
        }
        prop_assert_eq!(&held, &new);
        prop_assert_eq!(changes.is_empty(), old == new);
        prop_assert!(diff(epoch(&new), epoch(&new)).is_empty());
        // Each is needed: without any one of them it is another end. Only a removal may be overwritten, by what takes its place.
        for left_out in 0..changes.len() {
            let MapChange { context, change } = &changes[left_out];
            let is_overwritten = match change {
                Change::Removed => new.0.contains_key(&context.xid),
                Change::NetworkRemoved => new.1.contains_key(&context.xid),
                _ => false,
            };
            if is_overwritten {
                continue;
            }
            let mut held = old.clone();
            for (_, change) in changes.iter().enumerate().filter(|(number, _)| *number != left_out) {
                change.apply_to(&mut held.0, &mut held.1);
            }
            prop_assert_ne!(&held, &new, "without {}", changes[left_out]);
        }
    }

    #[test]
    fn what_tightens_comes_first(old in any_held(), new in any_held()) {
        let directions: Vec<_> =
            diff(epoch(&old), epoch(&new)).iter().map(|change| change.change.direction()).collect();
        prop_assert!(directions.is_sorted(), "{directions:?}");
    }

    /// Nothing in between is laxer than both ends, judged by the rows and not by what the changes say of themselves.
    #[test]
    fn no_moment_is_laxer_than_both_ends(old in any_held(), new in any_held()) {
        let mut held = old.clone();
        for change in diff(epoch(&old), epoch(&new)) {
            change.apply_to(&mut held.0, &mut held.1);
            for (xid, now) in &held.0 {
                let ends: Vec<_> = [&old, &new].into_iter().filter(|end| end.0.contains_key(xid)).collect();
                prop_assert!(!ends.is_empty());
                prop_assert!(ends.iter().any(|end| now.mode == end.0[xid].mode));
                prop_assert!(ends.iter().any(|end| now.proc_mode == end.0[xid].proc_mode));
                // The host's network is the widest; among its own addresses, no more than at one end.
                let is_own = |rules: &ContextRules| rules.flags & context_flag::NETWORK != 0;
                prop_assert!(is_own(now) || ends.iter().any(|end| !is_own(&end.0[xid])));
                if let Some(network) = held.1.get(xid).filter(|_| is_own(now)) {
                    let allowed: Vec<_> = ends.iter().filter_map(|end| end.1.get(xid)).collect();
                    prop_assert!(allowed.iter().any(|end| network.addresses.is_subset(&end.addresses)));
                }
            }
        }
    }
}
