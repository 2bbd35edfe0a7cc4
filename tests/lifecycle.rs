//! A tag is inherited by every child, and one who enters becomes touchable for its context when it executes, not before and not never.

use anyhow::Result;
use vs_common::hook::Hook;
use vs_tests::actor::Actor;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{World, actor_command};

/// A fresh entry: what it executes is its context's, and so are its children and theirs.
pub(crate) fn run(world: &mut World, checks: &mut Checks, _only: Option<Hook>) -> Result<()> {
    for context in ["pidns-a", "hidepid-a", "plain-a"] {
        if checks.are_decided() {
            break;
        }
        let mut entered = Actor::start(actor_command(context, "entered"), "entered")?;
        // Its target is its child: the flag of one that is still entering would have been inherited.
        let answer = entered.order(&format!("op kill {}", entered.own_target))?;
        checks.check(answer.errno == 0, || {
            format!("{context}: an entered process signals its own child: {}", errno_name(answer.errno))
        });
        // What is ordered is done by a child of the actor: one without a tag would be the host.
        if context != "pidns-a" {
            let host = world.inhabitant("host")?.actor.target;
            let answer = entered.order(&format!("op kill {host}"))?;
            checks.check(answer.errno == libc::EPERM, || {
                format!("{context}: a child signals the host: {}", errno_name(answer.errno))
            });
        }
        let answer = entered.order("do bpf 0")?;
        checks.check(answer.errno == libc::EPERM, || {
            format!("{context}: a child calls bpf(2): {}", errno_name(answer.errno))
        });
    }
    Ok(())
}
