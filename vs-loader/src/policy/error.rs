//! What can be wrong with a policy. Every error has a place and a cure, and all of them are reported together.

use std::fmt;

use vs_common::id::Xid;
use vs_common::limits::{CONTEXT_NAME_SIZE, MAX_CONTEXTS};

use super::capabilities::CapabilityProblem;
use super::document::TableName;
use super::files::FilesProblem;
use super::network_error::NetworkProblem;
use super::place::Place;

/// One error of a policy, and where it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct PolicyError {
    /// Where.
    pub place: Place,
    /// What, and how to cure it.
    #[source]
    pub problem: Problem,
}

/// What is wrong at one place, and how to cure it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// The bytes are no UTF-8.
    #[error("this is not UTF-8; TOML is UTF-8 text, so save the file as such")]
    NotUtf8,
    /// It is no TOML.
    #[error("TOML syntax: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// A key or table is there more than once in one file.
    #[error("{} is given already{}; keep one of them", Quoted(key), before.as_ref().map(|place| format!(", at {place}")).unwrap_or_default())]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it is given before, if that can be told.
        before: Option<Place>,
    },
    /// No such key.
    #[error("{table}: unknown key {}; {}known keys: {}", Quoted(key), did_you_mean(*nearest), known.join(", "))]
    UnknownKey {
        /// Where it was used.
        table: TableName,
        /// The key.
        key: String,
        /// The known key that it resembles.
        nearest: Option<&'static str>,
        /// The keys of this table.
        known: &'static [&'static str],
    },
    /// A key of another table.
    #[error("{table}: the key {} belongs in {home}; known keys here: {}", Quoted(key), known.join(", "))]
    MisplacedKey {
        /// Where it was used.
        table: TableName,
        /// The key.
        key: String,
        /// Where it belongs.
        home: &'static str,
        /// The keys of this table.
        known: &'static [&'static str],
    },
    /// A value where a table must be.
    #[error("{} must be a table, not {found}; write it as [{}]", Quoted(key), Cut(header))]
    NotATable {
        /// The key.
        key: String,
        /// Its header.
        header: String,
        /// What it is.
        found: &'static str,
    },
    /// A value of another type.
    #[error("{table}: {key} must be {expected}, not {found}")]
    WrongType {
        /// The table.
        table: TableName,
        /// The key.
        key: &'static str,
        /// What it must be, with an example.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A word of which only some are known.
    #[error("{table}: {key} cannot be {}; {}it is one of: {}", Quoted(word), did_you_mean(*nearest), known.join(", "))]
    UnknownWord {
        /// The table.
        table: TableName,
        /// The key.
        key: &'static str,
        /// The word.
        word: String,
        /// The known word that it resembles.
        nearest: Option<&'static str>,
        /// The words.
        known: &'static [&'static str],
    },
    /// A number out of bounds.
    #[error(
        "{table}: {key} = {} is out of bounds; give a number from {least} to {most}, or leave it out for {default}",
        Cut(number)
    )]
    OutOfBounds {
        /// The table.
        table: TableName,
        /// The key.
        key: &'static str,
        /// The number as written.
        number: String,
        /// The least.
        least: u32,
        /// The greatest.
        most: u32,
        /// What it is when left out.
        default: u32,
    },
    /// A context without a number.
    #[error(
        "{table}: xid is missing; add xid = N with a number from {} to {} that no other context has",
        Xid::FIRST_STATIC,
        Xid::LAST_STATIC
    )]
    NoXid {
        /// The context.
        table: TableName,
    },
    /// A number that policy cannot give.
    #[error(
        "{table}: xid {} {why}; give a number from {} to {}",
        Cut(number),
        Xid::FIRST_STATIC,
        Xid::LAST_STATIC
    )]
    UnusableXid {
        /// The context.
        table: TableName,
        /// The number as written.
        number: String,
        /// Why not.
        why: &'static str,
    },
    /// Two contexts with one number.
    #[error(
        "{table}: xid {xid} is that of context {} already, at {first}; give each context a number of its own",
        Quoted(other)
    )]
    DuplicateXid {
        /// The context.
        table: TableName,
        /// The number.
        xid: Xid,
        /// The context that has it.
        other: String,
        /// Where that was given.
        first: Place,
    },
    /// The same table in two files.
    #[error("{table} is defined already, at {first}; keep one of them")]
    DuplicateTable {
        /// The table.
        table: TableName,
        /// Where it was defined first.
        first: Place,
    },
    /// A name that a context cannot have.
    #[error("{table}: a context cannot have this name: {cause}")]
    BadName {
        /// The context.
        table: TableName,
        /// Why not.
        #[source]
        cause: NameError,
    },
    /// A description that cannot be shown on a line.
    #[error("{table}: the description {why}; use one line of at most {most} bytes")]
    BadDescription {
        /// The context.
        table: TableName,
        /// What is wrong with it.
        why: &'static str,
        /// The longest one.
        most: usize,
    },
    /// Something about its addresses.
    #[error("{table}: {cause}")]
    Network {
        /// The context.
        table: TableName,
        /// What.
        #[source]
        cause: NetworkProblem,
    },
    /// Something about its files.
    #[error("{table}: {cause}")]
    Files {
        /// The context.
        table: TableName,
        /// What.
        #[source]
        cause: FilesProblem,
    },
    /// Something about its capabilities.
    #[error("{table}: {cause}")]
    Capabilities {
        /// The context.
        table: TableName,
        /// What.
        #[source]
        cause: CapabilityProblem,
    },
    /// More contexts than the maps hold.
    #[error("this is context number {count}, and there can be {MAX_CONTEXTS}; remove some")]
    TooManyContexts {
        /// How many there are so far.
        count: usize,
    },
    /// Nobody could be in any context.
    #[error("the policy has no context; add a table such as [context.web] with xid = 100, or [spectator]")]
    NoContext,
}

/// Why a text cannot be a context's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// It is empty.
    #[error("it is empty; give it a name of 1 to {CONTEXT_NAME_SIZE} characters")]
    Empty,
    /// It does not fit into the maps.
    #[error("it has {0} bytes; shorten it to {CONTEXT_NAME_SIZE}")]
    TooLong(usize),
    /// The first character.
    #[error("it begins with {0:?}; begin with a letter a-z or a digit")]
    BadStart(char),
    /// Another character.
    #[error("it contains {0:?}; use a-z, 0-9, '_', '.' and '-'")]
    BadCharacter(char),
    /// The name means something already.
    #[error("{0:?} always means something else; choose another")]
    Reserved(&'static str),
}

/// All errors of a policy, in the order of the files and of their lines; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyErrors(Vec<PolicyError>);

/// As many errors as are printed: a file that is no policy at all has thousands.
const SHOWN: usize = 100;

impl PolicyErrors {
    /// The errors, sorted; `None` if there is none.
    pub(super) fn collect(mut errors: Vec<PolicyError>) -> Option<Self> {
        errors.sort_by(|a, b| a.place.cmp(&b.place));
        errors.dedup();
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// The errors, by place.
    pub fn as_slice(&self) -> &[PolicyError] {
        &self.0
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the policy has an error")?,
            count => write!(f, "the policy has {count} errors")?,
        }
        for error in self.0.iter().take(SHOWN) {
            write!(f, "\n{error}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more; cure these first"),
        }
    }
}

impl std::error::Error for PolicyErrors {}

/// Characters of a policy's own text that a message repeats.
const REPEATED: usize = 64;

/// Text from a policy, cut to a length that a message bears, with everything escaped that a terminal could obey.
struct Cut<'a>(&'a str);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = Quoted(self.0).to_string();
        f.write_str(&quoted[1..quoted.len() - 1])
    }
}

/// The same in quotes.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(REPEATED) {
            Some((end, _)) => write!(f, "{:?}", format!("{}...", &self.0[..end])),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// The clause about a nearest word.
fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|word| format!("did you mean {word:?}? ")).unwrap_or_default()
}

/// The known word that is probably meant: one that has the mistyped word as a part, or else the one with the fewest letters to change,
/// at most a third of them. Letter case, and `-` for `_`, do not count.
///
/// ```
/// use vs_loader::policy::nearest;
/// assert_eq!(nearest("prox", &["proc", "mode"]), Some("proc"));
/// assert_eq!(nearest("burst", &["proc", "record_burst"]), Some("record_burst"));
/// assert_eq!(nearest("address", &["proc", "mode"]), None);
/// ```
pub fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    nearest_of(word, known.iter().copied())
}

/// [`nearest`] among words that are not known beforehand.
pub fn nearest_of<'k>(word: &str, known: impl Iterator<Item = &'k str> + Clone) -> Option<&'k str> {
    if word.len() > REPEATED {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    let plain = |known: &str| known.replace('-', "_");
    let distance = |known: &str| strsim::osa_distance(&word, &plain(known));
    if let Some(whole) = known.clone().find(|known| word.len() >= 4 && plain(known).contains(&word)) {
        return Some(whole);
    }
    let nearest = known.min_by_key(|known| distance(known))?;
    (distance(nearest) <= nearest.len().div_ceil(3).min(word.chars().count())).then_some(nearest)
}
