//! The directories of contexts, and whether they are still what policy gave.

use std::io::{self, Write};

use serde::Serialize;
use vs_common::filesystem::{has_owner, is_barrier};
use vs_common::id::Xid;

use crate::compile::files::{Files, path_of};
use crate::compile::{Rows, name_of};
use crate::host_files;

/// A directory that is somebody's.
#[derive(Serialize, Debug)]
pub(super) struct DirectoryAnswer {
    /// Its path when policy was loaded.
    path: String,
    /// Whose it is; "host": the host's alone; none: it is a barrier and given to nobody.
    name: Option<String>,
    xid: Option<u32>,
    /// Whether no guest passes it.
    is_barrier: bool,
    /// Whether the path still leads there.
    is_there: bool,
}

/// Every one, by owner and path.
pub(super) fn answers(rows: &Rows, files: &Files) -> Vec<DirectoryAnswer> {
    let answer = |(key, row): (&vs_common::filesystem::FileKey, &vs_common::filesystem::FileRow)| {
        let (xid, path) = (row.owner.xid, path_of(row).into_owned());
        DirectoryAnswer {
            is_there: host_files::is_there(&path, key),
            name: match xid {
                Xid::HOST => Some("host".to_owned()),
                xid => rows.get(&xid).map(|rules| name_of(rules).into_owned()),
            },
            xid: has_owner(&row.owner).then_some(xid.0),
            is_barrier: is_barrier(&row.owner),
            path,
        }
    };
    let mut answers: Vec<_> = files.iter().map(answer).collect();
    answers.sort_by(|a, b| (a.xid, &a.path).cmp(&(b.xid, &b.path)));
    answers
}

/// What is wrong with them.
pub(super) fn alarms(answers: &[DirectoryAnswer]) -> impl Iterator<Item = String> {
    answers.iter().filter(|answer| !answer.is_there).map(|DirectoryAnswer { path, name, .. }| match name {
        Some(name) => format!(
            "the directory {path} of {name} is gone, or another one has come in its place, which is nobody's; load the policy again"
        ),
        None => format!(
            "the barrier {path} is gone, or another directory has come in its place, which is none; load the policy again"
        ),
    })
}

/// A table, if there is anything to show.
pub(super) fn print(answers: &[DirectoryAnswer], out: &mut dyn Write) -> io::Result<()> {
    if answers.is_empty() {
        return Ok(());
    }
    let width =
        answers.iter().map(|answer| owner(answer).chars().count()).max().unwrap_or(0).max("CONTEXT".len());
    writeln!(out, "\n{:width$}  DIRECTORY", "CONTEXT")?;
    for answer in answers {
        let barrier = if answer.is_barrier { "  (barrier)" } else { "" };
        let gone = if answer.is_there { "" } else { "  (gone)" };
        writeln!(out, "{:width$}  {}{barrier}{gone}", owner(answer), answer.path)?;
    }
    Ok(())
}

/// Whose it is, in the table.
fn owner(answer: &DirectoryAnswer) -> &str {
    answer.name.as_deref().unwrap_or("-")
}
