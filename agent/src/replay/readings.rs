//! Recorded readings as a stream: CSV in, one row at a time out, in flat memory.
//!
//! The first lines tell how a file is written ([`dialect`]), and the header its layout: long (`time,sensor,value`, a reading a
//! line) or wide (`time` and one column for each sensor). A physical line is a record, so a quote left open hurts one line and not
//! the rest of a file. A bad line is never fatal and never silent: it is counted by its reason and
//! the first few are kept to be shown. What the readings mean is not known here.

mod cells;
mod clock;
mod columns;
mod decoder;
mod dialect;
mod encoding;
mod fields;
mod head;
mod kinds;
mod lines;
mod names;
mod notes;
mod number;
mod packed;
mod progress;
mod report;
mod sample;
mod sorted;
mod stamps;
mod survey;
mod table;
mod thousands;
mod time;
mod wanted;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use decoder::Decoder;
use dialect::{Dialect, DialectError};
use encoding::Encoding;
use head::Head;
pub(crate) use lines::unpack;
use lines::{Line, Lines, MAX_LINE_BYTES};
use notes::listed;
use packed::Packed;
use progress::Counted;
pub(crate) use progress::Progress;
use report::excerpt;
pub(crate) use report::{Reason, Report};
use sample::Sample;
use sorted::Sorted;
use tilth_config::plain_file;
use wanted::Ambiguous;
pub(crate) use wanted::{Units, Wanted};

#[cfg(test)]
mod tests;

/// One recorded reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    /// Physical line; the header is line 1.
    pub(crate) line: u64,
    /// Milliseconds since 1970 in UTC.
    pub(crate) at_ms: i64,
    /// Place of the sensor in [`Readings::names`]; none where the line has a time and no value, which only moves the clock.
    pub(crate) sensor: Option<usize>,
    /// A finite number, or nothing where the recording says that a value is missing.
    pub(crate) value: Option<f64>,
}

impl Row {
    /// Place of what is remembered for each sensor; the first is of rows without a sensor.
    pub(super) fn key(&self) -> usize {
        self.sensor.map_or(0, |place| place + 1)
    }
}

/// Opens a recording: an ordinary file, or one of this process' own open files, such as the shell makes of `<(..)`.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    let is_open_here = ["/dev/stdin", "/dev/fd", "/proc/self/fd"].iter().any(|open| path.starts_with(open));
    let found = if is_open_here { File::open(path) } else { plain_file::open(path) };
    found.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => io::Error::new(error.kind(), format!("{error}, or - for standard input")),
        _ => error,
    })
}

/// A recording being read.
pub(crate) struct Readings {
    file: String,
    lines: Lines,
    decoder: Decoder,
    /// Rows of another tool's file, once they are taken off it.
    sorted: Option<Sorted>,
    ended: bool,
    progress: Progress,
}

impl Readings {
    /// Opens a file, plain or gzip, or standard input when the path is `-`, and finds out how it is written.
    pub(crate) fn open(path: &Path, wanted: &Wanted) -> Result<Readings, ReadingsError> {
        let name = name(path);
        if path == Path::new("-") {
            let progress = Progress::default();
            let source = Counted { source: io::stdin(), progress: progress.clone() };
            return Ok(Readings { progress, ..Readings::from_source(&name, source, wanted, || None::<File>)? });
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
        Ok(Readings { progress, ..Readings::from_source(&name, source, wanted, again)? })
    }

    /// Finds out how an open source is written; `file` is what errors call it, and `again` opens it from its beginning.
    pub(crate) fn from_source<Again: Read + Send + 'static>(
        file: &str,
        source: impl Read + Send + 'static,
        wanted: &Wanted,
        again: impl Fn() -> Option<Again>,
    ) -> Result<Readings, ReadingsError> {
        let broken = |lines, source| ReadingsError::Read { file: file.to_owned(), lines, source };
        let (text, head, encoding) = look_into(source).map_err(|error| broken(0, error))?;
        if let Some(packed) = packed::of(&head.bytes) {
            return Err(ReadingsError::Packed { file: file.to_owned(), packed });
        }
        let sample = Sample::of(&head);
        let Some((first, header)) = sample.first().map(|(line, text)| (line, excerpt(text))) else {
            let empty = || ReadingsError::Empty { file: file.to_owned() };
            return Err(head.error.map_or_else(empty, |error| broken(0, error)));
        };
        // Its first bytes are not taken for all of it: the columns beyond them would be lost unsaid.
        if sample.first().is_some_and(|(_, text)| text.len() > MAX_LINE_BYTES) {
            return Err(ReadingsError::HeaderTooLong { file: file.to_owned(), line: first, found: header });
        }
        let rest =
            |look: &mut dyn FnMut(u64, &[u8])| again().is_some_and(|again| survey(again, encoding, look).is_ok());
        let dialect = Dialect::find(sample, wanted, rest).map_err(|refusal| match refusal {
            DialectError::NoHeader => ReadingsError::Header { file: file.to_owned(), line: first, found: header },
            DialectError::Say { line, what } => ReadingsError::Say { file: file.to_owned(), line, what },
        })?;
        let lines = Lines::new(head.before(text));
        let mut readings = Readings::below(file, lines, dialect, wanted)?;
        let encoding = encoding.name().map(|name| format!("the text is {name}"));
        readings.decoder.report.notes.extend(encoding);
        Ok(readings)
    }

    /// Reads up to the data.
    fn below(file: &str, mut lines: Lines, dialect: Dialect, wanted: &Wanted) -> Result<Readings, ReadingsError> {
        let say = |line, what| ReadingsError::Say { file: file.to_owned(), line, what };
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
        let decoder = Decoder::new(dialect, wanted, report).map_err(|Ambiguous(what)| say(header, what))?;
        if let Some(map) = decoder.unmet().filter(|_| decoder.is_wide()) {
            let what = format!(
                "--map \"{}={}\": there is no such heading; found {}",
                map.name,
                map.sensor,
                listed(&decoder.dialect.headings)
            );
            return Err(say(header, what));
        }
        Ok(Readings {
            file: file.to_owned(),
            lines,
            decoder,
            sorted: None,
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
            let (sorted, note) = Sorted::take(|| self.next_of_file());
            self.sorted = Some(sorted);
            self.decoder.report.notes.extend(note);
        }
        match self.sorted.as_mut().map_or(Ok(None), Sorted::next)? {
            Some(row) => Ok(Some(row)),
            None => self.next_of_file(),
        }
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
                Some(Line::Text(place)) => self.decoder.decode(number, &self.lines.buffer[place]),
                Some(Line::TooLong(head)) => {
                    self.decoder.report.bad_line(number, Reason::LineTooLong, &head);
                }
                None => {
                    self.decoder.finish();
                    self.ended = true;
                    return Ok(None);
                }
            }
            if let Some(Ambiguous(what)) = self.decoder.ambiguous.take() {
                return Err(ReadingsError::Say { file: self.file.clone(), line: number, what });
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
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadingsError {
    #[error("{file}: cannot be opened")]
    Open { file: String, source: io::Error },
    #[error("{file}, line 1: found nothing, {EXPECTED}")]
    Empty { file: String },
    /// The first line that is not blank names neither layout.
    #[error("{file}, line {line}: found \"{found}\", {EXPECTED}")]
    Header { file: String, line: u64, found: String },
    #[error("{file}, line {line}: found \"{found}\", longer than 1 MiB; {EXPECTED}")]
    HeaderTooLong { file: String, line: u64, found: String },
    /// The file is an archive, or another program's own format.
    #[error("{file}: {}", .packed.advice(.file))]
    Packed { file: String, packed: Packed },
    /// The command line must say something, or what it says is wrong.
    #[error("{file}, line {line}: {what}")]
    Say { file: String, line: u64, what: String },
    #[error("{file}: cannot be read further, after {lines} lines")]
    Read { file: String, lines: u64, source: io::Error },
}

const EXPECTED: &str = "expected a header with the columns time, sensor and value (each once, in any order), \
                        or time and one column for each sensor";

/// What errors call a recording.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// A source as text behind its first part, that part, and how the bytes become text.
fn look_into(source: impl Read + Send + 'static) -> io::Result<(Box<dyn Read + Send>, Head, Encoding)> {
    let mut source = unpack(source)?;
    let mut head = Head::read(&mut source);
    let encoding = match Encoding::of(&head.bytes) {
        Encoding::Utf8 if is_windows(&head.bytes) => Encoding::Windows,
        encoding => encoding,
    };
    if encoding != Encoding::Utf8 {
        source = encoding.decode(head.before(source));
        head = Head::read(&mut source);
    }
    Ok((source, head, encoding))
}

/// Whether a text is no UTF-8 and has only letters and signs of Windows-1252 where it is not.
fn is_windows(head: &[u8]) -> bool {
    let is_letter = |byte: &u8| matches!(byte, 0x80 | 0x82 | 0x84 | 0x91..=0x97 | 0x99 | 0xa0..=0xfc);
    let mut invalid = head.utf8_chunks().map(|chunk| chunk.invalid()).filter(|bytes| !bytes.is_empty()).peekable();
    let is_text = head.iter().all(|byte| *byte >= b' ' || matches!(byte, b'\t' | b'\r' | b'\n'));
    // Half a letter at the end is cut off by chance.
    let is_cut =
        |bytes: &[u8]| head.ends_with(bytes) && str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none());
    let any = invalid.peek().is_some_and(|bytes| !is_cut(bytes));
    is_text && any && invalid.all(|bytes| bytes.iter().all(is_letter))
}

/// Shows every line of a file.
fn survey(source: impl Read + Send + 'static, encoding: Encoding, look: &mut dyn FnMut(u64, &[u8])) -> io::Result<()> {
    let mut lines = Lines::new(encoding.decode(unpack(source)?));
    while let Some(line) = lines.next()? {
        if let Line::Text(place) = line {
            look(lines.number, &lines.buffer[place]);
        }
    }
    Ok(())
}

fn is_blank(text: &[u8]) -> bool {
    text.trim_ascii().is_empty()
}
