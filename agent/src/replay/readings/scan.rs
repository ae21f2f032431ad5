//! What only many lines of a file show: in which order its dates have day and month, and whether one heading stands for several
//! series.

use std::collections::BTreeSet;

use super::date_text::{DateText, Day};
use super::report::excerpt;
use crate::cli::DateOrder;
use crate::replay::entry;

/// Values of one column that are kept; a column of more is no name of a place.
const MAX_VALUES: usize = 1000;

#[derive(Debug, Clone, Default)]
pub(super) struct Scan {
    /// A first number that is no month, and a second that is none: the line and the text.
    day_first: Option<(u64, String)>,
    month_first: Option<(u64, String)>,
    year_first: bool,
    /// Steps of at most two days from one date to the next, with the day first and with the month first.
    near: [u64; 2],
    last: Option<Day>,
    /// A date of which either number may be the day.
    pub(super) open: Option<String>,
    has_halves_of_day: bool,
    /// The values of columns that may tell series apart, and how many cells had one.
    values: Vec<(BTreeSet<String>, usize)>,
}

/// What decided the order of day and month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// A number above twelve, or no date that could be read in two ways.
    Sure,
    /// The dates follow one another in this order only.
    Steps,
    /// Nothing.
    Assumed,
}

impl Scan {
    pub(super) fn add_time(&mut self, line: u64, text: &str) {
        let Some(day @ Day::Numbers { first, second, .. }) = DateText::of(text).and_then(|stamp| stamp.day) else {
            return;
        };
        self.has_halves_of_day |= has_half_of_day(text);
        match (first > 12, second > 12) {
            (true, false) if first > 31 => self.year_first = true,
            (true, false) => drop(self.day_first.get_or_insert_with(|| (line, excerpt(text.as_bytes())))),
            (false, true) => drop(self.month_first.get_or_insert_with(|| (line, excerpt(text.as_bytes())))),
            _ if first != second => drop(self.open.get_or_insert_with(|| excerpt(text.as_bytes()))),
            _ => {}
        }
        if let Some(last) = self.last.replace(day).filter(|last| *last != day) {
            for (index, order) in [DateOrder::Dmy, DateOrder::Mdy].into_iter().enumerate() {
                let days = last.date(order).zip(day.date(order)).and_then(|(from, to)| from.until(to).ok());
                self.near[index] += u64::from(days.is_some_and(|span| (0..=2).contains(&span.get_days())));
            }
        }
    }

    /// Looks at the value of a column that may tell series apart.
    pub(super) fn add_value(&mut self, column: usize, text: &str) {
        let (values, cells) = entry(&mut self.values, column, Default::default());
        *cells += usize::from(!text.is_empty());
        if !text.is_empty() && values.len() <= MAX_VALUES && !values.contains(text) {
            values.insert(text.to_owned());
        }
    }

    /// The values of a column, the first of very many.
    pub(super) fn values(&self, column: usize) -> Vec<String> {
        self.values.get(column).map_or(Vec::new(), |(values, _)| values.iter().cloned().collect())
    }

    /// Whether a column holds several values; numbers must come again, else they only count the lines.
    pub(super) fn tells_apart(&self, column: usize) -> bool {
        self.values.get(column).is_some_and(|(values, cells)| {
            let are_counted = values.iter().all(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
            (2..=MAX_VALUES).contains(&values.len()) && (!are_counted || 2 * values.len() <= *cells)
        })
    }

    /// Whether the values of a column come twice on average, as those of a row's own id do not.
    pub(super) fn comes_again(&self, column: usize) -> bool {
        self.values.get(column).is_some_and(|(values, cells)| 2 * values.len() <= *cells)
    }

    /// Whether more lines could tell more of the order.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some() && self.day_first.is_none() && self.month_first.is_none()
    }

    /// The order of day and month; the two lines that contradict each other where they do.
    pub(super) fn order(&self) -> Result<(DateOrder, Basis), [(u64, String); 2]> {
        match (&self.day_first, &self.month_first) {
            (Some(one), Some(other)) => Err([one.clone(), other.clone()]),
            _ if self.year_first => Ok((DateOrder::Ymd, Basis::Sure)),
            (Some(_), None) => Ok((DateOrder::Dmy, Basis::Sure)),
            (None, Some(_)) => Ok((DateOrder::Mdy, Basis::Sure)),
            (None, None) if self.open.is_none() => Ok((DateOrder::Dmy, Basis::Sure)),
            (None, None) => Ok(match self.near {
                [day_first, 0] if day_first > 0 => (DateOrder::Dmy, Basis::Steps),
                [0, month_first] if month_first > 0 => (DateOrder::Mdy, Basis::Steps),
                _ if self.has_halves_of_day => (DateOrder::Mdy, Basis::Assumed),
                _ => (DateOrder::Dmy, Basis::Assumed),
            }),
        }
    }
}

/// Whether a time says AM or PM: as a word of its own or behind the time of day, with points or without.
fn has_half_of_day(text: &str) -> bool {
    let text = text.to_lowercase().replace('.', "");
    let mut words = text.split(|c: char| !c.is_ascii_alphabetic());
    words.any(|word| matches!(word, "am" | "pm" | "a" | "p"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_day_and_month_is_that_of_the_whole_file() {
        use DateOrder::{Dmy, Mdy, Ymd};
        for (times, expected) in [
            (&["05/11/2026 10:00", "13/11/2026 10:00"][..], Some((Dmy, Basis::Sure))),
            (&["05/11/2026 10:00", "05/13/2026 10:00"], Some((Mdy, Basis::Sure))),
            (&["13/11/2026 10:00", "05/13/2026 10:00"], None),
            (&["05/11/2026 10:00", "06/11/2026 10:00", "07/11/2026"], Some((Dmy, Basis::Steps))),
            (&["05/11/2026 10:00", "05/12/2026 10:00"], Some((Mdy, Basis::Steps))),
            (&["05/11/2026 10:00"], Some((Dmy, Basis::Assumed))),
            (&["05/11/2026 10:00 AM"], Some((Mdy, Basis::Assumed))),
            (&["05/11/2026 10:00AM"], Some((Mdy, Basis::Assumed))),
            (&["05/11/2026 10:00 p.m."], Some((Mdy, Basis::Assumed))),
            (&["05/11/26 10:00p"], Some((Mdy, Basis::Assumed))),
            (&["10:00 AM 05/11/2026"], Some((Mdy, Basis::Assumed))),
            (&["05/11/2026 22:00 UTC"], Some((Dmy, Basis::Assumed))),
            (&["5.11.2026 10:00"], Some((Dmy, Basis::Sure))),
            (&["11/11/2026 10:00"], Some((Dmy, Basis::Sure))),
            (&["32/11/05 10:00"], Some((Ymd, Basis::Sure))),
        ] {
            let mut scan = Scan::default();
            (2..).zip(times).for_each(|(line, time)| scan.add_time(line, time));
            assert_eq!(scan.order().ok(), expected, "{times:?}");
        }
    }
}
