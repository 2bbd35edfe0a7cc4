//! The lines of policy that an answer rests on.

use vs_common::hook::Need;
use vs_common::id::{ContextKind, Xid};
use vs_common::verdict::Verdict;

use super::{Explanation, Party, RuleLine, network};
use crate::compile::entries::MapEntries;
use crate::compile::needs::rows_in_need;
use crate::policy::{ContextPolicy, NetworkPolicy, Place, Policy, Receive};

impl Explanation {
    /// The lines of policy that the answer rests on.
    pub(super) fn rule_lines(&self, policy: &Policy, entries: &MapEntries) -> Vec<RuleLine> {
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
        if let Party::Context(label) = &self.actor
            && let Some(network) = policy.context(label.xid).and_then(ContextPolicy::network)
        {
            lines.extend(network::rule_lines(self, network));
        }
        if self.is_attached {
            lines.extend(cause(policy, entries, self.hook.info().need));
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
    let directories = || {
        let judged = policy.host_directories().first().map(|directory| ("[host]".to_owned(), directory));
        let judged = judged.or_else(|| {
            policy.contexts().find_map(|context| {
                let files = context.files()?;
                let directory = files.root().or_else(|| files.directories().first())?;
                Some((format!("[context.{}]", context.name()), directory))
            })
        });
        judged.and_then(|(table, directory)| line(format!("{table} directories"), Some(directory.place())))
    };
    let host_tree = || cause(policy, entries, Need::HostTree);
    match need {
        Need::Files => return directories(),
        Need::Barriers => {
            let barrier = policy.barriers().next()?;
            return line(format!("the barrier {}", barrier.path()), Some(barrier.place()));
        }
        Need::HostTreeOrFiles => return host_tree().or_else(directories),
        Need::HostTreeNetworkOrFiles => {
            return host_tree().or_else(|| cause(policy, entries, Need::Network)).or_else(directories);
        }
        _ => {}
    }
    let xid = *rows_in_need(need, entries.rows()).first()?;
    match (need, policy.context(xid)) {
        // Asked for above by its parts.
        (
            Need::Always
            | Need::HostTreeOrFiles
            | Need::HostTreeNetworkOrFiles
            | Need::Files
            | Need::Barriers,
            _,
        ) => None,
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
        (Need::Ping, context) => {
            let context = context?;
            let network = context.network()?;
            if network.ping().value() {
                return line(format!("[context.{}] ping = true", context.name()), network.ping().place());
            }
            line(format!("[context.{}] raw", context.name()), network.raw_place())
        }
        (Need::Receive, context) => {
            let context = context?;
            let network = context.network()?;
            let receive = network.receive();
            if receive.value() == Receive::Strict {
                let text = format!("[context.{}] receive = {:?}", context.name(), receive.value().name());
                return line(text, receive.place());
            }
            line(format!("[context.{}] raw", context.name()), network.raw_place())
        }
        (Need::Network, context) => {
            let context = context?;
            let text = format!("[context.{}] addresses", context.name());
            line(text, context.network().map(NetworkPolicy::place))
        }
    }
}
