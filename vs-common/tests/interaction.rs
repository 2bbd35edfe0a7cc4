//! Who may act on whom: every cell of the table in `decide_interaction`'s documentation, over every kind of tag that can meet.

use proptest::prelude::*;
use vs_common::context::{
    Access, Identity, Tag, decide_fork, decide_host_only, decide_interaction, lifecycle,
};
use vs_common::id::{Generation, Xid};
use vs_common::verdict::{Errno, Reason, Verdict};

const ALLOW: Verdict = Verdict::Allow;

const fn eperm(reason: Reason) -> Verdict {
    Verdict::Deny(Errno::Eperm, reason)
}

/// Rows of the table.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Actor {
    Host,
    Spectator,
    Guest,
    Unknown,
}

/// Columns of the table.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Target {
    /// Same xid, same generation, running.
    Own,
    /// Same xid, same generation, before its exec.
    Entering,
    /// Same xid, another generation.
    Stale,
    /// Another xid.
    Foreign,
    Host,
    Unknown,
}

/// The table, written down cell by cell: reading, changing.
const TABLE: [(Actor, Target, Verdict, Verdict); 24] = [
    (Actor::Host, Target::Own, ALLOW, ALLOW),
    (Actor::Host, Target::Entering, ALLOW, ALLOW),
    (Actor::Host, Target::Stale, ALLOW, ALLOW),
    (Actor::Host, Target::Foreign, ALLOW, ALLOW),
    (Actor::Host, Target::Host, ALLOW, ALLOW),
    (Actor::Host, Target::Unknown, ALLOW, ALLOW),
    (Actor::Spectator, Target::Own, ALLOW, ALLOW),
    (Actor::Spectator, Target::Entering, ALLOW, eperm(Reason::SpectatorChange)),
    (Actor::Spectator, Target::Stale, ALLOW, eperm(Reason::SpectatorChange)),
    (Actor::Spectator, Target::Foreign, ALLOW, eperm(Reason::SpectatorChange)),
    (Actor::Spectator, Target::Host, ALLOW, eperm(Reason::SpectatorChange)),
    (Actor::Spectator, Target::Unknown, ALLOW, eperm(Reason::SpectatorChange)),
    (Actor::Guest, Target::Own, ALLOW, ALLOW),
    (Actor::Guest, Target::Entering, eperm(Reason::EnteringTarget), eperm(Reason::EnteringTarget)),
    (Actor::Guest, Target::Stale, eperm(Reason::StaleTarget), eperm(Reason::StaleTarget)),
    (Actor::Guest, Target::Foreign, eperm(Reason::ForeignTarget), eperm(Reason::ForeignTarget)),
    (Actor::Guest, Target::Host, eperm(Reason::HostTarget), eperm(Reason::HostTarget)),
    (Actor::Guest, Target::Unknown, eperm(Reason::UnknownTarget), eperm(Reason::UnknownTarget)),
    (Actor::Unknown, Target::Own, eperm(Reason::UnknownActor), eperm(Reason::UnknownActor)),
    (Actor::Unknown, Target::Entering, eperm(Reason::UnknownActor), eperm(Reason::UnknownActor)),
    (Actor::Unknown, Target::Stale, eperm(Reason::UnknownActor), eperm(Reason::UnknownActor)),
    (Actor::Unknown, Target::Foreign, eperm(Reason::UnknownActor), eperm(Reason::UnknownActor)),
    (Actor::Unknown, Target::Host, eperm(Reason::UnknownActor), eperm(Reason::UnknownActor)),
    (Actor::Unknown, Target::Unknown, eperm(Reason::UnknownActor), eperm(Reason::UnknownActor)),
];

/// Every identity that tells two branches apart: all kinds of xid with their bounds, two generations, every life.
fn identities() -> Vec<Identity> {
    let xids = [1, 2, 3, 49_151, 49_152, 65_535, Xid::CANARY.0, u32::MAX];
    let mut identities = vec![Identity::Host, Identity::Unknown];
    for xid in xids {
        for generation in [1, 2, u64::MAX] {
            for lifecycle in
                [0, lifecycle::ENTERING, lifecycle::PROCESS, lifecycle::ENTERING | lifecycle::PROCESS]
            {
                let generation = Generation(generation);
                identities.push(Identity::Member(Tag { xid: Xid(xid), lifecycle, generation }));
            }
        }
    }
    identities
}

fn row(actor: Identity) -> Actor {
    match actor {
        Identity::Host => Actor::Host,
        Identity::Unknown => Actor::Unknown,
        Identity::Member(tag) if tag.xid.0 == 1 => Actor::Spectator,
        Identity::Member(_) => Actor::Guest,
    }
}

fn column(actor: Identity, target: Identity) -> Target {
    match (actor, target) {
        (_, Identity::Host) => Target::Host,
        (_, Identity::Unknown) => Target::Unknown,
        (Identity::Member(actor), Identity::Member(target)) => {
            match (actor.xid.0 == target.xid.0, actor.generation.0 == target.generation.0) {
                (false, _) => Target::Foreign,
                (true, false) => Target::Stale,
                (true, true) if target.lifecycle & 1 == 1 => Target::Entering,
                (true, true) => Target::Own,
            }
        }
        (Identity::Host | Identity::Unknown, Identity::Member(_)) => Target::Foreign,
    }
}

#[test]
fn every_pair_of_identities_is_decided_as_the_table_says() {
    let mut met = vec![0; TABLE.len()];
    for actor in identities() {
        for target in identities() {
            let (row, column) = (row(actor), column(actor, target));
            let cell = TABLE.iter().position(|cell| cell.0 == row && cell.1 == column).unwrap();
            met[cell] += 1;
            let (.., read, change) = TABLE[cell];
            assert_eq!(decide_interaction(actor, target, Access::Read), read, "{actor:?} reads {target:?}");
            assert_eq!(
                decide_interaction(actor, target, Access::Change),
                change,
                "{actor:?} changes {target:?}"
            );
        }
    }
    // Cells of a relation to an own context do not exist for who has none.
    for (cell, count) in TABLE.iter().zip(met) {
        let has_context = matches!(cell.0, Actor::Spectator | Actor::Guest);
        let is_relative = matches!(cell.1, Target::Own | Target::Entering | Target::Stale);
        assert_eq!(count > 0, has_context || !is_relative, "{cell:?} was met {count} times");
    }
}

/// A tag of xid 0 is never built; one that comes from outside must not take the host's rights from it.
#[test]
fn a_tag_of_the_host_is_the_host() {
    let host = Identity::Member(Tag { xid: Xid::HOST, lifecycle: 0, generation: Generation(9) });
    for target in identities() {
        assert_eq!(decide_interaction(host, target, Access::Change), ALLOW, "{target:?}");
    }
}

#[test]
fn what_is_the_hosts_alone_is_no_members_whatever_it_is() {
    for actor in identities() {
        for reason in Reason::ALL {
            let expected = match actor {
                Identity::Host => ALLOW,
                Identity::Member(_) => eperm(reason),
                Identity::Unknown => eperm(Reason::UnknownActor),
            };
            assert_eq!(decide_host_only(actor, reason), expected, "{actor:?}");
        }
    }
}

#[test]
fn a_dying_context_does_not_fork_and_no_tag_means_no_child() {
    for actor in identities() {
        let (living, dying) = match actor {
            Identity::Host => (ALLOW, ALLOW),
            Identity::Member(_) => (ALLOW, eperm(Reason::Dying)),
            Identity::Unknown => {
                let denied = Verdict::Deny(Errno::Enomem, Reason::UnknownActor);
                (denied, denied)
            }
        };
        assert_eq!(decide_fork(actor, false), living, "{actor:?}");
        assert_eq!(decide_fork(actor, true), dying, "{actor:?}");
    }
}

/// Any member but one of xid 0.
fn member() -> impl Strategy<Value = Tag> {
    // Small numbers, so that members meet, and any number at all.
    let xid = prop_oneof![1u32..4, 1..=u32::MAX];
    let generation = prop_oneof![0u64..3, any::<u64>()];
    (xid, any::<u32>(), generation).prop_map(|(xid, lifecycle, generation)| Tag {
        xid: Xid(xid),
        lifecycle,
        generation: Generation(generation),
    })
}

/// A member of a guest context, of few of them so that two meet.
fn guest() -> impl Strategy<Value = Tag> {
    (2u32..5, member()).prop_map(|(xid, tag)| Tag { xid: Xid(xid), ..tag })
}

fn identity() -> impl Strategy<Value = Identity> {
    prop_oneof![Just(Identity::Host), Just(Identity::Unknown), member().prop_map(Identity::Member)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_may_change_may_read(actor in identity(), target in identity()) {
        if decide_interaction(actor, target, Access::Change) == ALLOW {
            prop_assert_eq!(decide_interaction(actor, target, Access::Read), ALLOW);
        }
    }

    /// A hook that finds a target open to the actor asks no further.
    #[test]
    fn whoever_is_open_to_another_may_be_changed_by_it(actor in identity(), target in identity()) {
        let (Identity::Member(actor_tag), Identity::Member(target_tag)) = (actor, target) else { return Ok(()) };
        let is_open = target_tag.xid == actor_tag.xid
            && target_tag.generation == actor_tag.generation
            && target_tag.lifecycle & lifecycle::ENTERING == 0;
        prop_assert_eq!(target_tag.is_open_to(&actor_tag), is_open);
        if is_open {
            prop_assert_eq!(decide_interaction(actor, target, Access::Change), ALLOW);
        }
    }

    #[test]
    fn the_host_is_never_denied_and_an_unknown_actor_always(target in identity()) {
        for access in [Access::Read, Access::Change] {
            prop_assert_eq!(decide_interaction(Identity::Host, target, access), ALLOW);
            prop_assert_ne!(decide_interaction(Identity::Unknown, target, access), ALLOW);
        }
    }

    /// ESRCH or anything else from `task_kill` hangs or confuses the kernel.
    #[test]
    fn a_denied_interaction_is_eperm(actor in identity(), target in identity()) {
        for access in [Access::Read, Access::Change] {
            if let Verdict::Deny(errno, _) = decide_interaction(actor, target, access) {
                prop_assert_eq!(errno, Errno::Eperm);
            }
        }
    }

    #[test]
    fn guests_meet_only_within_one_use_of_one_context(a in guest(), b in guest()) {
        let may = |actor, target| decide_interaction(Identity::Member(actor), Identity::Member(target), Access::Change) == ALLOW;
        if may(a, b) {
            prop_assert_eq!((a.xid, a.generation), (b.xid, b.generation));
            prop_assert_eq!(b.lifecycle & lifecycle::ENTERING, 0);
        }
        // Between two that run, it goes both ways or neither.
        let running = |tag: Tag| Tag { lifecycle: tag.lifecycle & !lifecycle::ENTERING, ..tag };
        prop_assert_eq!(may(running(a), running(b)), may(running(b), running(a)));
        // To be entering never lets anybody do more.
        let entering = |tag: Tag| Tag { lifecycle: tag.lifecycle | lifecycle::ENTERING, ..tag };
        prop_assert!(!may(a, entering(b)));
        prop_assert_eq!(may(entering(a), b), may(running(a), b));
    }

    #[test]
    fn the_spectator_reads_all_and_changes_its_own(spectator in member(), target in identity()) {
        let spectator = Tag { xid: Xid::SPECTATOR, ..spectator };
        prop_assert_eq!(decide_interaction(Identity::Member(spectator), target, Access::Read), ALLOW);
        let is_own = matches!(target, Identity::Member(tag)
            if (tag.xid, tag.generation) == (spectator.xid, spectator.generation) && tag.lifecycle & 1 == 0);
        let may_change = decide_interaction(Identity::Member(spectator), target, Access::Change) == ALLOW;
        prop_assert_eq!(may_change, is_own);
    }
}
