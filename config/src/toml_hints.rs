//! Texts that are no TOML: which lines, how far the trouble reaches, and what was probably meant, in the words of a farm.

use std::ops::Range;

use crate::duration::parse_duration;
use crate::redact::SecretSpans;

/// The parser's message for a duplicate key.
const DUPLICATE: &str = "duplicate key";

/// Parts of the parser's messages for a text or list that is not closed.
const OPEN: [&str; 4] = ["array", "unclosed", "multi-line", "comma between"];

/// Quotes of letters and web pages.
const CURLY: [char; 8] = ['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{201a}', '\u{ab}', '\u{bb}'];

/// One place at which a text cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) at: Range<usize>,
    /// Bytes that cannot be read because of it; no other finding is made there.
    pub(crate) unreadable: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// Whether it is one line, without which the rest can be read.
    pub(crate) is_line: bool,
}

/// Turns a parser's errors into findings: one for each line, and none in text that an earlier one makes unreadable.
///
/// The text is one that may be shown; `hidden` says where in it a secret was.
pub(crate) fn broken(text: &str, hidden: &SecretSpans, errors: &[toml::de::Error]) -> Vec<SyntaxError> {
    let mut errors: Vec<(Range<usize>, &str)> =
        errors.iter().map(|error| (clamped(text, error.span().unwrap_or_default()), error.message())).collect();
    errors.sort_by_key(|(at, _)| at.start);
    let mut found: Vec<SyntaxError> = Vec::new();
    for (at, message) in errors {
        if found.last().is_some_and(|last| last.unreadable.contains(&at.start) || last.unreadable.end == at.start) {
            continue;
        }
        let line = line_of(text, at.start);
        let words = &text[line.clone()];
        let mistake = match () {
            () if message == DUPLICATE => None,
            () if hidden.touches(&line) && !words.trim_start().starts_with('[') => Some(Mistake::Secret),
            () => mistake(words),
        };
        let is_header = words.trim_start().starts_with('[');
        let is_open = matches!(mistake, None | Some(Mistake::Secret)) && OPEN.iter().any(|open| message.contains(open));
        let unreadable = match (is_open, is_header) {
            (true, false) => line.start..text.len(),
            // The name of such a table can be read, and so can what stands under it.
            (_, true) if matches!(mistake, Some(Mistake::Slash(_))) => line,
            (_, true) => line.start..text[line.end..].find("\n[").map_or(text.len(), |next| line.end + next),
            (false, false) => line,
        };
        let help = match mistake {
            _ if message == DUPLICATE => Some(match line_of_first(text, at.start) {
                Some(first) => format!("take out one of the two; the first is in line {first}"),
                None => "take out one of the two".to_owned(),
            }),
            _ if is_open && message.contains("array") => Some("a list that begins with [ ends with ]".to_owned()),
            mistake => mistake.map(Mistake::help),
        };
        let is_line = !is_open && !is_header && message != DUPLICATE;
        found.push(SyntaxError { at, unreadable, message: message.to_owned(), help, is_line });
    }
    found
}

fn clamped(text: &str, at: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(at.start.min(text.len()));
    start..text.ceil_char_boundary(at.end.min(text.len())).max(start)
}

/// The line that a byte is in, without its end.
fn line_of(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    start..text[at..].find('\n').map_or(text.len(), |newline| at + newline)
}

/// The line, counted from 1, where the heading or key was before that is there again at a byte; nothing where it was written
/// otherwise.
fn line_of_first(text: &str, at: usize) -> Option<usize> {
    let again = text[..at].matches('\n').count();
    let lines: Vec<&str> = text.lines().map(|line| line.split('#').next().unwrap_or(line).trim()).collect();
    let plain = |text: &str| text.replace(['"', '\'', ' ', '\t'], "");
    let key = |line: &str| line.split_once('=').map(|(key, _)| plain(key));
    let line = lines.get(again)?;
    if line.starts_with('[') {
        let first = lines[..again].iter().position(|other| other.starts_with('[') && plain(other) == plain(line))?;
        return Some(first + 1);
    }
    let wanted = key(line)?;
    let begins = lines[..again].iter().rposition(|other| other.starts_with('[')).map_or(0, |header| header + 1);
    let first = lines[begins..again].iter().position(|other| key(other).as_ref() == Some(&wanted))?;
    Some(begins + first + 1)
}

const NEEDS_QUOTES: &str = "a text needs quotes";

/// Frequent mistakes.
#[derive(Debug, PartialEq, Eq)]
enum Mistake {
    Curly,
    /// A name with a slash, quoted.
    Slash(String),
    /// A whole line as it should be, and what was wrong with it.
    Line(&'static str, String),
    /// A line with a secret in it, which is not shown.
    Secret,
}

impl Mistake {
    fn help(self) -> String {
        match self {
            Mistake::Curly => "only the plain quotes \" and ' are quotes".to_owned(),
            Mistake::Slash(quoted) => format!("a name with / needs quotes: {quoted}"),
            Mistake::Line(why, line) => format!("{why}: write {line}"),
            Mistake::Secret => {
                "a secret goes into the file secrets/NAME beside config.d, mode 0600, and \"secret:NAME\" here"
                    .to_owned()
            }
        }
    }
}

fn mistake(line: &str) -> Option<Mistake> {
    // A # in quotes ends no line, but then the rest of the line is quoted and of no interest here.
    let line = line.split('#').next().unwrap_or(line).trim();
    if line.contains(CURLY) {
        return Some(Mistake::Curly);
    }
    if let Some(header) = line.strip_prefix('[') {
        let name = header.trim_end_matches(']');
        return (name.contains('/') && !name.contains(['"', '\'']))
            .then(|| Mistake::Slash(format!("[{}]", quoted(name))));
    }
    let bare = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let Some((key, value)) = line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
        let (key, value) = line.split_once(':')?;
        let (key, value) = (key.trim().trim_matches('"'), value.trim().trim_end_matches(','));
        // A text may be anything, also a name and a password.
        let value = match meant(key, value) {
            Some((why, _)) if why == NEEDS_QUOTES => "\"..\"".to_owned(),
            meant => meant.map_or(value.to_owned(), |(_, value)| value),
        };
        return (bare(key) && !value.is_empty())
            .then(|| Mistake::Line("= comes before a value", format!("{key} = {value}")));
    };
    if key.contains('/') && !key.contains(['"', '\'']) {
        return Some(Mistake::Slash(format!("{} = ..", quoted(key))));
    }
    let (why, value) = meant(key, value)?;
    Some(Mistake::Line(why, format!("{key} = {value}")))
}

/// A dotted name with quotes around the parts that need them.
fn quoted(name: &str) -> String {
    let parts = name.split('.').map(str::trim);
    let parts = parts.map(|part| if part.contains('/') { format!("\"{part}\"") } else { part.to_owned() });
    parts.collect::<Vec<String>>().join(".")
}

/// The mistake in a value, and the value as TOML writes it.
fn meant(key: &str, value: &str) -> Option<(&'static str, String)> {
    let is_number = |text: &str| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && text.parse::<f64>().is_ok()
    };
    let yes_or_no = "the words are true and false";
    match value.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => return Some((yes_or_no, "true".to_owned())),
        "no" | "off" | "false" => return Some((yes_or_no, "false".to_owned())),
        _ => {}
    }
    if let Some(value) = value.strip_suffix([',', ';']).map(str::trim_end) {
        return Some(("nothing follows a value", value.to_owned()));
    }
    let pointed = value.replacen(',', ".", 1);
    if pointed != value && !value.contains('.') && is_number(&pointed) {
        return Some(("a decimal point is a point", pointed));
    }
    let digits = value.trim_start_matches(['-', '+']);
    let has_zeros = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
    if is_number(value) && (has_zeros || digits.starts_with('.') || digits.ends_with('.')) {
        // TOML wants digits on both sides of the point and no zeros before them.
        return value.parse::<f64>().ok().map(|number| ("a number has this form", number.to_string()));
    }
    if let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        let rest = &value[1..];
        return (!rest.contains(quote)).then(|| ("a quote is missing", format!("{quote}{rest}{quote}")));
    }
    if is_number(value) || value.is_empty() || value.contains(['"', '\'', '{', '=', '[']) {
        return None;
    }
    if parse_duration(value).is_some() {
        return Some(("a duration needs quotes", format!("\"{value}\"")));
    }
    let number_ends = value.find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c)).unwrap_or(value.len());
    if ["above", "below", "clear", "rate_above", "rate_below", "max_rate", "resolution"].contains(&key)
        && is_number(&value[..number_ends])
    {
        return Some(("a number comes without its unit", value[..number_ends].to_owned()));
    }
    Some((NEEDS_QUOTES, format!("\"{value}\"")))
}

#[cfg(test)]
mod tests;
