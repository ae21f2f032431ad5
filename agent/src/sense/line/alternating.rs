//! Lines of label and value in turn, without an assignment between them: `PH,6.85,EC,1.80`, `temp 21.5 C  hum 55`, `pH 6.85`.

use std::ops::Range;

use tilth_core::unit::Unit;

use super::formats::LineContext;
use super::number::{self, Parsed};
use super::pairs;
use super::table::{self, Separator};

/// The label of a number that is alone in its line.
const LONE: &str = "value";

struct LabelAndValue<'t> {
    label: &'t str,
    value: &'t str,
    unit: Option<&'t str>,
}

/// Label and value in turn, each perhaps with its unit after: `PH,6.85,EC,1.80`, `temp,21.5,C`.
pub(super) fn in_turn(text: &str, cells: &mut Vec<Range<usize>>, context: &mut LineContext<'_>) -> bool {
    let Some(separator) = Separator::of(text) else { return false };
    table::cut(text, separator, cells);
    cells.pop_if(|last| Range::is_empty(last));
    let cell = |at: usize| cells.get(at).map(|cell| &text[cell.clone()]);
    let is_number = |at| cell(at).is_some_and(|cell| !cell.is_empty() && number::parsed(cell) != Parsed::Text);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(label) = cell(at) {
        // A word in the place of a value, such as an error, counts only after the name of an input.
        let may_be_word = || context.is_input_name(label) || context.names.may_hold_word(label);
        let Some(value) = cell(at + 1).filter(|_| is_number(at + 1) || may_be_word()) else { return false };
        if !pairs::is_name(label) || is_number(at) {
            return false;
        }
        let unit = cell(at + 2).filter(|unit| Unit::of(unit).is_some() && !is_number(at + 3));
        found.push(LabelAndValue { label, value, unit });
        at += if unit.is_some() { 3 } else { 2 };
    }
    found.iter().for_each(|turn| push(turn, context));
    !found.is_empty()
}

/// A line that is one number, or one label and its number: `21.5 C`, `pH 6.85`. The label must be the name of an input.
pub(super) fn lone(text: &str, context: &mut LineContext<'_>) -> bool {
    if is_number(text) {
        return context.push(LONE, context.value_of(text));
    }
    let Some(begin) = number_begin(text) else { return false };
    let (label, value) = text.split_at(begin);
    let label = label.trim();
    is_number(value) && context.is_input_name(label) && context.push(label, context.value_of(value))
}

/// Whether a text is one number. What is no unit after it makes it the beginning of a sentence.
pub(super) fn is_number(text: &str) -> bool {
    matches!(number::parsed(text), Parsed::Number(_, unit) if unit.is_empty() || Unit::of(unit).is_some())
}

/// Label and number in turn between blanks: `temp 21.5 C  hum 55`. The name of an input, or numbers with units or decimal points, tell it
/// from `attempt 3 port 80`.
pub(super) fn by_words(text: &str, context: &mut LineContext<'_>) -> bool {
    let Some(found) = words_in_turn(text) else { return false };
    let is_measured = |turn: &LabelAndValue<'_>| turn.unit.is_some() || turn.value.contains('.');
    // Names with numbers between separators are a header: `PM 2.5,PM 10.0`.
    let are_pairs = found.iter().any(|turn| context.is_input_name(turn.label))
        || table::delimiter(text).is_none() && found.iter().all(is_measured);
    if found.len() < 2 || !found.iter().any(is_measured) || !are_pairs {
        return false;
    }
    found.iter().for_each(|turn| push(turn, context));
    true
}

fn words_in_turn(text: &str) -> Option<Vec<LabelAndValue<'_>>> {
    let mut found = Vec::new();
    let mut label: Option<Range<usize>> = None;
    let mut words = words(text).peekable();
    while let Some(word) = words.next() {
        let token = &text[word.clone()];
        if number::number_end(token, 0).is_none() {
            if token.contains(pairs::is_assignment) {
                return None;
            }
            let is_arrow = !token.contains(char::is_alphanumeric);
            label = if is_arrow { label } else { Some(label.map_or(word.start, |label| label.start)..word.end) };
            continue;
        }
        let Parsed::Number(_, attached) = number::parsed(token) else { return None };
        let label = label.take().map(|label| &text[label]).filter(|label| pairs::is_label(label))?;
        let mut unit = Some(attached);
        if attached.is_empty() {
            unit = words.next_if(|next| Unit::of_exactly(&text[next.clone()]).is_some()).map(|unit| &text[unit]);
        } else if Unit::of(attached).is_none() {
            return None;
        }
        found.push(LabelAndValue { label, value: token[..token.len() - attached.len()].trim_end(), unit });
    }
    label.is_none().then_some(found)
}

fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.split([' ', '\t', ',', ';', '|']).filter(|word| !word.is_empty()).map(|word| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        start..start + word.len()
    })
}

fn push(turn: &LabelAndValue<'_>, context: &mut LineContext<'_>) {
    let value = turn.unit.map_or_else(|| context.value_of(turn.value), |unit| context.with_unit(turn.value, unit));
    context.push(turn.label, value);
}

/// Beginning of the only number of a text, after its words.
fn number_begin(text: &str) -> Option<usize> {
    let digit = text.find(|c: char| c.is_ascii_digit())?;
    let begin = text[..digit].trim_end_matches(['-', '+', '.']).len();
    text[..begin].ends_with([' ', '\t']).then_some(begin)
}
