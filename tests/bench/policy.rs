//! The policies that are measured under, one after the other.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::network;
use crate::operation::{DEPTHS, OPERATIONS, Operation};
use crate::place::{Family, Place};

/// A policy with one context, by what is special about that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Policy {
    /// It has a pid namespace.
    Pidns,
    /// It sees the host's procfs.
    Plain,
    /// It has addresses of its own.
    Addresses,
    /// It has, and receives what is for them only.
    Strict,
    /// It has directories of its own.
    Files,
    /// There is a directory that it may not pass.
    Barrier,
}

impl Policy {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 6] =
        [Self::Pidns, Self::Plain, Self::Addresses, Self::Strict, Self::Files, Self::Barrier];

    /// What it is called by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pidns => "pidns",
            Self::Plain => "plain",
            Self::Addresses => "addresses",
            Self::Strict => "strict",
            Self::Files => "files",
            Self::Barrier => "barrier",
        }
    }

    /// When it is that the figures hold.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Pidns => "While only contexts with `proc = \"pidns\"` are loaded:",
            Self::Plain => "While a context with `proc = \"plain\"` is loaded, what differs:",
            Self::Addresses => "While a context with `addresses` is loaded, what differs:",
            Self::Strict => {
                "While a context with `receive = \"strict\"` is loaded, what is sent and received:"
            }
            Self::Files => {
                "While a context with `directories` is loaded, in one of which the path lies, four directories deep:"
            }
            Self::Barrier => {
                "While policy has a barrier, and a context in the host's mount tree, what has a path:"
            }
        }
    }

    /// The context.
    pub(crate) fn context(self) -> String {
        format!("bench-{}", self.name())
    }

    /// As `vs load` reads it.
    pub(crate) fn text(self) -> String {
        let keys = match self {
            Self::Pidns => "proc = \"pidns\"".to_owned(),
            Self::Plain | Self::Barrier => "proc = \"plain\"".to_owned(),
            // In the host's tree, whose `/run` is everybody's; a context of its own tree has another one there.
            Self::Files => "proc = \"plain\"\ndirectories = [\"/run\"]".to_owned(),
            Self::Addresses | Self::Strict => {
                let [four, six] = Family::ALL.map(|family| Place::Guest.ends(family).server);
                let receive = if self == Self::Strict { "strict" } else { "kernel" };
                format!("proc = \"pidns\"\naddresses = [\"{four}\", \"{six}\"]\nreceive = {receive:?}")
            }
        };
        // No path that is measured leads there.
        let host = if self == Self::Barrier { "[host]\nbarriers = [\"/tmp\"]\n" } else { "" };
        format!("{host}[context.{}]\nxid = 2\n{keys}\n", self.context())
    }

    /// Whether there is somebody with addresses.
    pub(crate) fn has_addresses(self) -> bool {
        matches!(self, Self::Addresses | Self::Strict)
    }

    /// What is measured under it.
    pub(crate) fn operations(self) -> Vec<&'static Operation> {
        match self {
            Self::Pidns | Self::Plain => OPERATIONS.iter().collect(),
            Self::Addresses => {
                let files = OPERATIONS.iter().filter(|operation| operation.name == network::FILE);
                network::OPERATIONS.iter().chain(files).collect()
            }
            Self::Strict => {
                network::OPERATIONS.iter().filter(|operation| operation.name.starts_with("send")).collect()
            }
            Self::Files => {
                OPERATIONS.iter().filter(|operation| operation.name.ends_with("5 components")).collect()
            }
            Self::Barrier => {
                let all = OPERATIONS.iter().filter(|operation| operation.name.ends_with("5 components"));
                DEPTHS.iter().chain(all).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let mut names: Vec<&str> = OPERATIONS
            .iter()
            .chain(DEPTHS)
            .chain(network::OPERATIONS)
            .map(|operation| operation.name)
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn opening_a_file_is_measured_with_addresses() {
        assert_eq!(Policy::Addresses.operations().len(), network::OPERATIONS.len() + 1);
    }
}
