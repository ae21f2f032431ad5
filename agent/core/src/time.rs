//! The three kinds of time: since boot, of day, and lengths of it. All in whole milliseconds.
//!
//! The engine never asks a clock. Holds, waits and back-offs run on [`Uptime`]; [`WallTime`] only stamps, and is absent
//! until the clock is trusted (design section 4).

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Milliseconds since the device booted, on a clock that never jumps. Negative for readings that a board took before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Uptime(pub i64);

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WallTime(pub i64);

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Span(pub i64);

/// When something happened: which boot, how long after it, and the time of day where the clock was trusted.
///
/// Identity and order are (boot, uptime); the wall time may be repaired later without changing either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Counts the device's boots; kept in the store.
    pub boot: u32,
    /// Time since that boot.
    pub uptime: Uptime,
    /// Time of day, if it was known.
    pub wall: Option<WallTime>,
}

/// An instant to wait for, and the boot in which that was decided: only the boots since have a say in what was spent off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Due {
    pub(crate) at: Uptime,
    boot: u32,
}

impl Due {
    pub(crate) fn after(now: Stamp, span: Span) -> Due {
        Due { at: now.uptime + span, boot: now.boot }
    }

    /// Whether it was decided in that boot.
    pub(crate) fn is_of(&self, boot: u32) -> bool {
        self.boot == boot
    }

    /// Moves a wait that was decided on up to a boot.
    pub(crate) fn shift(&mut self, up_to_boot: u32, by: Span) {
        if self.boot <= up_to_boot {
            self.at = self.at + by;
        }
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Span {
        Span(secs * 1000)
    }

    /// A span of whole minutes.
    #[must_use]
    pub const fn from_mins(mins: i64) -> Span {
        Span(mins * 60_000)
    }

    /// For people, as exact as anybody wants it: to the second in the first ten minutes, then to the minute, and from two days
    /// on to the hour: `45 s`, `9 min 30 s`, `17 min`, `1 h 30 min`, `3 d 4 h`.
    #[must_use]
    pub fn in_words(self) -> String {
        let (units, finest) = match self {
            Span(..=999) => return format!("{} ms", self.0),
            Span(..=600_000) => ([(60_000, "min"), (1000, "s")], 1000),
            Span(..172_800_000) => ([(3_600_000, "h"), (60_000, "min")], 60_000),
            _ => ([(86_400_000, "d"), (3_600_000, "h")], 3_600_000),
        };
        let mut rest = self.0 / finest * finest;
        let mut parts = Vec::new();
        for (unit, name) in units {
            if rest >= unit {
                parts.push(format!("{} {name}", rest / unit));
                rest %= unit;
            }
        }
        parts.join(" ")
    }

    /// The span in seconds.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl Add<Span> for Uptime {
    type Output = Uptime;
    fn add(self, span: Span) -> Uptime {
        Uptime(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Uptime {
    type Output = Uptime;
    fn sub(self, span: Span) -> Uptime {
        Uptime(self.0.saturating_sub(span.0))
    }
}

impl Sub for Uptime {
    type Output = Span;
    fn sub(self, earlier: Uptime) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Sub for WallTime {
    type Output = Span;
    fn sub(self, earlier: WallTime) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// RFC 3339 in UTC, with milliseconds only where there are any: `2026-03-01T06:30:00Z`.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{} ms after 1970", self.0),
        }
    }
}

/// The largest units first, as a person writes it: `1h30m`, `45s`, `250ms`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(i64, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        for (unit, name) in UNITS {
            let unit = unit.unsigned_abs();
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_lengths_of_time_in_words() {
        for (secs, text) in [
            (1, "1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (570, "9 min 30 s"),
            (600, "10 min"),
            (1059, "17 min"),
            (3600, "1 h"),
            (5430, "1 h 30 min"),
            (172_799, "47 h 59 min"),
            (172_800, "2 d"),
            (273_700, "3 d 4 h"),
        ] {
            assert_eq!(Span::from_secs(secs).in_words(), text);
        }
        assert_eq!((Span::ZERO.in_words(), Span(250).in_words()), ("0 ms".to_owned(), "250 ms".to_owned()));
    }

    #[test]
    fn times_read_as_people_write_them() {
        assert_eq!(WallTime(1_396_522_800_000).to_string(), "2014-04-03T11:00:00Z");
        assert_eq!(WallTime(1_396_522_800_250).to_string(), "2014-04-03T11:00:00.25Z");
        for (ms, text) in
            [(0, "0s"), (250, "250ms"), (90_000, "1m30s"), (5_400_000, "1h30m"), (172_800_000, "2d"), (-1000, "-1s")]
        {
            assert_eq!(Span(ms).to_string(), text);
        }
    }
}
