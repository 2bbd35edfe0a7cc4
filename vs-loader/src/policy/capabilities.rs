//! What policy says of a context's capabilities.

use vs_common::capability::{CAPABILITIES, CapabilityClass, CapabilitySet, DEFAULT_SET, NAMES};

use super::error::{Quoted, nearest};
use super::model::Rule;

/// The capabilities of a context.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CapabilityPolicy {
    pub(super) current: Rule<CapabilitySet>,
    pub(super) max: Rule<CapabilitySet>,
    pub(super) set_utsname: Rule<bool>,
}

impl CapabilityPolicy {
    /// The word for no capability at all.
    pub const NONE: &str = "none";

    /// What a context has that policy says nothing of.
    pub const DEFAULT: Self = Self {
        current: Rule { value: DEFAULT_SET, place: None },
        max: Rule { value: DEFAULT_SET, place: None },
        set_utsname: Rule { value: false, place: None },
    };

    /// What its processes may use. Raw sockets that policy gives it are not in it.
    pub const fn current(&self) -> &Rule<CapabilitySet> {
        &self.current
    }

    /// What they may ever use; all of [`Self::current`] is in it.
    pub const fn max(&self) -> &Rule<CapabilitySet> {
        &self.max
    }

    /// Whether it has a host name of its own, and sets it.
    pub const fn set_utsname(&self) -> &Rule<bool> {
        &self.set_utsname
    }
}

/// The number of a capability by its name, in whatever case, with or without `CAP_`.
pub fn capability_named(text: &str) -> Option<u32> {
    let name = text.to_ascii_lowercase();
    let name = name.strip_prefix("cap_").unwrap_or(&name);
    (0..).zip(NAMES).find(|(_, known)| *known == name).map(|(number, _)| number)
}

/// The name of a capability by its number.
pub(super) fn name(number: u32) -> &'static str {
    NAMES.get(number as usize).copied().unwrap_or("unknown")
}

/// The names in a set, by number.
pub fn capability_names(set: CapabilitySet) -> Vec<String> {
    (0..CapabilitySet::BITS)
        .filter(|number| set >> number & 1 != 0)
        .map(|number| NAMES.get(number as usize).map_or_else(|| number.to_string(), ToString::to_string))
        .collect()
}

/// A set for people: `default`, `none`, or what is different from the default.
pub fn capabilities_text(set: CapabilitySet) -> String {
    match set {
        DEFAULT_SET => return "default".to_owned(),
        0 => return CapabilityPolicy::NONE.to_owned(),
        _ => {}
    }
    let more = capability_names(set & !DEFAULT_SET).into_iter().map(|name| format!("+{name}"));
    let less = capability_names(DEFAULT_SET & !set).into_iter().map(|name| format!("-{name}"));
    more.chain(less).collect::<Vec<_>>().join(" ")
}

/// VServer's context capabilities, and what is done instead of those that are not offered.
pub(super) const CONTEXT_CAPABILITIES: [(&str, Option<&str>); 17] = [
    (SET_UTSNAME, None),
    ("set_rlimit", Some("limits are set from outside, by prlimit(1)")),
    ("fs_security", Some("a context's labels would be for the host's security modules")),
    ("fs_trusted", Some("trusted attributes are the host's")),
    ("tiocsti", Some("typing into terminals is what it is not to do")),
    ("raw_icmp", Some("write addresses, and raw = [\"icmp\", \"icmpv6\"]")),
    ("syslog", Some("the kernel's log is the host's")),
    ("oom_adjust", Some("write capabilities = [\"+sys_resource\"]")),
    ("audit_control", Some("the audit system is the machine's")),
    (
        "secure_mount",
        Some("no system call can be let pass that mounts only what is harmless; mount it from outside"),
    ),
    (
        "secure_remount",
        Some("no system call can be let pass that mounts only what is harmless; mount it from outside"),
    ),
    (
        "binary_mount",
        Some("no system call can be let pass that mounts only what is harmless; mount it from outside"),
    ),
    (
        "dev_mount",
        Some("no system call can be let pass that mounts only what is harmless; mount it from outside"),
    ),
    ("quota_ctl", Some("quotas are of whole file systems, the host's part included")),
    ("admin_mapper", Some("the device mapper is the machine's")),
    ("admin_cloop", Some("loop devices are the machine's")),
    ("namespace", Some("a namespace would give back what entry took")),
];

/// The one that is offered.
pub(super) const SET_UTSNAME: &str = "set_utsname";

/// What is wrong about a context's capabilities, and how to cure it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CapabilityProblem {
    /// No capability.
    #[error(
        "{key}: {} is no capability; {}write a name of capabilities(7) such as \"chown\", or \"none\" alone",
        Quoted(.text),
        nearest(.text.trim_start_matches(['+', '-']), &NAMES).map(|name| format!("did you mean {name:?}? ")).unwrap_or_default()
    )]
    Unknown {
        /// The key.
        key: &'static str,
        /// The text.
        text: String,
    },
    /// Some are relative and some are not.
    #[error("{key}: {} is among entries of the other kind; write + or - before each entry, or before none", Quoted(.text))]
    Mixed {
        /// The key.
        key: &'static str,
        /// The first of the other kind.
        text: String,
    },
    /// Taken from where it is not.
    #[error("{key}: {name} is not in {base}, so it cannot be taken away; leave -{name} out")]
    NotThere {
        /// The key.
        key: &'static str,
        /// The capability.
        name: &'static str,
        /// What it was to be taken from.
        base: &'static str,
    },
    /// One that no context has.
    #[error("{key}: no context can have {name}: it {why}; take it out")]
    Never {
        /// The key.
        key: &'static str,
        /// The capability.
        name: &'static str,
        /// What it is good for.
        why: &'static str,
    },
    /// For contexts without addresses.
    #[error(
        "{key}: net_raw is for contexts without addresses; give this one single sockets by raw = [\"icmp\", \"icmpv6\"], or take it out"
    )]
    RawWithAddresses {
        /// The key.
        key: &'static str,
    },
    /// For contexts that change files in their own directories.
    #[error(
        "{key}: setfcap {}; it is for contexts with directories and without shared_write: add directories = [\"/srv/NAME\"], or take it out",
        CAPABILITIES[31].reason
    )]
    SetfcapWithoutDirectories {
        /// The key.
        key: &'static str,
    },
    /// A maximum that is less than what is given.
    #[error(
        "capabilities_max lacks {}, which capabilities has; add it there, or take it out of capabilities",
        .missing.join(", ")
    )]
    BelowCurrent {
        /// What is missing.
        missing: Vec<String>,
    },
    /// No context capability.
    #[error("context_capabilities: {} is none; known ones: set_utsname", Quoted(.text))]
    UnknownGrant {
        /// The text.
        text: String,
    },
    /// One of VServer's that is not here.
    #[error("context_capabilities: {text} is not offered: {instead}")]
    NotOffered {
        /// The text.
        text: String,
        /// Why, or what is.
        instead: &'static str,
    },
    /// A context that lives in the host's namespaces.
    #[error(
        "context_capabilities: set_utsname is for contexts with namespaces of their own; leave proc = \"plain\" out, or set_utsname"
    )]
    HostnameOfPlain,
    /// A context that is the host's in all but its addresses.
    #[error(
        "{key} is not for confine = \"network\", beyond whose addresses all is the host's; remove one of them"
    )]
    OfNetwork {
        /// The key.
        key: &'static str,
    },
}

/// Whether a context may be given a capability, by what else policy says of it.
pub(super) fn flaw_of(
    key: &'static str,
    number: u32,
    has_addresses: bool,
    is_in_own_directories: bool,
) -> Option<CapabilityProblem> {
    let capability = CAPABILITIES.get(number as usize)?;
    match capability.class {
        CapabilityClass::Default | CapabilityClass::Grantable => None,
        CapabilityClass::WithoutAddresses if !has_addresses => None,
        CapabilityClass::WithoutAddresses => Some(CapabilityProblem::RawWithAddresses { key }),
        CapabilityClass::WithDirectories if is_in_own_directories => None,
        CapabilityClass::WithDirectories => Some(CapabilityProblem::SetfcapWithoutDirectories { key }),
        CapabilityClass::Never => {
            Some(CapabilityProblem::Never { key, name: capability.name, why: capability.reason })
        }
    }
}

const _: () = assert!(matches!(CAPABILITIES[31].class, CapabilityClass::WithDirectories));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_named_in_whatever_case() {
        for (text, number) in [("chown", 0), ("CHOWN", 0), ("CAP_SYS_ADMIN", 21), ("cap_net_raw", 13)] {
            assert_eq!(capability_named(text), Some(number), "{text}");
        }
        for text in ["", "root", "21", "cap_", "all"] {
            assert_eq!(capability_named(text), None, "{text}");
        }
    }

    #[test]
    fn a_set_is_told_by_its_difference_from_the_default() {
        assert_eq!(capabilities_text(DEFAULT_SET), "default");
        assert_eq!(capabilities_text(0), "none");
        assert_eq!(
            capabilities_text(DEFAULT_SET & !(1 << 18) | 1 << 29 | 1 << 13),
            "+net_raw +audit_write -sys_chroot"
        );
        assert_eq!(capability_names(1 << 50 | 1), ["chown", "50"]);
    }
}
