//! History by time: the windows of a sensor, and the event log.
//!
//! What is stored has the uptime of its boot. A period is counted back from the present, so that a device whose clock was never set finds the
//! history of the boot that runs; earlier boots are found by the time of day at their uptime zero, where that was learnt.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tilth_core::id::SensorId;
use tilth_core::time::{Span, Stamp, Uptime, WallTime};
use tilth_core::value::{Resolution, Steps, Value};
use tilth_core::windows::{Grain, Row};
use tilth_protocol::Event;

use super::StoreReader;
use super::boot::{self, boots};
use super::error::StoreError;
use super::names::series_by_number;
use super::row::{self, Series, table};
use super::window_block;

/// A part of the past: from so long ago until so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) now: Stamp,
    pub(crate) from: Span,
    pub(crate) until: Span,
}

/// A window as it is stored, of the highest revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredWindow {
    /// The time of day as it is known by now.
    pub(crate) start: Stamp,
    /// How long before the present the window began; of an earlier boot by the time of day.
    pub(crate) ago: Span,
    pub(crate) series: Series,
    pub(crate) row: Row,
}

/// The part of a period within one boot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BootPart {
    pub(crate) zero: Option<WallTime>,
    pub(crate) uptimes: RangeInclusive<Uptime>,
    /// The present, on this boot's uptime.
    now: Uptime,
}

impl BootPart {
    /// All of a boot.
    pub(super) fn whole(zero: Option<WallTime>) -> BootPart {
        BootPart { zero, uptimes: Uptime(i64::MIN)..=Uptime(i64::MAX), now: Uptime(0) }
    }
}

impl StoreReader {
    /// Sensors that have history, sorted.
    pub(crate) fn sensors_with_history(&self) -> Result<Vec<SensorId>, StoreError> {
        let mut sensors: Vec<_> = series_by_number(&self.0)?.into_values().map(|series| series.sensor).collect();
        sensors.sort_unstable();
        sensors.dedup();
        Ok(sensors)
    }

    /// The windows of a sensor that began within a period, oldest first; `None` where reading them takes longer than until `deadline`. A
    /// damaged block has none. To be read within one transaction.
    pub(crate) fn windows_within(
        &self,
        sensor: &SensorId,
        grain: Grain,
        period: &Period,
        deadline: Instant,
    ) -> Result<Option<Vec<StoredWindow>>, StoreError> {
        let mut series = series_by_number(&self.0)?;
        series.retain(|_, series| series.sensor == *sensor);
        let table = table(grain);
        let mut statement = self.0.prepare_cached(&format!(
            "SELECT start, block FROM {table} WHERE boot = ? AND start BETWEEN ? AND ? ORDER BY start, seq"
        ))?;
        let mut found = Vec::new();
        for (boot, part) in self.parts(period)? {
            // A later row of the same window is the whole, too.
            let mut newest = BTreeMap::<(Uptime, u32), Row>::new();
            let mut rows = statement.query((boot, part.uptimes.start().0, part.uptimes.end().0))?;
            while let Some(row) = rows.next()? {
                if deadline <= Instant::now() {
                    return Ok(None);
                }
                let start = Uptime(row.get("start")?);
                let entries = window_block::decode(start, row.get_ref("block")?.as_blob().unwrap_or_default());
                let wanted = entries.unwrap_or_default().into_iter().filter(|entry| series.contains_key(&entry.series));
                newest.extend(wanted.map(|entry| ((start, entry.series), entry.row)));
            }
            found.extend(newest.into_iter().filter_map(|((uptime, number), row)| {
                let wall = part.zero.map(|zero| WallTime(zero.0.saturating_add(uptime.0)));
                let (start, series) = (Stamp { boot, uptime, wall }, series.get(&number)?.clone());
                Some(StoredWindow { start, ago: part.now - uptime, series, row })
            }));
        }
        // A clock that was corrected may have a boot begin before the one before it ended.
        found.sort_by_key(|window| std::cmp::Reverse(window.ago));
        Ok(Some(found))
    }

    /// The events of a kind within a period, oldest first; `None` where reading them takes longer than until `deadline`. To be read within
    /// one transaction.
    pub(crate) fn events_within(
        &self,
        kind: &str,
        period: &Period,
        deadline: Instant,
    ) -> Result<Option<Vec<Event>>, StoreError> {
        let parts = self.parts(period)?;
        let Some((oldest, part)) = parts.first_key_value() else { return Ok(Some(Vec::new())) };
        let begin = (*oldest, *part.uptimes.start());
        let all = "SELECT seq, boot, uptime, wall, kind, body FROM event ORDER BY seq DESC";
        let mut statement = self.0.prepare_cached(all)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            if deadline <= Instant::now() {
                return Ok(None);
            }
            let (boot, uptime) = (row.get("boot")?, Uptime(row.get("uptime")?));
            // Events are stored in the order in which they happened.
            if (boot, uptime) < begin {
                break;
            }
            let is_within = parts.get(&boot).is_some_and(|part| part.uptimes.contains(&uptime));
            if is_within && row.get_ref("kind")?.as_str() == Ok(kind) {
                let mut event = row::event(row)?;
                let zero = parts.get(&boot).and_then(|part| part.zero);
                event.at.wall = zero.map(|zero| WallTime(zero.0.saturating_add(uptime.0))).or(event.at.wall);
                found.push(event);
            }
        }
        found.reverse();
        Ok(Some(found))
    }

    /// The part of a period within each boot that has one.
    pub(super) fn parts(&self, period: &Period) -> Result<BTreeMap<u32, BootPart>, StoreError> {
        let Period { now, from, until } = *period;
        let current = if now.boot == 0 { boot::newest(&self.0)? } else { now.boot };
        let part = |(number, zero): (u32, Option<WallTime>)| {
            let (zero, now) = if number == current {
                (now.wall.map(|wall| WallTime(wall.0.saturating_sub(now.uptime.0))).or(zero), now.uptime)
            } else {
                (zero, Uptime(now.wall?.0.saturating_sub(zero?.0)))
            };
            // What begins when the period ends is not in it, but for the present.
            let end = if until == Span::ZERO { now } else { now - until - Span(1) };
            let uptimes = now - from..=end;
            (!uptimes.is_empty()).then_some((number, BootPart { zero, uptimes, now }))
        };
        Ok(boots(&self.0)?.into_iter().filter_map(part).collect())
    }
}

/// A number of steps to a tenth of the resolution, where that can be told.
pub(crate) fn tenths(steps: f64, resolution: Resolution) -> Value {
    let step = Value { steps: Steps(1), resolution }.to_f64();
    match Resolution::new(step / 10.0) {
        Ok(resolution) => Value { steps: Steps((steps * 10.0).round() as i64), resolution },
        Err(_) => Value { steps: Steps(steps.round() as i64), resolution },
    }
}

#[cfg(test)]
mod tests;
