//! Builds everything there is to run: the eBPF object, then the static binaries that embed and use it.

pub(crate) mod object;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::process;
use crate::vm::Tools;
use crate::workspace::{NATIVE_TARGET, Workspace};

/// The packages whose binaries go into a test machine.
const PACKAGES: [&str; 2] = ["vs-loader", "vs-tests"];

/// The guest's first process, a binary of this package.
const INIT: &str = "guest-init";

/// Builds the object and the programs of a test machine, and gives the latter.
///
/// They are static: a guest has no libraries, or those of another release.
pub(crate) fn everything(workspace: &Workspace) -> Result<Tools> {
    object::build(workspace)?;
    if already_built(workspace).is_err() {
        eprintln!("building the programs for the first time, which takes some minutes");
    }
    // Without default features none of the crates that only tasks need is built for the sake of init.
    cargo_build(workspace, &["--package", "xtask", "--bin", INIT, "--no-default-features"])?;
    for package in PACKAGES {
        if !workspace.binaries_of(package).is_empty() {
            cargo_build(workspace, &["--package", package, "--bins"])?;
        }
    }
    already_built(workspace)
}

/// The programs as they were built last, whatever the sources say now.
pub(crate) fn already_built(workspace: &Workspace) -> Result<Tools> {
    let folder = workspace.static_binaries();
    let init = folder.join(INIT);
    let names = PACKAGES.iter().flat_map(|package| workspace.binaries_of(package));
    let programs: Vec<PathBuf> = names.map(|name| folder.join(name)).filter(|path| path.exists()).collect();
    init.exists().then_some(Tools { init, programs }).context("nothing is built yet; run `cargo xtask build`")
}

fn cargo_build(workspace: &Workspace, selection: &[&str]) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--quiet", "--release", "--target", NATIVE_TARGET]).args(selection);
    // This variable goes before all other places for flags, so that none of them can undo the static linking.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    process::run(&mut cargo)
}
