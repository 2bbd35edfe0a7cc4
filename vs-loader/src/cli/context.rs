//! `vs context`: the contexts that there are, and those that no policy names.

pub(super) mod dynamic;
mod list;
pub(super) mod network;
mod set;

use clap::{Args, Subcommand};

use super::ground::{Ground, require_root};
use super::output::Output;
use super::{CommandResult, exit_code};
use crate::context::registry::{self, Selector};
use dynamic::Kind;

/// The subcommands of `vs context`.
#[derive(Subcommand, Debug)]
pub(super) enum ContextCommand {
    /// Make a context that no policy file names. It stays until it is removed, through every load.
    #[command(after_help = "Example:\n  vs context create try --proc hidepid --mode observe")]
    Create(Create),
    /// List the contexts, with how many processes each has.
    #[command(after_help = "Example:\n  vs context list --json")]
    List,
    /// Show one context and its processes.
    #[command(after_help = "Example:\n  vs context show web")]
    Show(Name),
    /// Change what the processes of a context may do, at once and until the next load.
    #[command(after_help = "Example:\n  vs context set web --capability -net_raw")]
    Set(set::Arguments),
    /// Remove a context that no policy file names.
    ///
    /// Exits with 10 if it has processes, unless --stop ends them.
    #[command(after_help = "Example:\n  vs context remove --stop try")]
    Remove(Remove),
}

/// The arguments of `vs context create`.
#[derive(Args, Debug)]
pub(super) struct Create {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    kind: Kind,
}

/// The name of a context.
#[derive(Args, Debug)]
pub(super) struct Name {
    /// The context.
    #[arg(value_name = "NAME")]
    name: String,
}

/// The arguments of `vs context remove`.
#[derive(Args, Debug)]
pub(super) struct Remove {
    /// The context.
    #[arg(value_name = "NAME")]
    name: String,
    /// End its processes first.
    #[arg(long)]
    stop: bool,
}

/// Runs the subcommand.
pub(super) fn run(command: ContextCommand, output: Output) -> CommandResult {
    require_root()?;
    match command {
        ContextCommand::Create(arguments) => {
            let context = dynamic::create(Some(&arguments.name), &arguments.kind)?;
            output.answer(&list::ContextAnswer::of(&context), list::print_created)?;
        }
        ContextCommand::List => list::list(&Ground::reach()?, output)?,
        ContextCommand::Show(arguments) => {
            let ground = Ground::reach()?;
            let context = registry::find(&ground.store, &Selector::Name(arguments.name))?;
            list::show(&ground, &context, output)?;
        }
        ContextCommand::Set(arguments) => return set::run(&arguments, output),
        ContextCommand::Remove(arguments) => {
            let ground = Ground::reach()?;
            let context = registry::find(&ground.store, &Selector::Name(arguments.name))?;
            dynamic::remove(&ground.state, &context, arguments.stop)?;
        }
    }
    Ok(exit_code::SUCCESS)
}
