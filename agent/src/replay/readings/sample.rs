//! The first lines of a file, cut into cells, and what each cell looks like.

use memchr::memchr_iter;

use super::date_text::DateText;
use super::fields::Fields;
use super::is_blank;
use super::lines::FileStart;
use super::numbers::is_value;
use super::time_column::parse_time;
use super::time_column::{EpochUnit, is_spreadsheet_day};

/// Upper limit of lines that are looked at.
const MAX_LINES: usize = 500;

/// What separates cells, in the order of preference where two would do.
const SEPARATORS: [u8; 4] = [b'\t', b';', b',', b'|'];

/// The first lines of a file that are not blank, each with its number.
pub(super) struct Sample<'a> {
    lines: Vec<(u64, &'a [u8])>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct SampleLine {
    pub(super) number: u64,
    pub(super) cells: Vec<String>,
    /// The line begins with `#` or `//`, which the first cell does not have.
    pub(super) is_comment: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeKind {
    /// An instant: a date and a time of day with a zone.
    Instant,
    /// A number that since 1970 is a time of these days.
    Epoch(EpochUnit),
    /// A date and a time of day.
    Local,
    Day,
    TimeOfDay,
}

impl<'a> Sample<'a> {
    /// The lines of the first bytes of a file; the last is left out where it goes on, or where the file broke off.
    pub(super) fn of(head: &'a FileStart) -> Sample<'a> {
        let bytes = head.bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&head.bytes);
        let last = if head.error.is_some() { 0 } else { bytes.len() };
        let end = if head.is_whole { bytes.len() } else { memchr::memrchr(b'\n', bytes).unwrap_or(last) };
        let head = bytes;
        let lines = (1..).zip(head[..end].split(|byte| *byte == b'\n'));
        let lines = lines.map(|(number, line)| (number, line.strip_suffix(b"\r").unwrap_or(line)));
        Sample { lines: lines.filter(|(_, line)| !is_blank(line)).take(MAX_LINES).collect() }
    }

    /// The separator that a line `sep=;` says, and the sample below it.
    pub(super) fn take_stated_separator(&mut self) -> Option<u8> {
        let first = self.lines.first()?.1.trim_ascii();
        let first = first.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(first);
        let (name, separator) = first.split_at_checked(4)?;
        let stated = match separator {
            [one] => *one,
            b"\\t" => b'\t',
            _ => return None,
        };
        name.eq_ignore_ascii_case(b"sep=").then(|| {
            self.lines.remove(0);
            stated
        })
    }

    /// The first line, where it is the header of a recording of our own: commas, and a column `time`.
    pub(super) fn is_ours(&self) -> bool {
        let is_time = |cell: &String| cell.eq_ignore_ascii_case("time");
        self.lines.first().and_then(|(_, line)| cells(line, b',')).is_some_and(|cells| {
            cells.iter().filter(|cell| is_time(cell)).count() == 1
                && cells.iter().filter(|cell| !cell.is_empty()).count() > 1
        })
    }

    /// What separates cells: what cuts the most lines into as many of them.
    pub(super) fn separator(&self) -> u8 {
        let score = |separator: u8| {
            let widths: Vec<usize> = self.lines.iter().map(|(_, line)| width(line, separator)).collect();
            let usual = most_frequent(widths.iter().copied().filter(|width| *width > 1));
            usual.map_or(0, |usual| widths.iter().filter(|width| **width == usual).count())
        };
        // The first of equals.
        let best = SEPARATORS.into_iter().rev().max_by_key(|separator| score(*separator)).unwrap_or(b',');
        if score(best) == 0 && score(b' ') > 0 { b' ' } else { best }
    }

    /// All lines as cells; those whose quotes are broken or that have nothing but separators are left out.
    pub(super) fn cut(&self, separator: u8) -> Vec<SampleLine> {
        let cut = |(number, line): &(u64, &[u8])| {
            let bare = line.trim_ascii_start();
            let text =
                bare.strip_prefix(b"//").or_else(|| bare.strip_prefix(b"#").filter(|rest| !rest.starts_with(b"\"")));
            let is_comment = text.is_some_and(|text| !text.trim_ascii_start().starts_with(&[separator]));
            let cells = cells(if is_comment { text.unwrap_or(line) } else { line }, separator)?;
            // Rules between the lines of a table are none of it: `|---|---|`, `+----+`.
            let is_rule = |cell: &String| cell.bytes().all(|byte| matches!(byte, b'-' | b'=' | b'+' | b':' | b' '));
            let is_empty = cells.iter().all(is_rule);
            (!is_empty).then_some(SampleLine { number: *number, cells, is_comment })
        };
        self.lines.iter().filter_map(cut).collect()
    }

    pub(super) fn first(&self) -> Option<(u64, &'a [u8])> {
        self.lines.first().copied()
    }
}

/// The cells of a line; nothing where its quotes are broken.
pub(super) fn cells(line: &[u8], separator: u8) -> Option<Vec<String>> {
    let mut fields = Fields::of(separator);
    fields.split(line, usize::MAX).ok()?;
    let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
    Some((0..fields.len()).filter_map(|index| fields.get(line, index).map(text)).collect())
}

/// How many cells a line has up to the last that is not empty.
fn width(line: &[u8], separator: u8) -> usize {
    if memchr_iter(separator, line).next().is_none() {
        return 1;
    }
    cells(line, separator).map_or(0, |cells| filled(&cells))
}

/// How many cells there are up to the last that is not empty.
pub(super) fn filled(cells: &[String]) -> usize {
    cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1)
}

/// The most frequent of some numbers; the greater of two equally frequent ones.
pub(super) fn most_frequent(numbers: impl Iterator<Item = usize>) -> Option<usize> {
    let mut counts = std::collections::BTreeMap::new();
    numbers.for_each(|number| *counts.entry(number).or_insert(0) += 1);
    counts.into_iter().max_by_key(|(number, count)| (*count, *number)).map(|(number, _)| number)
}

impl TimeKind {
    /// The kind of time that a cell holds; nothing where it holds none.
    pub(super) fn of(cell: &str) -> Option<TimeKind> {
        if let Some(unit) = EpochUnit::of(cell.as_bytes()) {
            return Some(TimeKind::Epoch(unit));
        }
        match DateText::of(cell) {
            Some(DateText { day: Some(_), time_ms: Some(_), zone: Some(_) }) => Some(TimeKind::Instant),
            Some(DateText { day: Some(_), time_ms: Some(_), zone: None }) => Some(TimeKind::Local),
            Some(DateText { day: Some(_), time_ms: None, .. }) => Some(TimeKind::Day),
            Some(DateText { day: None, .. }) => Some(TimeKind::TimeOfDay),
            None => parse_time(cell.as_bytes()).is_ok().then_some(TimeKind::Instant),
        }
    }

    /// Whether it is an instant by itself.
    pub(super) fn is_full(self) -> bool {
        !matches!(self, TimeKind::Day | TimeKind::TimeOfDay)
    }
}

/// What most cells of one column look like; a few at the end may be sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ColumnContent {
    /// A date and a time of day, with or without a zone.
    pub(super) has_stamps: bool,
    pub(super) has_instants: bool,
    pub(super) has_epochs: bool,
    pub(super) has_days: bool,
    pub(super) has_times_of_day: bool,
    pub(super) has_spreadsheet_days: bool,
    /// There are cells, and no number or word for a missing one among them.
    pub(super) is_text: bool,
    /// There are cells, and all are whole numbers.
    pub(super) is_whole: bool,
}

impl ColumnContent {
    pub(super) fn of<'a>(cells: impl Iterator<Item = &'a str>) -> ColumnContent {
        let cells: Vec<(&str, Option<TimeKind>)> =
            cells.filter(|cell| !cell.is_empty()).map(|cell| (cell, TimeKind::of(cell))).collect();
        let is_most = |of: &dyn Fn(&str, Option<TimeKind>) -> bool| {
            2 * cells.iter().filter(|(cell, look)| of(cell, *look)).count() > cells.len()
        };
        ColumnContent {
            has_stamps: is_most(&|_, look| matches!(look, Some(TimeKind::Instant | TimeKind::Local))),
            has_instants: is_most(&|_, look| look == Some(TimeKind::Instant)),
            has_epochs: is_most(&|_, look| matches!(look, Some(TimeKind::Epoch(_)))),
            has_days: is_most(&|_, look| look == Some(TimeKind::Day)),
            has_times_of_day: is_most(&|_, look| look == Some(TimeKind::TimeOfDay)),
            has_spreadsheet_days: is_most(&|cell, _| is_spreadsheet_day(&cell.replace(',', "."))),
            is_text: !cells.is_empty() && !cells.iter().any(|(cell, _)| is_value(cell.as_bytes())),
            is_whole: !cells.is_empty() && cells.iter().all(|(cell, _)| cell.bytes().all(|byte| byte.is_ascii_digit())),
        }
    }
}
