//! Chart of values over time, in characters. Pure.
//!
//! Each column of the chart is an equal part of the time, and its bar reaches from the lowest to the highest value of that part. A column
//! without values stays empty: gaps are not bridged.

use super::Times;

/// Values between two times, in seconds before the present.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bar {
    pub(super) from_s: f64,
    pub(super) until_s: f64,
    pub(super) lowest: f64,
    pub(super) highest: f64,
}

/// Columns of bars; with the scale a line of 80 characters is full.
const COLUMNS: usize = 66;
/// Rows of characters, each of two halves.
const ROWS: usize = 12;

/// Lines of the chart, from `from` to `until` in seconds before the present; none of no time at all.
pub(super) fn draw(bars: &[Bar], (from, until): (f64, f64), times: &Times) -> Vec<String> {
    let Some(scale) = Scale::of(bars).filter(|_| from > until) else { return Vec::new() };
    let columns = columns(bars, from, (from - until) / COLUMNS as f64);
    let mut lines: Vec<String> =
        (0..ROWS).rev().map(|row| format!("{:>9} {}", scale.label(row), cells(&columns, row, &scale))).collect();
    let (start, end) = (times.ago(from), times.ago(until));
    let width = (COLUMNS + 1).saturating_sub(start.chars().count());
    lines.push(format!("{:9} {start}{end:>width$}", ""));
    lines
}

/// Lowest and highest value of each column.
fn columns(bars: &[Bar], from: f64, width: f64) -> Vec<Option<(f64, f64)>> {
    let mut columns = vec![None::<(f64, f64)>; COLUMNS];
    for bar in bars {
        // A window that ends where a column begins is not in it.
        let first = ((from - bar.from_s) / width + 1e-6) as usize;
        let last = ((from - bar.until_s) / width - 1e-6) as usize;
        for column in columns.iter_mut().take(last.saturating_add(1)).skip(first) {
            let (lowest, highest) = column.unwrap_or((bar.lowest, bar.highest));
            *column = Some((lowest.min(bar.lowest), highest.max(bar.highest)));
        }
    }
    columns
}

fn cells(columns: &[Option<(f64, f64)>], row: usize, scale: &Scale) -> String {
    let cell = |column: &Option<(f64, f64)>| {
        let Some((lowest, highest)) = column else { return ' ' };
        let halves = scale.half(*lowest)..=scale.half(*highest);
        match (halves.contains(&(2 * row)), halves.contains(&(2 * row + 1))) {
            (true, true) => '█',
            (true, false) => '▄',
            (false, true) => '▀',
            (false, false) => ' ',
        }
    };
    columns.iter().map(cell).collect::<String>().trim_end().to_owned()
}

/// The values at the bottom and at the top.
struct Scale {
    bottom: f64,
    top: f64,
    decimals: usize,
}

impl Scale {
    /// Holds all bars. Values that hardly differ are shown in the middle, not as a mountain.
    fn of(bars: &[Bar]) -> Option<Scale> {
        let lowest = bars.iter().map(|bar| bar.lowest).reduce(f64::min)?;
        let highest = bars.iter().map(|bar| bar.highest).reduce(f64::max)?;
        let least = (lowest.abs().max(highest.abs()) * 0.005).max(1e-6);
        let room = ((least - (highest - lowest)) / 2.0).max(0.0);
        let (bottom, top) = (lowest - room, highest + room);
        // As many decimals as tell two rows apart.
        let decimals = (1.0 - ((top - bottom) / ROWS as f64).log10()).floor().clamp(0.0, 6.0) as usize;
        Some(Scale { bottom, top, decimals })
    }

    /// Which half of a row, from below, holds a value.
    fn half(&self, value: f64) -> usize {
        let halves = (2 * ROWS - 1) as f64;
        ((value - self.bottom) / (self.top - self.bottom) * halves).round() as usize
    }

    /// The value at the bottom, middle and top row; none at the others.
    fn label(&self, row: usize) -> String {
        if row != 0 && row != ROWS / 2 && row != ROWS - 1 {
            return String::new();
        }
        let value = self.bottom + (self.top - self.bottom) * row as f64 / (ROWS - 1) as f64;
        format!("{value:.*}", self.decimals)
    }
}

#[cfg(test)]
mod tests;
