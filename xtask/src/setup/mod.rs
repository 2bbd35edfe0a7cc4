//! Installs whatever the build and the test machines need, from packages; says what it does, and does nothing twice.

mod packages;

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::kernels::{Kernels, MATRIX};
use crate::process;
use crate::rootfs;
use crate::toolchain::{self, LINKER_VERSION};
use crate::workspace;

/// The options of `setup`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Ask the mirror which kernels it has today, fetch those, and remove the ones they replace.
    #[arg(long)]
    refresh_kernels: bool,
}

/// Packages are missing that this task can't install here.
#[derive(Debug)]
pub(crate) struct CannotInstall {
    because: &'static str,
    packages: Vec<String>,
}

impl CannotInstall {
    /// The exit status that says so.
    pub(crate) const STATUS: u8 = 2;
}

impl fmt::Display for CannotInstall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; install these by hand (the names are those of Debian 12), then run `cargo xtask setup` again: {}",
            self.because,
            self.packages.join(" ")
        )
    }
}

impl std::error::Error for CannotInstall {}

/// `cargo xtask setup`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cache = workspace::cache()?;
    let mut did_something = ensure()?;
    if options.refresh_kernels {
        let kernels = Kernels::new(&cache);
        for name in MATRIX {
            eprintln!("{name} is {}", kernels.refresh(name)?.name);
        }
        kernels.prune()?;
        did_something = true;
    }
    if !did_something {
        eprintln!("everything is there");
    }
    Ok(())
}

/// Makes sure that everything is there. Quick and silent if it is; gives whether anything had to be done.
pub(crate) fn ensure() -> Result<bool> {
    let cache = workspace::cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("creating {}", cache.display()))?;
    let toolchain_is_there = toolchain::find(&cache).is_ok();
    let mut did_something = packages::ensure(&cache, !toolchain_is_there)?;
    if !toolchain_is_there {
        linker(&cache)?;
        toolchain::find(&cache)?;
        did_something = true;
    }
    let kernels = Kernels::new(&cache);
    for name in MATRIX {
        if !kernels.has(name) {
            kernels.refresh(name)?;
            did_something = true;
        }
    }
    if !rootfs::debian::is_made(&cache) {
        rootfs::debian::make(&cache)?;
        did_something = true;
    }
    Ok(did_something)
}

/// Builds the linker against Debian's LLVM, if it isn't there or doesn't run.
fn linker(cache: &Path) -> Result<()> {
    let linker = toolchain::own_linker(cache);
    if toolchain::linker_version(&linker).is_ok_and(|version| version.trim_end().ends_with(LINKER_VERSION)) {
        return Ok(());
    }
    eprintln!("building bpf-linker {LINKER_VERSION}, which takes a minute or two");
    let mut cargo = Command::new("cargo");
    cargo.args(["install", "--quiet", "--locked", "--force", "bpf-linker", "--version", LINKER_VERSION]);
    cargo.args(["--no-default-features", "--features", "llvm-22"]).arg("--root").arg(cache.join("tools"));
    cargo.env("LLVM_PREFIX", "/usr/lib/llvm-22");
    // Flags that are meant for VServer must not reach it, nor the target folder of the clone.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
    process::run(&mut cargo).context("building bpf-linker")
}
