//! `vs policy explain`: what the kernel answers to an act, and why.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum, ValueHint};

use super::{compile_first, vocabulary, write_wrapped};
use crate::cli::output::Output;
use crate::cli::{CommandResult, Failure, exit_code, policy_files};
use crate::compile::act::{ACTS, FILE_KINDS, SOCKET_KINDS, capability_number};
use crate::compile::explain::{Question, QuestionError, Standing, explain};
use crate::policy::PortRange;

mod answer;
mod text;

/// The question.
#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// Policy files, together one policy; `-` is standard input, a folder stands for the *.toml in it.
    #[arg(required_unless_present = "list_acts", value_name = "FILE", value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// Who acts: host, spectator, a context's name, or unknown for a process whose context cannot be read.
    #[arg(long, required_unless_present = "list_acts", value_name = "NAME")]
    actor: Option<String>,
    /// What it tries; --list-acts lists every act.
    #[arg(long, required_unless_present = "list_acts", hide_possible_values = true,
          value_parser = PossibleValuesParser::new(ACTS.iter().map(|act| act.name)))]
    act: Option<String>,
    /// Whose process it acts on, or whose /proc/PID a file is: words as for --actor.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// How the target stands to its context.
    #[arg(long, value_enum, default_value_t = StandingArgument::Member)]
    standing: StandingArgument,
    /// The kind of file it acts on; --list-acts lists every kind.
    #[arg(long, value_name = "KIND", hide_possible_values = true,
          value_parser = PossibleValuesParser::new(FILE_KINDS.iter().map(|kind| kind.name)))]
    file: Option<String>,
    /// Where an ordinary file lies that it acts on, in the host's tree, in place of its kind: by the policy's directories, without a look at the
    /// machine.
    #[arg(long, value_name = "PATH", conflicts_with = "file")]
    path: Option<String>,
    /// The capability it uses: a name such as `sys_admin`, or a number.
    #[arg(long, value_name = "NAME", value_parser = parse_capability)]
    capability: Option<u32>,
    /// The kind of socket it makes; --list-acts lists every kind.
    #[arg(long, value_name = "KIND", hide_possible_values = true,
          value_parser = PossibleValuesParser::new(SOCKET_KINDS.iter().map(|kind| kind.name)))]
    socket: Option<String>,
    /// The address that it binds a socket to, or sends to: `192.0.2.10`, `2001:db8::10`, or `0.0.0.0` and `::` for any.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// The protocol and port: `tcp/80`, `udp/53`, or `tcp/0` for one that the kernel chooses. Without it ports are not looked at.
    #[arg(long, value_name = "PROTOCOL/PORT", value_parser = parse_port)]
    port: Option<PortRange>,
    /// The socket that is bound is for IPv6 only; else one of IPv6 is for IPv4 as well.
    #[arg(long)]
    v6_only: bool,
    /// List every act, every kind of file and every kind of socket instead.
    #[arg(long, exclusive = true)]
    list_acts: bool,
}

/// How a target stands to its context, on the command line.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum StandingArgument {
    /// It runs in it.
    Member,
    /// It has its tag and has not yet executed its program.
    Entering,
    /// It is left from an earlier use of the xid.
    Stale,
}

impl From<StandingArgument> for Standing {
    fn from(argument: StandingArgument) -> Self {
        match argument {
            StandingArgument::Member => Self::Member,
            StandingArgument::Entering => Self::Entering,
            StandingArgument::Stale => Self::Stale,
        }
    }
}

fn parse_capability(text: &str) -> Result<u32, String> {
    capability_number(text)
        .ok_or_else(|| "not a capability; give a name such as sys_admin, or a number".to_owned())
}

fn parse_port(text: &str) -> Result<PortRange, String> {
    let range = text.parse::<PortRange>().ok().filter(|range| range.ports.start() == range.ports.end());
    range.ok_or_else(|| "not a port; give a protocol and one port, such as tcp/80".to_owned())
}

pub(super) fn run(arguments: &Arguments, output: Output) -> CommandResult {
    if arguments.list_acts {
        return vocabulary::run(output);
    }
    let (Some(actor), Some(act)) = (&arguments.actor, &arguments.act) else {
        return Err(Failure { code: exit_code::USAGE, error: anyhow!("give --actor and --act") });
    };
    let question = Question {
        actor: actor.clone(),
        act: act.clone(),
        target: arguments.target.clone(),
        standing: arguments.standing.into(),
        file: arguments.file.clone(),
        path: arguments.path.clone(),
        capability: arguments.capability,
        socket: arguments.socket.clone(),
        address: arguments.address,
        is_v6_only: arguments.v6_only,
        port: arguments.port.clone(),
    };
    let policy = policy_files::load(&arguments.files)?;
    let explanation = explain(&policy, &compile_first(&policy)?, &question)
        .map_err(|error| Failure::new(code_of(&error), error))?;
    output.answer(&answer::answer(&explanation), |answer, out| {
        for (part, text) in &answer.text {
            let indent = if part.is_empty() { String::new() } else { format!("  {part:10}  ") };
            write_wrapped(out, &indent, text)?;
        }
        Ok(())
    })?;
    Ok(exit_code::SUCCESS)
}

/// The exit code of a question that has no answer.
fn code_of(error: &QuestionError) -> u8 {
    match error {
        QuestionError::NoSuchContext { .. } | QuestionError::NoSpectator => exit_code::NO_SUCH_CONTEXT,
        QuestionError::NoSuchAct(_)
        | QuestionError::NoSuchFile(_)
        | QuestionError::NoSuchSocket(_)
        | QuestionError::Missing { .. }
        | QuestionError::Superfluous { .. } => exit_code::USAGE,
    }
}
