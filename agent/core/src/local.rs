//! Times of day as people read them: by the clocks of the farm's time zone. Programs get [`WallTime`]'s own form, in UTC.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};

use crate::time::WallTime;

/// The clock by which people read times.
///
/// A farm that names no time zone reads UTC, and each time says so. In a farm's own time zone a time says its zone only where
/// it is ambiguous: in the hour that comes twice when summer time ends.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Local {
    zone: Option<TimeZone>,
}

impl Local {
    /// UTC, marked as such.
    pub const UTC: Local = Local { zone: None };

    /// The clocks of a time zone; UTC where there is none.
    #[must_use]
    pub fn new(zone: Option<TimeZone>) -> Local {
        Local { zone }
    }

    /// The IANA name of the time zone, if there is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.zone.as_ref()?.iana_name()
    }

    /// The instant at which the clocks show this; the earlier one where they show it twice. None beyond what times reach.
    #[must_use]
    pub fn instant(&self, shown: DateTime) -> Option<WallTime> {
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        Some(WallTime(shown.to_zoned(zone).ok()?.timestamp().as_millisecond()))
    }

    /// `2026-03-01 07:30`.
    #[must_use]
    pub fn minute(&self, at: WallTime) -> String {
        self.text(at, |local, _| local.strftime("%Y-%m-%d %H:%M").to_string())
    }

    /// `2026-03-01 07:30:05`, with milliseconds only where there are any.
    #[must_use]
    pub fn second(&self, at: WallTime) -> String {
        self.text(at, |local, ms| {
            let fraction = if ms == 0 { String::new() } else { format!(".{ms:03}").trim_end_matches('0').to_owned() };
            format!("{}{fraction}", local.strftime("%Y-%m-%d %H:%M:%S"))
        })
    }

    /// `07:30` on the same day, else with its date; `now` is where the reader is.
    #[must_use]
    pub fn near(&self, at: WallTime, now: Option<WallTime>) -> String {
        let today = now.and_then(|now| self.zoned(now)).map(|now| now.date());
        self.text(at, |local, _| {
            let form = if Some(local.date()) == today { "%H:%M" } else { "%Y-%m-%d %H:%M" };
            local.strftime(form).to_string()
        })
    }

    fn text(&self, at: WallTime, shown: impl Fn(DateTime, i64) -> String) -> String {
        let Some(zoned) = self.zoned(at) else { return at.to_string() };
        let mut text = shown(zoned.datetime(), at.0.rem_euclid(1000));
        if self.is_ambiguous(&zoned) {
            text.push(' ');
            text.push_str(zoned.time_zone().to_offset_info(zoned.timestamp()).abbreviation());
        }
        text
    }

    fn zoned(&self, at: WallTime) -> Option<Zoned> {
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        Some(Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone))
    }

    /// Whether a time without its zone might be taken for another one.
    fn is_ambiguous(&self, zoned: &Zoned) -> bool {
        let Some(zone) = &self.zone else { return true };
        let comes_twice =
            matches!(zone.to_ambiguous_timestamp(zoned.datetime()).offset(), AmbiguousOffset::Fold { .. });
        comes_twice || *zone == TimeZone::UTC || zone.iana_name() == Some("UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(text: &str) -> WallTime {
        WallTime(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn amsterdam() -> Local {
        Local::new(Some(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()))
    }

    #[test]
    fn people_read_local_time_and_its_zone_only_where_that_is_needed() {
        let amsterdam = amsterdam();
        for (local, at, minute, second) in [
            (&Local::UTC, "2026-03-01T06:30:05Z", "2026-03-01 06:30 UTC", "2026-03-01 06:30:05 UTC"),
            (
                &Local::new(Some(TimeZone::UTC)),
                "2026-03-01T06:30:05Z",
                "2026-03-01 06:30 UTC",
                "2026-03-01 06:30:05 UTC",
            ),
            (&amsterdam, "2026-03-01T06:30:05Z", "2026-03-01 07:30", "2026-03-01 07:30:05"),
            (&amsterdam, "2026-03-01T06:30:05.25Z", "2026-03-01 07:30", "2026-03-01 07:30:05.25"),
            (&amsterdam, "2026-07-01T22:30:00.007Z", "2026-07-02 00:30", "2026-07-02 00:30:00.007"),
            // 03:00 becomes 02:00 at 01:00Z.
            (&amsterdam, "2026-10-25T00:59:00Z", "2026-10-25 02:59 CEST", "2026-10-25 02:59:00 CEST"),
            (&amsterdam, "2026-10-25T01:00:00Z", "2026-10-25 02:00 CET", "2026-10-25 02:00:00 CET"),
            (&amsterdam, "2026-10-25T02:00:00Z", "2026-10-25 03:00", "2026-10-25 03:00:00"),
            // 02:00 becomes 03:00 at 01:00Z.
            (&amsterdam, "2026-03-29T00:59:00Z", "2026-03-29 01:59", "2026-03-29 01:59:00"),
            (&amsterdam, "2026-03-29T01:00:00Z", "2026-03-29 03:00", "2026-03-29 03:00:00"),
        ] {
            assert_eq!(
                (local.minute(wall(at)), local.second(wall(at))),
                (minute.to_owned(), second.to_owned()),
                "{at}"
            );
        }
    }

    #[test]
    fn the_date_is_left_out_of_today_alone() {
        let (local, now) = (amsterdam(), Some(wall("2026-07-01T10:00:00Z")));
        for (at, text) in [
            ("2026-07-01T09:00:00Z", "11:00"),
            ("2026-06-30T22:00:00Z", "00:00"),
            ("2026-06-30T21:59:00Z", "2026-06-30 23:59"),
            ("2026-07-01T22:00:00Z", "2026-07-02 00:00"),
            ("2025-07-01T10:00:00Z", "2025-07-01 12:00"),
        ] {
            assert_eq!(local.near(wall(at), now), text, "{at}");
        }
        assert_eq!(local.near(wall("2026-07-01T09:00:00Z"), None), "2026-07-01 11:00");
        assert_eq!(Local::UTC.near(wall("2026-07-01T09:00:00Z"), now), "09:00 UTC");
        assert_eq!(local.minute(WallTime(i64::MAX)), WallTime(i64::MAX).to_string(), "beyond every calendar");
    }
}
