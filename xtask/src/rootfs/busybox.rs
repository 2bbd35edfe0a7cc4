//! Debian's static busybox under all of its names: the smallest root there is, and the one that boots fastest.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::vm::image::Image;

/// From the package `busybox-static`; the same path here and in the guest.
const BUSYBOX: &str = "/bin/busybox";

/// Begins an initial file system with it.
pub(super) fn begin(file: File) -> Result<Image> {
    let mut image = Image::new(file);
    image.copy(BUSYBOX, Path::new(BUSYBOX))?;
    let names = process::text(Command::new(BUSYBOX).arg("--list-full"))
        .context("asking busybox for its names; run `cargo xtask setup`")?;
    for name in names.lines().filter(|name| Path::new("/").join(name) != Path::new(BUSYBOX)) {
        image.link(name, BUSYBOX)?;
    }
    Ok(image)
}
