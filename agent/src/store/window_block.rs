//! A block of windows as bytes: all sensors of one minute, or of one quarter of an hour. Pure.
//!
//! ```text
//! layout u8 = 1 | rows
//! per row: series - the one before | revision | bad | count
//!          only with believed readings: min | max - min | last - min | last's time - the window's start
//!                                       sum - count * min | sum of squares around min
//! checksum u32, CRC-32 of all before
//! ```
//!
//! Sums are kept around the minimum, where they are small; the arithmetic wraps, so any row comes back as it was.

use tilth_core::time::Uptime;
use tilth_core::value::Steps;
use tilth_core::windows::{Row, Sums, Window};

use super::varint::{Cursor, put, put_signed, put_wide, seal, unseal};

const LAYOUT: u8 = 1;

/// The window of one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) series: u32,
    pub(super) row: Row,
}

pub(super) fn encode(start: Uptime, entries: &[Entry]) -> Vec<u8> {
    let mut out = vec![LAYOUT];
    put(&mut out, entries.len() as u64);
    let mut before = 0;
    for Entry { series, row } in entries {
        put_signed(&mut out, i64::from(*series) - before);
        before = i64::from(*series);
        put(&mut out, u64::from(row.revision));
        put(&mut out, u64::from(row.window.bad));
        put(&mut out, row.window.good.map_or(0, |sums| u64::from(sums.count)));
        if let Some(sums) = &row.window.good {
            put_sums(&mut out, start, sums);
        }
    }
    seal(&mut out);
    out
}

fn put_sums(out: &mut Vec<u8>, start: Uptime, sums: &Sums) {
    put_signed(out, sums.min.0);
    put_signed(out, sums.max.0.wrapping_sub(sums.min.0));
    put_signed(out, sums.last.0.wrapping_sub(sums.min.0));
    put_signed(out, sums.last_at.0.wrapping_sub(start.0));
    put_signed(out, sums.sum.wrapping_sub(i64::from(sums.count).wrapping_mul(sums.min.0)));
    put_wide(out, sums.sum_sq.wrapping_sub(shift(sums)));
}

/// What the sum of squares around the minimum lacks to the sum of squares: `2 min sum - count min^2`.
fn shift(sums: &Sums) -> u128 {
    let (min, sum) = (i128::from(sums.min.0) as u128, i128::from(sums.sum) as u128);
    min.wrapping_mul(sum).wrapping_mul(2).wrapping_sub(u128::from(sums.count).wrapping_mul(min.wrapping_mul(min)))
}

/// The windows of a block; none of one that is damaged.
pub(super) fn decode(start: Uptime, bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut cursor = unseal(bytes, LAYOUT)?;
    let count = cursor.count(4)?;
    let mut entries = Vec::with_capacity(count);
    let mut series = 0i64;
    for _ in 0..count {
        series = series.wrapping_add(cursor.signed()?);
        let revision = cursor.number()?;
        let bad = cursor.number()?;
        let good = match cursor.number()? {
            0 => None,
            count => Some(read_sums(&mut cursor, start, count)?),
        };
        entries
            .push(Entry { series: u32::try_from(series).ok()?, row: Row { revision, window: Window { bad, good } } });
    }
    cursor.end(entries)
}

fn read_sums(cursor: &mut Cursor, start: Uptime, count: u32) -> Option<Sums> {
    let min = cursor.signed()?;
    let max = min.wrapping_add(cursor.signed()?);
    let last = min.wrapping_add(cursor.signed()?);
    let last_at = start.0.wrapping_add(cursor.signed()?);
    let sum = cursor.signed()?.wrapping_add(i64::from(count).wrapping_mul(min));
    let (min, max, last, last_at) = (Steps(min), Steps(max), Steps(last), Uptime(last_at));
    let around = Sums { count, sum, sum_sq: cursor.wide()?, min, max, last, last_at };
    Some(Sums { sum_sq: around.sum_sq.wrapping_add(shift(&around)), ..around })
}

#[cfg(test)]
mod tests;
