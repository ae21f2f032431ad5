//! The fields of a line of JSON, and of one that ends with an object: `MQT: tele/SENSOR = {"temp":21.5}`.

use tilth_core::unit::Unit;

use super::fields::{Field, FieldValue, Fields};
use super::forms::LineContext;
use super::number::{self, Cell};
use super::object::{self, Scalar};

/// A JSON object after other text.
pub(super) fn embedded(text: &str, context: &mut LineContext<'_>) -> bool {
    match text.find('{') {
        Some(begin) if text.ends_with('}') => json(&text[begin..], context),
        _ => false,
    }
}

/// False where the text is no object.
pub(super) fn json(text: &str, context: &mut LineContext<'_>) -> bool {
    let LineContext { names, fields: Fields { all, text: texts, parents, is_json }, messages, .. } = context;
    all.clear();
    texts.clear();
    let is_object = object::each_value(text, parents, |path, scalar| {
        if let Scalar::Text(unit) = scalar
            && let Some(Field { label, value: last @ FieldValue::Number(_), .. }) = all.last_mut()
            && is_next(&names.known(*label).text, path.path)
            && Unit::of(unit).is_some()
        {
            // A list of a number and its unit.
            let start = texts.len();
            if let FieldValue::Number(number) = last {
                texts.push_str(&format!("{number} {unit}"));
            }
            *last = FieldValue::Raw(start..texts.len());
            return;
        }
        let is_text = matches!(scalar, Scalar::Text(text) if number::cell(text) == Cell::Text);
        let is_learnt = || !is_text || names.is_always_learnt(path.path, Some(path.without_indices));
        let is_number = !is_text && !matches!(scalar, Scalar::Null);
        let label = match names.find(path.path) {
            None if is_learnt() => names.learn(path.path, Some(path.without_indices), is_number),
            known => known,
        };
        let Some(label) = label else { return };
        let mut word = |text: &str| {
            let start = texts.len();
            texts.push_str(text);
            FieldValue::Raw(start..texts.len())
        };
        let value = match scalar {
            Scalar::Number(number) => FieldValue::Number(number),
            Scalar::Bool(is) => word(if is { "true" } else { "false" }),
            Scalar::Null => FieldValue::Empty,
            Scalar::Text(text) => word(text),
        };
        let known = names.known(label);
        if matches!(scalar, Scalar::Number(_) | Scalar::Bool(_)) && known.consumers.is_empty() && known.is_value() {
            messages.note_unclaimed(&known.text);
        }
        all.push(Field { label, value, object: path.object });
    });
    *is_json = is_object;
    is_object
}

/// Whether a path is that of the next place of a list.
fn is_next(before: &str, path: &str) -> bool {
    let parted =
        |path: &'_ str| path.rsplit_once('.').and_then(|(list, ix)| Some((list.len(), ix.parse::<usize>().ok()?)));
    let (Some((list, ix)), Some((next_list, next))) = (parted(before), parted(path)) else { return false };
    before.get(..list) == path.get(..next_list) && next == ix + 1
}
