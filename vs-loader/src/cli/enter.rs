//! `vs enter`: a shell, or another command, in a context that is running.

use std::ffi::OsString;

use anyhow::anyhow;
use clap::{Args, ValueHint};

use super::entry::{EntryOptions, before_the_command};
use super::ground::{Ground, require_root};
use super::{CommandResult, Failure, exit_code};
use crate::context::processes::{self, ProcessError};
use crate::context::registry::{self, Selector};
use crate::context::sealed;

/// The arguments of `vs enter`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The context.
    #[arg(value_name = "NAME")]
    context: String,
    #[command(flatten)]
    options: EntryOptions,
    /// The command and its arguments; by default $SHELL, or /bin/sh.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND",
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
    let mut ground = Ground::reach()?;
    let context = registry::find(&ground.store, &Selector::Name(arguments.context))?;
    let mut is_running = false;
    processes::for_each_member(&ground.store, |member| {
        is_running = is_running || context.has(&member.tag);
        Ok::<_, ProcessError>(())
    })?;
    if !is_running {
        let error = anyhow!(
            "the context {0} is not running; start it with `vs run --context {0} -- COMMAND`",
            context.name
        );
        return Err(Failure { code: exit_code::RUN_FAILED, error });
    }
    let mut command = arguments.command;
    if command.is_empty() {
        let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
        command.push(shell.unwrap_or_else(|| "/bin/sh".into()));
    }
    arguments.options.run(&mut ground, &context, command)
}
