//! What the programs denied, from the ring buffer to a line of the audit.
//!
//! The journey, one module per hop: [`stream`] takes bytes out of the pinned ring buffer, [`decode`] makes a
//! [`vs_common::violation::Violation`] of them, [`enrich`] an [`AuditRecord`] with names, [`collector`] adds what was counted
//! instead of recorded ([`lost`]), and [`sink`]s write it: JSON lines ([`json`], [`mod@file`]), the journal ([`journal`]), people
//! ([`text`]), programs that attach ([`follow`]). What other commands do (load, enter, ...) comes in through [`spool`] by
//! [`mod@announce`]. [`keeper`] holds it all together without knowing about time or sockets; [`summary`] reads the lines again.
//!
//! Invariants:
//! - Nothing is dropped without a number: every violation ends as a record, in a `repeated` field, or in the count of a record of
//!   the kinds `repeated`, `suppressed`, `lost`, `unreadable` or `sink-recovered`.
//! - No byte from outside panics this code or reaches a terminal unescaped ([`printable`]).
//! - The ring has one owner, whoever holds the lock of [`directory`]; a record leaves the ring only after it was handed to every
//!   sink, so the owner's sudden death repeats a record at most and loses none.
//! - No verdict depends on anything here.

pub mod announce;
pub mod collector;
pub mod control;
pub mod decode;
pub mod detail;
pub mod device;
pub mod directory;
pub mod enrich;
pub mod file;
pub mod follow;
pub mod journal;
pub mod json;
pub mod keeper;
pub mod lost;
pub mod names;
mod network;
pub mod printable;
pub mod record;
pub mod saved;
pub mod sink;
pub mod spool;
pub mod stream;
pub mod summary;
pub mod text;
pub mod time;
pub mod word;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod samples;

pub use announce::{AnnounceError, Announcement, announce};
pub use record::{AuditRecord, Event};
