//! What the kernel would say to an act under a policy, and why: by the functions its programs were compiled from, on the rows that a
//! load would write.

use vs_common::context::{Identity, Tag, lifecycle};
use vs_common::filesystem::{FileOwner, ReceivedFrom};
use vs_common::hook::{Hook, Need};
use vs_common::id::Generation;
use vs_common::policy_entry::{Mode, ProcMode};
use vs_common::verdict::Verdict;

pub use self::question::{Question, QuestionError, Standing};
pub use self::rules::cause;
use super::act::{Act, Asked, FileKind, Outcome, SocketKind, Target};
use super::context::ContextLabel;
use super::entries::MapEntries;
use super::needs::needed_hooks;
use crate::policy::{Place, Policy, nearest_of};

mod files;
mod network;
mod question;
mod rules;

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
    /// What it is to the answer: `actor`, `target`, `mode`, `hook`, `directory`; `addresses`, `primary`, `loopback`, `multicast`, `broadcast`.
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
    /// Which socket.
    pub socket: Option<&'static SocketKind>,
    /// Which address.
    pub address: Option<Asked>,
    /// What becomes of the address; `None`: there is none, or it is refused.
    pub outcome: Option<Outcome>,
    /// The hook that is asked.
    pub hook: Hook,
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
/// A note where no program will be asked, for want of contexts with addresses.
const NO_NETWORK: &str = "no context of this policy has addresses of its own, so this hook is not attached";
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
    let file = match (&question.file, &question.path) {
        (None, Some(_)) => Some(FileKind::ORDINARY_KIND),
        (Some(name), _) => {
            Some(FileKind::named(name).ok_or_else(|| QuestionError::NoSuchFile(name.clone()))?)
        }
        (None, None) => None,
    };
    let directory = question.path.as_deref().and_then(|path| files::nearest(policy, path));
    let owner = directory.map_or(FileOwner::Shared, |nearest| files::owner(entries, nearest));
    let socket = match &question.socket {
        Some(name) => Some(SocketKind::named(name).ok_or_else(|| QuestionError::NoSuchSocket(name.clone()))?),
        None => None,
    };
    question::check_operands(act, question, file)?;
    let address = question.address.map(|address| Asked {
        address,
        is_v6_only: question.is_v6_only,
        port: question.port.as_ref().map(|range| (range.protocol, *range.ports.start())),
    });
    let target = match &question.target {
        Some(name) => Some((party(entries, name)?, question.standing)),
        None => None,
    };
    let process =
        target.as_ref().map_or(Identity::Host, |(party, standing)| identity(entries, party, *standing));
    let process = beyond_addresses(process, false);
    let network = match &actor {
        Party::Context(label) => entries.networks().get(&label.xid),
        Party::Host | Party::Unknown => None,
    };
    let capability = question.capability.unwrap_or_default();
    let usable = match &actor {
        Party::Context(label) => entries.rows().get(&label.xid).map_or(0, |rules| rules.capabilities),
        Party::Host | Party::Unknown => 0,
    };
    let networks = entries.networks();
    let barrier = question.path.as_deref().and_then(|path| files::barrier(policy, path));
    let is_barrier = barrier.is_some();
    // It is the way in that is asked about: from outside of any tree of one's own.
    let is_below_root = directory.is_some_and(files::is_root);
    let from = ReceivedFrom { is_in_own_tree: false, is_below_root };
    let facts = Target {
        process,
        file,
        owner,
        is_barrier,
        from,
        capability,
        usable,
        socket,
        address,
        network,
        networks,
    };
    let asking_of_network = act.hook.info().need == Need::Network;
    let asking = beyond_addresses(identity(entries, &actor, Standing::Member), asking_of_network);
    let verdict = act.decide(asking, &facts);
    let rules = match &actor {
        Party::Context(label) => entries.rows().get(&label.xid),
        Party::Host | Party::Unknown => None,
    };
    let mode = rules.and_then(|rules| Mode::from_number(rules.mode));
    let hook = act.hook_for(address);
    let is_attached = needed_hooks(entries.rows()).contains(&hook);
    let mut effect = effect(verdict, mode, is_attached);
    if effect == Effect::Allowed && act.decide(in_host_tree(asking), &facts) != Verdict::Allow {
        effect = Effect::LeftToNamespace;
    }
    let proc_mode = rules.and_then(|rules| ProcMode::from_number(rules.proc_mode));
    let is_own =
        target.as_ref().is_some_and(|(party, standing)| *party == actor && *standing != Standing::Stale);
    let outcome = network::outcome(act.outcome(asking, &facts), address, effect);
    let mut notes = notes(act, effect, proc_mode, is_own);
    notes.extend(network::notes(act, &actor, network.is_some(), outcome));
    notes.extend(question.path.as_ref().filter(|_| directory.is_none()).map(|_| files::NOBODYS));
    let mut explanation = Explanation {
        actor,
        act,
        target,
        file,
        capability: question.capability,
        socket,
        address,
        outcome,
        hook,
        verdict,
        effect,
        mode,
        is_attached,
        notes,
        rules: Vec::new(),
    };
    explanation.rules = explanation.rule_lines(policy, entries);
    explanation.rules.extend(directory.map(files::rule_line));
    explanation.rules.extend(barrier.filter(|_| hook == Hook::InodePermission).map(files::barrier_line));
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

/// Where it is not about addresses, a process of a context that confines nothing else is the host's.
fn beyond_addresses(identity: Identity, is_about_addresses: bool) -> Identity {
    match identity {
        Identity::Member(tag) if tag.is_network_only() && !is_about_addresses => Identity::Host,
        identity => identity,
    }
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
        Effect::NotAsked if act.hook.info().need == Need::Network => notes.push(NO_NETWORK),
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
