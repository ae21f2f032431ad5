//! User info, path and query of addresses: `https://USER:PASSWORD@host/PATH?QUERY`. The path of a webhook is the key to it, and
//! no form tells such a path from another, so scheme, host and port are all that is shown of an address.

use std::ops::Range;

use super::token::is_token;

/// The addresses in a text.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// The hidden parts.
    pub(super) hidden: Vec<Range<usize>>,
    /// Each from its `://` to its end, rising and apart.
    pub(super) spans: Vec<Range<usize>>,
}

impl Addresses {
    /// Finds the addresses in a text. Hides too much rather than too little: everything before the last `@` of an address is taken for its
    /// user info, since a password that was not encoded may hold anything; unless what stands before its path is a host by itself.
    pub(super) fn of(text: &str) -> Addresses {
        let mut found = Addresses::default();
        let mut from = 0;
        while let Some(at) = text[from..].find("://").map(|at| from + at) {
            let begin = at + "://".len();
            let (end, is_quoted) = end_of(text, at, begin);
            let word_end = text[begin..end].find(char::is_whitespace).map_or(end, |at| begin + at);
            let is_punctuation = |c| ",;:.)]}".contains(c);
            let last =
                if is_quoted { end } else { begin + text[begin..word_end].trim_end_matches(is_punctuation).len() };
            // Behind what is no scheme stands no host.
            let next = if text[..at].ends_with(|c: char| c.is_ascii_alphanumeric()) {
                found.address(text, begin..end, word_end, last)
            } else {
                found.hidden.push(begin..last.max(begin));
                last.max(begin)
            };
            found.spans.push(at..next);
            from = next;
        }
        found
    }

    /// Hides parts of the address in a range, which ends at `last` where it has no user info; where to go on.
    fn address(&mut self, text: &str, range: Range<usize>, word_end: usize, last: usize) -> usize {
        let Range { start: begin, end } = range;
        let in_path = |at: &usize| is_host(before_path(&text[begin..begin + at]));
        let user_info = text[begin..end].rfind('@').filter(|at| !in_path(at));
        if user_info.is_none() && has_password(&text[begin..word_end]) {
            self.hidden.push(begin..word_end);
            return end;
        }
        self.hidden.extend(user_info.map(|at| begin..begin + at));
        let host = user_info.map_or(begin, |at| begin + at + 1);
        // A password with a blank in it: the address goes on behind it.
        let last =
            if last >= host { last } else { host + text[host..end].find(char::is_whitespace).unwrap_or(end - host) };
        let path = host + before_path(&text[host..last]).len();
        if is_token(&text[host..path]) {
            self.hidden.push(host..path);
        }
        let shown = text[path..last].len() - text[path..last].trim_start_matches(['/', '?', '#']).len();
        self.hidden.push(path + shown..last);
        last.max(begin)
    }
}

/// Host and port of an address without its scheme.
fn before_path(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// Whether a text cannot be the beginning of somebody's name and password.
fn is_host(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.contains('.') && text.split('.').all(|part| !part.is_empty() && part.chars().all(is_part))
}

/// Whether what stands behind a host's colon is no port: a password, and the `@` behind it is missing.
fn has_password(rest: &str) -> bool {
    let host = before_path(rest);
    let port = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map_or("", |(_, port)| port);
    port.contains(|c: char| c.is_ascii_alphabetic())
}

/// Last byte that can belong to an address: before the quote that closes it, else at the end of its line; and whether it
/// stands in quotes.
fn end_of(text: &str, separator: usize, begin: usize) -> (usize, bool) {
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let before = text[..separator].trim_end_matches(is_scheme).chars().next_back();
    let quote = before.filter(|c| "\"'`".contains(*c));
    let is_end = |c: char| c == '\n' || quote == Some(c);
    (text[begin..].find(is_end).map_or(text.len(), |end| begin + end), quote.is_some())
}
