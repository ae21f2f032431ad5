//! Times by the farm's own clock, for people: rows hold RFC 3339 in UTC.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tilth_core::local::Local;
use tilth_core::time::WallTime;

use crate::api::rows::Answer;

/// How times are shown.
pub(in crate::commands) struct Times {
    local: Local,
    now: Option<WallTime>,
}

impl Times {
    /// By the clock of the agent that answered.
    pub(in crate::commands) fn of<T>(answer: &Answer<T>) -> Times {
        let zone = answer.timezone.as_deref().and_then(|name| TimeZone::get(name).ok());
        Times { local: Local::new(zone), now: answer.at.as_deref().and_then(wall) }
    }

    /// To the minute, without the date of today. What is no time stays as it is, here and below.
    pub(super) fn minute(&self, time: Option<&String>) -> Option<String> {
        time.map(|time| wall(time).map_or_else(|| time.clone(), |at| self.local.near(at, self.now)))
    }

    /// Date, and time to the second.
    pub(super) fn second(&self, time: &str) -> String {
        // Milliseconds say nothing to people.
        let shown = |WallTime(ms): WallTime| self.local.second(WallTime(ms - ms.rem_euclid(1000)));
        wall(time).map_or_else(|| time.to_owned(), shown)
    }

    /// Likewise, for each time within a sentence.
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

/// Of an agent whose clock is not known, on a farm without a time zone.
#[cfg(test)]
pub(super) fn utc() -> Times {
    Times { local: Local::new(None), now: None }
}

#[cfg(test)]
mod tests;
