//! The recording, and the windows that it makes: the truth, computed from the rows and from nothing of ours.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tilth_tests::random::Random;

/// The columns that are fed, as the recording names them.
pub(super) const COLUMNS: [&str; 4] = ["Temperature", "Humidity", "Light", "CO2"];

/// All are kept in hundredths.
const STEPS_PER_UNIT: f64 = 100.0;

/// More light than this is no light of this room: such a reading is not believed.
pub(super) const MOST_LIGHT: f64 = 500.0;

/// The lengths of windows, by the hub's word for them.
pub(super) const GRAINS: [(&str, i64); 2] = [("minute", 60_000), ("quarter", 900_000)];

/// 2026-01-01T00:00:00Z, where made rows begin.
const MADE_FROM_MS: i64 = 1_767_225_600_000;

/// One line of the recording.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Milliseconds since 1970, its stamp taken as UTC.
    pub(super) at_ms: i64,
    /// As the recording spells them: by [`COLUMNS`].
    cells: [String; 4],
}

/// Which window: the place of its column, its length, its start.
pub(super) type Place = (usize, &'static str, i64);

/// A window: integers are hundredths of the column's unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Window {
    pub(super) count: u64,
    pub(super) bad: u64,
    /// None without a believed reading.
    pub(super) steps: Option<Steps>,
}

/// Of the believed readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) sum: i64,
    pub(super) sum_sq: u128,
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) last: i64,
    pub(super) last_at: i64,
}

impl Row {
    /// As a board prints it, its own time first.
    pub(super) fn line(&self) -> String {
        format!("{},{}\n", self.at_ms, self.cells.join(","))
    }

    fn value(&self, column: usize) -> f64 {
        self.cells[column].parse().expect("it was read as a number")
    }
}

/// Reads the recording: CSV whose rows begin with a number that the header does not name.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text = Command::new("gzip").arg("-dc").arg(path).output().context("gzip")?;
    let text = String::from_utf8(text.stdout)?;
    let mut lines = text.lines().map(|line| line.split(',').map(|cell| cell.trim_matches('"')).collect::<Vec<_>>());
    let header = lines.next().context("an empty recording")?;
    let place = |name| header.iter().position(|column| *column == name).map(|place| place + 1).context(name);
    let time = place("date")?;
    let columns = COLUMNS.map(place);
    let mut rows: Vec<Row> = Vec::new();
    for cells in lines {
        let at: DateTime = cells[time].parse()?;
        let at_ms = at.to_zoned(TimeZone::UTC)?.timestamp().as_millisecond();
        let mut row = Row { at_ms, cells: Default::default() };
        for (cell, column) in row.cells.iter_mut().zip(&columns) {
            let column = *column.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
            cells[column].parse::<f64>()?;
            cells[column].clone_into(cell);
        }
        if rows.last().is_some_and(|last| last.at_ms >= at_ms) {
            bail!("the recording is not in order at {at}");
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Rows of the recording's kind, for a machine that does not have it: a minute apart, stamped now at :59 and now at :00, so
/// that some minutes hold two rows and some none.
pub(super) fn made(count: usize) -> Vec<Row> {
    let mut random = Random::new(8143);
    let mut levels = [23.0, 27.0, 400.0, 700.0];
    (0..count as i64)
        .map(|row| {
            let jitter = if random.one_in(3) { -1000 } else { 0 };
            for (level, most) in levels.iter_mut().zip([0.05, 0.2, 30.0, 15.0]) {
                *level = (*level + random.around_zero() * most).abs().min(2000.0);
            }
            Row { at_ms: MADE_FROM_MS + row * 60_000 + jitter, cells: levels.map(|level| format!("{level:.4}")) }
        })
        .collect()
}

/// Every window of the rows.
pub(super) fn windows<'a>(rows: impl IntoIterator<Item = &'a Row>) -> BTreeMap<Place, Window> {
    let mut windows = BTreeMap::new();
    for row in rows {
        for column in 0..COLUMNS.len() {
            for (grain, length) in GRAINS {
                let start = row.at_ms.div_euclid(length) * length;
                let window: &mut Window = windows.entry((column, grain, start)).or_default();
                window.add(column, row.value(column), row.at_ms);
            }
        }
    }
    windows
}

impl Window {
    fn add(&mut self, column: usize, value: f64, at_ms: i64) {
        if COLUMNS[column] == "Light" && value > MOST_LIGHT {
            self.bad += 1;
            return;
        }
        self.count += 1;
        // Half a step goes away from zero.
        let step = (value * STEPS_PER_UNIT).round() as i64;
        let square = u128::from(step.unsigned_abs()).pow(2);
        self.steps = Some(match &self.steps {
            None => Steps { sum: step, sum_sq: square, min: step, max: step, last: step, last_at: at_ms },
            Some(steps) => Steps {
                sum: steps.sum + step,
                sum_sq: steps.sum_sq + square,
                min: steps.min.min(step),
                max: steps.max.max(step),
                last: step,
                last_at: at_ms,
            },
        });
    }

    /// Readings of every kind.
    pub(super) fn readings(&self) -> u64 {
        self.count + self.bad
    }
}
