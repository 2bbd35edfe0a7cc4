//! The directories of an epoch, in the maps and out of them.

use vs_common::filesystem::{FILTER_WORDS, FileFilter, FileKey, filter_bit};
use vs_common::id::Epoch;

use super::store::{Store, StoreError};
use crate::compile::files::Files;

/// The directories that policy of an epoch gives to somebody.
///
/// # Errors
/// The kernel refused.
pub fn files_of<S: Store + ?Sized>(store: &S, epoch: Epoch) -> Result<Files, StoreError> {
    let rows = store.file_rows()?.into_iter();
    Ok(rows
        .filter(|(key, _)| key.epoch == epoch)
        .map(|(key, row)| (FileKey { epoch: Epoch(0), ..key }, row))
        .collect())
}

/// Writes the directories of an epoch, and whether files are judged in it.
///
/// # Errors
/// The kernel refused, or the map is full.
pub(super) fn put_files<S: Store>(
    store: &mut S,
    files: &Files,
    are_judged: bool,
    epoch: Epoch,
) -> Result<(), StoreError> {
    for (key, row) in files {
        store.put_file(FileKey { epoch, ..*key }, row)?;
    }
    store.set_file_filter(epoch, &filter_of(files))?;
    store.set_files_judged(epoch, are_judged)
}

/// A bit for each directory.
pub(super) fn filter_of(files: &Files) -> FileFilter {
    let mut filter = [0; FILTER_WORDS];
    for key in files.keys() {
        let (word, bit) = filter_bit(key.inode, key.generation);
        filter[word as usize] |= bit;
    }
    filter
}

/// Removes the directories of the epochs that are asked for.
///
/// # Errors
/// The kernel refused.
pub(super) fn remove_files<S: Store>(
    store: &mut S,
    is_gone: impl Fn(Epoch) -> bool,
) -> Result<(), StoreError> {
    for (key, _) in store.file_rows()? {
        if is_gone(key.epoch) {
            store.remove_file(key)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vs_common::context::Tag;

    use super::*;
    use crate::compile::files::file_row;

    #[test]
    fn a_filter_has_a_bit_of_every_directory_and_no_other() {
        let keys = (0..500).map(|number| FileKey {
            inode: number * 0x1_0000_0001,
            generation: if number % 2 == 0 { 0 } else { 0x9abc_def0 },
            ..FileKey::default()
        });
        let files: Files = keys.map(|key| (key, file_row("/srv", Tag::default()))).collect();
        let filter = filter_of(&files);
        for key in files.keys() {
            let (word, bit) = filter_bit(key.inode, key.generation);
            assert_ne!(filter[word as usize] & bit, 0, "{key:?}");
        }
        assert!(filter.iter().map(|word| word.count_ones()).sum::<u32>() <= 500);
        assert_eq!(filter_of(&Files::new()), [0; FILTER_WORDS]);
    }
}
