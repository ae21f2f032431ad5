//! What a line of text says: pairs, columns under a header, or JSON. Everything else is counted by its reason and ignored.
//!
//! Pure: bytes in, values out, cut anywhere; memory is bounded whatever comes.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use tilth_core::time::WallTime;

use super::lines::{Cut, Lines};
use super::number::{self, Cell, Time};
use super::table::{self, Column, Header};
use super::{object, pairs};

/// As much of an offending line is kept to be shown.
const MAX_EXCERPT: usize = 80;

/// As many names are kept that lines carry and no sensor wants: enough to find a slip of the keyboard.
const MAX_UNUSED: usize = 16;

/// Why a line, or a field of one, was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// The first line after opening, which may have begun before.
    Partial,
    /// Longer than any line that is read.
    TooLong,
    /// Control characters or broken UTF-8.
    NotText,
    /// It begins as JSON does, and is no object.
    NotJson,
    /// Numbers in columns before any header line.
    NoHeader,
    /// More or fewer columns than the header has.
    Width,
    /// None of the forms that are read.
    Unknown,
    /// A field that a sensor wants is no number; the line's other fields are used.
    NotANumber,
    /// The line's own time cannot be read; its arrival counts.
    BadTime,
}

/// What became of the lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// Lines that came, empty ones apart.
    pub(crate) lines: u64,
    /// Lines that gave at least one value to a sensor.
    pub(crate) used: u64,
    ignored: [u64; Reason::ALL.len()],
    /// The last line that was not used as it should, and why.
    pub(crate) last: Option<(Reason, String)>,
    /// Names that lines carry and no sensor wants.
    pub(crate) unused: BTreeSet<String>,
    /// Names that sensors want and no line has carried so far.
    pub(crate) unseen: BTreeSet<String>,
}

/// The values of one line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Decoded<'a> {
    /// By place in the list of wanted fields; not a number where the board says that there is no value.
    pub(crate) values: &'a [(usize, f64)],
    /// The line's own time, if it carries one.
    pub(crate) time: Option<WallTime>,
    /// A number in the place of a time that is none of day, such as a board's `millis()`; as if it were seconds since 1970.
    pub(crate) count: Option<WallTime>,
}

/// Reads the lines of one bus.
#[derive(Debug)]
pub(crate) struct Decoder {
    lines: Lines,
    reader: Reader,
    text: String,
}

/// Reads one line after another.
#[derive(Debug)]
struct Reader {
    wanted: Vec<String>,
    header: Option<Header>,
    values: Vec<(usize, f64)>,
    time: Option<WallTime>,
    count: Option<WallTime>,
    tally: Tally,
}

impl Reason {
    /// Every reason.
    pub(crate) const ALL: [Reason; 9] = [
        Reason::Partial,
        Reason::TooLong,
        Reason::NotText,
        Reason::NotJson,
        Reason::NoHeader,
        Reason::Width,
        Reason::Unknown,
        Reason::NotANumber,
        Reason::BadTime,
    ];

    /// The words in `status`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Reason::Partial => "half a line after opening",
            Reason::TooLong => "too long",
            Reason::NotText => "not text",
            Reason::NotJson => "broken JSON",
            Reason::NoHeader => "columns without a header",
            Reason::Width => "more or fewer columns than the header",
            Reason::Unknown => "not understood",
            Reason::NotANumber => "a wanted field is no number",
            Reason::BadTime => "its time cannot be read",
        }
    }
}

impl Tally {
    /// Whether any name was read so far: only then it says something that others were not.
    pub(crate) fn has_names(&self) -> bool {
        self.used > 0 || !self.unused.is_empty()
    }

    /// How often a reason came up.
    pub(crate) fn count(&self, reason: Reason) -> u64 {
        self.ignored[reason as usize]
    }

    fn add(&mut self, reason: Reason, line: &str) {
        self.ignored[reason as usize] += 1;
        self.last = Some((reason, excerpt(line)));
    }
}

impl Decoder {
    /// Looks for these fields; values come out under their places in this list.
    pub(crate) fn new(wanted: Vec<String>) -> Decoder {
        let tally = Tally { unseen: wanted.iter().cloned().collect(), ..Tally::default() };
        let reader = Reader { wanted, header: None, values: Vec::new(), time: None, count: None, tally };
        Decoder { lines: Lines::default(), reader, text: String::new() }
    }

    /// Looks for other fields from now on. What is half read and the header stay.
    pub(crate) fn set_wanted(&mut self, wanted: Vec<String>) {
        let reader = &mut self.reader;
        let mut header = reader.header.take();
        let before = std::mem::replace(&mut reader.wanted, wanted);
        let is_seen = |name: &String| before.contains(name) && !reader.tally.unseen.contains(name);
        reader.tally.unseen = reader.wanted.iter().filter(|name| !is_seen(name)).cloned().collect();
        if let Some(header) = &mut header {
            header.bind(|name| reader.place(name));
        }
        reader.header = header;
        reader.tally.unused.clear();
    }

    /// What became of the lines so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.reader.tally
    }

    /// The port was opened: the first line may be half of one. The header stays, for the same board is behind the same port.
    pub(crate) fn reopen(&mut self) {
        self.lines.reopen();
    }

    /// Takes more bytes; calls `each` for every line that has a value for somebody.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Decoded<'_>)) {
        let Decoder { lines, reader, text } = self;
        lines.push(bytes, |cut| {
            reader.tally.lines += 1;
            let read = match cut {
                Cut::TooLong(head) => {
                    lossy(head, text);
                    Err(Reason::TooLong)
                }
                Cut::Whole(line) => clean(line, text).and_then(|()| reader.read(text)),
                Cut::First(line) => clean(line, text).and_then(|()| reader.read_first(text)),
            };
            match read {
                Ok(()) if reader.values.is_empty() => {}
                Ok(()) => {
                    reader.tally.used += 1;
                    each(Decoded { values: &reader.values, time: reader.time, count: reader.count });
                }
                Err(reason) => reader.tally.add(reason, text),
            }
        });
    }
}

impl Reader {
    /// Half a line can be told from a whole one only where it is JSON, or where a header's loss would cost every row: a board
    /// that starts when its port is opened sends its header first.
    fn read_first(&mut self, text: &str) -> Result<(), Reason> {
        self.begin();
        if text.starts_with('{') {
            return self.json(text).map_err(|_| Reason::Partial);
        }
        if text.contains('=') || !self.take_header(text) { Err(Reason::Partial) } else { Ok(()) }
    }

    fn read(&mut self, text: &str) -> Result<(), Reason> {
        self.begin();
        if text.starts_with('{') {
            return self.json(text);
        }
        if text.contains('=') {
            return if self.pairs(text) { Ok(()) } else { Err(Reason::Unknown) };
        }
        if table::is_row(text) && self.row(text) {
            return Ok(());
        }
        if self.take_header(text) || self.pairs(text) {
            return Ok(());
        }
        Err(match (table::is_row(text), &self.header) {
            (false, _) => Reason::Unknown,
            (true, None) => Reason::NoHeader,
            (true, Some(_)) => Reason::Width,
        })
    }

    fn begin(&mut self) {
        self.values.clear();
        (self.time, self.count) = (None, None);
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.wanted.iter().position(|wanted| wanted == name)
    }

    fn json(&mut self, text: &str) -> Result<(), Reason> {
        let parsed = object::parse(text).ok_or(Reason::NotJson)?;
        object::each_value(&parsed, &mut |path, value| match (self.place(path), value) {
            (Some(field), Value::Number(number)) => self.take(field, number.as_f64().map_or(Cell::Text, finite), text),
            (Some(field), Value::Bool(is)) => self.take(field, Cell::Number(f64::from(u8::from(*is))), text),
            (Some(field), Value::Null) => self.take(field, Cell::Missing, text),
            (Some(field), Value::String(word)) => self.take(field, number::cell(word), text),
            (None, Value::Number(number)) if number::is_time_name(path) => {
                self.take_time(number::named_epoch(path, number.as_f64().unwrap_or(f64::NAN)), text);
            }
            (None, Value::String(word)) if number::is_time_name(path) => self.take_time(number::time(word), text),
            (None, Value::Number(_)) => self.note_unused(path),
            _ => {}
        });
        Ok(())
    }

    /// Reads a row under the header; false where it does not fit, or there is none.
    fn row(&mut self, text: &str) -> bool {
        let Some(header) = self.header.take() else { return false };
        let fits = header.cells(text).map(|cells| {
            for ((column, cell), name) in cells.zip(header.names()) {
                match column {
                    Column::Field(field) => self.take(field, number::cell(cell), text),
                    Column::Time => self.take_time(number::named_time(name, cell), text),
                    Column::Unused => {}
                }
            }
        });
        self.header = Some(header);
        fits.is_some()
    }

    /// Whether the line is a header. One that no sensor wants anything of does not replace one that sensors want.
    fn take_header(&mut self, text: &str) -> bool {
        let Some(header) = Header::parse(text, |name| self.place(name)) else { return false };
        if !header.is_wanted() {
            if self.header.as_ref().is_some_and(Header::is_wanted) {
                return false;
            }
            header.names().iter().for_each(|name| self.note_unused(name));
        }
        self.header = Some(header);
        true
    }

    /// Reads pairs; false where there is none with a number.
    fn pairs(&mut self, text: &str) -> bool {
        let mut any = false;
        pairs::each_pair(text, |name, value| match self.place(name) {
            Some(field) => {
                any = true;
                self.take(field, number::cell(value), text);
            }
            None if number::is_time_name(name) => self.take_time(number::named_time(name, value), text),
            None => {
                if number::cell(value) != Cell::Text {
                    any = true;
                    self.note_unused(name);
                }
            }
        });
        any
    }

    fn take(&mut self, field: usize, cell: Cell, line: &str) {
        if !self.tally.unseen.is_empty() {
            self.tally.unseen.remove(&self.wanted[field]);
        }
        match cell {
            Cell::Number(number) => self.values.push((field, number)),
            Cell::Missing => self.values.push((field, f64::NAN)),
            Cell::Text => self.tally.add(Reason::NotANumber, line),
        }
    }

    fn take_time(&mut self, time: Time, line: &str) {
        match time {
            Time::At(wall) => self.time = Some(wall),
            Time::NotOfDay(count) => self.count = Some(count),
            Time::Wrong => self.tally.add(Reason::BadTime, line),
        }
    }

    fn note_unused(&mut self, name: &str) {
        let unused = &mut self.tally.unused;
        if unused.len() < MAX_UNUSED && !unused.contains(name) {
            unused.insert(excerpt(name));
        }
    }
}

fn finite(number: f64) -> Cell {
    if number.is_finite() { Cell::Number(number) } else { Cell::Missing }
}

/// The text of a line without ANSI escapes. The signs for degree, micro and powers that old sketches write in Latin-1 are
/// taken for what they mean; any other byte that is not UTF-8 is noise on the line.
fn clean(line: &[u8], text: &mut String) -> Result<(), Reason> {
    lossy(line, text);
    let has_noise = text.chars().any(|c| c == char::REPLACEMENT_CHARACTER || (c.is_control() && c != '\t'));
    if has_noise {
        return Err(Reason::NotText);
    }
    let end = text.trim_end().len();
    text.truncate(end);
    text.drain(..text.len() - text.trim_start().len());
    Ok(())
}

fn lossy(line: &[u8], text: &mut String) {
    text.clear();
    for chunk in line.utf8_chunks() {
        push_without_escapes(chunk.valid(), text);
        match chunk.invalid() {
            [] => {}
            [latin @ (0xb0 | 0xb2 | 0xb3 | 0xb5)] => text.push(char::from(*latin)),
            _ => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
}

/// Leaves out `ESC [ .. letter`, as terminals are told colours.
fn push_without_escapes(mut part: &str, text: &mut String) {
    while let Some((before, escape)) = part.split_once("\u{1b}[") {
        text.push_str(before);
        let end = escape.find(|c: char| ('@'..='~').contains(&c)).map_or(escape.len(), |end| end + 1);
        part = &escape[end..];
    }
    text.push_str(part);
}

/// The beginning of a text, with only what can be printed.
fn excerpt(text: &str) -> String {
    text.chars().take(MAX_EXCERPT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
