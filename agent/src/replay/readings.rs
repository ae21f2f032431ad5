//! Recorded readings as a stream: CSV in, one row at a time out, in flat memory.
//!
//! The first lines tell how a file is written ([`dialect`]), and the header its layout: long (`time,sensor,value`, a reading a
//! line) or wide (`time` and one column for each sensor). A physical line is a record, so a quote left open hurts one line and not
//! the rest of a file. A bad line is never fatal and never silent: it is counted by its reason and
//! the first few are kept to be shown. What the readings mean is not known here.

mod columns;
mod date_text;
mod decoder;
mod dialect;
mod encoding;
mod fields;
mod headings;
mod lines;
mod not_text;
mod notes;
mod numbers;
mod report;
mod sample;
mod scan;
mod sensors;
mod series;
mod source;
mod table;
mod time_column;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::vec::IntoIter;

use tilth_core::reading::Quality;

use decoder::Decoder;
use dialect::Dialect;
use encoding::Encoding;
use lines::{FileStart, Line, Lines, MAX_LINE_BYTES};
use notes::listed;
use report::excerpt;
pub(crate) use report::{Reason, Report};
use sample::Sample;
pub(crate) use sensors::{KnownSensor, ReadOptions};
use source::Counted;
pub(crate) use source::{Progress, name, open_file, unpack};

#[cfg(test)]
mod tests;

/// Rows held to be sorted, some 100 MB: a year of two sensors at half a minute. A longer file is taken in its own order.
const MAX_SORTED: usize = 2_000_000;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    /// Physical line; the header is line 1.
    pub(crate) line: u64,
    /// Milliseconds since 1970 in UTC.
    pub(crate) at_ms: i64,
    /// Index of the sensor in [`Readings::names`]; none where the line has a time and no value, which only moves the clock.
    pub(crate) sensor: Option<usize>,
    /// A finite number, or nothing where the recording says that a value is missing.
    pub(crate) value: Option<f64>,
    /// What the recording says of the value.
    pub(crate) quality: Quality,
}

impl Row {
    /// Index of what is kept for each sensor; the first is of rows without a sensor.
    pub(super) fn key(&self) -> usize {
        self.sensor.map_or(0, |index| index + 1)
    }
}

pub(crate) struct Readings {
    file: String,
    lines: Lines,
    decoder: Decoder,
    /// Rows of another tool's file, once they are taken off it, and why the file broke off behind them.
    sorted: Option<IntoIter<Row>>,
    broken: Option<ReadingsError>,
    ended: bool,
    /// How far a file has been read; kept up to date by the reader, on any thread.
    pub(crate) progress: Progress,
}

impl Readings {
    /// Opens a file, plain or gzip, or standard input when the path is `-`, and finds out how it is written.
    pub(crate) fn open(path: &Path, options: &ReadOptions) -> Result<Readings, ReadingsError> {
        let name = name(path);
        if path == Path::new("-") {
            let progress = Progress::default();
            let source = Counted { source: io::stdin(), progress: progress.clone() };
            return Ok(Readings { progress, ..Readings::from_source(&name, source, options, || None::<File>)? });
        }
        let file = match open_file(path) {
            Ok(file) => file,
            Err(source) => return Err(ReadingsError::Open { file: name, source }),
        };
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        let progress = Progress::of(&file);
        // A pipe cannot be read twice.
        let again = || is_file.then(|| File::open(path).ok()).flatten();
        let source = Counted { source: file, progress: progress.clone() };
        Ok(Readings { progress, ..Readings::from_source(&name, source, options, again)? })
    }

    /// Finds out how an open source is written; `file` is what errors call it, and `again` opens it from its beginning.
    pub(crate) fn from_source<Again: Read + Send + 'static>(
        file: &str,
        source: impl Read + Send + 'static,
        options: &ReadOptions,
        again: impl Fn() -> Option<Again>,
    ) -> Result<Readings, ReadingsError> {
        let broken = |lines, source| ReadingsError::Read { file: file.to_owned(), lines, source };
        let unreadable = |(line, what)| ReadingsError::Unreadable { file: file.to_owned(), line: Some(line), what };
        let (text, head, encoding) = look_into(source).map_err(|error| broken(0, error))?;
        if let Some(what) = not_text::advice(&head.bytes, file) {
            return Err(ReadingsError::Unreadable { file: file.to_owned(), line: None, what });
        }
        let sample = Sample::of(&head);
        let Some((first, header)) = sample.first() else {
            let empty = || unreadable((1, format!("found nothing, {EXPECTED}")));
            return Err(head.error.map_or_else(empty, |error| broken(0, error)));
        };
        // The first bytes of a header do not stand for all of it: the columns beyond them would be lost unsaid.
        if header.len() > MAX_LINE_BYTES {
            return Err(unreadable((first, format!("found \"{}\", longer than 1 MiB; {EXPECTED}", excerpt(header)))));
        }
        let rest = |look: &mut dyn FnMut(u64, &[u8])| again().is_some_and(|again| scan(again, encoding, look).is_ok());
        let dialect = Dialect::find(sample, options, rest).map_err(unreadable)?;
        let lines = Lines::new(head.before(text));
        let mut readings = Readings::below(file, lines, dialect, options)?;
        let encoding = encoding.name().map(|name| format!("the text is {name}"));
        readings.decoder.report.notes.extend(encoding);
        Ok(readings)
    }

    /// Reads up to the data.
    fn below(file: &str, mut lines: Lines, dialect: Dialect, options: &ReadOptions) -> Result<Readings, ReadingsError> {
        let unreadable = |line, what| ReadingsError::Unreadable { file: file.to_owned(), line: Some(line), what };
        let (header, preamble) = (dialect.header, dialect.preamble);
        let mut report = Report::default();
        while lines.number < preamble {
            let number = lines.number;
            let broken = |source| ReadingsError::Read { file: file.to_owned(), lines: number, source };
            if lines.next().map_err(broken)?.is_none() {
                break;
            }
            report.blank += u64::from(lines.number != header);
        }
        report.lines = lines.number;
        let decoder = Decoder::new(dialect, options, report).map_err(|what| unreadable(header, what))?;
        if let Some(map) =
            decoder.unmet().filter(|_| decoder.dialect.long.is_none() && decoder.dialect.places.is_empty())
        {
            let what = format!(
                "--map \"{}={}\": there is no such heading; found {}",
                map.name,
                map.sensor,
                listed(&decoder.dialect.headings)
            );
            return Err(unreadable(header, what));
        }
        Ok(Readings {
            file: file.to_owned(),
            lines,
            decoder,
            sorted: None,
            broken: None,
            ended: false,
            progress: Progress::default(),
        })
    }

    /// The next row in the order of the file, or of time where another tool wrote it; nothing at its end.
    ///
    /// After an error there are no more rows; the report then says how far it got.
    pub(crate) fn next_row(&mut self) -> Result<Option<Row>, ReadingsError> {
        if self.decoder.dialect.is_ours {
            return self.next_of_file();
        }
        if self.sorted.is_none() {
            self.sorted = Some(self.take_sorted());
        }
        match self.sorted.as_mut().and_then(Iterator::next) {
            Some(row) => Ok(Some(row)),
            None => self.broken.take().map_or_else(|| self.next_of_file(), Err),
        }
    }

    /// Takes rows off the file until there are none, or too many to be held, and sorts them: many tools list one sensor after the other, or
    /// the newest line first. Their order says nothing of when a reading came, as that of a recording of our own does.
    fn take_sorted(&mut self) -> IntoIter<Row> {
        let (mut rows, mut is_whole) = (Vec::new(), false);
        while !is_whole && rows.len() < MAX_SORTED {
            match self.next_of_file() {
                Ok(Some(row)) => rows.push(row),
                end => (self.broken, is_whole) = (end.err(), true),
            }
        }
        if !rows.is_sorted_by_key(|row: &Row| row.at_ms) {
            self.decoder.report.notes.push(match is_whole {
                true => "the lines are not in the order of time: they were sorted by it".to_owned(),
                false => {
                    format!(
                        "the lines are not in the order of time, and over {MAX_SORTED} are too many to be sorted here"
                    )
                }
            });
        }
        if is_whole {
            // Rows of one instant keep their order.
            rows.sort_by_key(|row| row.at_ms);
        }
        rows.into_iter()
    }

    fn next_of_file(&mut self) -> Result<Option<Row>, ReadingsError> {
        if self.ended {
            return Ok(None);
        }
        loop {
            if let Some(row) = self.decoder.rows.pop_front() {
                return Ok(Some(row));
            }
            let line = self.lines.next().map_err(|source| ReadingsError::Read {
                file: self.file.clone(),
                lines: self.lines.number,
                source,
            })?;
            let number = self.lines.number;
            self.decoder.report.lines = number;
            match line {
                Some(Line::Text(index)) => self.decoder.decode(number, &self.lines.buffer[index]),
                Some(Line::TooLong(head)) => {
                    self.decoder.report.bad_line(number, Reason::LineTooLong, &head);
                }
                None => {
                    self.decoder.finish();
                    self.ended = true;
                    return Ok(None);
                }
            }
            if let Some(what) = self.decoder.ambiguous.take() {
                return Err(ReadingsError::Unreadable { file: self.file.clone(), line: Some(number), what });
            }
        }
    }

    /// The sensors seen so far, in the order of their first reading (of their columns when wide).
    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.decoder.names.list
    }

    /// Whether it is a file of `tilth-agent export`, whose values are calibrated.
    pub(crate) fn is_export(&self) -> bool {
        self.decoder.quality.is_some()
    }

    /// What has been read so far, and what of it was bad.
    pub(crate) fn report(&self) -> &Report {
        &self.decoder.report
    }
}

/// Why a recording cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadingsError {
    #[error("{file}: cannot be opened")]
    Open { file: String, source: io::Error },
    /// The file is no text or has no header, the command line must say something, or what it says is wrong.
    #[error("{file}{}: {what}", .line.map_or(String::new(), |line| format!(", line {line}")))]
    Unreadable { file: String, line: Option<u64>, what: String },
    #[error("{file}: cannot be read further, after {lines} lines")]
    Read { file: String, lines: u64, source: io::Error },
}

const EXPECTED: &str = "expected a header with the columns time, sensor and value (each once, in any order), \
                        or time and one column for each sensor";

/// A source as text behind its first part, that part, and how the bytes become text.
fn look_into(source: impl Read + Send + 'static) -> io::Result<(Box<dyn Read + Send>, FileStart, Encoding)> {
    let mut source = unpack(source)?;
    let mut head = FileStart::read(&mut source);
    let encoding = Encoding::of(&head.bytes);
    if encoding != Encoding::Utf8 {
        source = encoding.decode(head.before(source));
        head = FileStart::read(&mut source);
    }
    Ok((source, head, encoding))
}

fn scan(source: impl Read + Send + 'static, encoding: Encoding, look: &mut dyn FnMut(u64, &[u8])) -> io::Result<()> {
    let mut lines = Lines::new(encoding.decode(unpack(source)?));
    while let Some(line) = lines.next()? {
        if let Line::Text(index) = line {
            look(lines.number, &lines.buffer[index]);
        }
    }
    Ok(())
}

fn is_blank(text: &[u8]) -> bool {
    text.trim_ascii().is_empty()
}
