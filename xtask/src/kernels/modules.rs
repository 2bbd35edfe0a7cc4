//! Modules of a kernel, with those they need, unpacked: the guest loads plain files, in order.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Kernel;
use crate::process;

/// From the package `kmod`, which puts them outside of the PATH of ordinary users.
const DEPMOD: &str = "/sbin/depmod";
const MODPROBE: &str = "/sbin/modprobe";

/// A module's file, ready to load.
#[derive(Debug)]
pub(crate) struct Module {
    /// Such as `overlay.ko`.
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

impl Kernel {
    /// The modules of these names and what they depend on, each before those that need it.
    pub(crate) fn modules(&self, names: &[String]) -> Result<Vec<Module>> {
        let mut paths: Vec<PathBuf> = Vec::new();
        for name in names {
            for path in self.needed_for(name)? {
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        paths.iter().map(|path| read(path)).collect()
    }

    fn needed_for(&self, name: &str) -> Result<Vec<PathBuf>> {
        let Some(folder) = &self.modules else {
            bail!(
                "a kernel from a file comes without modules; build {name} in, or take one of Debian's kernels"
            );
        };
        if !folder.join("lib/modules").join(&self.name).join("modules.dep").exists() {
            process::output(Command::new(DEPMOD).arg("--basedir").arg(folder).arg(&self.name))?;
        }
        let mut modprobe = Command::new(MODPROBE);
        modprobe.arg("--dirname").arg(folder).args(["--set-version", &self.name, "--show-depends", name]);
        // `insmod PATH` for each file; `builtin NAME` for what needs none.
        let plan =
            process::text(&mut modprobe).with_context(|| format!("{} has no module {name}", self.name))?;
        Ok(plan
            .lines()
            .filter_map(|line| line.strip_prefix("insmod "))
            .map(|path| path.trim().into())
            .collect())
    }
}

fn read(path: &Path) -> Result<Module> {
    let content = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for (suffix, program) in [(".xz", "xz"), (".zst", "zstd"), (".gz", "gzip")] {
        if let Some(name) = name.strip_suffix(suffix) {
            let content = process::filter(Command::new(program).arg("-dc"), content)?;
            return Ok(Module { name: name.to_owned(), content });
        }
    }
    Ok(Module { name, content })
}
