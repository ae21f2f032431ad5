//! Times in the farm's time zone, for people; rows hold RFC 3339 in UTC.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tilth_core::local::Local;
use tilth_core::time::WallTime;

use crate::api::rows::Answer;

/// Time zone and present of the agent, by which times are shown.
pub(in crate::commands) struct Times {
    local: Local,
    now: Option<WallTime>,
}

impl Times {
    /// Time zone of the agent that answered.
    pub(in crate::commands) fn of<T>(answer: &Answer<T>) -> Times {
        let zone = answer.timezone.as_deref().and_then(|name| TimeZone::get(name).ok());
        Times { local: Local::new(zone), now: answer.at.as_deref().and_then(wall) }
    }

    /// To the minute, without the date of today. Text that is not a time stays as it is, here and below.
    pub(super) fn minute(&self, time: Option<&String>) -> Option<String> {
        time.map(|time| wall(time).map_or_else(|| time.clone(), |at| self.local.near(at, self.now)))
    }

    /// Begin of a state that lasts: its time, else how long ago in seconds.
    pub(super) fn since(&self, time: Option<&String>, for_s: Option<f64>) -> String {
        let lasted = || for_s.map_or(String::new(), |seconds| format!(" for {}", super::for_long(seconds)));
        self.minute(time).map_or_else(lasted, |since| format!(" since {since}"))
    }

    /// Date, and time to the second.
    pub(super) fn second(&self, time: &str) -> String {
        let shown = |WallTime(ms): WallTime| self.local.second(WallTime(ms - ms.rem_euclid(1000)));
        wall(time).map_or_else(|| time.to_owned(), shown)
    }

    /// A time so many seconds before the present: of the day, else `-90m`.
    pub(super) fn ago(&self, seconds: f64) -> String {
        let ago = super::span(seconds);
        match self.now {
            Some(WallTime(now)) => self.local.minute(WallTime(now - ago.0)),
            None => format!("-{}", super::for_long(seconds)),
        }
    }

    /// A sentence with each of its times shown to the second.
    pub(super) fn within(&self, sentence: &str) -> String {
        let word = |word: &str| {
            let time = word.trim_end_matches([',', ';', ':', '.', ')']);
            self.second(time) + &word[time.len()..]
        };
        sentence.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }
}

fn wall(text: &str) -> Option<WallTime> {
    Some(WallTime(text.parse::<Timestamp>().ok()?.as_millisecond()))
}

/// Times of an agent without a trusted clock, on a farm without a time zone.
#[cfg(test)]
pub(super) fn utc() -> Times {
    Times { local: Local::new(None), now: None }
}

#[cfg(test)]
mod tests;
