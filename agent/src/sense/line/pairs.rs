//! Lines of `label: value` and `label=value`, with labels of one word or several and other text between them.
//!
//! A line is cut at its assignments, `=` and `:`. What stands between a value and the next assignment, the gap, holds the unit of the
//! value and the label of the next one: `21.5 C  Water Temp: ..`.

use std::ops::Range;
use std::sync::Arc;

use tilth_core::unit::Unit;

use super::{number, words};

/// Longer labels are none; the configuration knows none either.
const MAX_LABEL: usize = 200;

/// Characters between words that part a label from what stands before it.
const ARROWS: [&str; 7] = ["->", "=>", ">>", ">", "•", "~", "//"];

/// Units that stand for what is measured: before another word they begin a label, as in `pH value`.
const QUANTITIES: [&str; 5] = ["pH", "RH", "VWC", "PPFD", "CF"];

/// A pair of a line, by where its parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    /// From the end of the value before to the assignment.
    pub(super) gap: Range<usize>,
    /// The value without its unit.
    pub(super) value: Range<usize>,
    pub(super) kind: Kind,
}

/// What stands after an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number; the unit is in the next gap.
    Number,
    /// One word, such as `nan` or `on`; what follows it is no part of it.
    Word,
    /// Anything else, up to the next separator.
    Text,
    /// Another label: the one before it is a heading of those that follow, as in `Sensor 1: Temp: 21`.
    Heading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Preceding {
    Start,
    Number,
    Other,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Gap {
    /// The unit of the number before it; empty where none is said.
    pub(super) unit: Arc<str>,
    /// The number before it is none: `6 1`, `2#1`.
    pub(super) is_broken: bool,
    /// The label of the next value; empty where there is none.
    pub(super) label: Arc<str>,
    /// What the line is about, where it begins with that and no assignment: `Node 7 | Temp: ..`; else empty.
    pub(super) heading: Arc<str>,
}

/// What may stand behind a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    Any,
    /// One word, before anything.
    Word,
    /// The name of a node, of any characters and digits: `AA:BB:01`, `28ff64`.
    Id,
}

/// Index of the first character from `at` on that `stops`, or the end of the text.
fn end_at(text: &str, at: usize, stops: impl Fn(char) -> bool) -> usize {
    text[at..].find(stops).map_or(text.len(), |end| at + end)
}

/// Index at which what goes on without a blank or a separator ends.
fn token_end(text: &str, at: usize) -> usize {
    end_at(text, at, |c| is_blank(c) || is_separator(c))
}

/// Index at which a broken number ends: after a blank and what follows it.
pub(super) fn broken_end(text: &str, at: usize) -> usize {
    let begin = text.len() - text[at..].trim_start().len();
    end_at(text, begin, |c| c.is_whitespace() || is_separator(c))
}

/// Cuts a line into its pairs; the last has the gap after the last value and no value. `may_hold` says what a label may hold.
pub(super) fn cut<'t>(text: &'t str, pairs: &mut Vec<Pair>, may_hold: impl Fn(&dyn Fn() -> &'t str, Kind) -> Allowed) {
    pairs.clear();
    let mut from = 0;
    while let Some(assignment) = text[from..].find(is_assignment).map(|at| from + at) {
        let begin = skip_assignment(text, assignment);
        let mut value = value_at(text, begin);
        let allowed = may_hold(&|| label_of(&text[from..assignment], Preceding::Other), value.1);
        let is_word = || text[..begin].ends_with(is_assignment) || allowed != Allowed::Any;
        if allowed == Allowed::Id
            && let Some(end) = id_at(text, begin, value)
        {
            value = (end, Kind::Word);
        } else if value.1 == Kind::Heading
            && let Some(end) = word_at(text, begin).filter(|_| is_word())
        {
            value = (end, Kind::Word);
        } else if value.1 == Kind::Heading && is_error(&text[begin..]) {
            value = (end_at(text, begin, is_separator), Kind::Text);
        }
        let (end, kind) = value;
        pairs.push(Pair { gap: from..assignment, value: unquoted(text, begin..end), kind });
        from = end;
    }
    pairs.push(Pair { gap: from..text.len(), value: text.len()..text.len(), kind: Kind::Text });
}

/// The end of the name of a node; nothing where the value is to be read as any other.
fn id_at(text: &str, at: usize, (end, kind): (usize, Kind)) -> Option<usize> {
    let token = &text[at..token_end(text, at)];
    let id = token.trim_end_matches([')', ']', '}', '>', '.', '!']);
    let is_id = match kind {
        Kind::Heading => !id.ends_with(is_assignment),
        // A number with its unit stays one: `depth: 10cm`.
        Kind::Number => {
            !text[end.min(at + id.len())..at + id.len()].is_empty() && Unit::of(&text[end..at + id.len()]).is_none()
        }
        Kind::Text => token.starts_with(|c: char| c.is_ascii_digit()),
        Kind::Word => false,
    };
    let id = id.trim_end_matches(is_assignment);
    (is_id && !id.is_empty() && !id.contains('=')).then_some(at + id.len())
}

/// The end of a hardware address, such as `AA:BB:CC:01:02:03`.
fn address_end(text: &str) -> Option<usize> {
    if text.as_bytes().get(2) != Some(&b':') {
        return None;
    }
    let end = token_end(text, 0);
    let is_pair = |group: &str| group.len() == 2 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    text[..end].split(':').all(is_pair).then_some(end)
}

/// Whether what stands in the place of a value says why there is none: `ERR: 3`, `Error code: 5`.
fn is_error(text: &str) -> bool {
    let word = text.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    words::ERRORS.has(word)
}

/// Beginning of the value after an assignment: `=`, `:`, `:=`, `=>`.
fn skip_assignment(text: &str, assignment: usize) -> usize {
    let end = end_at(text, assignment, |c| !is_assignment(c));
    // An arrow; without a blank it may as well say that the value is greater: `co2=>5000`.
    let is_apart = || text[..assignment].ends_with(is_blank) || text[end + 1..].starts_with(is_blank);
    let is_arrow = text[..end].ends_with('=') && text[end..].starts_with('>') && is_apart();
    let end = if is_arrow { end + 1 } else { end };
    let value = end_at(text, end, |c| !is_blank(c));
    let Some(inside) = text[value..].strip_prefix(['(', '[', '<', '\'']).map(|inside| text.len() - inside.len()) else {
        return value;
    };
    let is_number = number::number_end(text, inside).is_some_and(|end| text[end..].contains([')', ']', '>', '\'']));
    if is_number { inside } else { value }
}

fn unquoted(text: &str, value: Range<usize>) -> Range<usize> {
    let inside = text[value.clone()].strip_prefix('"').and_then(|inside| inside.strip_suffix('"'));
    if inside.is_some() { value.start + 1..value.end - 1 } else { value }
}

/// End and kind of the value that begins here.
fn value_at(text: &str, at: usize) -> (usize, Kind) {
    let rest = &text[at..];
    if let Some(end) = rest.strip_prefix('"').and_then(|inside| inside.find('"')) {
        return (at + end + 2, Kind::Text);
    }
    if let Some(end) = address_end(rest) {
        return (at + end, Kind::Word);
    }
    if let Some((_, end)) = number::compound(rest) {
        return (at + end, Kind::Text);
    }
    if let Some(end) = number::number_end(text, at) {
        // A foot, and no quote that ends here.
        if text[end..].starts_with('\'')
            && !text[..at].contains('\'')
            && !text[end + 1..].starts_with(char::is_alphabetic)
        {
            return (end + 1, Kind::Text);
        }
        return match is_complete_number(text, at, end) {
            true => (end, Kind::Number),
            // With the digits after a decimal comma.
            false => (token_end(text, end + usize::from(text[end..].starts_with(','))), Kind::Text),
        };
    }
    if let Some(end) = word_at(text, at).filter(|end| is_word(&text[at..*end])) {
        return (end, Kind::Word);
    }
    let separator = end_at(rest, 0, |c| is_separator(c) || c == '\t');
    match rest.find(is_assignment) {
        Some(assignment) if assignment < separator => (at, Kind::Heading),
        _ => (at + rest[..separator].trim_end_matches(is_blank).len(), Kind::Text),
    }
}

/// The end of the word that stands here, unless it is a label itself.
fn word_at(text: &str, at: usize) -> Option<usize> {
    let end = end_at(text, at, |c| is_blank(c) || is_separator(c) || is_assignment(c));
    (!text[end..].trim_start_matches(is_blank).starts_with(is_assignment)).then_some(end)
}

fn is_word(word: &str) -> bool {
    number::is_empty_value(word) || ["true", "false"].contains(&word) || words::STATES.has(word)
}

/// Whether a number ends where its digits do. With `21.5.3`, `12:30`, `2#1` or `21,5` it does not: half of such would be a wrong one.
fn is_complete_number(text: &str, begin: usize, end: usize) -> bool {
    let rest = &text[end..];
    let mut letters = rest.chars();
    match letters.next() {
        None | Some(' ' | '\t' | ';' | '|') => true,
        Some(',') => !is_decimal_comma(&text[begin..end], rest),
        // The end of a sentence.
        Some('.') => letters.next().is_none_or(|next| is_blank(next) || is_separator(next)),
        Some('>' | '#') => letters.as_str().trim().is_empty(),
        Some(c) => c.is_alphabetic() || "%°º˚℃℉‰*^'’`\"()[]{}²³".contains(c),
    }
}

/// Whether what follows a number belongs to it, with a decimal comma before. Digits before an assignment are a label: `1:43,2:71`.
fn is_decimal_comma(whole: &str, rest: &str) -> bool {
    let digits = &rest[1..];
    // `1.234,5` has points between its thousands.
    let is_fraction = whole.split_once('.').is_some_and(|(_, fraction)| fraction.len() != 3);
    if is_fraction || !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let end = end_at(digits, 0, |c| is_blank(c) || is_separator(c) || is_assignment(c));
    !digits[end..].trim_start_matches(is_blank).starts_with(is_assignment)
}

/// Reads a gap; no value follows the last one. `is_label` tells a label from a unit with a label after it.
pub(super) fn gap(text: &str, preceding: Preceding, is_last: bool, is_label: impl Fn(&str) -> bool) -> Gap {
    let mut gap = Gap::default();
    let mut rest = text;
    if preceding == Preceding::Number {
        rest = parse_after_value(text, is_last, &is_label, &mut gap);
    }
    if !is_last {
        gap.label = label_of(rest, preceding).into();
        if preceding == Preceding::Start {
            gap.heading = heading_of(rest, &gap.label).into();
        }
    }
    gap
}

/// Takes the unit off, and what else belongs to the value before.
fn parse_after_value<'t>(text: &'t str, is_last: bool, is_label: &impl Fn(&str) -> bool, gap: &mut Gap) -> &'t str {
    // A quote that ends here: `packet 'temp=21.5' with ..`.
    let text = match text.strip_prefix('\'') {
        Some(rest) if !rest.starts_with(char::is_alphabetic) => rest,
        _ => text,
    };
    let is_attached = !(text.is_empty() || text.starts_with(|c| is_blank(c) || is_separator(c)));
    let (segment, others) = text.split_at(end_at(text, 0, is_separator));
    // The label follows at once, and takes the words that could be a unit.
    let before_label = !is_last && others.is_empty();
    let segment = segment.trim_end_matches(is_blank);
    if before_label && !is_attached && is_label(segment.trim()) {
        return text;
    }
    // The same in another unit: `24.3C/75.7F`.
    let again = segment.find('/').filter(|stroke| number::number_end(segment, stroke + 1).is_some());
    let segment = again.map_or(segment, |stroke| &segment[..stroke]);
    if let Some((unit, rest)) = unit_of(segment, before_label && !is_attached && again.is_none()) {
        gap.unit = unit.name().into();
        let used = segment.len() - rest.len();
        return skip_brackets(skip_values(&text[used..], is_last), is_last, gap);
    }
    if is_attached {
        return parse_attached(text, before_label, gap);
    }
    let words = segment.trim_start_matches(is_blank);
    let first = words.split(is_blank).next().unwrap_or_default();
    let is_lone = first.len() == words.len() && before_label;
    let is_fraction = || first.starts_with(|c: char| c.is_ascii_digit()) && first.contains('/');
    if !is_lone && (number::number_end(first, 0) == Some(first.len()) || is_fraction()) {
        gap.is_broken = !first.is_empty();
        return &text[text.len() - text.trim_start_matches(is_blank).len() + first.len()..];
    }
    if !before_label && (is_unknown_unit(first) || is_alone(first, words)) {
        gap.unit = first.into();
    } else if !before_label && words::BETWEEN.has(first) {
        gap.is_broken = true;
    }
    skip_brackets(text, is_last, gap)
}

/// Whether a word is a unit by its characters, though none that is known: `micro-siemens/cm`.
fn is_unknown_unit(word: &str) -> bool {
    let parts = || word.split(['/', '-']);
    number::has_unit_shape(word) && word.contains(['/', '°', '%', '²', '³'])
        || word.contains('/') && parts().all(|part| !part.is_empty() && part.chars().all(char::is_alphanumeric))
}

/// Whether one word and nothing else stands after a number: a unit, unless it says how good the number is.
fn is_alone(word: &str, words: &str) -> bool {
    let is_rating = || words::STATES.has(word) || words::RATINGS.has(word);
    word.len() == words.len() && word.len() > 1 && word.chars().all(char::is_alphabetic) && !is_rating()
}

/// A unit at the beginning of a text. Before a label it must be written as units are, be one of some quantity, and leave a label.
fn unit_of(segment: &str, before_label: bool) -> Option<(Unit, &str)> {
    if !before_label {
        return Unit::leading(segment, Unit::of);
    }
    let exactly = |text: &str| Unit::of_exactly(text).or_else(|| Unit::of(text).filter(|_| text.contains('/')));
    let (unit, rest) = Unit::leading(segment, exactly)?;
    let is_quantity = QUANTITIES.contains(&segment[..segment.len() - rest.len()].trim());
    (unit.is_of_a_quantity() && !is_quantity && !rest.trim().is_empty()).then_some((unit, rest))
}

/// What follows a number without a blank and is no known unit.
fn parse_attached<'t>(text: &'t str, before_label: bool, gap: &mut Gap) -> &'t str {
    let (token, rest) = text.split_at(end_at(text, 0, |c| is_blank(c) || is_separator(c) || "()[]{}".contains(c)));
    let token = token.trim_end_matches(['.', '!']);
    if before_label && rest.trim().is_empty() && !token.is_empty() {
        // The next label itself: `T21.5H:55`.
        return text;
    }
    if number::is_broken_exponent(token) || !number::has_unit_shape(token) {
        gap.is_broken = true;
    } else {
        gap.unit = token.into();
    }
    skip_brackets(rest, false, gap)
}

/// Passes over further values with their units: `24.3 C 75.7 F`.
fn skip_values(text: &str, is_last: bool) -> &str {
    let mut rest = text;
    loop {
        let begin = rest.trim_start_matches(|c| is_blank(c) || c == '/' || c == '|');
        let Some(end) = number::number_end(begin, 0) else { return rest };
        let Some((_, after)) = Unit::leading(&begin[end..], Unit::of) else { return rest };
        if !is_last && after.trim().is_empty() {
            return rest;
        }
        rest = after;
    }
}

/// Passes over what stands in brackets after a value, which may be its unit: `612 (ppm)`, `512 (2.50V)`, `43 (dry)`.
fn skip_brackets<'t>(text: &'t str, is_last: bool, gap: &mut Gap) -> &'t str {
    let begin = text.trim_start_matches(is_blank);
    let closed = begin.trim_start_matches([')', ']', '}']);
    let brackets = [('(', ')'), ('[', ']'), ('{', '}')].into_iter().find(|(open, _)| closed.starts_with(*open));
    let Some((inside, rest)) = brackets.and_then(|(_, close)| closed[1..].split_once(close)) else { return closed };
    if !is_last && rest.trim().is_empty() {
        return closed;
    }
    if gap.unit.is_empty() && Unit::of(inside).is_some() {
        gap.unit = inside.into();
    }
    // One digit or two are an index, which belongs to the label: `(2) Temp`.
    if inside.len() <= 2 && inside.bytes().all(|byte| byte.is_ascii_digit()) { closed } else { rest }
}

/// The label that a gap ends with: what stands after its last separator or arrow.
fn label_of(text: &str, preceding: Preceding) -> &str {
    let text = text.rsplit(|c| is_separator(c) || c == '\t').next().unwrap_or_default();
    let mut begin = 0;
    let mut at = 0;
    for word in text.split_inclusive(is_blank) {
        if ARROWS.contains(&word.trim_end_matches(is_blank)) {
            begin = at + word.len();
        }
        at += word.len();
    }
    let is_decoration = |c: char| !c.is_alphanumeric() && !"#([{<°%'\"@_".contains(c);
    let mut label = text[begin..].trim_end().trim_start_matches(is_decoration);
    if preceding == Preceding::Start {
        label = without_location(without_count(without_leading_number(label)));
    }
    // A bracket that is still open does not belong to the label: `DHT(temp=21.5, hum=55)`.
    if let Some(open) = label.rfind(['(', '[', '{', '<']).filter(|open| !label[*open..].contains([')', ']', '}', '>']))
    {
        label = label[open + 1..].trim_start();
    }
    for quote in ['"', '\''] {
        label = label.strip_prefix(quote).and_then(|label| label.strip_suffix(quote)).unwrap_or(label);
    }
    if is_label(label) { label } else { "" }
}

/// What a line is about, without an assignment before its first label: `Node 7 | Temp`. A count of lines, a time and plain words are none.
fn heading_of<'t>(text: &'t str, label: &str) -> &'t str {
    let before = text.strip_suffix(is_blank).unwrap_or(text).trim_end();
    let before = before.strip_suffix(label).unwrap_or_default();
    let bare = before.trim_end_matches(|c: char| !c.is_alphanumeric()).trim_start_matches(['[', '(', '<', ' ']);
    let is_told = bare.contains(char::is_alphabetic) && bare.ends_with(|c: char| c.is_ascii_digit());
    if is_told && is_label(bare) { without_count(bare) } else { "" }
}

/// A label without what the line is about, in brackets before it: `[Node 3] T`.
fn without_location(label: &str) -> &str {
    let inside = label.strip_prefix(['[', '(', '<']).and_then(|label| label.split_once([']', ')', '>']));
    match inside {
        Some((location, rest))
            if is_label(rest)
                && location.contains(char::is_alphabetic)
                && (location.ends_with(|c: char| c.is_ascii_digit()) || words::LOG_LEVELS.has(location)) =>
        {
            rest.trim_start()
        }
        _ => label,
    }
}

/// A label without the time or count before it: `[12.345] temp`. A short whole number may tell one probe from another.
fn without_leading_number(label: &str) -> &str {
    let Some((first, rest)) = label.split_once([' ', '\t']) else { return label };
    let number = first.trim_matches(['[', ']', '(', ')', '<', '>', '@']);
    let is_count = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && (number.len() >= 4 || number.contains('.'))
        && number.starts_with(|c: char| c.is_ascii_digit());
    if is_count { rest.trim_start() } else { label }
}

/// A text without the count of lines that it begins with: `Packet 17 temp`, also with `#`.
pub(super) fn without_count(text: &str) -> &str {
    let text = text.trim();
    let bare = text.trim_start_matches(['#', '[', '(']);
    let word = end_at(bare, 0, |c| !c.is_alphabetic());
    if !words::COUNTS.has(&bare[..word]) {
        return text;
    }
    let number = bare[word..].trim_start_matches([' ', '\t', '#', '-', '_']);
    let end = end_at(number, 0, |c| !c.is_ascii_digit());
    if end == 0 { text } else { number[end..].trim_start_matches([']', ')', ' ', '\t', '-', '>']) }
}

/// Whether a text can be the label of a value: it says something, and has nothing that only noise has.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= MAX_LABEL
        && text.contains(|c: char| c.is_alphanumeric() || c == '#')
        && text.chars().all(|c| c.is_alphanumeric() || " \t_-./()[]{}<>#%°º˚℃℉&+*'’^²³·:@₀₁₂₃₄₅₆₇₈₉".contains(c))
}

/// Whether a text can be a name: a label with a letter and without an assignment.
pub(super) fn is_name(text: &str) -> bool {
    is_label(text) && text.contains(char::is_alphabetic) && !text.contains(is_assignment)
}

pub(super) fn is_assignment(c: char) -> bool {
    matches!(c, '=' | ':')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn is_separator(c: char) -> bool {
    matches!(c, ',' | ';' | '|')
}

#[cfg(test)]
mod tests;
