//! Lists of ports.

use super::Validator;
use crate::policy::document::{Field, TableName};
use crate::policy::model::Rule;
use crate::policy::network_error::NetworkProblem;
use crate::policy::place::{Located, Place};
use crate::policy::port::{NoPorts, PortPolicy, PortRange};

impl Validator {
    /// What one use of ports is limited to.
    pub(super) fn ports(
        &mut self,
        table: &TableName,
        allow: Field<Vec<Field<String>>>,
        deny: Field<Vec<Field<String>>>,
    ) -> PortPolicy {
        PortPolicy { allow: self.port_list(table, allow), deny: self.port_list(table, deny) }
    }

    /// A list of ports, and where it is; `None`: there is none.
    pub(super) fn port_list(
        &mut self,
        table: &TableName,
        field: Field<Vec<Field<String>>>,
    ) -> Option<(Vec<Rule<PortRange>>, Place)> {
        let Field::Given(Located { value: written, place }) = field else { return None };
        let mut rules = Vec::new();
        for (number, item) in (1..).zip(written) {
            let Field::Given(Located { value: text, place }) = item else { continue };
            if number == PortPolicy::MAX_RANGES + 1 {
                self.refuse(table, place.clone(), NetworkProblem::TooManyPorts { count: number });
            }
            match text.parse() {
                Ok(value) => rules.push(Rule { value, place: Some(place) }),
                Err(NoPorts) => self.refuse(table, place, NetworkProblem::NotPorts { text }),
            }
        }
        Some((rules, place))
    }
}
