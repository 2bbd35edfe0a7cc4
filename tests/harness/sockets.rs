//! `vs-actor sockets`: holds sockets by name and does with them what it is told, so that what one order leaves behind is there for the next.
//!
//! On standard input one line an order, on standard output one line an answer: the errno (0: it went through), then what there is to tell:
//! an address and a port, or a text.

use std::collections::HashMap;
use std::ffi::c_int;
use std::io::{self, BufRead, Write};
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// How long anything may take, in milliseconds: all that is tried is on this machine.
const PATIENCE: c_int = 2000;
/// How long to listen for what should not come. What is sent within the machine is there when the call returns.
const WHILE: c_int = 200;
/// `IPV6_PKTINFO`.
const IPV6_PKTINFO: c_int = 50;

/// An errno, or what there is to tell.
type Outcome = Result<String, i32>;

/// The sockets.
#[derive(Debug, Default)]
struct Desk {
    sockets: HashMap<String, OwnedFd>,
}

/// Serves orders until there are none.
///
/// # Errors
/// Standard input or output fails.
pub fn serve() -> io::Result<u8> {
    let mut desk = Desk::default();
    let mut out = io::stdout();
    writeln!(out, "ready")?;
    out.flush()?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match desk.obey(&words) {
            Ok(text) => writeln!(out, "0 {text}")?,
            Err(errno) => writeln!(out, "{errno}")?,
        }
        out.flush()?;
    }
    Ok(0)
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(255)
}

/// What a system call came to.
fn done<T: PartialOrd + Default>(result: T) -> Result<T, i32> {
    if result < T::default() { Err(errno()) } else { Ok(result) }
}

/// A `sockaddr` and its size.
fn to_raw(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: All zero bytes are a value.
    let mut raw: libc::sockaddr_storage = unsafe { zeroed() };
    let size = match address {
        SocketAddr::V4(address) => {
            let name = libc::sockaddr_in {
                sin_family: 2,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: The storage is larger than, and aligned for, every kind of address.
            unsafe { (&raw mut raw).cast::<libc::sockaddr_in>().write(name) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(address) => {
            let name = libc::sockaddr_in6 {
                sin6_family: 10,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: 0,
            };
            // SAFETY: As above.
            unsafe { (&raw mut raw).cast::<libc::sockaddr_in6>().write(name) };
            size_of::<libc::sockaddr_in6>()
        }
    };
    (raw, libc::socklen_t::try_from(size).unwrap_or(0))
}

/// As people have it.
fn from_raw(raw: &libc::sockaddr_storage) -> String {
    let pointer = &raw const *raw;
    match c_int::from(raw.ss_family) {
        libc::AF_INET => {
            // SAFETY: The kernel says that it is of this kind.
            let name = unsafe { *pointer.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes());
            format!("{ip} {}", u16::from_be(name.sin_port))
        }
        libc::AF_INET6 => {
            // SAFETY: As above.
            let name = unsafe { *pointer.cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            format!("{ip} {}", u16::from_be(name.sin6_port))
        }
        family => format!("family-{family} 0"),
    }
}

/// Does something without the capabilities that the process has, and takes them up again.
fn without_capabilities(act: impl FnOnce() -> Outcome) -> Outcome {
    // `struct __user_cap_header_struct` with `_LINUX_CAPABILITY_VERSION_3`, and `struct __user_cap_data_struct` twice, effective first.
    let header = [0x2008_0522_u32, 0];
    let mut held = [0_u32; 6];
    // SAFETY: A live header, and live data of the size that it says; so below.
    done(unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), held.as_mut_ptr()) })?;
    let mut none = held;
    (none[0], none[3]) = (0, 0);
    // SAFETY: As above.
    done(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) })?;
    let outcome = act();
    // SAFETY: As above.
    done(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), held.as_ptr()) })?;
    outcome
}

/// Waits until a socket is ready.
fn wait(socket: RawFd, events: i16) -> Result<(), i32> {
    let mut poll = libc::pollfd { fd: socket, events, revents: 0 };
    // SAFETY: One live entry.
    match done(unsafe { libc::poll(&raw mut poll, 1, PATIENCE) })? {
        0 => Err(libc::ETIMEDOUT),
        _ => Ok(()),
    }
}

fn endpoint(address: &str, port: &str) -> Result<SocketAddr, i32> {
    let address: IpAddr = address.parse().map_err(|_| libc::ENOEXEC)?;
    Ok(SocketAddr::new(address, port.parse().map_err(|_| libc::ENOEXEC)?))
}

/// The number of ICMP's protocol in a family.
fn icmp_of(family: &str) -> c_int {
    if family == "v4" { libc::IPPROTO_ICMP } else { libc::IPPROTO_ICMPV6 }
}

impl Desk {
    fn socket(&self, name: &str) -> Result<RawFd, i32> {
        self.sockets.get(name).map(AsRawFd::as_raw_fd).ok_or(libc::EBADF)
    }

    fn keep(&mut self, name: &str, descriptor: RawFd) {
        // SAFETY: The kernel has just made the descriptor for nobody else.
        self.sockets.insert(name.to_owned(), unsafe { OwnedFd::from_raw_fd(descriptor) });
    }

    fn obey(&mut self, words: &[&str]) -> Outcome {
        match *words {
            ["socket", name, family, kind] => self.make(name, family, kind),
            ["bind", name, address, port] => {
                let (raw, size) = to_raw(endpoint(address, port)?);
                // SAFETY: A live address of that size; so below.
                done(unsafe { libc::bind(self.socket(name)?, (&raw const raw).cast(), size) })?;
                Ok(String::new())
            }
            ["echo", name] => self.send_to(name, None, &self.echo_request(name)?, None, 0),
            ["echo", name, address] => {
                self.send_to(name, Some(endpoint(address, "0")?), &self.echo_request(name)?, None, 0)
            }
            ["echo", name, address, source] => {
                let source = source.parse().map_err(|_| libc::ENOEXEC)?;
                self.send_to(name, Some(endpoint(address, "0")?), &self.echo_request(name)?, Some(source), 0)
            }
            ["echo-source", name] => self.echo_source(name),
            ["hear", name] => self.hear(name),
            ["listen", name] => {
                // SAFETY: Numbers only.
                done(unsafe { libc::listen(self.socket(name)?, 8) })?;
                Ok(String::new())
            }
            ["connect", name, address, port] => self.connect(name, endpoint(address, port)?),
            ["disconnect", name] => {
                // SAFETY: All zero bytes are an address of no family.
                let raw: libc::sockaddr_storage = unsafe { zeroed() };
                // SAFETY: As above.
                done(unsafe { libc::connect(self.socket(name)?, (&raw const raw).cast(), 16) })?;
                Ok(String::new())
            }
            ["accept", name, new] => self.accept(name, new),
            ["name", name] => self.name(name, libc::getsockname),
            ["peer", name] => self.name(name, libc::getpeername),
            ["send", name, text] => {
                let socket = self.socket(name)?;
                // SAFETY: A live text of that size.
                done(unsafe { libc::send(socket, text.as_ptr().cast(), text.len(), libc::MSG_NOSIGNAL) })?;
                Ok(String::new())
            }
            ["sendto", name, address, port, text] => {
                self.send_to(name, Some(endpoint(address, port)?), text.as_bytes(), None, 0)
            }
            ["sendto", name, address, port, text, source] => {
                let source = source.parse().map_err(|_| libc::ENOEXEC)?;
                self.send_to(name, Some(endpoint(address, port)?), text.as_bytes(), Some(source), 0)
            }
            ["send-from", name, text, source] => {
                let source = source.parse().map_err(|_| libc::ENOEXEC)?;
                self.send_to(name, None, text.as_bytes(), Some(source), 0)
            }
            ["fast-open", name, address, port, text] => {
                self.send_to(name, Some(endpoint(address, port)?), text.as_bytes(), None, libc::MSG_FASTOPEN)
            }
            ["receive", name] => self.receive(name),
            ["option", name, level, option, value] => {
                let number = |word: &str| word.parse::<c_int>().map_err(|_| libc::ENOEXEC);
                let (level, option, value) = (number(level)?, number(option)?, number(value)?);
                let value = [value, 0, 0, 0];
                let socket = self.socket(name)?;
                // SAFETY: A live value of that size.
                done(unsafe { libc::setsockopt(socket, level, option, (&raw const value).cast(), 16) })?;
                Ok(String::new())
            }
            ["netlink", name, kind] => self.ask_netlink(name, kind.parse().map_err(|_| libc::ENOEXEC)?),
            ["try", family, kind, protocol] => {
                let number = |word: &str| word.parse::<c_int>().map_err(|_| libc::ENOEXEC);
                // SAFETY: Numbers only.
                let made = done(unsafe { libc::socket(number(family)?, number(kind)?, number(protocol)?) })?;
                // SAFETY: The kernel has just made the descriptor for nobody else.
                drop(unsafe { OwnedFd::from_raw_fd(made) });
                Ok(String::new())
            }
            ["try-without", family, kind, protocol] => without_capabilities(|| {
                let order = ["try", family, kind, protocol];
                self.obey(&order)
            }),
            ["read", path] => std::fs::read(path)
                .map(|_| String::new())
                .map_err(|error| error.raw_os_error().unwrap_or(255)),
            ["number", name] => Ok(self.socket(name)?.to_string()),
            ["adopt", name, descriptor] => {
                let descriptor = descriptor.parse::<c_int>().map_err(|_| libc::ENOEXEC)?;
                // SAFETY: A number.
                let copy = done(unsafe { libc::dup(descriptor) })?;
                self.keep(name, copy);
                Ok(String::new())
            }
            ["close-all"] => {
                self.sockets.clear();
                Ok(String::new())
            }
            ["close", name] => self.sockets.remove(name).map(|_| String::new()).ok_or(libc::EBADF),
            _ => Err(libc::ENOEXEC),
        }
    }

    fn make(&mut self, name: &str, family: &str, kind: &str) -> Outcome {
        let (kind, protocol) = match kind {
            "tcp" => (libc::SOCK_STREAM, 0),
            "udp" => (libc::SOCK_DGRAM, 0),
            "udplite" => (libc::SOCK_DGRAM, 136),
            "netlink" => (libc::SOCK_RAW, 0),
            "ping" => (libc::SOCK_DGRAM, icmp_of(family)),
            "raw" => (libc::SOCK_RAW, icmp_of(family)),
            _ => return Err(libc::ENOEXEC),
        };
        let domain = match family {
            "v4" => libc::AF_INET,
            "v6" | "v6only" => libc::AF_INET6,
            "netlink" => libc::AF_NETLINK,
            _ => return Err(libc::ENOEXEC),
        };
        // SAFETY: Numbers only.
        let socket = done(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) })?;
        self.keep(name, socket);
        if family == "v6only" {
            let one: c_int = 1;
            // SAFETY: A live number of that size.
            done(unsafe {
                libc::setsockopt(socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, (&raw const one).cast(), 4)
            })?;
        }
        if kind == libc::SOCK_STREAM {
            let one: c_int = 1;
            // SAFETY: As above. One test's connections are not in the next one's way.
            done(unsafe {
                libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, (&raw const one).cast(), 4)
            })?;
        }
        Ok(String::new())
    }

    fn connect(&self, name: &str, address: SocketAddr) -> Outcome {
        let socket = self.socket(name)?;
        let (raw, size) = to_raw(address);
        // SAFETY: Numbers, a live address of its size, and a live number of its size: the connection is waited for with patience.
        unsafe {
            let flags = libc::fcntl(socket, libc::F_GETFL);
            libc::fcntl(socket, libc::F_SETFL, flags | libc::O_NONBLOCK);
            let connected = done(libc::connect(socket, (&raw const raw).cast(), size));
            libc::fcntl(socket, libc::F_SETFL, flags);
            match connected {
                Err(libc::EINPROGRESS) => {
                    wait(socket, libc::POLLOUT)?;
                    let (mut error, mut size): (c_int, libc::socklen_t) = (0, 4);
                    let value = (&raw mut error).cast();
                    done(libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_ERROR, value, &raw mut size))?;
                    if error == 0 { Ok(String::new()) } else { Err(error) }
                }
                connected => connected.map(|_| String::new()),
            }
        }
    }

    fn accept(&mut self, name: &str, new: &str) -> Outcome {
        let socket = self.socket(name)?;
        wait(socket, libc::POLLIN)?;
        // SAFETY: A live address and its size.
        unsafe {
            let mut raw: libc::sockaddr_storage = zeroed();
            let mut size = libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>()).unwrap_or(0);
            let accepted =
                done(libc::accept4(socket, (&raw mut raw).cast(), &raw mut size, libc::SOCK_CLOEXEC))?;
            self.keep(new, accepted);
            Ok(from_raw(&raw))
        }
    }

    fn name(
        &self,
        name: &str,
        ask: unsafe extern "C" fn(c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> c_int,
    ) -> Outcome {
        // SAFETY: A live address and its size, as either call takes them.
        unsafe {
            let mut raw: libc::sockaddr_storage = zeroed();
            let mut size = libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>()).unwrap_or(0);
            done(ask(self.socket(name)?, (&raw mut raw).cast(), &raw mut size))?;
            Ok(from_raw(&raw))
        }
    }

    /// An echo request, as the socket's family has it.
    fn echo_request(&self, name: &str) -> Result<[u8; 16], i32> {
        let mut raw = 0_u16;
        let mut size = 2;
        let value = (&raw mut raw).cast();
        // SAFETY: A live number of at most that size.
        done(unsafe {
            libc::getsockopt(self.socket(name)?, libc::SOL_SOCKET, libc::SO_DOMAIN, value, &raw mut size)
        })?;
        let mut request = [0; 16];
        if c_int::from(raw) == libc::AF_INET {
            // With the checksum of the rest, which are zeros: of a raw socket of IPv4 the kernel makes none.
            request[..4].copy_from_slice(&[8, 0, 0xf7, 0xff]);
        } else {
            request[0] = 128;
        }
        Ok(request)
    }

    /// Waits for an echo request or a reply, past all else, and tells where it comes from.
    fn echo_source(&self, name: &str) -> Outcome {
        let socket = self.socket(name)?;
        loop {
            wait(socket, libc::POLLIN)?;
            let mut buffer = [0_u8; 256];
            // SAFETY: A live buffer and a live address, each with its size.
            let (length, raw) = unsafe {
                let mut raw: libc::sockaddr_storage = zeroed();
                let mut size = libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>()).unwrap_or(0);
                let start = buffer.as_mut_ptr().cast();
                let address = (&raw mut raw).cast();
                (done(libc::recvfrom(socket, start, buffer.len(), 0, address, &raw mut size))?, raw)
            };
            // A raw socket of IPv4 gets the packet's header as well.
            let begin = if buffer[0] >> 4 == 4 { usize::from(buffer[0] & 15) * 4 } else { 0 };
            let kind = buffer.get(begin).filter(|_| length > 0);
            if kind.is_some_and(|kind| [0, 8, 128, 129].contains(kind)) {
                let sender = from_raw(&raw);
                return Ok(sender.split(' ').next().unwrap_or_default().to_owned());
            }
        }
    }

    /// Sends a text, to an address if one is given, from an address if one is given.
    fn send_to(
        &self,
        name: &str,
        address: Option<SocketAddr>,
        text: &[u8],
        source: Option<IpAddr>,
        flags: c_int,
    ) -> Outcome {
        let raw = address.map(to_raw);
        let mut part = libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() };
        let mut control = [0_u64; 8];
        // SAFETY: All zero bytes are a message; what is pointed to lives through the call and has the sizes that are said. The control
        // block is larger than one header and either kind of information.
        unsafe {
            let mut message: libc::msghdr = zeroed();
            if let Some((raw, size)) = &raw {
                message.msg_name = (&raw const *raw).cast_mut().cast();
                message.msg_namelen = *size;
            }
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            if let Some(source) = source {
                message.msg_control = control.as_mut_ptr().cast();
                message.msg_controllen = 64;
                let header = libc::CMSG_FIRSTHDR(&raw const message);
                let size = match source {
                    IpAddr::V4(source) => {
                        (*header).cmsg_level = libc::IPPROTO_IP;
                        (*header).cmsg_type = libc::IP_PKTINFO;
                        let mut information: libc::in_pktinfo = zeroed();
                        information.ipi_spec_dst.s_addr = u32::from_ne_bytes(source.octets());
                        libc::CMSG_DATA(header).cast::<libc::in_pktinfo>().write_unaligned(information);
                        size_of::<libc::in_pktinfo>()
                    }
                    IpAddr::V6(source) => {
                        (*header).cmsg_level = libc::IPPROTO_IPV6;
                        (*header).cmsg_type = IPV6_PKTINFO;
                        let mut information: libc::in6_pktinfo = zeroed();
                        information.ipi6_addr.s6_addr = source.octets();
                        libc::CMSG_DATA(header).cast::<libc::in6_pktinfo>().write_unaligned(information);
                        size_of::<libc::in6_pktinfo>()
                    }
                };
                let size = u32::try_from(size).unwrap_or(0);
                (*header).cmsg_len = libc::CMSG_LEN(size) as usize;
                message.msg_controllen = libc::CMSG_SPACE(size) as usize;
            }
            let flags = flags | libc::MSG_NOSIGNAL;
            done(libc::sendmsg(self.socket(name)?, &raw const message, flags))?;
        }
        Ok(String::new())
    }

    /// What comes within a while, or nothing.
    fn hear(&self, name: &str) -> Outcome {
        let mut poll = libc::pollfd { fd: self.socket(name)?, events: libc::POLLIN, revents: 0 };
        // SAFETY: One live entry.
        match done(unsafe { libc::poll(&raw mut poll, 1, WHILE) })? {
            0 => Ok("nothing".to_owned()),
            _ => self.receive(name),
        }
    }

    fn receive(&self, name: &str) -> Outcome {
        let socket = self.socket(name)?;
        wait(socket, libc::POLLIN)?;
        let mut buffer = [0_u8; 256];
        // SAFETY: A live buffer and a live address, each with its size.
        unsafe {
            let mut raw: libc::sockaddr_storage = zeroed();
            let mut size = libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>()).unwrap_or(0);
            let address = (&raw mut raw).cast();
            let length = done(libc::recvfrom(
                socket,
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
                address,
                &raw mut size,
            ))?;
            let text = String::from_utf8_lossy(&buffer[..usize::try_from(length).unwrap_or(0)]).into_owned();
            let text = if text.is_empty() { "-".to_owned() } else { text };
            // A connection has no address with its bytes.
            if size == 0 { Ok(text) } else { Ok(format!("{text} {}", from_raw(&raw))) }
        }
    }

    /// Sends a netlink message of a type and wants an acknowledgement: its errno.
    fn ask_netlink(&self, name: &str, kind: u16) -> Outcome {
        let socket = self.socket(name)?;
        // `struct nlmsghdr` with NLM_F_REQUEST | NLM_F_ACK, and room for the largest fixed part of a route message.
        let mut message = [0_u8; 16 + 28];
        message[..4].copy_from_slice(&44_u32.to_ne_bytes());
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message[6..8].copy_from_slice(&5_u16.to_ne_bytes());
        // SAFETY: A live message of that size, then a live buffer.
        unsafe {
            done(libc::send(socket, message.as_ptr().cast(), message.len(), 0))?;
            wait(socket, libc::POLLIN)?;
            let mut answer = [0_u8; 8192];
            done(libc::recv(socket, answer.as_mut_ptr().cast(), answer.len(), 0))?;
            let kind = u16::from_ne_bytes([answer[4], answer[5]]);
            let error = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
            // NLMSG_ERROR carries a negative errno; anything else is an answer.
            if kind == 2 && error != 0 { Err(-error) } else { Ok(String::new()) }
        }
    }
}
