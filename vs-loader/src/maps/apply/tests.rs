//! A load, a reload and an unload that fail, or are killed, at every single operation.

use std::collections::BTreeMap;

use vs_common::capability::DEFAULT_SET;
use vs_common::context::Tag;
use vs_common::filesystem::FileKey;
use vs_common::id::Xid;
use vs_common::policy_entry::{Mode, ProcMode};

use super::*;
use crate::compile::files::file_row;
use crate::maps::fake::{FakePrograms, FakeStore, Plan};

const NOW: u64 = 1_000_000;

/// A kernel: maps and links.
#[derive(Clone)]
struct World {
    store: FakeStore,
    programs: FakePrograms,
}

/// What is in force: rows without their generations, and the hooks attached for them.
type InForce = (BTreeMap<Xid, ContextRules>, Vec<Hook>);

impl World {
    fn empty() -> Self {
        let store = FakeStore::new();
        Self { programs: FakePrograms::beside(&store), store }
    }

    /// A kernel of its own with a plan of its own.
    fn with(&self, plan: Plan) -> Self {
        let mut world = Self::empty();
        let faults = world.store.faults.clone();
        world.store = FakeStore { faults, ..self.store.clone() };
        world.programs.links.replace(self.programs.links.borrow().clone());
        world.programs.is_denying = self.programs.is_denying;
        world.store.faults.set(plan);
        world
    }

    /// Generations as `compile` gives them.
    fn compiled(&self, wanted: &Wanted, now: u64) -> Wanted {
        let in_force = rows_of(&self.store, self.store.epoch).unwrap_or_default();
        let fresh = next_generation(&self.store, now).unwrap_or_default().0;
        let mut compiled = wanted.clone();
        for (generation, (xid, rules)) in (fresh..).zip(&mut compiled.rows) {
            let kept = in_force.get(xid).filter(|old| old.name == rules.name);
            rules.generation = kept.map_or(Generation(generation), |old| old.generation);
        }
        compiled
    }

    fn load(&mut self, wanted: &Wanted) -> Result<Loaded<impl std::error::Error + use<>>, String> {
        let wanted = self.with(Plan::Sound).compiled(wanted, NOW);
        load(&mut self.store, &mut self.programs, &wanted, NOW).map_err(|error| error.to_string())
    }

    fn loaded(&self, wanted: &Wanted) -> Self {
        let mut world = self.with(Plan::Sound);
        world.load(wanted).unwrap();
        world
    }

    fn recover(&mut self) {
        self.store.faults.set(Plan::Sound);
        recover(&mut self.store, &mut self.programs, NOW).unwrap();
    }

    fn in_force(&self) -> Option<InForce> {
        let epoch = self.store.epoch;
        let rows = self.store.rows.iter().filter(|(key, _)| key.epoch == epoch);
        let rows = rows.map(|(key, rules)| (key.xid, without_generation(*rules))).collect();
        let hooks = self.programs.links.borrow().get(&epoch).map(|hooks| hooks.iter().copied().collect());
        (epoch != Epoch(0)).then(|| (rows, hooks.unwrap_or_default()))
    }

    /// Nothing is there but what belongs to the epoch in force, and every context has its state.
    fn assert_clean(&self) {
        let epoch = self.store.epoch;
        assert!(self.store.rows.keys().all(|key| key.epoch == epoch), "rows of another epoch");
        assert!(self.store.files.keys().all(|key| key.epoch == epoch), "directories of another epoch");
        assert!(self.store.infos.keys().all(|key| *key == epoch), "another epoch's author");
        assert!(self.programs.links.borrow().keys().all(|key| *key == epoch), "links of another epoch");
        let rows = self.store.rows.iter().map(|(key, rules)| (key.xid, rules.generation));
        let states = self.store.states.iter().map(|(xid, state)| (*xid, state.generation));
        assert!(rows.eq(states), "states do not match rows");
    }
}

fn without_generation(rules: ContextRules) -> ContextRules {
    ContextRules { generation: Generation(0), ..rules }
}

fn rules(name: &str, mode: Mode) -> ContextRules {
    let mut bytes = [0; 32];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    ContextRules {
        generation: Generation(0),
        mode: mode as u32,
        proc_mode: ProcMode::Pidns as u32,
        flags: 0,
        records_per_second: 100,
        record_burst: 400,
        reserved: 0,
        capabilities: DEFAULT_SET,
        capabilities_max: DEFAULT_SET,
        name: bytes,
    }
}

fn wanted(rows: &[(u32, &str, Mode)], hooks: &[Hook]) -> Wanted {
    Wanted {
        rows: rows.iter().map(|(xid, name, mode)| (Xid(*xid), rules(name, *mode))).collect(),
        networks: BTreeMap::new(),
        files: files(rows),
        hooks: hooks.to_vec(),
        info: EpochInfo {
            loaded_at: 1,
            digest: [7; 32],
            uid: 0,
            loginuid: 1000,
            contexts: u32::try_from(rows.len()).unwrap(),
            reserved: 0,
        },
    }
}

/// A directory for each context, and the host's.
fn files(rows: &[(u32, &str, Mode)]) -> Files {
    let tag = |xid| Tag { xid, lifecycle: 0, generation: Generation(0) };
    let owners = rows.iter().map(|(xid, ..)| Xid(*xid)).chain([Xid::HOST]);
    owners
        .map(|xid| {
            let key = FileKey { device: 1, inode: u64::from(xid.0) + 2, ..FileKey::default() };
            (key, file_row(&format!("/srv/{xid}"), tag(xid)))
        })
        .collect()
}

fn first() -> Wanted {
    wanted(&[(5, "web", Mode::Observe), (7, "db", Mode::Enforce)], &[Hook::TaskAlloc, Hook::TaskKill])
}

fn second() -> Wanted {
    wanted(
        &[(5, "web", Mode::Enforce), (7, "mail", Mode::Enforce), (9, "new", Mode::Enforce)],
        &[Hook::TaskAlloc, Hook::TaskKill, Hook::FileOpen],
    )
}

fn as_in_force(wanted: &Wanted) -> InForce {
    (wanted.rows.clone(), wanted.hooks.clone())
}

#[test]
fn the_first_load_puts_everything_in_force() {
    let world = World::empty().loaded(&first());
    assert_eq!(world.store.epoch, Epoch(1));
    assert_eq!(world.in_force().unwrap(), as_in_force(&first()));
    assert_eq!(world.store.infos[&Epoch(1)], first().info);
    world.assert_clean();
    let state = world.store.states[&Xid(5)];
    assert_eq!((state.millitokens, state.refilled_at), (400_000, NOW));
}

#[test]
fn wherever_a_load_is_killed_one_whole_rule_set_is_in_force_and_the_next_command_cleans_up() {
    for before in [World::empty(), World::empty().loaded(&first())] {
        let mut before = before;
        before.store.tags.insert(4711, Tag { xid: Xid(5), lifecycle: 0, generation: Generation(3) });
        let old = before.in_force();
        let mut seen = std::collections::BTreeSet::new();
        for at in 0.. {
            let mut world = before.with(Plan::KillAt(at));
            let outcome = world.load(&second());
            let is_over = world.store.faults.operations() <= at;
            let now = world.in_force();
            assert!(now == old || now == Some(as_in_force(&second())), "killed at {at}: {now:?}");
            assert_eq!(world.store.tags, before.store.tags, "killed at {at}");
            seen.insert(now == old);
            world.recover();
            assert_eq!(world.in_force(), now, "recovery after {at} changes nothing in force");
            world.assert_clean();
            world.load(&second()).unwrap();
            assert_eq!(world.in_force().unwrap(), as_in_force(&second()));
            world.assert_clean();
            if is_over {
                assert!(outcome.is_ok_and(|loaded| loaded.leftover.is_none()));
                break;
            }
        }
        assert_eq!(seen.len(), 2, "kills before and after the flip were tried");
    }
}

#[test]
fn a_load_that_fails_anywhere_leaves_the_old_rules_and_nothing_else() {
    let before = World::empty().loaded(&first());
    for at in 0.. {
        let mut world = before.with(Plan::FailAt(at));
        let outcome = world.load(&second());
        if world.store.faults.operations() <= at {
            assert!(outcome.is_ok());
            break;
        }
        match outcome {
            Err(text) => {
                assert!(text.contains("told to fail"), "{text}");
                assert_eq!(world.in_force().unwrap(), as_in_force(&first()), "failed at {at}");
                let same = world.store.states == before.store.states;
                assert!(same, "failed at {at}: the old contexts' states are as they were");
            }
            Ok(loaded) => {
                assert_eq!(world.in_force().unwrap(), as_in_force(&second()), "failed at {at}");
                assert!(loaded.leftover.is_some(), "failed at {at}: what is left over is told");
                world.recover();
            }
        }
        world.assert_clean();
    }
}

#[test]
fn a_failure_that_cannot_be_undone_says_so_and_the_next_load_undoes_it() {
    let mut world = World::empty().loaded(&first()).with(Plan::FailEvery(map_name::CONTEXTS, "remove from"));
    world.programs.is_denying = false;
    let text = world.load(&second()).unwrap_err();
    assert!(text.starts_with("not denied; and what it left could not be removed"), "{text}");
    assert_eq!(world.in_force().unwrap(), as_in_force(&first()));
    world.store.faults.set(Plan::Sound);
    world.programs.is_denying = true;
    world.load(&second()).unwrap();
    world.assert_clean();
}

#[test]
fn a_canary_that_is_not_denied_refuses_the_load() {
    let mut world = World::empty();
    world.programs.is_denying = false;
    assert_eq!(world.load(&first()).unwrap_err(), "not denied");
    assert_eq!(world.in_force(), None);
    world.assert_clean();
}

#[test]
fn a_map_that_forgets_is_found_out_before_the_flip() {
    let mut world = World::empty().loaded(&first()).with(Plan::Sound);
    world.store.is_forgetful = true;
    let text = world.load(&second()).unwrap_err();
    assert!(text.contains("CONTEXTS does not hold what was written"), "{text}");
    assert_eq!(world.in_force().unwrap(), as_in_force(&first()));
}

#[test]
fn a_context_keeps_its_generation_over_loads_and_a_number_that_changes_hands_gets_a_new_one() {
    let before = World::empty().loaded(&first());
    let after = before.loaded(&second());
    let generation = |world: &World, xid| world.store.states[&Xid(xid)].generation;
    assert_eq!(generation(&before, 5), generation(&after, 5));
    assert!(generation(&after, 7) > generation(&before, 7));
    assert!(generation(&after, 9) > generation(&before, 7));
    assert_ne!(generation(&after, 9), generation(&after, 7));
}

#[test]
fn a_context_that_went_and_comes_back_gets_a_new_generation() {
    let before = World::empty().loaded(&first());
    let generation = before.store.states[&Xid(7)].generation;
    let mut world = before.loaded(&wanted(&[(5, "web", Mode::Enforce)], &[Hook::TaskAlloc]));
    assert!(!world.store.states.contains_key(&Xid(7)));
    let again = world.compiled(&first(), NOW + u64::from(MAX_CONTEXTS));
    load(&mut world.store, &mut world.programs, &again, NOW).unwrap();
    assert!(world.store.states[&Xid(7)].generation > generation);
}

#[test]
fn a_state_that_was_lost_is_made_again_with_the_generation_of_the_rules_in_force() {
    let mut world = World::empty().loaded(&first());
    let generation = world.store.states.remove(&Xid(5)).unwrap().generation;
    let world = world.loaded(&second());
    assert_eq!(world.store.states[&Xid(5)].generation, generation);
}

#[test]
fn a_load_keeps_what_a_context_counted() {
    let mut world = World::empty().loaded(&first());
    world.store.states.get_mut(&Xid(5)).unwrap().suppressed = 17;
    assert_eq!(world.loaded(&second()).store.states[&Xid(5)].suppressed, 17);
}

#[test]
fn more_contexts_than_fit_are_refused_before_anything_is_written() {
    let names: Vec<String> = (0..=MAX_CONTEXTS).map(|number| format!("c{number}")).collect();
    let rows: Vec<_> = (2..).zip(&names).map(|(xid, name)| (xid, name.as_str(), Mode::Enforce)).collect();
    let mut world = World::empty();
    assert_eq!(
        world.load(&wanted(&rows, &[])).unwrap_err(),
        "4097 contexts are more than 4096, which is what fits"
    );
    assert!(world.store.rows.is_empty());
}

#[test]
fn a_row_can_be_added_and_removed_while_the_policy_stays() {
    let mut world = World::empty().loaded(&first());
    let before = world.store.rows.values().map(|rules| rules.generation).max().unwrap();
    let add = |rows: &mut Rows, _: &mut Networks, generation| {
        rows.insert(Xid::FIRST_DYNAMIC, ContextRules { generation, ..rules("dynamic", Mode::Enforce) });
    };
    change_rows(&mut world.store, &mut world.programs, add, NOW).unwrap();
    world.assert_clean();
    let info = world.store.infos[&world.store.epoch];
    assert_eq!(
        (info.contexts, info.digest, info.loaded_at),
        (3, first().info.digest, first().info.loaded_at)
    );
    assert!(world.store.states[&Xid::FIRST_DYNAMIC].generation > before);
    let remove = |rows: &mut Rows, _: &mut Networks, _| assert!(rows.remove(&Xid::FIRST_DYNAMIC).is_some());
    change_rows(&mut world.store, &mut world.programs, remove, NOW).unwrap();
    world.assert_clean();
    assert_eq!(world.in_force().unwrap().0, first().rows);
}

#[test]
fn wherever_an_unload_is_killed_everything_or_nothing_is_in_force() {
    let before = World::empty().loaded(&first());
    for at in 0.. {
        let mut world = before.with(Plan::KillAt(at));
        let outcome = unload(&mut world.store, &mut world.programs);
        let is_over = world.store.faults.operations() <= at;
        assert_eq!(outcome.is_ok(), is_over);
        let now = world.in_force();
        assert!(now.is_none() || now == Some(as_in_force(&first())), "killed at {at}");
        world.store.faults.set(Plan::Sound);
        unload(&mut world.store, &mut world.programs).unwrap();
        assert_eq!(world.in_force(), None);
        world.assert_clean();
        if is_over {
            break;
        }
    }
}
