//! Has the sockets for datagrams of contexts remembered: the program that does it runs while its pin is read.

use std::fs::File;
use std::io::{self, Read as _};

use vs_common::hook::Hook;
use vs_common::id::Epoch;

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
