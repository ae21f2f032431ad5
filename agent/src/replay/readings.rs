//! Recorded readings as a stream: CSV in, one row at a time out, in flat memory.
//!
//! The header tells the layout: long (`time,sensor,value`, a reading a line) or wide (`time` and one
//! column for each sensor). A physical line is a record, so a quote left open hurts one line and not
//! the rest of a file. A bad line is never fatal and never silent: it is counted by its reason and
//! the first few are kept to be shown. What the readings mean is not known here.

mod decoder;
mod fields;
mod lines;
mod names;
mod number;
mod progress;
mod report;
mod time;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::{error, fmt};

use decoder::Decoder;
pub(crate) use lines::unpack;
use lines::{Line, Lines};
use progress::Counted;
pub(crate) use progress::Progress;
use report::excerpt;
pub(crate) use report::{Reason, Report};

#[cfg(test)]
mod tests;

/// One recorded reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    /// Its physical line; the header is line 1.
    pub(crate) line: u64,
    /// Milliseconds since 1970 in UTC.
    pub(crate) at_ms: i64,
    /// Its sensor's place in [`Readings::names`]; none where the line has a time and no value, which only moves the clock.
    pub(crate) sensor: Option<usize>,
    /// A finite number, or nothing where the recording says that a value is missing.
    pub(crate) value: Option<f64>,
}

/// A recording being read.
pub(crate) struct Readings {
    file: String,
    lines: Lines,
    decoder: Decoder,
    progress: Progress,
}

impl Readings {
    /// Opens a file, plain or gzip, or standard input when the path is `-`, and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Readings, ReadingsError> {
        if path == Path::new("-") {
            let progress = Progress::default();
            let source = Counted { source: io::stdin(), progress: progress.clone() };
            return Ok(Readings { progress, ..Readings::from_source(&name(path), source)? });
        }
        let name = name(path);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(source) => return Err(ReadingsError::Open { file: name, source }),
        };
        let progress = Progress::of(&file);
        let readings = Readings::from_source(&name, Counted { source: file, progress: progress.clone() })?;
        Ok(Readings { progress, ..readings })
    }

    /// Reads the header of an open source; `file` is what errors call it.
    pub(crate) fn from_source(file: &str, source: impl Read + Send + 'static) -> Result<Readings, ReadingsError> {
        let broken = |lines, source| ReadingsError::Read { file: file.to_owned(), lines, source };
        let mut lines = Lines::new(unpack(source).map_err(|error| broken(0, error))?);
        let mut report = Report::default();
        loop {
            let line = lines.next().map_err(|error| broken(lines.number, error))?;
            report.lines = lines.number;
            let header = match line {
                Some(Line::Text(place)) => &lines.buffer[place],
                // Its first bytes are not taken for all of it: the columns beyond them would be lost unsaid.
                Some(Line::TooLong(head)) => {
                    let (file, line, found) = (file.to_owned(), lines.number, excerpt(&head));
                    return Err(ReadingsError::HeaderTooLong { file, line, found });
                }
                None => return Err(ReadingsError::Empty { file: file.to_owned() }),
            };
            if is_blank(header) {
                report.blank += 1;
                continue;
            }
            let decoder = Decoder::new(header, report).ok_or_else(|| {
                let (file, line, found) = (file.to_owned(), lines.number, excerpt(header));
                match foreign_separator(header) {
                    Some(separator) => ReadingsError::Separator { file, line, found, separator },
                    None => ReadingsError::Header { file, line, found },
                }
            })?;
            return Ok(Readings { file: file.to_owned(), lines, decoder, progress: Progress::default() });
        }
    }

    /// The next row in the order of the file, or nothing at its end.
    ///
    /// After an error there are no more rows; the report then says how far it got.
    pub(crate) fn next_row(&mut self) -> Result<Option<Row>, ReadingsError> {
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
                Some(Line::Text(place)) => self.decoder.decode(number, &self.lines.buffer[place]),
                Some(Line::TooLong(head)) => {
                    self.decoder.report.bad_line(number, Reason::LineTooLong, &head);
                }
                None => return Ok(None),
            }
        }
    }

    /// The sensors seen so far, in the order of their first reading (of their columns when wide).
    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.decoder.names.list
    }

    /// How far a file has been read; it moves on with the reading, on whatever thread that is.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// What has been read so far, and what of it was bad.
    pub(crate) fn report(&self) -> &Report {
        &self.decoder.report
    }
}

/// Why a recording cannot be read, or not to its end.
#[derive(Debug)]
pub(crate) enum ReadingsError {
    /// The file cannot be opened.
    Open { file: String, source: io::Error },
    /// There is no line that could be a header.
    Empty { file: String },
    /// The first line that is not blank names neither layout.
    Header { file: String, line: u64, found: String },
    /// The first line that is not blank is longer than a line may be.
    HeaderTooLong { file: String, line: u64, found: String },
    /// The header's cells are separated by something else than commas.
    Separator { file: String, line: u64, found: String, separator: &'static str },
    /// Reading or unpacking failed after this many whole lines.
    Read { file: String, lines: u64, source: io::Error },
}

const EXPECTED: &str = "expected a header with the columns time, sensor and value (each once, in any order), \
                        or time and one column for each sensor";

impl fmt::Display for ReadingsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadingsError::Open { file, .. } => write!(out, "{file}: cannot be opened"),
            ReadingsError::Empty { file } => write!(out, "{file}, line 1: found nothing, {EXPECTED}"),
            ReadingsError::Header { file, line, found } => {
                write!(out, "{file}, line {line}: found \"{found}\", {EXPECTED}")
            }
            ReadingsError::HeaderTooLong { file, line, found } => {
                write!(out, "{file}, line {line}: found \"{found}\", longer than 1 MiB; {EXPECTED}")
            }
            ReadingsError::Separator { file, line, found, separator } => write!(
                out,
                "{file}, line {line}: found \"{found}\", with {separator} between the cells; expected commas, and points in \
                 the numbers: save it again as CSV with commas"
            ),
            ReadingsError::Read { file, lines, .. } => {
                write!(out, "{file}: cannot be read further, after {lines} lines")
            }
        }
    }
}

impl error::Error for ReadingsError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            ReadingsError::Open { source, .. } | ReadingsError::Read { source, .. } => Some(source),
            ReadingsError::Empty { .. }
            | ReadingsError::Header { .. }
            | ReadingsError::HeaderTooLong { .. }
            | ReadingsError::Separator { .. } => None,
        }
    }
}

/// What errors call a recording.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// What separates the cells of a header that is no CSV: semicolons, as spreadsheets write them where numbers have commas.
fn foreign_separator(header: &[u8]) -> Option<&'static str> {
    let count = |separator| memchr::memchr_iter(separator, header).count();
    let commas = count(b',');
    [(b';', "semicolons"), (b'\t', "tabs")].into_iter().find(|(byte, _)| count(*byte) > commas).map(|(_, name)| name)
}

fn is_blank(text: &[u8]) -> bool {
    text.trim_ascii().is_empty()
}
