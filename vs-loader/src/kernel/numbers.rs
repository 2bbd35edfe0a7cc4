//! By which numbers the kernel knows what this process has open.

use std::io::{self, Read as _};

use aya::programs::{Program, ProgramError};
use vs_common::filesystem::FileNumbers;

use super::object::{Object, ObjectError};

/// The program that tells them. It is no hook's: it runs for whoever reads it, here and now.
const PROGRAM: &str = "file_numbers";
/// What it goes through.
const ITERATOR: &str = "task_file";

impl Object {
    /// The numbers of every file that this process has open.
    ///
    /// # Errors
    /// The object is not ours, or the kernel refused.
    pub fn file_numbers(&mut self) -> Result<Vec<FileNumbers>, ObjectError> {
        let failed =
            |action| move |cause: ProgramError| ObjectError::Iterator { program: PROGRAM, action, cause };
        let (program, types) = self.iterator(PROGRAM)?;
        let Program::Iter(program) = program else {
            return Err(failed("load")(ProgramError::UnexpectedProgramType));
        };
        program.load(ITERATOR, types).or_else(|error| match error {
            // Asked for the second time.
            ProgramError::AlreadyLoaded => Ok(()),
            error => Err(failed("load")(error)),
        })?;
        let link = program.attach().map_err(failed("attach"))?;
        let link = program.take_link(link).map_err(failed("attach"))?;
        let mut file = link.into_file().map_err(|_| failed("read")(ProgramError::NotAttached))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|cause| failed("read")(ProgramError::IOError(cause)))?;
        numbers_in(&bytes).map_err(|cause| failed("read")(ProgramError::IOError(cause)))
    }
}

/// What the program has written.
fn numbers_in(bytes: &[u8]) -> io::Result<Vec<FileNumbers>> {
    let (records, rest) = bytes.as_chunks::<{ size_of::<FileNumbers>() }>();
    if !rest.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let word = |record: &[u8; 32], at: usize| -> u64 {
        record[at..at + 8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    };
    let half = |record: &[u8; 32], at: usize| -> u32 {
        record[at..at + 4].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
    };
    let numbers = |record: &[u8; 32]| FileNumbers {
        descriptor: half(record, 0),
        device: half(record, 4),
        inode: word(record, 8),
        generation: half(record, 16),
        filesystem: half(record, 20),
        magic: word(record, 24),
    };
    Ok(records.iter().map(numbers).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        for number in [3_u32, 0xfd00] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(0x1_0000_0002_u64.to_le_bytes());
        bytes.extend([7_u32, 0o40_755].map(u32::to_le_bytes).concat());
        bytes.extend(0xef53_u64.to_le_bytes());
        let expected = FileNumbers {
            descriptor: 3,
            device: 0xfd00,
            inode: 0x1_0000_0002,
            generation: 7,
            filesystem: 0o40_755,
            magic: 0xef53,
        };
        assert_eq!(numbers_in(&bytes).unwrap(), [expected]);
        bytes.pop();
        assert!(numbers_in(&bytes).is_err());
    }
}
