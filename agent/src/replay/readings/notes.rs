//! What is said of how a file is written.

use jiff::tz::TimeZone;

use super::cells::Mark;
use super::clock::Form;
use super::dialect::Dialect;
use super::report::excerpt;
use super::sample::Line;
use super::survey::Why;
use crate::cli::DateOrder;

/// Headings, quoted, the first of many.
pub(super) fn listed(headings: &[String]) -> String {
    const MOST: usize = 12;
    let named: Vec<&String> = headings.iter().filter(|heading| !heading.is_empty()).collect();
    let mut text =
        named.iter().take(MOST).map(|name| format!("\"{}\"", excerpt(name.as_bytes()))).collect::<Vec<_>>().join(", ");
    if named.len() > MOST {
        text = format!("{text} and {} more", named.len() - MOST);
    }
    if named.is_empty() { "the column without a heading".to_owned() } else { text }
}

pub(super) fn order_note(order: DateOrder, why: Why, date: &str) -> String {
    let (first, other) = if order == DateOrder::Dmy { ("day", "mdy") } else { ("month", "dmy") };
    let because = match why {
        Why::Steps => "since the dates follow one another only so",
        Why::Sure | Why::Assumed => "which nothing in the file decides",
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
        let mut said: Vec<String> = Vec::new();
        let separator = match self.separator {
            b',' => None,
            b';' => Some("semicolons between the cells"),
            b'\t' => Some("tabs between the cells"),
            _ => Some("bars between the cells"),
        };
        said.extend(separator.map(str::to_owned));
        if self.mark == Mark::Comma {
            said.push("decimal commas".to_owned());
        }
        if self.is_shifted {
            said.push("a row number before the first heading".to_owned());
        }
        let names: Vec<String> = self.times.iter().map(|place| self.headings[*place].clone()).collect();
        let form = match self.form {
            Form::Instant => None,
            Form::Epoch(unit) => Some(format!("in {} since 1970", unit.name())),
            Form::Civil(_) => None,
            Form::Days => Some("as a spreadsheet's days".to_owned()),
        };
        let zone = self.zone.as_ref().filter(|_| matches!(self.form, Form::Civil(_) | Form::Days)).map(|zone| {
            let named = zone.iana_name().map_or_else(|| offset(zone), str::to_owned);
            if is_zone_of_heading { format!("of {named}, as the heading says") } else { format!("of {named}") }
        });
        let is_plain = names.len() == 1 && names[0].eq_ignore_ascii_case("time") && form.is_none() && zone.is_none();
        if !is_plain {
            let more: Vec<String> = form.into_iter().chain(zone).collect();
            said.push([vec![format!("times in {}", listed(&names))], more].concat().join(" "));
        }
        if let Some((name, value)) = self.long.filter(|(name, _)| !self.headings[*name].eq_ignore_ascii_case("sensor"))
        {
            said.push(format!("names in \"{}\", values in \"{}\"", self.headings[name], self.headings[value]));
        }
        if !self.places.is_empty() {
            let places: Vec<String> = self.places.iter().map(|place| self.headings[*place].clone()).collect();
            said.push(format!("names begin with what {} says", listed(&places)));
        }
        match (self.kind, said.is_empty()) {
            (None, true) => None,
            (None, false) => Some(format!("read with {}", said.join(", "))),
            (Some(kind), true) => Some(format!("read as {}", kind.name())),
            (Some(kind), false) => Some(format!("read as {}: {}", kind.name(), said.join(", "))),
        }
    }

    /// A time that two lines in a row have, where a line should be all that was measured then.
    pub(super) fn repeated_time(&self, data: &[Line]) -> Option<String> {
        let time = |line: &Line| {
            self.times.iter().map(|place| line.cells.get(*place).cloned()).collect::<Option<Vec<String>>>()
        };
        let same = data.windows(2).find(|pair| time(&pair[0]).is_some() && time(&pair[0]) == time(&pair[1]))?;
        Some(format!(
            "several lines have one time, such as line {}: if they are of several sensors, --name-column NAME says which \
             column tells them apart",
            same[1].number
        ))
    }
}

/// `+02:00`, or UTC.
fn offset(zone: &TimeZone) -> String {
    match zone.to_fixed_offset() {
        Ok(offset) if offset.seconds() != 0 => {
            let minutes = offset.seconds() / 60;
            let sign = if minutes < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
        }
        _ => "UTC".to_owned(),
    }
}
