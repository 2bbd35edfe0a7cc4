//! The answer of `vs policy explain` for programs.

use std::net::IpAddr;

use serde::Serialize;
use vs_common::policy_entry::Mode;
use vs_common::verdict::{Errno, Reason, Verdict};

use super::text;
use crate::cli::policy::PlaceAnswer;
use crate::compile::act::How;
use crate::compile::explain::{Effect, Explanation, Party, Standing};

/// The answer.
#[derive(Serialize, Debug)]
pub(super) struct ExplainAnswer {
    actor: PartyAnswer,
    act: &'static str,
    target: Option<PartyAnswer>,
    file: Option<&'static str>,
    capability: Option<String>,
    /// The kind of socket.
    socket: Option<&'static str>,
    address: Option<AddressAnswer>,
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
    pub(super) text: Vec<(&'static str, String)>,
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

/// An address, and what becomes of it.
#[derive(Serialize, Debug)]
struct AddressAnswer {
    asked: IpAddr,
    /// Whether the socket is for IPv6 only.
    v6_only: bool,
    /// What the socket gets; `None`: it is refused.
    becomes: Option<IpAddr>,
    /// `as-asked`, `primary`, `own-loopback` or `shared-loopback`.
    how: Option<&'static str>,
    /// What the process is shown of it.
    shown: Option<IpAddr>,
    /// Where it is sent from, unless the socket is bound; `None`: nothing is sent, or from where the kernel says.
    source: Option<IpAddr>,
}

/// A line of policy in answers.
#[derive(Serialize, Debug)]
struct RuleAnswer {
    part: &'static str,
    rule: String,
    /// `None`: it is the default.
    place: Option<PlaceAnswer>,
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

fn address_answer(explanation: &Explanation) -> Option<AddressAnswer> {
    let (asked, outcome) = (explanation.address?, explanation.outcome);
    Some(AddressAnswer {
        asked: asked.address,
        v6_only: asked.is_v6_only,
        becomes: outcome.map(|outcome| outcome.address),
        how: outcome.map(|outcome| match outcome.how {
            How::AsAsked => "as-asked",
            How::Primary => "primary",
            How::OwnLoopback => "own-loopback",
            How::SharedLoopback => "shared-loopback",
        }),
        shown: outcome.map(|outcome| outcome.shown),
        source: outcome.and_then(|outcome| outcome.source),
    })
}

pub(super) fn answer(explanation: &Explanation) -> ExplainAnswer {
    let info = explanation.hook.info();
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
        socket: explanation.socket.map(|socket| socket.name),
        address: address_answer(explanation),
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
        text: text::lines(explanation),
    }
}

pub(super) fn capability_text(number: u32) -> String {
    let name = usize::try_from(number).ok().and_then(|number| vs_common::capability::NAMES.get(number));
    name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
}
