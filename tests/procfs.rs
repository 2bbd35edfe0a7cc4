//! Which processes are seen in `/proc`, by everybody, in each proc mode.

use anyhow::Result;
use vs_common::hook::Hook;
use vs_tests::audit::Expected;
use vs_tests::path_operation;
use vs_tests::relation::Party;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{Proc, World};

/// What must come of an operation on somebody else's `/proc/PID`: errno and, where a hook of ours says so, which.
fn foreign(name: &str, actor: Party, proc: Proc) -> (i32, Option<Hook>) {
    match (actor, proc) {
        (Party::Host, _) => (0, None),
        // The spectator sees all: `mem` wants PTRACE_MODE_ATTACH, and what is written would change something.
        (Party::Spectator, _) => match name {
            "open-mem" | "write-oom-score-adj" | "write-comm" => (libc::EACCES, Some(Hook::FileOpen)),
            _ => (0, None),
        },
        // There is no such number, or `hidepid=ptraceable` makes as if.
        (Party::Guest(_), Proc::Pidns | Proc::Hidepid) => (libc::ENOENT, None),
        (Party::Guest(_), _) => match name {
            // No hook on the last component: published.
            "access" | "chdir" | "o-path" | "listed" => (0, None),
            // The kernel asks ptrace before it follows such a link, and says EACCES.
            "follow-exe" | "follow-root" => (libc::EACCES, Some(Hook::PtraceAccessCheck)),
            "stat" | "stat-status" | "lstat-exe" => (libc::ENOENT, Some(Hook::InodeGetattr)),
            "readlink-exe" | "readlink-cwd" => (libc::ENOENT, Some(Hook::InodeReadlink)),
            _ => (libc::ENOENT, Some(Hook::FileOpen)),
        },
    }
}

/// Tries every operation, or those that one hook denies.
pub(crate) fn run(world: &mut World, checks: &mut Checks, only: Option<Hook>) -> Result<()> {
    let mut records = Vec::new();
    for operation in path_operation::ALL {
        for actor in 0..world.inhabitants.len() {
            for target in 0..world.inhabitants.len() {
                let number = world.inhabitants[actor].actor.number_of(&world.inhabitants[target].actor);
                let (target_party, target_name) =
                    (world.inhabitants[target].party, world.inhabitants[target].actor.name.clone());
                let actor = &mut world.inhabitants[actor];
                let is_own = actor.party == target_party;
                let (errno, hook) =
                    if is_own { (0, None) } else { foreign(operation.name, actor.party, actor.proc) };
                // The tag of a /proc inode decides what is one's own, too.
                let is_touched = only == Some(Hook::TaskToInode) && is_own;
                if only.is_some() && only != hook && !is_touched {
                    continue;
                }
                let answer = actor.actor.order(&format!("path {} {number}", operation.name))?;
                checks.check(answer.errno == errno, || {
                    format!(
                        "{}: {} on {target_name}: {}, expected {}",
                        operation.name,
                        actor.actor.name,
                        errno_name(answer.errno),
                        errno_name(errno)
                    )
                });
                if checks.are_decided() {
                    return Ok(());
                }
                if let Some(hook) = hook {
                    records.push(Expected {
                        actor: actor.party.xid(),
                        pid: Some(answer.pid),
                        target: Some(target_party.xid()),
                        hook: hook.name(),
                        errno: if hook == Hook::PtraceAccessCheck { "EPERM" } else { errno_name(errno) },
                        mode: "enforce",
                    });
                }
            }
        }
    }
    for missing in world.audit.missing(&records)? {
        checks.check(false, || format!("no audit record: {missing:?}"));
    }
    checks.held += u32::try_from(records.len()).unwrap_or(0);
    Ok(())
}
