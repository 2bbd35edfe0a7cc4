//! The question: who tries what on what.

use std::net::IpAddr;

use crate::compile::act::{Act, FileKind, Operand};
use crate::policy::PortRange;

/// How a process stands to its context.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Standing {
    /// It runs in it.
    #[default]
    Member,
    /// It has its tag and has not yet executed its program.
    Entering,
    /// It is left from an earlier use of the xid.
    Stale,
}

/// Who tries what on what, in words.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Question {
    /// `host`, `spectator`, `unknown` or a context's name.
    pub actor: String,
    /// An [`Act`]'s name.
    pub act: String,
    /// Whose process: words as for the actor.
    pub target: Option<String>,
    /// How the target stands to its context.
    pub standing: Standing,
    /// A [`FileKind`]'s name.
    pub file: Option<String>,
    /// Where a file of an ordinary kind lies, in place of its kind.
    pub path: Option<String>,
    /// A capability's number.
    pub capability: Option<u32>,
    /// A [`super::super::act::SocketKind`]'s name.
    pub socket: Option<String>,
    /// An address.
    pub address: Option<IpAddr>,
    /// Whether the socket is for IPv6 only.
    pub is_v6_only: bool,
    /// A protocol and its port.
    pub port: Option<PortRange>,
}

/// Why a question has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuestionError {
    /// The policy has no such context.
    #[error("the policy has no context {name:?}{}; it has: {known}", nearest.as_ref().map(|name| format!(", did you mean {name:?}?")).unwrap_or_default())]
    NoSuchContext {
        /// What was asked for.
        name: String,
        /// What it resembles.
        nearest: Option<String>,
        /// Every party there is.
        known: String,
    },
    /// The policy has no spectator.
    #[error("the policy has no spectator; add a table [spectator]")]
    NoSpectator,
    /// No such act.
    #[error("there is no act {0:?}; see --list-acts")]
    NoSuchAct(String),
    /// No such kind of file.
    #[error("there is no kind of file {0:?}; see --list-acts")]
    NoSuchFile(String),
    /// No such kind of socket.
    #[error("there is no kind of socket {0:?}; see --list-acts")]
    NoSuchSocket(String),
    /// Something is missing.
    #[error("the act {act} needs {option}, {meaning}")]
    Missing {
        /// The act.
        act: &'static str,
        /// The option.
        option: &'static str,
        /// What it is.
        meaning: &'static str,
    },
    /// Something is too much.
    #[error("the act {act} has no use for {option}; leave it out")]
    Superfluous {
        /// The act.
        act: &'static str,
        /// The option.
        option: &'static str,
    },
}

/// Whether the question has what the act needs, and nothing else.
pub(super) fn check_operands(
    act: &'static Act,
    question: &Question,
    file: Option<&FileKind>,
) -> Result<(), QuestionError> {
    let needs_file = act.operand == Operand::File;
    let needs_target = act.operand == Operand::Process || file.is_some_and(|file| file.has_process);
    let needs_capability = act.operand == Operand::Capability;
    let needs_address = act.operand == Operand::Address;
    let is_ipv6 = question.address.is_some_and(|address| address.is_ipv6());
    let options = [
        (
            needs_file,
            question.file.is_some() || (needs_file && question.path.is_some()),
            "--file",
            "the kind of file, or --path",
        ),
        (false, question.path.is_some() && (!needs_file || question.file.is_some()), "--path", ""),
        (needs_target, question.target.is_some(), "--target", "whose process"),
        (needs_capability, question.capability.is_some(), "--capability", "which capability"),
        (act.operand == Operand::Socket, question.socket.is_some(), "--socket", "the kind of socket"),
        (needs_address, question.address.is_some(), "--address", "which address"),
        (false, question.is_v6_only && !(act.is_bind() && is_ipv6), "--v6-only", ""),
        (false, question.port.is_some() && !needs_address, "--port", ""),
        (false, question.standing != Standing::Member && !needs_target, "--standing", ""),
    ];
    for (is_needed, is_given, option, meaning) in options {
        match (is_needed, is_given) {
            (true, false) => return Err(QuestionError::Missing { act: act.name, option, meaning }),
            (false, true) => return Err(QuestionError::Superfluous { act: act.name, option }),
            _ => {}
        }
    }
    Ok(())
}
