//! Rows, generations and the hooks they need.

use vs_common::hook::{Hook, Need};
use vs_common::policy_entry::context_flag;

use super::*;

const THREE: &str = concat!(
    "[spectator]\nrecord_burst = 7\n",
    "[context.web]\nxid = 101\nmode = \"observe\"\nrecords_per_second = 5\n",
    "[context.db]\nxid = 100\nproc = \"plain\"\n",
);

#[test]
fn a_policy_comes_to_sorted_rows() {
    assert_eq!(
        entries(THREE).to_string(),
        concat!(
            "xid 1 generation 1 name spectator mode enforce proc plain flags - records_per_second 100 record_burst 7\n",
            "xid 100 generation 2 name db mode enforce proc plain flags - records_per_second 100 record_burst 400\n",
            "xid 101 generation 3 name web mode observe proc pidns flags - records_per_second 5 record_burst 400\n",
        )
    );
    assert_eq!(entries(THREE).next_generation(), Generation(4));
}

#[test]
fn the_second_lock_is_in_every_row() {
    let locked = entries(&format!("[host]\nproc_lock = true\n{THREE}"));
    assert_eq!(locked.rows().len(), 3);
    assert!(locked.rows().values().all(|rules| rules.flags == context_flag::PROC_LOCK));
}

#[test]
fn who_keeps_number_and_name_keeps_the_generation() {
    let first = entries("[context.a]\nxid = 100\n[context.b]\nxid = 101\n[context.c]\nxid = 102\n");
    // a stays, b is renamed, c moves, d is new.
    let second = after(
        &first,
        "[context.a]\nxid = 100\nmode = \"observe\"\n[context.bb]\nxid = 101\n[context.c]\nxid = 103\n[context.d]\nxid = 102\n",
    );
    let generations: Vec<_> = second.rows().iter().map(|(xid, rules)| (xid.0, rules.generation.0)).collect();
    assert_eq!(generations, [(100, 1), (101, 4), (102, 5), (103, 6)]);
    // What was removed and comes again is another context.
    let third = after(&second, "[context.b]\nxid = 101\n");
    assert_eq!(third.rows()[&Xid(101)].generation, Generation(7));
}

#[test]
fn a_generation_is_never_given_twice_whatever_counter_comes_in() {
    let known = BTreeMap::from([(Xid(100), rules("a", 50))]);
    for (counter, expected) in [(0, 51), (1, 51), (51, 51), (70, 70)] {
        let known = Known { rows: &known, networks: &Networks::new(), next_generation: Generation(counter) };
        let entries = compile(&policy("[context.b]\nxid = 101\n"), &known).unwrap();
        assert_eq!(entries.rows()[&Xid(101)].generation, Generation(expected));
        assert_eq!(entries.next_generation(), Generation(expected + 1));
    }
    let known = BTreeMap::from([(Xid(100), rules("a", u64::MAX))]);
    let known = Known { rows: &known, networks: &Networks::new(), next_generation: Generation(1) };
    assert_eq!(compile(&policy("[spectator]\n"), &known), Err(CompileError::NoGeneration));
}

#[test]
fn dynamic_contexts_are_carried_over_and_others_are_not() {
    let dynamic = ContextRules {
        flags: context_flag::DYNAMIC | context_flag::ORPHAN | context_flag::PROC_LOCK,
        mode: 77,
        ..rules("shell", 9)
    };
    let orphan = ContextRules { flags: context_flag::ORPHAN, ..rules("gone", 8) };
    let rows = BTreeMap::from([(Xid(100), orphan), (Xid(49_152), dynamic)]);
    let known = Known { rows: &rows, networks: &Networks::new(), next_generation: Generation(10) };
    let without_lock = compile(&policy("[context.web]\nxid = 101\n"), &known).unwrap();
    assert_eq!(
        without_lock.to_string(),
        concat!(
            "xid 101 generation 10 name web mode enforce proc pidns flags - records_per_second 100 record_burst 400\n",
            "xid 49152 generation 9 name shell mode mode 77 proc pidns flags dynamic records_per_second 100 record_burst 400\n",
        )
    );
    let with_lock = compile(&policy("[host]\nproc_lock = true\n[spectator]\n"), &known).unwrap();
    assert_eq!(with_lock.rows()[&Xid(49_152)].flags, context_flag::DYNAMIC | context_flag::PROC_LOCK);
}

#[test]
fn a_name_is_one_context() {
    let rows: BTreeMap<_, _> = [("web", 49_152), ("db", 49_153), ("x", 49_154)]
        .map(|(name, xid)| (Xid(xid), ContextRules { flags: context_flag::DYNAMIC, ..rules(name, 1) }))
        .into();
    let known = Known { rows: &rows, networks: &Networks::new(), next_generation: Generation(10) };
    let error = compile(&policy("[context.web]\nxid = 100\n[context.db]\nxid = 101\n"), &known).unwrap_err();
    assert_eq!(
        error.to_string(),
        concat!(
            "context web (xid 100) would have the name of a dynamic context (xid 49152); rename it, or remove that one with `vs context remove web`\n",
            "context db (xid 101) would have the name of a dynamic context (xid 49153); rename it, or remove that one with `vs context remove db`",
        )
    );
}

#[test]
fn there_are_no_more_rows_than_the_maps_hold() {
    let rows: BTreeMap<_, _> = (0..4096)
        .map(|n| {
            (Xid(49_152 + n), ContextRules { flags: context_flag::DYNAMIC, ..rules(&format!("d{n}"), 1) })
        })
        .collect();
    let known = Known { rows: &rows, networks: &Networks::new(), next_generation: Generation(10) };
    assert_eq!(compile(&policy("[spectator]\n"), &known), Err(CompileError::TooManyContexts(4097)));
}

/// The bits of a context's row that its addresses come to.
#[test]
fn what_addresses_need_is_in_the_row() {
    let flags = |keys: &str| {
        let entries = entries(&format!("[context.web]\nxid = 100\naddresses = []\n{keys}"));
        entries.rows()[&Xid(100)].flags & !context_flag::NETWORK
    };
    assert_eq!(flags(""), 0);
    assert_eq!(flags("ping = true\n"), context_flag::PING);
    assert_eq!(flags("receive = \"kernel\"\nraw = []\n"), 0);
    assert_eq!(flags("receive = \"strict\"\n"), context_flag::RECEIVE);
    for raw in ["icmp", "icmpv6"] {
        let raw = format!("raw = [{raw:?}]\n");
        assert_eq!(flags(&raw), context_flag::RECEIVE | context_flag::RAW);
    }
}

/// The hooks that rows need, by kind: always, in the host's tree, in the host's procfs, for addresses, for pings, for what is received.
fn needs(text: &str) -> [bool; 6] {
    let hooks = entries(text).needed_hooks();
    let has = |need| {
        let all: Vec<_> = Hook::ALL.iter().filter(|hook| hook.info().need == need).collect();
        let attached = all.iter().filter(|hook| hooks.contains(hook)).count();
        assert!(attached == 0 || attached == all.len(), "hooks of a kind come together");
        attached != 0
    };
    [Need::Always, Need::HostTree, Need::HostProc, Need::Network, Need::Ping, Need::Receive].map(has)
}

#[test]
fn hooks_are_attached_for_those_who_need_them() {
    let web = "[context.web]\nxid = 100\n";
    assert_eq!(needs(web), [true, false, false, false, false, false]);
    assert_eq!(needs(&format!("{web}proc = \"hidepid\"\n")), [true, false, false, false, false, false]);
    assert_eq!(needs(&format!("{web}proc = \"plain\"\n")), [true, true, true, false, false, false]);
    assert_eq!(needs("[spectator]\n"), [true, true, false, false, false, false]);
    assert_eq!(needs(&format!("[spectator]\n{web}")), [true, true, false, false, false, false]);
    assert_eq!(needs(&format!("[host]\nproc_lock = true\n{web}")), [true, true, true, false, false, false]);
    assert_eq!(
        needs(&format!("[host]\nproc_lock = false\n{web}")),
        [true, false, false, false, false, false]
    );
    assert_eq!(needs(&format!("{web}addresses = []\n")), [true, false, false, true, false, false]);
    assert_eq!(
        needs(&format!("{web}addresses = []\nping = true\n")),
        [true, false, false, true, true, false]
    );
    let strict = format!("{web}addresses = []\nreceive = \"strict\"\n");
    assert_eq!(needs(&strict), [true, false, false, true, false, true]);
    assert_eq!(
        needs(&format!("{web}addresses = []\nraw = [\"icmp\"]\n")),
        [true, false, false, true, true, true]
    );
    let unheard_of = BTreeMap::from([(Xid(100), ContextRules { proc_mode: 9, ..rules("a", 1) })]);
    assert_eq!(needed_hooks(&unheard_of), Hook::ALL);
    let always: Vec<_> = Hook::ALL.iter().copied().filter(|hook| hook.info().need == Need::Always).collect();
    assert_eq!(needed_hooks(&BTreeMap::new()), always);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order of tables and files, the entries are the same.
    #[test]
    fn order_does_not_matter(wanted in wanted(), turn in 0usize..6, cut in 0usize..6) {
        let mut parts = tables(&wanted);
        let straight = entries(&parts.concat());
        let count = parts.len();
        parts.rotate_left(turn % count);
        let (first, second) = parts.split_at(cut % count);
        let files = [PolicySource::new("b", first.concat()), PolicySource::new("a", second.concat())];
        let turned = compile(&parse(&files).unwrap(), &Known::NOTHING).unwrap();
        prop_assert_eq!(straight.to_string(), turned.to_string());
        prop_assert_eq!(straight, turned);
    }

    /// Over any two loads no generation has two owners, and a context that stays keeps its own.
    #[test]
    fn generations_have_one_owner(first in wanted(), second in wanted(), third in wanted()) {
        let loads = {
            let one = entries(&text(&first, false));
            let two = after(&one, &text(&second, false));
            let three = after(&two, &text(&third, false));
            [one, two, three]
        };
        let mut owners = BTreeMap::new();
        for load in &loads {
            for (xid, rules) in load.rows() {
                let owner = (*xid, name_of(rules).into_owned());
                prop_assert_eq!(owners.entry(rules.generation).or_insert_with(|| owner.clone()), &owner);
                prop_assert!(rules.generation < load.next_generation());
            }
        }
        for pair in loads.windows(2) {
            for (xid, before) in pair[0].rows() {
                if let Some(after) = pair[1].rows().get(xid).filter(|after| after.name == before.name) {
                    prop_assert_eq!(before.generation, after.generation);
                }
            }
        }
    }
}
