//! A record as one line of JSON, and back.

use serde::Deserialize;

use super::record::{AuditRecord, SCHEMA};

/// Bytes of a line, more than any record has: a reader takes what is longer for damage.
pub const MAX_LINE: usize = 64 * 1024;

/// Why a line is no record.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Written by another version.
    #[error("record of schema {0}, this is a reader of schema {SCHEMA}: read it with the vs that wrote it")]
    UnknownSchema(u32),
    /// No record at all: cut off, or written by something else.
    #[error("no audit record: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// The record without a line break; there is none inside either, JSON escapes it.
///
/// # Panics
/// Never: a record is made of numbers, texts and structures of them, and none of these refuses to be written.
pub fn line(record: &AuditRecord) -> String {
    serde_json::to_string(record).expect("a record has string keys and nothing that refuses to be written")
}

/// Reads one line.
///
/// # Errors
/// It is no record of this schema. A field that this version does not know is no error.
pub fn parse(line: &str) -> Result<AuditRecord, LineError> {
    #[derive(Deserialize)]
    struct Probe {
        schema: u32,
    }
    match serde_json::from_str::<Probe>(line)?.schema {
        SCHEMA => Ok(serde_json::from_str(line)?),
        other => Err(LineError::UnknownSchema(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::samples;
    use proptest::prelude::*;

    #[test]
    fn golden_lines() {
        let lines: Vec<_> = samples::all().iter().map(line).collect();
        insta::assert_snapshot!("json_lines", lines.join("\n"));
    }

    #[test]
    fn every_line_reads_back_as_the_same_record() {
        for record in samples::all() {
            let text = line(&record);
            assert!(!text.contains('\n') && text.len() < MAX_LINE);
            assert_eq!(parse(&text).unwrap(), record, "{text}");
            assert!(text.contains(&format!("\"kind\":\"{}\"", record.event.kind())), "{text}");
        }
    }

    #[test]
    fn other_schemas_and_damage_are_told_apart() {
        assert!(matches!(parse("{\"schema\":2,\"kind\":\"news\"}"), Err(LineError::UnknownSchema(2))));
        assert!(matches!(parse("{\"schema\":1,\"kind\":\"news\"}"), Err(LineError::Malformed(_))));
        assert!(matches!(parse("{\"schema\":1,\"ti"), Err(LineError::Malformed(_))));
        assert!(matches!(parse(""), Err(LineError::Malformed(_))));
    }

    #[test]
    fn a_field_added_later_is_no_error() {
        let record = &samples::all()[0];
        let text = line(record).replacen("\"schema\":1,", "\"schema\":1,\"colour\":\"red\",", 1);
        assert_eq!(&parse(&text).unwrap(), record);
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
