//! Files that are not UTF-8: UTF-16 as spreadsheets save it, and the Windows code page of older programs.

use std::io::{self, Cursor, Read};

const CHUNK: usize = 1 << 14;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    /// Two bytes a letter, the high one first or last.
    Utf16 {
        high_first: bool,
    },
    /// Windows-1252, of which Latin-1 is a part.
    Windows,
}

impl Encoding {
    /// UTF-16 by its mark or its zeros, else UTF-8.
    fn by_pairs(head: &[u8]) -> Encoding {
        // ASCII in two bytes a letter: each second byte is zero.
        let zeros = |from: usize| head.iter().skip(from).step_by(2).take(64).filter(|byte| **byte == 0).count();
        match head {
            [0xff, 0xfe, ..] => Encoding::Utf16 { high_first: false },
            [0xfe, 0xff, ..] => Encoding::Utf16 { high_first: true },
            _ if head.len() < 16 || zeros(0) == zeros(1) => Encoding::Utf8,
            _ if zeros(1) > 40.min(head.len() / 3) && zeros(0) == 0 => Encoding::Utf16 { high_first: false },
            _ if zeros(0) > 40.min(head.len() / 3) && zeros(1) == 0 => Encoding::Utf16 { high_first: true },
            _ => Encoding::Utf8,
        }
    }

    /// The encoding that the first bytes of a file show.
    pub(super) fn of(head: &[u8]) -> Encoding {
        match Encoding::by_pairs(head) {
            Encoding::Utf8 if is_windows(head) => Encoding::Windows,
            encoding => encoding,
        }
    }

    pub(super) fn decode(self, source: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        match self {
            Encoding::Utf8 => source,
            Encoding::Utf16 { .. } | Encoding::Windows => {
                Box::new(Decoded { encoding: self, source, unread: Vec::new(), text: Cursor::default() })
            }
        }
    }

    /// What a note calls it; nothing for the usual one.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Utf8 => None,
            Encoding::Utf16 { .. } => Some("UTF-16"),
            Encoding::Windows => Some("Windows-1252"),
        }
    }
}

struct Decoded<R> {
    encoding: Encoding,
    source: R,
    /// Bytes that are the beginning of a letter.
    unread: Vec<u8>,
    text: Cursor<Vec<u8>>,
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let given = self.text.read(out)?;
            if given > 0 || out.is_empty() {
                return Ok(given);
            }
            let begun = self.unread.len();
            self.unread.resize(begun + CHUNK, 0);
            let read = self.source.read(&mut self.unread[begun..]);
            self.unread.truncate(begun + read.as_ref().map_or(0, |length| *length));
            let is_end = read? == 0;
            self.text = Cursor::new(self.decode(is_end).into_bytes());
            if is_end && self.text.get_ref().is_empty() {
                return Ok(0);
            }
        }
    }
}

impl<R> Decoded<R> {
    fn decode(&mut self, is_end: bool) -> String {
        match self.encoding {
            // UTF-8 is passed on as it is.
            Encoding::Utf8 | Encoding::Windows => self.unread.drain(..).map(windows_1252).collect(),
            Encoding::Utf16 { high_first } => {
                let unit = |pair: &[u8]| match high_first {
                    true => u16::from_be_bytes([pair[0], pair[1]]),
                    false => u16::from_le_bytes([pair[0], pair[1]]),
                };
                let mut length = self.unread.len() / 2 * 2;
                // The second half of a letter outside the basic plane may be still to come.
                let is_half = length >= 2 && (0xd800..0xdc00).contains(&unit(&self.unread[length - 2..length]));
                if is_half && !is_end {
                    length -= 2;
                }
                let units = self.unread[..length].chunks_exact(2).map(unit);
                let letters =
                    char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
                self.unread.drain(..length);
                letters
            }
        }
    }
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

/// The letter of a byte of Windows-1252; the five that it does not have are those of Latin-1.
fn windows_1252(byte: u8) -> char {
    const FROM_80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => FROM_80[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, high_first: bool) -> Vec<u8> {
        let bytes = |unit: u16| if high_first { unit.to_be_bytes() } else { unit.to_le_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    }

    fn decoded(encoding: Encoding, bytes: Vec<u8>) -> String {
        let mut text = String::new();
        encoding.decode(Box::new(io::Cursor::new(bytes))).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn two_bytes_a_letter_are_known_with_a_mark_and_without() {
        let text = "Zeit;Temperatur °C;🌱\r\n".repeat(3000);
        for high_first in [true, false] {
            for mark in ["", "\u{feff}"] {
                let bytes = utf16(&format!("{mark}{text}"), high_first);
                assert_eq!(Encoding::of(&bytes), Encoding::Utf16 { high_first });
                assert_eq!(decoded(Encoding::of(&bytes), bytes), format!("{mark}{text}"));
            }
        }
        for plain in ["", "time,sensor,value\n2026-01-01T00:00:00Z,a,1\n", "a\0b\0", &"é,ü\n".repeat(20)] {
            assert_eq!(Encoding::of(plain.as_bytes()), Encoding::Utf8, "{plain:?}");
        }
    }

    #[test]
    fn the_code_page_of_older_programs() {
        assert_eq!(decoded(Encoding::Windows, b"Au\xdfen (\xb0C) \x80".to_vec()), "Außen (°C) €");
    }
}
