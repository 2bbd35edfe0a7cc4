//! `vs policy check`: is it a policy, and if not, everything that is wrong with it.

use std::path::PathBuf;

use serde::Serialize;

use super::network::NetworkAnswer;
use super::{PlaceAnswer, compile_first, contexts_text, write_wrapped};
use crate::cli::output::Output;
use crate::cli::{CommandResult, Failure, exit_code, policy_files};
use crate::compile::MapEntries;
use crate::policy::{ContextPolicy, PolicyErrors, parse};

/// The answer.
#[derive(Serialize, Debug)]
struct CheckAnswer {
    is_valid: bool,
    /// Contexts, the spectator aside; 0 for a policy that is not valid.
    contexts: usize,
    has_spectator: bool,
    /// The contexts that have addresses of their own.
    networks: Vec<ContextNetwork>,
    /// SHA-256 over the files in the order given; `None` for a policy that is not valid.
    digest: Option<String>,
    errors: Vec<ErrorAnswer>,
}

/// One context with addresses.
#[derive(Serialize, Debug)]
struct ContextNetwork {
    xid: u32,
    name: String,
    #[serde(flatten)]
    network: NetworkAnswer,
}

impl ContextNetwork {
    fn of(context: &ContextPolicy, entries: &MapEntries) -> Option<Self> {
        let network = NetworkAnswer::of(context, entries)?;
        Some(Self { xid: context.xid().value().0, name: context.name().to_string(), network })
    }
}

/// One error.
#[derive(Serialize, Debug)]
struct ErrorAnswer {
    #[serde(flatten)]
    place: PlaceAnswer,
    /// What is wrong and how to cure it.
    message: String,
}

pub(super) fn run(files: &[PathBuf], output: Output) -> CommandResult {
    let policy = match parse(&policy_files::read(files)?) {
        Ok(policy) => policy,
        Err(errors) if output.is_json => {
            output.answer(&refusal(&errors), |_, _| Ok(()))?;
            return Ok(exit_code::BAD_POLICY);
        }
        Err(errors) => return Err(Failure::new(exit_code::BAD_POLICY, errors)),
    };
    let entries = compile_first(&policy).map_err(|error| Failure { code: exit_code::BAD_POLICY, error })?;
    let answer = CheckAnswer {
        is_valid: true,
        contexts: policy.contexts().len(),
        has_spectator: policy.spectator().is_some(),
        networks: policy.contexts().filter_map(|context| ContextNetwork::of(context, &entries)).collect(),
        digest: Some(policy.digest().to_string()),
        errors: Vec::new(),
    };
    output.answer(&answer, |answer, out| {
        let spectator = if answer.has_spectator { " and the spectator" } else { "" };
        writeln!(out, "valid: {}{spectator}", contexts_text(answer.contexts))?;
        answer.networks.iter().try_for_each(|context| {
            write_wrapped(out, &format!("context {}: ", context.name), &context.network.line)
        })
    })?;
    Ok(exit_code::SUCCESS)
}

/// The answer for a policy that is not valid.
fn refusal(errors: &PolicyErrors) -> CheckAnswer {
    let errors = errors.as_slice().iter().map(|error| ErrorAnswer {
        place: PlaceAnswer::of(&error.place),
        message: error.problem.to_string(),
    });
    CheckAnswer {
        is_valid: false,
        contexts: 0,
        has_spectator: false,
        networks: Vec::new(),
        digest: None,
        errors: errors.collect(),
    }
}
