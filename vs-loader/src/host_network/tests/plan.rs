//! What to add, what to remove, what is missing.

use super::*;

/// A plan as text: `+ADDRESS/LENGTH on LINK` or `-`, or its flaws.
fn planned(claims: &[Claim], host: &HostNetwork) -> Vec<String> {
    match plan(claims, host) {
        Ok(Plan { add, remove }) => add
            .iter()
            .map(|addition| format!("+{}", addition.placement))
            .chain(remove.iter().map(|placement| format!("-{placement}")))
            .collect(),
        Err(flaws) => flaws.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn check(claims: &[Claim], host: &HostNetwork, expected: &[&str]) {
    assert_eq!(planned(claims, host), expected);
}

#[test]
fn what_the_machine_has_is_neither_added_nor_removed() {
    let host = machine(&[theirs("192.0.2.10/24", 3), theirs("2001:db8::10/64", 2)]);
    check(&web("addresses = [\"192.0.2.10\", \"2001:db8::10\"]"), &host, &[]);
    check(&web("addresses = [\"192.0.2.10\", \"2001:db8::10\"]\nassign = \"eth0\""), &host, &[]);
    check(&web("addresses = []"), &host, &[]);
    check(&claims("[context.web]\nxid = 100\n"), &host, &[]);
}

#[test]
fn what_it_lacks_is_refused_with_both_cures() {
    check(
        &web("addresses = [\"192.0.2.10\", \"2001:db8::10\"]\n"),
        &machine(&[]),
        &[
            "p:4:14: context web (xid 100): the machine has no address 192.0.2.10; add it with `ip address add 192.0.2.10/32 dev eth0`, or write assign = \"eth0\" in the context's table and vs load does",
            "p:4:28: context web (xid 100): the machine has no address 2001:db8::10; add it with `ip address add 2001:db8::10/128 dev INTERFACE`, or write assign = \"INTERFACE\" in the context's table and vs load does",
        ],
    );
}

#[test]
fn what_is_assigned_is_added_to_its_interface() {
    let keys = "addresses = [\"192.0.2.10\", \"2001:db8::10\", \"192.0.2.1\"]\nassign = \"eth1\"";
    let expected = ["+192.0.2.10/32 on eth1", "+2001:db8::10/128 on eth1"];
    check(&web(keys), &machine(&[]), &expected);
    check(&web(keys), &machine(&[ours("192.0.2.10", 3), ours("2001:db8::10", 3)]), &[]);
}

#[test]
fn of_a_prefix_the_machine_must_have_the_primary_address_only() {
    let keys = "addresses = [\"198.51.100.16/28\"]\nprimary = \"198.51.100.20\"\n";
    let host = machine(&[]);
    assert!(planned(&web(keys), &host)[0].contains("the machine has no address 198.51.100.20; "));
    check(&web(&format!("{keys}assign = \"eth0\"")), &host, &["+198.51.100.20/32 on eth0"]);
    check(&web(keys), &machine(&[theirs("198.51.100.20/28", 2)]), &[]);
}

#[test]
fn a_network_on_loopback_is_the_machine_s_as_a_whole() {
    let keys = "addresses = [\"198.51.100.16/28\", \"198.51.100.99\"]\n";
    check(&web(keys), &machine(&[theirs("198.51.100.1/24", 1)]), &[]);
    let on_a_wire = planned(&web(keys), &machine(&[theirs("198.51.100.1/24", 2)]));
    assert_eq!(on_a_wire.len(), 1, "{on_a_wire:?}");
    let six = planned(&web("addresses = [\"2001:db8::10\"]"), &machine(&[theirs("2001:db8::1/64", 1)]));
    assert!(six[0].contains("no address 2001:db8::10"), "{six:?}");
}

#[test]
fn what_nobody_wants_any_more_is_removed() {
    let host = machine(&[
        ours("192.0.2.10", 2),
        ours("192.0.2.11", 2),
        theirs("192.0.2.12/32", 2),
        ours("fd56:7365:7276::64:1", 1),
    ]);
    check(
        &web("addresses = [\"192.0.2.11\"]\nassign = \"eth0\""),
        &host,
        &["-192.0.2.10/32 on eth0", "-fd56:7365:7276::64:1/128 on lo"],
    );
}

#[test]
fn an_address_moves_with_its_assignment() {
    let host = machine(&[ours("192.0.2.10", 2)]);
    let keys = "addresses = [\"192.0.2.10\"]\nassign = \"eth1\"";
    check(&web(keys), &host, &["+192.0.2.10/32 on eth1", "-192.0.2.10/32 on eth0"]);
}

#[test]
fn an_address_stays_where_a_load_put_it_while_a_context_has_it() {
    check(&web("addresses = [\"192.0.2.10\"]"), &machine(&[ours("192.0.2.10", 2)]), &[]);
}

#[test]
fn an_address_that_the_machine_got_itself_needs_no_mark() {
    let host = machine(&[ours("192.0.2.10", 2), theirs("192.0.2.10/24", 3)]);
    let keys = "addresses = [\"192.0.2.10\"]\nassign = \"eth0\"";
    check(&web(keys), &host, &["-192.0.2.10/32 on eth0"]);
}

#[test]
fn the_mark_is_of_single_addresses() {
    let foreign = HostAddress { length: 24, ..ours("192.0.2.10", 2) };
    check(&web("addresses = []"), &machine(&[foreign]), &[]);
}

#[test]
fn a_private_loopback_is_an_address_on_lo() {
    let two = "[context.web]\nxid = 100\naddresses = []\n[context.db]\nxid = 101\naddresses = []\n";
    let expected = ["+fd56:7365:7276::64:1/128 on lo", "+fd56:7365:7276::65:1/128 on lo"];
    check(&claims(two), &machine(&[]), &expected);
    check(
        &claims(two),
        &machine(&[ours("fd56:7365:7276::64:1", 1), theirs("fd56:7365:7276::65:1/128", 1)]),
        &[],
    );
    check(&web("addresses = []"), &machine(&[]), &[]);
    let additions = plan(&claims(two), &machine(&[])).unwrap().add;
    assert!(additions.iter().all(|addition| addition.is_optional));
}

#[test]
fn a_private_loopback_needs_lo() {
    let mut host = machine(&[]);
    host.links[0].is_up = false;
    let two = "[context.web]\nxid = 100\naddresses = []\n[context.db]\nxid = 101\naddresses = []\n";
    let expected = "context web (xid 100): its loopback is its own, and the machine's is down; `ip link set lo up`, or write loopback = \"none\"";
    check(&claims(two), &host, &[expected]);
    check(&web("addresses = []"), &host, &[]);
}

#[test]
fn an_interface_that_is_down_gets_its_addresses_and_a_warning() {
    let mut host = machine(&[]);
    let claims = web("addresses = [\"192.0.2.10\"]\nassign = \"eth1\"");
    let warning = |host: &HostNetwork| plan(&claims, host).unwrap().add[0].warning();
    assert_eq!(warning(&host), None);
    host.links[2].is_up = false;
    let expected =
        "context web (xid 100): 192.0.2.10 cannot be used while eth1 is down; `ip link set eth1 up`";
    assert_eq!(warning(&host).as_deref(), Some(expected));
}

#[test]
fn an_interface_that_is_not_there_is_named_with_its_place() {
    check(
        &web("addresses = [\"192.0.2.1\"]\nassign = \"eth7\"\n"),
        &machine(&[]),
        &[
            "p:5:10: context web (xid 100): assign names \"eth7\", and there is no such interface; there are: lo, eth0, eth1",
        ],
    );
}

#[test]
fn a_context_that_is_kept_is_not_what_the_policy_says() {
    let source = |text: &str| PolicySource { name: "p".to_owned(), contents: text.as_bytes().to_vec() };
    let parse = |keys: &str| {
        policy::parse(&[source(&format!(
            "[context.web]\nxid = 100\nloopback = \"none\"\n{keys}\nassign = \"eth0\"\n"
        ))])
        .unwrap()
    };
    let old = compile(&parse("addresses = [\"192.0.2.10\"]"), &Known::NOTHING).unwrap();
    let new = parse("addresses = [\"192.0.2.11\"]");
    let kept = claims_of(Some(&new), old.rows(), old.networks());
    assert_eq!((kept[0].assign.as_ref(), kept[0].addresses[0].place.as_ref()), (None, None));
    check(&kept, &machine(&[ours("192.0.2.10", 2)]), &[]);
}

#[test]
fn several_flaws_stand_below_each_other() {
    let text = |keys: &str| {
        let flaws = plan(&web(keys), &machine(&[])).unwrap_err();
        HostNetworkError::Flaws(flaws).to_string()
    };
    assert!(text("addresses = [\"192.0.2.10\"]\n").starts_with("p:4:14: context web"));
    let two = text("addresses = [\"192.0.2.10\", \"192.0.2.11\"]\n");
    let lines: Vec<_> = two.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "the machine lacks what contexts need:"));
}
