//! The directories of an epoch, in the maps and out of them.

use vs_common::filesystem::{FILTER_WORDS, FileFilter, FileKey, FilesJudged, filter_bit};
use vs_common::id::{Epoch, Xid};
use vs_common::policy_entry::{ContextRules, context_flag};

use super::store::{Store, StoreError};
use crate::compile::Rows;
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

/// Writes the directories of an epoch, and why files are judged in it.
///
/// # Errors
/// The kernel refused, or the map is full.
pub(super) fn put_files<S: Store>(
    store: &mut S,
    files: &Files,
    judged: FilesJudged,
) -> Result<(), StoreError> {
    let epoch = judged.epoch;
    for (key, row) in files {
        store.put_file(FileKey { epoch, ..*key }, row)?;
    }
    store.set_file_filter(epoch, &filter_of(files))?;
    store.set_files_judged(judged)
}

/// Why files are judged in an epoch that has these contexts.
pub(super) fn judged_in(epoch: Epoch, rows: &Rows) -> FilesJudged {
    let is_by_owner =
        |rules: &ContextRules| rules.flags & (context_flag::FILES | context_flag::FILES_JUDGED) != 0;
    let by_owner = if rows.values().any(is_by_owner) { FilesJudged::BY_OWNER } else { 0 };
    let spectator = if rows.contains_key(&Xid::SPECTATOR) { FilesJudged::SPECTATOR } else { 0 };
    FilesJudged { epoch, reasons: by_owner | spectator }
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
