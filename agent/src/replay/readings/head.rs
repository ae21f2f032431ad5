//! The first part of a recording, looked into before it is read: enough to know how the file is written.

use std::io::{self, Cursor, Read};

use memchr::memchr_iter;

/// Bytes that are looked into: some hundred lines of twenty columns.
const HEAD_BYTES: usize = 1 << 16;

/// A header of many columns may be longer; two of the longest lines are seen whole.
const MOST_BYTES: usize = 3 << 20;

/// Lines are wanted until then, so that there is data below the header.
const MIN_LINES: usize = 20;

/// The first part of a source.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    /// Whether this is all there is.
    pub(super) is_whole: bool,
    /// What ended the first part before its end.
    pub(super) error: Option<io::Error>,
}

impl Head {
    /// Reads the first part; an error comes after what was read before it.
    pub(super) fn read(source: &mut impl Read) -> Head {
        let mut head = Head::default();
        loop {
            let wanted = if head.bytes.len() < HEAD_BYTES { HEAD_BYTES } else { 2 * head.bytes.len() };
            let missing = (wanted - head.bytes.len()) as u64;
            match source.by_ref().take(missing).read_to_end(&mut head.bytes) {
                Ok(_) if head.bytes.len() < wanted => head.is_whole = true,
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

/// Nothing, or the error that ended the first part.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
