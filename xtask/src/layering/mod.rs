//! The rules of the tree: who may import whom, and how long a file may be.

mod references;
mod rules;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use self::rules::RULES;
use crate::workspace::Workspace;

/// A file beyond this is two files. (What one should aim at is less, see the style guide.)
const LONGEST_FILE: usize = 500;

/// Checks the whole tree; the error lists everything that is wrong.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut wrong = Vec::new();
    let mut packages: Vec<&str> = RULES.iter().map(|rule| rule.package).collect();
    packages.dedup();
    for package in packages {
        for root in workspace.roots_of(package) {
            wrong.extend(broken_rules(package, &root)?);
        }
    }
    wrong.extend(long_files(workspace)?);
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.sort();
    let list = wrong.iter().fold(String::new(), |mut list, line| {
        // Writing to a String can't fail.
        let _ = write!(list, "\n  {line}");
        list
    });
    let root = format!("{}/", workspace.root().display());
    bail!("the tree breaks its rules:{}", list.replace(&root, ""))
}

fn broken_rules(package: &str, root: &Path) -> Result<Vec<String>> {
    let used = references::of_crate(root, &package.replace('-', "_"))?;
    let mut wrong = Vec::new();
    for rule in RULES.iter().filter(|rule| rule.package == package) {
        for used in used.iter().filter(|used| (rule.is_broken_by)(used)) {
            wrong.push(format!(
                "{}:{}: {}: {}",
                used.file.display(),
                used.line,
                used.path.join("::"),
                rule.says
            ));
        }
    }
    Ok(wrong)
}

fn long_files(workspace: &Workspace) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for file in
        workspace.files()?.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
    {
        let text = fs::read_to_string(workspace.root().join(file));
        let lines = text.with_context(|| format!("reading {}", file.display()))?.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!("{}: {lines} lines; a file has at most {LONGEST_FILE}", file.display()));
        }
    }
    Ok(wrong)
}
