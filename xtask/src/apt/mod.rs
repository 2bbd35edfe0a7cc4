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

/// The suites packages of this machine's release may be installed from.
const OWN_SUITES: [&str; 2] = ["", "-backports"];
/// The Debian release everything is resolved against, whatever release the machine runs.
pub(crate) const RELEASE: &str = "bookworm";
/// One more suite, for kernels only: they are unpacked, never installed.
const KERNEL_SUITE: &str = "trixie-backports";

/// What may be done with the packages of an archive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Install them on this machine.
    Install,
    /// Download and unpack them in the cache.
    Kernels,
}

/// A private view of Debian's archive.
#[derive(Debug)]
pub(crate) struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// Sets the view up below the cache folder.
    pub(crate) fn open(cache: &Path, purpose: Purpose) -> Result<Self> {
        let mirror =
            sources::mirrors_of_this_machine().context("looking for this machine's Debian mirror")?;
        let (name, extra) = match purpose {
            Purpose::Install => ("install", None),
            Purpose::Kernels => ("kernels", Some(KERNEL_SUITE)),
        };
        let folder = cache.join("apt").join(name);
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))
                .with_context(|| format!("creating {}", folder.display()))?;
        }
        let suites = OWN_SUITES.iter().map(|suffix| format!("{RELEASE}{suffix}"));
        let suites: Vec<String> = suites.chain(extra.map(str::to_owned)).collect();
        let list = sources::one_line_format(&mirror, &suites, &format!("{RELEASE}-security"));
        fs::write(folder.join("sources.list"), list).context("writing the private sources.list")?;
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
        install.args(["--quiet", "--quiet", "--yes", "--no-install-recommends", "install"]);
        if let Some(suite) = suite {
            install.args(["--target-release", suite]);
        }
        process::run(install.args(packages))
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
