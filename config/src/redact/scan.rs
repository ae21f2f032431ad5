//! Finds the values of secrets in a text that may be no TOML at all: line by line, and too much rather than too little.

use std::ops::Range;

use super::behind_scheme;
use super::keys::{KeyContext, names_address, names_secret};
use super::{is_name, merged};

/// The bytes of a text that are, or may be, values of keys that name a secret.
#[derive(Debug, Default)]
pub(crate) struct SecretSpans(Vec<Range<usize>>);

impl SecretSpans {
    /// Scans a text.
    pub(crate) fn of(text: &str) -> SecretSpans {
        let mut scan = Scan { text, within: KeyContext::Top, open: None, found: Vec::new() };
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            scan.line(at..at + line.trim_end_matches(['\n', '\r']).len());
            at += line.len();
        }
        SecretSpans(merged(scan.found))
    }

    /// Whether there is any.
    pub(crate) fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether some bytes have a hidden one among them.
    pub(crate) fn touches(&self, span: &Range<usize>) -> bool {
        let next = self.0.partition_point(|range| range.end <= span.start);
        self.0.get(next).is_some_and(|range| range.start < span.end.max(span.start + 1))
    }

    pub(super) fn into_ranges(self) -> Vec<Range<usize>> {
        self.0
    }
}

/// A value that continues in the next line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// Up to these quotes.
    Quotes(&'static str),
    /// Ends when this many brackets are closed.
    Brackets(usize),
    /// A quote was not closed in its line: the rest of the secret may stand in the next ones.
    Broken(char),
    /// No value stood behind the sign.
    Missing,
}

struct Scan<'a> {
    text: &'a str,
    /// The table that the last header named.
    within: KeyContext,
    open: Option<Open>,
    found: Vec<Range<usize>>,
}

impl Scan<'_> {
    fn line(&mut self, line: Range<usize>) {
        let rest = match self.open.take() {
            None => line,
            Some(open) => match self.go_on(open, &line) {
                Some(at) => at..line.end,
                None => return,
            },
        };
        let is_header = self.text[rest.clone()].trim_start().starts_with('[');
        if is_header {
            self.header(&rest);
        }
        self.pairs(&rest);
        self.phrases(&rest, is_header);
    }

    /// Hides what of a line belongs to the value before it; where the rest begins, if there is any.
    fn go_on(&mut self, open: Open, line: &Range<usize>) -> Option<usize> {
        let words = &self.text[line.clone()];
        let is_blank = words.trim().is_empty();
        let end = match open {
            Open::Quotes(quotes) => match words.find(quotes) {
                Some(at) => {
                    // What seems to close it may as well open the next one, where it was never closed.
                    self.pairs(line);
                    if self.open.is_some() {
                        self.found.push(line.clone());
                        return None;
                    }
                    Some(line.start + at + quotes.len())
                }
                None => None,
            },
            Open::Brackets(depth) => match closing(words, depth) {
                Ok(at) => Some(line.start + at),
                Err(depth) => {
                    self.open = Some(Open::Brackets(depth));
                    self.found.push(line.clone());
                    return None;
                }
            },
            Open::Missing | Open::Broken(_) if is_header(words) => return Some(line.start),
            Open::Missing if !is_blank => Some(line.end),
            Open::Broken(_) if is_blank => return Some(line.start),
            // One more line, and then only what is no pair by itself; it may as well be one with a secret of its own.
            Open::Broken(quote) if words.matches(quote).count() % 2 == 1 || words.contains('=') => {
                self.pairs(line);
                self.found.push(line.clone());
                return None;
            }
            Open::Missing | Open::Broken(_) => None,
        };
        self.found.push(line.start..end.unwrap_or(line.end));
        if end.is_none() {
            self.open = Some(open);
        }
        end
    }

    /// A header, and what in it stands behind a key that names a secret.
    fn header(&mut self, line: &Range<usize>) {
        let words = &self.text[line.clone()];
        let open = words.find(|c| c != '[' && c != ' ' && c != '\t').unwrap_or(words.len());
        let close = words[open..].find([']', '#']).map_or(words.len(), |at| open + at);
        self.within = KeyContext::Top;
        for key in keys(&words[open..close]) {
            if self.within == KeyContext::Secret {
                self.found.push(line.start + open + key.start..line.start + close);
                return;
            }
            self.within = self.within.step(unquoted(&words[open..close][key]), true);
        }
    }

    /// `key = value` and `key: value`, wherever in a line.
    fn pairs(&mut self, line: &Range<usize>) {
        let mut at = line.start;
        while let Some(sign) = self.text[at..line.end].find(['=', ':']).map(|found| at + found) {
            at = sign + 1;
            let before = &self.text[line.start..sign];
            let Some(key) = key_before(before) else { continue };
            let mut within = self.within;
            let mut parts = keys(key).peekable();
            while let Some(part) = parts.next() {
                let is_table = parts.peek().is_some() || self.text[at..line.end].trim_start().starts_with('{');
                within = within.step(unquoted(&key[part]), is_table);
            }
            if within == KeyContext::Secret {
                at = self.value(at, line);
            } else if names_address(unquoted(key.rsplit('.').next().unwrap_or(key))) {
                self.address(sign, line.end);
            }
        }
    }

    /// Hides user info and path of the address behind a sign, which may have no scheme, no quotes, and blanks in it.
    fn address(&mut self, sign: usize, end: usize) {
        let begin = sign + 1;
        let rest = &self.text[begin..end];
        self.found.extend(rest.rfind('@').map(|user_info| begin..begin + user_info));
        // `host:cpu_temp` is an input.
        let is_value = self.text[sign..].starts_with('=') || !rest.starts_with(char::is_alphanumeric);
        let host = behind_scheme(rest).unwrap_or(0);
        if let Some(path) = rest[host..].find(['/', '?']).filter(|_| is_value) {
            self.found.push(begin + host + path + 1..end);
        }
    }

    /// Hides the value that begins behind a sign; where it ends.
    fn value(&mut self, from: usize, line: &Range<usize>) -> usize {
        let words = &self.text[from..line.end];
        let begin = from + (words.len() - words.trim_start().len());
        let words = &self.text[begin..line.end];
        let is_in_table = self.text[line.start..from].contains('{');
        let end = match words.chars().next() {
            None | Some('#') => {
                self.open = Some(Open::Missing);
                line.end
            }
            Some('"' | '\'') if words.starts_with("\"\"\"") || words.starts_with("'''") => {
                let quotes = if words.starts_with('"') { "\"\"\"" } else { "'''" };
                match words[3..].find(quotes) {
                    Some(at) => begin + at + 6,
                    None => {
                        self.open = Some(Open::Quotes(quotes));
                        line.end
                    }
                }
            }
            Some(quote @ ('"' | '\'')) => match quoted(words, quote) {
                Some(end) if follows_well(&words[end..], is_in_table) => match is_name(&words[1..end - 1]) {
                    true => return begin + end,
                    false => begin + end,
                },
                Some(_) => line.end,
                None => {
                    self.open = Some(Open::Broken(quote));
                    line.end
                }
            },
            Some('[' | '{') => match closing(words, 0) {
                Ok(at) => begin + at,
                Err(depth) => {
                    self.open = Some(Open::Brackets(depth));
                    line.end
                }
            },
            // Without quotes nothing says where it ends.
            Some(_) => line.end,
        };
        self.found.push(begin..end);
        end
    }

    /// `password is hunter2`: a word that names a secret, outside of quotes, and no sign behind it.
    fn phrases(&mut self, line: &Range<usize>, is_header: bool) {
        let (mut quote, mut is_comment) = (None, false);
        let words = &self.text[line.clone()];
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let mut at = 0;
        while let Some(c) = words[at..].chars().next() {
            if !is_comment && quote.is_none() && c == '#' {
                is_comment = true;
            } else if !is_comment && (c == '"' || c == '\'') && quote.is_none_or(|quote| quote == c) {
                quote = if quote.is_none() { Some(c) } else { None };
            } else if is_part(c) {
                let end = words[at..].find(|c| !is_part(c)).map_or(words.len(), |end| at + end);
                let after = &words[end..];
                let begins = after.starts_with([' ', '\t']) || !is_header;
                let mut next = after.trim_start().chars();
                let is_phrase = begins
                    && next.next().is_some_and(|first| match first {
                        // A sentence goes on; a secret may begin so.
                        ',' => next.next().is_some_and(|second| !second.is_whitespace()),
                        first => !"=:)]}".contains(first),
                    });
                if quote.is_none() && is_phrase && names_secret(&words[at..end]) {
                    self.found.push(line.start + end..line.end);
                    return;
                }
                at = end;
                continue;
            }
            at += c.len_utf8();
        }
    }
}

/// The comments of a TOML text in which nothing is wrong.
pub(super) fn comments(text: &str) -> Vec<Range<usize>> {
    let mut comments = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find(['#', '"', '\'']).map(|found| at + found) {
        let rest = &text[found..];
        let length = match rest.chars().next() {
            Some('#') => rest.find('\n').unwrap_or(rest.len()),
            Some(quote) if rest.starts_with(&String::from(quote).repeat(3)) => {
                let close = String::from(quote).repeat(3);
                let closed = rest[3..].find(&close).map_or(rest.len(), |end| 3 + end + 3);
                // Up to two more quotes may belong to the text itself.
                closed + rest[closed..].bytes().take(2).take_while(|byte| *byte == quote as u8).count()
            }
            Some(quote) => quoted(rest, quote).unwrap_or(rest.len()),
            None => rest.len(),
        };
        if rest.starts_with('#') {
            comments.push(found..found + length);
        }
        at = found + length;
    }
    comments
}

/// Whether a line is the header of a table.
fn is_header(words: &str) -> bool {
    let words = words.trim();
    words.starts_with('[') && words.split('#').next().is_some_and(|words| words.trim_end().ends_with(']'))
}

/// The key that ends a text, dotted or quoted.
fn key_before(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let begin = match text.chars().next_back()? {
        quote @ ('"' | '\'') => text[..text.len() - 1].rfind(quote)?,
        _ => text.len(),
    };
    let is_part = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let begin = text[..begin].trim_end_matches(is_part).len();
    Some(&text[begin..]).filter(|key| !key.is_empty())
}

/// The parts of a dotted key, each with the quotes around it.
fn keys(dotted: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= dotted.len() {
            return None;
        }
        let begin = at;
        let quote = dotted[begin..].trim_start().chars().next().filter(|first| matches!(first, '"' | '\''));
        let skip = dotted[begin..].len() - dotted[begin..].trim_start().len();
        let closed =
            quote.and_then(|quote| quoted(&dotted[begin + skip..], quote)).map_or(begin, |end| begin + skip + end);
        let end = dotted[closed..].find('.').map_or(dotted.len(), |end| closed + end);
        at = end + 1;
        Some(begin..end)
    })
}

fn unquoted(key: &str) -> &str {
    key.trim().trim_matches(['"', '\''])
}

/// End of a text in quotes, behind the quote that closes it.
fn quoted(words: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in words.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if quote == '"' => is_escaped = true,
            _ if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Whether only what may follow a value follows: another pair only in an inline table, elsewhere a secret may go on after a comma.
fn follows_well(rest: &str, is_in_table: bool) -> bool {
    let rest = rest.trim_start();
    rest.is_empty()
        || rest.starts_with(['}', ']', '#'])
        || is_in_table && rest.strip_prefix(',').is_some_and(|rest| !rest.trim().is_empty())
}

/// Byte at which all brackets of a text are closed, `depth` being open before; else the number that is open at its end.
fn closing(words: &str, mut depth: usize) -> Result<usize, usize> {
    let mut quote = None;
    for (at, c) in words.char_indices() {
        match (quote, c) {
            (Some(open), _) => {
                if c == open {
                    quote = None;
                }
            }
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Ok(at + 1);
                }
            }
            (None, _) => {}
        }
    }
    Err(depth.max(1))
}

#[cfg(test)]
mod tests;
