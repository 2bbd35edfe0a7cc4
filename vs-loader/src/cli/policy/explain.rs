//! `vs policy explain`: what the kernel answers to an act, and why.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum, ValueHint};
use serde::Serialize;
use vs_common::policy_entry::Mode;
use vs_common::verdict::{Errno, Reason, Verdict};

use super::{PlaceAnswer, compile_first, vocabulary, write_wrapped};
use crate::cli::output::Output;
use crate::cli::{CommandResult, Failure, exit_code, policy_files};
use crate::compile::act::{ACTS, CAPABILITIES, FILE_KINDS, capability_number};
use crate::compile::explain::{
    Effect, Explanation, Party, Question, QuestionError, RuleLine, Standing, explain,
};

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
    /// The capability it uses: a name such as `sys_admin`, or a number.
    #[arg(long, value_name = "NAME", value_parser = parse_capability)]
    capability: Option<u32>,
    /// List every act and every kind of file instead.
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

/// The answer.
#[derive(Serialize, Debug)]
struct ExplainAnswer {
    actor: PartyAnswer,
    act: &'static str,
    target: Option<PartyAnswer>,
    file: Option<&'static str>,
    capability: Option<String>,
    hook: &'static str,
    guarantee: &'static str,
    is_attached: bool,
    /// `allow` or `deny`: what the hook would decide.
    verdict: &'static str,
    errno: Option<&'static str>,
    reason: Option<&'static str>,
    sentence: Option<&'static str>,
    /// The actor's mode.
    mode: Option<&'static str>,
    /// `allowed`, `denied`, `observed` or `not-asked`: what becomes of it.
    effect: &'static str,
    notes: Vec<&'static str>,
    rules: Vec<RuleAnswer>,
    #[serde(skip)]
    text: Vec<(&'static str, String)>,
}

/// A party in answers.
#[derive(Serialize, Debug)]
struct PartyAnswer {
    /// `None`: it cannot be read.
    xid: Option<u32>,
    name: String,
    /// Of a target: how it stands to its context.
    standing: Option<&'static str>,
}

/// A line of policy in answers.
#[derive(Serialize, Debug)]
struct RuleAnswer {
    part: &'static str,
    rule: String,
    /// `None`: it is the default.
    place: Option<PlaceAnswer>,
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
        capability: arguments.capability,
    };
    let policy = policy_files::load(&arguments.files)?;
    let explanation = explain(&policy, &compile_first(&policy)?, &question)
        .map_err(|error| Failure::new(code_of(&error), error))?;
    output.answer(&answer(&explanation), |answer, out| {
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
        | QuestionError::Missing { .. }
        | QuestionError::Superfluous { .. } => exit_code::USAGE,
    }
}

/// How a party is called.
fn party_text(party: &Party) -> String {
    match party {
        Party::Host => "host".into(),
        Party::Context(label) => label.to_string(),
        Party::Unknown => "a process whose context cannot be read".into(),
    }
}

fn party_answer(party: &Party, standing: Option<Standing>) -> PartyAnswer {
    let (xid, name) = match party {
        Party::Host => (Some(0), "host".into()),
        Party::Context(label) => (Some(label.xid.0), label.name.clone()),
        Party::Unknown => (None, "unknown".into()),
    };
    let standing = standing.map(|standing| match standing {
        Standing::Member => "member",
        Standing::Entering => "entering",
        Standing::Stale => "stale",
    });
    PartyAnswer { xid, name, standing }
}

fn answer(explanation: &Explanation) -> ExplainAnswer {
    let info = explanation.act.hook.info();
    let (errno, reason) = match explanation.verdict {
        Verdict::Allow => (None, None),
        Verdict::Deny(errno, reason) => (Some(errno), Some(reason)),
    };
    let rules = explanation.rules.iter().map(|line| RuleAnswer {
        part: line.part,
        rule: line.text.clone(),
        place: line.place.as_ref().map(PlaceAnswer::of),
    });
    ExplainAnswer {
        actor: party_answer(&explanation.actor, None),
        act: explanation.act.name,
        target: explanation.target.as_ref().map(|(party, standing)| party_answer(party, Some(*standing))),
        file: explanation.file.map(|file| file.name),
        capability: explanation.capability.map(capability_text),
        hook: info.name,
        guarantee: info.guarantee,
        is_attached: explanation.is_attached,
        verdict: if errno.is_none() { "allow" } else { "deny" },
        errno: errno.map(Errno::name),
        reason: reason.map(Reason::name),
        sentence: reason.map(Reason::sentence),
        mode: explanation.mode.map(Mode::name),
        effect: match explanation.effect {
            Effect::Allowed => "allowed",
            Effect::LeftToNamespace => "left-to-namespace",
            Effect::Denied => "denied",
            Effect::Observed => "observed",
            Effect::NotAsked => "not-asked",
        },
        notes: explanation.notes.clone(),
        rules: rules.collect(),
        text: text(explanation),
    }
}

fn capability_text(number: u32) -> String {
    let name = usize::try_from(number).ok().and_then(|number| CAPABILITIES.get(number));
    name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

/// The answer for people: lines, each with the part that it is about.
fn text(explanation: &Explanation) -> Vec<(&'static str, String)> {
    let info = explanation.act.hook.info();
    let rule = |part: &str| explanation.rules.iter().find(|line| line.part == part);
    let placed = |text: String, part: &str| match rule(part).and_then(|line| line.place.as_ref()) {
        Some(place) => format!("{text}, defined at {place}"),
        None => text,
    };
    let mut lines = vec![("", headline(explanation))];
    lines.push(("actor", placed(party_text(&explanation.actor), "actor")));
    lines.push(("act", format!("{} ({})", explanation.act.name, explanation.act.calls)));
    if let Some(file) = explanation.file {
        lines.push(("file", format!("{} ({})", file.name, file.meaning)));
    }
    if let Some((party, standing)) = &explanation.target {
        let standing = match standing {
            Standing::Member => "",
            Standing::Entering => ", which is still entering",
            Standing::Stale => ", which is left from an earlier use of the xid",
        };
        lines.push(("target", format!("{}{standing}", placed(party_text(party), "target"))));
    }
    if let Some(number) = explanation.capability {
        lines.push(("capability", capability_text(number)));
    }
    let attached = match rule("hook") {
        _ if !explanation.is_attached => "not attached under this policy".into(),
        Some(line) => format!("attached because of {}", rule_text(line)),
        None => "attached with every policy".into(),
    };
    lines.push(("hook", format!("{}, {attached}", info.name)));
    if let Verdict::Deny(_, reason) = explanation.verdict {
        lines.push(("reason", reason.name().to_owned()));
        let mode = match rule("mode") {
            Some(line) => rule_text(line),
            None if reason.is_between_contexts() => "enforce, always for the spectator".into(),
            None => "does not matter, this is denied in every mode".into(),
        };
        lines.push(("mode", mode));
    }
    lines.extend(explanation.notes.iter().map(|note| ("note", (*note).to_owned())));
    lines
}

/// A rule, and where it is.
fn rule_text(line: &RuleLine) -> String {
    match &line.place {
        Some(place) => format!("{} at {place}", line.text),
        None => format!("{} (the default)", line.text),
    }
}

/// The answer in a sentence.
fn headline(explanation: &Explanation) -> String {
    let Verdict::Deny(errno, reason) = explanation.verdict else {
        return match explanation.effect {
            Effect::LeftToNamespace => "left to the actor's mount namespace; nothing is recorded".into(),
            _ => "allowed; nothing is recorded".into(),
        };
    };
    let (errno, sentence) = (errno.name(), reason.sentence());
    match explanation.effect {
        Effect::Allowed | Effect::LeftToNamespace | Effect::Denied => {
            format!("denied with {errno} and recorded: {sentence}")
        }
        Effect::Observed => {
            format!(
                "allowed and recorded, since the mode is observe; enforce would deny with {errno}: {sentence}"
            )
        }
        Effect::NotAsked => format!("not asked of the hook, which would deny with {errno}: {sentence}"),
    }
}
