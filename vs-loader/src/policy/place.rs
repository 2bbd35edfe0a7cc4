//! Where in a policy file something stands: every error and every rule can be pointed at.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One policy file: its name for messages and its bytes. Reading it is the caller's part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicySource {
    /// What the operator calls the file: the path as given, or `<stdin>`.
    pub name: String,
    /// All of it.
    pub contents: Vec<u8>,
}

impl PolicySource {
    /// A file by its name and its contents.
    pub fn new(name: impl Into<String>, contents: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), contents: contents.into() }
    }
}

/// A line and a column of one of the policy files given. Sorts by the order in which the files were given, then by position.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// Which of the files given, from 0.
    index: usize,
    line: usize,
    column: usize,
    file: Arc<str>,
}

impl Place {
    /// The file's name as given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The column in characters (Unicode scalar values), from 1.
    pub const fn column(&self) -> usize {
        self.column
    }

    /// Which of the files given it is in, from 0.
    pub const fn file_index(&self) -> usize {
        self.index
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A file's name may hold anything but a zero; a terminal must not obey it.
        for c in self.file.chars() {
            match c {
                '"' | '\'' | '\\' => write!(f, "{c}")?,
                _ => write!(f, "{}", c.escape_debug())?,
            }
        }
        write!(f, ":{}:{}", self.line, self.column)
    }
}

/// A value and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// Turns byte offsets into places.
///
/// Characters are counted up to every [`BLOCK`]th byte once, so that a place costs the same wherever it is: a file of one long line
/// with an error in every word is refused as fast as any other.
pub(crate) struct Places {
    index: usize,
    file: Arc<str>,
    contents: Vec<u8>,
    /// Where each line begins.
    lines: Vec<usize>,
    /// Characters before each block, and in all.
    characters: Vec<usize>,
}

/// Bytes between two counts of characters.
const BLOCK: usize = 256;

/// How many characters of UTF-8 begin in `bytes`.
fn count_characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).count()
}

impl Places {
    /// For the file that was given as number `index`, from 0.
    pub(crate) fn new(index: usize, name: &str, contents: &[u8]) -> Self {
        let line_ends = contents.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        let mut characters = vec![0];
        for (number, block) in contents.chunks(BLOCK).enumerate() {
            characters.push(characters[number] + count_characters(block));
        }
        Self {
            index,
            file: name.into(),
            contents: contents.to_vec(),
            lines: std::iter::once(0).chain(line_ends).collect(),
            characters,
        }
    }

    /// Characters before the byte at `offset`, which is at most the length.
    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        self.characters[block] + count_characters(&self.contents[block * BLOCK..offset])
    }

    /// The place of the byte at `offset`; what lies behind the end is at the end.
    pub(crate) fn at(&self, offset: usize) -> Place {
        let offset = offset.min(self.contents.len());
        let line = self.lines.partition_point(|start| *start <= offset);
        let column = self.characters_before(offset) - self.characters_before(self.lines[line - 1]) + 1;
        Place { index: self.index, line, column, file: Arc::clone(&self.file) }
    }

    /// The place where a span begins.
    pub(crate) fn of(&self, span: &Range<usize>) -> Place {
        self.at(span.start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(text: &str, offset: usize) -> (usize, usize) {
        let place = Places::new(0, "p", text.as_bytes()).at(offset);
        (place.line(), place.column())
    }

    #[test]
    fn counts_lines_and_characters_from_one() {
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("ab\ncd", 0), (1, 1));
        assert_eq!(position("ab\ncd", 2), (1, 3));
        assert_eq!(position("ab\ncd", 3), (2, 1));
        assert_eq!(position("ab\ncd\n", 6), (3, 1));
        assert_eq!(position("ab", 99), (1, 3));
        assert_eq!(position("# äöü\nx = \"€\" y", 9), (2, 1));
        assert_eq!(position("€€ y", 7), (1, 4));
    }

    #[test]
    fn sorts_by_file_given_then_position() {
        let first = Places::new(0, "z.toml", b"a\nb");
        let second = Places::new(1, "a.toml", b"a\nb");
        let mut places = [second.at(0), first.at(2), first.at(0), second.at(1)];
        places.sort();
        let shown: Vec<_> = places.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["z.toml:1:1", "z.toml:2:1", "a.toml:1:1", "a.toml:1:2"]);
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        let place = Places::new(0, "a\u{1b}[2J\nb", b"").at(0);
        assert_eq!(place.to_string(), "a\\u{1b}[2J\\nb:1:1");
    }

    proptest! {
        #[test]
        fn agrees_with_counting_by_hand(text in "(?s)[aä€𝄞\n]{0,700}", at in 0..800usize) {
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            let before = &text[..at];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
            prop_assert_eq!(position(&text, at), (line, column));
        }

        #[test]
        fn no_bytes_make_it_panic(contents in proptest::collection::vec(any::<u8>(), 0..600), at in 0..700usize) {
            Places::new(0, "p", &contents).at(at);
        }
    }
}
