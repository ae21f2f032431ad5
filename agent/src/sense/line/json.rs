//! The fields of a line of JSON, and of one that ends with an object: `MQT: tele/SENSOR = {"temp":21.5}`.

use super::forms::{Call, is_time};
use super::names::{Names, is_unit_name};
use super::number::{self, Cell};
use super::object::{self, Scalar};
use super::parse::{Field, Fields, Raw};

/// A JSON object behind other text.
pub(super) fn embedded(text: &str, call: &mut Call<'_>) -> bool {
    match text.find('{') {
        Some(begin) if text.ends_with('}') => json(&text[begin..], call.names, call.fields, call.unused),
        _ => false,
    }
}

/// False where the text is no object.
pub(super) fn json(text: &str, names: &mut Names, fields: &mut Fields, unused: &mut dyn FnMut(&str)) -> bool {
    let Fields { all, words, parents, .. } = fields;
    all.clear();
    words.clear();
    let is_object = object::each_value(text, parents, |place, scalar| {
        let is_text = matches!(scalar, Scalar::Text(text) if number::cell(text) == Cell::Text);
        let is_learnt = !is_text
            || is_time(place.path)
            || is_unit_name(place.path)
            || names.is_whole(place.path)
            || names.is_selector(place.plain);
        let label = if is_learnt { names.learn(place.path, Some(place.plain)) } else { names.find(place.path) };
        let Some(label) = label else { return };
        let value = match scalar {
            Scalar::Number(number) => Raw::Number(number),
            Scalar::Bool(is) => Raw::Number(f64::from(u8::from(is))),
            Scalar::Null => Raw::Missing,
            Scalar::Text(text) => {
                let start = words.len();
                words.push_str(text);
                Raw::Cell(start..words.len())
            }
        };
        let known = names.known(label);
        if matches!(value, Raw::Number(_)) && known.takes.is_empty() && known.selects.is_empty() && !known.is_time {
            unused(&known.text);
        }
        all.push(Field { label, value, object: place.object });
    });
    fields.is_json = is_object;
    is_object
}
