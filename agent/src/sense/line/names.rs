//! Matches the names in sensors' inputs to the labels that a board prints. Pure.
//!
//! ```text
//!             a label has the name's words          another one has them too
//! no match ----------------------------> partial --------------------------> ambiguous
//!     |                                     |                                     |
//!     +-------------------------------------+-------------------------------------+--> exact: a label is the name
//! ```
//!
//! An *exact* match is a label that is the name; then no other label is used. A *partial* match is a label that has the words of the name
//! among others: `Room temp` for `temp`. *Ambiguous* stays so until the configuration changes: the sensor is at fault, and the fault names
//! both labels. A label is *interned* once a line has had it: what it means is looked up once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tilth_config::LineName;
use tilth_core::id::SensorId;
use tilth_core::label::{Label, MatchKind, Siblings};
use tilth_core::quantity::Quantity;
use tilth_core::unit::{Conversion, Unit};
use tokio::sync::watch;

use super::{attributes, number, words};

/// Upper limit of labels remembered; a bus with more prints noise for names.
const MAX_LABELS: usize = 4096;

/// Characters of a label that are kept to be shown.
const MAX_SHOWN: usize = 80;

/// The labels that the names of the sensors of one bus have matched.
pub(crate) type LabelMatches = BTreeMap<SensorId, LabelMatch>;

/// The matches of one bus that decide was told of. Clones share them; they outlive the task of the bus.
pub(crate) type SharedLabelMatches = watch::Sender<Arc<LabelMatches>>;

/// The labels that the name in a sensor's input has matched since the configuration last changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabelMatch {
    /// The name with its selectors; under another name nothing of this holds.
    pub(super) name: String,
    /// Whether a label was the name itself.
    #[serde(rename = "is_whole")]
    pub(super) is_exact: bool,
    /// The labels that only have the words of the name.
    #[serde(rename = "short")]
    pub(super) partial: PartialMatch,
}

/// Labels that have the words of a name and are not the name itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PartialMatch {
    None,
    /// One label: in comparable form, and as it is printed.
    One {
        key: String,
        text: String,
    },
    /// Two labels, as they are printed.
    Two(String, String),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LineInput {
    /// Name of the value, and the fields beside it that select it.
    pub(crate) name: LineName,
    pub(crate) sensor: SensorId,
    /// Quantity of the value; its unit is the one that values come out in.
    pub(crate) quantity: Quantity,
    /// The unit of numbers that say none.
    pub(crate) unit: Option<Unit>,
}

pub(super) type LabelIx = usize;

/// A label that a line has had, and what it means.
#[derive(Debug)]
pub(super) struct InternedLabel {
    label: Label,
    /// How well it matches any name.
    best_match: Option<MatchKind>,
    /// What the names of inputs with selectors are compared with, where it differs from the label: in JSON the path without list indices, under
    /// a heading the label without the heading.
    matched_form: Option<Label>,
    /// As the board prints it.
    pub(super) text: String,
    pub(super) consumers: Vec<Consumer>,
    pub(super) selects: Vec<SelectorMatch>,
    /// Whether it is a line's own time, unless a sensor takes it.
    pub(super) is_time: bool,
    /// Whether its number counts milliseconds: `millis`, `Time (ms)`.
    pub(super) in_ms: bool,
    /// Whether it says which node its line is of.
    pub(super) is_node: bool,
    /// Beginning of the keys of the fields whose unit it may hold.
    unit_of: Option<String>,
}

impl InternedLabel {
    /// The label in comparable form.
    pub(super) fn key(&self) -> &str {
        self.label.key()
    }

    /// The beginning of the keys of the fields whose unit it holds.
    pub(super) fn unit_of(&self) -> Option<&str> {
        self.unit_of.as_deref().filter(|_| self.consumers.is_empty() && self.selects.is_empty())
    }

    /// Whether a value under it is one that a sensor may read.
    pub(super) fn is_value(&self) -> bool {
        self.selects.is_empty() && self.unit_of.is_none() && (!self.is_time || !self.consumers.is_empty())
    }
}

/// A sensor that reads the value of a label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Consumer {
    pub(super) input_ix: usize,
    /// The name matches another label as well.
    pub(super) is_ambiguous: bool,
    /// Conversion by the unit of the label or the name; the unit itself where it is of another quantity.
    pub(super) conversion: Option<Result<Conversion, Unit>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SelectorMatch {
    pub(super) input_ix: usize,
    pub(super) selector: usize,
    pub(super) kind: MatchKind,
}

/// The name of an input, and the labels that match it.
#[derive(Debug)]
pub(super) struct NamedInput {
    pub(super) input: LineInput,
    label: Option<Label>,
    /// Labels that select the value, each with the text of its field.
    pub(super) selectors: Vec<(Option<Label>, String)>,
    pub(super) matched: LabelMatch,
    /// Conversion of numbers that say no unit.
    pub(super) default_conversion: Conversion,
    /// The last unit after a number, and its conversion.
    unit: (String, Option<Conversion>),
    /// Number of the line that had the value last, 0 for none.
    pub(super) last_line: u64,
}

/// The names of inputs, and the labels that lines have had.
#[derive(Debug, Default)]
pub(super) struct LabelMatcher {
    pub(super) inputs: Vec<NamedInput>,
    /// Names of the inputs, as [`Label::key`] has them.
    input_keys: HashSet<String>,
    pub(super) labels: Vec<InternedLabel>,
    indices: HashMap<String, LabelIx>,
    /// Last letters of labels, by which `Temp C` beside `Temp B` is no unit.
    siblings: Siblings,
    /// Whether anything is selected by a field beside it.
    pub(super) has_selectors: bool,
    /// Another number when labels mean something else than before.
    pub(super) revision: u64,
    /// Whether names may match other labels than at the last call of [`LabelMatcher::new_matches`].
    has_news: bool,
}

impl LabelMatcher {
    /// Replaces the inputs and forgets all labels, ambiguous ones too. `missing_names` are the names of inputs that no line has had;
    /// returns those of the new inputs.
    pub(super) fn set_inputs(&mut self, inputs: Vec<LineInput>, missing_names: &BTreeSet<String>) -> BTreeSet<String> {
        let before = std::mem::take(&mut self.inputs);
        let last_line =
            |input: &LineInput| before.iter().find(|named| named.input == *input).map_or(0, |named| named.last_line);
        self.inputs = inputs.into_iter().map(|input| NamedInput::new(last_line(&input), input)).collect();
        let labels = self.inputs.iter().filter_map(|input| input.label.as_ref());
        self.input_keys = labels.map(|label| label.key().to_owned()).collect();
        let old: BTreeSet<&String> = before.iter().map(|input| &input.matched.name).collect();
        let names = self.inputs.iter().map(|input| &input.matched.name);
        let missing_names =
            names.filter(|name| missing_names.contains(*name) || !old.contains(name)).cloned().collect();
        self.has_selectors = self.inputs.iter().any(|input| !input.selectors.is_empty());
        self.forget();
        missing_names
    }

    /// Forgets all labels but what is ambiguous, since a heading changes their names.
    pub(super) fn reset_for_heading(&mut self) {
        for input in &mut self.inputs {
            input.matched.is_exact = false;
            if matches!(input.matched.partial, PartialMatch::One { .. }) {
                input.matched.partial = PartialMatch::None;
            }
        }
        self.forget();
    }

    /// Forgets all labels, between two lines, when there are too many.
    pub(super) fn make_room(&mut self) {
        if self.labels.len() >= MAX_LABELS {
            self.forget();
        }
    }

    /// The labels that each name has matched; none where that cannot have changed.
    pub(super) fn new_matches(&mut self) -> Option<LabelMatches> {
        if !std::mem::take(&mut self.has_news) {
            return None;
        }
        let has_any = |named: &&NamedInput| named.matched.is_exact || named.matched.partial != PartialMatch::None;
        let matched = self.inputs.iter().filter(has_any);
        Some(matched.map(|named| (named.input.sensor.clone(), named.matched.clone())).collect())
    }

    /// Restores what names had matched before a restart, where the sensor and its name are the same.
    pub(super) fn restore(&mut self, before: &LabelMatches) {
        for named in &mut self.inputs {
            let matched = before.get(&named.input.sensor).filter(|before| before.name == named.matched.name);
            if let Some(matched) = matched {
                named.matched.clone_from(matched);
            }
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.has_news = true;
        self.labels.clear();
        self.indices.clear();
        self.siblings = Siblings::default();
        for label in self.inputs.iter().filter_map(|input| input.label.as_ref()) {
            self.siblings.add(label);
        }
        self.revision += 1;
    }

    pub(super) fn find(&self, text: &str) -> Option<LabelIx> {
        self.indices.get(text).copied()
    }

    /// Whether a label is the name of an input. Asked of each whole line too, so that most answers look at no name.
    pub(super) fn is_input_name(&self, text: &str) -> bool {
        let has_key = || Label::of(text).is_some_and(|label| self.input_keys.contains(label.key()));
        (self.find(text).is_some() || has_key()) && self.best_match(text) == Some(MatchKind::Exact)
    }

    /// Whether a label is what selects something.
    pub(super) fn is_selector(&self, text: &str) -> bool {
        let mut names = self.inputs.iter().flat_map(|input| &input.selectors).peekable();
        let label = if names.peek().is_some() { Label::of(text) } else { None };
        label.is_some_and(|label| names.any(|(name, _)| name.as_ref().and_then(|name| label.matches(name)).is_some()))
    }

    /// Whether a word may stand under a label: in place of an input's value that is missing, or as a unit.
    pub(super) fn may_hold_word(&self, text: &str) -> bool {
        self.is_input_name(text) || Label::of(text).is_some_and(|label| attributes::unit_field(&label).is_some())
    }

    /// Whether a label is interned with any value: an input's name, selector, time, unit or node. `matched_form` as in [`InternedLabel`].
    pub(super) fn is_always_interned(&self, text: &str, matched_form: Option<&str>) -> bool {
        let is_meant = |label: Label| {
            number::is_time_name(label.key())
                || attributes::is_node(&label)
                || attributes::unit_field(&label).is_some()
                || matched_form.is_some() && attributes::unit_of_record(&label).is_some()
        };
        self.is_input_name(text)
            || self.is_selector(matched_form.unwrap_or(text))
            || Label::of(text).is_some_and(is_meant)
    }

    /// How well a label matches any name.
    pub(super) fn best_match(&self, text: &str) -> Option<MatchKind> {
        match self.find(text) {
            Some(ix) => self.labels[ix].best_match,
            None => self.best_match_of(&Label::of(text)?),
        }
    }

    /// As [`LabelMatcher::best_match`], by a look at every name.
    fn best_match_of(&self, label: &Label) -> Option<MatchKind> {
        self.inputs.iter().filter_map(|input| label.matches(input.label.as_ref()?)).max()
    }

    /// Index of a label, added where it is new; over a number (`is_number`) it is no unit. `matched_form` as in [`InternedLabel`].
    pub(super) fn intern(&mut self, text: &str, matched_form: Option<&str>, is_number: bool) -> Option<LabelIx> {
        if let Some(ix) = self.find(text) {
            return Some(ix);
        }
        let label = Label::of(text)?;
        let of_record = || attributes::unit_of_record(&label).filter(|_| matched_form.is_some());
        let unit_of = if is_number { None } else { attributes::unit_field(&label).or_else(of_record) };
        let has_siblings = self.siblings.add(&label);
        let interned = InternedLabel {
            matched_form: matched_form.filter(|own| *own != text).and_then(Label::of),
            text: text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_SHOWN).collect(),
            consumers: Vec::new(),
            selects: Vec::new(),
            is_time: number::is_time_name(label.key()),
            in_ms: number::is_name_of_ms(label.key()) || label.unit() == Unit::of("ms"),
            is_node: attributes::is_node(&label),
            unit_of,
            best_match: self.best_match_of(&label),
            label,
        };
        let mut changed = Vec::new();
        for (input_ix, input) in self.inputs.iter_mut().enumerate() {
            if let Some(kind) = input.match_of(&interned) {
                self.has_news = true;
                if input.add_match(kind, &interned, text) {
                    changed.push(input_ix);
                }
            }
        }
        let ix = self.labels.len();
        self.labels.push(interned);
        self.indices.insert(text.to_owned(), ix);
        self.bind(ix);
        changed.into_iter().for_each(|input_ix| self.bind_again(input_ix));
        if has_siblings {
            (0..ix).for_each(|earlier| self.bind(earlier));
        }
        Some(ix)
    }

    /// Finds what a label means.
    fn bind(&mut self, ix: LabelIx) {
        let interned = &mut self.labels[ix];
        let consumers = self
            .inputs
            .iter()
            .enumerate()
            .filter_map(|(input_ix, input)| input.consumer(input_ix, interned, &self.siblings));
        interned.consumers = consumers.collect();
        let label = interned.matched_form.as_ref().unwrap_or(&interned.label);
        let selects = self.inputs.iter().enumerate().flat_map(|(input_ix, input)| {
            let kinds = input.selectors.iter().map(|(name, _)| label.matches(name.as_ref()?));
            let kinds = kinds.enumerate().filter_map(|(selector, kind)| Some((selector, kind?)));
            kinds.map(move |(selector, kind)| SelectorMatch { input_ix, selector, kind })
        });
        interned.selects = selects.collect();
    }

    /// Finds which labels a name means now.
    fn bind_again(&mut self, input_ix: usize) {
        self.revision += 1;
        let input = &self.inputs[input_ix];
        for interned in &mut self.labels {
            interned.consumers.retain(|consumer| consumer.input_ix != input_ix);
            interned.consumers.extend(input.consumer(input_ix, interned, &self.siblings));
        }
    }

    /// Whether an interned label has values that the input takes.
    pub(super) fn has_label(&self, input_ix: usize) -> bool {
        self.labels.iter().any(|interned| interned.consumers.iter().any(|consumer| consumer.input_ix == input_ix))
    }

    /// The two labels that an ambiguous name matches.
    pub(super) fn ambiguous(&self, input_ix: usize) -> Option<(&str, &str)> {
        match &self.inputs[input_ix].matched.partial {
            PartialMatch::Two(one, other) => Some((one, other)),
            _ => None,
        }
    }

    /// Conversion of a number with a unit after it; none where the unit is of another quantity.
    pub(super) fn conversion(&mut self, input_ix: usize, unit: &str) -> Option<Conversion> {
        let NamedInput { input, unit: (last, conversion), .. } = &mut self.inputs[input_ix];
        if unit != last {
            unit.clone_into(last);
            *conversion = conversion_of(input.quantity, unit);
        }
        *conversion
    }
}

/// Whether a name matches two labels that matched one at most before.
pub(super) fn has_new_ambiguity(before: &LabelMatches, now: &LabelMatches) -> bool {
    let is_ambiguous = |matched: &LabelMatch| matches!(matched.partial, PartialMatch::Two(..));
    now.iter().any(|(sensor, matched)| is_ambiguous(matched) && before.get(sensor) != Some(matched))
}

/// Whether a label's words beside those of the name say that it holds something else.
fn is_not_a_measurement(label: &Label, name: &Label, quantity: Quantity) -> bool {
    let words = label.words();
    let left_out = |word: &&String| !name.words().contains(word);
    let first = words.iter().position(|word| !left_out(&word)).unwrap_or(words.len());
    let behind = words.iter().skip(first).filter(left_out);
    let of_other =
        |word: &&String| words::MEASURED.iter().any(|(words, of)| words.has(word) && !of.contains(&quantity));
    words.iter().filter(left_out).any(|word| words::NOT_A_MEASUREMENT.has(word) || of_other(&word))
        || behind.into_iter().any(|word| words::NOT_A_MEASUREMENT_AFTER.has(word))
}

/// What is counted may be of anything.
fn conversion_of(quantity: Quantity, unit: &str) -> Option<Conversion> {
    match quantity.unit_of(unit) {
        Some(unit) => quantity.conversion(unit),
        None => (quantity == Quantity::Count).then_some(Conversion::NONE),
    }
}

impl NamedInput {
    fn new(last_line: u64, input: LineInput) -> NamedInput {
        let label = Label::of(&input.name.label);
        let selectors = input.name.selectors.iter().map(|(name, text)| (Label::of(name), text.clone())).collect();
        let default_conversion =
            input.unit.and_then(|unit| input.quantity.conversion(unit)).unwrap_or(Conversion::NONE);
        let matched = LabelMatch { name: input.name.to_string(), is_exact: false, partial: PartialMatch::None };
        NamedInput { input, label, selectors, matched, default_conversion, unit: (String::new(), None), last_line }
    }

    /// Whether it takes the values under a label, and how.
    fn consumer(&self, input_ix: usize, interned: &InternedLabel, siblings: &Siblings) -> Option<Consumer> {
        let is_ambiguous = match (self.match_of(interned)?, &self.matched.partial) {
            (MatchKind::Exact, _) => false,
            (MatchKind::Partial, _) if self.matched.is_exact => return None,
            (MatchKind::Partial, PartialMatch::Two(..)) => true,
            (MatchKind::Partial, PartialMatch::One { key, .. }) if key == self.matched_label(interned).key() => false,
            (MatchKind::Partial, PartialMatch::One { .. } | PartialMatch::None) => return None,
        };
        Some(Consumer { input_ix, is_ambiguous, conversion: self.label_conversion(&interned.label, siblings) })
    }

    /// Unit from the label, else from the input's name. A last word that may be a unit counts only where the sensor has none of its own.
    fn label_conversion(&self, label: &Label, siblings: &Siblings) -> Option<Result<Conversion, Unit>> {
        let quantity = self.input.quantity;
        let of_name = self.label.as_ref().and_then(Label::unit);
        match label.unit() {
            // A unit that the name itself has, and that measures something else, is a word: `Temp (in)`.
            Some(unit) if quantity.conversion(unit).is_none() && of_name != Some(unit) => return Some(Err(unit)),
            Some(unit) if quantity.conversion(unit).is_some() => return quantity.conversion(unit).map(Ok),
            _ => {}
        }
        let labels = || std::iter::once(label).chain(&self.label);
        let at_end = || labels().find_map(|label| label.unit_at_end(quantity, siblings));
        let unit = of_name.filter(|unit| quantity.conversion(*unit).is_some());
        let unit = unit.or_else(|| self.input.unit.is_none().then(at_end).flatten())?;
        quantity.conversion(unit).map(Ok)
    }

    /// The form of a label that this name is matched against.
    fn matched_label<'l>(&self, interned: &'l InternedLabel) -> &'l Label {
        interned.matched_form.as_ref().filter(|_| !self.selectors.is_empty()).unwrap_or(&interned.label)
    }

    /// How well a label matches the name; none where it does not. `Temp unit` is no other `Temp`.
    fn match_of(&self, interned: &InternedLabel) -> Option<MatchKind> {
        let (name, label) = (self.label.as_ref()?, self.matched_label(interned));
        let may_be_part = || interned.unit_of.is_none() && !is_not_a_measurement(label, name, self.input.quantity);
        label.matches(name).filter(|kind| *kind == MatchKind::Exact || may_be_part())
    }

    /// A new label matches the name; returns whether labels mean something else now.
    fn add_match(&mut self, kind: MatchKind, interned: &InternedLabel, text: &str) -> bool {
        let key = self.matched_label(interned).key();
        match (kind, &self.matched.partial) {
            // A partial match no longer counts.
            (MatchKind::Exact, partial) => {
                !std::mem::replace(&mut self.matched.is_exact, true) && *partial != PartialMatch::None
            }
            (MatchKind::Partial, PartialMatch::None) => {
                self.matched.partial = PartialMatch::One { key: key.to_owned(), text: text.to_owned() };
                false
            }
            (MatchKind::Partial, PartialMatch::One { key: before, text: first }) if before != key => {
                self.matched.partial = PartialMatch::Two(first.clone(), text.to_owned());
                true
            }
            (MatchKind::Partial, PartialMatch::One { .. } | PartialMatch::Two(..)) => false,
        }
    }
}
