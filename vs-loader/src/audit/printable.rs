//! Text that came from processes, made safe to print and to read back.
//!
//! A process chooses its name (`prctl(PR_SET_NAME)`), its executable's name and the names of files: any bytes but zero. Written
//! as they are they would forge lines, move the cursor of whoever reads the audit, or hide what they say behind bidirectional
//! marks. So they are escaped once, where they enter, and a [`Printable`] cannot be made in any other way.

use std::fmt::{self, Write};

use serde::{Deserialize, Deserializer, Serialize};

/// Text without control characters, invisible characters and bidirectional marks, in which `\xNN` stands for a byte that is none
/// of the printable ones and `\\` for a backslash. Different bytes always become different text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
pub struct Printable(String);

impl Printable {
    /// Escapes bytes as the kernel or a process gave them.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character == '\\' {
                    text.push_str("\\\\");
                } else {
                    push(&mut text, character);
                }
            }
            chunk.invalid().iter().for_each(|byte| push_byte(&mut text, *byte));
        }
        Self(text)
    }

    /// Escapes a field that is padded with zeros: what stands before the first one.
    pub fn from_padded(field: &[u8]) -> Self {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        Self::from_bytes(&field[..end])
    }

    /// Takes over text that was escaped before, as it stands in a line of the audit. Should it hold something unprintable all
    /// the same (a line that somebody else wrote), that is escaped now; backslashes stay.
    pub fn from_escaped(escaped: &str) -> Self {
        let mut text = String::with_capacity(escaped.len());
        escaped.chars().for_each(|character| push(&mut text, character));
        Self(text)
    }

    /// The escaped text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Printable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Printable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_escaped(&String::deserialize(deserializer)?))
    }
}

fn push(text: &mut String, character: char) {
    if is_printable(character) {
        text.push(character);
    } else {
        let mut buffer = [0; 4];
        character.encode_utf8(&mut buffer).bytes().for_each(|byte| push_byte(text, byte));
    }
}

fn push_byte(text: &mut String, byte: u8) {
    // Writing to a `String` cannot fail.
    let _ = write!(text, "\\x{byte:02x}");
}

/// Whether a character shows itself and nothing else: no control character (C0, DEL, C1), no line or paragraph separator, none
/// of Unicode's default-ignorable or format characters, which are invisible or change the direction of what follows.
const fn is_printable(character: char) -> bool {
    !matches!(character,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_printable_stays() {
        assert_eq!(
            Printable::from_bytes("kworker/0:1 größe 進程".as_bytes()).as_str(),
            "kworker/0:1 größe 進程"
        );
    }

    #[test]
    fn what_would_move_the_cursor_forge_a_line_or_hide_is_escaped() {
        for (bytes, text) in [
            (&b"a\x1b[2Jb"[..], "a\\x1b[2Jb"),
            (b"one\ntwo\r", "one\\x0atwo\\x0d"),
            ("\u{202e}cod.exe".as_bytes(), "\\xe2\\x80\\xaecod.exe"),
            ("\u{9b}31m".as_bytes(), "\\xc2\\x9b31m"),
            (b"\xff\xfe", "\\xff\\xfe"),
            (b"back\\slash", "back\\\\slash"),
        ] {
            assert_eq!(Printable::from_bytes(bytes).as_str(), text);
        }
    }

    #[test]
    fn padding_ends_at_the_first_zero() {
        assert_eq!(Printable::from_padded(b"nginx\0\0leftover").as_str(), "nginx");
        assert_eq!(Printable::from_padded(b"").as_str(), "");
        assert_eq!(Printable::from_padded(b"full").as_str(), "full");
    }

    fn unescape(text: &str) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
        while let Some((first, after)) = rest.split_first() {
            rest = match (first, after) {
                (b'\\', [b'\\', after @ ..]) => {
                    bytes.push(b'\\');
                    after
                }
                (b'\\', [b'x', high, low, after @ ..]) => {
                    let digits = [*high, *low];
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                    after
                }
                _ => {
                    bytes.push(*first);
                    after
                }
            };
        }
        bytes
    }

    proptest! {
        #[test]
        fn bytes_can_be_told_from_the_text(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let text = Printable::from_bytes(&bytes);
            prop_assert!(text.as_str().chars().all(is_printable));
            prop_assert_eq!(unescape(text.as_str()), bytes);
            // Read back from a line it is the same text.
            prop_assert_eq!(Printable::from_escaped(text.as_str()), text);
        }

        #[test]
        fn text_from_a_line_is_printable_whatever_stood_there(text in any::<String>()) {
            let printable = Printable::from_escaped(&text);
            prop_assert!(printable.as_str().chars().all(is_printable));
        }
    }
}
