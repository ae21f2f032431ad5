//! From bytes, packed or not, to physical lines.

use std::io::{self, Read};
use std::ops::Range;

use flate2::read::MultiGzDecoder;
use memchr::{memchr, memrchr};

use super::report::EXCERPT_BYTES;

/// A longer line is bad and skipped, so that a file without line ends cannot fill the memory.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;
/// Room for every read. A corrupt gzip stream needs 32 KiB of it, the reach of its look-back, to give
/// up all that came before the fault.
const READ_BYTES: usize = 1 << 15;
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
    source: Box<dyn Read + Send>,
    pub(super) buffer: Vec<u8>,
    /// What has been read and not yet handed out.
    unread: Range<usize>,
    ended: bool,
    /// How many lines have been handed out.
    pub(super) number: u64,
}

impl Lines {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Lines {
        Lines { source, buffer: vec![0; 2 * READ_BYTES], unread: 0..0, ended: false, number: 0 }
    }

    /// The next line; an error ends the source, and the piece of a line before it is no line.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let line = self.cut()?;
        self.number += u64::from(line.is_some());
        Ok(line)
    }

    fn cut(&mut self) -> io::Result<Option<Line>> {
        let mut searched = 0;
        loop {
            let held = &self.buffer[self.unread.clone()];
            if let Some(found) = memchr(b'\n', &held[searched..]) {
                return Ok(Some(self.take(searched + found, 1)));
            }
            searched = held.len();
            if searched > MAX_LINE_BYTES {
                let line = self.take(searched, 0);
                return self.skip_line_end().map(|()| Some(line));
            }
            if self.ended {
                return Ok((searched > 0).then(|| self.take(searched, 0)));
            }
            self.fill()?;
        }
    }

    /// Hands out the first `length` bytes and drops the line end behind them.
    fn take(&mut self, length: usize, line_end: usize) -> Line {
        let mut place = self.unread.start..self.unread.start + length;
        self.unread.start = place.end + line_end;
        let text = &self.buffer[place.clone()];
        if length > MAX_LINE_BYTES {
            return Line::TooLong(text[..EXCERPT_BYTES].to_vec());
        }
        if text.ends_with(b"\r") {
            place.end -= 1;
        }
        if self.number == 0 && text.starts_with(BYTE_ORDER_MARK) {
            place.start += BYTE_ORDER_MARK.len();
        }
        Line::Text(place)
    }

    /// Reads over what is left of a line, without holding it.
    fn skip_line_end(&mut self) -> io::Result<()> {
        loop {
            if let Some(found) = memchr(b'\n', &self.buffer[self.unread.clone()]) {
                self.unread.start += found + 1;
                return Ok(());
            }
            self.unread = 0..0;
            if self.ended {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// Reads once, behind what is unread. The buffer stays below twice the longest line.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        if self.buffer.len() - self.unread.end < READ_BYTES {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        match self.source.read(&mut self.buffer[self.unread.end..]) {
            Ok(length) => {
                self.ended = length == 0;
                self.unread.end += length;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => {
                self.ended = true;
                self.unread = 0..0;
                Err(error)
            }
        }
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
