//! Builds everything there is to run.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::process;
use crate::vm::Tools;
use crate::workspace::{NATIVE_TARGET, Workspace};

/// The packages whose binaries go into a test machine.
const PACKAGES: [&str; 2] = ["vs-loader", "vs-tests"];

/// The guest's first process, a binary of this package.
const INIT: &str = "guest-init";

/// Builds the programs of a test machine as static binaries: a guest has no libraries, or those of another release.
pub(crate) fn static_binaries(workspace: &Workspace) -> Result<Tools> {
    // Without default features none of the crates that only tasks need is built for the sake of init.
    cargo_build(workspace, &["--package", "xtask", "--bin", INIT, "--no-default-features"])?;
    let mut programs = Vec::new();
    for package in PACKAGES {
        let binaries = workspace.binaries_of(package);
        if !binaries.is_empty() {
            cargo_build(workspace, &["--package", package, "--bins"])?;
        }
        programs.extend(binaries.into_iter().map(str::to_owned));
    }
    Ok(existing(workspace, programs.into_iter()))
}

/// The programs as they were built last, whatever the sources say now.
pub(crate) fn already_built(workspace: &Workspace) -> Result<Tools> {
    let programs = PACKAGES.iter().flat_map(|package| workspace.binaries_of(package)).map(str::to_owned);
    let tools = existing(workspace, programs);
    tools.init.exists().then_some(tools).context("nothing is built yet; run `cargo xtask build`")
}

fn existing(workspace: &Workspace, programs: impl Iterator<Item = String>) -> Tools {
    let folder = workspace.static_binaries();
    let programs: Vec<PathBuf> =
        programs.map(|name| folder.join(name)).filter(|path| path.exists()).collect();
    Tools { init: folder.join(INIT), programs }
}

fn cargo_build(workspace: &Workspace, selection: &[&str]) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--quiet", "--release", "--target", NATIVE_TARGET]).args(selection);
    // This variable goes before all other places for flags, so that none of them can undo the static linking.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    process::run(&mut cargo)
}
