//! The programs every test machine has, whatever else is in it: init and ours.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::image::Image;

/// The programs to take along.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    /// The guest's first process.
    pub(crate) init: PathBuf,
    /// Programs for `/usr/local/bin`, by their file names.
    pub(crate) programs: Vec<PathBuf>,
}

impl Tools {
    /// Adds them to an image.
    pub(super) fn add_to(&self, image: &mut Image) -> Result<()> {
        image.copy("/init", &self.init)?;
        for program in &self.programs {
            let name = program.file_name().context("a program without a name")?;
            image.copy(Path::new("/usr/local/bin").join(name), program)?;
        }
        Ok(())
    }
}
