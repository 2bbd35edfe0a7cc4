//! A context's capabilities: whether it may have them, and what relative entries come to.

use vs_common::capability::{CapabilitySet, DEFAULT_SET};
use vs_common::policy_entry::ProcMode;

use super::Validator;
use crate::policy::capabilities::{
    CONTEXT_CAPABILITIES, CapabilityPolicy, CapabilityProblem, SET_UTSNAME, capability_named,
    capability_names, flaw_of, name,
};
use crate::policy::document::{Field, TableName};
use crate::policy::error::Problem;
use crate::policy::model::Rule;
use crate::policy::place::{Located, Place};

/// The keys of a context about its capabilities.
pub(super) struct CapabilityKeys {
    pub(super) capabilities: Field<Vec<Field<String>>>,
    pub(super) capabilities_max: Field<Vec<Field<String>>>,
    pub(super) context_capabilities: Field<Vec<Field<String>>>,
}

/// What else policy says of the context, as far as it matters.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    pub(super) proc_mode: ProcMode,
    pub(super) is_network_only: bool,
    pub(super) has_addresses: bool,
    pub(super) is_in_own_directories: bool,
}

const CURRENT: &str = "capabilities";
const MAX: &str = "capabilities_max";
const GRANTS: &str = "context_capabilities";

/// One entry of a list.
struct Entry {
    /// `+`: true; `-`: false; none of them: `None`.
    sign: Option<bool>,
    number: u32,
    text: String,
    place: Place,
}

impl Validator {
    /// The capabilities of a context.
    pub(super) fn capabilities(
        &mut self,
        table: &TableName,
        keys: CapabilityKeys,
        standing: Standing,
    ) -> CapabilityPolicy {
        let CapabilityKeys { capabilities, capabilities_max, context_capabilities } = keys;
        if standing.is_network_only {
            for (key, field) in
                [(CURRENT, &capabilities), (MAX, &capabilities_max), (GRANTS, &context_capabilities)]
            {
                if let Some(place) = field.place() {
                    let cause = CapabilityProblem::OfNetwork { key };
                    self.refuse_capability(table, place.clone(), cause);
                }
            }
            return CapabilityPolicy::DEFAULT;
        }
        let before = self.errors.len();
        let current = self.set(table, (CURRENT, "the default"), capabilities, DEFAULT_SET, standing);
        let max = self.set(table, (MAX, CURRENT), capabilities_max, current.value, standing);
        let missing = current.value & !max.value;
        if let Some(place) =
            max.place.as_ref().filter(|_| missing != 0 && self.errors.len() == before).cloned()
        {
            let cause = CapabilityProblem::BelowCurrent { missing: capability_names(missing) };
            self.refuse_capability(table, place, cause);
        }
        let set_utsname = self.grants(table, context_capabilities, standing);
        CapabilityPolicy { current, max, set_utsname }
    }

    /// The set that a list comes to; relative entries are to `base`.
    fn set(
        &mut self,
        table: &TableName,
        (key, base_name): (&'static str, &'static str),
        field: Field<Vec<Field<String>>>,
        base: CapabilitySet,
        standing: Standing,
    ) -> Rule<CapabilitySet> {
        let Field::Given(Located { value: texts, place }) = field else {
            return Rule { value: base, place: None };
        };
        let is_none = matches!(&texts[..], [Field::Given(only)] if only.value == CapabilityPolicy::NONE);
        if is_none {
            return Rule { value: 0, place: Some(place) };
        }
        let entries: Vec<_> = texts.into_iter().filter_map(|text| self.entry(table, key, text)).collect();
        let is_relative = entries.first().is_some_and(|entry| entry.sign.is_some());
        let mut set = if is_relative { base } else { 0 };
        for entry in entries {
            let bit = 1 << entry.number;
            let cause = if entry.sign.is_some() != is_relative {
                Some(CapabilityProblem::Mixed { key, text: entry.text })
            } else if entry.sign == Some(false) {
                let is_there = set & bit != 0;
                set &= !bit;
                (!is_there).then(|| CapabilityProblem::NotThere {
                    key,
                    name: name(entry.number),
                    base: base_name,
                })
            } else {
                set |= bit;
                flaw_of(key, entry.number, standing.has_addresses, standing.is_in_own_directories)
            };
            if let Some(cause) = cause {
                self.refuse_capability(table, entry.place, cause);
            }
        }
        Rule { value: set, place: Some(place) }
    }

    fn entry(&mut self, table: &TableName, key: &'static str, text: Field<String>) -> Option<Entry> {
        let Field::Given(Located { value: text, place }) = text else { return None };
        let (sign, bare) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(bare), _) => (Some(true), bare),
            (_, Some(bare)) => (Some(false), bare),
            _ => (None, &text[..]),
        };
        if let Some(number) = capability_named(bare) {
            return Some(Entry { sign, number, text, place });
        }
        self.refuse_capability(table, place, CapabilityProblem::Unknown { key, text });
        None
    }

    /// Whether the context sets its host name.
    fn grants(
        &mut self,
        table: &TableName,
        field: Field<Vec<Field<String>>>,
        standing: Standing,
    ) -> Rule<bool> {
        let mut granted = Rule { value: false, place: None };
        let Field::Given(Located { value: texts, .. }) = field else { return granted };
        for text in texts {
            let Field::Given(Located { value: text, place }) = text else { continue };
            let known = CONTEXT_CAPABILITIES.into_iter().find(|(known, _)| *known == text);
            let cause = match known {
                None => CapabilityProblem::UnknownGrant { text },
                Some((_, Some(instead))) => CapabilityProblem::NotOffered { text, instead },
                Some((SET_UTSNAME, None)) if standing.proc_mode == ProcMode::Plain => {
                    CapabilityProblem::HostnameOfPlain
                }
                Some((_, None)) => {
                    granted = Rule { value: true, place: Some(place) };
                    continue;
                }
            };
            self.refuse_capability(table, place, cause);
        }
        granted
    }

    fn refuse_capability(&mut self, table: &TableName, place: Place, cause: CapabilityProblem) {
        self.report(place, Problem::Capabilities { table: table.clone(), cause });
    }
}
