//! How a file is written: found in its first lines, so that the rest is read without looking again.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::EXPECTED;
use super::date_text::{self, DateText, Zone};
use super::headings::{self, Tool};
use super::notes::{listed, order_note, untold_note};
use super::numbers::{DecimalMark, DecimalMarks, Thousands};
use super::report::excerpt;
use super::sample::{ColumnContent, Sample, TimeKind, cells};
use super::scan::{Basis, Scan};
use super::sensors::{ReadOptions, Sensors, bare};
use super::table::Table;
use super::time_column::{EpochUnit, TimeFormat};
use crate::cli::DateOrder;

#[derive(Debug, Clone)]
pub(super) struct Dialect {
    pub(super) tool: Option<Tool>,
    /// The header is that of a recording of our own: the order of the lines is that in which they came.
    pub(super) is_ours: bool,
    pub(super) separator: u8,
    pub(super) mark: DecimalMark,
    /// Columns whose marks may part thousands.
    pub(super) thousands: Thousands,
    /// The physical line of the header, and the last one before the data.
    pub(super) header: u64,
    pub(super) preamble: u64,
    pub(super) headings: Vec<String>,
    /// The columns of the time, or of date and time of day.
    pub(super) times: Vec<usize>,
    pub(super) form: TimeFormat,
    pub(super) zone: Option<TimeZone>,
    /// Columns whose text says where a line was measured.
    pub(super) places: Vec<usize>,
    /// Columns without a number.
    pub(super) texts: Vec<usize>,
    /// The columns of name and value, where each line names its sensor.
    pub(super) long: Option<(usize, usize)>,
    /// Names of the long layout, where some are to be found.
    pub(super) names: Vec<String>,
    /// Each line has a cell more than the header, a row number at its beginning.
    pub(super) is_shifted: bool,
    /// What the reader of the summary should know.
    pub(super) notes: Vec<String>,
}

/// Why a file cannot be read as it is: the line, and what the command line must say or is wrong. Nothing is guessed.
pub(super) type Unreadable = (u64, String);

impl Dialect {
    /// Looks at the first lines of a file. `rest` shows every line of it, where it can be read twice.
    pub(super) fn find(
        mut sample: Sample<'_>,
        options: &ReadOptions,
        rest: impl Fn(&mut dyn FnMut(u64, &[u8])) -> bool,
    ) -> Result<Dialect, Unreadable> {
        let stated = sample.take_stated_separator();
        let (number, first) = sample.first().unwrap_or_default();
        let no_header = (number, format!("found \"{}\", {EXPECTED}", excerpt(first)));
        let is_ours = stated.is_none() && sample.is_ours();
        let separator = stated.unwrap_or_else(|| if is_ours { b',' } else { sample.separator() });
        let lines = sample.cut(separator);
        let table = Table::find(&lines, first, is_ours, options).ok_or_else(|| no_header.clone())?;
        let (sensors, scan) = (Sensors::new(options), Scan::default());
        let columns = table.columns();
        let mut found = Found { table, columns, separator, is_ours, options, sensors, scan, no_header };
        let tool = headings::tool(first, &found.table.headings);
        let times = found.times(tool)?;
        let columns = found.place_columns(tool, &times);
        // A whole name goes before a part of another, wherever it stands in the file.
        let name = found.long(&times).map(|(name, _)| name).filter(|_| !options.args.map.is_empty());
        let looked_at: Vec<usize> = columns.iter().copied().chain(name).collect();
        found.scan(&times, &looked_at, rest);
        let names = name.map_or(Vec::new(), |name| found.scan.values(name));
        let named: Result<Vec<usize>, Unreadable> =
            options.args.name_column.iter().map(|name| found.column_named("--name-column", name)).collect();
        let named = named?;
        let is_row_id = |index: usize| bare(&found.table.headings[index]).eq_ignore_ascii_case("id");
        let tells_apart = |index: &usize| {
            found.scan.tells_apart(*index)
                && !named.contains(index)
                && (!is_row_id(*index) || found.scan.comes_again(*index))
        };
        let places = columns.iter().copied().filter(tells_apart).chain(named.iter().copied()).collect();
        Ok(Dialect { names, ..found.dialect(tool, times, places)? })
    }
}

struct Found<'a> {
    table: Table,
    columns: Vec<ColumnContent>,
    separator: u8,
    is_ours: bool,
    options: &'a ReadOptions,
    sensors: Sensors,
    scan: Scan,
    /// What is said where no column holds times.
    no_header: Unreadable,
}

impl Found<'_> {
    /// The columns of the time; those of a recording of our own are known without looking at its lines.
    fn times(&self, tool: Option<Tool>) -> Result<Vec<usize>, Unreadable> {
        let own = self.table.headings.iter().position(|heading| self.is_ours && heading.eq_ignore_ascii_case("time"));
        match own.filter(|_| self.options.args.time_column.is_empty()) {
            Some(own) if !self.columns[own].has_times_of_day => Ok(vec![own]),
            Some(own) => self.found_times(tool).or(Ok(vec![own])),
            None => self.found_times(tool),
        }
    }

    fn found_times(&self, tool: Option<Tool>) -> Result<Vec<usize>, Unreadable> {
        let headings = &self.table.headings;
        if !self.options.args.time_column.is_empty() {
            return self.options.args.time_column.iter().map(|name| self.column_named("--time-column", name)).collect();
        }
        let all = || (0..).zip(&self.columns);
        let with = |has: &dyn Fn(usize, &ColumnContent) -> bool| -> Vec<usize> {
            all().filter(|(index, column)| has(*index, column)).map(|(index, _)| index).collect()
        };
        let is_named = |index: usize| headings::is_time_name(bare(&headings[index]));
        let may_count = |index: usize| is_named(index) || index == 0 && !self.is_meant(index);
        let full = with(&|index, column| column.has_stamps || column.has_epochs && may_count(index));
        if !full.is_empty() {
            return self.choose(&full, tool).map(|index| vec![index]);
        }
        let (days, times) = (with(&|_, column| column.has_days), with(&|_, column| column.has_times_of_day));
        match (&days[..], &times[..]) {
            ([day], [time]) => Ok(vec![*day, *time]),
            ([day], []) => self.dates_alone(*day),
            ([], _) => {
                if let [index] = with(&|_, column| column.has_epochs)[..]
                    && !self.is_meant(index)
                {
                    return Ok(vec![index]);
                }
                let numbered = with(&|index, column| column.has_spreadsheet_days && is_named(index));
                numbered.first().map(|index| vec![*index]).ok_or_else(|| self.no_header.clone())
            }
            ([day, ..], times) => {
                // The one beside it.
                let beside = times.iter().find(|time| **time == day + 1);
                let said = [days.clone(), times.to_vec()].concat();
                beside.map(|time| vec![*day, *time]).ok_or_else(|| self.which_time(&said))
            }
        }
    }

    /// A column of dates is the time where each line is a day of its own.
    fn dates_alone(&self, day: usize) -> Result<Vec<usize>, Unreadable> {
        let mut cells = self.table.cells(day).filter(|cell| !cell.is_empty()).peekable();
        let mut is_repeated = false;
        while let Some(cell) = cells.next() {
            is_repeated |= cells.peek() == Some(&cell);
        }
        if !is_repeated || self.long(&[day]).is_some() {
            return Ok(vec![day]);
        }
        let name = &self.table.headings[day];
        let what = format!(
            "\"{name}\" holds dates alone, and several lines have the same: say where the time of day is, such as \
             --time-column \"{name}\" --time-column NAME; found {}",
            listed(&self.table.headings)
        );
        Err(self.unreadable(what))
    }

    /// The header cannot be read without a word of the command line, and which.
    fn unreadable(&self, what: String) -> Unreadable {
        (self.table.header, what)
    }

    fn column_named(&self, option: &str, name: &str) -> Result<usize, Unreadable> {
        let headings = &self.table.headings;
        let is = |heading: &String| {
            bare(heading).eq_ignore_ascii_case(name.trim()) || heading.eq_ignore_ascii_case(name.trim())
        };
        let same = super::sensors::label(name);
        let is_like = |heading: &String| {
            super::sensors::label(heading).zip(same.as_ref()).is_some_and(|(one, other)| one.is_same(other))
        };
        headings.iter().position(is).or_else(|| headings.iter().position(is_like)).ok_or_else(|| {
            self.unreadable(format!("{option} \"{name}\": there is no such heading; found {}", listed(headings)))
        })
    }

    fn is_meant(&self, index: usize) -> bool {
        let heading = &self.table.headings[index];
        self.sensors.is_mapped(heading) || self.sensors.is_id(heading)
    }

    /// The one of several columns of times that is the time of the line.
    fn choose(&self, full: &[usize], tool: Option<Tool>) -> Result<usize, Unreadable> {
        let headings = &self.table.headings;
        let rank = |index: &usize| headings::time_rank(bare(&headings[*index]));
        let needs_zone = |index: &usize| {
            let column = &self.columns[*index];
            self.options.args.tz.is_none()
                && !column.has_instants
                && !column.has_epochs
                && zone_of(&headings[*index]).is_none()
        };
        let mut order: Vec<usize> = full.to_vec();
        order.sort_by_key(|index| (tool != Some(headings::HOME_ASSISTANT) && needs_zone(index), rank(index), *index));
        match order[..] {
            [only] => Ok(only),
            [first, second, ..] if needs_zone(&first) == needs_zone(&second) && rank(&first) == rank(&second) => {
                Err(self.which_time(full))
            }
            [first, ..] => Ok(first),
            [] => Err(self.no_header.clone()),
        }
    }

    fn which_time(&self, places: &[usize]) -> Unreadable {
        let names: Vec<String> = places.iter().map(|index| self.table.headings[*index].clone()).collect();
        self.unreadable(format!(
            "the columns {} hold times: say which one counts, such as --time-column \"{}\" (twice for a date and a time of day)",
            listed(&names),
            names.first().map(String::as_str).unwrap_or_default()
        ))
    }

    /// Columns that may say where a line was measured.
    fn place_columns(&self, tool: Option<Tool>, times: &[usize]) -> Vec<usize> {
        let headings = &self.table.headings;
        let long = self.long(times);
        let is_taken =
            |index: usize| times.contains(&index) || long.is_some_and(|(name, value)| index == name || index == value);
        let is_tag = |index: usize| {
            let name = headings[index].as_str();
            let own = ["result", "table", "_start", "_stop"];
            tool == Some(headings::INFLUX) && !own.contains(&name) && self.columns[index].is_text
        };
        let is_place = |index: usize| {
            let column = self.columns[index];
            headings::is_place(bare(&headings[index])) && (column.is_text || column.is_whole)
        };
        let may = |index: &usize| {
            !is_taken(*index)
                && !headings[*index].is_empty()
                && !self.is_meant(*index)
                && (is_tag(*index) || is_place(*index))
        };
        (0..headings.len()).filter(may).collect()
    }

    fn long(&self, times: &[usize]) -> Option<(usize, usize)> {
        let (name, value) = headings::name_and_value(&self.table.headings)?;
        let names = self.columns[name];
        let is_name =
            names.is_text || self.table.data.is_empty() || self.table.headings[name].eq_ignore_ascii_case("sensor");
        (is_name && !times.contains(&name) && !times.contains(&value) && !self.is_meant(value)).then_some((name, value))
    }

    /// Looks at the first lines, and at every line of the file where more could tell more and it can be read twice.
    fn scan(&mut self, times: &[usize], columns: &[usize], rest: impl Fn(&mut dyn FnMut(u64, &[u8])) -> bool) {
        for line in &self.table.data {
            look(&mut self.scan, line.number, &line.cells, times, columns);
        }
        let has_dates = !matches!(self.form(times, DateOrder::Dmy), Some(TimeFormat::Instant | TimeFormat::Epoch(_)));
        if columns.is_empty() && !(self.options.args.date_order.is_none() && self.scan.is_open() && has_dates) {
            return;
        }
        let mut whole = Scan::default();
        let is_read = rest(&mut |number, line| {
            if number > self.table.preamble
                && let Some(cells) = cells(line, self.separator)
            {
                look(&mut whole, number, &cells, times, columns);
            }
        });
        if is_read {
            self.scan = whole;
        }
    }

    /// How the times are written; nothing where no cell is a time.
    fn form(&self, times: &[usize], order: DateOrder) -> Option<TimeFormat> {
        if times.len() > 1 {
            return Some(TimeFormat::Civil(order));
        }
        let column = self.columns[times[0]];
        let looks: Vec<TimeKind> = self.table.cells(times[0]).filter_map(TimeKind::of).collect();
        let units: Vec<EpochUnit> =
            looks.iter().filter_map(|look| if let TimeKind::Epoch(unit) = look { Some(*unit) } else { None }).collect();
        let ours =
            self.table.cells(times[0]).filter(|cell| super::time_column::parse_time(cell.as_bytes()).is_ok()).count();
        let full = looks.iter().filter(|look| look.is_full()).count();
        if ours > 0 && 2 * ours >= full {
            return Some(TimeFormat::Instant);
        }
        if column.has_epochs || !units.is_empty() && !column.has_stamps {
            let count = |unit: &EpochUnit| units.iter().filter(|other| *other == unit).count();
            return units.iter().max_by_key(|unit| count(unit)).copied().map(TimeFormat::Epoch);
        }
        if column.has_stamps || column.has_days || full > 0 {
            return Some(TimeFormat::Civil(order));
        }
        column.has_spreadsheet_days.then_some(TimeFormat::Days)
    }

    fn dialect(self, tool: Option<Tool>, times: Vec<usize>, places: Vec<usize>) -> Result<Dialect, Unreadable> {
        let (order, why) = self.order(&times)?;
        let form = match self.form(&times, order) {
            Some(form) => form,
            None if self.table.data.is_empty() || self.options.args.time_column.is_empty() => TimeFormat::Instant,
            None => return Err(self.no_times(&times)),
        };
        let said = times.iter().find_map(|index| zone_of(&self.table.headings[*index]));
        let zone = self.options.args.tz.clone().or(said.clone());
        self.check_zone(&times, form, zone.as_ref())?;
        let long = self.long(&times);
        let (mark, thousands, untold) = self.mark(&times, long);
        let is_other = |index: &usize| {
            !times.contains(index) && !places.contains(index) && long.is_none_or(|(name, _)| name != *index)
        };
        let texts =
            (0..self.table.headings.len()).filter(is_other).filter(|index| self.columns[*index].is_text).collect();
        let data = self.table.data;
        let mut dialect = Dialect {
            tool,
            is_ours: self.is_ours,
            separator: self.separator,
            mark,
            thousands,
            header: self.table.header,
            preamble: self.table.preamble,
            headings: self.table.headings,
            times,
            form,
            zone,
            places,
            texts,
            long,
            is_shifted: self.table.is_shifted,
            names: Vec::new(),
            notes: Vec::new(),
        };
        let is_zone_said = said.is_some() && self.options.args.tz.is_none();
        let is_alone = dialect.long.is_none() && dialect.places.is_empty();
        let repeated = dialect.repeated_time(&data).filter(|_| is_alone);
        let order = match form {
            TimeFormat::Civil(order) if why != Basis::Sure => {
                Some(order_note(order, why, self.scan.open.as_deref().unwrap_or_default()))
            }
            _ => None,
        };
        dialect.notes = [dialect.read_as(is_zone_said), repeated, untold, order].into_iter().flatten().collect();
        Ok(dialect)
    }

    fn order(&self, times: &[usize]) -> Result<(DateOrder, Basis), Unreadable> {
        let said = times.iter().find_map(|index| headings::order(&self.table.headings[*index]));
        if let Some(order) = self.options.args.date_order.or(said) {
            return Ok((order, Basis::Sure));
        }
        self.scan.order().map_err(|[(line, text), (other, other_text)]| {
            let what = format!(
                "\"{text}\" has its day first, and \"{other_text}\" in line {other} its month: one of the two is wrong, or say \
                 --date-order dmy or mdy"
            );
            (line, what)
        })
    }

    fn no_times(&self, times: &[usize]) -> Unreadable {
        let line = self.table.data.first();
        let found = line.and_then(|line| line.cells.get(times[0])).map_or("", String::as_str);
        let what = format!(
            "--time-column \"{}\": \"{}\" is no time",
            self.table.headings[times[0]],
            excerpt(found.as_bytes())
        );
        (line.map_or(self.table.header, |line| line.number), what)
    }

    /// A time without a zone means nothing before somebody says whose it is.
    fn check_zone(&self, times: &[usize], form: TimeFormat, zone: Option<&TimeZone>) -> Result<(), Unreadable> {
        if zone.is_some() || !matches!(form, TimeFormat::Civil(_) | TimeFormat::Days) {
            return Ok(());
        }
        let is_naive = |text: &str| {
            form == TimeFormat::Days
                || DateText::of(text).is_some_and(|stamp| stamp.day.is_some() && stamp.zone.is_none())
        };
        let texts = self.table.data.iter().filter_map(|line| Some((line.number, time_of(&line.cells, times)?)));
        let Some((line, text)) = texts.into_iter().find(|(_, text)| is_naive(text)) else { return Ok(()) };
        let text = excerpt(text.as_bytes());
        let zone = self.options.farm_zone.as_deref().unwrap_or("Europe/Amsterdam");
        let what = format!(
            "the times have no offset (\"{text}\"): say whose clock that was, such as --tz {zone}, --tz +01:00 or --tz UTC"
        );
        Err((line, what))
    }

    /// How numbers are written, which columns leave it open, and what to say of a number that is taken all the same.
    fn mark(&self, times: &[usize], long: Option<(usize, usize)>) -> (DecimalMark, Thousands, Option<String>) {
        let is_number = |index: usize| !times.contains(&index) && long.is_none_or(|(name, _)| name != index);
        let cells = || {
            let cells = self.table.data.iter().flat_map(|line| line.cells.iter().enumerate());
            cells.filter(|(index, _)| is_number(*index))
        };
        let mut marks = DecimalMarks::default();
        cells().for_each(|(_, cell)| marks.add(cell));
        let mark = marks.mark(self.separator);
        if self.is_ours || marks.are_sure() {
            return (mark, Thousands::default(), None);
        }
        let mut thousands = Thousands { is_open: true, columns: Vec::new() };
        // What a number means may be shown by one below it.
        for (index, cell) in cells() {
            thousands.is_doubtful(index, cell.as_bytes());
        }
        let untold = cells()
            .find(|(index, cell)| {
                thousands.is_untold(cell.as_bytes()) && !thousands.is_doubtful(*index, cell.as_bytes())
            })
            .filter(|_| self.separator != b',')
            .map(|(index, cell)| untold_note(cell, &self.table.headings[index]));
        (mark, thousands, untold)
    }
}

fn look(scan: &mut Scan, number: u64, cells: &[String], times: &[usize], columns: &[usize]) {
    let Some(time) = time_of(cells, times) else { return };
    scan.add_time(number, &time);
    // A header that comes again, and sums at the end, are no lines of any place.
    if columns.is_empty() || TimeKind::of(&time).is_none() {
        return;
    }
    for column in columns {
        scan.add_value(*column, cells.get(*column).map_or("", String::as_str));
    }
}

/// The time of a line: one cell, or a date and a time of day together.
fn time_of<'a>(cells: &'a [String], times: &[usize]) -> Option<Cow<'a, str>> {
    if let [index] = times {
        return cells.get(*index).map(|cell| Cow::Borrowed(cell.as_str()));
    }
    let parts: Option<Vec<&str>> = times.iter().map(|index| cells.get(*index).map(String::as_str)).collect();
    parts.map(|parts| Cow::Owned(parts.join(" ")))
}

/// The zone that a heading says: `Date Time, GMT+02:00`, `Time (UTC)`.
fn zone_of(heading: &str) -> Option<TimeZone> {
    let upper = heading.to_uppercase();
    let at = upper.find("UTC").or_else(|| upper.find("GMT"))?;
    let rest: String =
        upper[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | ':')).collect();
    let is_word = upper[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric()) || upper[..at].ends_with("DATE");
    match date_text::zone(&rest)? {
        Zone::Offset(offset) if is_word => Some(TimeZone::fixed(offset)),
        _ => None,
    }
}
