//! What the eBPF object is made of, as one number.
//!
//! `cargo xtask build` writes it beside the object, and the build script of vs-loader, which includes this file, compares it
//! with the sources: so nobody ever embeds an object that is not the one of the sources beside it. Nothing in here may need
//! more than the standard library and `sha2`.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The files and folders, below the top folder of the workspace, that decide what the object is.
pub(crate) const SOURCES: [&str; 4] = ["vs-ebpf", "vs-common", "Cargo.lock", "Cargo.toml"];

/// The SHA-256 over all of [`SOURCES`]: for each file, in the order of their paths, its path, its length and its content.
///
/// # Errors
///
/// When one of them can't be read.
pub(crate) fn digest(root: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(root, PathBuf::from(source), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(root.join(&file))?;
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(content.len().to_string());
        hash.update([0]);
        hash.update(content);
    }
    Ok(hex(&hash.finalize()))
}

/// The usual way to write a hash.
pub(crate) fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Collects the files at or below `path`, without what editors hide beside them.
fn collect(root: &Path, path: PathBuf, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !root.join(&path).is_dir() {
        files.push(path);
        return Ok(());
    }
    for entry in fs::read_dir(root.join(&path))? {
        let name = entry?.file_name();
        let shown = name.to_string_lossy();
        if !shown.starts_with('.') && !shown.ends_with('~') {
            collect(root, path.join(&name), files)?;
        }
    }
    Ok(())
}
