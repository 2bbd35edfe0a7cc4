//! A context's addresses in answers.

use serde::Serialize;
use vs_common::network::network_flag;

use super::PlaceAnswer;
use crate::compile::MapEntries;
use crate::compile::network::loopback_name;
use crate::policy::ContextPolicy;

/// What a context has and may use.
#[derive(Serialize, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the policy")]
pub(super) struct NetworkAnswer {
    /// Addresses and prefixes, in the order of the policy.
    addresses: Vec<String>,
    /// What ANY is, IPv4 first.
    primary: Vec<String>,
    loopback: String,
    multicast: bool,
    broadcast: bool,
    show_any: bool,
    ping: bool,
    receive: &'static str,
    /// The protocols of raw sockets.
    raw: Vec<&'static str>,
    /// The interface that gets addresses that the machine lacks.
    assign: Option<String>,
    /// Where `addresses` is.
    addresses_defined_at: PlaceAnswer,
    /// The same for people.
    #[serde(skip)]
    pub(super) line: String,
}

impl NetworkAnswer {
    /// Of a context of the policy that these rows are of; `None`: it uses the host's addresses.
    pub(super) fn of(context: &ContextPolicy, entries: &MapEntries) -> Option<Self> {
        let policy = context.network()?;
        let network = entries.networks().get(&context.xid().value())?;
        Some(Self {
            addresses: policy.addresses().iter().map(|rule| rule.value().to_string()).collect(),
            primary: network.primaries().iter().map(ToString::to_string).collect(),
            loopback: loopback_name(network.rules.flags),
            multicast: network.rules.has(network_flag::MULTICAST),
            broadcast: network.rules.has(network_flag::BROADCAST),
            show_any: network.rules.has(network_flag::SHOW_ANY),
            ping: network.rules.has(network_flag::PING),
            receive: policy.receive().value().name(),
            raw: policy.raw().iter().map(|rule| rule.value().name()).collect(),
            addresses_defined_at: PlaceAnswer::of(policy.place()),
            assign: policy.assign().map(|(interface, _)| interface.to_owned()),
            line: line(&network.to_string(), policy.assign().map(|(interface, _)| interface)),
        })
    }
}

/// All on one line.
fn line(network: &str, assign: Option<&str>) -> String {
    match assign {
        Some(interface) => format!("{network}; assign {interface}"),
        None => network.to_owned(),
    }
}
