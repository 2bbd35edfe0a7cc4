//! Barriers: whether they stand in anybody's way.

use std::path::Path;

use super::Validator;
use crate::policy::document::{Field, TableName};
use crate::policy::files::{Directory, FilesPolicy, FilesProblem, flaw_of};
use crate::policy::place::{Located, Place};

impl Validator {
    /// The barrier above a root.
    pub(super) fn barrier_above(
        &mut self,
        table: &TableName,
        root: &Directory,
        place: Place,
    ) -> Option<Directory> {
        match root.path.rsplit_once('/') {
            Some((parent, _)) if !parent.is_empty() => Some(Directory { path: parent.to_owned(), place }),
            _ => {
                self.refuse_files(table, place, FilesProblem::BarrierAtTop { root: root.path.clone() });
                None
            }
        }
    }

    /// The barriers that the host has beside those of roots.
    pub(super) fn host_barriers(&mut self, field: Field<Vec<Field<String>>>) -> Vec<Directory> {
        let Field::Given(Located { value: written, place }) = field else { return Vec::new() };
        if written.len() > FilesPolicy::MAX_DIRECTORIES {
            self.refuse_files(&TableName::Host, place, FilesProblem::TooMany { count: written.len() });
        }
        let given = written.into_iter().filter_map(|item| match item {
            Field::Given(located) => Some(located),
            Field::Absent | Field::Faulty => None,
        });
        let barriers = given.filter_map(|Located { value: path, place }| match flaw_of(&path) {
            None => Some(Directory { path, place }),
            Some(why) => {
                self.refuse_files(&TableName::Host, place, FilesProblem::BadPath { path, why });
                None
            }
        });
        barriers.collect()
    }

    /// Refuses barriers that some context has to pass.
    pub(super) fn barriers(&mut self) {
        let host = self.host.iter().flat_map(|host| &host.barriers).map(|barrier| (TableName::Host, barrier));
        let roots = self.contexts.values().filter_map(|context| {
            let barrier = context.files()?.barrier()?;
            Some((TableName::Context(context.name().to_string()), barrier))
        });
        let mut refused = Vec::new();
        for (table, barrier) in host.chain(roots) {
            for context in self.contexts.values() {
                let Some(files) = context.files() else { continue };
                let other = TableName::Context(context.name().to_string());
                if other == table {
                    continue;
                }
                let path = Path::new(barrier.path());
                // Who has a root begins there; everybody else walks down from /.
                let is_passed = |needed: &Directory| {
                    let needed = Path::new(needed.path());
                    path.starts_with(needed) || files.root().is_none() && needed.starts_with(path)
                };
                if let Some(needed) =
                    files.root().into_iter().chain(files.directories()).find(|needed| is_passed(needed))
                {
                    let cause = FilesProblem::BarrierInTheWay {
                        barrier: barrier.path.clone(),
                        needed: needed.path.clone(),
                        other,
                        place: needed.place.clone(),
                    };
                    refused.push((table.clone(), barrier.place.clone(), cause));
                }
            }
        }
        for (table, place, cause) in refused {
            self.refuse_files(&table, place, cause);
        }
    }
}
