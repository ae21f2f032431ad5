//! How long the device can stay offline, and how much it writes. Pure, but for the figures that it is made of.

use std::collections::VecDeque;

use tilth_core::time::{Span, Uptime};

use super::Reader;
use super::error::StoreError;

const DAY_MS: f64 = 86_400_000.0;

/// Bytes a day that each kind takes, at the rate of its newest rows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Rates {
    /// Raw readings.
    pub(crate) raw: f64,
    /// Minutes.
    pub(crate) minutes: f64,
    /// Quarters of an hour.
    pub(crate) quarters: f64,
    /// Events.
    pub(crate) events: f64,
}

/// Days without the hub until something is given up; `None` for never, at today's rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Forecast {
    /// The oldest raw readings go.
    pub(crate) raw_goes: Option<f64>,
    /// The oldest minutes are replaced by quarters.
    pub(crate) minutes_go: Option<f64>,
    /// The first loss that the hub would notice.
    pub(crate) loss: Option<f64>,
}

/// The days until a store of `most_bytes` is full, and what goes then, if `used_bytes` of it are used. What is used is
/// taken as raw first, being most of it and the first to go.
pub(crate) fn forecast(most_bytes: u64, used_bytes: u64, rates: &Rates) -> Forecast {
    let (most, left) = (most_bytes as f64, most_bytes.saturating_sub(used_bytes) as f64);
    let windows = rates.minutes + rates.quarters + rates.events;
    let days = |bytes: f64, rate: f64| (rate > 0.0).then(|| bytes / rate);
    let raw_goes = days(left, rates.raw + windows);
    // From then on windows grow into the room of raw, and after that quarters into the room of minutes.
    let minutes_go = days(most, windows).map(|days| days.max(raw_goes.unwrap_or(0.0)));
    let loss = days(most, rates.quarters + rates.events).map(|days| days.max(minutes_go.unwrap_or(0.0)));
    Forecast { raw_goes, minutes_go, loss }
}

/// SQLite's pages are fuller or emptier; this is what blocks were found to take beyond their length.
const OVERHEAD: f64 = 1.15;

impl Reader {
    /// What each kind takes a day, from its newest rows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn rates(&self) -> Result<Rates, StoreError> {
        let rate = |table: &str, key: &str, at: &str, content: &str, rows: u32| -> Result<f64, StoreError> {
            // Within one boot, where instants can be compared.
            let sql = format!(
                "SELECT count(*), sum(length({content})), max({at}) - min({at}) FROM (
                    SELECT {content}, {at} FROM {table}
                    WHERE boot = (SELECT boot FROM {table} ORDER BY {key} DESC LIMIT 1) ORDER BY {key} DESC LIMIT ?)"
            );
            let (count, bytes, ms): (i64, Option<f64>, Option<f64>) =
                self.0.prepare_cached(&sql)?.query_row([rows], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<i64>>(2)?.map(|ms| ms as f64)))
                })?;
            let ms = ms.unwrap_or(0.0).max(1.0);
            Ok(if count < 2 { 0.0 } else { OVERHEAD * bytes.unwrap_or(0.0) * DAY_MS / ms })
        };
        Ok(Rates {
            raw: rate("raw", "id", "at", "block", 256)?,
            minutes: rate("minute", "seq", "start", "block", 120)?,
            quarters: rate("quarter", "seq", "start", "block", 16)?,
            events: rate("event", "seq", "uptime", "body", 64)?,
        })
    }

    /// Bytes of the pages that hold something.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn used_bytes(&self) -> Result<u64, StoreError> {
        let pragma = |name: &str| self.0.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        let pages = pragma("page_count")? - pragma("freelist_count")?;
        Ok((pages * pragma("page_size")?).unsigned_abs())
    }
}

/// Counts what is written over the last day.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// An instant and the counter then, at most one a [`Meter::EVERY`].
    samples: VecDeque<(Uptime, u64)>,
    newest: Option<(Uptime, u64)>,
}

impl Meter {
    const EVERY: Span = Span::from_mins(30);
    const KEEP: Span = Span::from_mins(24 * 60);

    /// The process has written so many bytes since it began, as `/proc/self/io` says.
    pub(crate) fn note(&mut self, now: Uptime, written: u64) {
        self.newest = Some((now, written));
        if self.samples.back().is_none_or(|(at, _)| now - *at >= Self::EVERY) {
            self.samples.push_back((now, written));
        }
        while self.samples.front().is_some_and(|(at, _)| now - *at > Self::KEEP) {
            self.samples.pop_front();
        }
    }

    /// Bytes a day, from what was written within the last day; nothing before there is half an hour to judge by.
    pub(crate) fn a_day(&self) -> Option<f64> {
        let ((from, first), (to, last)) = (*self.samples.front()?, self.newest?);
        let ms = (to - from).0;
        (ms >= Self::EVERY.0).then(|| last.saturating_sub(first) as f64 * DAY_MS / ms as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_until_something_goes() {
        let rates = Rates { raw: 60.0, minutes: 30.0, quarters: 5.0, events: 5.0 };
        assert_eq!(
            forecast(1000, 500, &rates),
            Forecast { raw_goes: Some(5.0), minutes_go: Some(25.0), loss: Some(100.0) }
        );
        assert_eq!(forecast(1000, 2000, &rates).raw_goes, Some(0.0));
        let nothing = Forecast { raw_goes: None, minutes_go: None, loss: None };
        assert_eq!(forecast(1000, 500, &Rates::default()), nothing);
    }

    #[test]
    fn bytes_a_day_are_of_the_last_day() {
        let (hour, mut meter) = (Span::from_mins(60), Meter::default());
        meter.note(Uptime(0), 1_000_000);
        assert_eq!(meter.a_day(), None);
        let mut now = Uptime(0);
        for n in 1..=48 {
            now = now + hour;
            // A busy first day, a quiet second.
            meter.note(now, 1_000_000 + if n <= 24 { 500 * n } else { 500 * 24 + 10 * (n - 24) });
        }
        assert_eq!(meter.a_day(), Some(240.0));
    }
}
