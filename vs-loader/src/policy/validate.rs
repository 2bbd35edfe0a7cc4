//! From documents to a policy: what the words and numbers mean, and whether the files agree with each other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::RangeInclusive;

use vs_common::id::Xid;
use vs_common::limits::MAX_CONTEXTS;
use vs_common::policy_entry::{Mode, ProcMode};

use super::document::{ContextTable, Field, HostTable, Number, PolicyDocument, SpectatorTable, TableName};
use super::error::{PolicyError, PolicyErrors, Problem, nearest};
use super::files::Directory;
use super::model::{Confine, ContextName, ContextPolicy, Digest, Policy, RecordRate, Rule, SpectatorPolicy};
use super::network::HostNetworkPolicy;
use super::network_error::NetworkProblem;
use super::place::{Located, Place};
use super::prefix::Claims;

mod barrier;
mod capabilities;
mod files;
mod network;
mod ports;

use capabilities::{CapabilityKeys, Standing};
use files::FileKeys;
use network::Claimant;

/// What `mode` can be; the first is the default.
const MODES: Words<Mode, 2> = Words {
    key: "mode",
    known: &[Mode::Enforce.name(), Mode::Observe.name()],
    meanings: [Mode::Enforce, Mode::Observe],
};
/// What `proc` can be; the first is the default: with it even the tools of ordinary users inside see their whole context.
const PROC_MODES: Words<ProcMode, 3> = Words {
    key: "proc",
    known: &[ProcMode::Pidns.name(), ProcMode::Hidepid.name(), ProcMode::Plain.name()],
    meanings: [ProcMode::Pidns, ProcMode::Hidepid, ProcMode::Plain],
};
/// What `confine` can be; the first is the default.
const CONFINES: Words<Confine, 2> = Words {
    key: "confine",
    known: &[Confine::All.name(), Confine::Network.name()],
    meanings: [Confine::All, Confine::Network],
};
/// Bytes of a description.
const DESCRIPTION_SIZE: usize = 200;

/// A key whose value is one of some words.
struct Words<T, const N: usize> {
    key: &'static str,
    known: &'static [&'static str],
    /// What each word means.
    meanings: [T; N],
}

/// Makes one policy of all documents.
///
/// # Errors
/// `errors` is not empty, or something is wrong with the documents: all of it together.
pub(super) fn validate(
    documents: Vec<PolicyDocument>,
    digest: Digest,
    errors: Vec<PolicyError>,
) -> Result<Policy, PolicyErrors> {
    let start = documents.first().map(|document| document.start.clone());
    let mut validator = Validator { errors, ..Validator::default() };
    let mut is_empty = true;
    // The host's first: contexts are measured against what is its own.
    let mut documents = documents;
    for document in &mut documents {
        if let Some(host) = document.host.take() {
            validator.host(host);
        }
    }
    for document in documents {
        is_empty &= document.is_whole && document.spectator.is_none() && document.contexts.is_empty();
        validator.document(document);
    }
    if let Some(place) = start.filter(|_| is_empty && validator.errors.is_empty()) {
        validator.report(place, Problem::NoContext);
    }
    validator.alone();
    validator.barriers();
    let Validator { errors, contexts, spectator, host, .. } = validator;
    let host = host.unwrap_or_default();
    match PolicyErrors::collect(errors) {
        Some(errors) => Err(errors),
        None => Ok(Policy {
            contexts,
            spectator,
            proc_lock: host.proc_lock.unwrap_or(Rule { value: false, place: None }),
            host_network: host.network,
            host_directories: host.directories,
            host_barriers: host.barriers,
            digest,
        }),
    }
}

/// What policy says of the host.
#[derive(Default)]
struct Host {
    place: Option<Place>,
    proc_lock: Option<Rule<bool>>,
    network: Option<HostNetworkPolicy>,
    directories: Vec<Directory>,
    barriers: Vec<Directory>,
}

/// What has been validated so far.
#[derive(Default)]
struct Validator {
    errors: Vec<PolicyError>,
    host: Option<Host>,
    spectator: Option<SpectatorPolicy>,
    contexts: BTreeMap<Xid, ContextPolicy>,
    /// Where each name was used first, of contexts with errors too.
    names: BTreeMap<String, Place>,
    /// Whose each number is and where it was given first, of contexts with errors too.
    xids: BTreeMap<Xid, (String, Place)>,
    /// Whose each address is and where it was given first, of contexts with errors too.
    claims: Claims<Claimant>,
    /// Addresses so far, of all contexts and with errors too.
    addresses: usize,
    /// Whose each directory is and where it was given first, of contexts with errors too.
    directories: BTreeMap<String, (TableName, Place)>,
}

impl Validator {
    fn report(&mut self, place: Place, problem: Problem) {
        self.errors.push(PolicyError { place, problem });
    }

    fn document(&mut self, document: PolicyDocument) {
        if let Some(spectator) = document.spectator {
            self.spectator(spectator);
        }
        for context in document.contexts {
            self.context(context, document.is_whole);
        }
    }

    fn host(&mut self, host: HostTable) {
        if let Some(first) = self.host.as_ref().and_then(|host| host.place.as_ref()) {
            let problem = Problem::DuplicateTable { table: TableName::Host, first: first.clone() };
            return self.report(host.place, problem);
        }
        let proc_lock = match host.proc_lock {
            Field::Given(Located { value, place }) => Rule { value, place: Some(place) },
            Field::Absent | Field::Faulty => Rule { value: false, place: None },
        };
        let network = self.host_network(host.addresses, host.primary, host.any_ports);
        let directories = self.directories(&TableName::Host, host.directories).unwrap_or_default();
        let barriers = self.host_barriers(host.barriers);
        let proc_lock = Some(proc_lock);
        self.host = Some(Host { place: Some(host.place), proc_lock, network, directories, barriers });
    }

    fn spectator(&mut self, spectator: SpectatorTable) {
        let table = TableName::Spectator;
        let rate = self.rate(&table, spectator.records_per_second, spectator.record_burst);
        let description = self.description(&table, spectator.description);
        match &self.spectator {
            Some(first) => {
                let problem = Problem::DuplicateTable { table, first: first.place.clone() };
                self.report(spectator.place, problem);
            }
            None => self.spectator = Some(SpectatorPolicy { place: spectator.place, rate, description }),
        }
    }

    /// `is_whole`: the file's syntax is right, so a key that was not found is not there.
    fn context(&mut self, context: ContextTable, is_whole: bool) {
        let table = TableName::Context(context.name.value.clone());
        let Located { value: name, place } = context.name;
        match self.names.entry(name.clone()) {
            Entry::Vacant(vacant) => _ = vacant.insert(place.clone()),
            Entry::Occupied(first) => {
                let problem = Problem::DuplicateTable { table: table.clone(), first: first.get().clone() };
                self.errors.push(PolicyError { place: place.clone(), problem });
            }
        }
        if matches!(context.xid, Field::Absent) && is_whole {
            self.report(place.clone(), Problem::NoXid { table: table.clone() });
        }
        let xid = self.xid(&table, &name, context.xid);
        let mode = self.word(&table, context.mode, &MODES);
        let proc_place = context.proc.place().cloned();
        let proc_mode = self.word(&table, context.proc, &PROC_MODES);
        let has_addresses = !matches!(context.network.addresses, Field::Absent);
        let confine_place = context.confine.place().cloned();
        let confine = self.word(&table, context.confine, &CONFINES);
        if confine.value == Confine::Network {
            if let Some(place) = proc_place {
                self.refuse(&table, place, NetworkProblem::ProcOfNetwork);
            }
            if let Some(place) = confine_place.filter(|_| !has_addresses && is_whole) {
                self.refuse(&table, place, NetworkProblem::NoAddresses { key: "confine = \"network\"" });
            }
        }
        let rate = self.rate(&table, context.records_per_second, context.record_burst);
        let description = self.description(&table, context.description);
        let is_network_only = confine.value == Confine::Network;
        let network = self.network(&table, &name, context.network, (is_whole, is_network_only));
        let keys = FileKeys {
            root: context.root,
            barrier: context.barrier,
            directories: context.directories,
            shared_write: context.shared_write,
        };
        let files = self.files(&table, keys, (is_whole, is_network_only), proc_mode.value);
        let keys = CapabilityKeys {
            capabilities: context.capabilities,
            capabilities_max: context.capabilities_max,
            context_capabilities: context.context_capabilities,
        };
        let standing = Standing {
            proc_mode: proc_mode.value,
            is_network_only,
            has_addresses,
            is_in_own_directories: files.as_ref().is_some_and(|files| !files.shared_write.value),
        };
        let capabilities = self.capabilities(&table, keys, standing);
        if self.names.len() == MAX_CONTEXTS as usize + 1 {
            self.report(place.clone(), Problem::TooManyContexts { count: self.names.len() });
        }
        match (name.parse::<ContextName>(), xid) {
            (Err(cause), _) => self.report(place, Problem::BadName { table, cause }),
            (Ok(_), None) => {}
            (Ok(name), Some(xid)) => {
                let context = ContextPolicy {
                    name,
                    place,
                    xid,
                    mode,
                    proc_mode,
                    confine,
                    rate,
                    description,
                    network,
                    files,
                    capabilities,
                };
                self.contexts.insert(context.xid.value, context);
            }
        }
    }

    /// A context's number, if it can have it and has it alone.
    fn xid(&mut self, table: &TableName, name: &str, field: Field<Number>) -> Option<Rule<Xid>> {
        let Field::Given(Located { value: number, place }) = field else { return None };
        let usable = match number.value.and_then(|value| u32::try_from(value).ok()).map(Xid) {
            Some(xid) if (Xid::FIRST_STATIC..=Xid::LAST_STATIC).contains(&xid) => Ok(xid),
            Some(Xid::HOST) => Err("is the host's"),
            Some(Xid::SPECTATOR) => Err("is the spectator's, which has a table [spectator] of its own"),
            Some(xid) if (Xid::FIRST_DYNAMIC..=Xid::LAST_DYNAMIC).contains(&xid) => {
                Err("is handed out by `vs context create`")
            }
            _ => Err("is no context's"),
        };
        let xid = match usable {
            Ok(xid) => xid,
            Err(why) => {
                let problem = Problem::UnusableXid { table: table.clone(), number: number.text, why };
                self.report(place, problem);
                return None;
            }
        };
        match self.xids.entry(xid) {
            Entry::Vacant(vacant) => {
                vacant.insert((name.to_owned(), place.clone()));
                Some(Rule { value: xid, place: Some(place) })
            }
            Entry::Occupied(occupied) => {
                let (other, first) = occupied.get().clone();
                self.report(place, Problem::DuplicateXid { table: table.clone(), xid, other, first });
                None
            }
        }
    }

    /// What one of some words means.
    fn word<T: Copy, const N: usize>(
        &mut self,
        table: &TableName,
        field: Field<String>,
        words: &Words<T, N>,
    ) -> Rule<T> {
        let default = Rule { value: words.meanings[0], place: None };
        let Field::Given(Located { value: word, place }) = field else { return default };
        let known = words.known;
        if let Some(number) = known.iter().position(|known| *known == word) {
            return Rule { value: words.meanings[number], place: Some(place) };
        }
        let nearest = nearest(&word, known);
        self.report(
            place,
            Problem::UnknownWord { table: table.clone(), key: words.key, word, nearest, known },
        );
        default
    }

    fn rate(&mut self, table: &TableName, per_second: Field<Number>, burst: Field<Number>) -> RecordRate {
        let (default_per_second, default_burst) = RecordRate::DEFAULT;
        RecordRate {
            per_second: self.bounded(
                table,
                "records_per_second",
                per_second,
                RecordRate::PER_SECOND,
                default_per_second,
            ),
            burst: self.bounded(table, "record_burst", burst, RecordRate::BURST, default_burst),
        }
    }

    /// A number within bounds.
    fn bounded(
        &mut self,
        table: &TableName,
        key: &'static str,
        field: Field<Number>,
        bounds: RangeInclusive<u32>,
        default: u32,
    ) -> Rule<u32> {
        let Field::Given(Located { value: number, place }) = field else {
            return Rule { value: default, place: None };
        };
        let value = number.value.and_then(|value| u32::try_from(value).ok());
        if let Some(value) = value.filter(|value| bounds.contains(value)) {
            return Rule { value, place: Some(place) };
        }
        let (least, most) = bounds.into_inner();
        let (table, number) = (table.clone(), number.text);
        self.report(place, Problem::OutOfBounds { table, key, number, least, most, default });
        Rule { value: default, place: None }
    }

    fn description(&mut self, table: &TableName, field: Field<String>) -> Option<String> {
        let Field::Given(Located { value, place }) = field else { return None };
        let why = if value.len() > DESCRIPTION_SIZE {
            "is too long"
        } else if value.chars().any(char::is_control) {
            "has a line break or another control character in it"
        } else {
            return Some(value);
        };
        self.report(place, Problem::BadDescription { table: table.clone(), why, most: DESCRIPTION_SIZE });
        None
    }
}
