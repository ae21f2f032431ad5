//! From a line to its rows: the header names the layout, the layout says what a line's fields are.

use std::collections::VecDeque;

use super::fields::Fields;
use super::names::Names;
use super::number::parse_value;
use super::report::{Reason, Report};
use super::time::Times;
use super::{Row, is_blank};

/// From the bytes of a line to rows.
pub(super) struct Decoder {
    layout: Layout,
    pub(super) names: Names,
    times: Times,
    fields: Fields,
    pub(super) rows: VecDeque<Row>,
    pub(super) report: Report,
}

impl Decoder {
    /// Starts from a header; nothing when it names no layout.
    pub(super) fn new(header: &[u8], mut report: Report) -> Option<Decoder> {
        let mut fields = Fields::default();
        fields.split(header, usize::MAX).ok()?;
        let mut headings: Vec<&[u8]> = (0..).map_while(|place| fields.get(header, place)).collect();
        // Commas at its end are no columns.
        headings.truncate(headings.iter().rposition(|heading| !heading.is_empty())? + 1);
        let mut names = Names::default();
        let layout = Layout::from_header(&headings, &mut names, &mut report)?;
        Some(Decoder { layout, names, times: Times::default(), fields, rows: VecDeque::new(), report })
    }

    /// Books a line as blank, as bad, or as held with its rows in `rows`.
    pub(super) fn decode(&mut self, number: u64, line: &[u8]) {
        if is_blank(line) {
            self.report.blank += 1;
            return;
        }
        match self.decode_record(number, line) {
            Ok(()) => self.report.held += 1,
            Err(reason) => self.report.bad_line(number, reason, line),
        }
    }

    fn decode_record(&mut self, number: u64, line: &[u8]) -> Result<(), Reason> {
        self.fields.split(line, self.layout.width)?;
        let field = |place| self.fields.get(line, place).ok_or(Reason::TooFewColumns);
        let at_ms = self.times.parse(field(self.layout.time)?)?;
        match &self.layout.sensors {
            Sensors::Named { sensor, value } => {
                let (sensor, value) = (field(*sensor)?, parse_value(field(*value)?)?);
                // The name comes last, so that a bad line leaves none behind.
                let sensor = self.names.intern(sensor)?;
                let kind = if value.is_some() { &mut self.report.values } else { &mut self.report.missing };
                *kind += 1;
                self.rows.push_back(Row { line: number, at_ms, sensor: Some(sensor), value });
            }
            Sensors::Columns(columns) => {
                self.report.short_lines += u64::from(self.fields.len() < self.layout.width);
                for column in columns {
                    // Spreadsheets end a line early when its last cells are empty.
                    let text = self.fields.get(line, column.place).unwrap_or_default();
                    match column.read(text) {
                        Ok((_, None)) => self.report.missing += 1,
                        Ok((sensor, value)) => {
                            self.report.values += 1;
                            self.rows.push_back(Row { line: number, at_ms, sensor: Some(sensor), value });
                        }
                        // A column without a name takes nothing from a line that leaves it empty.
                        Err(_) if text.is_empty() => {}
                        Err(reason) => self.report.bad_cell(number, column.place, reason, text),
                    }
                }
                if self.rows.is_empty() {
                    // Time has passed without a value: silence is noticed in a recording as it is on a farm.
                    self.rows.push_back(Row { line: number, at_ms, sensor: None, value: None });
                }
            }
        }
        Ok(())
    }
}

/// Where a line has what.
struct Layout {
    time: usize,
    /// How many columns there are.
    width: usize,
    sensors: Sensors,
}

enum Sensors {
    /// Long: each line names its sensor.
    Named { sensor: usize, value: usize },
    /// Wide: each column is a sensor.
    Columns(Vec<Column>),
}

/// A sensor's column in the wide layout, or a column without a name, which must be empty.
struct Column {
    place: usize,
    sensor: Result<usize, Reason>,
}

impl Column {
    fn read(&self, text: &[u8]) -> Result<(usize, Option<f64>), Reason> {
        Ok((self.sensor?, parse_value(text)?))
    }
}

impl Layout {
    fn from_header(headings: &[&[u8]], names: &mut Names, report: &mut Report) -> Option<Layout> {
        let places = |name: &[u8]| -> Vec<usize> {
            let places = headings.iter().enumerate();
            places.filter(|(_, heading)| heading.eq_ignore_ascii_case(name)).map(|(place, _)| place).collect()
        };
        match (&*places(b"time"), &*places(b"sensor"), &*places(b"value")) {
            (&[time], &[sensor], &[value]) => {
                Some(Layout { time, width: headings.len(), sensors: Sensors::Named { sensor, value } })
            }
            (&[time], [], []) => {
                let mut columns = Vec::new();
                for (place, heading) in headings.iter().enumerate().filter(|(place, _)| *place != time) {
                    match names.add(heading) {
                        sensor @ (Ok(_) | Err(Reason::NameEmpty)) => columns.push(Column { place, sensor }),
                        Err(reason) => report.bad_heading(report.lines, place, reason, heading),
                    }
                }
                let usable = columns.iter().any(|column| column.sensor.is_ok());
                usable.then_some(Layout { time, width: headings.len(), sensors: Sensors::Columns(columns) })
            }
            _ => None,
        }
    }
}
