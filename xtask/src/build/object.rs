//! The eBPF object, the same bytes for the same sources, wherever the clone lies.
//!
//! `aya-build` would compile it in a build script, with rustup's nightly and flags of its own; here the toolchain is the one
//! that [`crate::toolchain`] finds, and every path that could get into the debug information is replaced.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use crate::inputs;
use crate::process;
use crate::toolchain::{self, Toolchain};
use crate::workspace::{self, Workspace};

/// The package and its binary, the object.
const PACKAGE: &str = "vs-ebpf";
/// The binary with the empty programs.
const EMPTY: &str = "vs-empty";
/// The target, and the profile of the top-level manifest that belongs to it.
const TARGET: &str = "bpfel-unknown-none";
const PROFILE: &str = "ebpf";

/// Where the object and what belongs to it lie. The build script of vs-loader knows the first two names, too.
#[derive(Debug)]
pub(crate) struct Places {
    folder: PathBuf,
    /// The object.
    pub(crate) object: PathBuf,
    /// The digest of the sources it was made of.
    inputs: PathBuf,
    /// The toolchain that made it.
    toolchain: PathBuf,
}

impl Places {
    /// Below cargo's target folder.
    pub(crate) fn of(workspace: &Workspace) -> Self {
        let folder = workspace.target().join("ebpf");
        Self {
            object: folder.join("vs-ebpf.o"),
            inputs: folder.join("vs-ebpf.inputs"),
            toolchain: folder.join("vs-ebpf.toolchain"),
            folder,
        }
    }
}

/// Makes the object, unless it is there for these sources and this toolchain.
pub(crate) fn build(workspace: &Workspace) -> Result<Places> {
    let places = Places::of(workspace);
    let inputs = inputs::digest(workspace.root()).context("reading the sources of the eBPF object")?;
    let toolchain = toolchain::find(&workspace::cache()?);
    let made_of = |place: &Path, wanted: &str| fs::read_to_string(place).is_ok_and(|found| found == wanted);
    // Without a toolchain, an object of the right sources is as good as it gets.
    let same_toolchain = toolchain.as_ref().map_or(true, |found| made_of(&places.toolchain, &found.identity));
    if places.object.exists() && made_of(&places.inputs, &inputs) && same_toolchain {
        return Ok(places);
    }
    let toolchain = toolchain?;
    if !places.object.exists() {
        eprintln!("compiling the eBPF object for the first time, which takes a minute");
    }
    let built = compile(&toolchain, workspace.root(), &places.folder)?;
    // A build script watches these files: what has not changed keeps its time.
    for (place, content) in [
        (&places.object, fs::read(&built).with_context(|| format!("reading {}", built.display()))?),
        (&places.inputs, inputs.into_bytes()),
        (&places.toolchain, toolchain.identity.into_bytes()),
    ] {
        if fs::read(place).ok().as_ref() != Some(&content) {
            fs::write(place, content).with_context(|| format!("writing {}", place.display()))?;
        }
    }
    Ok(places)
}

/// Makes the object with the empty programs, which only `cargo xtask bench` takes, and gives its path.
pub(crate) fn build_empty(workspace: &Workspace) -> Result<PathBuf> {
    let toolchain = toolchain::find(&workspace::cache()?)?;
    compile_binary(
        &toolchain,
        workspace.root(),
        &Places::of(workspace).folder,
        EMPTY,
        &["--features", "bench"],
    )
}

/// Compiles the object of the workspace at `root` and gives its path below `target`.
pub(crate) fn compile(toolchain: &Toolchain, root: &Path, target: &Path) -> Result<PathBuf> {
    compile_binary(toolchain, root, target, PACKAGE, &[])
}

fn compile_binary(
    toolchain: &Toolchain,
    root: &Path,
    target: &Path,
    binary: &str,
    options: &[&str],
) -> Result<PathBuf> {
    let mut cargo = toolchain.cargo();
    cargo.current_dir(root).args(["build", "--quiet", "--package", PACKAGE, "--profile", PROFILE]);
    cargo.args(["--bin", binary]).args(options);
    cargo.args(["--target", TARGET, "-Z", "build-std=core"]).arg("--target-dir").arg(target);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain, root)?.join("\x1f"));
    process::run(&mut cargo).context("compiling the eBPF object")?;
    Ok(target.join(TARGET).join(PROFILE).join(binary))
}

/// BTF, which local-storage maps need, and no path of this machine in it.
///
/// With one of the flags being a path replacement, cargo leaves flags out of the names of symbols; without that the paths
/// would come back in through a hash.
fn flags(toolchain: &Toolchain, root: &Path) -> Result<Vec<String>> {
    // The third revision of the instruction set (5.1, and 5.12 for its atomics) has the exchange that `vs-ebpf/src/atomic.rs` makes.
    let mut flags =
        vec!["-Cdebuginfo=2".to_owned(), "-Clink-arg=--btf".to_owned(), "-Ctarget-cpu=v3".to_owned()];
    let mut replace = |folder: &Path, name: &str| {
        flags.push(format!("--remap-path-prefix={}={name}", folder.display()));
    };
    replace(root, "/vs");
    for folder in folders_of_dependencies(root)? {
        replace(&folder, "/crates");
    }
    for folder in toolchain.sources() {
        replace(&folder, "/rust");
    }
    Ok(flags)
}

/// The folders that hold the sources of other people's crates: their names depend on where the registry's copy comes from.
fn folders_of_dependencies(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .exec()
        .context("asking cargo where the dependencies lie")?;
    let foreign = metadata.packages.iter().filter(|package| package.source.is_some());
    Ok(foreign
        .filter_map(|package| Some(package.manifest_path.parent()?.parent()?.as_std_path().to_owned()))
        .collect())
}
