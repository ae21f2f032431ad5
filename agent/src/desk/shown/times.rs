//! The times of rows by the farm's own clock: programs get RFC 3339 in UTC, and before people see them they are replaced.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tilth_core::local::Local;
use tilth_core::time::WallTime;

use crate::desk::words::{AlertRow, AskedAt, SensorRow, SilenceRow, StatusRow};

/// How exactly a time is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::desk) enum Form {
    /// To the minute, without the date of today.
    Minute,
    /// Date, and time to the second.
    Whole,
}

/// How times are shown.
pub(in crate::desk) struct Times {
    local: Local,
    now: Option<WallTime>,
}

/// A row of an answer that may hold times as texts.
pub(in crate::desk) trait Timed {
    /// Calls `show` for each.
    fn each_time(&mut self, show: &mut impl FnMut(&mut String, Form));
}

impl Times {
    /// By the clock of the agent that answered.
    pub(in crate::desk) fn of(asked: &AskedAt) -> Times {
        let zone = asked.timezone.as_deref().and_then(|name| TimeZone::get(name).ok());
        Times { local: Local::new(zone), now: asked.at.as_deref().and_then(wall) }
    }

    /// What is no time stays as it is.
    pub(in crate::desk) fn show(&self, time: &mut String, form: Form) {
        let Some(at) = wall(time) else { return };
        *time = match form {
            Form::Minute => self.local.near(at, self.now),
            // Milliseconds say nothing to people.
            Form::Whole => self.local.second(WallTime(at.0 - at.0.rem_euclid(1000))),
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
        minutes(self.schedules.iter_mut().map(|row| &mut row.until), show);
        let failures = self.notify.channels.iter_mut().filter_map(|channel| channel.last_failure.as_mut());
        minutes(failures.flat_map(|failure| [&mut failure.at, &mut failure.since]), show);
    }
}
