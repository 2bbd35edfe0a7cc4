//! TOML's own errors: all of them, with places; a key that is given twice together with where it was given first.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{PolicyError, Problem};
use super::place::Places;

/// As many errors of one file as are kept: what comes after them follows from them, or the file is no TOML at all.
const KEPT: usize = 1000;
/// As many duplicates of one file as are looked up: each look-up parses what comes before it again.
const LOOKED_UP: usize = 16;
/// What the parser says of a key that is given twice.
const DUPLICATE: &str = "duplicate key";

/// Parses as much as can be parsed and adds what is wrong to `errors`. Returns the tree, and where it is the parser's guess.
pub(super) fn parse<'t>(
    text: &'t str,
    places: &Places,
    errors: &mut Vec<PolicyError>,
) -> (Spanned<DeTable<'t>>, Vec<Range<usize>>) {
    let (tree, found) = DeTable::parse_recoverable(text);
    let mut faults = Vec::new();
    let mut lookups = 0;
    for error in found.iter().take(KEPT) {
        let span = error.span().unwrap_or(0..0);
        let place = places.of(&span);
        let problem = match text.get(span.clone()) {
            Some(key) if error.message() == DUPLICATE => {
                lookups += 1;
                let before = (lookups <= LOOKED_UP).then(|| earlier_use(text, &span, key)).flatten();
                Problem::DuplicateKey { key: key.to_owned(), before: before.map(|span| places.of(&span)) }
            }
            _ => {
                faults.push(span);
                Problem::Syntax { message: error.message().to_owned() }
            }
        };
        errors.push(PolicyError { place, problem });
    }
    (tree, faults)
}

/// Where the key at `duplicate` was given before.
///
/// Both answers are in what comes before the end of the duplicate's line. Of a key the parser keeps the first use, so it is in the tree,
/// in the table whose header comes last before the duplicate. Of a table it keeps the last header, so what comes before that has to be
/// parsed again.
fn earlier_use(text: &str, duplicate: &Range<usize>, key: &str) -> Option<Range<usize>> {
    let line_start = text[..duplicate.start].rfind('\n').map_or(0, |end| end + 1);
    let line_end = text[duplicate.end..].find('\n').map_or(text.len(), |length| duplicate.end + length);
    let (with, _) = DeTable::parse_recoverable(&text[..line_end]);
    let mut path = Vec::new();
    if find_path(with.get_ref(), duplicate, &mut path) {
        let (before, _) = DeTable::parse_recoverable(&text[..line_start]);
        let (last, parents) = path.split_last()?;
        let mut table = before.get_ref();
        for parent in parents {
            table = table.get(parent.as_str())?.get_ref().as_table()?;
        }
        return table.get_key_value(last.as_str()).map(|(key, _)| key.span());
    }
    let mut first = None;
    nearest_use(with.get_ref(), 0, duplicate.start, key, &mut first);
    first.map(|(_, span)| span)
}

/// Finds the keys that lead to the key at `wanted`.
fn find_path(table: &DeTable<'_>, wanted: &Range<usize>, path: &mut Vec<String>) -> bool {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        let is_found = key.span() == *wanted
            || matches!(value.get_ref(), DeValue::Table(inner) if find_path(inner, wanted, path));
        if is_found {
            return true;
        }
        path.pop();
    }
    false
}

/// Finds the use of `key` in the table that begins last before `end`, and where that table begins.
fn nearest_use(
    table: &DeTable<'_>,
    begin: usize,
    end: usize,
    wanted: &str,
    best: &mut Option<(usize, Range<usize>)>,
) {
    for (key, value) in table {
        let is_nearer = best.as_ref().is_none_or(|(other, _)| begin >= *other);
        if key.get_ref().as_ref() == wanted && key.span().start < end && is_nearer {
            *best = Some((begin, key.span()));
        }
        if let DeValue::Table(inner) = value.get_ref()
            && value.span().start <= end
        {
            nearest_use(inner, value.span().start, end, wanted, best);
        }
    }
}
