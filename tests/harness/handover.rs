//! A descriptor of the host's that somebody there hands to a context: the way around a mount namespace.
//!
//! It goes over an abstract socket, which contexts share with the host.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use crate::deed;

/// Where the two meet.
const NAME: &str = "vs-suite-handover";
/// How long the receiver may take to come.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

fn address() -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(NAME)
}

/// Whoever hands descriptors over.
#[derive(Debug)]
pub struct Giver(UnixListener);

impl Giver {
    /// Takes the place where it is met.
    ///
    /// # Errors
    /// The place is taken.
    pub fn new() -> io::Result<Self> {
        UnixListener::bind_addr(&address()?).map(Self)
    }

    /// Gives a descriptor to the next who comes.
    ///
    /// # Errors
    /// Nobody comes, or the kernel refuses.
    pub fn give(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        if poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&PATIENCE))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let (stream, _) = self.0.accept()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor];
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(&stream, &[IoSlice::new(b"!")], &mut ancillary, SendFlags::empty())?;
        Ok(())
    }
}

fn receive() -> io::Result<OwnedFd> {
    let stream = UnixStream::connect_addr(&address()?)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0_u8; 1];
    recvmsg(stream.as_fd(), &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message
            && let Some(descriptor) = descriptors.next()
        {
            return Ok(descriptor);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Hands a directory of its own to itself and opens a path below it; 0 or the errno, and 253 if nothing was received.
pub(crate) fn use_own(directory: &str, path: &str) -> i32 {
    let handed = File::open(directory).and_then(|directory| {
        let giver = Giver::new()?;
        std::thread::scope(|scope| {
            let handing = scope.spawn(|| giver.give(directory.as_fd()));
            let found = use_received("read", path);
            handing.join().map_err(|_| io::ErrorKind::Other)??;
            Ok(found)
        })
    });
    handed.unwrap_or_else(|error: io::Error| error.raw_os_error().unwrap_or(255))
}

/// Receives a directory and does something to a path below it; 0 or the errno, and 253 if nothing was received.
pub(crate) fn use_received(how: &str, path: &str) -> i32 {
    let Ok(directory) = receive() else { return 253 };
    deed::below(directory.as_raw_fd(), how, path)
}
