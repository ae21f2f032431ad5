//! Turns the bytes of a line into text: old encodings, escapes of terminals, and what logs put around a value. Pure.

use super::reasons;
use crate::sense::bus::health::Reason;

/// The text of a line without ANSI escapes. Degree, micro and powers in Latin-1, DOS and display codes are read; any other byte that
/// is not UTF-8 is noise.
///
/// # Errors
/// The line is not text.
pub(super) fn clean(line: &[u8], text: &mut String) -> Result<(), Reason> {
    lossy(line, text);
    let has_noise = text.chars().any(|c| c == char::REPLACEMENT_CHARACTER || (c.is_control() && c != '\t'));
    if has_noise {
        return Err(reasons::NOT_TEXT);
    }
    if !text.is_ascii() {
        with_minus(text);
    }
    if text.contains("&deg;") {
        *text = text.replace("&deg;", "°");
    }
    if let Some(state) = logged_state(text) {
        *text = state;
    }
    // A tab at an end may part cells.
    let is_blank = |c: char| c.is_whitespace() && c != '\t';
    let end = text.trim_end_matches(is_blank).len();
    text.truncate(end);
    text.drain(..text.len() - text.trim_start_matches(is_blank).len());
    if text.contains('=') {
        part_queries(text);
    }
    Ok(())
}

/// `&` between pairs, as in what is posted to a server, is a blank: `t=21.5&h=55`.
fn part_queries(text: &mut String) {
    let is_parting = |(at, _): &(usize, &str)| {
        let (before, behind) = (&text[..*at], &text[at + 1..]);
        let is_end = |c: Option<char>| c.is_none_or(char::is_whitespace);
        !is_end(before.chars().next_back()) && !is_end(behind.chars().next())
    };
    let found: Vec<usize> = text.match_indices('&').filter(is_parting).map(|(at, _)| at).collect();
    found.into_iter().for_each(|at| text.replace_range(at..=at, " "));
}

pub(super) fn lossy(line: &[u8], text: &mut String) {
    text.clear();
    for chunk in line.utf8_chunks() {
        push_without_escapes(chunk.valid(), text);
        match chunk.invalid() {
            [] => {}
            [0xdf | 0xf8 | 0xba] => text.push('°'),
            [latin @ (0xb0 | 0xb2 | 0xb3 | 0xb5)] => text.push(char::from(*latin)),
            _ => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
}

/// Leaves out `ESC [ .. letter`, as terminals are told colours.
fn push_without_escapes(mut part: &str, text: &mut String) {
    while let Some((before, escape)) = part.split_once("\u{1b}[") {
        text.push_str(before);
        let end = escape.find(|c: char| ('@'..='~').contains(&c)).map_or(escape.len(), |end| end + 1);
        part = &escape[end..];
    }
    text.push_str(part);
}

/// Signs that are printed for a minus become one: `−5.2`, `–5.2`.
fn with_minus(text: &mut String) {
    for dash in ['\u{2212}', '\u{2013}', '\u{2011}'] {
        let is_minus = |at: usize| text[at + dash.len_utf8()..].starts_with(|c: char| c.is_ascii_digit() || c == '.');
        let found: Vec<usize> = text.match_indices(dash).map(|(at, _)| at).filter(|at| is_minus(*at)).collect();
        found.into_iter().rev().for_each(|at| text.replace_range(at..at + dash.len_utf8(), "-"));
    }
}

/// ESPHome's log of a sensor as label and value: `[D][sensor:094]: 'Air': Sending state 21.6 °C with 1 decimals of accuracy`.
fn logged_state(text: &str) -> Option<String> {
    let (before, state) = text.split_once("': Sending state ").or_else(|| text.split_once("' >> "))?;
    let (_, name) = before.rsplit_once('\'')?;
    let value = state.split_once(" with ").map_or(state, |(value, _)| value);
    Some(format!("{name}: {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_meant() {
        for (bytes, expected) in [
            (&b"t: 24.3\xb0C "[..], "t: 24.3°C"),
            (b"t: 24.3\xdfC", "t: 24.3°C"),
            (b"t=24.3&deg;C", "t=24.3°C"),
            (b"\x1b[0;36mt=1\x1b[0m", "t=1"),
            ("t: −5.2".as_bytes(), "t: -5.2"),
            ("a – b: 5".as_bytes(), "a – b: 5"),
            (b"[D][sensor:094]: 'Air': Sending state 21.60000  with 2 decimals of accuracy", "Air: 21.60000"),
            (b"[03:21:52][D][sensor:094]: 'Air' >> 55 %", "Air: 55 %"),
        ] {
            let mut text = String::new();
            clean(bytes, &mut text).unwrap();
            assert_eq!(text, expected);
        }
        assert_eq!(clean(b"t: \xff5", &mut String::new()), Err(reasons::NOT_TEXT));
    }
}
