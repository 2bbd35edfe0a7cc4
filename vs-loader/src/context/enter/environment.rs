//! The environment of a command: little of the caller's, whose environment is full of keys to the host (`SSH_AUTH_SOCK`,
//! `DBUS_SESSION_BUS_ADDRESS`, tokens).

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::user::User;

/// What is handed on: how to find programs and how to speak.
const HANDED_ON: [&str; 5] = ["PATH", "TERM", "TZ", "LANG", "LANGUAGE"];

/// Where programs are looked for when the caller has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A setting that was asked for: a name alone hands the caller's value on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The variable.
    pub name: OsString,
    /// Its value; none: the caller's.
    pub value: Option<OsString>,
}

/// What is wrong with a setting.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingError {
    /// There is no name before the `=`.
    #[error("a variable needs a name: NAME or NAME=VALUE")]
    NoName,
    /// A zero byte.
    #[error("a variable cannot hold a zero byte")]
    ZeroByte,
}

impl Setting {
    /// Reads `NAME` or `NAME=VALUE`.
    ///
    /// # Errors
    /// The name is empty.
    pub fn parse(text: &OsStr) -> Result<Self, SettingError> {
        let bytes = text.as_bytes();
        let (name, value) = match bytes.iter().position(|byte| *byte == b'=') {
            Some(at) => (&bytes[..at], Some(OsString::from_vec(bytes[at + 1..].to_vec()))),
            None => (bytes, None),
        };
        if name.is_empty() {
            return Err(SettingError::NoName);
        }
        Ok(Self { name: OsString::from_vec(name.to_vec()), value })
    }
}

/// The environment of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// What is handed on of the caller's, what belongs to the user, and what was asked for, the later over the earlier. A
    /// setting without a value whose variable the caller does not have sets nothing.
    pub fn new(
        callers: impl IntoIterator<Item = (OsString, OsString)>,
        user: &User,
        settings: &[Setting],
    ) -> Self {
        let callers: BTreeMap<_, _> = callers.into_iter().collect();
        let mut variables: BTreeMap<OsString, OsString> = callers
            .iter()
            .filter(|(name, _)| {
                HANDED_ON.iter().any(|handed| name == handed) || name.as_bytes().starts_with(b"LC_")
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        variables.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
        variables.insert("HOME".into(), user.home.clone().into());
        variables.insert("SHELL".into(), user.shell.clone().into());
        if let Some(name) = &user.name {
            variables.insert("USER".into(), name.into());
            variables.insert("LOGNAME".into(), name.into());
        }
        for setting in settings {
            let value = setting.value.as_ref().or_else(|| callers.get(&setting.name));
            if let Some(value) = value {
                variables.insert(setting.name.clone(), value.clone());
            }
        }
        Self { variables }
    }

    /// The directories in which a command is looked for.
    pub fn search_path(&self) -> Vec<OsString> {
        let path = self.variables.get(OsStr::new("PATH")).map_or(OsStr::new(""), OsString::as_os_str);
        path.as_bytes()
            .split(|byte| *byte == b':')
            // An empty entry would mean the working directory, which nobody wants to search.
            .filter(|directory| !directory.is_empty())
            .map(|directory| OsString::from_vec(directory.to_vec()))
            .collect()
    }

    /// As `execve` takes it.
    ///
    /// # Errors
    /// A variable holds a zero byte.
    pub fn strings(&self) -> Result<Vec<CString>, SettingError> {
        self.variables
            .iter()
            .map(|(name, value)| {
                let mut bytes = name.as_bytes().to_vec();
                bytes.push(b'=');
                bytes.extend_from_slice(value.as_bytes());
                CString::new(bytes).map_err(|_| SettingError::ZeroByte)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(callers: &[(&str, &str)], settings: &[&str]) -> Vec<String> {
        let user = User {
            uid: 33,
            gid: 33,
            groups: Vec::new(),
            name: Some("www".into()),
            home: "/srv".into(),
            shell: "/bin/sh".into(),
        };
        let settings: Vec<_> =
            settings.iter().map(|text| Setting::parse(OsStr::new(text)).unwrap()).collect();
        let callers = callers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let strings = Environment::new(callers, &user, &settings).strings().unwrap();
        strings.into_iter().map(|string| string.into_string().unwrap()).collect()
    }

    #[test]
    fn keys_to_the_host_stay_behind() {
        let callers = [
            ("PATH", "/bin"),
            ("SSH_AUTH_SOCK", "/run/x"),
            ("TERM", "xterm"),
            ("LC_ALL", "C"),
            ("HOME", "/root"),
        ];
        assert_eq!(
            environment(&callers, &[]),
            ["HOME=/srv", "LC_ALL=C", "LOGNAME=www", "PATH=/bin", "SHELL=/bin/sh", "TERM=xterm", "USER=www"]
        );
    }

    #[test]
    fn what_is_asked_for_is_set_or_handed_on() {
        let strings =
            environment(&[("TOKEN", "t"), ("PATH", "/bin")], &["TOKEN", "A=b=c", "HOME=/x", "MISSING", "E="]);
        for expected in ["TOKEN=t", "A=b=c", "HOME=/x", "E="] {
            assert!(strings.iter().any(|string| string == expected), "{expected}");
        }
        assert!(!strings.iter().any(|string| string.starts_with("MISSING")));
        assert_eq!(Setting::parse(OsStr::new("=x")), Err(SettingError::NoName));
    }

    #[test]
    fn programs_are_looked_for_in_named_directories_only() {
        let user = User::numbered(std::path::Path::new("/"), 3_999_999_999, None);
        let path = |value: &str| Environment::new([("PATH".into(), value.into())], &user, &[]).search_path();
        assert_eq!(path("/a::/b:"), ["/a", "/b"]);
        assert_eq!(Environment::new([], &user, &[]).search_path().len(), 6);
    }
}
