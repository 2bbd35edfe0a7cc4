//! `vs policy`: what can be known of a policy without a kernel.

mod check;
mod diff;
mod explain;
mod network;
mod show;
mod vocabulary;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use serde::Serialize;

use super::CommandResult;
use super::output::Output;
use crate::compile::{Known, MapEntries, compile};
use crate::policy::{Place, Policy};

/// The subcommands of `vs policy`.
#[derive(Subcommand, Debug)]
pub(super) enum PolicyCommand {
    /// Check policy files and report everything that is wrong with them.
    ///
    /// Exits with 0 if they are one valid policy and with 3 if not. Needs neither root nor a kernel that enforces.
    #[command(after_help = "Example:\n  vs policy check /etc/vs/web.toml /etc/vs/db.toml")]
    Check(Files),
    /// Show what a policy comes to: the rules of every context, and the hooks that are attached for them.
    #[command(after_help = "Example:\n  vs policy show /etc/vs/policy.d")]
    Show(Files),
    /// Show what changes if the policy NEW is loaded while OLD is in force.
    ///
    /// What tightens comes first. What a load refuses while the context has processes is listed last.
    #[command(after_help = "Example:\n  vs policy diff /etc/vs/policy.d new-policy.toml")]
    Diff(diff::Arguments),
    /// Explain what the kernel answers if a process tries something, and why.
    ///
    /// The answer comes from the functions that the kernel's programs were compiled from.
    #[command(
        after_help = "Examples:\n  vs policy explain web.toml --actor web --act signal --target host\n  vs policy explain web.toml --actor web --act open-for-writing --file proc\n  vs policy explain web.toml --actor web --act use-capability --capability sys_admin\n  vs policy explain web.toml --actor web --act bind --address 0.0.0.0\n  vs policy explain --list-acts"
    )]
    Explain(explain::Arguments),
}

/// The files that are one policy.
#[derive(Args, Debug)]
pub(super) struct Files {
    /// Policy files, together one policy; `-` is standard input, a folder stands for the *.toml in it.
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
}

/// Runs the subcommand.
pub(super) fn run(command: PolicyCommand, output: Output) -> CommandResult {
    match command {
        PolicyCommand::Check(files) => check::run(&files.files, output),
        PolicyCommand::Show(files) => show::run(&files.files, output),
        PolicyCommand::Diff(arguments) => diff::run(&arguments, output),
        PolicyCommand::Explain(arguments) => explain::run(&arguments, output),
    }
}

/// What a policy comes to where nothing was ever loaded.
fn compile_first(policy: &Policy) -> anyhow::Result<MapEntries> {
    Ok(compile(policy, &Known::NOTHING)?)
}

/// A place in answers.
#[derive(Serialize, Debug)]
struct PlaceAnswer {
    file: String,
    line: usize,
    column: usize,
}

impl PlaceAnswer {
    fn of(place: &Place) -> Self {
        Self { file: place.file().to_owned(), line: place.line(), column: place.column() }
    }
}

/// "1 context", "2 contexts".
fn contexts_text(count: usize) -> String {
    format!("{count} context{}", if count == 1 { "" } else { "s" })
}

/// Columns of an answer in prose.
const WIDTH: usize = 100;

/// Writes `text` behind `lead`, broken at spaces into lines of at most [`WIDTH`] columns; what follows the first is indented as deep.
fn write_wrapped(out: &mut dyn Write, lead: &str, text: &str) -> io::Result<()> {
    let indent = lead.chars().count();
    let mut line = lead.to_owned();
    let mut width = indent;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > indent && width + length > WIDTH {
            writeln!(out, "{}", line.trim_end())?;
            line = " ".repeat(indent);
            width = indent;
        }
        line.push_str(word);
        line.push(' ');
        width += length + 1;
    }
    writeln!(out, "{}", line.trim_end())
}
