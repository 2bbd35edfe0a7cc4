//! From a file's bytes to its document. Goes on after every error, so that the next one is found too.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{
    ContextTable, Field, HostTable, NetworkKeys, Number, PolicyDocument, SpectatorTable, TableName,
};
use super::error::{PolicyError, Problem, nearest};
use super::place::{Located, Places, PolicySource};
use super::syntax;

/// What a value must be, for messages.
mod expected {
    pub(super) const TEXT: &str = "a text in quotes";
    pub(super) const INTEGER: &str = "an integer without quotes";
    pub(super) const LIST: &str = "a list of texts in quotes";
    pub(super) const TEXT_OR_LIST: &str = "a text in quotes or a list of such";
    pub(super) const BOOLEAN: &str = "true or false without quotes";
}

/// Reads the file that was given as number `index`, from 0, and adds what is wrong with it to `errors`.
pub(super) fn read(source: &PolicySource, index: usize, errors: &mut Vec<PolicyError>) -> PolicyDocument {
    // The mark that some editors put before UTF-8 text is none of its characters.
    let contents = source.contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&source.contents);
    let places = Places::new(index, &source.name, contents);
    let start = places.at(0);
    let mut document =
        PolicyDocument { start, is_whole: false, host: None, spectator: None, contexts: Vec::new() };
    let text = match str::from_utf8(contents) {
        Ok(text) => text,
        Err(error) => {
            errors.push(PolicyError { place: places.at(error.valid_up_to()), problem: Problem::NotUtf8 });
            return document;
        }
    };
    let (tree, faults) = syntax::parse(text, &places, errors);
    document.is_whole = faults.is_empty();
    let mut reader = Reader { places, faults, errors };
    reader.file(tree.get_ref(), &mut document);
    document
}

/// What reading a file's tables needs.
struct Reader<'e> {
    places: Places,
    /// Where the syntax is wrong: what touches these places is the parser's guess.
    faults: Vec<Range<usize>>,
    errors: &'e mut Vec<PolicyError>,
}

/// The type of a value, with its article.
fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl Reader<'_> {
    fn report(&mut self, span: &Range<usize>, problem: Problem) {
        self.errors.push(PolicyError { place: self.places.of(span), problem });
    }

    /// Whether the parser had to guess there.
    fn is_guess(&self, span: &Range<usize>) -> bool {
        self.faults.iter().any(|fault| fault.start <= span.end && span.start <= fault.end)
    }

    fn file(&mut self, top: &DeTable<'_>, document: &mut PolicyDocument) {
        self.refuse_unknown(&TableName::Top, top);
        if let Some((key, table)) = self.table(top, "host", "host") {
            document.host = Some(self.host(&key, table));
        }
        if let Some((key, table)) = self.table(top, "spectator", "spectator") {
            document.spectator = Some(self.spectator(&key, table));
        }
        let Some((_, contexts)) = self.table(top, "context", "context.NAME") else { return };
        for name in contexts.keys() {
            let key = name.get_ref();
            if let Some((span, table)) = self.table(contexts, key, &format!("context.{key}")) {
                document.contexts.push(self.context(&span, key, table));
            }
        }
        document.contexts.sort_by(|a, b| a.name.place.cmp(&b.name.place));
    }

    fn host(&mut self, key: &Range<usize>, keys: &DeTable<'_>) -> HostTable {
        let table = TableName::Host;
        self.refuse_unknown(&table, keys);
        HostTable {
            place: self.places.of(key),
            proc_lock: self.boolean(&table, keys, "proc_lock"),
            addresses: self.texts(&table, keys, ("addresses", "each of addresses"), expected::LIST),
            primary: self.texts(&table, keys, ("primary", "each of primary"), expected::TEXT_OR_LIST),
            any_ports: self.texts(&table, keys, ("any_ports", "each of any_ports"), expected::LIST),
            directories: self.texts(&table, keys, ("directories", "each of directories"), expected::LIST),
            barriers: self.texts(&table, keys, ("barriers", "each of barriers"), expected::LIST),
        }
    }

    fn spectator(&mut self, key: &Range<usize>, keys: &DeTable<'_>) -> SpectatorTable {
        let table = TableName::Spectator;
        self.refuse_unknown(&table, keys);
        SpectatorTable {
            place: self.places.of(key),
            description: self.text(&table, keys, "description"),
            records_per_second: self.number(&table, keys, "records_per_second"),
            record_burst: self.number(&table, keys, "record_burst"),
        }
    }

    fn context(&mut self, span: &Range<usize>, name: &str, keys: &DeTable<'_>) -> ContextTable {
        let table = TableName::Context(name.to_owned());
        self.refuse_unknown(&table, keys);
        ContextTable {
            name: Located { value: name.to_owned(), place: self.places.of(span) },
            xid: self.number(&table, keys, "xid"),
            mode: self.text(&table, keys, "mode"),
            proc: self.text(&table, keys, "proc"),
            confine: self.text(&table, keys, "confine"),
            description: self.text(&table, keys, "description"),
            records_per_second: self.number(&table, keys, "records_per_second"),
            record_burst: self.number(&table, keys, "record_burst"),
            root: self.text(&table, keys, "root"),
            barrier: self.boolean(&table, keys, "barrier"),
            directories: self.texts(&table, keys, ("directories", "each of directories"), expected::LIST),
            shared_write: self.boolean(&table, keys, "shared_write"),
            capabilities: self.texts(
                &table,
                keys,
                ("capabilities", "each of capabilities"),
                expected::TEXT_OR_LIST,
            ),
            capabilities_max: self.texts(
                &table,
                keys,
                ("capabilities_max", "each of capabilities_max"),
                expected::TEXT_OR_LIST,
            ),
            context_capabilities: self.texts(
                &table,
                keys,
                ("context_capabilities", "each of context_capabilities"),
                expected::LIST,
            ),
            network: self.network(&table, keys),
        }
    }

    fn network(&mut self, table: &TableName, keys: &DeTable<'_>) -> NetworkKeys {
        NetworkKeys {
            addresses: self.texts(table, keys, ("addresses", "each of addresses"), expected::LIST),
            primary: self.texts(table, keys, ("primary", "each of primary"), expected::TEXT_OR_LIST),
            loopback: self.text(table, keys, "loopback"),
            multicast: self.boolean(table, keys, "multicast"),
            broadcast: self.boolean(table, keys, "broadcast"),
            show_any: self.boolean(table, keys, "show_any"),
            ping: self.boolean(table, keys, "ping"),
            receive: self.text(table, keys, "receive"),
            raw: self.texts(table, keys, ("raw", "each of raw"), expected::LIST),
            assign: self.text(table, keys, "assign"),
            shared: self.boolean(table, keys, "shared"),
            bind_allow: self.texts(table, keys, ("bind_allow", "each of bind_allow"), expected::LIST),
            bind_deny: self.texts(table, keys, ("bind_deny", "each of bind_deny"), expected::LIST),
            connect_allow: self.texts(
                table,
                keys,
                ("connect_allow", "each of connect_allow"),
                expected::LIST,
            ),
            connect_deny: self.texts(table, keys, ("connect_deny", "each of connect_deny"), expected::LIST),
        }
    }

    /// Reports every key that the table may not have.
    fn refuse_unknown(&mut self, table: &TableName, keys: &DeTable<'_>) {
        let known = table.keys();
        for (key, value) in keys {
            let span = key.span();
            let key = key.get_ref();
            // The parser gives what follows a broken header to the file itself, as a value or as a table with another's header.
            let is_header = value.get_ref().is_table()
                && value.span().start <= span.start
                && span.end <= value.span().end;
            let is_stray = *table == TableName::Top && !self.faults.is_empty() && !is_header;
            if known.contains(&key.as_ref()) || is_stray || self.is_guess(&span) {
                continue;
            }
            let (table, key) = (table.clone(), key.to_string());
            let problem = if let Some(home) = TableName::home(&key) {
                Problem::MisplacedKey { table, key, home, known }
            } else {
                let nearest = nearest(&key, known);
                Problem::UnknownKey { table, key, nearest, known }
            };
            self.report(&span, problem);
        }
    }

    /// The table under a key, which is written under `header`, and where the key is.
    fn table<'t, 'i>(
        &mut self,
        keys: &'t DeTable<'i>,
        key: &str,
        header: &str,
    ) -> Option<(Range<usize>, &'t DeTable<'i>)> {
        let (name, value) = keys.get_key_value(key)?;
        match value.get_ref() {
            DeValue::Table(inner) => return Some((name.span(), inner)),
            _ if self.is_guess(&value.span()) => {}
            other => {
                let problem = Problem::NotATable {
                    key: key.to_owned(),
                    header: header.to_owned(),
                    found: type_of(other),
                };
                self.report(&name.span(), problem);
            }
        }
        None
    }

    fn text(&mut self, table: &TableName, keys: &DeTable<'_>, key: &'static str) -> Field<String> {
        self.field(table, keys, key, expected::TEXT, |value| value.as_str().map(str::to_owned))
    }

    /// A list of texts; where `expected` allows for it, a text alone is a list of one. The key's second name is for each of them.
    fn texts(
        &mut self,
        table: &TableName,
        keys: &DeTable<'_>,
        (key, each): (&'static str, &'static str),
        expected: &'static str,
    ) -> Field<Vec<Field<String>>> {
        let Some(value) = keys.get(key) else { return Field::Absent };
        let texts = match value.get_ref() {
            _ if self.is_guess(&value.span()) => return Field::Faulty,
            DeValue::Array(items) => items.iter().map(|item| self.item(table, each, item)).collect(),
            DeValue::String(_) if expected == expected::TEXT_OR_LIST => vec![self.item(table, each, value)],
            other => {
                let problem =
                    Problem::WrongType { table: table.clone(), key, expected, found: type_of(other) };
                self.report(&value.span(), problem);
                return Field::Faulty;
            }
        };
        Field::Given(Located { value: texts, place: self.places.of(&value.span()) })
    }

    /// One text of a list.
    fn item(&mut self, table: &TableName, key: &'static str, value: &Spanned<DeValue<'_>>) -> Field<String> {
        let span = value.span();
        if let Some(text) = value.get_ref().as_str() {
            return Field::Given(Located { value: text.to_owned(), place: self.places.of(&span) });
        }
        let found = type_of(value.get_ref());
        let problem = Problem::WrongType { table: table.clone(), key, expected: expected::TEXT, found };
        self.report(&span, problem);
        Field::Faulty
    }

    fn boolean(&mut self, table: &TableName, keys: &DeTable<'_>, key: &'static str) -> Field<bool> {
        self.field(table, keys, key, expected::BOOLEAN, |value| match value {
            DeValue::Boolean(is_set) => Some(*is_set),
            _ => None,
        })
    }

    fn number(&mut self, table: &TableName, keys: &DeTable<'_>, key: &'static str) -> Field<Number> {
        self.field(table, keys, key, expected::INTEGER, |value| {
            let integer = value.as_integer()?;
            let value = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
            Some(Number { value, text: integer.to_string() })
        })
    }

    /// The value under a key, if it is of the type that `read` accepts.
    fn field<T>(
        &mut self,
        table: &TableName,
        keys: &DeTable<'_>,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> Field<T> {
        let Some(value) = keys.get(key) else { return Field::Absent };
        if self.is_guess(&value.span()) {
            return Field::Faulty;
        }
        let span = value.span();
        if let Some(value) = read(value.get_ref()) {
            return Field::Given(Located { value, place: self.places.of(&span) });
        }
        let found = type_of(value.get_ref());
        self.report(&span, Problem::WrongType { table: table.clone(), key, expected, found });
        Field::Faulty
    }
}
