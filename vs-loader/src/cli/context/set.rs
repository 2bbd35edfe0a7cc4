//! `vs context set`: what a context may do from now on, until the next load.

use std::io::{self, Write};

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use vs_common::capability::CapabilitySet;

use super::dynamic::{open, record, same};
use crate::audit::Announcement;
use crate::audit::control::{Caller, CapabilityChange};
use crate::cli::ground::audit_name;
use crate::cli::output::Output;
use crate::cli::{CommandResult, Failure, exit_code};
use crate::context::registry::{self, Context, Selector};
use crate::lock::{Lock, PATIENCE};
use crate::maps::capabilities::set_capabilities;
use crate::policy::{capabilities_text, capability_named, capability_names};

/// The arguments of `vs context set`.
#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// The context.
    #[arg(value_name = "NAME")]
    name: String,
    /// Take a capability away (`-net_raw`) or give one back (`+net_raw`), of every process of the context, at once.
    ///
    /// May be repeated, or be a list with commas. No more than `capabilities_max` says, which is what processes were given when they
    /// entered: for more, change the policy, load it and restart the context.
    #[arg(long = "capability", value_name = "+NAME|-NAME", required = true, value_delimiter = ',',
        allow_hyphen_values = true, value_parser = parse_change)]
    capabilities: Vec<Change>,
}

/// One capability that is given or taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Change {
    is_given: bool,
    number: u32,
}

fn parse_change(text: &str) -> Result<Change, String> {
    let (is_given, name) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(name), _) => (true, name),
        (_, Some(name)) => (false, name),
        _ => return Err("write + before what is given and - before what is taken, such as -net_raw".into()),
    };
    let number = capability_named(name).ok_or("not a capability; give a name such as net_raw")?;
    Ok(Change { is_given, number })
}

/// What the context may do now.
#[derive(Serialize, Debug)]
struct SetAnswer {
    name: String,
    xid: u32,
    capabilities: Vec<String>,
    capabilities_max: Vec<String>,
    #[serde(skip)]
    from: CapabilitySet,
    #[serde(skip)]
    to: CapabilitySet,
}

/// Changes a context.
pub(super) fn run(arguments: &Arguments, output: Output) -> CommandResult {
    let _lock = Lock::exclusive(PATIENCE)?;
    let mut session = open()?;
    let context = registry::find(&session.store, &Selector::Name(arguments.name.clone()))?;
    same(&session.store, &context)?;
    let to = wanted(&context, &arguments.capabilities)?;
    set_capabilities(&mut session.store, context.xid, to).map_err(anyhow::Error::from)?;
    record(Announcement::Capabilities(CapabilityChange::new(
        audit_name(&context),
        &capabilities_text(context.capabilities),
        &capabilities_text(to),
        Caller::current(),
    )));
    let answer = SetAnswer {
        name: context.name.clone(),
        xid: context.xid.0,
        capabilities: capability_names(to),
        capabilities_max: capability_names(context.capabilities_max),
        from: context.capabilities,
        to,
    };
    output.answer(&answer, print)?;
    Ok(exit_code::SUCCESS)
}

/// What the context is to have after these changes, one after the other.
fn wanted(context: &Context, changes: &[Change]) -> Result<CapabilitySet, Failure> {
    let refuse = |text: String| Failure { code: exit_code::FAILURE, error: anyhow!(text) };
    if context.is_network_only {
        return Err(refuse(format!(
            "the context {} confines addresses only; its processes have the capabilities that the host gave them",
            context.name
        )));
    }
    let mut set = context.capabilities;
    for change in changes {
        let bit = 1 << change.number;
        if !change.is_given {
            set &= !bit;
        } else if context.capabilities_max & bit != 0 {
            set |= bit;
        } else {
            let name = capability_names(bit).concat();
            return Err(refuse(format!(
                "the context {0} cannot be given {name} without a restart: it is not in its capabilities_max ({1}), and its processes gave it up when they entered; add it there, load the policy, and restart the context (vs kill --all {0})",
                context.name,
                capabilities_text(context.capabilities_max)
            )));
        }
    }
    Ok(set)
}

fn print(answer: &SetAnswer, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{}: capabilities {} -> {}, now and until the next vs load, which follows its files",
        answer.name,
        capabilities_text(answer.from),
        capabilities_text(answer.to)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_a_sign_and_a_name() {
        assert_eq!(parse_change("-net_raw"), Ok(Change { is_given: false, number: 13 }));
        assert_eq!(parse_change("+CAP_CHOWN"), Ok(Change { is_given: true, number: 0 }));
        for wrong in ["net_raw", "", "+", "-root", "+21"] {
            assert!(parse_change(wrong).is_err(), "{wrong}");
        }
    }
}
