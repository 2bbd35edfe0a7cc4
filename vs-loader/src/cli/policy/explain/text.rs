//! The answer of `vs policy explain` for people.

use vs_common::verdict::Verdict;

use super::answer::capability_text;
use crate::compile::act::{Asked, How, Outcome};
use crate::compile::explain::{Effect, Explanation, Party, RuleLine, Standing};

/// How a party is called.
fn party_text(party: &Party) -> String {
    match party {
        Party::Host => "host".into(),
        Party::Context(label) => label.to_string(),
        Party::Unknown => "a process whose context cannot be read".into(),
    }
}

/// The answer for people: lines, each with the part that it is about.
pub(super) fn lines(explanation: &Explanation) -> Vec<(&'static str, String)> {
    let info = explanation.hook.info();
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
    if let Some(socket) = explanation.socket {
        lines.push(("socket", format!("{} ({})", socket.name, socket.meaning)));
    }
    if let Some(asked) = explanation.address {
        lines.push(("address", address(asked, explanation)));
    }
    for part in ["addresses", "primary", "loopback", "multicast", "broadcast", "ports", "directory"] {
        lines.extend(rule(part).map(|line| ("rule", rule_text(line))));
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

/// What becomes of an address.
fn address(asked: Asked, explanation: &Explanation) -> String {
    let of_socket = if asked.is_v6_only { " of a socket for IPv6 only" } else { "" };
    let asked = format!("{}{of_socket}", asked.address);
    let Some(Outcome { address, how, shown, source }) = explanation.outcome else { return asked };
    let becomes = match how {
        How::AsAsked => "as asked".to_owned(),
        How::Primary if explanation.actor == Party::Host => {
            format!("which becomes {address}, the host's primary address")
        }
        How::Primary => format!("which becomes {address}, the context's primary address"),
        How::OwnLoopback => format!("which becomes {address}, the context's own loopback"),
        How::SharedLoopback => "the host's loopback, as asked".to_owned(),
    };
    let shown = if shown == address { String::new() } else { format!(", and is shown as {shown}") };
    let source = source
        .map(|source| format!("; from {source}, unless the socket is bound already"))
        .unwrap_or_default();
    format!("{asked}, {becomes}{shown}{source}")
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
