//! Assigns the fields of a line to the sensors that read them.
//!
//! A line is read in two passes: the first finds its fields and interns their labels, the second assigns the values. So no value
//! goes out under a name that another label of the same line matches as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use tilth_core::id::SensorId;
use tilth_core::quantity::Quantity;
use tilth_core::time::WallTime;
use tilth_core::unit::{Conversion, Unit};

use super::attributes::{self, AmbiguousOwner, Units};
use super::fields::{Field, FieldRef, FieldValue, Fields};
use super::formats::{Formats, LineContext};
use super::names::{Consumer, InternedLabel, LabelMatcher, LineInput};
use super::number::{self, Parsed, Time};
use super::parse::Decoded;
use super::{reasons, select};
use crate::sense::bus::health::{MessageStats, Reason, UnusableValue, excerpt};

/// Upper limit of nodes remembered per sensor, to know one that comes again; a count never does.
const MAX_NODES: usize = 32;

/// Characters of a field's text that are shown.
const MAX_TEXT: usize = 40;

/// Reads the fields of one line after the other; sensors are named by the index of their input.
#[derive(Debug, Default)]
pub(super) struct FieldAssigner {
    pub(super) names: LabelMatcher,
    fields: Fields,
    /// The fields of this line that hold units.
    units: Units,
    values: Vec<(usize, f64)>,
    faults: Vec<(usize, Arc<str>)>,
    not_numbers: Vec<(usize, UnusableValue)>,
    time: Option<WallTime>,
    counter: Option<WallTime>,
    states: Vec<InputState>,
    pub(super) messages: MessageStats,
    /// Sensors that are read from several nodes in turn, and which.
    pub(super) mixed: BTreeMap<SensorId, String>,
}

/// What is remembered of one input.
#[derive(Debug, Clone, Default)]
struct InputState {
    /// Field of this line that the value was taken from.
    taken_from: Option<usize>,
    /// Nodes that the input was read from, newest last.
    nodes: Vec<String>,
}

impl FieldAssigner {
    pub(super) fn set_inputs(&mut self, inputs: Vec<LineInput>) {
        self.states = vec![InputState::default(); inputs.len()];
        let messages = &mut self.messages;
        messages.missing_names = self.names.set_inputs(inputs, &messages.missing_names);
        self.mixed.clear();
        messages.unmatched_labels.clear();
        messages.faults.clear();
    }

    /// The nodes that each input was read from, newest last.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &[String]> {
        self.states.iter().map(|state| state.nodes.as_slice())
    }

    pub(super) fn begin(&mut self) {
        self.messages.received += 1;
        self.values.clear();
        self.faults.clear();
        self.not_numbers.clear();
        (self.time, self.counter) = (None, None);
        self.fields.all.clear();
        self.fields.is_json = false;
        self.names.make_room();
    }

    pub(super) fn decoded(&mut self) -> Decoded<'_> {
        self.messages.matched += u64::from(!self.values.is_empty());
        let FieldAssigner { values, faults, not_numbers, time, counter, .. } = self;
        Decoded { values, faults, not_numbers, time: *time, counter: *counter }
    }

    pub(super) fn read(&mut self, formats: &mut Formats, text: &str, is_first: bool) -> Result<(), Reason> {
        let FieldAssigner { names, fields, messages, .. } = self;
        let bare = text.trim();
        let mut context = LineContext { text, names, fields, messages, heading: Arc::default() };
        // A tab at the end of a row is an empty cell.
        if bare.len() < text.len() && !is_first && formats.row_with_edge_tabs(&mut context)? {
            self.assign(text);
            return Ok(());
        }
        context.text = bare;
        let found = formats.fields(&mut context, is_first);
        self.assign(bare);
        found
    }

    /// The second pass.
    fn assign(&mut self, text: &str) {
        let fields = std::mem::take(&mut self.fields);
        self.find_units(&fields, text);
        (0..fields.all.len()).for_each(|ix| self.assign_field(fields.at(ix, text)));
        let FieldAssigner { faults, values, states, .. } = self;
        if !(self.not_numbers.is_empty() && faults.is_empty() && values.is_empty()) {
            states.iter_mut().for_each(|state| state.taken_from = None);
            values.retain(|(input_ix, _)| !faults.iter().any(|(faulty, _)| faulty == input_ix));
            self.note_faults();
            self.note_node(&fields, text);
        }
        self.fields = fields;
    }

    fn find_units(&mut self, fields: &Fields, line: &str) {
        self.units = Units::default();
        let interned = |field: &Field| &self.names.labels[field.label];
        if !fields.all.iter().any(|field| interned(field).unit_of().is_some()) {
            return;
        }
        let is_number = |ix: usize| fields.at(ix, line).parsed() != Parsed::Text;
        let numbers = (0..).zip(&fields.all).filter(|(ix, field)| interned(field).is_value() && is_number(*ix));
        let numbers: Vec<(usize, &str)> = numbers.map(|(ix, field)| (ix, interned(field).key())).collect();
        // A `u` without the `v` of a record is something else.
        let is_unit = |field: &Field, base: &str| {
            interned(field).key().rsplit('.').next() != Some("u") || numbers.iter().any(|(_, key)| *key == base)
        };
        let units = (0..).zip(&fields.all).filter_map(|(ix, field)| {
            let base = interned(field).unit_of()?;
            is_unit(field, base).then_some((ix, base))
        });
        self.units = Units::new(units, &numbers);
    }

    fn interned(&self, at: FieldRef<'_>) -> &InternedLabel {
        &self.names.labels[at.field().label]
    }

    fn assign_field(&mut self, at: FieldRef<'_>) {
        let interned = self.interned(at);
        if interned.consumers.is_empty() && interned.is_time {
            return self.take_time(at);
        }
        for ix in 0..interned.consumers.len() {
            let consumer = self.interned(at).consumers[ix];
            if consumer.is_ambiguous {
                self.note_value(consumer.input_ix);
                self.fail(consumer.input_ix, reasons::AMBIGUOUS, at, "");
                continue;
            }
            match select::is_selected(&self.names, at, consumer.input_ix) {
                Ok(true) => self.take_value(consumer, at),
                Ok(false) => {}
                Err(AmbiguousOwner) => self.fail(consumer.input_ix, reasons::NODE_UNCLEAR, at, ""),
            }
        }
    }

    fn take_value(&mut self, consumer: Consumer, at: FieldRef<'_>) {
        let input_ix = consumer.input_ix;
        self.note_value(input_ix);
        if self.states[input_ix].taken_from.is_some() {
            return self.fail(input_ix, reasons::TWICE, at, "");
        }
        self.states[input_ix].taken_from = Some(at.ix);
        let quantity = self.names.inputs[input_ix].input.quantity;
        let is_contact = quantity == Quantity::Contact;
        match at.parsed() {
            Parsed::Number(number, unit) => match self.conversion(consumer, unit, at) {
                Ok(_) if is_contact && ![0.0, 1.0].contains(&number) => {
                    self.fail(input_ix, reasons::NOT_A_STATE, at, "");
                }
                Ok(conversion) => self.values.push((input_ix, conversion.apply(number))),
                Err(unit) => self.fail(input_ix, reasons::WRONG_UNIT, at, &unit),
            },
            Parsed::Empty => self.values.push((input_ix, f64::NAN)),
            Parsed::Bool(is) if number::takes_bools(quantity) => self.values.push((input_ix, f64::from(u8::from(is)))),
            Parsed::Text | Parsed::Bool(_) => match number::contact(at.word()).filter(|_| is_contact) {
                Some(value) => self.values.push((input_ix, value)),
                None => {
                    let value = self.unusable(input_ix, at, "");
                    self.messages.ignore(reasons::NOT_A_NUMBER, at.line, Some(value.clone()));
                    self.not_numbers.push((input_ix, value));
                }
            },
        }
    }

    /// Conversion of a number to its sensor's unit. The number's unit is the one after it, else that of its label, else that of a
    /// field beside it, else the sensor's.
    ///
    /// # Errors
    /// The unit that is unknown or of another quantity; empty where it is the one after the number.
    fn conversion(&mut self, consumer: Consumer, unit: &str, at: FieldRef<'_>) -> Result<Conversion, String> {
        if !unit.is_empty() {
            return self.names.conversion(consumer.input_ix, unit).ok_or_else(String::new);
        }
        if let Some(conversion) = consumer.conversion {
            return conversion.map_err(|unit| unit.to_string());
        }
        let quantity = self.names.inputs[consumer.input_ix].input.quantity;
        let conversion = self.unit_beside(consumer.input_ix, at)?.and_then(|unit| quantity.conversion(unit));
        Ok(conversion.unwrap_or(self.names.inputs[consumer.input_ix].default_conversion))
    }

    /// The unit that a field beside a number says. An unknown one is passed over where the sensor has a unit of its own.
    fn unit_beside(&self, input_ix: usize, at: FieldRef<'_>) -> Result<Option<Unit>, String> {
        let input = &self.names.inputs[input_ix].input;
        let unit = self.units.of(at.ix, self.interned(at).key());
        let unit = unit.map_err(|AmbiguousOwner| "of one of several units".to_owned())?;
        let Some(unit) = unit else { return Ok(None) };
        let text = at.other(unit.ix).word();
        match attributes::stated_unit(text, unit.is_own, input.quantity) {
            Err(()) if input.unit.is_none() => Err(excerpt(text.trim())),
            stated => Ok(stated.unwrap_or_default()),
        }
    }

    fn note_value(&mut self, input_ix: usize) {
        let input = &mut self.names.inputs[input_ix];
        if std::mem::replace(&mut input.last_line, self.messages.received) == 0 {
            self.messages.missing_names.remove(&input.matched.name);
        }
    }

    /// Notes the first fault that a line has for an input. `unit` is the unit that the label or another field says.
    fn fail(&mut self, input_ix: usize, reason: Reason, at: FieldRef<'_>, unit: &str) {
        if self.faults.iter().any(|(faulty, _)| *faulty == input_ix) {
            return;
        }
        let value = self.unusable(input_ix, at, unit);
        let why = self.why(input_ix, reason, at, &value);
        self.messages.ignore(reason, at.line, Some(value));
        self.faults.push((input_ix, Arc::from(why)));
    }

    fn why(&self, input_ix: usize, reason: Reason, at: FieldRef<'_>, value: &UnusableValue) -> String {
        let UnusableValue { field, text, .. } = value;
        let LineInput { name, quantity, .. } = &self.names.inputs[input_ix].input;
        match reason {
            reasons::AMBIGUOUS => {
                let (one, other) = self.names.ambiguous(input_ix).unwrap_or_default();
                let (one, other) = (excerpt(one), excerpt(other));
                format!("\"{name}\" fits \"{one}\" and \"{other}\"; name the whole label in its input")
            }
            reasons::TWICE => {
                match self.states[input_ix].taken_from.map_or("", |first| &self.interned(at.other(first)).text) {
                    other if other == field => format!("\"{other}\" comes twice in one line"),
                    other => format!("\"{other}\" and \"{field}\" come in one line, and \"{name}\" means both"),
                }
            }
            reasons::NOT_A_STATE => {
                format!("\"{field}\" says {text}: a contact is 0 or 1, or a word such as open or closed")
            }
            reasons::NODE_UNCLEAR => format!("\"{field}\" could be of the node before it and of the one behind it"),
            _ => {
                let units = quantity.units();
                let expected = if units.is_empty() { "no unit".to_owned() } else { units.join(", ") };
                format!("\"{field}\" says {text}: {quantity} is read in {expected}")
            }
        }
    }

    /// A field that a sensor reads and cannot use.
    fn unusable(&self, input_ix: usize, at: FieldRef<'_>, unit: &str) -> UnusableValue {
        let text = at.shown().chars().take(MAX_TEXT).collect::<String>();
        let text = excerpt(format!("{text} {unit}").trim_end());
        let sensor = self.names.inputs[input_ix].input.sensor.clone();
        UnusableValue { field: self.interned(at).text.clone(), text, sensor }
    }

    fn take_time(&mut self, at: FieldRef<'_>) {
        let in_ms = self.interned(at).in_ms;
        let time = match &at.field().value {
            FieldValue::Number(number) => number::epoch(*number, in_ms),
            FieldValue::Empty => Time::Counter(None),
            FieldValue::Raw(range) | FieldValue::Text(range) | FieldValue::NumberWithUnit(range, _) => {
                number::time(at.text(range), in_ms)
            }
        };
        match time {
            Time::At(wall) => self.time = Some(wall),
            Time::Counter(count) => self.counter = count.or(self.counter),
            Time::Wrong => self.messages.ignore(reasons::BAD_TIME, at.line, None),
        }
    }

    fn note_faults(&mut self) {
        let faults = &mut self.messages.faults;
        for (input_ix, why) in &self.faults {
            let sensor = &self.names.inputs[*input_ix].input.sensor;
            if faults.get(sensor) != Some(why) {
                faults.insert(sensor.clone(), Arc::clone(why));
            }
        }
        if !faults.is_empty() {
            self.values
                .iter()
                .for_each(|(input_ix, _)| drop(faults.remove(&self.names.inputs[*input_ix].input.sensor)));
        }
    }

    /// Notes which node the line is of, to report a sensor that is read from several in turn.
    fn note_node(&mut self, fields: &Fields, line: &str) {
        let mut node_fields = (0..).zip(&fields.all).filter(|(_, field)| self.names.labels[field.label].is_node);
        let (Some((ix, field)), None) = (node_fields.next(), node_fields.next()) else { return };
        let text = fields.at(ix, line).shown();
        let label = &self.names.labels[field.label].text;
        for (input_ix, _) in &self.values {
            let nodes = &mut self.states[*input_ix].nodes;
            if nodes.last() == Some(&text) || !self.names.inputs[*input_ix].selectors.is_empty() {
                continue;
            }
            let came_before = nodes.iter().position(|node| *node == text);
            if let (Some(_), Some(last)) = (came_before, nodes.last()) {
                let LineInput { name, sensor, .. } = &self.names.inputs[*input_ix].input;
                let (last, text) = (excerpt(last), excerpt(&text));
                let said =
                    format!("\"{label}\" says {last} and {text}; say which one in its input: {name}?{label}={text}");
                self.mixed.entry(sensor.clone()).or_insert(said);
            }
            came_before.map(|place| nodes.remove(place));
            nodes.push(text.clone());
            if nodes.len() > MAX_NODES {
                nodes.remove(0);
            }
        }
    }
}
