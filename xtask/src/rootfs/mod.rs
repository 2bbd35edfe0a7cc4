//! The root file systems of test machines.

mod busybox;
pub(crate) mod debian;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::vm::image::Image;
use crate::workspace;

/// A root file system for a test machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rootfs {
    /// Busybox and nothing else.
    Busybox,
    /// A small Debian 12 with what the tests of real programs need, from the cache.
    Debian,
    /// A folder, packed anew for each run.
    Folder(PathBuf),
}

impl Rootfs {
    /// Begins an initial file system with this one's content.
    pub(crate) fn begin(&self, file: File) -> Result<Image> {
        match self {
            Self::Busybox => busybox::begin(file),
            Self::Debian => debian::begin(&workspace::cache()?, file),
            Self::Folder(folder) => {
                let mut image = Image::new(file);
                image.copy("/", folder)?;
                Ok(image)
            }
        }
    }
}

impl FromStr for Rootfs {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "busybox" => Ok(Self::Busybox),
            "debian" => Ok(Self::Debian),
            folder if Path::new(folder).is_dir() => Ok(Self::Folder(PathBuf::from(folder))),
            _ => bail!("neither `busybox`, nor `debian`, nor a folder"),
        }
    }
}
