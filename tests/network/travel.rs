//! A socket belongs to whoever made it, whoever holds it; and what mode observe lets pass.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;
use vs_common::hook::Hook;
use vs_tests::audit::Expected;
use vs_tests::desk::Desk;
use vs_tests::report::{Checks, errno_name};
use vs_tests::status::Status;
use vs_tests::world::{POLICY, World, vs_ok};

/// `AF_INET`, as it begins an address.
const INET: u16 = 2;

/// The errno of a call; 0: it went through.
fn outcome(result: libc::c_int) -> i32 {
    if result < 0 { std::io::Error::last_os_error().raw_os_error().unwrap_or(255) } else { 0 }
}

/// Binds a socket to an IPv4 address and a port; the errno.
fn bind(socket: &OwnedFd, address: [u8; 4], port: u16) -> i32 {
    let name = libc::sockaddr_in {
        sin_family: INET,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address) },
        sin_zero: [0; 8],
    };
    // SAFETY: A live address of that size.
    outcome(unsafe { libc::bind(socket.as_raw_fd(), (&raw const name).cast(), 16) })
}

/// The process of the only desk in a context, in the host's numbers.
fn process_in(context: &str) -> Result<i32> {
    let listed = vs_ok(&["--json", "ps"])?;
    let processes = listed.lines().map(serde_json::from_str).collect::<serde_json::Result<Vec<Value>>>()?;
    let found = processes.iter().find(|process| {
        process["context"] == context && process["command"].as_str().is_some_and(|it| it.contains("sockets"))
    });
    let pid = found.and_then(|process| process["pid"].as_i64()).context("a desk's process")?;
    Ok(i32::try_from(pid)?)
}

/// A descriptor of another process's, by its number there.
fn taken(pid: i32, descriptor: i32) -> Result<OwnedFd> {
    // SAFETY: Numbers only; each call gives a new descriptor, or -1.
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let process =
            OwnedFd::from_raw_fd(i32::try_from(process).ok().filter(|fd| *fd >= 0).context("a pidfd")?);
        let got = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), descriptor, 0);
        let got = i32::try_from(got).ok().filter(|fd| *fd >= 0).context("take a descriptor")?;
        Ok(OwnedFd::from_raw_fd(got))
    }
}

/// A context's socket in the host's hands, and the host's in a context's.
pub(super) fn sockets(world: &mut World, checks: &mut Checks) -> Result<()> {
    let mut desk = Desk::start("net-a")?;
    let made = desk.order("socket s v4 tcp")?;
    checks.equal("a socket is made", &made, &Ok(String::new()));
    let descriptor: i32 = desk.order("number s")?.unwrap_or_default().parse().unwrap_or(-1);
    let socket = taken(process_in("net-a")?, descriptor)?;
    let found = bind(&socket, [192, 0, 2, 20], 8130);
    checks.check(found == libc::EADDRNOTAVAIL, || {
        format!("the host binds a context's socket to an address of another: {}", errno_name(found))
    });
    checks.equal("and to one of its own", &bind(&socket, [192, 0, 2, 11], 8130), &0);
    let record = Expected {
        actor: 201,
        pid: Some(i32::try_from(std::process::id())?),
        target: None,
        hook: Hook::Bind4.name(),
        errno: "EADDRNOTAVAIL",
        mode: "enforce",
    };
    let missing = world.audit.missing(&[record])?;
    checks.check(missing.is_empty(), || format!("no audit record: {missing:?}"));

    // SAFETY: Numbers only; the descriptor is nobody else's.
    let own = unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0)) };
    let mut command = Command::new("vs");
    command.args(["run", "--context", "net-b", "--", "vs-actor", "sockets"]);
    let mut inheriting = Desk::start_with("net-b", command, Stdio::from(own))?;
    for (order, what) in [
        ("adopt s 2", "takes the host's socket"),
        ("bind s 192.0.2.1 8131", "binds the host's socket as the host would"),
        ("listen s", "listens with it"),
    ] {
        let found = inheriting.order(order)?;
        checks.check(found.is_ok(), || format!("a context {what}: {found:?}"));
    }
    Ok(())
}

/// In mode observe a foreign address is bound to and recorded; what keeps the programs in the picture is in force.
pub(super) fn observed(world: &mut World, checks: &mut Checks) -> Result<()> {
    vs_ok(&["load", "--observe", POLICY])?;
    let mut desk = Desk::start("net-a")?;
    let mut order = |order: &str| desk.order(order);
    let results = [
        (order("socket s v4 tcp")?, Ok(()), "a socket is made"),
        (order("bind s 192.0.2.20 8132")?, Ok(()), "a foreign address is bound to"),
        (order("socket u v4 udp")?, Ok(()), "a second socket is made"),
        (order("sendto u 192.0.2.1 8133 x 192.0.2.20")?, Ok(()), "a foreign source is sent from"),
        (order("bind u 0.0.0.0 8132")?, Err(libc::EINVAL), "a socket that has sent is bound"),
        (order("try 2 3 1")?, Err(libc::EPERM), "a raw socket is made"),
        (order("socket any v4 tcp")?, Ok(()), "a third socket is made"),
        (order("bind any 0.0.0.0 8134")?, Ok(()), "ANY is bound to"),
    ];
    let shown = order("name any")?;
    for (found, expected, what) in results {
        checks.equal(what, &found.map(drop), &expected);
    }
    checks.equal("ANY is the primary address", &shown, &Ok("192.0.2.10 8134".to_owned()));
    let observed = |hook: Hook, errno, mode| Expected {
        actor: 201,
        pid: None,
        target: None,
        hook: hook.name(),
        errno,
        mode,
    };
    let missing = world.audit.missing(&[
        observed(Hook::Bind4, "EADDRNOTAVAIL", "observe"),
        observed(Hook::Sendmsg4, "EINVAL", "observe"),
        observed(Hook::SocketCreate, "EPERM", "enforce"),
    ])?;
    checks.check(missing.is_empty(), || format!("no audit records: {missing:?}"));
    vs_ok(&["load", POLICY])?;
    checks.equal("the status after it", &Status::ask()?.code, &Some(0));
    Ok(())
}

/// A context in a network namespace of its own has the addresses of its list and no other there; whoever listens on ANY has the primary one.
pub(super) fn another_namespace(checks: &mut Checks) -> Result<()> {
    let mut command = Command::new("unshare");
    let inside = "ip link set lo up && ip addr add 192.0.2.20/32 dev lo && ip addr add 192.0.2.1/32 dev lo && exec vs run --context net-b -- vs-actor sockets";
    command.args(["-n", "sh", "-c", inside]);
    let mut there = Desk::start_with("net-b", command, Stdio::inherit())?;
    let mut here = Desk::start("net-b")?;
    for (order, expected) in [
        ("socket s v4 tcp", Ok("")),
        ("bind s 192.0.2.1 8140", Err(libc::EADDRNOTAVAIL)),
        ("bind s 0.0.0.0 8140", Ok("")),
        ("name s", Ok("192.0.2.20 8140")),
        ("listen s", Ok("")),
        ("socket c v4 tcp", Ok("")),
        ("connect c 192.0.2.20 8140", Ok("")),
        ("close c", Ok("")),
        ("socket u v4 udp", Ok("")),
        ("sendto u 192.0.2.1 8141 x 192.0.2.1", Err(libc::EINVAL)),
    ] {
        let found = there.order(order)?;
        checks.equal(&format!("in another network namespace: {order}"), &found, &expected.map(str::to_owned));
    }
    // What listens there is not found from here.
    for (order, expected) in [
        ("socket c v4 tcp", Ok("")),
        ("connect c 192.0.2.20 8140", Err(libc::ECONNREFUSED)),
        ("close c", Ok("")),
    ] {
        let found = here.order(order)?;
        checks.equal(&format!("beside a network namespace: {order}"), &found, &expected.map(str::to_owned));
    }
    Ok(())
}

/// Beside hierarchies of version 1 that have to do with sockets, whose groups a process is in: a socket's cgroup of version 2 is another
/// member (`struct sock_cgroup_data`).
pub(super) fn other_hierarchies(checks: &mut Checks) -> Result<()> {
    let script = "mkdir -p /tmp/net_cls && mount -t cgroup -o net_cls none /tmp/net_cls && mkdir -p /tmp/net_cls/inner && echo 7 > /tmp/net_cls/inner/net_cls.classid && echo $$ > /tmp/net_cls/inner/cgroup.procs && exec vs run --context net-a -- vs-actor sockets";
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    let mut desk = Desk::start_with("net-a", command, Stdio::inherit())?;
    let pid = process_in("net-a")?;
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    checks.check(groups.contains("net_cls:/inner"), || format!("it is not in a group of net_cls: {groups}"));
    for (order, expected) in [
        ("socket s v4 tcp", Ok("")),
        ("bind s 192.0.2.20 8150", Err(libc::EADDRNOTAVAIL)),
        ("bind s 0.0.0.0 8150", Ok("")),
        ("name s", Ok("192.0.2.10 8150")),
        ("listen s", Ok("")),
        ("socket c v4 tcp", Ok("")),
        ("connect c 192.0.2.11 8150", Ok("")),
    ] {
        let found = desk.order(order)?;
        checks.equal(&format!("in a group of net_cls: {order}"), &found, &expected.map(str::to_owned));
    }
    drop(desk);
    let status = Command::new("sh").args(["-c", "rmdir /tmp/net_cls/inner; umount /tmp/net_cls"]).status()?;
    checks.check(status.success(), || format!("taking the hierarchy away: {status}"));
    Ok(())
}
