//! From a line to its rows: the dialect says what the fields of a line are, the headings say whose they are.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::cells::{self, Mark};
use super::clock::{Clock, Folds, Moment};
use super::columns::{self, Column, Columns, Meaning};
use super::dialect::Dialect;
use super::fields::Fields;
use super::kinds;
use super::names::Names;
use super::report::{Reason, Report, excerpt};
use super::thousands::Thousands;
use super::told::listed;
use super::wanted::{Ambiguous, Sensors, Wanted};
use super::{Row, is_blank};
use crate::cli::Map;
use crate::sense::line::number as live;

/// Names without numbers that are listed.
const MAX_TEXTS: usize = 100;

/// From the bytes of a line to rows.
pub(super) struct Decoder {
    layout: Layout,
    pub(super) names: Names,
    sensors: Sensors,
    /// Of each name, what its sensor measures.
    meanings: Vec<Meaning>,
    clock: Clock,
    folds: Folds,
    mark: Mark,
    thousands: Thousands,
    fields: Fields,
    dialect: Dialect,
    /// The name of a line being put together.
    name: Vec<u8>,
    pub(super) rows: VecDeque<Row>,
    pub(super) report: Report,
    /// Two series under one name: nothing after that can be right.
    pub(super) ambiguous: Option<Ambiguous>,
}

/// Where a line has what.
struct Layout {
    /// How many columns there are.
    width: usize,
    sensors: Layouts,
}

enum Layouts {
    /// Long: each line names its sensor.
    Named { sensor: usize, value: usize, unit: Option<usize> },
    /// Wide: each column is a sensor.
    Columns(Columns),
    /// Wide, and each line says where it was measured.
    Placed(Places),
}

/// The columns of each place that lines were of so far.
#[derive(Default)]
struct Places {
    known: HashMap<Vec<u8>, usize>,
    columns: Vec<Columns>,
}

impl Decoder {
    /// Starts below a header. Fails where two headings are said to be one sensor.
    pub(super) fn new(dialect: Dialect, wanted: &Wanted, report: Report) -> Result<Decoder, Ambiguous> {
        let mut decoder = Decoder {
            layout: Layout { width: dialect.headings.len(), sensors: Layouts::Columns(Vec::new()) },
            names: Names::default(),
            sensors: Sensors::new(wanted),
            meanings: Vec::new(),
            clock: Clock::new(dialect.times.clone(), dialect.form, dialect.zone.clone()),
            folds: Folds::default(),
            mark: dialect.mark,
            thousands: dialect.thousands.clone(),
            fields: Fields::of(dialect.separator),
            name: Vec::new(),
            rows: VecDeque::new(),
            report,
            ambiguous: None,
            dialect,
        };
        decoder.lay_out()?;
        decoder.report.notes.extend(decoder.dialect.notes.iter().cloned());
        Ok(decoder)
    }

    fn lay_out(&mut self) -> Result<(), Ambiguous> {
        self.layout.width = self.dialect.headings.len();
        self.layout.sensors = match self.dialect.long {
            Some((sensor, value)) => {
                for name in self.dialect.names.iter().filter(|_| self.dialect.places.is_empty()) {
                    self.sensors.find_whole(name)?;
                }
                let unit = kinds::unit(&self.dialect.headings).filter(|unit| *unit != sensor && *unit != value);
                Layouts::Named { sensor, value, unit }
            }
            None if self.dialect.places.is_empty() => Layouts::Columns(self.columns(None)?),
            None => Layouts::Placed(Places::default()),
        };
        Ok(())
    }

    /// The columns of the wide layout; of one place, where lines are of several.
    fn columns(&mut self, place: Option<&str>) -> Result<Columns, Ambiguous> {
        let Decoder { dialect, sensors, names, meanings, report, .. } = self;
        columns::wide(dialect, place, sensors, names, meanings, report)
    }

    /// Books a line as blank, as bad, or as held with its rows in `rows`.
    pub(super) fn decode(&mut self, number: u64, line: &[u8]) {
        if is_blank(line) {
            self.report.blank += 1;
            return;
        }
        match self.decode_record(number, line) {
            Ok(()) => self.report.held += 1,
            Err(_) if self.is_beside_the_data(line) => self.report.blank += 1,
            Err(reason) => self.report.bad_line(number, reason, line),
        }
    }

    fn decode_record(&mut self, number: u64, line: &[u8]) -> Result<(), Reason> {
        self.fields.split(line, self.layout.width)?;
        let field = |place| self.fields.get(line, place).ok_or(Reason::TooFewColumns);
        let moment = self.clock.read(field)?;
        let at_ms = match moment {
            Moment::At(at_ms) if !self.clock.is_local() => at_ms,
            moment => {
                let series = match &self.layout.sensors {
                    Layouts::Named { .. } => self.named(line)?,
                    Layouts::Placed(_) => self.placed(line)?,
                    Layouts::Columns(_) => 0,
                };
                self.folds.decide(moment, series, number)
            }
        };
        if let Layouts::Named { value, unit, .. } = self.layout.sensors {
            return self.decode_named(number, at_ms, line, value, unit);
        }
        self.report.short_lines += u64::from(self.fields.len() < self.layout.width);
        let place = if let Layouts::Placed(_) = self.layout.sensors { Some(self.placed(line)?) } else { None };
        let Decoder { layout, fields, mark, thousands, report, rows, .. } = self;
        let columns = match (&layout.sensors, place) {
            (Layouts::Placed(places), Some(place)) => &places.columns[place],
            (Layouts::Columns(columns), _) => columns,
            _ => return Ok(()),
        };
        take(
            columns,
            (*mark, thousands),
            number,
            at_ms,
            |place| fields.get(line, place).unwrap_or_default(),
            report,
            rows,
        );
        Ok(())
    }

    fn decode_named(
        &mut self,
        number: u64,
        at_ms: i64,
        line: &[u8],
        value: usize,
        unit: Option<usize>,
    ) -> Result<(), Reason> {
        let text = self.fields.get(line, value).ok_or(Reason::TooFewColumns)?;
        if self.thousands.is_doubtful(value, text) {
            return Err(Reason::ValueMark);
        }
        let (read, truth) = (cells::read(text, self.mark), cells::truth(text));
        let is_text = read == Err(Reason::ValueForm) && truth.is_none();
        if is_text && self.dialect.kind.is_some() && !self.is_wanted(line)? {
            self.rows.push_back(Row { line: number, at_ms, sensor: None, value: None });
            return Ok(());
        }
        if let Some(said) = self.contact(line, value).filter(|_| is_text) {
            return self.decode_contact(number, at_ms, line, said);
        }
        let cell = if truth.is_some() { truth.map(|number| (number, None)) } else { read? };
        // The name comes last, so that a bad line leaves none behind.
        let sensor = self.named(line)?;
        if truth.is_some() && !self.meanings[sensor].has_truths() {
            return Err(Reason::ValueForm);
        }
        let said = unit.and_then(|unit| self.fields.get(line, unit)).unwrap_or_default();
        let value = match cell {
            None => None,
            Some((number, None)) if said.is_empty() => Some(self.meanings[sensor].convert(number, None)?),
            Some((number, unit)) => {
                let known = self.meanings[sensor].unit_beside(said, true)?;
                if known.is_none() && unit.is_none() && self.meanings[sensor].is_of_a_sensor() {
                    self.report.note(format!(
                        "the unit \"{}\" is not known: its numbers are taken as they are",
                        excerpt(said)
                    ));
                }
                Some(self.meanings[sensor].convert(number, unit.or(known))?)
            }
        };
        *(if value.is_some() { &mut self.report.values } else { &mut self.report.missing }) += 1;
        self.rows.push_back(Row { line: number, at_ms, sensor: Some(sensor), value });
        Ok(())
    }

    fn decode_contact(&mut self, number: u64, at_ms: i64, line: &[u8], value: f64) -> Result<(), Reason> {
        let sensor = self.named(line)?;
        let value = Some(value).filter(|_| self.meanings[sensor].is_contact()).ok_or(Reason::ValueForm)?;
        self.report.values += 1;
        self.rows.push_back(Row { line: number, at_ms, sensor: Some(sensor), value: Some(value) });
        Ok(())
    }

    /// What a line's value says of a contact, where it is a word that does.
    fn contact(&self, line: &[u8], value: usize) -> Option<f64> {
        str::from_utf8(self.fields.get(line, value)?).ok().and_then(live::contact)
    }

    /// Whether a line is of a sensor of the configuration. Of others text is nobody's concern, such as the state of a switch.
    fn is_wanted(&mut self, line: &[u8]) -> Result<bool, Reason> {
        let place = self.named(line)?;
        let is_wanted = self.meanings[place].is_of_a_sensor();
        let name = &self.names.list[place];
        let texts = &mut self.report.texts;
        if !is_wanted && texts.len() < MAX_TEXTS && !texts.iter().any(|known| **known == **name) {
            texts.push(name.to_string());
        }
        Ok(is_wanted)
    }

    /// The place of the sensor that a line names.
    fn named(&mut self, line: &[u8]) -> Result<usize, Reason> {
        let Layouts::Named { sensor, .. } = self.layout.sensors else { return Err(Reason::TooFewColumns) };
        let text = self.fields.get(line, sensor).ok_or(Reason::TooFewColumns)?;
        let text = if self.dialect.places.is_empty() {
            text
        } else {
            self.name.clear();
            for place in &self.dialect.places {
                self.name.extend_from_slice(self.fields.get(line, *place).unwrap_or_default());
                self.name.push(b'/');
            }
            self.name.extend_from_slice(text);
            &self.name
        };
        if let Some(known) = self.names.guess(text) {
            return Ok(known);
        }
        let Decoder { names, sensors, meanings, ambiguous, .. } = self;
        let mut found = None;
        let place = names.intern(text, |name| match columns::series(name, sensors) {
            Ok((called, meaning)) => {
                found = Some(meaning);
                Ok(called)
            }
            Err(problem) => {
                *ambiguous = Some(problem);
                Err(())
            }
        })?;
        meanings.extend(found);
        Ok(place)
    }

    /// Which of the places a line is of.
    fn placed(&mut self, line: &[u8]) -> Result<usize, Reason> {
        self.name.clear();
        for (ix, place) in self.dialect.places.iter().enumerate() {
            if ix > 0 {
                self.name.push(b'/');
            }
            self.name.extend_from_slice(self.fields.get(line, *place).unwrap_or_default());
        }
        let Layouts::Placed(places) = &self.layout.sensors else { return Err(Reason::TooFewColumns) };
        if let Some(known) = places.known.get(&self.name) {
            return Ok(*known);
        }
        let name = String::from_utf8_lossy(&self.name).into_owned();
        let columns = self.columns(Some(&name)).map_err(|problem| {
            self.ambiguous = Some(problem);
            Reason::NameRepeated
        })?;
        let Layouts::Placed(places) = &mut self.layout.sensors else { return Err(Reason::TooFewColumns) };
        places.columns.push(columns);
        places.known.insert(self.name.clone(), places.columns.len() - 1);
        Ok(places.columns.len() - 1)
    }

    /// Whether a line without a time is nothing to be counted as bad: separators alone, or the header once more.
    fn is_beside_the_data(&mut self, line: &[u8]) -> bool {
        let separator = self.dialect.separator;
        if line.iter().all(|byte| *byte == separator || matches!(byte, b' ' | b'\t' | b'"'))
            && line.contains(&separator)
        {
            return true;
        }
        if kinds::is_annotation(line) {
            return self.dialect.kind.is_some();
        }
        let Some(cells) = super::sample::cells(line, separator) else { return false };
        self.dialect.kind.is_some() && self.is_header(&cells)
    }

    /// Takes up a header that comes again, with its columns in whatever places.
    fn is_header(&mut self, cells: &[String]) -> bool {
        let place = |name: &String| cells.iter().position(|cell| cell == name);
        let headings = &self.dialect.headings;
        let Some(times) = self.dialect.times.iter().map(|time| place(&headings[*time])).collect::<Option<Vec<usize>>>()
        else {
            return false;
        };
        if *cells == *headings {
            return true;
        }
        let places = self.dialect.places.iter().filter_map(|of| place(&headings[*of])).collect();
        let mut texts: Vec<usize> = self.dialect.texts.iter().filter_map(|of| place(&headings[*of])).collect();
        texts.sort_unstable();
        let long =
            self.dialect.long.and_then(|(name, value)| Some((place(&headings[name])?, place(&headings[value])?)));
        self.clock.places.clone_from(&times);
        self.dialect = Dialect { headings: cells.to_vec(), times, places, texts, long, ..self.dialect.clone() };
        let laid_out = self.lay_out();
        self.ambiguous = self.ambiguous.take().or(laid_out.err());
        true
    }

    /// What `--map` named and no line had so far.
    pub(super) fn unmet(&self) -> Option<&Map> {
        self.sensors.unmet().next()
    }

    /// Whether the order of the lines is that in which they came.
    pub(super) fn is_ours(&self) -> bool {
        self.dialect.is_ours
    }

    /// The headings, for a message.
    pub(super) fn headings(&self) -> String {
        listed(&self.dialect.headings)
    }

    /// Whether all names are known before the first line.
    pub(super) fn is_wide(&self) -> bool {
        matches!(self.layout.sensors, Layouts::Columns(_))
    }

    /// Books what only the whole file tells.
    pub(super) fn finish(&mut self) {
        self.report.unmet = self.unmet().cloned();
        let fold = self.fold_note();
        let texts = &self.report.texts;
        let unused = (!texts.is_empty()).then(|| format!("without numbers and not used: {}", listed(texts)));
        self.report.notes.extend(fold.into_iter().chain(unused));
    }

    /// What was decided about times that the clocks showed twice.
    fn fold_note(&self) -> Option<String> {
        let Folds { twice, first_line, second_line, .. } = self.folds;
        let from = match second_line {
            Some(line) => format!("from line {line} on the second, by the order of the lines"),
            None => "all taken as the first".to_owned(),
        };
        (twice > 0).then(|| {
            format!(
                "the clocks were set back: {twice} times were shown twice that night, from line {first_line} on; {from}"
            )
        })
    }
}

/// Takes the values of a line of the wide layout.
fn take<'a>(
    columns: &[Column],
    (mark, thousands): (Mark, &mut Thousands),
    number: u64,
    at_ms: i64,
    cell: impl Fn(usize) -> &'a [u8],
    report: &mut Report,
    rows: &mut VecDeque<Row>,
) {
    for column in columns {
        // Spreadsheets end a line early when its last cells are empty.
        let text = cell(column.place);
        let read = match thousands.is_doubtful(column.place, text) {
            true => Err(Reason::ValueMark),
            false => column.read(&cell, mark),
        };
        match read {
            Ok((_, None)) => report.missing += 1,
            Ok((sensor, value)) => {
                report.values += 1;
                rows.push_back(Row { line: number, at_ms, sensor: Some(sensor), value });
            }
            // A column without a name takes nothing from a line that leaves it empty.
            Err(_) if text.is_empty() => {}
            Err(reason) => report.bad_cell(number, column.place, reason, text),
        }
    }
    if rows.is_empty() {
        // Time has passed without a value: silence is noticed in a recording as it is on a farm.
        rows.push_back(Row { line: number, at_ms, sensor: None, value: None });
    }
}

/// The name under which rows of a sensor go.
pub(super) fn name_of(sensor: Option<usize>, name: &str, sensors: &Sensors) -> Arc<str> {
    sensor.map_or_else(|| name.into(), |sensor| Arc::clone(sensors.id(sensor)))
}
