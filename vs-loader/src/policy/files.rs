//! What policy says of one context's files.

use vs_common::filesystem::PATH_SIZE;

use super::document::TableName;
use super::error::Quoted;
use super::model::Rule;
use super::place::Place;

/// A directory that policy gives to somebody, and where it does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directory {
    pub(super) path: String,
    pub(super) place: Place,
}

impl Directory {
    /// Its path: absolute, without `.`, `..` and double slashes; not `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where policy names it.
    pub const fn place(&self) -> &Place {
        &self.place
    }
}

/// The root and the directories of a context. A context without this changes files wherever the host's permissions let it, but for others' directories.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilesPolicy {
    pub(super) root: Option<Directory>,
    pub(super) barrier: Option<Directory>,
    pub(super) directories: Vec<Directory>,
    pub(super) shared_write: Rule<bool>,
}

impl FilesPolicy {
    /// Entries of `directories`.
    pub const MAX_DIRECTORIES: usize = 256;

    /// Where what it sees begins, which is its own as well; `None`: where the host's does.
    pub const fn root(&self) -> Option<&Directory> {
        self.root.as_ref()
    }

    /// The directory above its root, if that is a barrier.
    pub const fn barrier(&self) -> Option<&Directory> {
        self.barrier.as_ref()
    }

    /// Its directories, in the order written; none: it changes no file but those in memory that are its own.
    pub fn directories(&self) -> &[Directory] {
        &self.directories
    }

    /// Whether it changes files that are nobody's in particular, too, as the host's permissions let it.
    pub const fn shared_write(&self) -> &Rule<bool> {
        &self.shared_write
    }
}

/// What is wrong about a context's files, and how to cure it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilesProblem {
    /// A text that is no path of a directory.
    #[error("{} {why}; write the path of a directory from / on, such as /srv/web", Quoted(.path))]
    BadPath {
        /// The text.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A directory that another has.
    #[error("{} is given to {other} already, at {first}; a directory belongs to one", Quoted(.path))]
    Taken {
        /// The directory.
        path: String,
        /// Whose it is.
        other: TableName,
        /// Where that is said.
        first: Place,
    },
    /// A key that is about directories, and there are none.
    #[error("{key} is for contexts with directories; add directories = [\"/srv/NAME\"], or [] for none")]
    NoDirectories {
        /// The key.
        key: &'static str,
    },
    /// A context that lives in the host's mount tree, without what would keep it there.
    #[error(
        "in the host's mount tree a root is held by its barrier only; add barrier = true, or leave proc = \"plain\" out"
    )]
    RootOfPlain,
    /// A barrier that is above nothing.
    #[error(
        "barrier is for contexts with a root, above which it stands; add root = \"/srv/contexts/NAME\", or remove it"
    )]
    BarrierWithoutRoot,
    /// A barrier at the top of everything.
    #[error(
        "the barrier above {} would be /, which everybody passes; put the root one level deeper, such as /srv/contexts/NAME",
        Quoted(.root)
    )]
    BarrierAtTop {
        /// The root.
        root: String,
    },
    /// A barrier that a context has to pass.
    #[error(
        "the barrier {} is in the way to {}, which {other} needs, see {place}; give roots a directory of their own to be in",
        Quoted(.barrier), Quoted(.needed)
    )]
    BarrierInTheWay {
        /// The barrier.
        barrier: String,
        /// What cannot be reached.
        needed: String,
        /// By whom.
        other: TableName,
        /// Where policy gives it.
        place: Place,
    },
    /// A context that is the host's in all but its addresses.
    #[error(
        "root and directories are not for confine = \"network\", beyond whose addresses all is the host's; remove one of them"
    )]
    OfNetwork,
    /// More than a context can have.
    #[error(
        "{count} directories are more than {}; give a directory above them",
        FilesPolicy::MAX_DIRECTORIES
    )]
    TooMany {
        /// How many.
        count: usize,
    },
}

/// Why a text is no path of a directory that can be given to somebody.
pub(super) fn flaw_of(path: &str) -> Option<&'static str> {
    /// What the kernel shows or is steered by, and what each context gets of its own.
    const WITHOUT_OWNERS: [&str; 3] = ["/dev", "/proc", "/sys"];
    let Some(below) = path.strip_prefix('/') else { return Some("does not begin with /") };
    if below.is_empty() {
        return Some("is everybody's");
    }
    if below.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Some("has an empty name, . or .. in it");
    }
    if path.len() >= PATH_SIZE {
        return Some("is longer than 239 bytes");
    }
    if path.chars().any(char::is_control) {
        return Some("has a line break or another control character in it");
    }
    let is_below =
        |top: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    WITHOUT_OWNERS.iter().any(|top| is_below(top)).then_some("holds no files that could be somebody's")
}

const _: () = assert!(PATH_SIZE == 240);

#[cfg(test)]
mod tests {
    use super::flaw_of;

    #[test]
    fn a_directory_is_named_from_the_root_on() {
        for good in ["/srv", "/srv/web", "/srv/web.d/a b", "/devices", "/var/lib/postgresql"] {
            assert_eq!(flaw_of(good), None, "{good}");
        }
        for bad in [
            "",
            "/",
            "srv",
            "./srv",
            "/srv/",
            "//srv",
            "/srv/../etc",
            "/srv/.",
            "/proc/1",
            "/dev",
            "/sys/x",
            "/a\nb",
        ] {
            assert!(flaw_of(bad).is_some(), "{bad}");
        }
        assert!(flaw_of(&format!("/{}", "a".repeat(240))).is_some());
    }
}
