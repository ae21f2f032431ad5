//! User info and query of addresses: `https://USER:PASSWORD@host/path?QUERY`.

use std::ops::Range;

/// What is hidden of the addresses in a text. Too much rather than too little: whatever stands before the last `@` of an
/// address is taken for its user info, since a password that was not encoded may hold anything.
pub(super) fn hidden(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("://").map(|at| from + at) {
        let begin = at + "://".len();
        let end = end_of(text, at, begin);
        let word_end = text[begin..end].find(char::is_whitespace).map_or(end, |at| begin + at);
        if let Some(user_info) = text[begin..end].rfind('@') {
            ranges.push(begin..begin + user_info);
        } else if has_password(&text[begin..word_end]) {
            ranges.push(begin..word_end);
        }
        if let Some(query) = text[begin..word_end].find('?') {
            ranges.push(begin + query + 1..word_end);
        }
        from = end;
    }
    ranges
}

/// Whether what stands behind a host's colon is no port: a password, and the `@` behind it is missing.
fn has_password(rest: &str) -> bool {
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let port = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map_or("", |(_, port)| port);
    port.contains(|c: char| c.is_ascii_alphabetic())
}

/// Where an address ends at the latest: at the quote that it stands in, else at the end of its line.
fn end_of(text: &str, separator: usize, begin: usize) -> usize {
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let before = text[..separator].trim_end_matches(is_scheme).chars().next_back();
    let is_end = |c: char| c == '\n' || before.filter(|c| "\"'`".contains(*c)) == Some(c);
    text[begin..].find(is_end).map_or(text.len(), |end| begin + end)
}
