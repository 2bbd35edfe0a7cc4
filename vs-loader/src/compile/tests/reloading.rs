//! What processes that are alive forbid, and what keeps their rules.

use vs_common::policy_entry::context_flag;

use super::*;

const OLD: &str = "[spectator]\n[context.web]\nxid = 100\n[context.db]\nxid = 101\n[context.mail]\nxid = 102\nproc = \"plain\"\n";

fn alive(xids: &[u32]) -> BTreeMap<Xid, usize> {
    xids.iter().map(|xid| (Xid(*xid), 2)).collect()
}

/// The conflicts in words, and what keeping them comes to.
fn reload(new: &str, live: &[u32]) -> (Vec<String>, Result<String, String>) {
    let old = entries(OLD);
    let new = after(&old, new);
    let conflicts = reload_conflicts(old.rows(), new.rows(), &alive(live));
    let kept = keep_orphans(&new, old.epoch_rows(), &conflicts);
    let shown = conflicts.iter().map(ToString::to_string).collect();
    (shown, kept.map(|entries| entries.to_string()).map_err(|error| error.to_string()))
}

#[test]
fn without_processes_anything_goes() {
    let (conflicts, kept) = reload("[context.other]\nxid = 100\n", &[]);
    assert_eq!(conflicts, [""; 0]);
    assert!(kept.unwrap().starts_with("xid 100 generation 5 name other "));
}

#[test]
fn modes_and_rates_change_under_running_processes() {
    let new = concat!(
        "[spectator]\nrecord_burst = 1\n",
        "[context.web]\nxid = 100\nmode = \"observe\"\n",
        "[context.db]\nxid = 101\nrecords_per_second = 1\n",
        "[context.mail]\nxid = 102\nproc = \"plain\"\ndescription = \"x\"\n",
    );
    assert_eq!(reload(new, &[1, 100, 101, 102]).0, [""; 0]);
}

#[test]
fn whoever_has_processes_keeps_its_number_and_what_it_sees() {
    let new = "[context.web]\nxid = 103\n[context.mail]\nxid = 102\nproc = \"pidns\"\n";
    let (conflicts, kept) = reload(new, &[1, 100, 101, 102]);
    assert_eq!(
        conflicts,
        [
            "spectator (xid 1) has 2 live processes, and the new policy has no such context",
            "context web (xid 100) has 2 live processes, and the new policy gives it xid 103",
            "context db (xid 101) has 2 live processes, and the new policy has no such context",
            "context mail (xid 102) has 2 live processes, and the new policy changes proc from plain to pidns",
        ]
    );
    assert_eq!(
        kept.unwrap(),
        concat!(
            "xid 1 generation 1 name spectator mode enforce proc plain flags orphan records_per_second 100 record_burst 400\n",
            "xid 100 generation 2 name web mode enforce proc pidns flags orphan records_per_second 100 record_burst 400\n",
            "xid 101 generation 3 name db mode enforce proc pidns flags orphan records_per_second 100 record_burst 400\n",
            "xid 102 generation 4 name mail mode enforce proc plain flags orphan records_per_second 100 record_burst 400\n",
        )
    );
}

#[test]
fn the_second_lock_does_not_change_under_running_processes() {
    let (conflicts, kept) = reload(&format!("[host]\nproc_lock = true\n{OLD}"), &[101]);
    assert_eq!(
        conflicts,
        ["context db (xid 101) has 2 live processes, and the new policy turns proc_lock on"]
    );
    let flags: Vec<_> =
        kept.unwrap().lines().map(|line| line.split(' ').nth(11).unwrap().to_owned()).collect();
    assert_eq!(flags, ["proc_lock", "proc_lock", "orphan", "proc_lock"]);
}

#[test]
fn a_number_with_processes_is_not_given_to_another() {
    let new = "[spectator]\n[context.other]\nxid = 100\n[context.db]\nxid = 101\n";
    let (conflicts, kept) = reload(new, &[100, 102]);
    let taken =
        "context web (xid 100) has 2 live processes, and the new policy gives its xid to context other";
    assert_eq!(
        conflicts,
        [taken, "context mail (xid 102) has 2 live processes, and the new policy has no such context"]
    );
    assert_eq!(
        kept.unwrap_err(),
        format!(
            "{taken}\nkeeping the old rules is no cure for this; stop these processes, or choose another xid"
        )
    );
}

#[test]
fn two_that_change_numbers_are_kept_if_both_have_processes() {
    let new = "[spectator]\n[context.db]\nxid = 100\n[context.web]\nxid = 101\n[context.mail]\nxid = 102\nproc = \"plain\"\n";
    let (conflicts, kept) = reload(new, &[100, 101]);
    assert_eq!(
        conflicts,
        [
            "context web (xid 100) has 2 live processes, and the new policy gives it xid 101",
            "context db (xid 101) has 2 live processes, and the new policy gives it xid 100",
        ]
    );
    let kept = kept.unwrap();
    assert!(
        kept.contains("xid 100 generation 2 name web ") && kept.contains("xid 101 generation 3 name db "),
        "{kept}"
    );
    assert!(reload(new, &[100]).1.is_err());
}

#[test]
fn processes_without_a_row_block_their_number() {
    let new = format!("{OLD}[context.new]\nxid = 200\n");
    let (conflicts, kept) = reload(&new, &[200, 300]);
    let leftover = "context new (xid 200) has 2 live processes, and they are left from an earlier use of this xid, so it cannot be given yet";
    assert_eq!(conflicts, [leftover]);
    assert!(kept.unwrap_err().starts_with(leftover));
}

#[test]
fn the_next_load_of_the_old_policy_takes_orphans_back() {
    let old = entries(OLD);
    let new = after(&old, "[spectator]\n[context.web]\nxid = 100\n");
    let live = alive(&[101]);
    let conflicts = reload_conflicts(old.rows(), new.rows(), &live);
    let kept = keep_orphans(&new, old.epoch_rows(), &conflicts).unwrap();
    assert_eq!(kept.rows()[&Xid(101)].flags, context_flag::ORPHAN);
    let again = after(&kept, OLD);
    assert_eq!(reload_conflicts(kept.rows(), again.rows(), &live), []);
    assert_eq!(again.rows()[&Xid(101)], old.rows()[&Xid(101)]);
    // As long as they live and no policy has them, every load asks again.
    let without = after(&kept, "[spectator]\n[context.web]\nxid = 100\n");
    assert_eq!(reload_conflicts(kept.rows(), without.rows(), &live).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// After keeping, nothing stands in the way; and who has processes is governed as it was.
    #[test]
    fn keeping_cures_or_says_what_it_does_not(
        (first, had_lock) in (wanted(), any::<bool>()),
        (second, has_lock) in (wanted(), any::<bool>()),
        live in live(),
    ) {
        let old = entries(&text(&first, had_lock));
        let new = after(&old, &text(&second, has_lock));
        let conflicts = reload_conflicts(old.rows(), new.rows(), &live);
        for conflict in &conflicts {
            prop_assert!(live[&conflict.context.xid] > 0);
        }
        match keep_orphans(&new, old.epoch_rows(), &conflicts) {
            Ok(kept) => {
                prop_assert_eq!(reload_conflicts(old.rows(), kept.rows(), &live), []);
                for (xid, _) in live.iter().filter(|(_, count)| **count > 0) {
                    if let Some(before) = old.rows().get(xid) {
                        let now = &kept.rows()[xid];
                        prop_assert_eq!((now.generation, now.name), (before.generation, before.name));
                        prop_assert_eq!(now.proc_mode, before.proc_mode);
                        prop_assert_eq!(now.residence(*xid), before.residence(*xid));
                    }
                }
                let names: std::collections::BTreeSet<_> = kept.rows().values().map(|rules| rules.name).collect();
                prop_assert_eq!(names.len(), kept.rows().len());
                if conflicts.is_empty() {
                    prop_assert_eq!(kept, new);
                }
            }
            Err(KeepError::Uncured(uncured)) => {
                prop_assert!(!uncured.is_empty());
                prop_assert!(uncured.iter().all(|conflict| conflicts.contains(conflict)));
            }
            Err(KeepError::Compile(CompileError::AddressesTaken(taken))) => {
                prop_assert!(taken.iter().all(|taken| !taken.is_dynamic && live.contains_key(&taken.by.xid)));
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    /// Without a conflict, every process that is alive finds itself in the new rows as it was.
    #[test]
    fn no_conflict_means_no_harm(first in wanted(), second in wanted(), live in live()) {
        let old = entries(&text(&first, false));
        let new = after(&old, &text(&second, false));
        let is_harmed = |xid: &Xid| match (old.rows().get(xid), new.rows().get(xid)) {
            (None, after) => after.is_some(),
            (Some(before), Some(after)) => {
                (before.generation, before.name, before.proc_mode, before.residence(*xid))
                    != (after.generation, after.name, after.proc_mode, after.residence(*xid))
            }
            (Some(_), None) => true,
        };
        let harmed: Vec<_> = live.iter().filter(|(xid, count)| **count > 0 && is_harmed(xid)).map(|(xid, _)| *xid).collect();
        let mut found: Vec<_> =
            reload_conflicts(old.rows(), new.rows(), &live).into_iter().map(|conflict| conflict.context.xid).collect();
        found.dedup();
        prop_assert_eq!(found, harmed);
    }
}
