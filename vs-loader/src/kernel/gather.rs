//! Has the sockets for datagrams of contexts remembered: the program that does it runs while its pin is read.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{Map, MapData, MapError, RingBuf};

use vs_common::hook::Hook;
use vs_common::id::Epoch;
use vs_common::map_name;

use super::pins::Pins;

/// Goes through all sockets of UDP of this network namespace once. Whether there was anything to do it with: no context of that epoch has
/// addresses otherwise.
///
/// # Errors
/// The kernel refused.
pub fn gather(pins: &Pins, epoch: Epoch) -> io::Result<bool> {
    let mut iteration = match File::open(pins.link(epoch, Hook::UdpSockets)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // The program writes nothing: all of it happens in the first read.
    let mut nothing = [0; 16];
    while iteration.read(&mut nothing)? > 0 {}
    Ok(true)
}

/// The ring by which programs tell that a socket for datagrams is about to be bound.
pub struct BoundRing(RingBuf<MapData>);

impl BoundRing {
    /// Opens it by its pin.
    ///
    /// # Errors
    /// It is not there, or the kernel refused.
    pub fn open(pins: &Pins) -> Result<Self, MapError> {
        let data = MapData::from_pin(pins.map(map_name::BOUND))?;
        Ok(Self(RingBuf::try_from(Map::from_map_data(data)?)?))
    }

    /// Empties it, and says whether anything was in it.
    pub fn drain(&mut self) -> bool {
        let mut is_told = false;
        while self.0.next().is_some() {
            is_told = true;
        }
        is_told
    }
}

impl AsFd for BoundRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
