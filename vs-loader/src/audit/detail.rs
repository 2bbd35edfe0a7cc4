//! What was asked for, by hook: the word behind `Violation.detail`.

use serde::{Deserialize, Serialize};
use vs_common::capability;
use vs_common::hook::Hook;

use super::network;
use super::printable::Printable;
use super::word::Word;

/// What was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Detail {
    /// A signal. Number 0 asks whether the process exists and sends nothing.
    Signal(Numbered),
    /// A ptrace access mode: the bits' words, a bit without a word by its value.
    Ptrace {
        /// `PTRACE_MODE_*` (`include/linux/ptrace.h`).
        number: u64,
        /// "read", "attach", "noaudit", "fscreds", "realcreds".
        modes: Vec<Word>,
    },
    /// Flags of `mount(2)`: the bits' words, a bit without a word by its value.
    Mount {
        /// `MS_*` (`include/uapi/linux/mount.h`).
        number: u64,
        /// "bind", "remount", "rdonly" and so on.
        flags: Vec<Word>,
    },
    /// A capability.
    Capability(Numbered),
    /// A command of `bpf(2)`.
    BpfCommand(Numbered),
    /// A socket's type.
    SocketType(Numbered),
    /// A socket option.
    SocketOption {
        /// The protocol level that it is of.
        level: Numbered,
        /// The option.
        option: Numbered,
    },
    /// The type of a netlink message.
    NetlinkMessage(Numbered),
    /// Something this version has no word for.
    Number {
        /// As the program wrote it.
        number: u64,
    },
}

/// A number and its name, if it has one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Numbered {
    /// The kernel's number.
    pub number: u64,
    /// Its name, without a prefix that all of the kind have: `KILL`, `sys_admin`, `MAP_CREATE`, `raw`, `SO_BROADCAST`.
    pub name: Option<Printable>,
}

impl Numbered {
    fn new(number: u64, name: Option<String>) -> Self {
        Self { number, name: name.map(|name| Printable::from_escaped(&name)) }
    }

    /// A capability by its number.
    pub fn capability(number: u64) -> Self {
        Self::new(number, name_in(&capability::NAMES, number))
    }
}

/// The meaning of a violation's detail at this hook; nothing where there is nothing to say.
pub fn describe(hook: Option<Hook>, number: u64) -> Option<Detail> {
    match hook {
        Some(Hook::TaskKill | Hook::FileSendSigiotask) => {
            Some(Detail::Signal(Numbered::new(number, signal_name(number))))
        }
        Some(Hook::PtraceAccessCheck) => Some(Detail::Ptrace { number, modes: bits(number, &PTRACE_MODES) }),
        Some(Hook::SbMount) => Some(Detail::Mount { number, flags: bits(number, &MOUNT_FLAGS) }),
        Some(Hook::Capable) => Some(Detail::Capability(Numbered::capability(number))),
        Some(Hook::Bpf) => Some(Detail::BpfCommand(Numbered::new(number, name_in(&BPF_COMMANDS, number)))),
        Some(Hook::SocketCreate) => Some(Detail::SocketType(word(number, network::socket_type(number)))),
        Some(Hook::SocketSetsockopt) => {
            let (level, option) = (number >> 32, number & u64::from(u32::MAX));
            Some(Detail::SocketOption {
                level: word(level, network::option_level(level)),
                option: word(option, network::option_name(level, option)),
            })
        }
        Some(Hook::NetlinkSend) => {
            Some(Detail::NetlinkMessage(Numbered::new(number, network::netlink_message(number))))
        }
        _ if number == 0 => None,
        _ => Some(Detail::Number { number }),
    }
}

fn word(number: u64, name: Option<&str>) -> Numbered {
    Numbered::new(number, name.map(str::to_owned))
}

fn name_in(names: &[&str], number: u64) -> Option<String> {
    usize::try_from(number).ok().and_then(|index| names.get(index)).map(|name| (*name).to_owned())
}

/// As `kill -l` of Debian's procps and shells names them. 32 and 33 have no name: the C library keeps them to itself.
fn signal_name(number: u64) -> Option<String> {
    const RTMIN: u64 = 34;
    const RTMAX: u64 = 64;
    match number {
        0 => None,
        1..=31 => name_in(&SIGNALS, number - 1),
        RTMIN => Some("RTMIN".to_owned()),
        RTMAX => Some("RTMAX".to_owned()),
        35..RTMAX => Some(format!("RTMIN+{}", number - RTMIN)),
        _ => None,
    }
}

/// The words of the bits that are set, lowest first.
fn bits(number: u64, names: &[&str]) -> Vec<Word> {
    (0..u64::BITS)
        .map(|bit| (bit, 1_u64 << bit))
        .filter(|(_, value)| number & value != 0)
        .map(|(bit, value)| {
            Word::new(names.get(bit as usize).copied().filter(|name| !name.is_empty()), value)
        })
        .collect()
}

/// `PTRACE_MODE_*` of `include/linux/ptrace.h`, by bit.
const PTRACE_MODES: [&str; 5] = ["read", "attach", "noaudit", "fscreds", "realcreds"];

/// `MS_*` of `include/uapi/linux/mount.h`, by bit; bit 9 means nothing.
const MOUNT_FLAGS: [&str; 26] = [
    "rdonly",
    "nosuid",
    "nodev",
    "noexec",
    "synchronous",
    "remount",
    "mandlock",
    "dirsync",
    "nosymfollow",
    "",
    "noatime",
    "nodiratime",
    "bind",
    "move",
    "rec",
    "silent",
    "posixacl",
    "unbindable",
    "private",
    "slave",
    "shared",
    "relatime",
    "kernmount",
    "i_version",
    "strictatime",
    "lazytime",
];

/// Signals 1 to 31 of `asm-generic/signal.h`, which x86 and arm64 share.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// `enum bpf_cmd` of `include/uapi/linux/bpf.h`, by number.
const BPF_COMMANDS: [&str; 37] = [
    "MAP_CREATE",
    "MAP_LOOKUP_ELEM",
    "MAP_UPDATE_ELEM",
    "MAP_DELETE_ELEM",
    "MAP_GET_NEXT_KEY",
    "PROG_LOAD",
    "OBJ_PIN",
    "OBJ_GET",
    "PROG_ATTACH",
    "PROG_DETACH",
    "PROG_TEST_RUN",
    "PROG_GET_NEXT_ID",
    "MAP_GET_NEXT_ID",
    "PROG_GET_FD_BY_ID",
    "MAP_GET_FD_BY_ID",
    "OBJ_GET_INFO_BY_FD",
    "PROG_QUERY",
    "RAW_TRACEPOINT_OPEN",
    "BTF_LOAD",
    "BTF_GET_FD_BY_ID",
    "TASK_FD_QUERY",
    "MAP_LOOKUP_AND_DELETE_ELEM",
    "MAP_FREEZE",
    "BTF_GET_NEXT_ID",
    "MAP_LOOKUP_BATCH",
    "MAP_LOOKUP_AND_DELETE_BATCH",
    "MAP_UPDATE_BATCH",
    "MAP_DELETE_BATCH",
    "LINK_CREATE",
    "LINK_UPDATE",
    "LINK_GET_FD_BY_ID",
    "LINK_GET_NEXT_ID",
    "ENABLE_STATS",
    "ITER_CREATE",
    "LINK_DETACH",
    "PROG_BIND_MAP",
    "TOKEN_CREATE",
];

#[cfg(test)]
mod tests {
    use super::*;
    use vs_common::capability;

    fn json(hook: Hook, number: u64) -> String {
        serde_json::to_string(&describe(Some(hook), number)).unwrap()
    }

    #[test]
    fn each_hook_in_its_own_words() {
        assert_eq!(json(Hook::TaskKill, 9), r#"{"type":"signal","number":9,"name":"KILL"}"#);
        assert_eq!(json(Hook::TaskKill, 0), r#"{"type":"signal","number":0,"name":null}"#);
        assert_eq!(json(Hook::TaskKill, 31), r#"{"type":"signal","number":31,"name":"SYS"}"#);
        assert_eq!(json(Hook::TaskKill, 35), r#"{"type":"signal","number":35,"name":"RTMIN+1"}"#);
        assert_eq!(json(Hook::TaskKill, 64), r#"{"type":"signal","number":64,"name":"RTMAX"}"#);
        assert_eq!(
            json(Hook::PtraceAccessCheck, 0x8a),
            r#"{"type":"ptrace","number":138,"modes":["attach","fscreds",128]}"#
        );
        assert_eq!(
            json(Hook::SbMount, libc::MS_BIND | libc::MS_REC | libc::MS_LAZYTIME | 512),
            r#"{"type":"mount","number":33575424,"flags":[512,"bind","rec","lazytime"]}"#
        );
        assert_eq!(json(Hook::Capable, 21), r#"{"type":"capability","number":21,"name":"sys_admin"}"#);
        assert_eq!(json(Hook::Capable, 99), r#"{"type":"capability","number":99,"name":null}"#);
        assert_eq!(json(Hook::Bpf, 36), r#"{"type":"bpf-command","number":36,"name":"TOKEN_CREATE"}"#);
        assert_eq!(json(Hook::SocketCreate, 3), r#"{"type":"socket-type","number":3,"name":"raw"}"#);
        assert_eq!(
            json(Hook::SocketSetsockopt, 0x1_0000_0019),
            r#"{"type":"socket-option","level":{"number":1,"name":"SOL_SOCKET"},"option":{"number":25,"name":"SO_BINDTODEVICE"}}"#
        );
        assert_eq!(
            json(Hook::NetlinkSend, 20),
            r#"{"type":"netlink-message","number":20,"name":"RTM_NEWADDR"}"#
        );
        assert_eq!(json(Hook::Bind4, 0), "null");
        assert_eq!(json(Hook::TaskSetnice, 0), "null");
        assert_eq!(json(Hook::TaskSetnice, 3), r#"{"type":"number","number":3}"#);
    }

    #[test]
    fn numbers_of_the_c_headers() {
        let signal = |number: i32| signal_name(u64::try_from(number).unwrap()).unwrap();
        assert_eq!(signal(libc::SIGTERM), "TERM");
        assert_eq!(signal(libc::SIGCHLD), "CHLD");
        assert_eq!(signal(libc::SIGIO), "IO");
        assert_eq!(signal(libc::SIGRTMIN()), "RTMIN");
        assert_eq!(signal(libc::SIGRTMAX()), "RTMAX");
    }

    #[test]
    fn the_safe_capabilities_have_the_same_names_here() {
        for (number, name) in [(0, "chown"), (19, "sys_ptrace"), (40, "checkpoint_restore")] {
            assert_eq!(capability::NAMES[number], name);
        }
    }
}
