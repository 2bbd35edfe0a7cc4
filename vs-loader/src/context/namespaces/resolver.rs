//! How names are resolved inside: `/etc/resolv.conf` is often a link into `/run`, which a context does not share.
//!
//! The files that the usual tools keep there are copied once, when the context starts. They are looked for under fixed names
//! and never through the link in `/etc`, which a context with the same disk could bend towards a secret.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};

use super::fresh::{self, MountError};

/// Where systemd-resolved, resolvconf and `NetworkManager` keep them: directories below `/run`, and the files' names.
const PLACES: [(&[&str], &str); 4] = [
    (&["systemd", "systemd/resolve"], "systemd/resolve/stub-resolv.conf"),
    (&["systemd", "systemd/resolve"], "systemd/resolve/resolv.conf"),
    (&["resolvconf"], "resolvconf/resolv.conf"),
    (&["NetworkManager"], "NetworkManager/resolv.conf"),
];

/// More than any of these files holds.
const LIMIT: u64 = 64 * 1024;

/// A file to be written to the context's `/run`.
#[derive(Debug)]
pub(super) struct ResolverFile {
    directories: &'static [&'static str],
    path: &'static str,
    contents: Vec<u8>,
}

/// Reads the host's.
///
/// # Errors
/// A file is there and cannot be read.
pub(super) fn collect() -> Result<Vec<ResolverFile>, MountError> {
    let run = match fresh::directory(CWD, "/run") {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        result => result?,
    };
    let mut files = Vec::new();
    for (directories, path) in PLACES {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let Ok(file) = rustix::fs::openat2(&run, path, flags, Mode::empty(), resolve) else { continue };
        let contents = read(file).map_err(MountError::at("read", format!("/run/{path}")))?;
        files.extend(contents.map(|contents| ResolverFile { directories, path, contents }));
    }
    Ok(files)
}

fn read(file: OwnedFd) -> std::io::Result<Option<Vec<u8>>> {
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let mut contents = Vec::new();
    File::from(file).take(LIMIT).read_to_end(&mut contents)?;
    Ok(Some(contents))
}

/// Writes them below the context's new `/run`.
///
/// # Errors
/// The kernel refused.
pub(super) fn write(run: &OwnedFd, files: &[ResolverFile]) -> Result<(), MountError> {
    for file in files {
        let write = || -> std::io::Result<()> {
            for directory in file.directories {
                match rustix::fs::mkdirat(run, *directory, Mode::from_raw_mode(0o755)) {
                    Err(rustix::io::Errno::EXIST) => {}
                    result => result?,
                }
                rustix::fs::chmodat(run, *directory, Mode::from_raw_mode(0o755), AtFlags::empty())?;
            }
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let target = rustix::fs::openat(run, file.path, flags, Mode::from_raw_mode(0o644))?;
            rustix::fs::fchmod(&target, Mode::from_raw_mode(0o644))?;
            File::from(target).write_all(&file.contents)
        };
        write().map_err(MountError::at("write", format!("/run/{}", file.path)))?;
    }
    Ok(())
}
