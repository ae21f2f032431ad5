//! A block of raw readings as bytes: all sensors of one block interval. Pure.
//!
//! ```text
//! layout u8 = 1 | plan | number of series
//! directory, per series:  series - the one before | calibration | readings | bytes of its column
//!                         first time - that of the one before | first distance - that of the one before
//! columns, per series:    runs of quality: code u8 + 128 for all that are left, else code u8 and a length
//!                         changes of the distance between times, packed
//!                         first steps | differences, packed
//!                         only while calibrated: form u8, then the numbers before calibration like steps
//! checksum u32, CRC-32 of all before
//! ```
//!
//! Numbers are [`varint`](super::varint)s, packed ones are bits. The number before calibration is nearly always a short
//! decimal that some device printed: it is kept as a whole number of 10^-form where all of a column are one to the bit,
//! else as the eight bytes it is.

use tilth_core::reading::Quality;
use tilth_core::time::Uptime;
use tilth_core::value::Steps;

use super::varint::{Cursor, put, put_packed, put_signed, seal, unseal};

const LAYOUT: u8 = 1;

/// The calibration that changes nothing: its raw numbers are not kept.
pub(super) const IDENTITY: u32 = 0;

/// The form of a column of raw numbers that are kept as their eight bytes.
const AS_BITS: u8 = 255;

/// A run of quality that goes on to the end.
const THE_REST: u8 = 128;

/// More readings of one series than any block has: the buffer commits long before. Limits what a damaged one may ask for.
const MOST_POINTS: usize = 1 << 20;

/// Up to 10^-9, like a resolution.
const MOST_DECIMALS: u8 = 9;

/// Readings of all sensors under one plan.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct RawBlock {
    pub(super) plan: u32,
    /// Sorted by series.
    pub(super) columns: Vec<Column>,
}

/// Readings of one series, in order of arrival.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) series: u32,
    pub(super) calibration: u32,
    pub(super) points: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) at: Uptime,
    pub(super) steps: Steps,
    pub(super) quality: Quality,
    /// Before calibration; absent where the calibration changes nothing.
    pub(super) raw: Option<f64>,
}

pub(super) fn encode(block: &RawBlock) -> Vec<u8> {
    let mut out = vec![LAYOUT];
    put(&mut out, u64::from(block.plan));
    put(&mut out, block.columns.len() as u64);
    let mut columns = Vec::new();
    let mut before = Head::default();
    for column in &block.columns {
        let begin = columns.len();
        put_column(&mut columns, column);
        let head = Head::of(column);
        put(&mut out, u64::from(head.series.wrapping_sub(before.series)));
        put(&mut out, u64::from(column.calibration));
        put(&mut out, column.points.len() as u64);
        put(&mut out, (columns.len() - begin) as u64);
        put_signed(&mut out, head.first.wrapping_sub(before.first));
        put_signed(&mut out, head.distance.wrapping_sub(before.distance));
        before = head;
    }
    out.append(&mut columns);
    seal(&mut out);
    out
}

/// What the directory says of a series relative to the one before.
#[derive(Clone, Copy, Default)]
struct Head {
    series: u32,
    first: i64,
    /// From the first time to the second.
    distance: i64,
}

impl Head {
    fn of(column: &Column) -> Head {
        let first = column.points.first().map_or(0, |point| point.at.0);
        let distance = column.points.get(1).map_or(0, |point| point.at.0.wrapping_sub(first));
        Head { series: column.series, first, distance }
    }
}

fn put_column(out: &mut Vec<u8>, column: &Column) {
    let points = &column.points;
    let mut left = points.len();
    for run in points.chunk_by(|one, next| one.quality == next.quality) {
        left -= run.len();
        if left == 0 {
            out.push(code(run[0].quality) | THE_REST);
        } else {
            out.push(code(run[0].quality));
            put(out, run.len() as u64);
        }
    }
    put_packed(
        out,
        points.windows(3).map(|three| {
            let [one, two, three] = [three[0].at.0, three[1].at.0, three[2].at.0];
            three.wrapping_sub(two).wrapping_sub(two.wrapping_sub(one))
        }),
    );
    put_list(out, points.iter().map(|point| point.steps.0));
    if column.calibration != IDENTITY {
        put_raws(out, points);
    }
}

/// The first number and the differences.
fn put_list(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64> + Clone) {
    let mut rest = numbers.clone();
    put_signed(out, rest.next().unwrap_or(0));
    put_packed(out, rest.zip(numbers).map(|(next, before)| next.wrapping_sub(before)));
}

fn put_raws(out: &mut Vec<u8>, points: &[Point]) {
    let raws = points.iter().map(|point| point.raw.unwrap_or(f64::NAN));
    let form = (0..=MOST_DECIMALS).find(|form| raws.clone().all(|raw| scaled(raw, *form).is_some()));
    match form {
        Some(form) => {
            out.push(form);
            put_list(out, raws.map(|raw| scaled(raw, form).unwrap_or(0)));
        }
        None => {
            out.push(AS_BITS);
            out.extend(raws.flat_map(|raw| raw.to_bits().to_le_bytes()));
        }
    }
}

/// The number as so many 10^-form, if it is that to the bit.
fn scaled(raw: f64, form: u8) -> Option<i64> {
    let number = (raw * power(form)).round() as i64;
    // Within 53 bits a quotient of whole numbers is the very number that its decimal text reads as.
    let is_exact = number.unsigned_abs() < 1 << 53 && (number as f64 / power(form)).to_bits() == raw.to_bits();
    is_exact.then_some(number)
}

fn power(form: u8) -> f64 {
    10f64.powi(i32::from(form))
}

/// A series of a block, by its entry in the directory.
#[derive(Clone, Copy)]
struct Entry {
    head: Head,
    calibration: u32,
    readings: usize,
    length: usize,
}

/// The readings of a block; none of one that is damaged.
pub(super) fn decode(bytes: &[u8]) -> Option<RawBlock> {
    let mut cursor = unseal(bytes, LAYOUT)?;
    let plan = cursor.number()?;
    let mut entries = Vec::new();
    let mut head = Head::default();
    for _ in 0..cursor.count(6)? {
        head.series = head.series.wrapping_add(cursor.number()?);
        let (calibration, readings, length) = (cursor.number()?, cursor.number()?, cursor.number()?);
        head.first = head.first.wrapping_add(cursor.signed()?);
        head.distance = head.distance.wrapping_add(cursor.signed()?);
        entries.push(Entry { head, calibration, readings, length });
    }
    let mut columns = Vec::new();
    for entry in entries {
        columns.push(read_column(&entry, Cursor(cursor.take(entry.length)?))?);
    }
    cursor.end(RawBlock { plan, columns })
}

fn read_column(entry: &Entry, mut cursor: Cursor) -> Option<Column> {
    let Entry { head, calibration, readings, .. } = *entry;
    if readings > MOST_POINTS {
        return None;
    }
    let mut points = Vec::with_capacity(readings);
    while points.len() < readings {
        let (byte, left) = (cursor.byte()?, readings - points.len());
        let run = if byte >= THE_REST { left } else { cursor.number()? };
        if run == 0 || run > left {
            return None;
        }
        let quality = *QUALITIES.get(usize::from(byte & !THE_REST))?;
        points.resize(points.len() + run, Point { at: Uptime(0), steps: Steps(0), quality, raw: None });
    }
    let changes = cursor.packed(readings.saturating_sub(2))?;
    let (mut at, mut distance) = (head.first, head.distance);
    // The first has nothing before it, the second is a whole distance away.
    for (point, change) in points.iter_mut().zip([None, Some(0)].into_iter().chain(changes.map(Some))) {
        distance = distance.wrapping_add(change.unwrap_or(0));
        at = change.map_or(at, |_| at.wrapping_add(distance));
        point.at = Uptime(at);
    }
    for (point, steps) in points.iter_mut().zip(read_list(&mut cursor, readings)?) {
        point.steps = Steps(steps);
    }
    if calibration != IDENTITY {
        read_raws(&mut cursor, &mut points)?;
    }
    cursor.end(Column { series: head.series, calibration, points })
}

fn read_list<'a>(cursor: &mut Cursor<'a>, count: usize) -> Option<impl Iterator<Item = i64> + use<'a>> {
    let mut number = cursor.signed()?;
    let differences = cursor.packed(count.saturating_sub(1))?;
    Some(std::iter::once(0).chain(differences).map(move |difference| {
        number = number.wrapping_add(difference);
        number
    }))
}

fn read_raws(cursor: &mut Cursor, points: &mut [Point]) -> Option<()> {
    match cursor.byte()? {
        AS_BITS => {
            for point in points {
                point.raw = Some(f64::from_le_bytes(cursor.take(8)?.try_into().ok()?));
            }
        }
        form if form <= MOST_DECIMALS => {
            let numbers = read_list(cursor, points.len())?;
            points.iter_mut().zip(numbers).for_each(|(point, number)| point.raw = Some(number as f64 / power(form)));
        }
        _ => return None,
    }
    Some(())
}

/// By their code.
const QUALITIES: [Quality; 6] =
    [Quality::Good, Quality::Simulated, Quality::Calibrating, Quality::Suspect, Quality::Stale, Quality::Fault];

fn code(quality: Quality) -> u8 {
    QUALITIES.iter().position(|known| *known == quality).unwrap_or_default() as u8
}

#[cfg(test)]
mod tests;
