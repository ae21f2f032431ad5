//! From bytes to physical lines, and the first part of a recording, which is looked into before it is read.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::ops::Range;

use memchr::memchr_iter;

use super::report::EXCERPT_BYTES;

/// A longer line is bad and skipped, so that a file without line ends cannot fill the memory.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;
/// What is read at once. A corrupt gzip stream needs 32 KiB, the reach of its look-back, to give up all that came before the fault.
const READ_BYTES: usize = 1 << 16;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

pub(super) enum Line {
    /// Range of the line in the buffer.
    Text(Range<usize>),
    /// The beginning of a line that was skipped.
    TooLong(Vec<u8>),
}

/// Cuts a source into physical lines, holding little more than one of them.
pub(super) struct Lines {
    source: BufReader<Box<dyn Read + Send>>,
    pub(super) buffer: Vec<u8>,
    ended: bool,
    /// How many lines have been handed out.
    pub(super) number: u64,
}

impl Lines {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Lines {
        let source = BufReader::with_capacity(READ_BYTES, source);
        Lines { source, buffer: Vec::new(), ended: false, number: 0 }
    }

    /// The next line; an error ends the source, and the piece of a line before it is no line.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let line = if self.ended { Ok(None) } else { self.cut() };
        self.ended = !matches!(line, Ok(Some(_)));
        self.number += u64::from(!self.ended);
        line
    }

    fn cut(&mut self) -> io::Result<Option<Line>> {
        self.buffer.clear();
        let most = MAX_LINE_BYTES as u64 + 1;
        if self.source.by_ref().take(most).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        let text = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        if text.len() > MAX_LINE_BYTES {
            let head = text[..EXCERPT_BYTES].to_vec();
            return self.source.skip_until(b'\n').map(|_| Some(Line::TooLong(head)));
        }
        let has_mark = self.number == 0 && text.starts_with(BYTE_ORDER_MARK);
        let start = if has_mark { BYTE_ORDER_MARK.len() } else { 0 };
        Ok(Some(Line::Text(start..text.strip_suffix(b"\r").unwrap_or(text).len())))
    }
}

/// Bytes that are looked into: some hundred lines of twenty columns.
const HEAD_BYTES: usize = 1 << 16;

/// A header of many columns may be longer; two of the longest lines are seen whole.
const MOST_BYTES: usize = 3 << 20;

/// Lines that the first part has at least, so that there is data below the header.
const MIN_LINES: usize = 20;

#[derive(Debug, Default)]
pub(super) struct FileStart {
    pub(super) bytes: Vec<u8>,
    pub(super) is_whole: bool,
    /// What ended the first part before its end.
    pub(super) error: Option<io::Error>,
}

impl FileStart {
    /// Reads the first part; an error comes after what was read before it.
    pub(super) fn read(source: &mut impl Read) -> FileStart {
        let mut head = FileStart::default();
        loop {
            let most = if head.bytes.len() < HEAD_BYTES { HEAD_BYTES } else { 2 * head.bytes.len() };
            let missing = (most - head.bytes.len()) as u64;
            match source.by_ref().take(missing).read_to_end(&mut head.bytes) {
                Ok(_) if head.bytes.len() < most => head.is_whole = true,
                Ok(_) => {}
                Err(error) => head.error = Some(error),
            }
            let is_enough =
                head.bytes.len() >= MOST_BYTES || memchr_iter(b'\n', &head.bytes).take(MIN_LINES).count() == MIN_LINES;
            if head.is_whole || head.error.is_some() || is_enough {
                return head;
            }
        }
    }

    /// The source again from its beginning.
    pub(super) fn before(self, source: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        let broken = Broken(self.error);
        Box::new(Cursor::new(self.bytes).chain(broken).chain(source))
    }
}

/// Reader that gives no bytes, and the error that ended the first part, if one did.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
