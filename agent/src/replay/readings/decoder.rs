//! From a line to its rows: the dialect says what the fields of a line are, the headings say whose they are.

use std::collections::{HashMap, VecDeque};

use tilth_core::reading::Quality;

use super::columns::{self, ValueColumn};
use super::dialect::Dialect;
use super::fields::Fields;
use super::headings;
use super::notes::listed;
use super::numbers::{self, Thousands};
use super::report::{Reason, Report, excerpt};
use super::sample::cells;
use super::sensors::{ReadOptions, Sensors};
use super::series::SeriesNames;
use super::time_column::{Moment, RepeatedHour, TimeColumn};
use super::{Row, is_blank};
use crate::cli::Map;
use crate::sense::line::number;

const MAX_TEXTS: usize = 100;

pub(super) struct Decoder {
    /// Column of the unit, where each line names its sensor (the long layout).
    unit: Option<usize>,
    /// Column of the quality in a file of `tilth-agent export`.
    pub(super) quality: Option<usize>,
    /// Columns of the wide layout: a list for each place that lines name, or one where they name none.
    columns: Vec<Vec<ValueColumn>>,
    /// Index in `columns` of each place so far.
    known_places: HashMap<Vec<u8>, usize>,
    pub(super) names: SeriesNames,
    sensors: Sensors,
    time_column: TimeColumn,
    repeated_hour: RepeatedHour,
    thousands: Thousands,
    fields: Fields,
    pub(super) dialect: Dialect,
    /// The name of a line being put together.
    name: Vec<u8>,
    pub(super) rows: VecDeque<Row>,
    pub(super) report: Report,
    /// Two series under one name: nothing after that can be right.
    pub(super) ambiguous: Option<String>,
}

impl Decoder {
    /// Starts below a header. Fails where two headings are said to be one sensor.
    pub(super) fn new(dialect: Dialect, options: &ReadOptions, report: Report) -> Result<Decoder, String> {
        let mut decoder = Decoder {
            unit: None,
            quality: None,
            columns: Vec::new(),
            known_places: HashMap::new(),
            names: SeriesNames::default(),
            sensors: Sensors::new(options),
            time_column: TimeColumn::new(dialect.times.clone(), dialect.form, dialect.zone.clone()),
            repeated_hour: RepeatedHour::default(),
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

    fn lay_out(&mut self) -> Result<(), String> {
        let is_placed = !self.dialect.places.is_empty();
        (self.unit, self.columns, self.known_places) = (None, Vec::new(), HashMap::new());
        if let Some((sensor, value)) = self.dialect.long {
            for name in self.dialect.names.iter().filter(|_| !is_placed) {
                self.sensors.find_whole(name)?;
            }
            self.unit = headings::unit(&self.dialect.headings).filter(|unit| *unit != sensor && *unit != value);
            self.quality = headings::quality_of_export(&self.dialect.headings).filter(|_| self.dialect.is_ours);
        } else if !is_placed {
            self.columns = vec![self.columns_of(None)?];
        }
        Ok(())
    }

    /// The columns of the wide layout; of one place, where lines are of several.
    fn columns_of(&mut self, place: Option<&str>) -> Result<Vec<ValueColumn>, String> {
        let Decoder { dialect, sensors, names, report, .. } = self;
        columns::wide(dialect, place, sensors, names, report)
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
        self.fields.split(line, self.dialect.headings.len())?;
        let field = |place| self.fields.get(line, place).ok_or(Reason::TooFewColumns);
        let at_ms = match self.time_column.read(field)? {
            Moment::At(at_ms) if !self.time_column.is_local() => at_ms,
            moment => {
                let series = match self.dialect.long {
                    Some((sensor, _)) => self.named(line, sensor)?,
                    None => self.placed(line)?,
                };
                self.repeated_hour.decide(moment, series, number)
            }
        };
        let row = Row { line: number, at_ms, sensor: None, value: None, quality: Quality::Good };
        match self.dialect.long {
            Some((sensor, value)) => self.decode_named(row, line, sensor, value),
            None => self.decode_wide(row, line),
        }
    }

    /// Takes the value of a line of the long layout; `row` has its time.
    fn decode_named(&mut self, row: Row, line: &[u8], sensor: usize, value: usize) -> Result<(), Reason> {
        let text = self.fields.get(line, value).ok_or(Reason::TooFewColumns)?;
        if self.thousands.is_doubtful(value, text) {
            return Err(Reason::ValueMark);
        }
        let read = numbers::read(text, self.dialect.mark);
        if let Err(reason) = read
            && numbers::truth(text).is_none()
        {
            let is_contact = str::from_utf8(text).is_ok_and(|text| number::contact(text).is_some());
            if reason == Reason::ValueForm && self.dialect.tool.is_some() && !self.is_wanted(line, sensor)? {
                self.rows.push_back(row);
                return Ok(());
            }
            if !is_contact {
                return Err(reason);
            }
        }
        // The name comes last, so that a bad line leaves none behind.
        let sensor = self.named(line, sensor)?;
        let Decoder { fields, names, report, unit, quality, .. } = self;
        let (measurement, cell) = (names.measurements[sensor], |place| fields.get(line, place).unwrap_or_default());
        let said = unit.map_or(&b""[..], cell);
        let value = measurement.value(cell(value), read, |unit| {
            let unit = unit.or(measurement.unit_beside(said, true)?);
            if unit.is_none() && !said.is_empty() && measurement.quantity.is_some() {
                report.note(format!("the unit \"{}\" is not known: its numbers are taken as they are", excerpt(said)));
            }
            Ok(unit)
        })?;
        *(if value.is_some() { &mut report.values } else { &mut report.missing }) += 1;
        let said = quality.and_then(|quality| Quality::from_name(str::from_utf8(cell(quality)).ok()?));
        let quality = said.unwrap_or(Quality::Good).stated();
        self.rows.push_back(Row { sensor: Some(sensor), value, quality, ..row });
        Ok(())
    }

    /// Takes the values of a line of the wide layout; `row` has its time.
    fn decode_wide(&mut self, row: Row, line: &[u8]) -> Result<(), Reason> {
        self.report.short_lines += u64::from(self.fields.len() < self.dialect.headings.len());
        let place = self.placed(line)?;
        let Decoder { columns, fields, dialect, thousands, report, rows, .. } = self;
        // Spreadsheets end a line early when its last cells are empty.
        let cell = |place| fields.get(line, place).unwrap_or_default();
        for column in &columns[place] {
            let text = cell(column.index);
            let read = match thousands.is_doubtful(column.index, text) {
                true => Err(Reason::ValueMark),
                false => column.read(cell, dialect.mark),
            };
            match read {
                Ok((_, None)) => report.missing += 1,
                Ok((sensor, value)) => {
                    report.values += 1;
                    rows.push_back(Row { sensor: Some(sensor), value, ..row });
                }
                // A column without a name takes nothing from a line that leaves it empty.
                Err(_) if text.is_empty() => {}
                Err(reason) => report.bad_cell(row.line, column.index, reason, text),
            }
        }
        if rows.is_empty() {
            // Time has passed without a value: silence is noticed in a recording as it is on a farm.
            rows.push_back(row);
        }
        Ok(())
    }

    /// Whether a line is of a sensor of the configuration. Text of other lines is no error, such as the state of a switch.
    fn is_wanted(&mut self, line: &[u8], sensor: usize) -> Result<bool, Reason> {
        let place = self.named(line, sensor)?;
        let is_wanted = self.names.measurements[place].quantity.is_some();
        let name = &self.names.list[place];
        let texts = &mut self.report.texts;
        if !is_wanted && texts.len() < MAX_TEXTS && !texts.iter().any(|known| **known == **name) {
            texts.push(name.to_string());
        }
        Ok(is_wanted)
    }

    /// Puts together the name of a line: its places, and what the column of its sensor says.
    fn compose_name(&mut self, line: &[u8], sensor: Option<usize>) {
        self.name.clear();
        for (ix, column) in self.dialect.places.iter().chain(&sensor).enumerate() {
            if ix > 0 {
                self.name.push(b'/');
            }
            self.name.extend_from_slice(self.fields.get(line, *column).unwrap_or_default());
        }
    }

    /// The place of the sensor that a line of the long layout names.
    fn named(&mut self, line: &[u8], sensor: usize) -> Result<usize, Reason> {
        self.fields.get(line, sensor).ok_or(Reason::TooFewColumns)?;
        self.compose_name(line, Some(sensor));
        let Decoder { names, name, sensors, ambiguous, .. } = self;
        names.intern(name, |name| {
            columns::series(name, sensors).map_err(|problem| {
                *ambiguous = Some(problem);
                Reason::NameRepeated
            })
        })
    }

    /// Which of the places a line of the wide layout is of; the first where lines name none.
    fn placed(&mut self, line: &[u8]) -> Result<usize, Reason> {
        if self.dialect.places.is_empty() {
            return Ok(0);
        }
        self.compose_name(line, None);
        if let Some(known) = self.known_places.get(&self.name) {
            return Ok(*known);
        }
        let name = String::from_utf8_lossy(&self.name).into_owned();
        let found = self.columns_of(Some(&name)).map_err(|problem| {
            self.ambiguous = Some(problem);
            Reason::NameRepeated
        })?;
        self.columns.push(found);
        self.known_places.insert(self.name.clone(), self.columns.len() - 1);
        Ok(self.columns.len() - 1)
    }

    /// Whether a line without a time is nothing to be counted as bad: separators alone, or the header once more.
    fn is_beside_the_data(&mut self, line: &[u8]) -> bool {
        let separator = self.dialect.separator;
        let is_empty = |byte: &u8| *byte == separator || matches!(byte, b' ' | b'\t' | b'"');
        if line.iter().all(is_empty) && line.contains(&separator) {
            return true;
        }
        self.dialect.tool.is_some()
            && (headings::is_annotation(line) || cells(line, separator).is_some_and(|cells| self.is_header(&cells)))
    }

    /// Takes up a header that comes again, also with its columns in other places.
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
        self.time_column.places.clone_from(&times);
        self.dialect = Dialect { headings: cells.to_vec(), times, places, texts, long, ..self.dialect.clone() };
        let laid_out = self.lay_out();
        self.ambiguous = self.ambiguous.take().or(laid_out.err());
        true
    }

    /// What `--map` named and no line had so far.
    pub(super) fn unmet(&self) -> Option<&Map> {
        self.sensors.unmet().next()
    }

    /// Books what only the whole file tells.
    pub(super) fn finish(&mut self) {
        self.report.unmet = self.unmet().cloned();
        let texts = &self.report.texts;
        let unused = (!texts.is_empty()).then(|| format!("without numbers and not used: {}", listed(texts)));
        self.report.notes.extend(self.repeated_hour.note().into_iter().chain(unused));
    }
}
