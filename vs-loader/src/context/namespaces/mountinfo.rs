//! `/proc/PID/mountinfo` (`fs/proc_namespace.c:show_mountinfo`), parsed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mount {
    /// The mount's id, as `statx(2)` gives it for a file on it.
    pub id: u64,
    /// The device of its superblock: major and minor.
    pub device: (u32, u32),
    /// What of the file system is mounted: `/` unless it is a bind mount.
    pub root: PathBuf,
    /// Where.
    pub place: PathBuf,
    /// Options of the mount, not of the superblock.
    pub options: Vec<String>,
    /// Peer groups: `shared:7`, `master:3`; empty for a private mount.
    pub propagation: Vec<String>,
    /// The type of the file system.
    pub filesystem: String,
}

/// A line that is not of the kernel's form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number} of mountinfo is not of the form that proc(5) describes: {line}")]
pub struct MountinfoError {
    /// Counted from 1.
    number: usize,
    /// The line.
    line: String,
}

/// Parses a whole file.
///
/// # Errors
/// A line has another form: whoever prunes a mount tree must know all of it.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Mount>, MountinfoError> {
    text.split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(index, line)| {
            parse_line(line).ok_or_else(|| MountinfoError {
                number: index + 1,
                line: String::from_utf8_lossy(line).into_owned(),
            })
        })
        .collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = text(fields.next()?)?.parse().ok()?;
    let _parent: u64 = text(fields.next()?)?.parse().ok()?;
    let (major, minor) = text(fields.next()?)?.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let root = path(fields.next()?)?;
    let place = path(fields.next()?)?;
    let options = text(fields.next()?)?.split(',').map(str::to_owned).collect();
    let mut propagation = Vec::new();
    loop {
        match fields.next()? {
            b"-" => break,
            field => propagation.push(text(field)?.to_owned()),
        }
    }
    let filesystem = String::from_utf8(unescape(fields.next()?)?).ok()?;
    let (_source, _superblock_options) = (fields.next()?, fields.next()?);
    Some(Mount { id, device, root, place, options, propagation, filesystem })
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok()
}

fn path(field: &[u8]) -> Option<PathBuf> {
    Some(OsString::from_vec(unescape(field)?).into())
}

/// Undoes `mangle` of `fs/seq_file.c`: a backslash and three octal digits stand for one byte.
fn unescape(field: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        if *first != b'\\' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let (digits, tail) = tail.split_at_checked(3)?;
        let byte = digits.iter().try_fold(0_u16, |value, digit| match digit {
            b'0'..=b'7' => Some(value * 8 + u16::from(digit - b'0')),
            _ => None,
        })?;
        bytes.push(u8::try_from(byte).ok()?);
        rest = tail;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_every_field() {
        let line = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue\n";
        assert_eq!(
            parse(line).unwrap(),
            [Mount {
                id: 36,
                device: (98, 0),
                root: "/mnt1".into(),
                place: "/mnt 2".into(),
                options: vec!["rw".into(), "noatime".into()],
                propagation: vec!["master:1".into(), "propagate_from:2".into()],
                filesystem: "ext3".into(),
            }]
        );
    }

    #[test]
    fn a_private_mount_has_no_propagation_and_a_source_may_be_empty() {
        let mounts =
            parse(b"23 27 0:22 / /sys rw - sysfs  rw\n24 27 0:6 / /dev rw - devtmpfs none rw\n").unwrap();
        assert_eq!(mounts.len(), 2);
        assert!(mounts[0].propagation.is_empty());
        assert_eq!(mounts[1].filesystem, "devtmpfs");
    }

    #[test]
    fn bytes_that_are_not_text_survive() {
        let mounts = parse(b"1 0 0:1 / /a\\134b\xff rw - tmpfs t rw\n").unwrap();
        assert_eq!(mounts[0].place.as_os_str().as_encoded_bytes(), b"/a\\b\xff");
    }

    #[test]
    fn a_line_of_another_form_is_an_error_with_its_number() {
        let error = parse(b"1 0 0:1 / / rw - tmpfs t rw\n1 0 0:1 / / rw tmpfs t rw\n").unwrap_err();
        assert_eq!(error.number, 2);
        for broken in [
            "x 0 0:1 / / rw - t s o",
            "1 0 01 / / rw - t s o",
            "1 0 0:1 / /\\04 rw - t s o",
            "1 0 0:1 / /\\777 rw - t s o",
        ] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_this_kernel_writes_is_understood() {
        let text = std::fs::read("/proc/self/mountinfo").unwrap();
        assert!(parse(&text).unwrap().iter().any(|mount| mount.place == std::path::Path::new("/")));
    }
}
