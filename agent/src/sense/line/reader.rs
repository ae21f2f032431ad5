//! Gives the fields of a line to the sensors that want them.
//!
//! A line is read in two passes: the first finds its fields and learns their labels, the second gives out the values. So no value
//! goes out under a name that another label of the same line matches as well.

use std::sync::Arc;

use tilth_core::quantity::Quantity;
use tilth_core::time::WallTime;
use tilth_core::unit::{Conversion, Unit};

use super::beside::{self, Unclear, Units};
use super::fields::{Field, FieldRef, FieldValue, Fields};
use super::forms::{Forms, LineContext};
use super::names::{Consumer, KnownLabel, Names, WantedValue};
use super::number::{self, Cell, Time};
use super::parse::Decoded;
use super::{reasons, select};
use crate::sense::bus::health::{About, Messages, Reason, excerpt};

/// Upper limit of nodes remembered per sensor, to know one that comes again; a count never does.
const MAX_NODES: usize = 32;

/// Characters of a field's text that are shown.
const MAX_TEXT: usize = 40;

/// Reads the fields of one line after the other; sensors are named by the index of their wanted value.
#[derive(Debug, Default)]
pub(super) struct FieldReader {
    pub(super) names: Names,
    fields: Fields,
    /// The fields of this line that hold units.
    units: Units,
    values: Vec<(usize, f64)>,
    faults: Vec<(usize, Arc<str>)>,
    not_numbers: Vec<(usize, About)>,
    time: Option<WallTime>,
    count: Option<WallTime>,
    progress: Vec<Progress>,
    pub(super) messages: Messages,
}

/// What is remembered of one wanted value.
#[derive(Debug, Clone, Default)]
struct Progress {
    /// Field of this line that the value was taken from.
    taken: Option<usize>,
    /// The last fault; a line a second repeats it without another text.
    last_fault: Option<Arc<str>>,
    /// Nodes that the value was read from, newest last.
    nodes: Vec<String>,
}

impl FieldReader {
    pub(super) fn set_wanted(&mut self, wants: Vec<WantedValue>) {
        self.progress = vec![Progress::default(); wants.len()];
        let messages = &mut self.messages;
        messages.not_received = self.names.set_wanted(wants, &messages.not_received);
        messages.mixed.clear();
        messages.unclaimed.clear();
        messages.faults.clear();
    }

    /// Begins another line.
    pub(super) fn begin(&mut self) {
        self.messages.came += 1;
        self.values.clear();
        self.faults.clear();
        self.not_numbers.clear();
        (self.time, self.count) = (None, None);
        self.fields.all.clear();
        self.fields.is_json = false;
        self.names.make_room();
    }

    /// What the line has for sensors.
    pub(super) fn decoded(&mut self) -> Decoded<'_> {
        self.messages.matched += u64::from(!self.values.is_empty());
        let FieldReader { values, faults, not_numbers, time, count, .. } = self;
        Decoded { values, faults, not_numbers, time: *time, count: *count }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// Why the line is ignored.
    pub(super) fn read(&mut self, forms: &mut Forms, text: &str, is_first: bool) -> Result<(), Reason> {
        let FieldReader { names, fields, messages, .. } = self;
        let bare = text.trim();
        let mut context = LineContext { text, names, fields, messages, heading: Arc::default() };
        // A tab at the end of a row is an empty cell.
        if bare.len() < text.len() && !is_first && forms.row_with_ends(&mut context)? {
            self.give(text);
            return Ok(());
        }
        context.text = bare;
        let found = forms.fields(&mut context, is_first);
        self.give(bare);
        found
    }

    /// The second pass.
    fn give(&mut self, text: &str) {
        let fields = std::mem::take(&mut self.fields);
        self.find_units(&fields, text);
        (0..fields.all.len()).for_each(|ix| self.give_field(fields.at(ix, text)));
        let FieldReader { faults, values, progress, .. } = self;
        if !(self.not_numbers.is_empty() && faults.is_empty() && values.is_empty()) {
            progress.iter_mut().for_each(|progress| progress.taken = None);
            values.retain(|(want, _)| !faults.iter().any(|(faulty, _)| faulty == want));
            self.note_faults();
            self.note_node(&fields, text);
        }
        self.fields = fields;
    }

    fn find_units(&mut self, fields: &Fields, line: &str) {
        self.units.clear();
        let known = |field: &Field| self.names.known(field.label);
        if !fields.all.iter().any(|field| known(field).unit_of().is_some()) {
            return;
        }
        let is_number = |ix: usize| fields.at(ix, line).cell() != Cell::Text;
        let numbers = (0..).zip(&fields.all).filter(|(ix, field)| known(field).is_value() && is_number(*ix));
        let numbers: Vec<(usize, &str)> = numbers.map(|(ix, field)| (ix, known(field).key())).collect();
        // A `u` without the `v` of a record is something else.
        let is_unit = |field: &Field, base: &str| {
            known(field).key().rsplit('.').next() != Some("u") || numbers.iter().any(|(_, key)| *key == base)
        };
        let units = (0..).zip(&fields.all).filter_map(|(ix, field)| {
            let base = known(field).unit_of()?;
            is_unit(field, base).then_some((ix, base))
        });
        self.units = Units::new(units, &numbers);
    }

    fn known(&self, at: FieldRef<'_>) -> &KnownLabel {
        self.names.known(at.field().label)
    }

    fn give_field(&mut self, at: FieldRef<'_>) {
        let known = self.known(at);
        if known.consumers.is_empty() && known.is_time {
            return self.take_time(at);
        }
        for ix in 0..known.consumers.len() {
            let consumer = self.known(at).consumers[ix];
            if consumer.is_ambiguous {
                self.note_seen(consumer.want);
                self.fail(consumer.want, reasons::AMBIGUOUS, at, "");
                continue;
            }
            match select::is_selected(&self.names, at, consumer.want) {
                Ok(true) => self.take(consumer, at),
                Ok(false) => {}
                Err(Unclear) => self.fail(consumer.want, reasons::NODE_UNCLEAR, at, ""),
            }
        }
    }

    fn take(&mut self, consumer: Consumer, at: FieldRef<'_>) {
        let want = consumer.want;
        self.note_seen(want);
        if self.progress[want].taken.is_some() {
            return self.fail(want, reasons::TWICE, at, "");
        }
        self.progress[want].taken = Some(at.ix);
        let quantity = self.names.want(want).quantity;
        let is_contact = quantity == Quantity::Contact;
        match at.cell() {
            Cell::Number(number, unit) => match self.conversion(consumer, unit, at) {
                Ok(_) if is_contact && ![0.0, 1.0].contains(&number) => self.fail(want, reasons::NOT_A_STATE, at, ""),
                Ok(conversion) => self.values.push((want, conversion.apply(number))),
                Err(unit) => self.fail(want, reasons::WRONG_UNIT, at, &unit),
            },
            Cell::Empty => self.values.push((want, f64::NAN)),
            Cell::Bool(is) if number::has_truths(quantity) => self.values.push((want, f64::from(u8::from(is)))),
            Cell::Text | Cell::Bool(_) => match number::contact(at.word()).filter(|_| is_contact) {
                Some(value) => self.values.push((want, value)),
                None => {
                    let about = self.about(want, at, "");
                    self.messages.ignore(reasons::NOT_A_NUMBER, at.line, Some(about.clone()));
                    self.not_numbers.push((want, about));
                }
            },
        }
    }

    /// Conversion of a number to its sensor's unit. The number's unit is the one behind it, else that of its label, else that of a
    /// field beside it, else the sensor's.
    ///
    /// # Errors
    /// The unit that is unknown or of another quantity; empty where it is the one behind the number.
    fn conversion(&mut self, consumer: Consumer, unit: &str, at: FieldRef<'_>) -> Result<Conversion, String> {
        if !unit.is_empty() {
            return self.names.conversion(consumer.want, unit).ok_or_else(String::new);
        }
        if let Some(stated) = consumer.stated {
            return stated.map_err(|unit| unit.to_string());
        }
        let quantity = self.names.want(consumer.want).quantity;
        let beside = if self.units.is_empty() { None } else { self.unit_beside(consumer.want, at)? };
        let conversion = beside.and_then(|unit| quantity.conversion(unit));
        Ok(conversion.unwrap_or_else(|| self.names.default_conversion(consumer.want)))
    }

    /// The unit that a field beside a number says. An unknown one is passed over where the sensor has a unit of its own.
    fn unit_beside(&self, want: usize, at: FieldRef<'_>) -> Result<Option<Unit>, String> {
        let want = self.names.want(want);
        let beside =
            self.units.of(at.ix, self.known(at).key()).map_err(|Unclear| "of one of several units".to_owned())?;
        let Some(beside) = beside else { return Ok(None) };
        let text = at.other(beside.ix).word();
        match beside::said(text, beside.is_own, want.quantity) {
            Err(()) if want.unit.is_none() => Err(excerpt(text.trim())),
            said => Ok(said.unwrap_or_default()),
        }
    }

    fn note_seen(&mut self, want: usize) {
        let is_first = self.names.note_seen(want, self.messages.came);
        if is_first && !self.messages.not_received.is_empty() {
            self.messages.not_received.remove(self.names.name(want));
        }
    }

    /// The sensor reads a fault, the first that its line has. `unit` is what something else than the field says of its unit.
    fn fail(&mut self, want: usize, reason: Reason, at: FieldRef<'_>, unit: &str) {
        if self.faults.iter().any(|(faulty, _)| *faulty == want) {
            return;
        }
        let about = self.about(want, at, unit);
        let why = self.why(want, reason, at, &about);
        self.messages.ignore(reason, at.line, Some(about));
        let last = &mut self.progress[want].last_fault;
        let why = last.take().filter(|last| **last == *why).unwrap_or_else(|| Arc::from(why));
        *last = Some(Arc::clone(&why));
        self.faults.push((want, why));
    }

    fn why(&self, want: usize, reason: Reason, at: FieldRef<'_>, About { field, text, .. }: &About) -> String {
        let WantedValue { name, quantity, .. } = self.names.want(want);
        match reason {
            reasons::AMBIGUOUS => {
                let (one, other) = self.names.ambiguous(want).unwrap_or_default();
                let (one, other) = (excerpt(one), excerpt(other));
                format!("\"{name}\" fits \"{one}\" and \"{other}\"; name the whole label in its input")
            }
            reasons::TWICE => match self.progress[want].taken.map_or("", |first| &self.known(at.other(first)).text) {
                other if other == field => format!("\"{other}\" comes twice in one line"),
                other => format!("\"{other}\" and \"{field}\" come in one line, and \"{name}\" means both"),
            },
            reasons::NOT_A_STATE => {
                format!("\"{field}\" says {text}: a contact is 0 or 1, or a word such as open or closed")
            }
            reasons::NODE_UNCLEAR => format!("\"{field}\" could be of the node before it and of the one behind it"),
            _ => {
                let units = quantity.units();
                let known = if units.is_empty() { "no unit".to_owned() } else { units.join(", ") };
                format!("\"{field}\" says {text}: {quantity} is read in {known}")
            }
        }
    }

    /// A field that a sensor wants and cannot use.
    fn about(&self, want: usize, at: FieldRef<'_>, unit: &str) -> About {
        let text = at.shown().chars().take(MAX_TEXT).collect::<String>();
        let text = excerpt(format!("{text} {unit}").trim_end());
        About { field: self.known(at).text.clone(), text, sensor: self.names.want(want).sensor.clone() }
    }

    fn take_time(&mut self, at: FieldRef<'_>) {
        let in_ms = self.known(at).in_ms;
        let time = match &at.field().value {
            FieldValue::Number(number) => number::epoch(*number, in_ms),
            FieldValue::Empty => Time::NotOfDay(None),
            FieldValue::Cell(range) | FieldValue::Text(range) | FieldValue::Pair(range, _) => {
                number::time(at.text(range), in_ms)
            }
        };
        match time {
            Time::At(wall) => self.time = Some(wall),
            Time::NotOfDay(count) => self.count = count.or(self.count),
            Time::Wrong => self.messages.ignore(reasons::BAD_TIME, at.line, None),
        }
    }

    fn note_faults(&mut self) {
        let faults = &mut self.messages.faults;
        for (want, why) in &self.faults {
            let sensor = &self.names.want(*want).sensor;
            if faults.get(sensor) != Some(why) {
                faults.insert(sensor.clone(), Arc::clone(why));
            }
        }
        if !faults.is_empty() {
            self.values.iter().for_each(|(want, _)| drop(faults.remove(&self.names.want(*want).sensor)));
        }
    }

    /// Notes which node the line is of, to report a sensor that is read from several in turn.
    fn note_node(&mut self, fields: &Fields, line: &str) {
        let mut marks = (0..).zip(&fields.all).filter(|(_, field)| self.names.known(field.label).is_node);
        let (Some((ix, field)), None) = (marks.next(), marks.next()) else { return };
        let text = fields.at(ix, line).shown();
        let label = &self.names.known(field.label).text;
        for (want, _) in &self.values {
            let nodes = &mut self.progress[*want].nodes;
            if nodes.last() == Some(&text) || self.names.is_selected(*want) {
                continue;
            }
            let came_before = nodes.iter().position(|node| *node == text);
            if let (Some(_), Some(last)) = (came_before, nodes.last()) {
                let WantedValue { name, sensor, .. } = self.names.want(*want);
                let (last, text) = (excerpt(last), excerpt(&text));
                let said =
                    format!("\"{label}\" says {last} and {text}; say which one in its input: {name}?{label}={text}");
                self.messages.mixed.entry(sensor.clone()).or_insert(said);
            }
            came_before.map(|place| nodes.remove(place));
            nodes.push(text.clone());
            if nodes.len() > MAX_NODES {
                nodes.remove(0);
            }
        }
    }
}
