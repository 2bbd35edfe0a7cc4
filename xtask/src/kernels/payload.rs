//! The kernel inside a `vmlinuz`: a boot stub with a compressed ELF file behind it.
//!
//! QEMU can start that ELF file directly by its PVH note, which skips firmware, boot loader and decompression in emulated
//! code. Where it lies stands in the setup header of the Linux boot protocol (Documentation/arch/x86/boot.rst).

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// `setup_sects`, `payload_offset` and `payload_length` of the setup header, and its magic with the place of that.
const SETUP_SECTS: usize = 0x1f1;
const MAGIC: (usize, &[u8]) = (0x202, b"HdrS");
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

/// The compressions Debian's kernels have used: how each begins, and what unpacks it.
const COMPRESSIONS: [(&[u8], &str); 4] = [
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x1f\x8b", "gzip"),
];

/// Whether these bytes are an unpacked kernel already.
pub(super) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// The ELF file inside a `vmlinuz`.
pub(super) fn unpack(vmlinuz: &[u8]) -> Result<Vec<u8>> {
    let payload = locate(vmlinuz).context("not a Linux boot image for x86")?;
    let Some((_, program)) = COMPRESSIONS.iter().find(|(magic, _)| payload.starts_with(magic)) else {
        bail!("unknown compression, beginning {:02x?}", &payload[..payload.len().min(6)]);
    };
    // Behind the compressed data the kernel's build puts its unpacked size, four bytes, except for gzip, which ends with
    // the size anyway. The programs would complain about them.
    let end = payload.len() - if *program == "gzip" { 0 } else { 4 };
    let elf = process::filter(Command::new(program).arg("-dc"), payload[..end].to_vec())?;
    if !is_elf(&elf) {
        bail!("what {program} unpacked is not an ELF file");
    }
    Ok(elf)
}

fn locate(vmlinuz: &[u8]) -> Option<&[u8]> {
    let (place, magic) = MAGIC;
    if vmlinuz.get(place..place + magic.len())? != magic {
        return None;
    }
    let number = |place: usize| {
        let bytes = vmlinuz.get(place..place + 4)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    // Zero means four, says the protocol.
    let setup_sectors = match *vmlinuz.get(SETUP_SECTS)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (setup_sectors + 1) * 512 + number(PAYLOAD_OFFSET)?;
    vmlinuz.get(start..start.checked_add(number(PAYLOAD_LENGTH)?)?).filter(|payload| payload.len() > 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A boot image with one setup sector and `payload` at offset 16 of the protected-mode part.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024 + 16];
        image[SETUP_SECTS] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&16_u32.to_le_bytes());
        let length = u32::try_from(payload.len()).expect("small");
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        image.extend_from_slice(payload);
        image.extend_from_slice(b"what follows");
        image
    }

    #[test]
    fn the_payload_is_unpacked() {
        let elf = b"\x7fELF and so on".to_vec();
        let packed = process::filter(Command::new("gzip").arg("-c"), elf.clone()).expect("gzip");
        assert_eq!(unpack(&image(&packed)).expect("a kernel"), elf);
    }

    #[test]
    fn what_is_no_kernel_is_named_as_such() {
        for (bytes, reason) in [
            (b"MZ".to_vec(), "not a Linux boot image"),
            (vec![0; 4096], "not a Linux boot image"),
            (image(b"brotli?"), "unknown compression"),
        ] {
            let error = unpack(&bytes).expect_err("no kernel");
            assert!(error.to_string().contains(reason), "{error}");
        }
        let mut cut = image(b"\x1f\x8b");
        cut[PAYLOAD_LENGTH + 2] = 1;
        assert!(locate(&cut).is_none());
    }
}
