//! Which sockets there are, and what may be asked of them.

use anyhow::{Context as _, Result};
use libc::{EACCES, EAFNOSUPPORT, EPERM, EPROTONOSUPPORT};
use vs_common::context::{Identity, Tag, lifecycle};
use vs_common::hook::Hook;
use vs_common::id::{Generation, Xid};
use vs_loader::maps::live::LiveStore;
use vs_tests::report::{Checks, errno_name};

use super::town::{Denied, Fine, Town};
use crate::agreement::Subject;

/// Families that no program sees are not there.
pub(super) fn families(town: &mut Town, checks: &mut Checks) -> Result<()> {
    // Family, type, protocol, and the errno; by the numbers of `include/linux/socket.h` and `include/uapi/linux/in.h`.
    for (name, numbers, errno) in [
        ("raw", "2 3 1", EPERM),
        ("raw IPv6", "10 3 58", EPERM),
        ("raw with headers of its own", "2 3 255", EPERM),
        ("ping", "2 2 1", EACCES),
        ("ping IPv6", "10 2 58", EACCES),
        ("MPTCP", "2 1 262", EPROTONOSUPPORT),
        ("SCTP", "2 1 132", EPROTONOSUPPORT),
        ("SCTP packets", "10 5 132", EPROTONOSUPPORT),
        ("DCCP", "2 6 33", EPROTONOSUPPORT),
        ("sock_diag", "16 3 4", EPROTONOSUPPORT),
        ("netlink connector", "16 3 11", EPROTONOSUPPORT),
        ("uevents", "16 2 15", EPROTONOSUPPORT),
        ("audit", "16 3 9", EPROTONOSUPPORT),
        ("netfilter", "16 3 12", EPROTONOSUPPORT),
        ("XFRM", "16 3 6", EPROTONOSUPPORT),
        ("generic netlink", "16 3 16", EPROTONOSUPPORT),
        ("packet", "17 3 768", EAFNOSUPPORT),
        ("AF_KEY", "15 3 2", EAFNOSUPPORT),
        ("AF_ALG", "38 5 0", EAFNOSUPPORT),
        ("vsock", "40 1 0", EAFNOSUPPORT),
        ("SMC", "43 1 0", EAFNOSUPPORT),
        ("XDP", "44 3 0", EAFNOSUPPORT),
        ("bluetooth", "31 3 1", EAFNOSUPPORT),
        ("CAN", "29 3 1", EAFNOSUPPORT),
        ("TIPC", "30 1 0", EAFNOSUPPORT),
        ("RDS", "21 5 0", EAFNOSUPPORT),
        ("PPP over Ethernet", "24 1 0", EAFNOSUPPORT),
    ] {
        checks.during(name, |checks| {
            town.say(checks, "net-a", &format!("try {numbers}"), Denied(errno, Hook::SocketCreate))
        })?;
    }
    for numbers in ["1 1 0", "1 2 0", "2 1 0", "2 1 6", "2 2 0", "2 2 17", "10 1 0", "10 2 0", "16 3 0"] {
        town.say(checks, "net-a", &format!("try {numbers}"), Fine)?;
    }
    Ok(())
}

/// Options that reach beyond the socket.
pub(super) fn options(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.say(checks, "net-a", "socket s v4 udp", Fine)?;
    town.say(checks, "net-a", "socket six v6 udp", Fine)?;
    // SO_BROADCAST, SO_BINDTODEVICE, SO_BINDTOIFINDEX, IP_OPTIONS, IP_ADD_MEMBERSHIP, MCAST_JOIN_GROUP.
    for option in ["s 1 6 1", "s 1 25 28524", "s 1 62 1", "s 0 4 0", "s 0 35 251", "s 0 42 1"] {
        town.say(checks, "net-a", &format!("option {option}"), Denied(EPERM, Hook::SocketSetsockopt))?;
    }
    // IPV6_ADD_MEMBERSHIP, IPV6_JOIN_ANYCAST, IPV6_RTHDR.
    for option in ["six 41 20 1", "six 41 27 1", "six 41 57 1"] {
        town.say(checks, "net-a", &format!("option {option}"), Denied(EPERM, Hook::SocketSetsockopt))?;
    }
    // SO_REUSEADDR, SO_REUSEPORT, SO_RCVBUF, IP_PKTINFO, IP_FREEBIND, which decides nothing here.
    for option in ["s 1 2 1", "s 1 15 1", "s 1 8 65536", "s 0 8 1", "s 0 15 1"] {
        town.say(checks, "net-a", &format!("option {option}"), Fine)?;
    }
    town.script(
        checks,
        &[
            ("net-a", "bind s 192.0.2.20 8120", Denied(libc::EADDRNOTAVAIL, Hook::Bind4)),
            ("net-a", "close s", Fine),
            ("net-a", "close six", Fine),
            ("host", "socket s v4 udp", Fine),
            ("host", "option s 1 6 1", Fine),
            ("host", "close s", Fine),
        ],
    )
}

/// No list of the machine's sockets can be read; links, addresses and routes can.
pub(super) fn lists(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for base in ["/proc/net", "/proc/self/net", "/proc/thread-self/net"] {
        for list in
            ["tcp", "tcp6", "udp", "udp6", "raw", "raw6", "unix", "netlink", "packet", "ptype", "stat"]
        {
            if std::path::Path::new(base).join(list).exists() {
                let order = format!("read {base}/{list}");
                town.say(checks, "net-a", &order, Denied(libc::ENOENT, Hook::FileOpen))?;
            }
        }
        for file in vs_common::filesystem::NETWORK_FILES {
            town.say(checks, "net-a", &format!("read {base}/{file}"), Fine)?;
        }
    }
    // What has the same name elsewhere, and other files of procfs, are nobody's list.
    for path in ["/proc/stat", "/proc/self/status", "/proc/uptime"] {
        town.say(checks, "net-a", &format!("read {path}"), Fine)?;
    }
    for path in ["/proc/net/tcp", "/proc/net/unix"] {
        town.say(checks, "host", &format!("read {path}"), Fine)?;
        town.say(checks, "plain-a", &format!("read {path}"), Fine)?;
    }
    Ok(())
}

/// Questions are answered, orders are not taken.
pub(super) fn netlink(town: &mut Town, checks: &mut Checks) -> Result<()> {
    town.say(checks, "net-a", "socket n netlink netlink", Fine)?;
    // RTM_NEWLINK, DELLINK, SETLINK, NEWADDR, DELADDR, NEWROUTE, DELROUTE, NEWNEIGH, NEWRULE, NEWQDISC.
    for order in [16, 17, 19, 20, 21, 24, 25, 28, 32, 36] {
        town.say(checks, "net-a", &format!("netlink n {order}"), Denied(EPERM, Hook::NetlinkSend))?;
    }
    // RTM_GETLINK of the first link.
    let asked = town.order("net-a", "netlink n 18")?;
    checks.check(asked != Err(EPERM), || format!("a question is refused: {asked:?}"));
    town.say(checks, "net-a", "close n", Fine)?;
    // The kernel asks for CAP_NET_ADMIN as well, which no context has: so tried with a process that never dropped anything.
    let mut store = LiveStore::open().context("open the pinned maps")?;
    let stranger = Tag { xid: Xid(STRANGER), lifecycle: lifecycle::NETWORK, generation: Generation(1) };
    for (who, identity, errno) in
        [("a guest with CAP_NET_ADMIN", Identity::Member(stranger), EPERM), ("the host", Identity::Host, 0)]
    {
        let subject = Subject::new(order_by_netlink)?;
        subject.tag(&mut store, identity)?;
        let found = subject.finish()?;
        checks.check(found == errno, || {
            format!("{who} gives an order: {}, expected {}", errno_name(found), errno_name(errno))
        });
    }
    Ok(())
}

/// A context of no policy.
const STRANGER: u32 = 700;

/// Sends `RTM_NEWLINK` with nothing in it, which the kernel makes nothing of.
fn order_by_netlink() -> libc::c_long {
    // `struct nlmsghdr`: length, type and flags, sequence, port.
    let message = [16_u32, 16 | 1 << 16, 0, 0];
    // SAFETY: Numbers, and a live message of that size; the descriptor ends with the process.
    unsafe {
        let socket = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE);
        libc::send(socket, message.as_ptr().cast(), 16, 0).try_into().unwrap_or(-1)
    }
}
