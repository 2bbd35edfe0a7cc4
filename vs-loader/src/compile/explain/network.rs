//! What an answer about sockets and addresses says beside the verdict.

use vs_common::hook::Need;
use vs_common::network::{AddressKind, network_flag, number};
use vs_common::verdict::{Errno, Reason, Verdict};

use super::{Effect, Explanation, Party, RuleLine};
use crate::compile::act::{Act, Asked, How, Operand, Outcome, SocketKind};
use crate::compile::network::{Prefix, to_address};
use crate::policy::{NetworkPolicy, Place, Rule};

/// A note for a context that uses the host's addresses.
const HOST_ADDRESSES: &str =
    "this context has no addresses of its own: it uses the host's, and its sockets are judged by no program";
/// A note for a process whose context cannot be read.
const JUDGED_BY_MAKER: &str = "a socket is judged by the context that made it, and this process can make none; one that it was handed is judged as its maker's";
/// A note for datagrams to a context's own loopback.
const ANSWERED: &str = "a datagram goes here or to the primary address, where a socket of the context answers; if none does, it is refused with ECONNREFUSED (host-listener), which follows the mode";

/// What the socket gets in the end: of what nobody judges, and of what mode observe lets pass, what it asked for.
pub(super) fn outcome(
    judged: Option<Result<Outcome, (Errno, Reason)>>,
    asked: Option<Asked>,
    effect: Effect,
) -> Option<Outcome> {
    match judged {
        Some(Ok(outcome)) => Some(outcome),
        Some(Err(_)) if effect != Effect::Observed => None,
        Some(Err(_)) | None => asked.map(Outcome::as_asked),
    }
}

/// What the verdict alone does not say.
pub(super) fn notes(
    act: &Act,
    actor: &Party,
    has_addresses: bool,
    outcome: Option<Outcome>,
) -> Option<&'static str> {
    if act.hook.info().need != Need::Network {
        return None;
    }
    match actor {
        Party::Host => None,
        Party::Unknown => (act.operand != Operand::Socket).then_some(JUDGED_BY_MAKER),
        Party::Context(_) if !has_addresses => Some(HOST_ADDRESSES),
        Party::Context(_) => {
            let is_own = outcome.is_some_and(|outcome| outcome.how == How::OwnLoopback);
            (is_own && !act.is_bind()).then_some(ANSWERED)
        }
    }
}

/// The lines of a context's addresses that the answer rests on.
pub(super) fn rule_lines(explanation: &Explanation, policy: &NetworkPolicy) -> Vec<RuleLine> {
    let act = explanation.act;
    if act.hook.info().need != Need::Network {
        return Vec::new();
    }
    let Some(asked) = explanation.address else {
        let is_family_free = explanation.socket.is_some_and(|socket| socket.is_of(number::AF_UNIX));
        if let Some(flag) = explanation.socket.and_then(SocketKind::icmp_grant) {
            return vec![grant(flag, policy)];
        }
        let granted = act.grant().map(|flag| grant(flag, policy));
        return granted.or_else(|| (!is_family_free).then(|| addresses(policy))).into_iter().collect();
    };
    let is_refused = explanation.verdict != Verdict::Allow;
    if let (Verdict::Deny(_, Reason::Port), Some((protocol, port))) = (explanation.verdict, asked.port) {
        let (ports, keys) = if act.is_bind() {
            (policy.bind_ports(), ["bind_allow", "bind_deny"])
        } else {
            (policy.connect_ports(), ["connect_allow", "connect_deny"])
        };
        let decisive = ports.place_for(protocol, port);
        return decisive
            .map(|(key, place)| {
                let key = if key == "allow" { keys[0] } else { keys[1] };
                line("ports", format!("{key}, about {}/{port}", protocol.name()), Some(place))
            })
            .into_iter()
            .collect();
    }
    match asked.kind() {
        AddressKind::Multicast => grant_and_source(network_flag::MULTICAST, asked, act, policy),
        AddressKind::Broadcast => grant_and_source(network_flag::BROADCAST, asked, act, policy),
        AddressKind::Loopback => vec![loopback(policy)],
        AddressKind::Any if !act.is_bind() => vec![loopback(policy)],
        AddressKind::Any if is_refused => vec![addresses(policy), loopback(policy)],
        AddressKind::Any => {
            let outcome = explanation.outcome.filter(|outcome| outcome.how == How::Primary);
            vec![match outcome {
                Some(outcome) => primary(outcome.address.is_ipv4(), policy),
                None => loopback(policy),
            }]
        }
        AddressKind::Unicast if act.is_bind() => vec![entry(asked, policy)],
        AddressKind::Unicast => vec![primary(asked.is_v4(), policy)],
    }
}

fn line(part: &'static str, text: String, place: Option<&Place>) -> RuleLine {
    RuleLine { part, text, place: place.cloned() }
}

/// All of its addresses.
fn addresses(policy: &NetworkPolicy) -> RuleLine {
    let all: Vec<_> = policy.addresses().iter().map(|rule| format!("\"{}\"", rule.value())).collect();
    line("addresses", format!("addresses = [{}]", all.join(", ")), Some(policy.place()))
}

/// The one that the address is, or is in; if it is none, all.
fn entry(asked: Asked, policy: &NetworkPolicy) -> RuleLine {
    let is_in = |rule: &&Rule<Prefix>| rule.value().contains(to_address(asked.address));
    match policy.addresses().iter().find(is_in) {
        Some(rule) => line("addresses", format!("\"{}\" in addresses", rule.value()), rule.place()),
        None => addresses(policy),
    }
}

/// The primary address of a family; if there is none, all addresses.
fn primary(is_v4: bool, policy: &NetworkPolicy) -> RuleLine {
    let found = if is_v4 {
        policy.primary4().map(|rule| (rule.value().to_string(), rule.place()))
    } else {
        policy.primary6().map(|rule| (rule.value().to_string(), rule.place()))
    };
    match found {
        Some((address, place)) => line("primary", format!("primary = \"{address}\""), place),
        None => addresses(policy),
    }
}

fn loopback(policy: &NetworkPolicy) -> RuleLine {
    let rule = policy.loopback();
    line("loopback", format!("loopback = {:?}", rule.value().name()), rule.place())
}

/// The line of what can be granted.
fn grant(flag: u32, policy: &NetworkPolicy) -> RuleLine {
    if flag & network_flag::RAW != 0 {
        let all: Vec<_> = policy.raw().iter().map(|rule| format!("\"{}\"", rule.value().name())).collect();
        return line("raw", format!("raw = [{}]", all.join(", ")), policy.raw_place());
    }
    let (part, rule) = match flag {
        network_flag::MULTICAST => ("multicast", policy.multicast()),
        network_flag::PING => ("ping", policy.ping()),
        _ => ("broadcast", policy.broadcast()),
    };
    line(part, format!("{part} = {}", rule.value()), rule.place())
}

/// The same, and where it would be sent from.
fn grant_and_source(flag: u32, asked: Asked, act: &Act, policy: &NetworkPolicy) -> Vec<RuleLine> {
    let source = (!act.is_bind()).then(|| primary(asked.is_v4(), policy));
    [Some(grant(flag, policy)), source].into_iter().flatten().collect()
}
