//! The stock kernels that everything is tried on: Debian's, unchanged, from its packages.
//!
//! A kernel is downloaded and unpacked once, never installed, and used from the cache without the network from then on.
//! Package names carry version numbers and rotate, so a kernel is asked for by its series (`6.12`) and what that means is
//! looked up when it is fetched; the answer is kept as a link in the cache until `setup --refresh-kernels` asks again.

mod modules;
mod payload;
mod release;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use self::release::{Candidate, Release};
use crate::apt::Archive;
use crate::inputs;
use crate::process;

/// The kernels every guarantee is tried on: Debian 12's own, its newer one, and the newest that the mirror has.
pub(crate) const MATRIX: [&str; 3] = ["6.1", "6.12", Choice::NEWEST];

/// Which kernel somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A series (`6.12`), a version within one (`6.12.57`), or [`Choice::NEWEST`].
    Stock(String),
    /// A `vmlinuz` or `vmlinux` file.
    File(PathBuf),
}

impl Choice {
    /// The word for the newest kernel there is.
    pub(crate) const NEWEST: &'static str = "newest";

    /// The kernels of the matrix.
    pub(crate) fn matrix() -> Vec<Self> {
        MATRIX.iter().map(|name| Self::Stock((*name).to_owned())).collect()
    }
}

impl FromStr for Choice {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_version = text.contains('.') && text.split('.').all(|part| part.parse::<u32>().is_ok());
        if text == Self::NEWEST || is_version {
            Ok(Self::Stock(text.to_owned()))
        } else if Path::new(text).is_file() {
            Ok(Self::File(PathBuf::from(text)))
        } else {
            Err(anyhow!("neither a version like 6.12, nor `{}`, nor a file", Self::NEWEST))
        }
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stock(name) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A kernel that can be booted.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// What to call it: its release, or the name of its file.
    pub(crate) name: String,
    /// The uncompressed image, which QEMU starts by its PVH entry: the fastest way in.
    pub(crate) image: PathBuf,
    /// The folder that holds `lib/modules/RELEASE`, for kernels from packages.
    modules: Option<PathBuf>,
}

impl Kernel {
    /// Whether it comes with its modules.
    pub(crate) const fn has_modules(&self) -> bool {
        self.modules.is_some()
    }
}

/// The cached kernels.
#[derive(Debug)]
pub(crate) struct Kernels {
    cache: PathBuf,
}

impl Kernels {
    /// Below the cache folder.
    pub(crate) fn new(cache: &Path) -> Self {
        Self { cache: cache.to_owned() }
    }

    /// The kernel somebody wants, from the cache if it is there, else from the mirror.
    pub(crate) fn get(&self, choice: &Choice) -> Result<Kernel> {
        match choice {
            Choice::File(path) => self.of_file(path),
            Choice::Stock(name) => match self.cached(name) {
                Some(kernel) => Ok(kernel),
                None => self.refresh(name),
            },
        }
    }

    /// Whether [`Kernels::get`] needs no network for this one.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.cached(name).is_some()
    }

    /// Asks the mirror what a name means today, and fetches that, unless it is there.
    pub(crate) fn refresh(&self, name: &str) -> Result<Kernel> {
        let archive = Archive::open_for_kernels(&self.cache)?;
        archive.update()?;
        let names = [archive.names("linux-image-")?, archive.names("linux-binary-")?].concat();
        let candidates = names.iter().filter_map(|package| Candidate::parse(package));
        let chosen = candidates
            .filter(|candidate| name == Choice::NEWEST || candidate.release.is_in_series(name))
            .max()
            .ok_or_else(|| {
                let known: BTreeSet<String> = names
                    .iter()
                    .filter_map(|package| Some(Candidate::parse(package)?.release.series()))
                    .collect();
                let known: Vec<String> = known.into_iter().collect();
                anyhow!("this machine's mirror has no kernel {name}; it has {}", known.join(", "))
            })?;
        let folder = self.folder().join(chosen.release.text());
        if !folder.exists() {
            eprintln!("fetching kernel {}", chosen.release.text());
            fetch(&archive, &chosen, &folder).with_context(|| format!("fetching kernel {name}"))?;
        }
        self.remember(name, &chosen.release)?;
        self.cached(name).with_context(|| format!("kernel {name} vanished from {}", self.cache.display()))
    }

    /// Removes the kernels that no name means any more.
    pub(crate) fn prune(&self) -> Result<()> {
        let folder = self.folder();
        let entries = |folder: &Path| -> Result<Vec<PathBuf>> {
            let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
            entries.map(|entry| Ok(entry?.path())).collect()
        };
        let names = entries(&folder.join("by-name"))?;
        let meant: BTreeSet<PathBuf> = names.iter().filter_map(|name| fs::canonicalize(name).ok()).collect();
        for kernel in entries(&fs::canonicalize(&folder)?)? {
            if kernel.join("vmlinux").exists() && !meant.contains(&kernel) {
                eprintln!("removing kernel {}", kernel.file_name().unwrap_or_default().display());
                fs::remove_dir_all(&kernel).with_context(|| format!("removing {}", kernel.display()))?;
            }
        }
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        self.cache.join("kernels")
    }

    fn cached(&self, name: &str) -> Option<Kernel> {
        let folder = fs::canonicalize(self.folder().join("by-name").join(name)).ok()?;
        let name = folder.file_name()?.to_str()?.to_owned();
        Some(Kernel { name, image: folder.join("vmlinux"), modules: Some(folder) })
    }

    /// Points the name at a release, in one step: another task may be reading it.
    fn remember(&self, name: &str, release: &Release) -> Result<()> {
        let names = self.folder().join("by-name");
        let new = names.join(format!("{name}.{}", std::process::id()));
        fs::create_dir_all(&names)
            .and_then(|()| symlink(Path::new("..").join(release.text()), &new))
            .and_then(|()| fs::rename(&new, names.join(name)))
            .with_context(|| format!("linking {name} in {}", names.display()))
    }

    fn of_file(&self, path: &Path) -> Result<Kernel> {
        let bytes = fs::read(path).with_context(|| format!("reading the kernel {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if payload::is_elf(&bytes) {
            return Ok(Kernel { name, image: path.to_owned(), modules: None });
        }
        let folder = self.folder().join("from-file");
        let image = folder.join(inputs::hex(&Sha256::digest(&bytes)));
        if !image.exists() {
            let unpacked =
                payload::unpack(&bytes).with_context(|| format!("unpacking {}", path.display()))?;
            let part = image.with_extension(std::process::id().to_string());
            fs::create_dir_all(&folder)
                .and_then(|()| fs::write(&part, unpacked))
                .and_then(|()| fs::rename(&part, &image))
                .with_context(|| format!("writing {}", image.display()))?;
        }
        Ok(Kernel { name, image, modules: None })
    }
}

/// Downloads a kernel's packages and unpacks them; the folder appears complete or not at all.
fn fetch(archive: &Archive, chosen: &Candidate, folder: &Path) -> Result<()> {
    let parent = folder.parent().context("the cache has no parent folder")?;
    fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    let work =
        tempfile::Builder::new().prefix(".fetch-").tempdir_in(parent).context("making a work folder")?;
    let (packages, files) = (work.path().join("packages"), work.path().join("files"));
    let kernel = work.path().join("kernel");
    for folder in [&packages, &files, &kernel] {
        fs::create_dir(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    for package in archive.download(&chosen.packages(), &packages)? {
        process::output(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&files))?;
    }
    let release = chosen.release.text();
    let places = [format!("boot/vmlinuz-{release}"), format!("usr/lib/modules/{release}/vmlinuz")];
    let Some(compressed) = places.iter().map(|place| files.join(place)).find(|path| path.exists()) else {
        bail!("the package holds no vmlinuz in any of {places:?}");
    };
    let bytes = fs::read(&compressed).with_context(|| format!("reading {}", compressed.display()))?;
    fs::write(kernel.join("vmlinux"), payload::unpack(&bytes)?).context("writing vmlinux")?;
    for place in ["lib/modules", "usr/lib/modules"] {
        let modules = files.join(place).join(release);
        if modules.exists() {
            fs::create_dir_all(kernel.join("lib/modules"))
                .and_then(|()| fs::rename(&modules, kernel.join("lib/modules").join(release)))
                .context("keeping the modules")?;
        }
    }
    match fs::rename(&kernel, folder) {
        // Another task was faster.
        Err(_) if folder.join("vmlinux").exists() => Ok(()),
        outcome => outcome.with_context(|| format!("moving the kernel to {}", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_version_a_word_or_a_file() {
        assert_eq!("6.12".parse::<Choice>().expect("series"), Choice::Stock("6.12".into()));
        assert_eq!("newest".parse::<Choice>().expect("word"), Choice::Stock("newest".into()));
        assert_eq!("/proc/version".parse::<Choice>().expect("file"), Choice::File("/proc/version".into()));
        for wrong in ["6", "6.x", "latest", "/no/such/vmlinuz", "", "."] {
            assert!(wrong.parse::<Choice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_empty_cache_has_no_kernel() {
        assert!(!Kernels::new(Path::new("/nowhere")).has("6.12"));
    }
}
