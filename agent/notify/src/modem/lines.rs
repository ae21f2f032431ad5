//! Lines and prompts in the bytes of a modem. Any bytes are taken, and memory is bounded. Pure.

/// Longest line that is kept: a PDU of the longest SMS with its service centre has 352 digits.
const MAX_LINE: usize = 512;

/// What a modem says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A line that is not empty, without its end.
    Line(String),
    /// `> `: the modem waits for a message.
    Prompt,
}

/// Bytes of a line that has not ended.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// The line is longer than any that a modem says; the rest of it is dropped.
    is_too_long: bool,
}

impl Lines {
    /// Takes a byte; returns what it ends.
    pub(super) fn push(&mut self, byte: u8) -> Option<Said> {
        match byte {
            b'\r' | b'\n' => self.end(),
            // A prompt has no end of line, and nothing else begins like it.
            b' ' if self.line == b">" => {
                self.line.clear();
                Some(Said::Prompt)
            }
            _ if self.line.len() >= MAX_LINE => {
                self.is_too_long = true;
                None
            }
            _ => {
                self.line.push(byte);
                None
            }
        }
    }

    fn end(&mut self) -> Option<Said> {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_too_long) {
            return None;
        }
        let line = String::from_utf8_lossy(&line).trim_matches(|c: char| c.is_control() || c == ' ').to_owned();
        (!line.is_empty()).then_some(Said::Line(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> Vec<Said> {
        let mut lines = Lines::default();
        bytes.iter().filter_map(|byte| lines.push(*byte)).collect()
    }

    #[test]
    fn lines_and_prompts_are_found_wherever_the_bytes_are_split() {
        let line = |text: &str| Said::Line(text.to_owned());
        assert_eq!(said(b"\r\nOK\r\n\r\n+CREG: 0,1\r\n"), [line("OK"), line("+CREG: 0,1")]);
        assert_eq!(said(b"AT+CMGS=20\r\r\n> 0011\x1a\r\n"), [line("AT+CMGS=20"), Said::Prompt, line("0011")]);
        assert_eq!(said(b"\0\xff\x1b \r"), [line("\u{fffd}")]);
        let long = [vec![b'x'; 5000], b"\r\nOK\r".to_vec()].concat();
        assert_eq!(said(&long), [line("OK")]);
    }
}
