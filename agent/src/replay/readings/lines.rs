//! From bytes, packed or not, to physical lines.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use flate2::read::MultiGzDecoder;
use memchr::memrchr;

use super::report::EXCERPT_BYTES;

/// A longer line is bad and skipped, so that a file without line ends cannot fill the memory.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;
/// What is read at once. A corrupt gzip stream needs 32 KiB, the reach of its look-back, to give up all that came before the fault.
const READ_BYTES: usize = 1 << 16;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One physical line, without its end.
pub(super) enum Line {
    /// Place of the line in the buffer.
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

/// Unpacks a source that begins with the magic bytes of gzip, of one member or several.
pub(crate) fn unpack(mut source: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = Vec::new();
    source.by_ref().take(2).read_to_end(&mut magic)?;
    let packed = magic == [0x1f, 0x8b];
    let whole = io::Cursor::new(magic).chain(source);
    Ok(if packed { Box::new(Unpacked { gzip: MultiGzDecoder::new(whole), broken: None }) } else { Box::new(whole) })
}

/// A gzip stream that, where it is corrupt, still gives the whole lines before that.
struct Unpacked<R> {
    gzip: MultiGzDecoder<R>,
    broken: Option<io::Error>,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        // A read that fails does not say how much it has written before: a line end tells.
        out.fill(0);
        self.gzip.read(out).or_else(|error| {
            let Some(end) = memrchr(b'\n', out) else { return Err(error) };
            self.broken = Some(error);
            Ok(end + 1)
        })
    }
}
