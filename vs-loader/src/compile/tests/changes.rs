//! The diff: its words, its order, and that it is whole.

use vs_common::policy_entry::context_flag;

use super::*;

fn lines(old: &str, new: &str) -> Vec<String> {
    let old = entries(old);
    diff(old.rows(), after(&old, new).rows()).iter().map(ToString::to_string).collect()
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
fn what_cannot_be_told_loosens() {
    let loosening = [
        Change::Mode(0, 9),
        Change::ProcMode(0, 9),
        Change::ProcMode(9, 0),
        Change::Flag { flag: 1 << 30, is_set: true },
        Change::Flag { flag: 1 << 30, is_set: false },
        Change::Flag { flag: context_flag::PROC_LOCK, is_set: false },
    ];
    for change in loosening {
        assert_eq!(change.direction(), Direction::Loosens, "{change}");
    }
}

/// Any row at all, as a map could hold it.
fn any_rules() -> impl Strategy<Value = ContextRules> {
    (0u64..3, 0u32..4, 0u32..5, any::<u32>(), 0u32..3, 0u32..3, 0u32..2, 0u8..3).prop_map(
        |(generation, mode, proc_mode, flags, records_per_second, record_burst, reserved, name)| {
            ContextRules {
                generation: Generation(generation),
                mode,
                proc_mode,
                flags,
                records_per_second,
                record_burst,
                reserved,
                name: pad(&format!("c{name}")),
            }
        },
    )
}

fn any_rows() -> impl Strategy<Value = Rows> {
    proptest::collection::btree_map((0u32..6).prop_map(Xid), any_rules(), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn made_one_after_the_other_they_lead_from_old_to_new(old in any_rows(), new in any_rows()) {
        let changes = diff(&old, &new);
        let mut rows = old.clone();
        for change in &changes {
            change.apply_to(&mut rows);
        }
        prop_assert_eq!(&rows, &new);
        prop_assert_eq!(changes.is_empty(), old == new);
        prop_assert!(diff(&new, &new).is_empty());
        // Each is needed: without any one of them it is another end. Only a removal may be overwritten, by what takes the number.
        for left_out in 0..changes.len() {
            let MapChange { context, change } = &changes[left_out];
            if *change == Change::Removed && new.contains_key(&context.xid) {
                continue;
            }
            let mut rows = old.clone();
            for (_, change) in changes.iter().enumerate().filter(|(number, _)| *number != left_out) {
                change.apply_to(&mut rows);
            }
            prop_assert_ne!(&rows, &new, "without {}", changes[left_out]);
        }
    }

    #[test]
    fn what_tightens_comes_first(old in any_rows(), new in any_rows()) {
        let directions: Vec<_> = diff(&old, &new).iter().map(|change| change.change.direction()).collect();
        prop_assert!(directions.is_sorted(), "{directions:?}");
    }

    /// Nothing in between is laxer than both ends, judged by the rows and not by what the changes say of themselves.
    #[test]
    fn no_moment_is_laxer_than_both_ends(old in any_rows(), new in any_rows()) {
        let mut rows = old.clone();
        for change in diff(&old, &new) {
            change.apply_to(&mut rows);
            for (xid, now) in &rows {
                let ends: Vec<_> = [old.get(xid), new.get(xid)].into_iter().flatten().collect();
                prop_assert!(!ends.is_empty());
                prop_assert!(ends.iter().any(|end| now.mode == end.mode));
                prop_assert!(ends.iter().any(|end| now.proc_mode == end.proc_mode));
            }
        }
    }
}
