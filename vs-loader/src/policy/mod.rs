//! From the bytes of policy files to a policy that is valid by construction. Pure: no aya, no I/O.
//!
//! ```text
//! PolicySource --read--> PolicyDocument --validate--> Policy
//! ```
//!
//! Nothing stops at the first error: a file is read on after an error of syntax as far as the parser can, every table of every file is
//! validated, and what is found is reported together, each error with file, line, column and cure ([`PolicyErrors`]).

mod capabilities;
pub mod document;
mod error;
mod files;
mod model;
mod network;
mod network_error;
mod place;
mod port;
mod prefix;
mod read;
mod syntax;
mod validate;

pub use capabilities::{
    CapabilityPolicy, CapabilityProblem, capabilities_text, capability_named, capability_names,
};
pub use error::{NameError, PolicyError, PolicyErrors, Problem, nearest, nearest_of};
pub use files::{Directory, FilesPolicy, FilesProblem};
pub(crate) use model::pad;
pub use model::{Confine, ContextName, ContextPolicy, Digest, Policy, RecordRate, Rule, SpectatorPolicy};
pub use network::{HostNetworkPolicy, Loopback, NetworkPolicy, RawProtocol, Receive};
pub use network_error::NetworkProblem;
pub use place::{Place, PolicySource};
pub use port::{PortPolicy, PortRange, PortSet, Protocol};
pub use prefix::{Claims, Overlap, Prefix, to_address, to_ip};

/// Makes one policy of all files given.
///
/// # Errors
/// Everything that is wrong with them.
pub fn parse(sources: &[PolicySource]) -> Result<Policy, PolicyErrors> {
    let mut errors = Vec::new();
    let documents: Vec<_> =
        sources.iter().enumerate().map(|(index, source)| read::read(source, index, &mut errors)).collect();
    validate::validate(documents, Digest::of(sources), errors)
}

#[cfg(test)]
mod tests;
