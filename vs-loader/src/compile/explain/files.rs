//! Whose a file is by policy: by paths, where the kernel goes by the directories themselves.

use vs_common::context::Tag;
use vs_common::filesystem::FileOwner;
use vs_common::id::Xid;

use super::RuleLine;
use crate::compile::entries::MapEntries;
use crate::policy::{Directory, FilesPolicy, Policy};

/// A note where no directory of the policy is above the file.
pub(super) const NOBODYS: &str =
    "no directory of this policy is above that path, so the file is nobody's in particular";

/// A directory of the policy, and whose it is; no context: the host's alone.
#[derive(Clone, Copy)]
pub(super) struct Nearest<'p> {
    directory: &'p Directory,
    owner: Option<(Xid, &'p str)>,
    is_root: bool,
}

/// The nearest directory of the policy that a path lies in, or is.
pub(super) fn nearest<'p>(policy: &'p Policy, path: &str) -> Option<Nearest<'p>> {
    let host =
        policy.host_directories().iter().map(|directory| Nearest { directory, owner: None, is_root: false });
    let contexts = policy.contexts().flat_map(|context| {
        let owner = Some((context.xid().value(), context.name().as_str()));
        let root = context.files().and_then(FilesPolicy::root);
        let directories = context.files().map(FilesPolicy::directories).unwrap_or_default();
        let root = root.map(|directory| Nearest { directory, owner, is_root: true });
        root.into_iter().chain(directories.iter().map(move |directory| Nearest {
            directory,
            owner,
            is_root: false,
        }))
    });
    let is_above = |nearest: &Nearest<'_>| {
        path.strip_prefix(nearest.directory.path())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    host.chain(contexts).filter(is_above).max_by_key(|nearest| nearest.directory.path().len())
}

/// The barrier that a path is.
pub(super) fn barrier<'p>(policy: &'p Policy, path: &str) -> Option<&'p Directory> {
    policy.barriers().find(|barrier| barrier.path() == path)
}

/// The line of policy that says so.
pub(super) fn barrier_line(barrier: &Directory) -> RuleLine {
    let text = format!("barrier {}", barrier.path());
    RuleLine { part: "directory", text, place: Some(barrier.place().clone()) }
}

/// Whether it is a context's root.
pub(super) const fn is_root(nearest: Nearest<'_>) -> bool {
    nearest.is_root
}

/// What the kernel's row of it would say.
pub(super) fn owner(entries: &MapEntries, nearest: Nearest<'_>) -> FileOwner {
    let Some((xid, _)) = nearest.owner else { return FileOwner::Host };
    let generation = entries.rows().get(&xid).map(|rules| rules.generation).unwrap_or_default();
    FileOwner::Context(Tag { xid, lifecycle: 0, generation })
}

/// The line of policy that says so.
pub(super) fn rule_line(nearest: Nearest<'_>) -> RuleLine {
    let table = nearest.owner.map_or_else(|| "[host]".to_owned(), |(_, name)| format!("[context.{name}]"));
    RuleLine {
        part: "directory",
        text: format!("{table} {}", nearest.directory.path()),
        place: Some(nearest.directory.place().clone()),
    }
}
