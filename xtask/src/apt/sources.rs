//! Which mirrors this machine is configured for, in apt's one-line format and in its deb822 format.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Debian's own keyring, for entries that name none.
const ARCHIVE_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One mirror of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mirror {
    uri: String,
    keyring: String,
}

/// The mirrors of a machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mirrors {
    main: Mirror,
    /// Security updates often come from another one. Without an entry for them there are none.
    security: Option<Mirror>,
}

/// One entry of a sources file.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    mirror: Mirror,
    suites: Vec<String>,
}

/// Reads the machine's apt sources.
pub(super) fn mirrors_of_this_machine() -> Result<Mirrors> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(folder.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    let mut entries = Vec::new();
    for file in files {
        // A file that is not there or not for us is none of our business; that nothing was found at all is told below.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        entries.extend(parse(&file, &text));
    }
    let release = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    let codename = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("/etc/os-release names no VERSION_CODENAME: not a Debian release")?;
    mirrors(&entries, codename.trim_matches('"'))
        .with_context(|| format!("no entry for Debian {codename} in /etc/apt/sources.list or sources.list.d"))
}

/// Lines for a sources.list: all `suites` from the main mirror, `security` from its own.
///
/// Only the lists of packages, not the translations and the data for software centres, which are half of the download.
pub(super) fn one_line_format(mirrors: &Mirrors, suites: &[String], security: &str) -> String {
    let mut text = String::new();
    let main = suites.iter().map(|suite| (&mirrors.main, suite.as_str()));
    for (mirror, suite) in main.chain(mirrors.security.iter().map(|mirror| (mirror, security))) {
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "deb [arch=amd64 target=Packages signed-by={}] {} {suite} main",
            mirror.keyring, mirror.uri
        );
    }
    text
}

fn mirrors(entries: &[Entry], codename: &str) -> Option<Mirrors> {
    let serving = |suite: &str| {
        let mut found = entries.iter().filter(|entry| entry.suites.iter().any(|served| served == suite));
        found.next().map(|entry| entry.mirror.clone())
    };
    Some(Mirrors { main: serving(codename)?, security: serving(&format!("{codename}-security")) })
}

fn parse(file: &Path, text: &str) -> Vec<Entry> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("sources") => text.split("\n\n").filter_map(deb822_stanza).collect(),
        Some("list") => text.lines().filter_map(one_line).collect(),
        _ => Vec::new(),
    }
}

/// `deb [option=value ...] URI SUITE COMPONENT...`
fn one_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim().strip_prefix("deb")?;
    let line = line.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match line.strip_prefix('[') {
        Some(line) => line.split_once(']')?,
        None => ("", line),
    };
    let mut words = rest.split_whitespace();
    let uri = words.next()?.to_owned();
    let suites = vec![words.next()?.to_owned()];
    let keyring = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    Some(Entry { mirror: Mirror { uri, keyring: keyring_file(keyring) }, suites })
}

fn deb822_stanza(stanza: &str) -> Option<Entry> {
    let field = |wanted: &str| {
        let mut fields = stanza.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    if !field("Types")?.split_whitespace().any(|kind| kind == "deb") || field("Enabled") == Some("no") {
        return None;
    }
    Some(Entry {
        mirror: Mirror {
            uri: field("URIs")?.split_whitespace().next()?.to_owned(),
            keyring: keyring_file(field("Signed-By")),
        },
        suites: field("Suites")?.split_whitespace().map(str::to_owned).collect(),
    })
}

/// A key may also stand in the file itself; then Debian's keyring has to do.
fn keyring_file(signed_by: Option<&str>) -> String {
    signed_by.filter(|value| value.starts_with('/')).unwrap_or(ARCHIVE_KEYRING).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(uri: &str) -> Mirror {
        Mirror { uri: uri.to_owned(), keyring: ARCHIVE_KEYRING.to_owned() }
    }

    #[test]
    fn both_formats_name_the_same_mirrors() {
        let deb822 = "Types: deb\n# a comment: here\nURIs: http://mirror.test/debian\nSuites: bookworm bookworm-updates\n\
                      Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
                      Types: deb\nURIs: http://mirror.test/security\nSuites: bookworm-security\nComponents: main\n";
        let one_line = "# deb http://old.test/debian bookworm main\n\
                        deb-src http://src.test/debian bookworm main\n\
                        deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.test/debian bookworm main # x\n\
                        deb\thttp://mirror.test/security bookworm-security main\n";
        let expected = Mirrors {
            main: mirror("http://mirror.test/debian"),
            security: Some(mirror("http://mirror.test/security")),
        };
        for (file, text) in [("debian.sources", deb822), ("sources.list", one_line)] {
            assert_eq!(
                mirrors(&parse(Path::new(file), text), "bookworm").as_ref(),
                Some(&expected),
                "{file}"
            );
        }
    }

    #[test]
    fn other_archives_and_disabled_entries_are_not_taken_for_debian() {
        let other = "Types: deb\nURIs: http://vendor.test\nSuites: nodistro\nComponents: main\n\n\
                     Types: deb\nEnabled: no\nURIs: http://off.test\nSuites: bookworm\nComponents: main\n\n\
                     Types: deb-src\nURIs: http://src.test\nSuites: bookworm\nComponents: main\n";
        assert_eq!(mirrors(&parse(Path::new("x.sources"), other), "bookworm"), None);
    }

    #[test]
    fn an_embedded_key_gives_way_to_the_archive_keyring() {
        let text = "Types: deb\nURIs: http://m.test\nSuites: bookworm\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(parse(Path::new("x.sources"), text)[0].mirror, mirror("http://m.test"));
    }

    #[test]
    fn security_comes_from_its_own_mirror() {
        let mirrors = Mirrors { main: mirror("http://a.test"), security: Some(mirror("http://b.test")) };
        let text = one_line_format(&mirrors, &["bookworm".to_owned()], "bookworm-security");
        let keyring = ARCHIVE_KEYRING;
        assert_eq!(
            text,
            format!(
                "deb [arch=amd64 target=Packages signed-by={keyring}] http://a.test bookworm main\n\
                 deb [arch=amd64 target=Packages signed-by={keyring}] http://b.test bookworm-security main\n"
            )
        );
    }
}
