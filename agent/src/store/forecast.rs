//! How long the device can stay offline, and how much it writes. Pure, but for the figures that it is made of.

use std::collections::VecDeque;

use tilth_core::time::{Span, Uptime};

use super::StoreReader;
use super::error::StoreError;
use super::schema::pragma;

const DAY_MS: f64 = 86_400_000.0;

/// Bytes a day that each kind takes, at the rate of its newest rows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Rates {
    pub(crate) raw: f64,
    pub(crate) minutes: f64,
    pub(crate) quarters: f64,
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

/// Less than this says nothing of a day: what happens at a start would count for all of it.
const LEAST_SPAN: Span = Span::from_mins(30);

/// The newest rows of a table.
struct Newest {
    /// There are as many as were asked for.
    is_full: bool,
    bytes: f64,
    from: Uptime,
    to: Uptime,
}

impl Newest {
    /// From the first of them until now: events come in bursts, and then for a long time not.
    fn span(&self, now: Uptime) -> Span {
        // Those of an earlier boot end before it.
        if self.from > self.to { Span::ZERO } else { now.max(self.to) - self.from }
    }

    fn a_day(&self, now: Uptime) -> f64 {
        let least = if self.is_full { Span(1) } else { LEAST_SPAN };
        OVERHEAD * self.bytes * DAY_MS / self.span(now).max(least).0 as f64
    }
}

impl StoreReader {
    /// What each kind takes a day, from its newest rows; nothing before there is enough to judge by.
    pub(crate) fn rates(&self) -> Result<Option<Rates>, StoreError> {
        let raw = self.newest("raw", "id", "at", "block", 256)?;
        let minutes = self.newest("minute", "seq", "start", "block", 120)?;
        let quarters = self.newest("quarter", "seq", "start", "block", 16)?;
        let events = self.newest("event", "seq", "uptime", "body", 512)?;
        let all = [&raw, &minutes, &quarters, &events];
        let Some(now) = all.iter().map(|rows| rows.to).max() else { return Ok(None) };
        let is_enough = |rows: &Newest| rows.is_full || rows.span(now) >= LEAST_SPAN;
        let is_known = is_enough(&raw) || is_enough(&minutes);
        let rate = |rows: &Newest| rows.a_day(now);
        let rates =
            Rates { raw: rate(&raw), minutes: rate(&minutes), quarters: rate(&quarters), events: rate(&events) };
        Ok(is_known.then_some(rates))
    }

    fn newest(&self, table: &str, key: &str, at: &str, content: &str, most: u32) -> Result<Newest, StoreError> {
        // Within one boot, where instants can be compared; its rows are the last ones, so no more are read than are asked for.
        let sql = format!(
            "SELECT count(*), total(length({content})), min({at}), max({at}) FROM (
                SELECT boot, {content}, {at} FROM {table} ORDER BY {key} DESC LIMIT ?)
             WHERE boot = (SELECT boot FROM {table} ORDER BY {key} DESC LIMIT 1)"
        );
        let newest = self.0.prepare_cached(&sql)?.query_row([most], |row| {
            let (from, to): (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
            Ok(Newest {
                is_full: row.get::<_, u32>(0)? >= most,
                bytes: row.get(1)?,
                from: Uptime(from.unwrap_or(i64::MAX)),
                to: Uptime(to.unwrap_or(i64::MIN)),
            })
        });
        Ok(newest?)
    }

    /// Bytes of the pages that hold something.
    pub(crate) fn used_bytes(&self) -> Result<u64, StoreError> {
        let pages = pragma(&self.0, "page_count")? - pragma(&self.0, "freelist_count")?;
        Ok(pages * pragma(&self.0, "page_size")?)
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
mod tests;
