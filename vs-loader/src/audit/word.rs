//! A member of one of the kernel side's closed sets, by its word; or by its number, if this version has no word for it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::printable::Printable;

/// In JSON a string, or a number where there is no word: a record of a newer kernel side stays readable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Word {
    /// The word.
    Known(Printable),
    /// The number without a word.
    Number(u64),
}

impl Word {
    /// The word for a number, if there is one.
    pub fn new(name: Option<&str>, number: impl Into<u64>) -> Self {
        name.map_or_else(|| Self::Number(number.into()), |name| Self::Known(Printable::from_escaped(name)))
    }

    /// Whether it is this word.
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Self::Known(word) if word.as_str() == name)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(word) => word.fmt(f),
            Self::Number(number) => f.pad(&number.to_string()),
        }
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(word) => word.serialize(serializer),
            Self::Number(number) => serializer.serialize_u64(*number),
        }
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Word;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, or its number")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Word, E> {
                Ok(Word::Known(Printable::from_escaped(word)))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Word, E> {
                Ok(Word::Number(number))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_string_and_a_number_a_number() {
        for (word, json) in [
            (Word::new(Some("task_kill"), 2_u16), "\"task_kill\""),
            (Word::new(None, 999_u16), "999"),
            (Word::Number(u64::MAX), "18446744073709551615"),
        ] {
            assert_eq!(serde_json::to_string(&word).unwrap(), json);
            assert_eq!(serde_json::from_str::<Word>(json).unwrap(), word);
        }
        assert!(serde_json::from_str::<Word>("-1").is_err());
        assert!(serde_json::from_str::<Word>("null").is_err());
    }
}
