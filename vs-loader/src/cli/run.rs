//! `vs run`: a command in a context, which is started if it is not running.

use std::ffi::OsString;

use clap::{ArgGroup, Args, ValueHint};
use vs_common::id::Xid;

use super::context::dynamic::{self, Kind};
use super::entry::{EntryOptions, before_the_command};
use super::ground::{Ground, require_root};
use super::{CommandResult, Failure};
use crate::context::registry::{self, Context, Selector};
use crate::context::sealed;

/// The arguments of `vs run`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("where").required(true).multiple(false))]
pub(super) struct Arguments {
    /// In the context of this name.
    #[arg(long, group = "where", value_name = "NAME")]
    context: Option<String>,
    /// In the context with this number.
    #[arg(long, group = "where", value_name = "XID")]
    xid: Option<u32>,
    /// As the spectator, who sees every context and changes nothing.
    #[arg(long, group = "where")]
    spectator: bool,
    /// In a new context that no policy names, and which is removed when its last process has ended.
    #[arg(long, group = "where")]
    new: bool,
    #[command(flatten)]
    kind: Kind,
    #[command(flatten)]
    options: EntryOptions,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND",
        value_hint = ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

/// Runs the command, and passes its status on.
pub(super) fn run(arguments: Arguments) -> CommandResult {
    before_the_command(try_run(arguments))
}

fn try_run(arguments: Arguments) -> CommandResult {
    require_root()?;
    sealed::run_from_sealed_memory()?;
    if !arguments.new {
        arguments.kind.refuse("--new")?;
    }
    let mut ground = Ground::reach()?;
    let context = arguments.context(&ground)?;
    let result = arguments.options.run(&mut ground, &context, arguments.command);
    if arguments.new {
        dynamic::remove_if_empty(&ground.state, &context)?;
    }
    result
}

impl Arguments {
    fn context(&self, ground: &Ground) -> Result<Context, Failure> {
        let selector = match (&self.context, self.xid) {
            (Some(name), _) => Selector::Name(name.clone()),
            (None, Some(xid)) => Selector::Xid(Xid(xid)),
            (None, None) if self.spectator => Selector::Spectator,
            (None, None) => return dynamic::create(None, &self.kind),
        };
        Ok(registry::find(&ground.store, &selector)?)
    }
}
