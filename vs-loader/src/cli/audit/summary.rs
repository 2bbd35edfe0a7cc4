//! `vs audit summary`: counts from the collector's files.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueHint};
use jiff::tz::TimeZone;

use super::super::output::Output;
use super::super::{CommandResult, Failure, exit_code};
use crate::audit::file::DEFAULT_PATH;
use crate::audit::summary::{Seen, Summary};
use crate::audit::time::{Now, parse_since};

/// The arguments of `vs audit summary`.
#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// Files of JSON lines; those rotated beside them (FILE.1, FILE.2, ...) are read too.
    #[arg(value_name = "FILE", default_value = DEFAULT_PATH, value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// Only records since then: 10m, 22:00, 2026-11-21, RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

/// Sums up.
pub(super) fn run(arguments: &Arguments, output: Output) -> CommandResult {
    let since = arguments.since.as_deref();
    let since = since.map(|text| parse_since(text, Now::read().wall, &TimeZone::system())).transpose();
    let since = since.map_err(|error| Failure::new(exit_code::USAGE, error))?;
    let (mut summary, mut seen) = (Summary::default(), Seen::default());
    for file in &arguments.files {
        summary
            .add_file(file, since, &mut seen)
            .with_context(|| format!("cannot read {}; vs audit collect writes it", file.display()))?;
    }
    output.answer(&summary, |summary, out| summary.write(out))?;
    Ok(exit_code::SUCCESS)
}
