//! From a line to its fields, quoted or not.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use super::is_blank;
use super::report::Reason;

/// The fields of one line, kept from line to line for their memory.
pub(super) struct Fields {
    separator: u8,
    places: Vec<Range<usize>>,
    /// Whether the line has quotes; its fields then lie in `unquoted`, else in the line itself.
    quoted: bool,
    unquoted: Vec<u8>,
}

impl Fields {
    /// For lines with this separator between their cells.
    pub(super) fn of(separator: u8) -> Fields {
        Fields { separator, places: Vec::new(), quoted: false, unquoted: Vec::new() }
    }

    /// Finds the first `width` fields of a line; a quoted one must end, wherever it stands. What follows them must be empty.
    pub(super) fn split(&mut self, line: &[u8], width: usize) -> Result<(), Reason> {
        self.places.clear();
        self.quoted = memchr(b'"', line).is_some();
        if self.separator == b' ' && !self.quoted {
            return self.split_at_blanks(line, width);
        }
        if self.quoted {
            return self.split_quoted(line, width);
        }
        let mut start = 0;
        for comma in memchr_iter(self.separator, line).take(width) {
            self.places.push(start..comma);
            start = comma + 1;
        }
        if self.places.len() < width {
            self.places.push(start..line.len());
            return Ok(());
        }
        // Commas at the end of a line cost nothing: spreadsheets leave them there.
        let more = line[start..].trim_ascii_end();
        let more = &more[..more
            .iter()
            .rposition(|byte| *byte != self.separator && !matches!(byte, b' ' | b'\t'))
            .map_or(0, |last| last + 1)];
        if more.is_empty() {
            Ok(())
        } else {
            Err(too_many(width + memchr_iter(self.separator, more).count() + 1, width))
        }
    }

    /// However many blanks stand between two fields.
    fn split_at_blanks(&mut self, line: &[u8], width: usize) -> Result<(), Reason> {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let mut at = 0;
        let mut count = 0;
        while let Some(start) = line[at..].iter().position(|byte| !is_blank(byte)).map(|start| at + start) {
            at = line[start..].iter().position(is_blank).map_or(line.len(), |end| start + end);
            count += 1;
            if count <= width {
                self.places.push(start..at);
            }
        }
        if count > width { Err(too_many(count, width)) } else { Ok(()) }
    }

    fn split_quoted(&mut self, line: &[u8], width: usize) -> Result<(), Reason> {
        self.unquoted.clear();
        let mut rest = Some(line);
        let (mut cells, mut filled) = (0, 0);
        while let Some(line) = rest {
            let start = self.unquoted.len();
            rest = unquote_field(line, self.separator, &mut self.unquoted)?;
            cells += 1;
            if cells <= width {
                self.places.push(start..self.unquoted.len());
            } else if !is_blank(&self.unquoted[start..]) {
                filled = cells;
            }
        }
        if filled > width { Err(too_many(filled, width)) } else { Ok(()) }
    }

    /// How many fields the line that was split last has, of those that were looked for.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// A field of the line that was split last, without surrounding blanks.
    pub(super) fn get<'a>(&'a self, line: &'a [u8], index: usize) -> Option<&'a [u8]> {
        let text = if self.quoted { &self.unquoted } else { line };
        self.places.get(index).map(|field| text[field.clone()].trim_ascii())
    }
}

fn too_many(cells: usize, header: usize) -> Reason {
    Reason::TooManyCells(Some((cells, header)))
}

/// Appends the first field of `line` to `text`; returns what follows its separator, or nothing at the last one.
fn unquote_field<'a>(line: &'a [u8], separator: u8, text: &mut Vec<u8>) -> Result<Option<&'a [u8]>, Reason> {
    let blanks = line.iter().take_while(|byte| **byte != separator && byte.is_ascii_whitespace()).count();
    let Some(mut quoted) = line[blanks..].strip_prefix(b"\"") else {
        let (field, rest) = split_at(separator, line);
        text.extend_from_slice(field);
        return Ok(rest);
    };
    loop {
        let end = memchr(b'"', quoted).ok_or(Reason::OpenQuote)?;
        text.extend_from_slice(&quoted[..end]);
        quoted = &quoted[end + 1..];
        let Some(after_doubled) = quoted.strip_prefix(b"\"") else { break };
        text.push(b'"');
        quoted = after_doubled;
    }
    let (after, rest) = split_at(separator, quoted);
    if is_blank(after) { Ok(rest) } else { Err(Reason::TextAfterQuote) }
}

fn split_at(separator: u8, line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr(separator, line) {
        Some(comma) => (&line[..comma], Some(&line[comma + 1..])),
        None => (line, None),
    }
}
