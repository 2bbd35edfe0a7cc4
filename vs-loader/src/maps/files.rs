//! The directories of an epoch, in the maps and out of them.

use vs_common::filesystem::FileKey;
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
    store.set_files_judged(epoch, are_judged)
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
