//! Addresses on the command line: what they would be in a policy file, by the same rules.

use std::fmt::Write as _;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::cli::{Failure, exit_code};
use crate::policy::{ContextPolicy, NetworkPolicy, PolicySource, parse};

/// The addresses of a new context.
#[derive(Args, PartialEq, Eq, Clone, Debug, Default)]
pub(in crate::cli) struct Addresses {
    /// Give the new context this address or prefix of the host's, and none but those given. May be repeated; the first of each family is the primary one.
    #[arg(long = "address", value_name = "ADDRESS[/LENGTH]")]
    pub(in crate::cli) addresses: Vec<String>,
    /// What loopback is to the new context; private by default.
    #[arg(long, value_name = "WORD", value_parser = PossibleValuesParser::new(["private", "shared", "none"]))]
    pub(in crate::cli) loopback: Option<String>,
}

impl Addresses {
    /// What a policy would say; `None`: the context uses the host's.
    ///
    /// # Errors
    /// What a policy file would be refused for.
    pub(in crate::cli) fn policy(&self) -> Result<Option<NetworkPolicy>, Failure> {
        if *self == Self::default() {
            return Ok(None);
        }
        self.with(&[]).map(Some)
    }

    /// The same with keys more that are set.
    ///
    /// # Errors
    /// What a policy file would be refused for.
    pub(in crate::cli) fn with(&self, grants: &[&str]) -> Result<NetworkPolicy, Failure> {
        let list: Vec<_> =
            self.addresses.iter().map(|text| toml::Value::String(text.clone()).to_string()).collect();
        let mut text = format!("[context.new]\nxid = 2\naddresses = [{}]\n", list.join(", "));
        if let Some(loopback) = &self.loopback {
            let _ = writeln!(text, "loopback = \"{loopback}\"");
        }
        for grant in grants {
            let _ = writeln!(text, "{grant} = true");
        }
        let bad = |text: String| Failure { code: exit_code::USAGE, error: anyhow::anyhow!(text) };
        let policy = parse(&[PolicySource::new("--address", text)]).map_err(|errors| {
            let lines: Vec<_> = errors.as_slice().iter().map(|error| error.problem.to_string()).collect();
            bad(lines.join("\n"))
        })?;
        let network = policy.context_named("new").and_then(ContextPolicy::network).cloned();
        network.ok_or_else(|| bad("no addresses".to_owned()))
    }
}
