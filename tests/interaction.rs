//! The relation matrix: every operation on a process, by everybody on everybody, against what the product promises.

use anyhow::Result;
use vs_common::hook::Hook;
use vs_tests::audit::Expected;
use vs_tests::operation::{self, Operation};
use vs_tests::relation::expected;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{Proc, World};

/// Tries every operation, or those that one hook denies.
pub(crate) fn run(world: &mut World, checks: &mut Checks, only: Option<Hook>) -> Result<()> {
    run_those(world, checks, |operation| {
        only.is_none() || operation.hook == only || operation.spectator_hook == only
    })
}

/// Tries some operations, by everybody on everybody.
pub(crate) fn run_those(
    world: &mut World,
    checks: &mut Checks,
    is_wanted: impl Fn(&Operation) -> bool,
) -> Result<()> {
    let mut records = Vec::new();
    for operation in operation::ALL.iter().filter(|operation| is_wanted(operation)) {
        for actor in 0..world.inhabitants.len() {
            for target in 0..world.inhabitants.len() {
                try_one(world, checks, &mut records, operation, actor, target)?;
                if checks.are_decided() {
                    return Ok(());
                }
            }
        }
    }
    for missing in world.audit.missing(&records)? {
        checks.check(false, || format!("no audit record: {missing:?}"));
    }
    checks.held += u32::try_from(records.len()).unwrap_or(0);
    for inhabitant in &world.inhabitants {
        let is_alive = std::path::Path::new(&format!("/proc/{}", inhabitant.actor.target)).exists();
        checks.check(is_alive, || format!("the target of {} is gone", inhabitant.actor.name));
    }
    Ok(())
}

fn try_one(
    world: &mut World,
    checks: &mut Checks,
    records: &mut Vec<Expected>,
    operation: &Operation,
    actor: usize,
    target: usize,
) -> Result<()> {
    let number = world.inhabitants[actor].actor.number_of(&world.inhabitants[target].actor);
    let (target_party, target_name) =
        (world.inhabitants[target].party, world.inhabitants[target].actor.name.clone());
    let actor = &mut world.inhabitants[actor];
    let is_in_namespace = actor.proc == Proc::Pidns;
    let wanted = expected(operation, actor.party, target_party, is_in_namespace);
    let answer = actor.actor.order(&format!("op {} {number}", operation.name))?;
    checks.check(wanted.errnos.contains(&answer.errno), || {
        format!(
            "{}: {} on {target_name}: {}, expected {}",
            operation.name,
            actor.actor.name,
            errno_name(answer.errno),
            wanted.errnos.iter().map(|errno| errno_name(*errno)).collect::<Vec<_>>().join(" or ")
        )
    });
    if let Some(hook) = wanted.denied_by {
        records.push(Expected {
            actor: actor.party.xid(),
            pid: (!is_in_namespace).then_some(answer.pid),
            target: Some(target_party.xid()),
            hook: hook.name(),
            errno: "EPERM",
            mode: "enforce",
        });
    }
    Ok(())
}
