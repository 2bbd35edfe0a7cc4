//! Reads the policy files that a command line names. What is in them is [`crate::policy`]'s affair.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::{Failure, exit_code};
use crate::policy::{Policy, PolicySource, parse};

/// Bytes of a policy file: twice what as many contexts as there can be need. A device given by mistake does not end.
const FILE_SIZE: u64 = 4 << 20;

/// Reads and parses the files: `-` is standard input, and a folder stands for the `*.toml` in it, by name.
///
/// # Errors
/// Exit code 3 with everything that is wrong with the policy; 1 with every file that cannot be read.
pub fn load(paths: &[PathBuf]) -> Result<Policy, Failure> {
    parse(&read(paths)?).map_err(|errors| Failure::new(exit_code::BAD_POLICY, errors))
}

/// Checks that standard input is named once among all the paths of a command line, since it can be read once.
///
/// # Errors
/// Exit code 2 if it is not.
pub fn check_standard_input<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<(), Failure> {
    if paths.into_iter().filter(|path| is_standard_input(path)).count() > 1 {
        let error =
            anyhow!("standard input (-) can be read once; name it once, and other files by their paths");
        return Err(Failure { code: exit_code::USAGE, error });
    }
    Ok(())
}

/// Reads the files.
///
/// # Errors
/// Exit code 1 with every file that cannot be read; 2 if standard input is named twice.
pub fn read(paths: &[PathBuf]) -> Result<Vec<PolicySource>, Failure> {
    check_standard_input(paths)?;
    let mut sources = Vec::new();
    let mut failures = Vec::new();
    for path in paths {
        match files_of(path) {
            Ok(files) => {
                for file in files {
                    match read_file(&file) {
                        Ok(source) => sources.push(source),
                        Err(error) => failures.push(failure_text(&file, &error)),
                    }
                }
            }
            Err(error) => failures.push(failure_text(path, &error)),
        }
    }
    if failures.is_empty() { Ok(sources) } else { Err(anyhow!(failures.join("\n")).into()) }
}

fn failure_text(path: &Path, error: &io::Error) -> String {
    format!("cannot read the policy {}: {error}", path.display())
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The files that a path stands for.
fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if is_standard_input(path) || !path.metadata()?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = path.read_dir()?.collect::<io::Result<Vec<_>>>()?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    if files.is_empty() {
        return Err(io::Error::other(
            "this folder has no *.toml in it; put the policy there, or name a file",
        ));
    }
    Ok(files)
}

fn read_file(path: &Path) -> io::Result<PolicySource> {
    let mut contents = Vec::new();
    let name = if is_standard_input(path) {
        io::stdin().lock().take(FILE_SIZE + 1).read_to_end(&mut contents)?;
        "<stdin>".into()
    } else {
        File::open(path)?.take(FILE_SIZE + 1).read_to_end(&mut contents)?;
        path.to_string_lossy().into_owned()
    };
    if contents.len() as u64 > FILE_SIZE {
        return Err(io::Error::other(format!(
            "it is larger than {} MiB; this is no policy",
            FILE_SIZE >> 20
        )));
    }
    Ok(PolicySource { name, contents })
}
