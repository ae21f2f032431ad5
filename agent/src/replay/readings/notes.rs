//! What is said of how a file is written.

use jiff::{Timestamp, Zoned};

use super::dialect::Dialect;
use super::numbers::DecimalMark;
use super::report::excerpt;
use super::sample::SampleLine;
use super::scan::Basis;
use super::time_column::TimeFormat;
use crate::cli::DateOrder;
use crate::console;

/// Headings, quoted, the first of many.
pub(super) fn listed(headings: &[String]) -> String {
    const MOST: usize = 12;
    let named = headings.iter().filter(|heading| !heading.is_empty());
    match console::listed(named.map(|name| format!("\"{}\"", excerpt(name.as_bytes()))), MOST) {
        text if text.is_empty() => "the column without a heading".to_owned(),
        text => text,
    }
}

pub(super) fn order_note(order: DateOrder, why: Basis, date: &str) -> String {
    let (first, other) = if order == DateOrder::Dmy { ("day", "mdy") } else { ("month", "dmy") };
    let because = match why {
        Basis::Steps => "since the dates follow one another only so",
        Basis::Sure | Basis::Assumed => "which nothing in the file decides",
    };
    format!(
        "dates such as \"{date}\" are taken with the {first} first, {because}; if that is wrong, say --date-order {other}"
    )
}

pub(super) fn untold_note(cell: &str, heading: &str) -> String {
    let (cell, heading) = (excerpt(cell.as_bytes()), excerpt(heading.as_bytes()));
    format!(
        "\"{cell}\" under \"{heading}\" is taken as a number with three decimals: nothing in the file tells whether its mark \
         parts thousands"
    )
}

impl Dialect {
    /// What is not as in a recording of our own, in one sentence; nothing where all is.
    pub(super) fn read_as(&self, is_zone_of_heading: bool) -> Option<String> {
        let separator = match self.separator {
            b',' => None,
            b';' => Some("semicolons between the cells"),
            b'\t' => Some("tabs between the cells"),
            _ => Some("bars between the cells"),
        };
        let marks = (self.mark == DecimalMark::Comma).then_some("decimal commas");
        let shifted = self.is_shifted.then_some("a row number before the first heading");
        let headings = |places: &[usize]| places.iter().map(|index| self.headings[*index].clone()).collect::<Vec<_>>();
        let names = headings(&self.times);
        let form = match self.form {
            TimeFormat::Instant | TimeFormat::Civil(_) => None,
            TimeFormat::Epoch(unit) => Some(format!(" in {} since 1970", unit.name())),
            TimeFormat::Days => Some(" as a spreadsheet's days".to_owned()),
        };
        let zone =
            self.zone.as_ref().filter(|_| matches!(self.form, TimeFormat::Civil(_) | TimeFormat::Days)).map(|zone| {
                let named = zone.iana_name().map_or_else(
                    || Zoned::new(Timestamp::UNIX_EPOCH, zone.clone()).strftime("%:z").to_string(),
                    str::to_owned,
                );
                format!(" of {named}{}", if is_zone_of_heading { ", as the heading says" } else { "" })
            });
        let is_plain = names.len() == 1 && names[0].eq_ignore_ascii_case("time") && form.is_none() && zone.is_none();
        let times = format!("times in {}{}{}", listed(&names), form.unwrap_or_default(), zone.unwrap_or_default());
        let long = self.long.filter(|(name, _)| !self.headings[*name].eq_ignore_ascii_case("sensor"));
        let long = long.map(|(name, value)| {
            format!("names in \"{}\", values in \"{}\"", self.headings[name], self.headings[value])
        });
        let places = (!self.places.is_empty())
            .then(|| format!("names begin with what {} says", listed(&headings(&self.places))));
        let words = [separator, marks, shifted].into_iter().flatten().map(str::to_owned);
        let said: Vec<String> = words.chain((!is_plain).then_some(times)).chain(long).chain(places).collect();
        match (self.tool, said.is_empty()) {
            (None, true) => None,
            (None, false) => Some(format!("read with {}", said.join(", "))),
            (Some(tool), true) => Some(format!("read as {tool}")),
            (Some(tool), false) => Some(format!("read as {tool}: {}", said.join(", "))),
        }
    }

    /// A time that two lines in a row have, where a line should be all that was measured then.
    pub(super) fn repeated_time(&self, data: &[SampleLine]) -> Option<String> {
        let time = |line: &SampleLine| {
            self.times.iter().map(|index| line.cells.get(*index).cloned()).collect::<Option<Vec<String>>>()
        };
        let same = data.windows(2).find(|pair| time(&pair[0]).is_some() && time(&pair[0]) == time(&pair[1]))?;
        Some(format!(
            "several lines have one time, such as line {}: if they are of several sensors, --name-column NAME says which \
             column tells them apart",
            same[1].number
        ))
    }
}
