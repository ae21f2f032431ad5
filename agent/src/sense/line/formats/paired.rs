//! Lines of pairs: whose value is whose, under which heading, and in which unit.

use std::sync::Arc;

use tilth_core::label::Label;
use tilth_core::unit::Unit;

use super::{Formats, LineContext};
use crate::sense::line::fields::FieldValue;
use crate::sense::line::names::{LabelIx, LabelMatcher};
use crate::sense::line::number::{self, Parsed};
use crate::sense::line::pairs::{self, Allowed, Gap, Kind, Pair, Preceding};
use crate::sense::line::words;

/// Gaps between values that are remembered; a bus with more prints something new in each line.
const MAX_GAPS: usize = 1024;

impl Formats {
    /// Reads pairs; false where there is none with a number or a label of an input.
    pub(super) fn pairs<'t>(&mut self, text: &'t str, context: &mut LineContext<'_>) -> bool {
        let mut cut = std::mem::take(&mut self.pairs);
        let names = &context.names;
        let allowed = |label: &dyn Fn() -> &'t str, kind: Kind| match kind {
            _ if names.has_selectors && names.is_selector(label()) => Allowed::Id,
            Kind::Heading if names.may_hold_word(label()) => Allowed::Word,
            _ => Allowed::Any,
        };
        pairs::cut(text, &mut cut, allowed);
        let mut any = false;
        let block = Arc::clone(&self.blocks.heading);
        if !block.is_empty() {
            self.push_heading_field(&block, context);
        }
        let below = |heading: &str| -> Arc<str> { format!("{block} {heading}").trim().into() };
        let mut heading: Option<Arc<str>> = Some(below("")).filter(|block| !block.is_empty());
        let mut before: Option<(LabelIx, &Pair)> = None;
        for (ix, pair) in cut.iter().enumerate() {
            let is_last = ix + 1 == cut.len();
            let preceding = ix.checked_sub(1).map_or(Preceding::Start, |before| preceding_of(text, &cut[before]));
            let Gap { unit, is_broken, label, heading: begins } =
                self.gap(&text[pair.gap.clone()], preceding, is_last, context.names);
            if let Some((label, value)) = before.take() {
                let part = &text[value.value.clone()];
                let value = match value.kind {
                    Kind::Number if is_broken => FieldValue::Text(
                        context.range(&text[value.value.start..pairs::broken_end(text, pair.gap.start)]),
                    ),
                    Kind::Number => context.with_unit(part, unit),
                    _ => context.value_of(part),
                };
                context.fields.push(label, value);
            }
            if !begins.is_empty() {
                self.push_heading_field(&begins, context);
                heading = Some(below(&begins));
            }
            if label.is_empty() {
                continue;
            }
            if pair.kind == Kind::Heading {
                self.push_heading_field(&label, context);
                heading = Some(label).filter(|label| !is_log_level(label)).map(|label| below(&label));
                continue;
            }
            let is_value = pair.kind == Kind::Number || number::parsed(&text[pair.value.clone()]) != Parsed::Text;
            let label = label_ix(&label, heading.as_deref(), is_value, context);
            any |= is_value || label.is_some();
            before = label.map(|label| (label, pair));
        }
        self.pairs = cut;
        any
    }

    /// A heading of words and a number is a field, by which values may be selected: `Node 7`.
    fn push_heading_field(&mut self, heading: &str, context: &mut LineContext<'_>) {
        let heading = heading.trim_matches(['[', ']', '(', ')', '<', '>', '{', '}', ' ']);
        let digits = heading.len() - heading.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (name, number) = heading.split_at(heading.len() - digits);
        let name = name.trim_end_matches(['#', ' ', '\t', '_', '-', '[', '(', '<']);
        if context.names.is_selector(name)
            && let (Some(label), Ok(number)) = (context.names.intern(name, None, true), number.parse())
        {
            context.fields.push(label, FieldValue::Number(number));
        }
    }

    /// What a gap means: looked at once, for a board prints the same gaps in each line.
    fn gap(&mut self, text: &str, preceding: Preceding, is_last: bool, names: &LabelMatcher) -> Gap {
        let key = (preceding, is_last && preceding != Preceding::Start, text.to_owned());
        if let Some(gap) = self.gaps.get(&key) {
            return gap.clone();
        }
        let is_label = |label: &str| {
            let first = label.split_whitespace().next().unwrap_or_default();
            self.first_words.contains(first) || names.is_input_name(label)
        };
        let gap = pairs::gap(text, preceding, is_last, is_label);
        if self.gaps.len() >= MAX_GAPS {
            self.gaps.clear();
        }
        if preceding == Preceding::Start {
            self.note_first_word(&gap.label);
        }
        self.gaps.insert(key, gap.clone());
        gap
    }

    fn note_first_word(&mut self, label: &str) {
        let Some((first, _)) = label.split_once(' ') else { return };
        if Unit::of_exactly(first).is_some() && self.first_words.insert(first.to_owned()) {
            self.gaps.clear();
        }
    }
}

/// What stands before the gap after a pair.
fn preceding_of(text: &str, pair: &Pair) -> Preceding {
    let value = &text[pair.value.clone()];
    match pair.kind {
        Kind::Number => Preceding::Number,
        _ if !value.is_empty() && number::is_empty_value(value) => Preceding::Number,
        _ => Preceding::Other,
    }
}

/// Index of a pair's label. A label whose value is no number is not interned, unless it is the name of an input: `Temp failed: timeout`.
fn label_ix(label: &str, heading: Option<&str>, is_value: bool, context: &mut LineContext<'_>) -> Option<LabelIx> {
    if heading.is_none()
        && let Some(found) = context.names.find(label)
    {
        return Some(found);
    }
    let is_time = Label::of(label).is_some_and(|label| number::is_time_name(label.key()));
    let under = heading.filter(|_| !is_time).map(|heading| format!("{heading} {label}"));
    let matched_form = under.is_some().then_some(label);
    let label = under.as_deref().unwrap_or(label);
    if let Some(found) = context.names.find(label) {
        return Some(found);
    }
    if !is_value && !context.names.is_always_interned(label, None) {
        return None;
    }
    let label = context.names.intern(label, matched_form, is_value)?;
    context.note_unmatched(label);
    Some(label)
}

fn is_log_level(heading: &str) -> bool {
    // `I (1234) tag` of ESP-IDF: the letter and the time say nothing of the value.
    let first = heading.split([' ', '(', '[', ']']).find(|word| !word.is_empty()).unwrap_or_default();
    pairs::without_count(heading).is_empty()
        || words::LOG_LEVELS.has(heading.trim_matches(['[', ']', ' ']))
        || (["I", "W", "E", "D", "V"].contains(&first) && heading.contains('('))
}
