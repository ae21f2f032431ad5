//! The times of rows by the farm's own clock: programs get RFC 3339 in UTC, and before people see them they are replaced.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tilth_core::local::Local;
use tilth_core::time::WallTime;

use crate::api::rows::{AlertRow, Answer, SensorRow, SilenceRow, StatusRow};

/// How exactly a time is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Form {
    /// To the minute, without the date of today.
    Minute,
    /// Date, and time to the second.
    Whole,
    /// Likewise, for each time within a sentence.
    Within,
}

/// How times are shown.
pub(in crate::commands) struct Times {
    local: Local,
    now: Option<WallTime>,
}

/// A row of an answer that may hold times as texts.
pub(in crate::commands) trait Timed {
    /// Calls `show` for each.
    fn each_time(&mut self, show: &mut impl FnMut(&mut String, Form));
}

impl Times {
    /// By the clock of the agent that answered.
    pub(in crate::commands) fn of<T>(asked: &Answer<T>) -> Times {
        let zone = asked.timezone.as_deref().and_then(|name| TimeZone::get(name).ok());
        Times { local: Local::new(zone), now: asked.at.as_deref().and_then(wall) }
    }

    /// What is no time stays as it is.
    pub(in crate::commands) fn show(&self, time: &mut String, form: Form) {
        let shown = |text: &str| {
            let at = wall(text)?;
            Some(match form {
                Form::Minute => self.local.near(at, self.now),
                // Milliseconds say nothing to people.
                Form::Whole | Form::Within => self.local.second(WallTime(at.0 - at.0.rem_euclid(1000))),
            })
        };
        let word = |word: &str| {
            let time = word.trim_end_matches([',', ';', ':', '.', ')']);
            shown(time).map_or_else(|| word.to_owned(), |shown| shown + &word[time.len()..])
        };
        *time = match form {
            Form::Within => time.split(' ').map(word).collect::<Vec<_>>().join(" "),
            Form::Minute | Form::Whole => shown(time).unwrap_or_else(|| std::mem::take(time)),
        };
    }
}

fn wall(text: &str) -> Option<WallTime> {
    Some(WallTime(text.parse::<Timestamp>().ok()?.as_millisecond()))
}

fn minutes<'a>(times: impl IntoIterator<Item = &'a mut Option<String>>, show: &mut impl FnMut(&mut String, Form)) {
    times.into_iter().flatten().for_each(|time| show(time, Form::Minute));
}

impl Timed for AlertRow {
    fn each_time(&mut self, show: &mut impl FnMut(&mut String, Form)) {
        minutes([&mut self.since, &mut self.until, &mut self.silenced_until], show);
    }
}

impl Timed for SilenceRow {
    fn each_time(&mut self, show: &mut impl FnMut(&mut String, Form)) {
        minutes([&mut self.until], show);
    }
}

impl Timed for SensorRow {
    fn each_time(&mut self, show: &mut impl FnMut(&mut String, Form)) {
        minutes([&mut self.at], show);
    }
}

impl Timed for serde_json::Value {
    fn each_time(&mut self, _: &mut impl FnMut(&mut String, Form)) {}
}

impl Timed for StatusRow {
    fn each_time(&mut self, show: &mut impl FnMut(&mut String, Form)) {
        self.clock.now.iter_mut().for_each(|now| show(now, Form::Whole));
        minutes([&mut self.config.since], show);
        minutes(self.config.refused.iter_mut().map(|refused| &mut refused.at), show);
        for bus in &mut self.buses {
            minutes([&mut bus.since], show);
            for refused in &mut bus.stamps_refused {
                minutes([&mut refused.since, &mut refused.last], show);
                refused.stamp.iter_mut().for_each(|stamp| show(stamp, Form::Whole));
            }
        }
        self.silences.iter_mut().for_each(|row| row.each_time(show));
        for lost in &mut self.store.given_up {
            minutes([&mut lost.from, &mut lost.to], show);
        }
        let said = self.store.missing.iter_mut().chain(&mut self.store.dropped);
        said.for_each(|said| show(said, Form::Within));
        minutes(self.schedules.iter_mut().map(|row| &mut row.until), show);
        let failures = self.notify.channels.iter_mut().filter_map(|channel| channel.last_failure.as_mut());
        minutes(failures.flat_map(|failure| [&mut failure.at, &mut failure.since]), show);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_by_the_farms_clock_and_what_is_none_as_it_is() {
        let asked = |timezone: Option<&str>| Answer::<()> {
            at: Some("2026-03-01T12:00:00.5Z".to_owned()),
            timezone: timezone.map(str::to_owned),
            trouble: None,
            rows: Vec::new(),
        };
        let (utc, here) = (Times::of(&asked(None)), Times::of(&asked(Some("Asia/Kolkata"))));
        let history = "history from 2026-03-01T06:30:00Z to 2026-03-01T06:31:00.25Z, at 3.5 %: none";
        for (times, form, text, shown) in [
            (&utc, Form::Minute, "2026-03-01T06:30:00.25Z", "06:30 UTC"),
            (&here, Form::Minute, "2026-03-01T06:30:00.25Z", "12:00"),
            (&here, Form::Minute, "2026-02-28T06:30:00Z", "2026-02-28 12:00"),
            (&here, Form::Whole, "2026-03-01T06:30:00.25Z", "2026-03-01 12:00:00"),
            (&here, Form::Within, history, "history from 2026-03-01 12:00:00 to 2026-03-01 12:01:00, at 3.5 %: none"),
            (&here, Form::Minute, "soon", "soon"),
        ] {
            let mut time = text.to_owned();
            times.show(&mut time, form);
            assert_eq!(time, shown, "{text} {form:?}");
        }
    }
}
