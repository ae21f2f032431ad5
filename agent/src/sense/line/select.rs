//! Whether a value is the one that an input selects by a field beside it: `temp?node=7`.

use tilth_core::label::MatchKind;

use super::attributes::{self, AmbiguousOwner};
use super::fields::{FieldRef, Fields};
use super::names::{InternedLabel, LabelMatcher};

/// A selector of an input, and the value for which the selecting field is looked up.
struct Selector<'l> {
    names: &'l LabelMatcher,
    value: FieldRef<'l>,
    /// The input, and which of its selectors this is.
    input_ix: usize,
    ix: usize,
}

/// Whether the fields beside a value are those that its input names.
///
/// # Errors
/// Several fields could select the value, and one of them is what the input names.
pub(super) fn is_selected(names: &LabelMatcher, value: FieldRef<'_>, input_ix: usize) -> Result<bool, AmbiguousOwner> {
    for (ix, (_, text)) in names.inputs[input_ix].selectors.iter().enumerate() {
        let selector = Selector { names, value, input_ix, ix };
        let field = if value.fields.is_json { selector.nearest_object() } else { selector.of_node(text)? };
        if !field.is_some_and(|field| value.other(field).says(text)) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl<'l> Selector<'l> {
    /// The selecting field, in the value's own object or the nearest around it that has one.
    fn nearest_object(&self) -> Option<usize> {
        let Fields { all, parents, .. } = self.value.fields;
        let only = |(field, count): (usize, usize)| (count == 1).then_some(field);
        let mut object = self.value.field().object;
        loop {
            let parent = *parents.get(object)?;
            match self.best((0..all.len()).filter(|ix| all[*ix].object == object)) {
                Some(best) => return only(best),
                // Beside it, where the line has only one: `{"device":{"id":"a"},"data":{"temp":21.5}}`.
                None if parent == object => return self.best(0..all.len()).and_then(only),
                None => object = parent,
            }
        }
    }

    /// The selecting field: the only one of the line, or where it comes again for each node that of the value's node.
    fn of_node(&self, text: &str) -> Result<Option<usize>, AmbiguousOwner> {
        let all = 0..self.value.fields.all.len();
        let Some((last, count)) = self.best(all.clone()) else { return Ok(None) };
        if count == 1 {
            return Ok(Some(last));
        }
        let kind = self.matches(last);
        let candidates: Vec<usize> = all.clone().filter(|ix| self.matches(*ix) == kind).collect();
        let values: Vec<usize> = all.filter(|ix| self.label(*ix).is_value()).collect();
        let is_same = |ix: &usize| self.label(*ix).consumers.iter().any(|consumer| consumer.input_ix == self.input_ix);
        let repeated: Vec<usize> = values.iter().copied().filter(is_same).collect();
        match attributes::attribute_of(&candidates, &values, &repeated, self.value.ix) {
            Err(AmbiguousOwner) if !candidates.iter().any(|field| self.value.other(*field).says(text)) => Ok(None),
            found => found,
        }
    }

    fn label(&self, field: usize) -> &'l InternedLabel {
        &self.names.labels[self.value.other(field).field().label]
    }

    /// How well a field matches the selector.
    fn matches(&self, field: usize) -> Option<MatchKind> {
        let mut selects = self.label(field).selects.iter();
        selects.find(|found| found.input_ix == self.input_ix && found.selector == self.ix).map(|found| found.kind)
    }

    /// The last of some fields that matches the selector best, and how many match it as well.
    fn best(&self, fields: impl Iterator<Item = usize> + Clone) -> Option<(usize, usize)> {
        let best = fields.clone().filter_map(|field| self.matches(field)).max()?;
        let alike = fields.filter(|field| self.matches(*field) == Some(best));
        Some((alike.clone().last()?, alike.count()))
    }
}
