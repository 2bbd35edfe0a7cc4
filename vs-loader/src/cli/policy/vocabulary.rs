//! `vs policy explain --list-acts`: the words that a question is made of.

use std::io::{self, Write};

use serde::Serialize;
use vs_common::hook::Hook;

use crate::cli::output::Output;
use crate::cli::{CommandResult, exit_code};
use crate::compile::act::{ACTS, FILE_KINDS, Operand, SOCKET_KINDS};

pub(super) fn run(output: Output) -> CommandResult {
    output.answer(&ListAnswer::new(), print_list)?;
    Ok(exit_code::SUCCESS)
}

/// The vocabulary.
#[derive(Serialize, Debug)]
struct ListAnswer {
    acts: Vec<ActAnswer>,
    files: Vec<KindAnswer>,
    sockets: Vec<KindAnswer>,
}

/// One act.
#[derive(Serialize, Debug)]
struct ActAnswer {
    name: &'static str,
    hook: &'static str,
    /// The hook that is asked instead if the socket is one of IPv6.
    hook6: Option<&'static str>,
    /// The option that says what it is done to.
    option: Option<&'static str>,
    calls: &'static str,
}

/// One kind of file or socket.
#[derive(Serialize, Debug)]
struct KindAnswer {
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
                Operand::Socket => Some("--socket"),
                Operand::Address => Some("--address"),
            };
            let hook6 = act.hook6.map(Hook::name);
            ActAnswer { name: act.name, hook: act.hook.name(), hook6, option, calls: act.calls }
        });
        let files = FILE_KINDS.iter().map(|kind| KindAnswer { name: kind.name, meaning: kind.meaning });
        let sockets = SOCKET_KINDS.iter().map(|kind| KindAnswer { name: kind.name, meaning: kind.meaning });
        Self { acts: acts.collect(), files: files.collect(), sockets: sockets.collect() }
    }
}

fn print_list(answer: &ListAnswer, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:21}  {:12}  {:21}  SYSTEM CALLS", "ACT", "NEEDS", "HOOK")?;
    for act in &answer.acts {
        let option = act.option.unwrap_or("-");
        let hooks = act.hook6.map_or_else(|| act.hook.to_owned(), |hook6| format!("{}, {hook6}", act.hook));
        writeln!(out, "{:21}  {option:12}  {hooks:21}  {}", act.name, act.calls)?;
    }
    writeln!(out, "\n{:12}  MEANING", "FILE")?;
    for file in &answer.files {
        writeln!(out, "{:12}  {}", file.name, file.meaning)?;
    }
    writeln!(out, "\n{:17}  MEANING", "SOCKET")?;
    for socket in &answer.sockets {
        writeln!(out, "{:17}  {}", socket.name, socket.meaning)?;
    }
    Ok(())
}
