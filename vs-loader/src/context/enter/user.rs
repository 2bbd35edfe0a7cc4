//! Who the command runs as: numbers, or a name of `/etc/passwd`.
//!
//! The files are read directly. The C library's lookups load modules that the static binary does not have, and ask daemons. Those of a
//! context with a root are its own: what it may have put there in their place (a link to the host's, a pipe) is not followed, and not waited for.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};

/// Why a user is not known.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No line has this name.
    #[error("there is no user {0} in /etc/passwd; give the numbers with --uid and --gid")]
    Unknown(String),
    /// A file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Io {
        /// The file.
        path: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
}

/// A user, as far as a process knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// Supplementary groups: those that `/etc/group` gives a user named by name. The caller's are never handed on.
    pub groups: Vec<u32>,
    /// The name, if there is one.
    pub name: Option<String>,
    /// The home directory.
    pub home: String,
    /// The login shell.
    pub shell: String,
}

/// The home directory of a user without a line.
const NO_HOME: &str = "/";
/// The shell of a user without one.
const DEFAULT_SHELL: &str = "/bin/sh";

impl User {
    /// The user with this name, in the tree below `root`.
    ///
    /// # Errors
    /// There is none, or the files cannot be read.
    pub fn named(root: &Path, name: &str) -> Result<Self, UserError> {
        let passwd = read(root, "/etc/passwd")?;
        let mut user = parse_passwd(&passwd)
            .find(|user| user.name.as_deref() == Some(name))
            .ok_or_else(|| UserError::Unknown(name.to_owned()))?;
        user.groups = groups_of(&read(root, "/etc/group")?, name);
        Ok(user)
    }

    /// The user with these numbers. The name, the home and the shell are those of the line with the uid, if there is one; the
    /// group is that line's unless given.
    pub fn numbered(root: &Path, uid: u32, gid: Option<u32>) -> Self {
        // A tree without /etc/passwd has no names: the numbers are what was asked for.
        let passwd = read(root, "/etc/passwd").unwrap_or_default();
        let known = parse_passwd(&passwd).find(|user| user.uid == uid);
        let user = known.unwrap_or(Self {
            uid,
            gid: uid,
            groups: Vec::new(),
            name: None,
            home: NO_HOME.to_owned(),
            shell: DEFAULT_SHELL.to_owned(),
        });
        Self { gid: gid.unwrap_or(user.gid), ..user }
    }
}

/// More than any of these files holds.
const LIMIT: u64 = 16 << 20;

fn read(root: &Path, path: &'static str) -> Result<String, UserError> {
    let bytes = || -> io::Result<Vec<u8>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let file = rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)?;
        if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is no file"));
        }
        let mut bytes = Vec::new();
        File::from(file).take(LIMIT).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    bytes()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|cause| UserError::Io { path, cause })
}

fn parse_passwd(text: &str) -> impl Iterator<Item = User> {
    text.lines().filter_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [name, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
        let or = |field: &str, default: &str| if field.is_empty() { default } else { field }.to_owned();
        Some(User {
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            groups: Vec::new(),
            name: Some((*name).to_owned()),
            home: or(home, NO_HOME),
            shell: or(shell, DEFAULT_SHELL),
        })
    })
}

fn groups_of(text: &str, name: &str) -> Vec<u32> {
    text.lines()
        .filter_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let [_, _, gid, members] = fields.as_slice() else { return None };
            members.split(',').any(|member| member == name).then(|| gid.parse().ok())?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n# no line\nwww-data:x:33:34:www:/var/www:/usr/sbin/nologin\n\
        bare:x:70:71:::\nbroken:x:a:1:::\n";

    #[test]
    fn lines_are_users_and_empty_fields_have_defaults() {
        let users: Vec<_> = parse_passwd(PASSWD).collect();
        assert_eq!(users.len(), 3);
        assert_eq!((users[1].uid, users[1].gid, users[1].home.as_str()), (33, 34, "/var/www"));
        assert_eq!((users[2].home.as_str(), users[2].shell.as_str()), (NO_HOME, DEFAULT_SHELL));
    }

    #[test]
    fn groups_are_those_that_list_the_name_whole() {
        let groups =
            "root:x:0:\nssl-cert:x:104:www-data,postgres\nadm:x:4:www-data2\nlogs:x:9:syslog,www-data\n";
        assert_eq!(groups_of(groups, "www-data"), [104, 9]);
        assert!(groups_of(groups, "").is_empty() || groups_of("root:x:0:\n", "nobody").is_empty());
    }

    #[test]
    fn a_number_without_a_line_is_a_user_all_the_same() {
        let user = User::numbered(Path::new("/"), 3_999_999_999, None);
        assert_eq!((user.uid, user.gid, user.name), (3_999_999_999, 3_999_999_999, None));
        assert_eq!(User::numbered(Path::new("/"), 3_999_999_999, Some(5)).gid, 5);
    }
}
