//! Lines of label and value in turn, without a sign between them: `PH,6.85,EC,1.80`, `temp 21.5 C  hum 55`, `pH 6.85`.

use std::ops::Range;
use std::sync::Arc;

use tilth_core::unit::Unit;

use super::fields::Raw;
use super::forms::Call;
use super::number::{self, Cell};
use super::pairs;
use super::table::{self, Separator};

/// The label of a number that is alone in its line.
const LONE: &str = "value";

/// A label, its value and its unit, by where they are.
struct Turn<'t> {
    label: Range<usize>,
    value: Range<usize>,
    unit: Option<&'t str>,
}

/// Label and value in turn, each perhaps with its unit behind: `PH,6.85,EC,1.80`, `temp,21.5,C`.
pub(super) fn in_turn(text: &str, shift: usize, cells: &mut Vec<Range<usize>>, call: &mut Call<'_>) -> bool {
    let Some(sign) = table::sign(text) else { return false };
    table::cut(text, if sign == '\t' { Separator::Tabs } else { Separator::Sign(sign) }, cells);
    if cells.last().is_some_and(Range::is_empty) {
        cells.pop();
    }
    let cell = |at: usize| cells.get(at).map(|cell| &text[cell.clone()]);
    let is_number = |at| cell(at).is_some_and(|cell| !cell.is_empty() && number::cell(cell) != Cell::Text);
    let is_label = |at| cell(at).is_some_and(pairs::is_name);
    let mut found = Vec::new();
    let mut at = 0;
    while at < cells.len() {
        // A word in the place of a value, such as an error, is that of a wanted name.
        let may_be_text = |name| call.is_whole(name) || call.names.is_unit_field(name);
        let is_value = is_number(at + 1) || cell(at).is_some_and(may_be_text) && cell(at + 1).is_some();
        if !is_label(at) || is_number(at) || !is_value {
            return false;
        }
        let unit = cell(at + 2).filter(|unit| Unit::of(unit).is_some() && !is_number(at + 3));
        found.push(Turn { label: cells[at].clone(), value: cells[at + 1].clone(), unit });
        at += if unit.is_some() { 3 } else { 2 };
    }
    found.iter().for_each(|turn| push(text, shift, turn, call));
    !found.is_empty()
}

/// A line that is one number, or one label and its number: `21.5 C`, `pH 6.85`. The label must be a wanted name.
pub(super) fn lone(text: &str, shift: usize, call: &mut Call<'_>) -> bool {
    if is_number(text) {
        return call.push(LONE, Raw::Cell(shift..shift + text.len()));
    }
    let Some(begin) = number_begin(text) else { return false };
    let (label, value) = text.split_at(begin);
    let label = label.trim();
    is_number(value) && call.is_whole(label) && call.push(label, Raw::Cell(shift + begin..shift + text.len()))
}

/// Whether a text is one number. What is no unit behind it makes it the beginning of a sentence.
pub(super) fn is_number(text: &str) -> bool {
    matches!(number::cell(text), Cell::Number(_, unit) if unit.is_empty() || Unit::of(unit).is_some())
}

/// Several labels, each with its number behind it, between blanks: `temp 21.5 C  hum 55`. One must be a wanted name, or a number
/// must have a unit or a decimal point: `attempt 3 port 80` says nothing.
pub(super) fn by_words(text: &str, shift: usize, call: &mut Call<'_>) -> bool {
    let Some(found) = words_in_turn(text) else { return false };
    let is_wanted = |turn: &Turn<'_>| call.is_whole(&text[turn.label.clone()]);
    let is_measured = |turn: &Turn<'_>| turn.unit.is_some() || text[turn.value.clone()].contains('.');
    // Names with numbers between separators are a header: `PM 2.5,PM 10.0`.
    let are_pairs = found.iter().any(is_wanted) || table::sign(text).is_none() && found.iter().all(is_measured);
    if found.len() < 2 || !found.iter().any(is_measured) || !are_pairs {
        return false;
    }
    found.iter().for_each(|turn| push(text, shift, turn, call));
    true
}

fn words_in_turn(text: &str) -> Option<Vec<Turn<'_>>> {
    let is_parting = |c: char| matches!(c, ' ' | '\t' | ',' | ';' | '|');
    let mut found = Vec::new();
    let mut label: Option<Range<usize>> = None;
    let mut words = words(text, is_parting).peekable();
    while let Some(word) = words.next() {
        let token = &text[word.clone()];
        if number::number_end(token, 0).is_none() {
            if token.contains(pairs::is_sign) {
                return None;
            }
            let is_arrow = !token.contains(char::is_alphanumeric);
            label = if is_arrow { label } else { Some(label.map_or(word.start, |label| label.start)..word.end) };
            continue;
        }
        let Cell::Number(_, attached) = number::cell(token) else { return None };
        let label = label.take().filter(|label| pairs::is_label(&text[label.clone()]))?;
        let apart = words.peek().map(|next| &text[next.clone()]).filter(|next| Unit::of_exactly(next).is_some());
        let unit = if attached.is_empty() { apart } else { Some(attached).filter(|unit| Unit::of(unit).is_some()) };
        if attached.is_empty() && apart.is_some() {
            words.next();
        } else if !attached.is_empty() && unit.is_none() {
            return None;
        }
        let end = word.start + token.len() - attached.len();
        found.push(Turn { label, value: word.start..word.start + text[word.start..end].trim_end().len(), unit });
    }
    label.is_none().then_some(found)
}

fn words(text: &str, is_parting: impl Fn(char) -> bool) -> impl Iterator<Item = Range<usize>> {
    text.split(is_parting).filter(|word| !word.is_empty()).map(|word| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        start..start + word.len()
    })
}

fn push(text: &str, shift: usize, turn: &Turn<'_>, call: &mut Call<'_>) {
    let value = shift + turn.value.start..shift + turn.value.end;
    let value = match turn.unit {
        Some(unit) => Raw::Pair(value, Arc::from(unit)),
        None => Raw::Cell(value),
    };
    call.push(&text[turn.label.clone()], value);
}

/// Beginning of the only number of a text, behind its words.
fn number_begin(text: &str) -> Option<usize> {
    let digit = text.find(|c: char| c.is_ascii_digit())?;
    let begin = text[..digit].trim_end_matches(['-', '+', '.']).len();
    text[..begin].ends_with([' ', '\t']).then_some(begin)
}
