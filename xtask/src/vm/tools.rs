//! The programs every test machine has: init, ours, and busybox's where no other root file system brings its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::image::Image;
use crate::process;

/// Debian's static busybox, from the package `busybox-static`.
const BUSYBOX: &str = "/bin/busybox";

/// The programs to take along.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    /// The guest's first process.
    pub(crate) init: PathBuf,
    /// Programs for `/usr/local/bin`, by their file names.
    pub(crate) programs: Vec<PathBuf>,
}

impl Tools {
    /// Begins an image with busybox in it, under all of its names.
    pub(super) fn begin(&self, path: &Path) -> Result<Image> {
        let mut image = Image::create(path)?;
        image.copy("/bin/busybox", Path::new(BUSYBOX))?;
        let names = process::text(Command::new(BUSYBOX).arg("--list-full"))
            .context("asking busybox for its names; run `cargo xtask setup`")?;
        for name in names.lines().filter(|name| Path::new("/").join(name) != Path::new(BUSYBOX)) {
            image.link(name, BUSYBOX)?;
        }
        Ok(image)
    }

    /// Adds init and our programs.
    pub(super) fn add_to(&self, image: &mut Image) -> Result<()> {
        image.copy("/init", &self.init)?;
        for program in &self.programs {
            let name = program.file_name().context("a program without a name")?;
            image.copy(Path::new("/usr/local/bin").join(name), program)?;
        }
        Ok(())
    }
}
