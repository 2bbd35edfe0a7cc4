//! A context's directories: whether they are paths, and whose they are.

use std::collections::btree_map::Entry;

use vs_common::policy_entry::ProcMode;

use super::Validator;
use crate::policy::document::{Field, TableName};
use crate::policy::error::Problem;
use crate::policy::files::{Directory, FilesPolicy, FilesProblem, flaw_of};
use crate::policy::model::Rule;
use crate::policy::place::{Located, Place};

/// The keys of a context about its files.
pub(super) struct FileKeys {
    pub(super) root: Field<String>,
    pub(super) barrier: Field<bool>,
    pub(super) directories: Field<Vec<Field<String>>>,
    pub(super) shared_write: Field<bool>,
}

impl Validator {
    /// The directories of a context; `None`: it has no key for them.
    ///
    /// `is_whole`: the file's syntax is right, so a key that was not found is not there. `is_network_only`: the context confines addresses only.
    pub(super) fn files(
        &mut self,
        table: &TableName,
        keys: FileKeys,
        (is_whole, is_network_only): (bool, bool),
        proc_mode: ProcMode,
    ) -> Option<FilesPolicy> {
        let FileKeys { root, barrier, directories, shared_write } = keys;
        let barrier_place = barrier.place().cloned();
        let barrier = match barrier {
            Field::Given(Located { value: true, place }) => Some(place),
            _ => None,
        };
        let shared_write = match shared_write {
            Field::Given(Located { value, place }) => Rule { value, place: Some(place) },
            Field::Absent | Field::Faulty => Rule { value: false, place: None },
        };
        if let Some(place) = barrier_place.filter(|_| matches!(root, Field::Absent) && is_whole) {
            self.refuse_files(table, place, FilesProblem::BarrierWithoutRoot);
        }
        if matches!(directories, Field::Absent) && matches!(root, Field::Absent) {
            if let Some(place) = shared_write.place.filter(|_| is_whole) {
                self.refuse_files(table, place, FilesProblem::NoDirectories { key: "shared_write" });
            }
            return None;
        }
        if let Some(place) = root.place().or(directories.place()).filter(|_| is_network_only) {
            self.refuse_files(table, place.clone(), FilesProblem::OfNetwork);
        }
        let is_open = proc_mode == ProcMode::Plain && barrier.is_none() && !is_network_only;
        if let Some(place) = root.place().filter(|_| is_open && is_whole) {
            self.refuse_files(table, place.clone(), FilesProblem::RootOfPlain);
        }
        let root = match root {
            Field::Given(located) => self.directory(table, located),
            Field::Absent | Field::Faulty => None,
        };
        let directories = self.directories(table, directories).unwrap_or_default();
        let barrier =
            barrier.zip(root.as_ref()).and_then(|(place, root)| self.barrier_above(table, root, place));
        Some(FilesPolicy { root, barrier, directories, shared_write })
    }

    /// The directories under a key; `None`: it is not there, or cannot be read.
    pub(super) fn directories(
        &mut self,
        table: &TableName,
        field: Field<Vec<Field<String>>>,
    ) -> Option<Vec<Directory>> {
        let Field::Given(Located { value: written, place }) = field else { return None };
        if written.len() > FilesPolicy::MAX_DIRECTORIES {
            self.refuse_files(table, place, FilesProblem::TooMany { count: written.len() });
        }
        let given = written.into_iter().filter_map(|item| match item {
            Field::Given(located) => Some(located),
            Field::Absent | Field::Faulty => None,
        });
        Some(given.filter_map(|located| self.directory(table, located)).collect())
    }

    fn directory(&mut self, table: &TableName, located: Located<String>) -> Option<Directory> {
        let Located { value: path, place } = located;
        if let Some(why) = flaw_of(&path) {
            self.refuse_files(table, place, FilesProblem::BadPath { path, why });
            return None;
        }
        match self.directories.entry(path.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert((table.clone(), place.clone()));
                Some(Directory { path, place })
            }
            Entry::Occupied(occupied) => {
                let (other, first) = occupied.get().clone();
                self.refuse_files(table, place, FilesProblem::Taken { path, other, first });
                None
            }
        }
    }

    pub(super) fn refuse_files(&mut self, table: &TableName, place: Place, cause: FilesProblem) {
        self.report(place, Problem::Files { table: table.clone(), cause });
    }
}
