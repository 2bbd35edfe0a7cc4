//! Finding what compiles and links the eBPF object.
//!
//! The standard library has to be built for the BPF target, so a compiler must come with its sources; and the linker reads
//! the compiler's LLVM bitcode, so its LLVM must be the compiler's. Two sets are known to fit together, see [`find`].

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The linker's version. A newer one defaults to a newer LLVM than Debian's compiler has.
pub(crate) const LINKER_VERSION: &str = "0.13.0";

/// Debian's compiler, from the package `rustc-web`. Named by path: `rustc` on PATH may be rustup's.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// A compiler and a linker for the BPF target.
#[derive(Debug)]
pub(crate) struct Toolchain {
    kind: Kind,
    linker: PathBuf,
    sources: PathBuf,
    /// What tells this toolchain from others: an object is built again when it changes.
    pub(crate) identity: String,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Debian,
    Nightly,
}

impl Toolchain {
    /// Its cargo, without what this task's own cargo and rustup put into the environment.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = match self.kind {
            Kind::Debian => {
                let mut cargo = Command::new(DEBIAN_CARGO);
                // Building the standard library is an unstable option, which a released compiler allows only so.
                cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
                cargo
            }
            Kind::Nightly => {
                let mut cargo = Command::new("rustup");
                cargo.args(["run", "nightly", "cargo"]).env_remove("RUSTC");
                cargo
            }
        };
        cargo.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTDOC");
        cargo.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.linker);
        cargo
    }

    /// The folders the sources of the standard library are known by, which must not show in the object.
    pub(crate) fn sources(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.sources.clone()];
        folders.extend(fs::canonicalize(&self.sources).ok());
        folders.dedup();
        folders
    }
}

/// Where `cargo xtask setup` puts the linker for Debian's compiler.
pub(crate) fn own_linker(cache: &Path) -> PathBuf {
    cache.join("tools/bin/bpf-linker")
}

/// The first of these that is complete:
///
/// 1. Debian's compiler with the linker that `cargo xtask setup` builds against Debian's LLVM. It goes first because all of
///    its parts have known versions.
/// 2. rustup's nightly with its component `rust-src`, and a `bpf-linker` on PATH.
pub(crate) fn find(cache: &Path) -> Result<Toolchain> {
    let no_debian = match debian(cache) {
        Ok(toolchain) => return Ok(toolchain),
        Err(error) => error,
    };
    let no_nightly = match nightly() {
        Ok(toolchain) => return Ok(toolchain),
        Err(error) => error,
    };
    bail!(
        "there is no toolchain for eBPF; run `cargo xtask setup`, or add rust-src to rustup's nightly and install \
         bpf-linker\n  Debian's is not complete: {no_debian:#}\n  rustup's is not complete: {no_nightly:#}"
    )
}

fn debian(cache: &Path) -> Result<Toolchain> {
    for program in [DEBIAN_RUSTC, DEBIAN_CARGO] {
        if !Path::new(program).exists() {
            bail!("there is no {program}");
        }
    }
    complete(Kind::Debian, own_linker(cache))
}

fn nightly() -> Result<Toolchain> {
    complete(Kind::Nightly, on_path("bpf-linker").context("bpf-linker is not on PATH")?)
}

/// Asks the parts about themselves and puts them together.
fn complete(kind: Kind, linker: PathBuf) -> Result<Toolchain> {
    let rustc = |question: &[&str]| {
        let mut rustc = match kind {
            Kind::Debian => Command::new(DEBIAN_RUSTC),
            Kind::Nightly => Command::new("rustup"),
        };
        if let Kind::Nightly = kind {
            rustc.args(["run", "nightly", "rustc"]);
        }
        process::text(rustc.args(question))
    };
    let sysroot = rustc(&["--print", "sysroot"])?;
    let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
    if !sources.join("library/core/src/lib.rs").exists() {
        bail!("{} has no sources of the standard library", sysroot.trim());
    }
    let identity = format!("{}{}", rustc(&["--version", "--verbose"])?, linker_version(&linker)?);
    Ok(Toolchain { kind, linker, sources, identity })
}

/// What the linker calls itself. It has to be run, because it doesn't start without its LLVM.
pub(crate) fn linker_version(linker: &Path) -> Result<String> {
    process::text(Command::new(linker).arg("--version"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path: OsString = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}
