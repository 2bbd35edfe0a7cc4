//! The directories that policy gives to somebody, as the maps have them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use vs_common::context::Tag;
use vs_common::filesystem::{
    BARRIER_ONLY, FileKey, FileRow, IS_BARRIER, IS_ROOT, PATH_SIZE, has_owner, is_barrier,
};
use vs_common::id::{Generation, Xid};
use vs_common::policy_entry::context_flag;

use super::entries::Rows;
use crate::policy::{Directory, FilesPolicy, Policy};

/// Every directory of one epoch, by its numbers; the epoch of these keys is 0.
pub type Files = BTreeMap<FileKey, FileRow>;

/// Flags of rows that are none of the policy's: of dynamic contexts, and of those that are kept with the rules they had.
const OF_NO_POLICY: u32 = context_flag::DYNAMIC | context_flag::ORPHAN;

/// A directory that policy gives to somebody. Which one the path leads to is not known yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileClaim<'p> {
    /// Its path, and where policy says so.
    pub directory: &'p Directory,
    /// Whose it is; of xid 0: the host's alone. [`BARRIER_ONLY`]: it is a barrier, whosever it is.
    pub owner: Tag,
}

/// The directories that a policy comes to with these rows. Contexts that keep the rules of an earlier one keep their directories as well,
/// see [`kept_files`].
pub fn file_claims<'p>(policy: &'p Policy, rows: &Rows) -> Vec<FileClaim<'p>> {
    let host =
        policy.host_directories().iter().map(|directory| FileClaim { directory, owner: Tag::default() });
    let is_policys = |xid: &Xid| rows.get(xid).is_some_and(|rules| rules.flags & OF_NO_POLICY == 0);
    let contexts = policy.contexts().filter(move |context| is_policys(&context.xid().value()));
    let contexts = contexts.flat_map(|context| {
        let xid = context.xid().value();
        let generation = rows.get(&xid).map_or(Generation(0), |rules| rules.generation);
        let owner = Tag { xid, lifecycle: 0, generation };
        let root = context.files().and_then(FilesPolicy::root);
        let root = root.map(|directory| FileClaim { directory, owner: Tag { lifecycle: IS_ROOT, ..owner } });
        let directories = context.files().map(FilesPolicy::directories).unwrap_or_default();
        root.into_iter().chain(directories.iter().map(move |directory| FileClaim { directory, owner }))
    });
    let barriers = policy.barriers().map(|directory| FileClaim { directory, owner: BARRIER_ONLY });
    host.chain(contexts).chain(barriers).collect()
}

/// The owner of a directory by two claims; `None`: they contradict each other. That it is a barrier is nobody's claim to it.
pub fn joint_owner(one: Tag, other: Tag) -> Option<Tag> {
    let barrier = (one.lifecycle | other.lifecycle) & IS_BARRIER;
    match (has_owner(&one), has_owner(&other)) {
        (true, true) => None,
        (false, _) => Some(Tag { lifecycle: other.lifecycle | barrier, ..other }),
        (true, false) => Some(Tag { lifecycle: one.lifecycle | barrier, ..one }),
    }
}

/// The directories in force of contexts that go on under rules that are none of the policy's.
pub fn kept_files(files: &Files, rows: &Rows) -> Files {
    let is_kept = |row: &FileRow| {
        is_in_force(rows, &row.owner)
            && rows.get(&row.owner.xid).is_some_and(|rules| rules.flags & OF_NO_POLICY != 0)
    };
    // Which of the barriers are theirs nobody wrote down.
    let with_barriers = context_flag::ORPHAN | context_flag::ROOT | context_flag::BARRIERS;
    let are_barriers_kept = rows.values().any(|rules| rules.flags & with_barriers == with_barriers);
    let kept = |row: &FileRow| {
        if is_kept(row) {
            Some(*row)
        } else if are_barriers_kept && is_barrier(&row.owner) {
            Some(FileRow { owner: BARRIER_ONLY, ..*row })
        } else {
            None
        }
    };
    files.iter().filter_map(|(key, row)| Some((*key, kept(row)?))).collect()
}

/// The root of a context, if it has one.
pub fn root_of(files: &Files, xid: Xid) -> Option<(FileKey, String)> {
    let is_root = |row: &FileRow| row.owner.xid == xid && row.owner.lifecycle & IS_ROOT != 0;
    files.iter().find(|(_, row)| is_root(row)).map(|(key, row)| (*key, path_of(row).into_owned()))
}

/// Whether a directory's owner is a context of these rows.
pub fn is_in_force(rows: &Rows, owner: &Tag) -> bool {
    rows.get(&owner.xid).is_some_and(|rules| rules.generation == owner.generation)
}

/// The row of a directory.
pub fn file_row(path: &str, owner: Tag) -> FileRow {
    let mut padded = [0; PATH_SIZE];
    for (to, from) in padded.iter_mut().zip(path.bytes()) {
        *to = from;
    }
    FileRow { owner, path: padded }
}

/// The path in a row.
pub fn path_of(row: &FileRow) -> Cow<'_, str> {
    let end = row.path.iter().position(|byte| *byte == 0).unwrap_or(row.path.len());
    String::from_utf8_lossy(&row.path[..end])
}

/// The paths of all barriers, sorted.
pub fn barriers_of(files: &Files) -> Vec<String> {
    let mut paths: Vec<_> =
        files.values().filter(|row| is_barrier(&row.owner)).map(|row| path_of(row).into_owned()).collect();
    paths.sort_unstable();
    paths
}

/// The paths of a context's directories, sorted; of xid 0 those that are the host's alone.
pub fn paths_of(files: &Files, xid: Xid) -> Vec<String> {
    let mut paths: Vec<_> =
        files.values().filter(|row| row.owner.xid == xid).map(|row| path_of(row).into_owned()).collect();
    paths.sort_unstable();
    paths
}
