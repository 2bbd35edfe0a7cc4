//! Which of the descriptors 0, 1 and 2 may go into a context.
//!
//! They are the only ones that do. Allowed is what carries bytes: a file, a pipe, a socket, a harmless device. A terminal is
//! replaced by one of the context's own. Whatever else is refused: a directory or an `O_PATH` descriptor leads back into the
//! host's tree, a namespace, a pidfd or a bpf object is power itself, and of what nobody thought of, nobody knows.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, OFlags};
use rustix::net::{AddressFamily, SocketType};
use vs_common::filesystem::{FilesystemClass, classify, is_harmless_device};

/// Superblock magics of file systems whose files stand for something else than bytes.
mod magic {
    /// `anon_inode`: bpf objects, eventfd, `io_uring`, pidfd before 6.9.
    pub(super) const ANON_INODE: u64 = 0x0904_1934;
    /// Namespaces.
    pub(super) const NSFS: u64 = 0x6e73_6673;
    /// pidfd from 6.9 on.
    pub(super) const PIDFS: u64 = 0x5049_4446;
    /// POSIX message queues.
    pub(super) const MQUEUE: u64 = 0x1980_0202;
    /// The terminals.
    pub(super) const DEVPTS: u64 = 0x1cd1;
}

/// What becomes of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    /// It goes in as it is.
    Kept,
    /// It is the host's terminal, and a terminal of the context's own takes its place.
    Replaced,
}

/// Why a descriptor may not go into a context.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorError {
    /// It leads to more than bytes.
    #[error(
        "descriptor {number} is {what} and must not go into a context; redirect it, for example from or to a pipe"
    )]
    Refused {
        /// 0, 1 or 2.
        number: usize,
        /// What it is.
        what: &'static str,
    },
    /// It could not be examined.
    #[error("cannot examine descriptor {number}: {cause}")]
    Io {
        /// 0, 1 or 2.
        number: usize,
        /// The kernel's answer.
        cause: io::Error,
    },
}

/// What is known of a descriptor.
#[derive(Clone, Copy, Debug)]
struct Facts {
    kind: FileType,
    /// Major and minor of a device.
    device: (u32, u32),
    superblock_magic: u64,
    is_path_only: bool,
    is_terminal: bool,
    /// Family and type of a socket.
    socket: Option<(AddressFamily, SocketType)>,
}

impl Facts {
    fn read(descriptor: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        let status = rustix::fs::fstat(descriptor)?;
        let kind = FileType::from_raw_mode(status.st_mode);
        let is_path_only = rustix::fs::fcntl_getfl(descriptor)?.contains(OFlags::PATH);
        let socket = if kind == FileType::Socket && !is_path_only {
            let family = rustix::net::sockopt::socket_domain(descriptor)?;
            Some((family, rustix::net::sockopt::socket_type(descriptor)?))
        } else {
            None
        };
        Ok(Self {
            kind,
            device: (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev)),
            // The field is signed on some machines; a magic is 32 bits.
            superblock_magic: rustix::fs::fstatfs(descriptor)?.f_type.cast_unsigned() & 0xffff_ffff,
            is_path_only,
            is_terminal: !is_path_only && rustix::termios::isatty(descriptor),
            socket,
        })
    }

    /// | descriptor                                                        | verdict  |
    /// |-------------------------------------------------------------------|----------|
    /// | opened with `O_PATH`                                              | refused  |
    /// | on nsfs, pidfs, `anon_inode`, mqueue, or a control file system    | refused  |
    /// | terminal, its master, a console                                   | replaced; a master is refused |
    /// | regular file, pipe                                                | kept     |
    /// | socket of the families unix, inet, inet6, not raw                 | kept     |
    /// | character device: null, zero, full, random, urandom               | kept     |
    /// | anything else                                                     | refused  |
    fn judge(&self) -> Result<Use, &'static str> {
        if self.is_path_only {
            return Err("open as a path (O_PATH)");
        }
        match self.superblock_magic {
            magic::ANON_INODE => {
                return Err("a kernel object without a name (bpf, pidfd, eventfd, io_uring or the like)");
            }
            magic::NSFS => return Err("a namespace"),
            magic::PIDFS => return Err("a pidfd"),
            magic::MQUEUE => return Err("a message queue"),
            _ => {}
        }
        match classify(self.superblock_magic) {
            FilesystemClass::Ordinary => {}
            FilesystemClass::ReadOnly | FilesystemClass::Control => {
                return Err("a file of /proc, /sys or another control file system");
            }
            FilesystemClass::Enforcement => return Err("a file of the bpf file system"),
        }
        match self.kind {
            FileType::RegularFile | FileType::Fifo => Ok(Use::Kept),
            FileType::Directory => Err("a directory"),
            FileType::BlockDevice => Err("a block device"),
            FileType::CharacterDevice => self.judge_character_device(),
            FileType::Socket => match self.socket {
                Some((_, SocketType::RAW)) => Err("a raw socket"),
                Some((AddressFamily::UNIX | AddressFamily::INET | AddressFamily::INET6, _)) => Ok(Use::Kept),
                _ => Err("a socket of a family other than unix, inet and inet6"),
            },
            _ => Err("of a kind that is not known to carry only bytes"),
        }
    }

    fn judge_character_device(&self) -> Result<Use, &'static str> {
        let (major, minor) = self.device;
        let is_master = self.device == (5, 2) || (self.superblock_magic == magic::DEVPTS && major == 5);
        let is_harmless = minor <= 0xf_ffff && is_harmless_device(major << 20 | minor);
        if is_master {
            Err("the master of a terminal")
        } else if self.is_terminal {
            Ok(Use::Replaced)
        } else if is_harmless {
            Ok(Use::Kept)
        } else {
            Err("a device")
        }
    }
}

/// Examines 0, 1 and 2 of this process.
///
/// # Errors
/// One of them may not go into a context, or cannot be examined.
pub(super) fn examine() -> Result<[Use; 3], DescriptorError> {
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    let mut uses = [Use::Kept; 3];
    for (number, descriptor) in [input.as_fd(), output.as_fd(), errors.as_fd()].into_iter().enumerate() {
        let facts =
            Facts::read(descriptor).map_err(|cause| DescriptorError::Io { number, cause: cause.into() })?;
        uses[number] = facts.judge().map_err(|what| DescriptorError::Refused { number, what })?;
    }
    Ok(uses)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use vs_common::filesystem::magic as control;

    use super::*;

    const EXT4: u64 = 0xef53;

    fn facts(kind: FileType) -> Facts {
        Facts {
            kind,
            device: (0, 0),
            superblock_magic: EXT4,
            is_path_only: false,
            is_terminal: false,
            socket: None,
        }
    }

    fn device(major: u32, minor: u32, is_terminal: bool) -> Facts {
        Facts { device: (major, minor), is_terminal, ..facts(FileType::CharacterDevice) }
    }

    #[test]
    fn what_carries_bytes_goes_in() {
        assert_eq!(facts(FileType::RegularFile).judge(), Ok(Use::Kept));
        assert_eq!(facts(FileType::Fifo).judge(), Ok(Use::Kept));
        for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9)] {
            assert_eq!(device(major, minor, false).judge(), Ok(Use::Kept));
        }
        for family in [AddressFamily::UNIX, AddressFamily::INET, AddressFamily::INET6] {
            let socket = Some((family, SocketType::STREAM));
            assert_eq!(Facts { socket, ..facts(FileType::Socket) }.judge(), Ok(Use::Kept));
        }
    }

    #[test]
    fn a_terminal_is_replaced_and_its_master_refused() {
        assert_eq!(device(136, 4, true).judge(), Ok(Use::Replaced));
        assert_eq!(device(4, 64, true).judge(), Ok(Use::Replaced), "a serial console");
        assert_eq!(device(5, 1, true).judge(), Ok(Use::Replaced), "/dev/console");
        assert_eq!(device(5, 0, true).judge(), Ok(Use::Replaced), "/dev/tty");
        assert!(device(5, 2, true).judge().is_err(), "/dev/ptmx");
    }

    #[test]
    fn what_leads_out_is_refused() {
        assert!(facts(FileType::Directory).judge().is_err());
        assert!(facts(FileType::BlockDevice).judge().is_err());
        assert!(facts(FileType::Unknown).judge().is_err());
        assert!(Facts { is_path_only: true, ..facts(FileType::RegularFile) }.judge().is_err());
        assert!(device(1, 1, false).judge().is_err(), "/dev/mem");
        assert!(device(10, 200, false).judge().is_err(), "/dev/net/tun");
        assert!(device(1, 0x10_0003, false).judge().is_err(), "a minor that would spill into the major");
        for socket in [
            (AddressFamily::NETLINK, SocketType::RAW),
            (AddressFamily::INET, SocketType::RAW),
            (AddressFamily::PACKET, SocketType::DGRAM),
        ] {
            assert!(Facts { socket: Some(socket), ..facts(FileType::Socket) }.judge().is_err());
        }
        for superblock_magic in [
            magic::ANON_INODE,
            magic::NSFS,
            magic::PIDFS,
            magic::MQUEUE,
            control::PROC,
            control::SYSFS,
            control::BPF_FS,
            control::CGROUP2,
        ] {
            assert!(Facts { superblock_magic, ..facts(FileType::RegularFile) }.judge().is_err());
        }
    }

    #[test]
    fn real_descriptors_are_read_as_what_they_are() {
        let judged = |file: &dyn AsFd| Facts::read(file.as_fd()).unwrap().judge();
        assert_eq!(judged(&File::open("/dev/null").unwrap()), Ok(Use::Kept));
        assert_eq!(judged(&rustix::pipe::pipe().unwrap().0), Ok(Use::Kept));
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(judged(&one), Ok(Use::Kept));
        assert!(judged(&File::open("/").unwrap()).is_err());
        assert!(judged(&File::open("/proc/self/ns/mnt").unwrap()).is_err());
        assert!(judged(&File::open("/proc/self/status").unwrap()).is_err());
        let flags = rustix::event::EventfdFlags::empty();
        assert!(judged(&rustix::event::eventfd(0, flags).unwrap()).is_err());
        let pid = rustix::process::getpid();
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        assert!(judged(&pidfd).is_err());
        let path = rustix::fs::open("/dev/null", OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        assert!(judged(&path).is_err());
    }
}
