//! The smallest program there is: it exits with status 0.
//!
//! Executing it costs what the kernel does to execute a program, and nothing of a C library's or a runtime's start.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Where it is loaded.
const ADDRESS: u64 = 0x40_0000;
/// Bytes of the file's header and of the one program header (`elf(5)`).
const HEADERS: u64 = 64 + 56;

/// `exit_group(0)`.
#[cfg(target_arch = "x86_64")]
const CODE: &[u8] = &[
    0x31, 0xff, // xor edi, edi
    0xb8, 0xe7, 0, 0, 0, // mov eax, 231
    0x0f, 0x05, // syscall
];
/// `exit_group(0)`.
#[cfg(target_arch = "aarch64")]
const CODE: &[u8] = &[
    0x00, 0x00, 0x80, 0xd2, // mov x0, #0
    0xc8, 0x0b, 0x80, 0xd2, // mov x8, #94
    0x01, 0x00, 0x00, 0xd4, // svc #0
];

/// `EM_X86_64`.
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
/// `EM_AARCH64`.
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// Writes it.
pub(crate) fn write(path: &Path) -> io::Result<()> {
    fs::write(path, image())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn image() -> Vec<u8> {
    let size = HEADERS + CODE.len() as u64;
    let mut image = Vec::new();
    // ELF, 64 bits, little endian, version 1.
    image.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2, MACHINE] {
        image.extend_from_slice(&half.to_le_bytes()); // ET_EXEC
    }
    image.extend_from_slice(&1_u32.to_le_bytes());
    for word in [ADDRESS + HEADERS, 64, 0] {
        image.extend_from_slice(&word.to_le_bytes()); // entry, program headers, no sections
    }
    image.extend_from_slice(&0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        image.extend_from_slice(&half.to_le_bytes());
    }
    // PT_LOAD, readable and executable.
    for word in [1_u32, 5] {
        image.extend_from_slice(&word.to_le_bytes());
    }
    for word in [0, ADDRESS, ADDRESS, size, size, 4096] {
        image.extend_from_slice(&word.to_le_bytes());
    }
    image.extend_from_slice(CODE);
    image
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn it_runs_and_exits_with_0() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("exit");
        super::write(&path).expect("written");
        assert_eq!(Command::new(&path).status().expect("started").code(), Some(0));
    }
}
