//! A policy file as it is written: its tables and values with their places, before anything is known about their meaning.
//!
//! What could not be read is [`Field::Faulty`]: it has been reported, and what it would have meant is not guessed at.

use std::fmt;

use super::error::Quoted;
use super::place::{Located, Place};

/// A key's value in a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Field<T> {
    /// The key is not there.
    Absent,
    /// It is there, and its error has been reported.
    Faulty,
    /// It is there.
    Given(Located<T>),
}

impl<T> Field<T> {
    /// Where the value is, if it could be read.
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::Given(located) => Some(&located.place),
            Self::Absent | Self::Faulty => None,
        }
    }
}

/// An integer as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Number {
    /// Its value; `None`: it has more than 64 bits.
    pub value: Option<i64>,
    /// Its digits, with the prefix of its base.
    pub text: String,
}

/// One policy file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyDocument {
    /// The file's first character.
    pub start: Place,
    /// Whether it was parsed without an error of syntax. If not, keys may be missing that are there.
    pub is_whole: bool,
    /// `[host]`.
    pub host: Option<HostTable>,
    /// `[spectator]`.
    pub spectator: Option<SpectatorTable>,
    /// Every `[context.NAME]`, by place.
    pub contexts: Vec<ContextTable>,
}

/// `[host]`: what holds for all contexts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostTable {
    /// Where the table is.
    pub place: Place,
    /// `proc_lock`.
    pub proc_lock: Field<bool>,
    /// `addresses`.
    pub addresses: Field<Vec<Field<String>>>,
    /// `primary`; a text alone is a list of one.
    pub primary: Field<Vec<Field<String>>>,
    /// `any_ports`.
    pub any_ports: Field<Vec<Field<String>>>,
    /// `directories`.
    pub directories: Field<Vec<Field<String>>>,
    /// `barriers`.
    pub barriers: Field<Vec<Field<String>>>,
}

/// `[spectator]`: xid 1 is usable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpectatorTable {
    /// Where the table is.
    pub place: Place,
    /// `description`.
    pub description: Field<String>,
    /// `records_per_second`.
    pub records_per_second: Field<Number>,
    /// `record_burst`.
    pub record_burst: Field<Number>,
}

/// `[context.NAME]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContextTable {
    /// Its name and where that is.
    pub name: Located<String>,
    /// `xid`.
    pub xid: Field<Number>,
    /// `mode`.
    pub mode: Field<String>,
    /// `proc`.
    pub proc: Field<String>,
    /// `confine`.
    pub confine: Field<String>,
    /// `description`.
    pub description: Field<String>,
    /// `records_per_second`.
    pub records_per_second: Field<Number>,
    /// `record_burst`.
    pub record_burst: Field<Number>,
    /// `root`.
    pub root: Field<String>,
    /// `barrier`.
    pub barrier: Field<bool>,
    /// `directories`. Of a list each text is read for itself, so that one faulty one hides no other.
    pub directories: Field<Vec<Field<String>>>,
    /// `shared_write`.
    pub shared_write: Field<bool>,
    /// `capabilities`; a text alone is a list of one, as with the next.
    pub capabilities: Field<Vec<Field<String>>>,
    /// `capabilities_max`.
    pub capabilities_max: Field<Vec<Field<String>>>,
    /// `context_capabilities`.
    pub context_capabilities: Field<Vec<Field<String>>>,
    /// What is about its addresses.
    pub network: NetworkKeys,
}

/// The keys of `[context.NAME]` about its addresses. Of a list each text is read for itself, so that one faulty one hides no other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkKeys {
    /// `addresses`.
    pub addresses: Field<Vec<Field<String>>>,
    /// `primary`; a text alone is a list of one.
    pub primary: Field<Vec<Field<String>>>,
    /// `loopback`.
    pub loopback: Field<String>,
    /// `multicast`.
    pub multicast: Field<bool>,
    /// `broadcast`.
    pub broadcast: Field<bool>,
    /// `show_any`.
    pub show_any: Field<bool>,
    /// `ping`.
    pub ping: Field<bool>,
    /// `receive`.
    pub receive: Field<String>,
    /// `raw`.
    pub raw: Field<Vec<Field<String>>>,
    /// `assign`.
    pub assign: Field<String>,
    /// `shared`.
    pub shared: Field<bool>,
    /// `bind_allow`.
    pub bind_allow: Field<Vec<Field<String>>>,
    /// `bind_deny`.
    pub bind_deny: Field<Vec<Field<String>>>,
    /// `connect_allow`.
    pub connect_allow: Field<Vec<Field<String>>>,
    /// `connect_deny`.
    pub connect_deny: Field<Vec<Field<String>>>,
}

/// How messages call a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TableName {
    /// The file itself.
    Top,
    /// `[host]`.
    Host,
    /// `[spectator]`.
    Spectator,
    /// `[context.NAME]`.
    Context(String),
}

impl TableName {
    /// The keys that it may have.
    pub const fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Top => &["host", "spectator", "context"],
            Self::Host => &["proc_lock", "addresses", "primary", "any_ports", "directories", "barriers"],
            Self::Spectator => &["description", "records_per_second", "record_burst"],
            Self::Context(_) => &[
                "xid",
                "mode",
                "proc",
                "confine",
                "description",
                "records_per_second",
                "record_burst",
                "root",
                "barrier",
                "directories",
                "shared_write",
                "capabilities",
                "capabilities_max",
                "context_capabilities",
                "addresses",
                "primary",
                "loopback",
                "multicast",
                "broadcast",
                "show_any",
                "ping",
                "receive",
                "raw",
                "assign",
                "shared",
                "bind_allow",
                "bind_deny",
                "connect_allow",
                "connect_deny",
            ],
        }
    }

    /// How a header is written for a table that has this key, if some table has.
    pub(super) fn home(key: &str) -> Option<&'static str> {
        let tables = [(Self::Context(String::new()), "[context.NAME]"), (Self::Host, "[host]")];
        tables.into_iter().find(|(table, _)| table.keys().contains(&key)).map(|(_, header)| header)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => f.write_str("top level"),
            Self::Host => f.write_str("[host]"),
            Self::Spectator => f.write_str("[spectator]"),
            Self::Context(name) => write!(f, "context {}", Quoted(name)),
        }
    }
}
