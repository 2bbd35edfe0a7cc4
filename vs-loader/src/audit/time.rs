//! Moments: the kernel stamps violations with the boot clock, the audit speaks of the wall clock in UTC.

use std::fmt;

use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment of the wall clock, to the nanosecond. In JSON: RFC 3339, UTC, always nine digits after the point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Time(Timestamp);

impl Time {
    /// The moment so many nanoseconds after 1970-01-01 00:00 UTC; one beyond year 9999 is taken for the last there is.
    pub fn from_nanoseconds(nanoseconds: i128) -> Self {
        let limit = if nanoseconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Self(Timestamp::from_nanosecond(nanoseconds).unwrap_or(limit))
    }

    /// Nanoseconds since 1970-01-01 00:00 UTC.
    pub fn nanoseconds(self) -> i128 {
        self.0.as_nanosecond()
    }

    /// As a clock on the wall of this zone shows it.
    pub fn in_zone(self, zone: &TimeZone) -> Zoned {
        self.0.to_zoned(zone.clone())
    }
}

impl From<std::time::SystemTime> for Time {
    fn from(time: std::time::SystemTime) -> Self {
        Self(Timestamp::try_from(time).unwrap_or(Timestamp::MAX))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.9}", self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

/// One instant on both clocks: what turns a boot-clock stamp into a [`Time`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    pub boot: u64,
    /// The wall clock.
    pub wall: Time,
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Self {
        let nanoseconds = |clock| {
            let time = clock_gettime(clock);
            i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
        };
        Self {
            boot: u64::try_from(nanoseconds(ClockId::Boottime)).unwrap_or(0),
            wall: Time::from_nanoseconds(nanoseconds(ClockId::Realtime)),
        }
    }

    /// The wall clock's time at a moment of the boot clock. A step of the wall clock in between moves the answer with it.
    pub fn at(self, boot: u64) -> Time {
        Time::from_nanoseconds(self.wall.nanoseconds() + i128::from(boot) - i128::from(self.boot))
    }
}

/// A `--since` that is none of the forms understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read {text:?} as a time: give a duration (10m, 2h, 1d), a time of today (22:00), a date (2026-11-21), \
     both (\"2026-11-21 22:00\") or RFC 3339 (2026-11-21T22:00:00Z)"
)]
pub struct SinceError {
    text: String,
}

/// Reads a point in the past as people give it: see [`SinceError`] for the forms. Times without a zone are `zone`'s.
///
/// # Errors
/// It is none of these forms, or no time of this zone (skipped by a change of the clocks is none of them: it is moved on).
pub fn parse_since(text: &str, now: Time, zone: &TimeZone) -> Result<Time, SinceError> {
    let error = || SinceError { text: text.to_owned() };
    let local = |time: civil::DateTime| time.to_zoned(zone.clone()).ok().map(|zoned| Time(zoned.timestamp()));
    let today = now.in_zone(zone);
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Time(time));
    }
    if let Ok(time) = text.parse::<civil::DateTime>() {
        return local(time).ok_or_else(error);
    }
    // A lone number is too short to tell an hour from a count of something.
    if text.contains(':')
        && let Ok(time) = text.parse::<civil::Time>()
    {
        return local(today.date().to_datetime(time)).ok_or_else(error);
    }
    let span: Span = text.parse().map_err(|_| error())?;
    today.checked_sub(span.abs()).map(|zoned| Time(zoned.timestamp())).map_err(|_| error())
}

/// The kernel's name for this boot: times of the boot clock and counters of maps compare only within one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BootId(String);

impl BootId {
    /// Reads `/proc/sys/kernel/random/boot_id`.
    ///
    /// # Errors
    /// There is no /proc.
    pub fn read() -> std::io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(Self(text.trim_end().to_owned()))
    }

    /// One for tests of other modules.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Time = Time(Timestamp::constant(1_795_262_400, 0));

    #[test]
    fn nanoseconds_are_always_nine_digits() {
        assert_eq!(NOON.to_string(), "2026-11-21T12:00:00.000000000Z");
        assert_eq!(
            Time::from_nanoseconds(NOON.nanoseconds() + 1_230).to_string(),
            "2026-11-21T12:00:00.000001230Z"
        );
    }

    #[test]
    fn json_and_back() {
        let line = serde_json::to_string(&NOON).unwrap();
        assert_eq!(line, "\"2026-11-21T12:00:00.000000000Z\"");
        assert_eq!(serde_json::from_str::<Time>(&line).unwrap(), NOON);
        assert!(serde_json::from_str::<Time>("\"yesterday\"").is_err());
    }

    #[test]
    fn times_beyond_the_calendar_do_not_panic() {
        Time::from_nanoseconds(i128::MAX).to_string();
        Time::from_nanoseconds(i128::MIN).to_string();
        let now = Now { boot: 0, wall: NOON };
        now.at(u64::MAX).to_string();
    }

    #[test]
    fn boot_stamps_follow_the_offset_of_now() {
        let now = Now { boot: 5_000_000_000, wall: NOON };
        assert_eq!(now.at(5_000_000_000), NOON);
        assert_eq!(now.at(4_000_000_000).to_string(), "2026-11-21T11:59:59.000000000Z");
        // Stamped after `now` was read: in its future, not wrapped around.
        assert_eq!(now.at(5_000_000_001).to_string(), "2026-11-21T12:00:00.000000001Z");
    }

    #[test]
    fn both_clocks_are_read() {
        let now = Now::read();
        assert!(now.boot > 0);
        assert!(now.wall > Time::from_nanoseconds(1_600_000_000_000_000_000));
    }

    #[test]
    fn since_in_every_form() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let since = |text| parse_since(text, NOON, &zone).map(|time| time.to_string());
        assert_eq!(since("10m").unwrap(), "2026-11-21T11:50:00.000000000Z");
        assert_eq!(since("2h 30m ago").unwrap(), "2026-11-21T09:30:00.000000000Z");
        assert_eq!(since("1d").unwrap(), "2026-11-20T12:00:00.000000000Z");
        assert_eq!(since("13:00").unwrap(), "2026-11-21T11:00:00.000000000Z");
        assert_eq!(since("2026-11-20").unwrap(), "2026-11-19T22:00:00.000000000Z");
        assert_eq!(since("2026-11-20 22:00").unwrap(), "2026-11-20T20:00:00.000000000Z");
        assert_eq!(since("2026-11-20T22:00:00Z").unwrap(), "2026-11-20T22:00:00.000000000Z");
        for bad in ["", "soon", "25:00", "10", "2026-13-01", "99999999999999y"] {
            assert!(since(bad).is_err(), "{bad:?} was read");
        }
    }
}
