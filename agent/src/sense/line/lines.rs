//! Splits bytes into lines, the same ones wherever the bytes are cut, in bounded memory.

use memchr::memchr2;

/// Longest line that is read, in bytes: far above a sketch with a hundred named values.
pub(crate) const MAX_LINE: usize = 8192;

/// What was found between two ends of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinePiece<'a> {
    /// A line, and whether it came before the first end of a line: then it is perhaps only the second half of one.
    Line(&'a [u8], bool),
    /// The beginning of a line longer than [`MAX_LINE`]; the rest of it is skipped.
    TooLong(&'a [u8]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    First,
    Whole,
    /// Inside a line that is too long.
    Skipping,
}

/// Collects bytes until a line ends with `\n`, `\r` or both.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    state: State,
}

impl Lines {
    /// The port was opened: the first line may have begun before.
    pub(super) fn reopen(&mut self) {
        self.buffer.clear();
        self.state = State::First;
    }

    /// Takes more bytes; calls `each` for every line that they end. Empty lines are none.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(LinePiece<'_>)) {
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            let (part, rest) = (&bytes[..end], &bytes[end + 1..]);
            self.collect(part, &mut each);
            match self.state {
                State::Skipping => {}
                _ if self.buffer.is_empty() => {}
                state => each(LinePiece::Line(&self.buffer, state == State::First)),
            }
            self.buffer.clear();
            self.state = State::Whole;
            bytes = rest;
        }
        self.collect(bytes, &mut each);
    }

    fn collect(&mut self, part: &[u8], each: &mut impl FnMut(LinePiece<'_>)) {
        if self.state == State::Skipping {
            return;
        }
        let left = MAX_LINE - self.buffer.len();
        self.buffer.extend_from_slice(&part[..part.len().min(left)]);
        if part.len() > left {
            each(LinePiece::TooLong(&self.buffer));
            self.buffer.clear();
            self.state = State::Skipping;
        }
    }
}
