//! What policy says of capabilities comes to sets; what cannot be is refused with its place.

use vs_common::capability::{CAPABILITIES, CapabilityClass, DEFAULT_SET};

use super::*;

/// What can be wrong, in a context that has xid 100: the lines from the third on, and the error.
const WRONG: &[(&str, &str)] = &[
    (
        "capabilities = [\"chwon\"]",
        "p:3:17: context \"web\": capabilities: \"chwon\" is no capability; did you mean \"chown\"? write a name of capabilities(7) such as \"chown\", or \"none\" alone",
    ),
    (
        "capabilities = [\"none\", \"chown\"]",
        "p:3:17: context \"web\": capabilities: \"none\" is no capability; write a name of capabilities(7) such as \"chown\", or \"none\" alone",
    ),
    (
        "capabilities = [\"chown\", \"+kill\"]",
        "p:3:26: context \"web\": capabilities: \"+kill\" is among entries of the other kind; write + or - before each entry, or before none",
    ),
    (
        "capabilities = [\"-audit_write\"]",
        "p:3:17: context \"web\": capabilities: audit_write is not in the default, so it cannot be taken away; leave -audit_write out",
    ),
    (
        "capabilities_max = [\"-lease\"]",
        "p:3:21: context \"web\": capabilities_max: lease is not in capabilities, so it cannot be taken away; leave -lease out",
    ),
    (
        "capabilities = [\"+sys_boot\"]",
        "p:3:17: context \"web\": capabilities: no context can have sys_boot: it ends or replaces the kernel; take it out",
    ),
    (
        "capabilities_max = [\"CAP_SYS_ADMIN\"]",
        "p:3:21: context \"web\": capabilities_max: no context can have sys_admin: it mounts, joins namespaces and much else; see context_capabilities; take it out",
    ),
    (
        "capabilities = [\"+net_raw\"]\naddresses = [\"192.0.2.1\"]",
        "p:3:17: context \"web\": capabilities: net_raw is for contexts without addresses; give this one single sockets by raw = [\"icmp\", \"icmpv6\"], or take it out",
    ),
    (
        "capabilities = [\"+setfcap\"]",
        "p:3:17: context \"web\": capabilities: setfcap leaves capabilities on files that the host may execute; it is for contexts with directories and without shared_write: add directories = [\"/srv/NAME\"], or take it out",
    ),
    (
        "capabilities_max = [\"kill\", \"chown\"]\ncapabilities = [\"chown\", \"fowner\", \"setuid\"]",
        "p:3:20: context \"web\": capabilities_max lacks fowner, setuid, which capabilities has; add it there, or take it out of capabilities",
    ),
    (
        "context_capabilities = [\"set_hostname\"]",
        "p:3:25: context \"web\": context_capabilities: \"set_hostname\" is none; known ones: set_utsname",
    ),
    (
        "context_capabilities = [\"raw_icmp\"]",
        "p:3:25: context \"web\": context_capabilities: raw_icmp is not offered: write addresses, and raw = [\"icmp\", \"icmpv6\"]",
    ),
    (
        "context_capabilities = [\"set_utsname\", \"quota_ctl\"]",
        "p:3:40: context \"web\": context_capabilities: quota_ctl is not offered: quotas are of whole file systems, the host's part included",
    ),
    (
        "context_capabilities = [\"set_utsname\"]\nproc = \"plain\"",
        "p:3:25: context \"web\": context_capabilities: set_utsname is for contexts with namespaces of their own; leave proc = \"plain\" out, or set_utsname",
    ),
    (
        "capabilities = \"none\"\nconfine = \"network\"\naddresses = [\"192.0.2.1\"]",
        "p:3:16: context \"web\": capabilities is not for confine = \"network\", beyond whose addresses all is the host's; remove one of them",
    ),
];

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    for (keys, expected) in WRONG {
        assert_eq!(errors_of(&format!("[context.web]\nxid = 100\n{keys}\n")), [*expected], "{keys}");
    }
}

fn sets(keys: &str) -> (u64, u64) {
    let policy = policy(&format!("[context.web]\nxid = 100\n{keys}\n"));
    let capabilities = policy.context_named("web").unwrap().capabilities();
    (capabilities.current().value(), capabilities.max().value())
}

#[test]
fn a_list_stands_for_the_default_or_changes_it() {
    const CHOWN: u64 = 1;
    const KILL: u64 = 1 << 5;
    const ROOT: u64 = 1 << 18;
    const AUDIT: u64 = 1 << 29;
    for (keys, current, max) in [
        ("", DEFAULT_SET, DEFAULT_SET),
        ("capabilities = \"none\"", 0, 0),
        ("capabilities = [\"none\"]", 0, 0),
        ("capabilities = []", 0, 0),
        ("capabilities = [\"chown\", \"CAP_KILL\"]", CHOWN | KILL, CHOWN | KILL),
        (
            "capabilities = [\"+audit_write\", \"-SYS_CHROOT\"]",
            DEFAULT_SET & !ROOT | AUDIT,
            DEFAULT_SET & !ROOT | AUDIT,
        ),
        ("capabilities = \"none\"\ncapabilities_max = [\"+chown\"]", 0, CHOWN),
        ("capabilities_max = [\"+net_raw\"]", DEFAULT_SET, DEFAULT_SET | 1 << 13),
        ("capabilities = [\"chown\"]\ncapabilities_max = [\"chown\", \"kill\"]", CHOWN, CHOWN | KILL),
        ("capabilities = [\"+setfcap\"]\ndirectories = []", DEFAULT_SET | 1 << 31, DEFAULT_SET | 1 << 31),
    ] {
        assert_eq!(sets(keys), (current, max), "{keys}");
    }
}

#[test]
fn each_capability_is_given_or_refused_by_its_class() {
    for capability in CAPABILITIES {
        let text = format!("[context.web]\nxid = 100\ncapabilities = [\"{}\"]\n", capability.name);
        let is_given = matches!(
            capability.class,
            CapabilityClass::Default | CapabilityClass::Grantable | CapabilityClass::WithoutAddresses
        );
        assert_eq!(parse(&sources(&[("p", &text)])).is_ok(), is_given, "{}", capability.name);
    }
}
