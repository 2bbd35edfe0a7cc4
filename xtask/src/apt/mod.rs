//! Debian's packages through an apt configuration of our own.
//!
//! Kernels come from suites that the machine itself doesn't use, and must not come to use: `trixie-backports` in its own
//! lists would one day upgrade its C library. So apt gets private lists and caches, no snippets of the machine's, and the
//! mirrors that the machine itself is configured for. Signatures are checked with the machine's own archive keyring.

mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The Debian release everything is resolved against, whatever release the machine runs.
pub(crate) const RELEASE: &str = "bookworm";

/// Where kernels come from beside the suites of [`RELEASE`]. Nothing else must come from there: it is another release's.
const KERNEL_SUITE: &str = "trixie-backports";

/// A private view of Debian's archive.
#[derive(Debug)]
pub(crate) struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// A view for installing packages on this machine.
    pub(crate) fn open(cache: &Path) -> Result<Self> {
        Self::at(cache.join("apt/install"), &Self::sources_for_installing()?)
    }

    /// A view for downloading kernels, which are unpacked and never installed.
    pub(crate) fn open_for_kernels(cache: &Path) -> Result<Self> {
        Self::at(cache.join("apt/kernels"), &Self::sources(&["", "-backports"], &[KERNEL_SUITE])?)
    }

    /// The lines of a sources.list for packages that get installed, here or in a root file system.
    pub(crate) fn sources_for_installing() -> Result<String> {
        Self::sources(&["", "-backports"], &[])
    }

    fn sources(own: &[&str], others: &[&str]) -> Result<String> {
        let mirrors =
            sources::mirrors_of_this_machine().context("looking for this machine's Debian mirror")?;
        let own = own.iter().map(|suffix| format!("{RELEASE}{suffix}"));
        let suites: Vec<String> = own.chain(others.iter().map(|suite| (*suite).to_owned())).collect();
        Ok(sources::one_line_format(&mirrors, &suites, &format!("{RELEASE}-security")))
    }

    fn at(folder: PathBuf, sources: &str) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))
                .with_context(|| format!("creating {}", folder.display()))?;
        }
        fs::write(folder.join("sources.list"), sources).context("writing the private sources.list")?;
        Ok(Self { folder })
    }

    /// Fetches the package lists.
    pub(crate) fn update(&self) -> Result<()> {
        process::output(self.apt("apt-get").args(["--quiet", "update"])).map(drop)
    }

    /// The names of all packages that start so, or an empty list before the first [`Archive::update`].
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = process::text(self.apt("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Downloads packages and gives the paths of the files.
    pub(crate) fn download(&self, packages: &[String], into: &Path) -> Result<Vec<PathBuf>> {
        process::output(self.apt("apt-get").current_dir(into).arg("download").args(packages))?;
        let mut files = Vec::new();
        for entry in fs::read_dir(into).with_context(|| format!("reading {}", into.display()))? {
            files.push(entry?.path());
        }
        files.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
        if files.len() != packages.len() {
            bail!("apt-get downloaded {} files for {packages:?}", files.len());
        }
        Ok(files)
    }

    /// Installs packages; `suite` is preferred over the release's own where it is given.
    pub(crate) fn install(&self, packages: &[&str], suite: Option<&str>) -> Result<()> {
        let mut install = self.apt("apt-get");
        install.env("DEBIAN_FRONTEND", "noninteractive");
        install.args(["--quiet", "--quiet", "--yes", "--no-install-recommends"]);
        // Rather fail and say so than take away what somebody else needs.
        install.args(["--no-remove", "install"]);
        if let Some(suite) = suite {
            install.args(["--target-release", suite]);
        }
        process::output(install.args(packages)).map(drop)
    }

    fn apt(&self, program: &str) -> Command {
        let folder = self.folder.display();
        let mut apt = Command::new(program);
        for option in [
            format!("Dir::Etc::sourcelist={folder}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={folder}/lists"),
            format!("Dir::Cache={folder}/cache"),
            // The cache may lie in a home folder, where apt's own user can't write.
            "APT::Sandbox::User=root".to_owned(),
        ] {
            apt.args(["--option", &option]);
        }
        apt
    }
}
