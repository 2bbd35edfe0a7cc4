//! Where things lie: the sources, what cargo builds, and what is fetched once and kept.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand, TargetKind};
use walkdir::WalkDir;

/// The native target. Named explicitly, because a static binary needs flags that build scripts and macros must not get, and
/// cargo keeps the two apart only under an explicit target.
pub(crate) const NATIVE_TARGET: &str = "x86_64-unknown-linux-gnu";

/// The clone this task runs in.
#[derive(Debug)]
pub(crate) struct Workspace {
    metadata: Metadata,
}

impl Workspace {
    /// Finds the workspace `cargo xtask` was called in.
    pub(crate) fn open() -> Result<Self> {
        // Cargo says which clone it runs for: two may share a target folder, and with it this binary.
        let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let package = PathBuf::from(package);
        let metadata = MetadataCommand::new()
            .manifest_path(package.join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("asking cargo about the workspace")?;
        Ok(Self { metadata })
    }

    /// The top folder of the clone.
    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> &Path {
        self.metadata.target_directory.as_std_path()
    }

    /// Where the static binaries come out.
    pub(crate) fn static_binaries(&self) -> PathBuf {
        self.target().join(NATIVE_TARGET).join("release")
    }

    /// The names of a package's binaries.
    pub(crate) fn binaries_of(&self, package: &str) -> Vec<&str> {
        let packages = self.metadata.packages.iter().filter(|found| found.name == package);
        let targets = packages.flat_map(|found| &found.targets);
        targets
            .filter(|target| target.kind.contains(&TargetKind::Bin))
            .map(|target| target.name.as_str())
            .collect()
    }

    /// The files that a package's library and binaries begin with.
    pub(crate) fn roots_of(&self, package: &str) -> Vec<PathBuf> {
        let packages = self.metadata.packages.iter().filter(|found| found.name == package);
        let targets = packages.flat_map(|found| &found.targets);
        let wanted = [TargetKind::Lib, TargetKind::Bin];
        let targets = targets.filter(|target| wanted.iter().any(|kind| target.kind.contains(kind)));
        targets.map(|target| target.src_path.as_std_path().to_owned()).collect()
    }

    /// The files of the clone, relative to its top folder, without hidden ones and without what cargo made of them.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = WalkDir::new(self.root()).min_depth(1).into_iter().filter_entry(|entry| {
            !entry.file_name().to_string_lossy().starts_with('.') && entry.path() != self.target()
        });
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.context("walking through the sources")?;
            if entry.file_type().is_file() {
                files.push(entry.path().strip_prefix(self.root())?.to_owned());
            }
        }
        Ok(files)
    }

    /// Cargo, the same one that runs this task, in the top folder.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(self.root());
        cargo
    }
}

/// The folder for what is fetched once and used by every clone of this user: kernels, tools, the Debian root.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => env::home_dir().context("neither XDG_CACHE_HOME nor HOME is set")?.join(".cache"),
    };
    Ok(base.join("vs"))
}
