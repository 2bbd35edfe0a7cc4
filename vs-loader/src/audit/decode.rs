//! From the bytes of the ring buffer to a [`Violation`]. Total: every byte string is a violation or a reason why it is none.
//!
//! Numbers of enumerations are left as they are: a hook or a reason that this version has no word for is no error, and gets into
//! the audit by its number ([`super::word`]).

use serde::{Deserialize, Serialize};
use vs_common::violation::{VIOLATION_VERSION, Violation};

/// Why bytes are no violation that this version can read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum DecodeError {
    /// Not even a version and a size.
    #[error("record of {length} bytes, too short to carry a version")]
    TooShort {
        /// Bytes there were.
        length: usize,
    },
    /// Written by programs of another version.
    #[error(
        "record of version {version}, this is a reader of version {VIOLATION_VERSION}: start the vs that loaded the policy"
    )]
    UnknownVersion {
        /// The version it carries.
        version: u16,
        /// Bytes there were.
        length: usize,
    },
    /// Of our version, and not of its size: the ring or its writer is broken.
    #[error("record of {length} bytes that says {size}, and a violation has {}", size_of::<Violation>())]
    WrongSize {
        /// The size it carries.
        size: u16,
        /// Bytes there were.
        length: usize,
    },
}

/// Reads one record.
///
/// # Errors
/// It is of another version or size.
pub fn decode(bytes: &[u8]) -> Result<Violation, DecodeError> {
    let length = bytes.len();
    let [v0, v1, s0, s1, ..] = *bytes else { return Err(DecodeError::TooShort { length }) };
    let (version, size) = (u16::from_ne_bytes([v0, v1]), u16::from_ne_bytes([s0, s1]));
    if version != VIOLATION_VERSION {
        return Err(DecodeError::UnknownVersion { version, length });
    }
    if usize::from(size) != size_of::<Violation>() || length != size_of::<Violation>() {
        return Err(DecodeError::WrongSize { size, length });
    }
    // SAFETY: `bytes` is exactly as long as a `Violation` (checked above), the read asks for no alignment, and a `Violation`
    // consists of integers and arrays of them without padding (asserted beside it), so every bit pattern is a value.
    Ok(unsafe { bytes.as_ptr().cast::<Violation>().read_unaligned() })
}

/// The bytes that the kernel side would write.
#[cfg(test)]
pub(crate) fn encode(violation: &Violation) -> Vec<u8> {
    // SAFETY: a `Violation` has no padding (asserted beside it), so all its bytes are initialised, and it outlives the slice.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(violation).cast::<u8>(), size_of::<Violation>()) }
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::enrich::tests::signal;
    use proptest::prelude::*;

    #[test]
    fn what_the_kernel_wrote_comes_back() {
        let violation = signal();
        assert_eq!(decode(&encode(&violation)), Ok(violation));
    }

    #[test]
    fn an_unaligned_record_is_read() {
        let mut bytes = vec![0];
        bytes.extend(encode(&signal()));
        assert_eq!(decode(&bytes[1..]), Ok(signal()));
    }

    #[test]
    fn other_versions_and_sizes_are_named() {
        assert_eq!(decode(&[1, 0, 2]), Err(DecodeError::TooShort { length: 3 }));
        let mut bytes = encode(&signal());
        bytes.push(0);
        assert_eq!(decode(&bytes), Err(DecodeError::WrongSize { size: 232, length: 233 }));
        bytes[0..2].copy_from_slice(&2_u16.to_ne_bytes());
        assert_eq!(decode(&bytes), Err(DecodeError::UnknownVersion { version: 2, length: 233 }));
        let mut bytes = encode(&signal());
        bytes[2..4].copy_from_slice(&231_u16.to_ne_bytes());
        assert_eq!(decode(&bytes), Err(DecodeError::WrongSize { size: 231, length: 232 }));
    }

    proptest! {
        #[test]
        fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn any_body_with_our_header_is_a_violation(mut bytes in prop::collection::vec(any::<u8>(), 232..=232)) {
            bytes[0..2].copy_from_slice(&VIOLATION_VERSION.to_ne_bytes());
            bytes[2..4].copy_from_slice(&232_u16.to_ne_bytes());
            let violation = decode(&bytes).unwrap();
            prop_assert_eq!(encode(&violation), bytes);
        }
    }
}
