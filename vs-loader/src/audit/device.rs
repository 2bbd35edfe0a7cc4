//! A device as the kernel numbers it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A device in the kernel's own encoding (12 bits of major above 20 of minor); in JSON `"major:minor"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Device(pub u64);

impl Device {
    /// The major number.
    pub const fn major(self) -> u64 {
        self.0 >> 20
    }

    /// The minor number.
    pub const fn minor(self) -> u64 {
        self.0 & 0xf_ffff
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major(), self.minor())
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (major, minor) = text
            .split_once(':')
            .and_then(|(major, minor)| Some((major.parse::<u64>().ok()?, minor.parse::<u64>().ok()?)))
            .filter(|(major, minor)| *major <= u64::MAX >> 20 && *minor <= 0xf_ffff)
            .ok_or_else(|| de::Error::custom("a device is \"major:minor\""))?;
        Ok(Self(major << 20 | minor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_bits_of_major_above_twenty_of_minor() {
        for (device, json) in [
            (Device(0x80_0001), "\"8:1\""),
            (Device(0x1b), "\"0:27\""),
            (Device(u64::MAX), "\"17592186044415:1048575\""),
        ] {
            assert_eq!(serde_json::to_string(&device).unwrap(), json);
            assert_eq!(serde_json::from_str::<Device>(json).unwrap(), device);
        }
        for bad in ["\"8\"", "\"8:1048576\"", "\"17592186044416:0\"", "\"-1:0\"", "8"] {
            assert!(serde_json::from_str::<Device>(bad).is_err(), "{bad}");
        }
    }
}
