//! `vs policy explain --list-acts`: the words that a question is made of.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::output::Output;
use crate::cli::{CommandResult, exit_code};
use crate::compile::act::{ACTS, FILE_KINDS, Operand};

pub(super) fn run(output: Output) -> CommandResult {
    output.answer(&ListAnswer::new(), print_list)?;
    Ok(exit_code::SUCCESS)
}

/// The vocabulary.
#[derive(Serialize, Debug)]
struct ListAnswer {
    acts: Vec<ActAnswer>,
    files: Vec<FileAnswer>,
}

/// One act.
#[derive(Serialize, Debug)]
struct ActAnswer {
    name: &'static str,
    hook: &'static str,
    /// The option that says what it is done to.
    option: Option<&'static str>,
    calls: &'static str,
}

/// One kind of file.
#[derive(Serialize, Debug)]
struct FileAnswer {
    name: &'static str,
    meaning: &'static str,
}

impl ListAnswer {
    fn new() -> Self {
        let acts = ACTS.iter().map(|act| {
            let option = match act.operand {
                Operand::Nothing => None,
                Operand::Process => Some("--target"),
                Operand::File => Some("--file"),
                Operand::Capability => Some("--capability"),
            };
            ActAnswer { name: act.name, hook: act.hook.name(), option, calls: act.calls }
        });
        let files = FILE_KINDS.iter().map(|kind| FileAnswer { name: kind.name, meaning: kind.meaning });
        Self { acts: acts.collect(), files: files.collect() }
    }
}

fn print_list(answer: &ListAnswer, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:21}  {:12}  {:21}  SYSTEM CALLS", "ACT", "NEEDS", "HOOK")?;
    for act in &answer.acts {
        let option = act.option.unwrap_or("-");
        writeln!(out, "{:21}  {option:12}  {:21}  {}", act.name, act.hook, act.calls)?;
    }
    writeln!(out, "\n{:12}  MEANING", "FILE")?;
    for file in &answer.files {
        writeln!(out, "{:12}  {}", file.name, file.meaning)?;
    }
    Ok(())
}
