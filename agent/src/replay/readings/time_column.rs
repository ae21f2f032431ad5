//! The time of each line: which cells hold it, how it is written, and in which time zone.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::date_text::{self, DateText, Zone};
use super::report::Reason;
use crate::cli::DateOrder;
use crate::replay::entry;
pub(super) use crate::sense::line::number::END_MS;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeFormat {
    /// RFC 3339 with an offset, or milliseconds since 1970: what Tilth itself writes.
    Instant,
    Epoch(EpochUnit),
    /// A date and a time of day, with or without a zone.
    Civil(DateOrder),
    /// Days since 1899-12-30, as spreadsheets count them.
    Days,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EpochUnit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl EpochUnit {
    /// Each with its name, and the least number that is one of it: 1990 in seconds; of the others the beginning of 2000.
    const ALL: [(EpochUnit, &str, i64); 4] = [
        (EpochUnit::Nanoseconds, "nanoseconds", 946_684_800_000_000_000),
        (EpochUnit::Microseconds, "microseconds", 946_684_800_000_000),
        (EpochUnit::Milliseconds, "milliseconds", 946_684_800_000),
        (EpochUnit::Seconds, "seconds", 631_152_000),
    ];

    /// What a number of this size counts; nothing where it is no time of these days.
    pub(super) fn of(text: &[u8]) -> Option<EpochUnit> {
        if str::from_utf8(text).is_ok_and(date_text::is_day_and_hour) {
            return None;
        }
        let (whole, _) = split(text)?;
        let unit = EpochUnit::ALL.into_iter().find(|(_, _, least)| whole >= *least).map(|(unit, ..)| unit)?;
        (unit.ms(whole, 0) < END_MS).then_some(unit)
    }

    pub(super) fn name(self) -> &'static str {
        EpochUnit::ALL.into_iter().find(|(unit, ..)| *unit == self).map_or("", |(_, name, _)| name)
    }

    fn ms(self, whole: i64, thousandths: i64) -> i64 {
        match self {
            EpochUnit::Seconds => whole.saturating_mul(1000).saturating_add(thousandths),
            EpochUnit::Milliseconds => whole,
            EpochUnit::Microseconds => whole / 1000,
            EpochUnit::Nanoseconds => whole / 1_000_000,
        }
    }
}

/// A positive number as its whole part and thousandths.
fn split(text: &[u8]) -> Option<(i64, i64)> {
    let text = str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}");
    Some((whole.parse().ok()?, thousandths.get(..3)?.parse().ok()?))
}

/// An instant in milliseconds since 1970, as far as its line alone tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    At(i64),
    /// The clocks were set back, and showed this time twice.
    Ambiguous(i64, i64),
}

pub(super) struct TimeColumn {
    /// The column of the time, or those of the date and of the time of day.
    pub(super) places: Vec<usize>,
    pub(super) form: TimeFormat,
    /// Time zone of times that say none.
    zone: Option<TimeZone>,
    /// The last text and what it meant: many rows have one timestamp.
    last: (Vec<u8>, Option<Result<Moment, Reason>>),
    text: Vec<u8>,
}

impl TimeColumn {
    pub(super) fn new(places: Vec<usize>, form: TimeFormat, zone: Option<TimeZone>) -> TimeColumn {
        TimeColumn { places, form, zone, last: (Vec::new(), None), text: Vec::new() }
    }

    /// Whether times may be shown twice.
    pub(super) fn is_local(&self) -> bool {
        self.zone.is_some() && matches!(self.form, TimeFormat::Civil(_) | TimeFormat::Days)
    }

    /// The instant of a line whose cells `cell` gives.
    pub(super) fn read<'a>(&mut self, cell: impl Fn(usize) -> Result<&'a [u8], Reason>) -> Result<Moment, Reason> {
        let mut text = cell(self.places[0])?;
        if let Some(second) = self.places.get(1) {
            self.text.clear();
            self.text.extend_from_slice(text);
            self.text.push(b' ');
            self.text.extend_from_slice(cell(*second)?);
            text = &self.text;
        }
        let (last, meant) = &self.last;
        if let Some(meant) = meant.filter(|_| last == text) {
            return meant;
        }
        let meant = self.moment(text);
        self.last.0.clear();
        self.last.0.extend_from_slice(text);
        self.last.1 = Some(meant);
        meant
    }

    fn moment(&self, text: &[u8]) -> Result<Moment, Reason> {
        match self.form {
            TimeFormat::Instant => parse_time(text).map(Moment::At),
            TimeFormat::Epoch(unit) => {
                let (whole, thousandths) = split(text).ok_or(Reason::TimeUnlike)?;
                match EpochUnit::of(text) {
                    Some(found) if found == unit => Ok(Moment::At(unit.ms(whole, thousandths))),
                    Some(_) => Err(Reason::TimeUnit),
                    None => Err(Reason::TimeRange),
                }
            }
            TimeFormat::Civil(order) => {
                let text = str::from_utf8(text).map_err(|_| Reason::TimeUnlike)?;
                let stamp = DateText::of(text).filter(|stamp| stamp.day.is_some()).ok_or(Reason::TimeUnlike)?;
                let civil = stamp.civil(order).ok_or(Reason::TimeOrder)?;
                self.instant(civil, stamp.zone)
            }
            TimeFormat::Days => {
                let days: f64 =
                    str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Reason::TimeUnlike)?;
                self.instant(spreadsheet_day(days).ok_or(Reason::TimeRange)?, None)
            }
        }
    }

    fn instant(&self, civil: DateTime, zone: Option<Zone<'_>>) -> Result<Moment, Reason> {
        let at = |offset: Offset| in_range(offset.to_timestamp(civil).map_or(i64::MAX, Timestamp::as_millisecond));
        let offset = match zone {
            Some(Zone::Offset(offset)) => offset,
            Some(Zone::Name(name)) => {
                let named = self.zone.as_ref().and_then(|zone| abbreviated_offset(zone, civil, name));
                named.or_else(|| date_text::named_offset(name)).ok_or(Reason::TimeZone)?
            }
            None => match self.zone.as_ref().ok_or(Reason::TimeNaive)?.to_ambiguous_timestamp(civil).offset() {
                AmbiguousOffset::Unambiguous { offset } => offset,
                AmbiguousOffset::Fold { before, after } => return Ok(Moment::Ambiguous(at(before)?, at(after)?)),
                AmbiguousOffset::Gap { .. } => return Err(Reason::TimeGap),
            },
        };
        at(offset).map(Moment::At)
    }
}

/// The offset that a zone's clocks have at a time of day when they are called by that abbreviation.
fn abbreviated_offset(zone: &TimeZone, civil: DateTime, name: &str) -> Option<Offset> {
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    let called = |at: Timestamp| zone.to_offset_info(at).abbreviation() == name;
    let found = [ambiguous.earlier(), ambiguous.later()].into_iter().flatten().find(|at| called(*at))?;
    Some(zone.to_offset(found))
}

/// The greatest number of a spreadsheet's day that is a time of these days: the end of 2099.
const LAST_DAY: f64 = 73_050.0;
const FIRST_DAY: f64 = 32_874.0;

pub(super) fn is_spreadsheet_day(text: &str) -> bool {
    text.parse().is_ok_and(|days: f64| (FIRST_DAY..LAST_DAY).contains(&days))
}

/// A spreadsheet's number to the nearest second, for its fractions are not exact.
fn spreadsheet_day(days: f64) -> Option<DateTime> {
    let seconds = (FIRST_DAY..LAST_DAY).contains(&days).then(|| (days * 86_400.0).round() as i64)?;
    DateTime::constant(1899, 12, 30, 0, 0, 0, 0).checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// Which of two instants a local time is that came twice when clocks were set back: the order of the lines decides.
#[derive(Debug, Clone, Default)]
pub(super) struct RepeatedHour {
    /// The last instant of each series.
    last: Vec<Option<i64>>,
    /// The instant of the line before where the clocks showed its time twice, and whether that was the second.
    before: Option<(i64, bool)>,
    /// Steps forward less steps back: below zero the newest line is the first.
    direction: i64,
    /// One series has one timestamp twice elsewhere: that is no sign of the clock.
    repeats: bool,
    /// Times that were there twice, and the first line of those taken as the second.
    twice: u64,
    first_line: Option<u64>,
    second_line: Option<u64>,
}

impl RepeatedHour {
    pub(super) fn decide(&mut self, moment: Moment, series: usize, line: u64) -> i64 {
        let last = *entry(&mut self.last, series, None);
        let at = match moment {
            Moment::At(at) => {
                self.repeats |= last == Some(at);
                self.direction += last.map_or(0, |last| (at - last).signum());
                self.before = None;
                at
            }
            Moment::Ambiguous(first, second) => {
                let is_second = self.is_second(last, first, second);
                let at = if is_second { second } else { first };
                self.twice += 1;
                self.first_line.get_or_insert(line);
                if is_second {
                    self.second_line.get_or_insert(line);
                }
                self.before = Some((at, is_second));
                at
            }
        };
        self.last[series] = Some(at);
        at
    }

    /// Whether the lines before have gone past the first of two instants; in a file of the newest line first, whether they have
    /// not yet gone past the second.
    fn is_second(&self, last: Option<i64>, first: i64, second: i64) -> bool {
        let passed = |of: i64| last.is_some_and(|last| last == of && !self.repeats);
        let night = second - first;
        if self.direction < 0 {
            let is_past_own = last.is_some_and(|last| last < second && last > first - night) || passed(second);
            let is_past_other = self.before.is_some_and(|(at, is_second)| !is_second && at >= first);
            return !(is_past_own || is_past_other);
        }
        let is_past_own = last.is_some_and(|last| last > first && last < second + night) || passed(first);
        is_past_own || self.before.is_some_and(|(at, is_second)| is_second && at <= second)
    }

    /// What was decided, in words; nothing where no time was there twice.
    pub(super) fn note(&self) -> Option<String> {
        let RepeatedHour { twice, first_line, second_line, .. } = self;
        let from = match second_line {
            Some(line) => format!("from line {line} on the second, by the order of the lines"),
            None => "all taken as the first".to_owned(),
        };
        let first_line = (*first_line)?;
        Some(format!(
            "the clocks were set back: {twice} times were shown twice that night, from line {first_line} on; {from}"
        ))
    }
}

/// 2000-01-01T00:00:00Z: a number below it is one of seconds, not of milliseconds.
const FIRST_EPOCH_MS: i64 = 946_684_800_000;

/// Milliseconds since 1970 that a text says.
pub(super) fn parse_time(text: &[u8]) -> Result<i64, Reason> {
    match epoch_ms(text) {
        Some(0..FIRST_EPOCH_MS) => Err(Reason::TimeSeconds),
        Some(at_ms) => in_range(at_ms),
        None => in_range(iso8601(text).ok_or(Reason::TimeForm)?),
    }
}

pub(super) fn in_range(at_ms: i64) -> Result<i64, Reason> {
    if (0..END_MS).contains(&at_ms) { Ok(at_ms) } else { Err(Reason::TimeRange) }
}

/// A whole number, of any length: one that does not fit is out of range all the more.
fn epoch_ms(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let whole = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    whole.then(|| str::from_utf8(text).ok()?.parse().ok()).map(|number| number.unwrap_or(i64::MAX))
}

/// Digits of a fraction of a second that are read; the rest is cut off.
const FRACTION_DIGITS: usize = 9;

/// RFC 3339, and the rarer spellings of ISO 8601, such as `+0100` for an offset or a time without seconds. A leap second is the last
/// millisecond before the next.
pub(super) fn iso8601(text: &[u8]) -> Option<i64> {
    let mut text = Cow::Borrowed(str::from_utf8(text).ok()?);
    let is_leap = text.get(17..19) == Some("60");
    if let Some(point) = text.find('.') {
        let digits = text[point + 1..].bytes().take_while(u8::is_ascii_digit).count();
        if digits > FRACTION_DIGITS {
            text.to_mut().replace_range(point + 1 + FRACTION_DIGITS..point + 1 + digits, "");
        }
    }
    let time: Timestamp = text.parse().ok()?;
    let ms = i64::try_from(time.as_nanosecond().div_euclid(1_000_000)).ok()?;
    Some(if is_leap { ms.div_euclid(1000) * 1000 + 999 } else { ms })
}

#[cfg(test)]
mod tests;
