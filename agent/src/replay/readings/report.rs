//! What of a recording was read, and what of it was bad.

use std::fmt;

use crate::cli::Map;

/// Bad lines kept for showing; the others are only counted.
const MAX_SHOWN: usize = 10;
/// Notes on how a file was read; far above what a farm's file needs.
const MAX_NOTES: usize = 50;
/// Characters of a bad line that are shown.
const EXCERPT_CHARS: usize = 60;
/// Bytes that surely hold as many characters.
pub(super) const EXCERPT_BYTES: usize = 4 * EXCERPT_CHARS;

/// What was read. Each physical line is the header, or blank, or bad, or one of `held`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Report {
    /// Physical lines, the header and the blank ones included.
    pub(crate) lines: u64,
    pub(crate) blank: u64,
    /// Lines taken: in the long layout one value or missing value each; in the wide layout one for each cell.
    pub(crate) held: u64,
    pub(crate) values: u64,
    /// Missing values: rows without a value (long), empty or NaN cells, for which there is no row (wide).
    pub(crate) missing: u64,
    /// Lines of which nothing could be used.
    pub(crate) bad_lines: u64,
    /// Cells of held lines that could not be used (wide).
    pub(crate) bad_cells: u64,
    /// Headings that can name no sensor (wide); their columns are left out.
    pub(crate) bad_columns: u64,
    /// Held lines that end before the last column (wide); what is not there is missing.
    pub(crate) short_lines: u64,
    /// How the file was read, and what was decided about its times.
    pub(crate) notes: Vec<String>,
    /// Headings of columns without a number that no sensor wants.
    pub(crate) texts: Vec<String>,
    /// What `--map` named and the recording does not have.
    pub(crate) unmet: Option<Map>,
    /// The first bad lines and cells, and the first of each kind.
    pub(crate) shown: Vec<Bad>,
    /// How often each reason was met, in the order of their first meeting.
    pub(crate) reasons: Vec<(Reason, u64)>,
}

impl Report {
    pub(super) fn bad_line(&mut self, line: u64, reason: Reason, text: &[u8]) {
        self.bad_lines += 1;
        self.count(line, None, reason, text);
    }

    pub(super) fn bad_cell(&mut self, line: u64, column: usize, reason: Reason, text: &[u8]) {
        self.bad_cells += 1;
        self.count(line, Some(column + 1), reason, text);
    }

    pub(super) fn bad_heading(&mut self, line: u64, column: usize, reason: Reason, text: &[u8]) {
        self.bad_columns += 1;
        self.count(line, Some(column + 1), reason, text);
    }

    /// Says once what was decided; of very many such things the first.
    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(crate) fn bad(&self) -> u64 {
        self.bad_lines + self.bad_cells + self.bad_columns
    }

    fn count(&mut self, line: u64, column: Option<usize>, reason: Reason, text: &[u8]) {
        let kind = reason.kind();
        match self.reasons.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.reasons.push((kind, 1)),
        }
        let is_new = self.shown.iter().all(|bad| bad.reason.kind() != kind);
        if self.shown.len() == MAX_SHOWN && is_new {
            self.make_room();
        }
        if self.shown.len() < MAX_SHOWN {
            self.shown.push(Bad { line, column, reason, excerpt: excerpt(text) });
        }
    }

    /// Takes out the last of those shown that is not the first of its kind, so that each kind is seen once.
    fn make_room(&mut self) {
        let is_repeat = |index: &usize| {
            let kind = self.shown[*index].reason.kind();
            self.shown[..*index].iter().any(|before| before.reason.kind() == kind)
        };
        if let Some(index) = (0..self.shown.len()).rev().find(is_repeat) {
            self.shown.remove(index);
        }
    }
}

/// A bad line, or a bad cell or heading of a wide one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bad {
    /// Physical line, starting at 1.
    pub(crate) line: u64,
    /// Column, starting at 1; none when the line as a whole is bad.
    pub(crate) column: Option<usize>,
    pub(crate) reason: Reason,
    /// The beginning of the line or cell, made safe for a terminal.
    pub(crate) excerpt: String,
}

impl fmt::Display for Bad {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}", self.line)?;
        if let Some(column) = self.column {
            write!(out, ", column {column}")?;
        }
        write!(out, ": {}: {}", self.reason, self.excerpt)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    #[error("line longer than 1 MiB")]
    LineTooLong,
    #[error("quoted field does not end on its line")]
    OpenQuote,
    #[error("text after a closing quote")]
    TextAfterQuote,
    #[error("too few columns")]
    TooFewColumns,
    /// Cells of the line, and of the header; none where lines are counted together.
    #[error("{}", too_many_cells(*.0))]
    TooManyCells(Option<(usize, usize)>),
    #[error("expected RFC 3339 with an offset, or epoch milliseconds")]
    TimeForm,
    #[error("time outside the years 1970 to 2199")]
    TimeRange,
    #[error("times look like seconds; expected milliseconds since 1970")]
    TimeSeconds,
    #[error("no time as the other lines have it")]
    TimeUnlike,
    #[error("time in another unit than most of the file")]
    TimeUnit,
    #[error("no such day in the order that the file's dates have")]
    TimeOrder,
    #[error("time has no offset; --tz says whose it is")]
    TimeNaive,
    #[error("no such time: the clocks were set forward; a logger without summer time wants --tz +01:00")]
    TimeGap,
    #[error("letters of the time's zone are not known, or mean several")]
    TimeZone,
    #[error("expected a decimal number, nothing or NaN")]
    ValueForm,
    #[error("the mark may part thousands or decimals; the file does not tell")]
    ValueMark,
    #[error("unit is not known")]
    UnitUnknown,
    #[error("unit is not one of what the sensor measures")]
    UnitWrong,
    #[error("value is infinite")]
    ValueInfinite,
    #[error("sensor has no name")]
    NameEmpty,
    #[error("sensor name longer than 200 bytes")]
    NameTooLong,
    #[error("sensor name is not UTF-8 text")]
    NameNotText,
    #[error("sensor has another column before this one; this one is left out")]
    NameRepeated,
    #[error("too many sensor names (over 100000)")]
    TooManyNames,
}

impl Reason {
    /// Without what differs from line to line: what is counted together.
    fn kind(self) -> Reason {
        match self {
            Reason::TooManyCells(_) => Reason::TooManyCells(None),
            reason => reason,
        }
    }
}

fn too_many_cells(cells: Option<(usize, usize)>) -> String {
    match cells {
        Some((cells, header)) => {
            format!("{cells} cells where the header has {header}; a decimal comma? write 7.4, or quote the cell")
        }
        None => "more cells than the header has".to_owned(),
    }
}

/// The beginning of a text, with what could upset a terminal made visible.
pub(super) fn excerpt(text: &[u8]) -> String {
    let head = String::from_utf8_lossy(&text[..text.len().min(EXCERPT_BYTES)]);
    let mut shown = String::new();
    for character in head.chars().take(EXCERPT_CHARS) {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    if text.len() > EXCERPT_BYTES || head.chars().nth(EXCERPT_CHARS).is_some() {
        shown.push('…');
    }
    shown
}
