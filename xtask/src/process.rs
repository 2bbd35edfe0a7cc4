//! Running other programs, with errors that name the command and show what it said.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};
use std::{io, thread};

use anyhow::{Context, Result, anyhow, bail};

/// Runs a command to its end. What it prints goes to standard error, because standard output belongs to the task.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .with_context(|| format!("starting `{shown}`"))?;
    if status.success() { Ok(()) } else { Err(anyhow!("`{shown}` failed ({status})")) }
}

/// Runs a command and gives its standard output; its standard error becomes part of the error, if it fails.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    filter(command, Vec::new())
}

/// Like [`output`], as text.
pub(crate) fn text(command: &mut Command) -> Result<String> {
    let shown = show(command);
    String::from_utf8(output(command)?).with_context(|| format!("reading the output of `{shown}`"))
}

/// Runs a command with `input` on its standard input and gives its standard output.
pub(crate) fn filter(command: &mut Command, input: Vec<u8>) -> Result<Vec<u8>> {
    let shown = show(command);
    let mut child = command
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{shown}`"))?;
    // From a thread of its own: a filter may fill its output pipe before it has read all of its input. One that stops
    // reading early says why in its status, so a broken pipe is no error here.
    let feeder = child.stdin.take().map(|mut stdin| thread::spawn(move || stdin.write_all(&input).ok()));
    let output = child.wait_with_output().with_context(|| format!("running `{shown}`"))?;
    drop(feeder);
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    bail!("`{shown}` failed ({}): {}", output.status, said.trim())
}

/// The command as one would type it, for messages; long lists of arguments are cut.
fn show(command: &Command) -> String {
    let mut words = vec![command.get_program()];
    words.extend(command.get_args());
    let line = words.join(OsStr::new(" ")).to_string_lossy().into_owned();
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_may_write_before_it_has_read_all() {
        let input = vec![b'x'; 1 << 20];
        assert_eq!(filter(&mut Command::new("cat"), input.clone()).expect("cat"), input);
    }

    #[test]
    fn a_failure_names_the_command_and_shows_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"])).expect_err("3");
        let shown = error.to_string();
        assert!(shown.contains("sh -c") && shown.contains("no such thing") && shown.contains('3'), "{shown}");
    }
}
