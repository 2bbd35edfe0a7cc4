//! What a policy comes to, what a load changes, and what stands in its way.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vs_common::capability::DEFAULT_SET;
use vs_common::id::{Generation, Xid};
use vs_common::policy_entry::ContextRules;

use super::*;
use crate::policy::{Policy, PolicySource, pad, parse};

mod changes;
mod compiling;
mod directories;
mod explaining;
mod explaining_addresses;
mod networks;
mod prefixes;
mod reloading;

/// A policy of one file.
fn policy(text: &str) -> Policy {
    parse(&[PolicySource::new("p", text)]).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What a policy comes to where nothing was ever loaded.
fn entries(text: &str) -> MapEntries {
    compile(&policy(text), &Known::NOTHING).unwrap()
}

/// What a policy comes to after another one.
fn after(old: &MapEntries, text: &str) -> MapEntries {
    let known = Known { rows: old.rows(), networks: old.networks(), next_generation: old.next_generation() };
    compile(&policy(text), &known).unwrap()
}

/// Rules under a name.
fn rules(name: &str, generation: u64) -> ContextRules {
    ContextRules {
        generation: Generation(generation),
        mode: 0,
        proc_mode: 0,
        flags: 0,
        records_per_second: 100,
        record_burst: 400,
        reserved: 0,
        capabilities: DEFAULT_SET,
        capabilities_max: DEFAULT_SET,
        name: pad(name),
    }
}

/// A context of a policy as the properties need it: few names, numbers and addresses, so that policies meet. The last one: 0 for none, or
/// the address.
type Wanted = BTreeMap<u8, (u8, bool, u8, u16, u8)>;

/// Contexts by their names' number, each with an xid that no other has.
fn wanted() -> impl Strategy<Value = Wanted> {
    proptest::collection::btree_map(0u8..6, (0u8..8, any::<bool>(), 0u8..3, 1u16..5, 0u8..4), 1..6).prop_map(
        |mut all| {
            let mut taken = std::collections::BTreeSet::new();
            all.retain(|_, (xid, ..)| taken.insert(*xid));
            let mut taken = std::collections::BTreeSet::new();
            all.retain(|_, (.., address)| *address == 0 || taken.insert(*address));
            all
        },
    )
}

/// Processes by xid, among the numbers that policies give.
fn live() -> impl Strategy<Value = BTreeMap<Xid, usize>> {
    proptest::collection::btree_map((0u32..9).prop_map(|n| Xid(100 + n)), 0usize..3, 0..6)
}

/// The tables of these contexts.
fn tables(wanted: &Wanted) -> Vec<String> {
    let table = |(name, (xid, is_observe, proc, rate, address)): (&u8, &(u8, bool, u8, u16, u8))| {
        let mode = if *is_observe { "observe" } else { "enforce" };
        let proc = ["pidns", "hidepid", "plain"][usize::from(*proc)];
        let xid = 100 + u32::from(*xid);
        let addresses =
            if *address == 0 { String::new() } else { format!("addresses = [\"192.0.2.{address}\"]\n") };
        format!(
            "[context.c{name}]\nxid = {xid}\nmode = \"{mode}\"\nproc = \"{proc}\"\nrecords_per_second = {rate}\n{addresses}"
        )
    };
    wanted.iter().map(table).collect()
}

/// A policy of these contexts.
fn text(wanted: &Wanted, has_lock: bool) -> String {
    format!("[host]\nproc_lock = {has_lock}\n{}", tables(wanted).concat())
}
