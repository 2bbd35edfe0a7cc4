//! What the kernel would say to an act under a policy, and why: by the functions its programs were compiled from, on the rows that a
//! load would write.

use vs_common::context::{Identity, Tag, lifecycle};
use vs_common::hook::Need;
use vs_common::id::{ContextKind, Generation, Xid};
use vs_common::policy_entry::{Mode, ProcMode};
use vs_common::verdict::Verdict;

use super::act::{Act, FileKind, Operand, Target};
use super::context::ContextLabel;
use super::entries::MapEntries;
use super::needs::{needed_hooks, rows_in_need};
use crate::policy::{Place, Policy, nearest_of};

/// Who acts, or whose process is acted on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Party {
    /// The host.
    Host,
    /// A context of the policy; the spectator is one too.
    Context(ContextLabel),
    /// A process whose tag cannot be read.
    Unknown,
}

/// How a process stands to its context.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Standing {
    /// It runs in it.
    #[default]
    Member,
    /// It has its tag and has not yet executed its program.
    Entering,
    /// It is left from an earlier use of the xid.
    Stale,
}

/// Who tries what on what, in words.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Question {
    /// `host`, `spectator`, `unknown` or a context's name.
    pub actor: String,
    /// An [`Act`]'s name.
    pub act: String,
    /// Whose process: words as for the actor.
    pub target: Option<String>,
    /// How the target stands to its context.
    pub standing: Standing,
    /// A [`FileKind`]'s name.
    pub file: Option<String>,
    /// A capability's number.
    pub capability: Option<u32>,
}

/// Why a question has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuestionError {
    /// The policy has no such context.
    #[error("the policy has no context {name:?}{}; it has: {known}", nearest.as_ref().map(|name| format!(", did you mean {name:?}?")).unwrap_or_default())]
    NoSuchContext {
        /// What was asked for.
        name: String,
        /// What it resembles.
        nearest: Option<String>,
        /// Every party there is.
        known: String,
    },
    /// The policy has no spectator.
    #[error("the policy has no spectator; add a table [spectator]")]
    NoSpectator,
    /// No such act.
    #[error("there is no act {0:?}; see --list-acts")]
    NoSuchAct(String),
    /// No such kind of file.
    #[error("there is no kind of file {0:?}; see --list-acts")]
    NoSuchFile(String),
    /// Something is missing.
    #[error("the act {act} needs {option}, {meaning}")]
    Missing {
        /// The act.
        act: &'static str,
        /// The option.
        option: &'static str,
        /// What it is.
        meaning: &'static str,
    },
    /// Something is too much.
    #[error("the act {act} has no use for {option}; leave it out")]
    Superfluous {
        /// The act.
        act: &'static str,
        /// The option.
        option: &'static str,
    },
}

/// What becomes of an act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It passes and nothing is recorded.
    Allowed,
    /// The hook lets it pass and nothing is recorded; but the file is not there, or cannot be written, in the actor's own mount namespace.
    LeftToNamespace,
    /// It fails with the errno and is recorded.
    Denied,
    /// It passes and is recorded with the errno that mode enforce would have answered.
    Observed,
    /// The hook is not attached under this policy, so its verdict is not asked for.
    NotAsked,
}

/// A line of policy that the answer rests on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleLine {
    /// What it is to the answer: `actor`, `target`, `mode`, `hook`.
    pub part: &'static str,
    /// The rule.
    pub text: String,
    /// Where it is; `None`: it is the default.
    pub place: Option<Place>,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// Who acts.
    pub actor: Party,
    /// What it tries.
    pub act: &'static Act,
    /// Whose process it is done to.
    pub target: Option<(Party, Standing)>,
    /// Which file.
    pub file: Option<&'static FileKind>,
    /// Which capability.
    pub capability: Option<u32>,
    /// What the hook would decide.
    pub verdict: Verdict,
    /// What becomes of it.
    pub effect: Effect,
    /// The actor's mode, if a context with rules acts.
    pub mode: Option<Mode>,
    /// Whether the hook is attached under this policy.
    pub is_attached: bool,
    /// What else is to be known.
    pub notes: Vec<&'static str>,
    /// The lines of policy that it rests on.
    pub rules: Vec<RuleLine>,
}

/// A note for whom a PID namespace stands before the hook.
const NO_NUMBER: &str = "inside its PID namespace the actor has no process id for this target, so the call fails with ESRCH before it comes to the hook; the hook is for whoever has a descriptor of the process";
/// A note for whom a mount namespace stands in the place of the hook.
const OWN_TREE: &str = "the hook leaves this to the actor's own mount namespace, where such files are absent or cannot be written";
/// A note where no program will be asked.
const DETACHED: &str = "no context of this policy lives in the host's mount tree and proc_lock is off, so this hook is not attached";

/// Answers a question under a policy; `entries` are what the policy comes to.
///
/// # Errors
/// The question names what is not there, or does not fit together.
pub fn explain(
    policy: &Policy,
    entries: &MapEntries,
    question: &Question,
) -> Result<Explanation, QuestionError> {
    let act = Act::named(&question.act).ok_or_else(|| QuestionError::NoSuchAct(question.act.clone()))?;
    let actor = party(entries, &question.actor)?;
    let file = match &question.file {
        Some(name) => Some(FileKind::named(name).ok_or_else(|| QuestionError::NoSuchFile(name.clone()))?),
        None => None,
    };
    check_operands(act, question, file)?;
    let target = match &question.target {
        Some(name) => Some((party(entries, name)?, question.standing)),
        None => None,
    };
    let process =
        target.as_ref().map_or(Identity::Host, |(party, standing)| identity(entries, party, *standing));
    let facts = Target { process, file, capability: question.capability.unwrap_or_default() };
    let asking = identity(entries, &actor, Standing::Member);
    let verdict = act.decide(asking, &facts);
    let rules = match &actor {
        Party::Context(label) => entries.rows().get(&label.xid),
        Party::Host | Party::Unknown => None,
    };
    let mode = rules.and_then(|rules| Mode::from_number(rules.mode));
    let is_attached = needed_hooks(entries.rows()).contains(&act.hook);
    let mut effect = effect(verdict, mode, is_attached);
    if effect == Effect::Allowed && act.decide(in_host_tree(asking), &facts) != Verdict::Allow {
        effect = Effect::LeftToNamespace;
    }
    let proc_mode = rules.and_then(|rules| ProcMode::from_number(rules.proc_mode));
    let is_own =
        target.as_ref().is_some_and(|(party, standing)| *party == actor && *standing != Standing::Stale);
    let notes = notes(act, effect, proc_mode, is_own);
    let mut explanation = Explanation {
        actor,
        act,
        target,
        file,
        capability: question.capability,
        verdict,
        effect,
        mode,
        is_attached,
        notes,
        rules: Vec::new(),
    };
    explanation.rules = explanation.rule_lines(policy, entries);
    Ok(explanation)
}

/// Finds out who is meant.
fn party(entries: &MapEntries, name: &str) -> Result<Party, QuestionError> {
    let labels = || entries.rows().iter().map(|(xid, rules)| ContextLabel::of(*xid, rules));
    match name {
        "host" => return Ok(Party::Host),
        "unknown" => return Ok(Party::Unknown),
        _ => {}
    }
    if let Some(label) = labels().find(|label| label.name == name) {
        return Ok(Party::Context(label));
    }
    if name == super::context::SPECTATOR_NAME {
        return Err(QuestionError::NoSpectator);
    }
    let known: Vec<_> = ["host".to_owned()].into_iter().chain(labels().map(|label| label.name)).collect();
    Err(QuestionError::NoSuchContext {
        name: name.to_owned(),
        nearest: nearest_of(name, known.iter().map(String::as_str)).map(str::to_owned),
        known: known.join(", "),
    })
}

/// What a hook would find out about a process of that party.
fn identity(entries: &MapEntries, party: &Party, standing: Standing) -> Identity {
    let label = match party {
        Party::Host => return Identity::Host,
        Party::Unknown => return Identity::Unknown,
        Party::Context(label) => label,
    };
    let rules = entries.rows().get(&label.xid);
    let generation = rules.map(|rules| rules.generation).unwrap_or_default();
    let residence = rules.map(|rules| rules.residence(label.xid)).unwrap_or_default();
    let (generation, lifecycle) = match standing {
        Standing::Member => (generation, 0),
        Standing::Entering => (generation, lifecycle::ENTERING),
        // Given to nobody, ever.
        Standing::Stale => (Generation(0), 0),
    };
    Identity::Member(Tag { xid: label.xid, lifecycle: lifecycle | residence, generation })
}

/// Whether the question has what the act needs, and nothing else.
fn check_operands(
    act: &'static Act,
    question: &Question,
    file: Option<&FileKind>,
) -> Result<(), QuestionError> {
    let needs_file = act.operand == Operand::File;
    let needs_target = act.operand == Operand::Process || file.is_some_and(|file| file.has_process);
    let needs_capability = act.operand == Operand::Capability;
    let options = [
        (needs_file, question.file.is_some(), "--file", "the kind of file"),
        (needs_target, question.target.is_some(), "--target", "whose process"),
        (needs_capability, question.capability.is_some(), "--capability", "which capability"),
        (false, question.standing != Standing::Member && !needs_target, "--standing", ""),
    ];
    for (is_needed, is_given, option, meaning) in options {
        match (is_needed, is_given) {
            (true, false) => return Err(QuestionError::Missing { act: act.name, option, meaning }),
            (false, true) => return Err(QuestionError::Superfluous { act: act.name, option }),
            _ => {}
        }
    }
    Ok(())
}

/// What becomes of a verdict. Only what is between contexts follows the mode; an actor without rules is always enforced upon.
fn effect(verdict: Verdict, mode: Option<Mode>, is_attached: bool) -> Effect {
    match verdict {
        Verdict::Allow => Effect::Allowed,
        Verdict::Deny(..) if !is_attached => Effect::NotAsked,
        Verdict::Deny(_, reason) if reason.is_between_contexts() && mode == Some(Mode::Observe) => {
            Effect::Observed
        }
        Verdict::Deny(..) => Effect::Denied,
    }
}

/// What the verdict alone does not say.
fn notes(act: &Act, effect: Effect, proc_mode: Option<ProcMode>, is_own: bool) -> Vec<&'static str> {
    let mut notes = Vec::new();
    if effect == Effect::Allowed {
        return notes;
    }
    match effect {
        Effect::NotAsked => notes.push(DETACHED),
        Effect::LeftToNamespace => notes.push(OWN_TREE),
        _ => {}
    }
    if act.is_by_number && !is_own && proc_mode == Some(ProcMode::Pidns) {
        notes.push(NO_NUMBER);
    }
    notes
}

/// The same, as if it lived where the host does.
fn in_host_tree(identity: Identity) -> Identity {
    match identity {
        Identity::Member(tag) => {
            Identity::Member(Tag { lifecycle: tag.lifecycle | lifecycle::HOST_TREE, ..tag })
        }
        Identity::Host | Identity::Unknown => identity,
    }
}

impl Explanation {
    /// The lines of policy that the answer rests on.
    fn rule_lines(&self, policy: &Policy, entries: &MapEntries) -> Vec<RuleLine> {
        let mut lines = Vec::new();
        lines.extend(definition("actor", &self.actor, policy));
        lines.extend(self.target.as_ref().and_then(|(party, _)| definition("target", party, policy)));
        if let (Party::Context(label), Some(mode), Verdict::Deny(_, reason)) =
            (&self.actor, self.mode, self.verdict)
            && label.xid.kind() == ContextKind::Guest
            && reason.is_between_contexts()
        {
            let place = policy.context(label.xid).and_then(|context| context.mode().place().cloned());
            lines.push(RuleLine { part: "mode", text: format!("mode = {:?}", mode.name()), place });
        }
        if self.is_attached {
            lines.extend(cause(policy, entries, self.act.hook.info().need));
        }
        lines
    }
}

/// The line that defines a context.
fn definition(part: &'static str, party: &Party, policy: &Policy) -> Option<RuleLine> {
    let Party::Context(label) = party else { return None };
    if label.xid == Xid::SPECTATOR {
        let place = policy.spectator()?.place().clone();
        return Some(RuleLine { part, text: "[spectator]".into(), place: Some(place) });
    }
    let context = policy.context(label.xid)?;
    let text = format!("[context.{}] xid = {}", context.name(), label.xid);
    Some(RuleLine { part, text, place: Some(context.place().clone()) })
}

/// The line because of which hooks of that kind are attached; nothing if every policy needs them, or none of these contexts does.
pub fn cause(policy: &Policy, entries: &MapEntries, need: Need) -> Option<RuleLine> {
    let line =
        |text: String, place: Option<&Place>| Some(RuleLine { part: "hook", text, place: place.cloned() });
    let xid = *rows_in_need(need, entries.rows()).first()?;
    match (need, policy.context(xid)) {
        (Need::Always, _) => None,
        (Need::HostTree | Need::HostProc, _) if policy.proc_lock().value() => {
            line("[host] proc_lock = true".into(), policy.proc_lock().place())
        }
        (Need::HostTree | Need::HostProc, Some(context)) => line(
            format!("[context.{}] proc = {:?}", context.name(), context.proc_mode().value().name()),
            context.proc_mode().place(),
        ),
        (Need::HostTree | Need::HostProc, None) => {
            line("[spectator]".into(), Some(policy.spectator()?.place()))
        }
    }
}
