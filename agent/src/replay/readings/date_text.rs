//! Times as loggers and spreadsheets write them: a date, a time of day and a zone, in the orders that people use.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use crate::cli::{self, DateOrder};

/// The date, time of day and zone that a text says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DateText<'a> {
    pub(super) day: Option<Day>,
    /// Milliseconds of the day; a day's end is 24:00.
    pub(super) time_ms: Option<i64>,
    pub(super) zone: Option<Zone<'a>>,
}

/// A date, as far as it is known without the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Day {
    Known(Date),
    /// Three numbers, the last of them the year unless it is short and stands first.
    Numbers {
        first: i8,
        second: i8,
        last: i16,
        is_short: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone<'a> {
    Offset(Offset),
    /// Letters such as CET.
    Name(&'a str),
}

impl Day {
    /// The date in that order; nothing where there is no such day.
    pub(super) fn date(self, order: DateOrder) -> Option<Date> {
        match self {
            Day::Known(date) => Some(date),
            Day::Numbers { first, second, last, is_short } => {
                let year = if is_short { full_year(last) } else { last };
                match order {
                    DateOrder::Dmy => Date::new(year, second, first),
                    DateOrder::Mdy => Date::new(year, first, second),
                    DateOrder::Ymd if is_short => Date::new(full_year(first.into()), second, last.try_into().ok()?),
                    DateOrder::Ymd => return None,
                }
                .ok()
            }
        }
    }
}

impl<'a> DateText<'a> {
    /// Reads a whole text; nothing where any part of it is something else.
    pub(super) fn of(text: &'a str) -> Option<DateText<'a>> {
        let mut rest = Cursor(text.trim());
        if let Some(stamp) = rest.digits_alone() {
            return Some(stamp);
        }
        rest.skip_weekday();
        let mut day = rest.attempt(Cursor::day);
        let mut time_ms = None;
        if day.is_none() || rest.skip_between() {
            time_ms = rest.attempt(|rest| rest.time(day.is_some()));
        }
        if day.is_none() && time_ms.is_some() && rest.skip_between() {
            day = rest.attempt(Cursor::day);
        }
        let zone = if time_ms.is_some() { rest.zone() } else { None };
        let is_stamp = rest.0.is_empty() && (day.is_some() || time_ms.is_some());
        is_stamp.then_some(DateText { day, time_ms, zone })
    }

    pub(super) fn civil(&self, order: DateOrder) -> Option<DateTime> {
        let time = SignedDuration::from_millis(self.time_ms.unwrap_or(0));
        self.day?.date(order)?.at(0, 0, 0, 0).checked_add(time).ok()
    }
}

/// Whether a text is a day and its hour in ten digits, as of 1990: as seconds since 1970 it would be of 2033 or later.
pub(super) fn is_day_and_hour(text: &str) -> bool {
    text.len() == 10 && text >= "1990" && Cursor(text).digits_alone().is_some()
}

const DAY_MS: i64 = 86_400_000;

/// The beginnings of each month's names in English, German, French, Dutch and Spanish.
const MONTHS: [&str; 12] = [
    "jan ene jän",
    "feb fév fev",
    "mar maa mär mrz mrt",
    "apr avr abr",
    "may mai mei",
    "jun juin",
    "jul juil",
    "aug aoû aou ago",
    "sep",
    "oct okt",
    "nov",
    "dec déc dez dic",
];

fn month(word: &str) -> Option<i64> {
    let word = word.to_lowercase();
    let is_of = |names: &&str| names.split(' ').any(|begin| word.starts_with(begin));
    (1..).zip(&MONTHS).find(|(_, names)| is_of(names)).map(|(month, _)| month).filter(|_| word.chars().count() <= 11)
}

/// Two digits of this century, or of the last one from 70 on.
fn full_year(year: i16) -> i16 {
    year + if year < 70 { 2000 } else { 1900 }
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// `20261231`, `2026123123` or `20261231235959`, nothing else beside it.
    fn digits_alone(&mut self) -> Option<DateText<'a>> {
        let text = self.0;
        if !matches!(text.len(), 8 | 10 | 12 | 14) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let part = |from: usize, to: usize| text.get(from..to).map_or(Some(0), |digits| digits.parse::<i64>().ok());
        let day = known(part(0, 4)?, part(4, 6)?, part(6, 8)?)?;
        let time_ms = match text.len() {
            8 => None,
            _ => Some(time_of_day(part(8, 10)?, part(10, 12)?, part(12, 14)?)?),
        };
        Some(DateText { day: Some(day), time_ms, zone: None })
    }

    /// `Thu, ` and the like.
    fn skip_weekday(&mut self) {
        const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let word = self.word();
        if word.len() >= 3 && word.is_ascii() && DAYS.iter().any(|day| word.to_lowercase().starts_with(day)) {
            self.0 = self.0[word.len()..].trim_start_matches(['.', ',', ' ']);
        }
    }

    /// Reads something, or leaves the text standing where that is not there: a time of day such as `25:30` behind a date is not taken
    /// for nothing, which would be midnight.
    fn attempt<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.0;
        let found = read(self);
        if found.is_none() {
            self.0 = before;
        }
        found
    }

    fn day(&mut self) -> Option<Day> {
        // November 5, 2026
        if let Some(month) = self.month() {
            let day = self.number()?.0;
            self.skip_any(&[',', ' ', '-']);
            return known(self.year()?, month, day);
        }
        let (first, digits) = self.number()?;
        if digits == 8 {
            return known(first / 10_000, first / 100 % 100, first % 100);
        }
        let separator = self.0.chars().next()?;
        self.skip_any(&['/', '-', '.', ' ']);
        if let Some(month) = self.month() {
            self.skip_any(&['-', '/', ',']);
            return match digits {
                4 => known(first, month, self.number()?.0),
                _ => known(self.year()?, month, first),
            };
        }
        if !matches!(separator, '/' | '-' | '.') {
            return None;
        }
        let (second, _) = self.number()?;
        self.0 = self.0.strip_prefix(separator)?.trim_start();
        let (last, last_digits) = self.number()?;
        if separator == '.' {
            self.0 = self.0.strip_prefix('.').unwrap_or(self.0);
        }
        if digits == 4 {
            return known(first, second, last);
        }
        let is_short = last_digits <= 2;
        if digits > 2 || !(is_short || last_digits == 4) || first.max(second) > 31 && !is_short {
            return None;
        }
        if separator == '.' {
            let year = if is_short { full_year(last as i16) } else { last as i16 };
            return known(year.into(), second, first);
        }
        Some(Day::Numbers { first: first as i8, second: second as i8, last: last as i16, is_short })
    }

    /// A name of a month in one of five languages, with what parts it from what follows.
    fn month(&mut self) -> Option<i64> {
        let word = self.word();
        let month = month(word)?;
        self.0 = self.0[word.len()..].trim_start_matches(['.', ' ', '-', '/', ',']);
        Some(month)
    }

    fn year(&mut self) -> Option<i64> {
        self.skip_any(&[' ']);
        match self.number()? {
            (year, 4) => Some(year),
            (year, 2) => Some(full_year(year as i16).into()),
            _ => None,
        }
    }

    /// Parts a day from a time of day; false where nothing follows.
    fn skip_between(&mut self) -> bool {
        let after = self.0.trim_start_matches([' ', ',', '_', '\u{a0}']);
        let has_time = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let after = after.strip_prefix(['T', 't']).filter(|rest| has_time(rest)).unwrap_or(after);
        let is_parted = after.len() < self.0.len() && !after.is_empty();
        self.0 = if is_parted { after } else { self.0 };
        is_parted
    }

    /// `9:05`, `21:05:07.250`, `9:05 PM`, `24:00`, `9h05`; behind a day also `09.05.07` and `0905`, which alone would be numbers.
    fn time(&mut self, is_behind_day: bool) -> Option<i64> {
        let (hour, digits) = self.number()?;
        if is_behind_day && digits == 4 && !self.0.starts_with([':', '.', 'h']) {
            return time_of_day(hour / 100, hour % 100, 0);
        }
        let mark = self.0.chars().next().filter(|mark| matches!(mark, ':' | 'h') || *mark == '.' && is_behind_day)?;
        let after = self.0.strip_prefix(mark).filter(|_| digits <= 2)?;
        self.0 = after;
        let (minute, minute_digits) = self.number()?;
        let mut second = 0;
        let mut fraction_ms = 0;
        if let Some(after) = self.0.strip_prefix(if mark == 'h' { ':' } else { mark }) {
            self.0 = after;
            second = self.number()?.0;
            if let Some(after) = self.0.strip_prefix(['.', ',']) {
                self.0 = after;
                fraction_ms = self.fraction_ms()?;
            }
        }
        let hour = self.half_of_day(hour)?;
        (minute_digits == 2).then_some(())?;
        let (second, fraction_ms) = if second == 60 { (59, 999) } else { (second, fraction_ms) };
        Some(time_of_day(hour, minute, second)? + fraction_ms)
    }

    fn fraction_ms(&mut self) -> Option<i64> {
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (fraction, rest) = self.0.split_at(digits);
        self.0 = rest;
        let ms: i64 = fraction.get(..digits.min(3))?.parse().ok()?;
        Some(ms * [0, 100, 10, 1][digits.min(3)])
    }

    /// An hour with `AM` or `PM` behind it, in any spelling.
    fn half_of_day(&mut self, hour: i64) -> Option<i64> {
        let rest = self.0.trim_start_matches([' ', '\u{a0}', '\u{202f}']);
        let letters: String =
            rest.chars().take(5).filter(|c| !matches!(c, '.' | ' ')).flat_map(char::to_lowercase).collect();
        let is_after = match () {
            () if letters.starts_with("am") || letters == "a" => false,
            () if letters.starts_with("pm") || letters == "p" => true,
            () => return Some(hour),
        };
        let end = rest.to_ascii_lowercase().find('m').map_or(rest.len(), |end| end + 1);
        self.0 = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
        (1..=12).contains(&hour).then_some(hour % 12 + if is_after { 12 } else { 0 })
    }

    /// `Z`, `+01:00`, `UTC`, `UTC+1`, `CET`, `(CET)`.
    fn zone(&mut self) -> Option<Zone<'a>> {
        let text = self.0.trim_start();
        let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
        let zone = zone(text)?;
        self.0 = "";
        Some(zone)
    }

    /// A number, and how many digits it has; at most nine.
    fn number(&mut self) -> Option<(i64, usize)> {
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.0.split_at(digits);
        let number = (1..=9).contains(&digits).then(|| number.parse().ok()).flatten()?;
        self.0 = rest;
        Some((number, digits))
    }

    fn word(&self) -> &'a str {
        let end = self.0.find(|c: char| !c.is_alphabetic()).unwrap_or(self.0.len());
        &self.0[..end]
    }

    fn skip_any(&mut self, letters: &[char]) {
        self.0 = self.0.trim_start_matches(letters);
    }
}

/// The offset that a zone's text says, or its name where it has one.
pub(super) fn zone(text: &str) -> Option<Zone<'_>> {
    let (name, offset) = text.split_at(text.find(['+', '-']).unwrap_or(text.len()));
    match name.trim() {
        "" if offset.is_empty() => None,
        "" | "Z" | "z" | "UTC" | "utc" | "GMT" | "gmt" | "UT" if offset.is_empty() => Some(Zone::Offset(Offset::UTC)),
        "" | "Z" | "z" | "UTC" | "utc" | "GMT" | "gmt" | "UT" => cli::offset(offset).map(Zone::Offset),
        name => {
            let is_name = (2..=5).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase());
            (is_name && offset.is_empty()).then_some(Zone::Name(name))
        }
    }
}

/// What letters mean that name one offset only. Of CST, IST, BST and the like there are several.
pub(super) fn named_offset(name: &str) -> Option<Offset> {
    let hours = match name {
        "WET" => 0,
        "CET" | "MEZ" | "WEST" => 1,
        "CEST" | "MESZ" | "EET" => 2,
        "EEST" => 3,
        "EDT" => -4,
        "EST" => -5,
        "MDT" => -6,
        "PDT" => -7,
        "PST" => -8,
        _ => return None,
    };
    Some(Offset::constant(hours))
}

fn known(year: i64, month: i64, day: i64) -> Option<Day> {
    let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    (1900..2200).contains(&date.year()).then_some(Day::Known(date))
}

fn time_of_day(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let ms = ((hour * 60 + minute) * 60 + second) * 1000;
    (hour <= 24 && minute < 60 && second < 60 && ms <= DAY_MS).then_some(ms)
}

#[cfg(test)]
mod tests;
