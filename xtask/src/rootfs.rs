//! Root file systems with real programs in them, instead of busybox's.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::vm::image::Image;

/// A root file system for a test machine.
#[derive(Clone, Debug)]
pub(crate) enum Rootfs {
    /// A folder, packed anew for each run.
    Folder(PathBuf),
}

impl Rootfs {
    /// Begins an initial file system with this one's content.
    pub(crate) fn begin(&self, path: &Path) -> Result<Image> {
        match self {
            Self::Folder(folder) => {
                let mut image = Image::create(path)?;
                image.copy("/", folder)?;
                Ok(image)
            }
        }
    }
}

impl FromStr for Rootfs {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if Path::new(text).is_dir() {
            Ok(Self::Folder(PathBuf::from(text)))
        } else {
            bail!("there is no folder {text}")
        }
    }
}
