//! What a line of text says: pairs, columns under a header, JSON, or a lone number. Everything else is counted by its reason and
//! ignored.
//!
//! Pure: bytes in, values out, cut anywhere; memory is bounded whatever comes. A line is read in two passes. The first finds its
//! fields, each a label and a value, and the labels that are new are learnt from all of them; the second gives the values to
//! whoever wants them. So no value goes out under a name that another label of the same line fits as well.

use std::sync::Arc;

use tilth_core::id::Id;
use tilth_core::label::Fit;
use tilth_core::quantity::Quantity;
use tilth_core::time::WallTime;
use tilth_core::unit::{Conversion, Unit};

use super::absent;
use super::beside::{self, Unclear, Units};
use super::clean::{clean, lossy};
use super::fields::{At, Field, Fields, Raw};
use super::forms::{Call, Forms};
use super::lines::{Cut, Lines};
use super::names::{Known, Names, Selects, Take, Want};
use super::number::{self, Cell, Time};
use super::remembered::SeenLabels;
use super::tally::excerpt;
pub(crate) use super::tally::{Reason, Tally};
use crate::sense::bus::Absent;
use crate::sense::bus::health::About;

/// Upper limit of nodes remembered per sensor, to know one that comes again; what never does is a count and no node.
const MAX_NODES: usize = 32;

/// Characters of a field's text that are shown.
const MAX_TEXT: usize = 40;

/// A want, and which of its selectors, by their places.
type Asked = (usize, usize);

/// The values of one line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Decoded<'a> {
    /// By place in the list of what is wanted; not a number where the board says that there is no value.
    pub(crate) values: &'a [(usize, f64)],
    /// By place likewise: what is read as a fault, and why.
    pub(crate) faults: &'a [(usize, Arc<str>)],
    /// By place likewise: what is no number, and what stands in its place.
    pub(crate) words: &'a [(usize, About)],
    /// The line's own time, if it carries one.
    pub(crate) time: Option<WallTime>,
    /// A number in the place of a time that is none of day, such as a board's `millis()`; as if it were seconds since 1970.
    pub(crate) count: Option<WallTime>,
}

/// Reads the lines of one bus.
#[derive(Debug)]
pub(crate) struct Decoder {
    lines: Lines,
    forms: Forms,
    reader: FieldReader,
    text: String,
}

/// Gives the fields of a line to whoever wants them.
#[derive(Debug, Default)]
struct FieldReader {
    names: Names,
    fields: Fields,
    /// Which fields of this line hold units.
    units: Units,
    values: Vec<(usize, f64)>,
    faults: Vec<(usize, Arc<str>)>,
    words: Vec<(usize, About)>,
    time: Option<WallTime>,
    count: Option<WallTime>,
    /// For each want the field of this line that it was taken from.
    taken: Vec<Option<usize>>,
    /// For each want the fault that was said last: a line a second says it without another text.
    said: Vec<Option<Arc<str>>>,
    /// For each want the nodes that it was read from, the last one last.
    nodes: Vec<Vec<String>>,
    /// For each want the number of the line that had it last, 0 for none.
    heard: Vec<u64>,
    tally: Tally,
}

impl Decoder {
    /// Looks for these; values come out under their places in this list. `columns` are the names of columns that no header
    /// names.
    pub(crate) fn new(wants: Vec<Want>, columns: Option<Vec<String>>) -> Decoder {
        let mut decoder = Decoder {
            lines: Lines::default(),
            forms: Forms::default(),
            reader: FieldReader::default(),
            text: String::new(),
        };
        decoder.set_wanted(wants, columns);
        decoder
    }

    /// Looks for others from now on. What is half read and the header stay.
    pub(crate) fn set_wanted(&mut self, wants: Vec<Want>, columns: Option<Vec<String>>) {
        let reader = &mut self.reader;
        let before: Vec<(Want, u64)> =
            (0..).zip(&reader.heard).map(|(want, line)| (reader.names.want(want).clone(), *line)).collect();
        let heard = |want: &Want| before.iter().find(|(known, _)| known == want).map_or(0, |(_, line)| *line);
        reader.heard = wants.iter().map(heard).collect();
        reader.taken = vec![None; wants.len()];
        reader.said = vec![None; wants.len()];
        reader.nodes = vec![Vec::new(); wants.len()];
        reader.names.set_wanted(wants);
        reader.tally.mixed.clear();
        reader.tally.unused.clear();
        reader.tally.faults.clear();
        reader.tally.unseen.clone_from(&reader.names.unseen);
        self.forms.set_columns(columns, &reader.names);
    }

    /// Continues with the labels that names fitted before a restart.
    pub(crate) fn recall(&mut self, before: &SeenLabels) {
        self.reader.names.recall(before);
    }

    /// Which labels names have fitted; nothing where that cannot have changed since this was asked last.
    pub(crate) fn seen_labels(&mut self) -> Option<SeenLabels> {
        self.reader.names.seen()
    }

    /// What became of the lines so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.reader.tally
    }

    /// The sensors whose values no line has, each with the reason in words.
    pub(crate) fn absent(&self, bus: &Id) -> Absent {
        let FieldReader { names, heard, tally, .. } = &self.reader;
        absent::absent(names, heard, tally, bus)
    }

    /// The port was opened: the first line may be half of one. The header stays, for the same board is behind the same port.
    pub(crate) fn reopen(&mut self) {
        self.lines.reopen();
        self.forms.reopen();
    }

    /// Takes more bytes; calls `each` for every line that has something for somebody.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Decoded<'_>)) {
        let Decoder { lines, forms, reader, text } = self;
        lines.push(bytes, |cut| {
            reader.begin();
            let read = match cut {
                Cut::TooLong(head) => {
                    lossy(head, text);
                    Err(Reason::TooLong)
                }
                Cut::Line(line, is_first) => clean(line, text).and_then(|()| reader.read(forms, text, is_first)),
            };
            if let Err(reason) = read {
                reader.tally.add(reason, text.trim());
            }
            reader.tally.used += u64::from(!reader.values.is_empty());
            let FieldReader { values, faults, words, time, count, .. } = &*reader;
            if !(values.is_empty() && faults.is_empty() && words.is_empty()) {
                each(Decoded { values, faults, words, time: *time, count: *count });
            }
        });
    }
}

impl FieldReader {
    fn begin(&mut self) {
        self.tally.lines += 1;
        self.values.clear();
        self.faults.clear();
        self.words.clear();
        (self.time, self.count) = (None, None);
        self.fields.all.clear();
        self.names.make_room();
    }

    fn read(&mut self, forms: &mut Forms, text: &str, is_first: bool) -> Result<(), Reason> {
        let FieldReader { names, fields, tally, .. } = self;
        let mut unused = |unused: &str| tally.note_unused(unused);
        let bare = text.trim();
        let mut call = Call::new(text, names, fields, &mut unused);
        // A tab at the end of a row is a cell that holds nothing.
        if bare.len() < text.len() && !is_first && forms.row_with_ends(&mut call)? {
            self.give(text);
            return Ok(());
        }
        call.text = bare;
        let found = forms.fields(&mut call, is_first);
        self.give(bare);
        found
    }

    /// The second pass.
    fn give(&mut self, text: &str) {
        let fields = std::mem::take(&mut self.fields);
        self.find_units(&fields, text);
        (0..fields.all.len()).for_each(|ix| self.give_field(fields.at(ix, text)));
        if !self.words.is_empty() || !self.faults.is_empty() || !self.values.is_empty() {
            self.taken.fill(None);
            if !self.faults.is_empty() {
                let faults = &self.faults;
                self.values.retain(|(want, _)| !faults.iter().any(|(faulty, _)| faulty == want));
            }
            self.note_faults();
            self.note_node(&fields, text);
        }
        self.fields = fields;
    }

    /// Finds the fields that hold units.
    fn find_units(&mut self, fields: &Fields, line: &str) {
        self.units.clear();
        let known = |field: &Field| self.names.known(field.label);
        if !fields.all.iter().any(|field| known(field).unit_of().is_some()) {
            return;
        }
        let is_number = |ix: usize| fields.at(ix, line).cell() != Cell::Text;
        let numbers = (0..).zip(&fields.all).filter(|(ix, field)| known(field).is_value() && is_number(*ix));
        let numbers: Vec<(usize, &str)> = numbers.map(|(ix, field)| (ix, known(field).key())).collect();
        // The `u` of a record without a `v` is something else.
        let is_unit = |field: &Field, base: &str| {
            !matches!(known(field).key().rsplit('.').next(), Some("u")) || numbers.iter().any(|(_, key)| *key == base)
        };
        let units = (0..).zip(&fields.all).filter_map(|(ix, field)| {
            let base = known(field).unit_of()?;
            is_unit(field, base).then_some((ix, base))
        });
        self.units = Units::new(units, &numbers);
    }

    fn known(&self, at: At<'_>) -> &Known {
        self.names.known(at.field().label)
    }

    fn give_field(&mut self, at: At<'_>) {
        let known = self.known(at);
        if known.takes.is_empty() && known.is_time {
            return self.take_time(at);
        }
        for place in 0..known.takes.len() {
            let take = self.known(at).takes[place];
            if take.is_ambiguous {
                self.note_seen(take.want);
                self.fail(take.want, Reason::Ambiguous, at);
                continue;
            }
            match self.is_selected(at, take.want) {
                Ok(true) => self.take(take, at),
                Ok(false) => {}
                Err(Unclear) => self.fail(take.want, Reason::NodeUnclear, at),
            }
        }
    }

    fn take(&mut self, take: Take, at: At<'_>) {
        let want = take.want;
        self.note_seen(want);
        if self.taken[want].is_some() {
            return self.fail(want, Reason::Twice, at);
        }
        self.taken[want] = Some(at.ix);
        let quantity = self.names.want(want).quantity;
        let is_contact = quantity == Quantity::Contact;
        match at.cell() {
            Cell::Number(number, unit) => match self.conversion(take, unit, at) {
                Ok(_) if is_contact && ![0.0, 1.0].contains(&number) => self.fail(want, Reason::NotAState, at),
                Ok(conversion) => self.values.push((want, conversion.apply(number))),
                Err(unit) => self.fail_about(want, Reason::WrongUnit, at, self.about(want, at, &unit)),
            },
            Cell::Missing => self.values.push((want, f64::NAN)),
            Cell::Truth(is) if number::has_truths(quantity) => self.values.push((want, f64::from(u8::from(is)))),
            Cell::Text | Cell::Truth(_) => match number::contact(at.word()).filter(|_| is_contact) {
                Some(value) => self.values.push((want, value)),
                None => {
                    let about = self.about(want, at, "");
                    self.tally.add_field(Reason::NotANumber, at.line, about.clone());
                    self.words.push((want, about));
                }
            },
        }
    }

    /// What becomes of a number. Its unit is the one behind it; without one that of its label holds, then that of a field beside it,
    /// and then the sensor's.
    ///
    /// # Errors
    /// The unit, where it measures something else or is not known; nothing where it is the one behind the number.
    fn conversion(&mut self, take: Take, unit: &str, at: At<'_>) -> Result<Conversion, String> {
        if !unit.is_empty() {
            return self.names.conversion(take.want, unit).ok_or_else(String::new);
        }
        if let Some(said) = take.said {
            return said.map_err(|unit| unit.to_string());
        }
        let quantity = self.names.want(take.want).quantity;
        let beside = if self.units.is_empty() { None } else { self.unit_beside(take.want, at)? };
        let conversion = beside.and_then(|unit| quantity.conversion(unit));
        Ok(conversion.unwrap_or_else(|| self.names.usual(take.want)))
    }

    /// The unit that a field beside a number says. One that is not known says nothing where the sensor has a unit of its own.
    fn unit_beside(&self, want: usize, at: At<'_>) -> Result<Option<Unit>, String> {
        let want = self.names.want(want);
        let beside =
            self.units.of(at.ix, self.known(at).key()).map_err(|Unclear| "of one of several units".to_owned())?;
        let Some(beside) = beside else { return Ok(None) };
        let text = at.other(beside.place).word();
        match beside::said(text, beside.is_own, want.quantity) {
            Err(()) if want.unit.is_none() => Err(excerpt(text.trim())),
            said => Ok(said.unwrap_or_default()),
        }
    }

    fn note_seen(&mut self, want: usize) {
        self.heard[want] = self.tally.lines;
        self.names.note_seen(want);
        if self.tally.unseen.len() != self.names.unseen.len() {
            self.tally.unseen.clone_from(&self.names.unseen);
        }
    }

    /// The sensor reads a fault: once for each line, whatever else the line says.
    fn fail(&mut self, want: usize, reason: Reason, at: At<'_>) {
        self.fail_about(want, reason, at, self.about(want, at, ""));
    }

    fn fail_about(&mut self, want: usize, reason: Reason, at: At<'_>, about: About) {
        if self.faults.iter().any(|(faulty, _)| *faulty == want) {
            return;
        }
        let why = self.why(want, reason, at, &about);
        self.tally.add_field(reason, at.line, about);
        let said = &mut self.said[want];
        let why = said.take().filter(|said| **said == *why).unwrap_or_else(|| Arc::from(why));
        *said = Some(Arc::clone(&why));
        self.faults.push((want, why));
    }

    fn why(&self, want: usize, reason: Reason, at: At<'_>, About { field, text, .. }: &About) -> String {
        let Want { name, quantity, .. } = self.names.want(want);
        match reason {
            Reason::Ambiguous => {
                let (one, other) = self.names.ambiguous(want).unwrap_or_default();
                let (one, other) = (excerpt(one), excerpt(other));
                format!("\"{name}\" fits \"{one}\" and \"{other}\"; name the whole label in its input")
            }
            Reason::Twice => match self.taken[want].map_or("", |first| &self.known(at.other(first)).text) {
                other if other == field => format!("\"{other}\" comes twice in one line"),
                other => format!("\"{other}\" and \"{field}\" come in one line, and \"{name}\" means both"),
            },
            Reason::NotAState => {
                format!("\"{field}\" says {text}: a contact is 0 or 1, or a word such as open or closed")
            }
            Reason::NodeUnclear => format!("\"{field}\" could be of the node before it and of the one behind it"),
            _ => {
                let units = quantity.units();
                let known = if units.is_empty() { "no unit".to_owned() } else { units.join(", ") };
                format!("\"{field}\" says {text}: {quantity} is read in {known}")
            }
        }
    }

    /// A field that a sensor wants; `unit` is what something else than the field says of it.
    fn about(&self, want: usize, at: At<'_>, unit: &str) -> About {
        let text = at.shown().chars().take(MAX_TEXT).collect::<String>();
        let text = format!("{text} {unit}").trim_end().to_owned();
        let field = self.known(at).text.clone();
        About { field, text: excerpt(&text), sensor: self.names.want(want).sensor.clone() }
    }

    fn take_time(&mut self, at: At<'_>) {
        let in_ms = self.known(at).in_ms;
        let time = match &at.field().value {
            Raw::Number(number) => number::epoch(*number, in_ms),
            Raw::Missing => Time::NotOfDay(None),
            Raw::Cell(range) | Raw::Text(range) | Raw::Pair(range, _) => number::time(at.text(range), in_ms),
        };
        match time {
            Time::At(wall) => self.time = Some(wall),
            Time::NotOfDay(count) => self.count = count.or(self.count),
            Time::Wrong => self.tally.add(Reason::BadTime, at.line),
        }
    }

    fn note_faults(&mut self) {
        let faults = &mut self.tally.faults;
        for (want, why) in &self.faults {
            let sensor = &self.names.want(*want).sensor;
            if faults.get(sensor) != Some(why) {
                faults.insert(sensor.clone(), Arc::clone(why));
            }
        }
        if !faults.is_empty() {
            for (want, _) in &self.values {
                faults.remove(&self.names.want(*want).sensor);
            }
        }
    }

    /// Notes which node the line is of: a sensor that is read from several in turn is said.
    fn note_node(&mut self, fields: &Fields, line: &str) {
        let mut marks = (0..).zip(&fields.all).filter(|(_, field)| self.names.known(field.label).is_node);
        let (Some((ix, field)), None) = (marks.next(), marks.next()) else { return };
        let text = fields.at(ix, line).shown();
        let label = &self.names.known(field.label).text;
        for (want, _) in &self.values {
            let nodes = &mut self.nodes[*want];
            if nodes.last() == Some(&text) || self.names.is_selected(*want) {
                continue;
            }
            let came_before = nodes.iter().position(|node| *node == text);
            if let (Some(_), Some(last)) = (came_before, nodes.last()) {
                let Want { name, sensor, .. } = self.names.want(*want);
                let (last, text) = (excerpt(last), excerpt(&text));
                let said =
                    format!("\"{label}\" says {last} and {text}; say which one in its input: {name}?{label}={text}");
                self.tally.mixed.entry(sensor.clone()).or_insert(said);
            }
            came_before.map(|place| nodes.remove(place));
            nodes.push(text.clone());
            if nodes.len() > MAX_NODES {
                nodes.remove(0);
            }
        }
    }

    /// Whether the fields beside a value are those that its input names.
    ///
    /// # Errors
    /// Several fields could select the value, and one of them is what the input names.
    fn is_selected(&self, at: At<'_>, want: usize) -> Result<bool, Unclear> {
        for (selector, text) in self.names.selectors(want).enumerate() {
            let beside = match at.fields.is_json {
                true => self.nearest_object(at, (want, selector)),
                false => self.of_node(at, (want, selector), text)?,
            };
            if !beside.is_some_and(|beside| at.other(beside).says(text)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The field that selects, in the value's own object or the nearest around it that has one.
    fn nearest_object(&self, at: At<'_>, asked: Asked) -> Option<usize> {
        let Fields { all, parents, .. } = at.fields;
        let mut object = at.field().object;
        loop {
            let here = (0..all.len()).filter(|beside| all[*beside].object == object);
            match (self.best(at, here, asked), *parents.get(object)?) {
                ((Some(best), count), _) => return (count == 1).then_some(best),
                // Beside it, where the line has only one: `{"device":{"id":"a"},"data":{"temp":21.5}}`.
                ((None, _), parent) if parent == object => {
                    let (best, count) = self.best(at, 0..all.len(), asked);
                    return best.filter(|_| count == 1);
                }
                ((None, _), parent) => object = parent,
            }
        }
    }

    /// The field that selects: the only one of the line, or where it comes again for each node that of the value's node.
    fn of_node(&self, at: At<'_>, asked: Asked, text: &str) -> Result<Option<usize>, Unclear> {
        let places = 0..at.fields.all.len();
        let (last, count) = self.best(at, places.clone(), asked);
        let Some(fit) = last.and_then(|last| self.fit(at.other(last), asked)).filter(|_| count > 1) else {
            return Ok(last);
        };
        let known = |ix: usize| self.known(at.other(ix));
        let marks: Vec<usize> = places.clone().filter(|ix| self.fit(at.other(*ix), asked) == Some(fit)).collect();
        let values: Vec<usize> = places.filter(|ix| known(*ix).is_value()).collect();
        let is_alike = |ix: &usize| known(*ix).takes.iter().any(|take| take.want == asked.0);
        let alike: Vec<usize> = values.iter().copied().filter(is_alike).collect();
        match beside::partner(&marks, &values, &alike, at.ix) {
            Err(Unclear) if !marks.iter().any(|mark| at.other(*mark).says(text)) => Ok(None),
            found => found,
        }
    }

    /// How well a field answers a selector.
    fn fit(&self, at: At<'_>, (want, selector): Asked) -> Option<Fit> {
        let is_asked = |found: &&Selects| found.want == want && found.selector == selector;
        self.known(at).selects.iter().find(is_asked).map(|found| found.fit)
    }

    /// The last of the fields that answers a selector best, and how many answer it as well.
    fn best(&self, at: At<'_>, among: impl Iterator<Item = usize>, asked: Asked) -> (Option<usize>, usize) {
        let fits = among.filter_map(|ix| Some((self.fit(at.other(ix), asked)?, ix)));
        let (best, count) = fits.fold((None, 0), |(best, count), (fit, ix)| match best {
            Some((known, _)) if known > fit => (best, count),
            Some((known, _)) if known == fit => (Some((fit, ix)), count + 1),
            _ => (Some((fit, ix)), 1),
        });
        (best.map(|(_, ix)| ix), count)
    }
}

#[cfg(test)]
mod tests;
