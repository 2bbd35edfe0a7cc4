//! Programs that a context may see the executable of: they run from sealed memory, never from one of the host's files.
//!
//! Between the fork and the exec of a process that enters, `/proc/PID/exe` is the launching `vs`, and a command that is a
//! script with the interpreter `/proc/self/exe` makes the guest execute it. Were that the host's file, a guest's root could
//! wait for it to end and write to it (CVE-2019-5736). A memfd with all seals can be read and nothing else.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{MemfdFlags, SealFlags};

use super::syscall::{self, StringArray};

/// Why a program cannot be put into sealed memory.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A step failed.
    #[error("cannot {act}: {cause}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// The administrator has forbidden executable memory files.
    #[error(
        "the sysctl vm.memfd_noexec is 2: vs runs guests' first programs from sealed memory, which it forbids; set it to 1 or 0"
    )]
    Forbidden,
}

fn failed<E: Into<io::Error>>(act: &'static str) -> impl FnOnce(E) -> SealError {
    move |cause| SealError::Io { act, cause: cause.into() }
}

/// Every seal that can be set: the file can neither grow, shrink nor be written, and nobody can take a seal off.
const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// Puts a program into a sealed file in memory.
///
/// # Errors
/// The kernel refused.
pub(super) fn seal(name: &str, contents: &mut impl io::Read) -> Result<OwnedFd, SealError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create(name, flags | MemfdFlags::EXEC) {
        // Before 6.3 there is no flag to ask for what is the default there.
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        Err(rustix::io::Errno::ACCESS) => return Err(SealError::Forbidden),
        result => result,
    };
    let mut file = File::from(file.map_err(failed("make a file in memory"))?);
    io::copy(contents, &mut file).and_then(|_| file.flush()).map_err(failed("copy a program into memory"))?;
    rustix::fs::fcntl_add_seals(&file, SEALS).map_err(failed("seal a program in memory"))?;
    Ok(file.into())
}

fn is_sealed(file: &File) -> bool {
    rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SEALS))
}

/// Sees to it that this process runs from sealed memory: if it does not yet, it executes a sealed copy of itself with the same
/// arguments and environment, and does not return.
///
/// # Errors
/// The kernel refused.
pub fn run_from_sealed_memory() -> Result<(), SealError> {
    let mut own = File::open("/proc/self/exe").map_err(failed("open /proc/self/exe"))?;
    if is_sealed(&own) {
        // The kernel takes a process's name from how it was executed, which was by a descriptor's number.
        return rustix::thread::set_name(c"vs").map_err(failed("set this process's name"));
    }
    let copy = seal("vs", &mut own)?;
    let arguments = strings(std::env::args_os().map(OsStringExt::into_vec))?;
    let environment = strings(std::env::vars_os().map(|(name, value)| {
        let mut bytes = name.into_vec();
        bytes.push(b'=');
        bytes.extend(value.into_vec());
        bytes
    }))?;
    match syscall::execute_descriptor(copy.as_fd(), &arguments, &environment) {
        Err(cause) => Err(failed("execute a sealed copy of vs")(cause)),
        Ok(never) => match never {},
    }
}

fn strings(bytes: impl Iterator<Item = Vec<u8>>) -> Result<StringArray, SealError> {
    let strings = bytes.map(CString::new).collect::<Result<Vec<_>, _>>();
    Ok(StringArray::new(strings.map_err(|error| failed("hand on the command line")(io::Error::from(error)))?))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_sealed_file_holds_what_was_given_and_cannot_be_written() {
        let sealed = File::from(seal("test", &mut &b"contents"[..]).unwrap());
        assert!(is_sealed(&sealed));
        assert!(rustix::fs::ftruncate(&sealed, 0).is_err());
        assert!(rustix::io::pwrite(&sealed, b"x", 0).is_err());
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&sealed));
        assert!(File::options().write(true).open(&path).and_then(|mut file| file.write_all(b"x")).is_err());
        let mut read = String::new();
        File::open(path).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, "contents");
    }

    #[test]
    fn an_ordinary_file_is_not_sealed() {
        assert!(!is_sealed(&File::open("/proc/self/exe").unwrap()));
    }
}
