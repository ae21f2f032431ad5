//! Fixed hours of the day in a time zone, as spans of real time.
//!
//! A schedule's hours are turned into instants day by day, so that a day on which local time repeats or skips has one
//! opening and one closing like any other. `docs/rules.md` states what follows for 02:00.

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

use crate::id::Id;
use crate::time::WallTime;

/// A change is looked for this many days ahead: a week, so that every weekday is met, and one more.
const HORIZON_DAYS: i32 = 8;

/// When a rule with `during` watches: on its days from one local time to another.
///
/// A closing time at or before the opening time is on the next day; equal times are a whole day.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The schedule's name.
    pub id: Id,
    /// The days on which it opens, Monday first.
    pub days: [bool; 7],
    /// Local time of opening.
    pub from: Time,
    /// Local time of closing.
    pub to: Time,
    /// The time zone of both times.
    pub zone: TimeZone,
    /// Whether it counts as open while the clock is not trusted.
    pub open_when_untrusted: bool,
}

/// Whether a schedule is open, and until when that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Open now.
    pub open: bool,
    /// When to look again: the next opening or closing, or the end of the days looked at.
    pub until: WallTime,
}

/// Which of two instants a repeated local time means.
#[derive(Clone, Copy)]
enum Pass {
    First,
    Second,
}

impl Schedule {
    /// Whether the schedule is open at a time, and until when.
    ///
    /// Times outside years 1 to 9999 count as closed.
    #[must_use]
    pub fn at(&self, now: WallTime) -> Opening {
        let Ok(timestamp) = Timestamp::from_millisecond(now.0) else {
            return Opening { open: false, until: WallTime(i64::MAX) };
        };
        let today = self.zone.to_datetime(timestamp).date();
        // A span that opened the day before yesterday may still be open: hours over midnight, on a day that repeats an hour.
        let spans = (-2..=HORIZON_DAYS).filter_map(|days| self.span(today.checked_add(days.days()).ok()?));
        let mut open_until = None;
        for (from, to) in spans {
            match open_until {
                None if from <= now && now < to => open_until = Some(to),
                None if from > now => return Opening { open: false, until: from },
                Some(until) if from <= until => open_until = Some(until.max(to)),
                Some(until) => return Opening { open: true, until },
                None => {}
            }
        }
        match open_until {
            Some(until) => Opening { open: true, until },
            None => Opening { open: false, until: WallTime(now.0 + i64::from(HORIZON_DAYS - 1) * 86_400_000) },
        }
    }

    /// The span that opens on a date; `None` on a day it does not open, or when a skipped hour leaves nothing of it.
    fn span(&self, date: Date) -> Option<(WallTime, WallTime)> {
        let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).ok()?;
        if !self.days[weekday] {
            return None;
        }
        let last = if self.to <= self.from { date.tomorrow().ok()? } else { date };
        // The whole of an hour that repeats is inside: opened at its first pass, closed at its second. Whole days meet at
        // the first pass, so that a day neither overlaps the next nor leaves it out.
        let closing = if self.to == self.from { Pass::First } else { Pass::Second };
        let from = self.instant(date, self.from, Pass::First)?;
        let to = self.instant(last, self.to, closing)?;
        (from < to).then_some((from, to))
    }

    /// The instant of a local time; for one that is skipped, the instant of the skip.
    fn instant(&self, date: Date, time: Time, pass: Pass) -> Option<WallTime> {
        let local = date.to_datetime(time);
        let timestamp = match (self.zone.to_ambiguous_timestamp(local).offset(), pass) {
            (AmbiguousOffset::Unambiguous { offset }, _)
            | (AmbiguousOffset::Fold { before: offset, .. }, Pass::First)
            | (AmbiguousOffset::Fold { after: offset, .. }, Pass::Second) => offset.to_timestamp(local).ok()?,
            (AmbiguousOffset::Gap { before, .. }, _) => {
                let after_skip = before.to_timestamp(local).ok()?;
                let just_after = after_skip.checked_add(1.second()).ok()?;
                self.zone.preceding(just_after).next()?.timestamp()
            }
        };
        Some(WallTime(timestamp.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central European time by its own rule, so that the test needs no database.
    fn amsterdam() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn schedule(from: &str, to: &str) -> Schedule {
        Schedule {
            id: Id::new("day").unwrap(),
            days: [true; 7],
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            zone: amsterdam(),
            open_when_untrusted: true,
        }
    }

    fn wall(text: &str) -> WallTime {
        WallTime(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    /// Every change of a schedule between two times, as it would be found by looking again each time.
    fn changes(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
        let (mut now, end) = (wall(from), wall(to));
        let mut state = schedule.at(now);
        let mut found = Vec::new();
        while state.until < end {
            now = state.until;
            let next = schedule.at(now);
            if next.open != state.open {
                found.push(format!("{} {now}", if next.open { "open" } else { "closed" }));
            }
            state = next;
        }
        found
    }

    fn check(schedule: &Schedule, from: &str, to: &str, expected: &[&str]) {
        assert_eq!(changes(schedule, from, to), expected, "{} to {}", schedule.from, schedule.to);
    }

    #[test]
    fn ordinary_days_follow_local_time() {
        check(
            &schedule("06:00", "20:00"),
            "2026-01-10T00:00:00Z",
            "2026-01-11T00:00:00Z",
            &["open 2026-01-10T05:00:00Z", "closed 2026-01-10T19:00:00Z"],
        );
        check(
            &schedule("22:00", "05:30"),
            "2026-07-10T12:00:00Z",
            "2026-07-11T12:00:00Z",
            &["open 2026-07-10T20:00:00Z", "closed 2026-07-11T03:30:00Z"],
        );
    }

    #[test]
    fn a_skipped_two_o_clock_is_the_instant_of_the_skip() {
        // 2026-03-29: 02:00 becomes 03:00 at 01:00Z.
        let day = ("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
        check(&schedule("02:30", "06:00"), day.0, day.1, &["open 2026-03-29T01:00:00Z", "closed 2026-03-29T04:00:00Z"]);
        check(&schedule("02:00", "06:00"), day.0, day.1, &["open 2026-03-29T01:00:00Z", "closed 2026-03-29T04:00:00Z"]);
        check(&schedule("22:00", "02:30"), day.0, day.1, &["open 2026-03-28T21:00:00Z", "closed 2026-03-29T01:00:00Z"]);
        check(&schedule("02:00", "03:00"), day.0, day.1, &[]);
    }

    #[test]
    fn a_repeated_two_o_clock_opens_at_the_first_and_closes_at_the_second() {
        // 2026-10-25: 03:00 becomes 02:00 at 01:00Z, so 02:30 is at 00:30Z and at 01:30Z.
        let day = ("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z");
        check(&schedule("02:30", "06:00"), day.0, day.1, &["open 2026-10-25T00:30:00Z", "closed 2026-10-25T05:00:00Z"]);
        check(&schedule("22:00", "02:30"), day.0, day.1, &["open 2026-10-24T20:00:00Z", "closed 2026-10-25T01:30:00Z"]);
        check(&schedule("02:00", "03:00"), day.0, day.1, &["open 2026-10-25T00:00:00Z", "closed 2026-10-25T02:00:00Z"]);
    }

    #[test]
    fn equal_times_are_always_open_and_weekdays_are_the_day_of_opening() {
        let always = schedule("00:00", "00:00");
        check(&always, "2026-03-20T00:00:00Z", "2026-04-05T00:00:00Z", &[]);
        assert!(always.at(wall("2026-03-29T01:00:00Z")).open);
        check(&schedule("02:30", "02:30"), "2026-10-20T00:00:00Z", "2026-10-30T00:00:00Z", &[]);

        let mut saturday_night = schedule("22:00", "04:00");
        saturday_night.days = [false, false, false, false, false, true, false];
        check(
            &saturday_night,
            "2026-01-05T00:00:00Z",
            "2026-01-18T12:00:00Z",
            &[
                "open 2026-01-10T21:00:00Z",
                "closed 2026-01-11T03:00:00Z",
                "open 2026-01-17T21:00:00Z",
                "closed 2026-01-18T03:00:00Z",
            ],
        );
        let mut never = schedule("06:00", "07:00");
        never.days = [false; 7];
        check(&never, "2026-01-05T00:00:00Z", "2026-03-18T12:00:00Z", &[]);
    }
}
