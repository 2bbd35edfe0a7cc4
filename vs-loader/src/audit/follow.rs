//! What a follower and the owner of the ring say to each other, one JSON object per line, and what a follower shows of it.
//!
//! The follower sends one [`Request::Follow`]; the owner answers with one [`Frame::Greeting`] and then a [`Frame::Record`] for each record,
//! beginning with the last ones it remembers, as many as were asked for. A follower that does not keep up is told by a
//! [`Frame::Cut`] how many it missed, and let go: nobody waits for it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::control::Role;
use super::record::{AuditRecord, Event, Lost};
use super::time::Time;

/// The version of the protocol.
pub const PROTOCOL: u32 = 1;
/// Records that the owner of the ring remembers for those who attach.
pub const REMEMBERED: usize = 1024;
/// Records that may wait for a follower before it is let go: more than a full ring gives at once.
pub const MAX_BEHIND: usize = 4608;
/// Followers at a time.
pub const MAX_FOLLOWERS: usize = 16;
/// Bytes of a request.
pub const MAX_REQUEST: usize = 1024;

/// What is asked of the owner of the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// To be sent records.
    Follow {
        /// [`PROTOCOL`].
        version: u32,
        /// How many of the remembered records to begin with.
        last: usize,
    },
    /// To read the ring to its end and all counters, and to say when that is done: who asks is about to remove some of them.
    Settle {
        /// [`PROTOCOL`].
        version: u32,
    },
}

impl Request {
    /// The protocol that it is of.
    pub const fn version(self) -> u32 {
        match self {
            Self::Follow { version, .. } | Self::Settle { version } => version,
        }
    }
}

/// What the owner of the ring sends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frame {
    /// First.
    Greeting(Greeting),
    /// A record, as it stands in the sinks: a follower of another version may hand it on without understanding it.
    Record(Box<RawValue>),
    /// Last, to a follower that did not keep up.
    Cut(Cut),
    /// The ring and the counters were read.
    Settled {},
    /// Instead of any of these.
    Refused(Refused),
}

/// Who owns the ring.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Greeting {
    /// [`PROTOCOL`].
    pub version: u32,
    /// Its process.
    pub pid: u32,
    /// What it does.
    pub role: Role,
    /// How many records it remembers.
    pub remembered: usize,
    /// The time of the oldest of them.
    pub oldest: Option<Time>,
}

/// A follower was let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cut {
    /// Records that it was not sent.
    pub missed: u64,
}

/// A request was not granted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    pub why: String,
}

/// The line of a frame, with its line break.
///
/// # Panics
/// Never: a frame is made of numbers, texts and structures of them, and none of these refuses to be written.
pub fn encode(frame: &Frame) -> String {
    let json =
        serde_json::to_string(frame).expect("a frame has string keys and nothing that refuses to be written");
    json + "\n"
}

/// The line of a record's frame. The record's own line is put in as it is.
pub fn encode_record(json: &str) -> String {
    format!("{{\"record\":{json}}}\n")
}

/// Which records a follower shows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Of this context, as actor or as target: its name or its xid.
    pub context: Option<String>,
    /// Of this hook.
    pub hook: Option<String>,
    /// Not older.
    pub since: Option<Time>,
}

impl Filter {
    /// Whether the record is to be shown. What says that the audit itself has gaps is shown whatever context or hook was asked for:
    /// it may be theirs that is missing.
    pub fn shows(&self, record: &AuditRecord) -> bool {
        let is_recent = self.since.is_none_or(|since| record.time >= since);
        is_recent
            && (is_about_the_audit(&record.event) || (self.has_context(record) && self.has_hook(record)))
    }

    fn has_context(&self, record: &AuditRecord) -> bool {
        let Some(wanted) = &self.context else { return true };
        record.contexts().into_iter().flatten().any(|context| {
            context.context.as_ref().is_some_and(|name| name.as_str() == wanted)
                || context.xid.is_some_and(|xid| xid.to_string() == *wanted)
        })
    }

    fn has_hook(&self, record: &AuditRecord) -> bool {
        let Some(wanted) = &self.hook else { return true };
        record.hook().is_some_and(|hook| hook.to_string() == *wanted)
    }
}

const fn is_about_the_audit(event: &Event) -> bool {
    matches!(
        event,
        Event::Lost(Lost::Spool { .. } | Lost::RingHook { .. })
            | Event::Unreadable(_)
            | Event::CollectorGap(_)
            | Event::CollectorTrouble(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::samples;
    use crate::audit::sink::Line;
    use std::collections::BTreeSet;

    #[test]
    fn a_record_goes_through_unchanged() {
        for record in samples::all() {
            let json = &Line::new(record).json;
            let text = encode_record(json);
            let Ok(Frame::Record(raw)) = serde_json::from_str(&text) else { panic!("{text}") };
            assert_eq!(raw.get(), json);
        }
    }

    #[test]
    fn frames_as_lines() {
        let greeting = Greeting {
            version: 1,
            pid: 800,
            role: Role::Collect,
            remembered: 2,
            oldest: Some(samples::now().wall),
        };
        for (frame, line) in [
            (
                Frame::Greeting(greeting),
                r#"{"greeting":{"version":1,"pid":800,"role":"collect","remembered":2,"oldest":"2026-11-21T12:00:00.000000000Z"}}"#,
            ),
            (Frame::Cut(Cut { missed: 7 }), r#"{"cut":{"missed":7}}"#),
            (Frame::Settled {}, r#"{"settled":{}}"#),
            (Frame::Refused(Refused { why: "no".to_owned() }), r#"{"refused":{"why":"no"}}"#),
        ] {
            assert_eq!(encode(&frame), format!("{line}\n"));
        }
    }

    fn shown(filter: &Filter) -> BTreeSet<&'static str> {
        let shown = samples::all().into_iter().filter(|record| filter.shows(record));
        shown.map(|record| record.event.kind()).collect()
    }

    #[test]
    fn a_filter_by_context_keeps_what_concerns_it_and_the_gaps() {
        let web = shown(&Filter { context: Some("web".to_owned()), ..Filter::default() });
        assert!(
            ["violation", "suppressed", "enter", "mode", "collector-gap"]
                .iter()
                .all(|kind| web.contains(kind))
        );
        assert!(!web.contains("load") && !web.contains("collector-start"));
        assert_eq!(shown(&Filter { context: Some("100".to_owned()), ..Filter::default() }), web);
        let nobody = shown(&Filter { context: Some("nobody".to_owned()), ..Filter::default() });
        assert_eq!(nobody, BTreeSet::from(["collector-gap", "collector-trouble", "lost", "unreadable"]));
        // As a target too.
        let host = Filter { context: Some("host".to_owned()), ..Filter::default() };
        assert!(shown(&host).contains("violation"));
    }

    #[test]
    fn a_filter_by_hook() {
        let filter = Filter { hook: Some("sb_mount".to_owned()), ..Filter::default() };
        let shown: Vec<_> = samples::all().into_iter().filter(|record| filter.shows(record)).collect();
        let violations = shown.iter().filter(|record| matches!(record.event, Event::Violation(_)));
        assert_eq!(violations.count(), 1);
    }

    #[test]
    fn a_filter_by_time_holds_for_all() {
        let record = &samples::all()[0];
        let later = Time::from_nanoseconds(record.time.nanoseconds() + 1);
        assert!(Filter { since: Some(record.time), ..Filter::default() }.shows(record));
        assert!(shown(&Filter { since: Some(later), ..Filter::default() }).is_empty());
    }
}
