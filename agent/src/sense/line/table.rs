//! Lines of columns, parted by commas, semicolons, bars, tabs or blanks, under a header line or under names of the configuration.

use std::ops::Range;

use tilth_core::label::{Label, MatchKind};
use tilth_core::unit::Unit;

use super::names::LabelIx;
use super::number::{self, Parsed, Time};
use super::{pairs, words};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    /// One of these between any two; two in a row hold an empty cell.
    Delimiter(char),
    /// However many tabs.
    Tabs,
    /// Two blanks or more, so that a name may have one.
    WideBlanks,
    /// However many blanks and tabs.
    Blanks,
    /// The sign of the next number, as sensors of SDI-12 answer: `0+21.5-3.2`.
    SignedNumbers,
}

/// The columns that a header line, or the configuration, named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// What a row may be parted by.
    pub(super) separators: Vec<Separator>,
    /// An empty one where a column has no name.
    pub(super) names: Vec<String>,
    /// How well a column name matches that of an input; none where no sensor reads a column.
    pub(super) best_match: Option<MatchKind>,
    /// For each column its label, where a sensor reads it or it says something of others.
    pub(super) columns: Vec<Option<LabelIx>>,
    /// The names' revision that `columns` is of.
    pub(super) revision: Option<u64>,
}

impl Separator {
    /// What parts the columns of a line by a delimiter; none where it has none.
    pub(super) fn of(text: &str) -> Option<Separator> {
        delimiter(text)
            .map(|delimiter| if delimiter == '\t' { Separator::Tabs } else { Separator::Delimiter(delimiter) })
    }
}

/// The delimiters of columns, in the order in which they are looked for: a comma may also stand within a column name.
const DELIMITERS: [char; 4] = ['\t', ';', '|', ','];

impl Header {
    /// The header that a line is, if it is one: two or more names and nothing else.
    pub(super) fn parse(text: &str) -> Option<Header> {
        let of = |text: &str| {
            let own = Separator::of(text)?;
            let also = (own == Separator::Tabs).then_some(Separator::Delimiter('\t'));
            Header::of_names(texts(text, own), also.into_iter().chain([own]).collect())
        };
        let bare = text.strip_prefix("//").or_else(|| text.strip_prefix(['#', '%'])).map(str::trim_start);
        let header = of(text);
        // `#1,#2` are names; `#time,temp` is a header that other tools pass over.
        let is_comment = header.as_ref().is_none_or(|header| !header.names.iter().all(|name| name.starts_with('#')));
        bare.filter(|_| is_comment).and_then(of).or(header)
    }

    /// The header that a line of words would be over a row with so many columns.
    pub(super) fn of_words(text: &str, columns: usize) -> Option<Header> {
        let bare = text.trim_start_matches(['#', '%']).trim_start();
        let wide = texts(bare, Separator::WideBlanks);
        let names = if wide.len() == columns { wide } else { texts(bare, Separator::Blanks) };
        Header::of_names(names, vec![Separator::Blanks]).filter(|header| header.names.len() == columns)
    }

    /// The columns that the configuration names.
    pub(super) fn configured(names: Vec<String>) -> Header {
        let others = [Separator::Tabs, Separator::WideBlanks, Separator::Blanks, Separator::SignedNumbers];
        let separators = DELIMITERS.map(Separator::Delimiter).into_iter().chain(others).collect();
        Header { separators, names, best_match: None, columns: Vec::new(), revision: None }
    }

    fn of_names(mut names: Vec<String>, separators: Vec<Separator>) -> Option<Header> {
        names.truncate(names.iter().rposition(|name| !name.is_empty())? + 1);
        let is_name = |name: &String| {
            name.is_empty()
                || (pairs::is_label(&name.replace([',', ';'], " "))
                    && !name.contains(pairs::is_assignment)
                    && number::parsed(name) == Parsed::Text)
        };
        let is_header = names.iter().all(is_name) && names.iter().filter(|name| !name.is_empty()).count() >= 2;
        is_header.then(|| Header { separators, names, best_match: None, columns: Vec::new(), revision: None })
    }

    pub(super) fn named(&self) -> impl Iterator<Item = &String> {
        self.names.iter().filter(|name| !name.is_empty())
    }

    /// Whether two headers have the same names, leaving aside their units.
    pub(super) fn is_same(&self, other: &Header) -> bool {
        let is_same = |(one, other): (&String, &String)| {
            one == other || Label::of(one).zip(Label::of(other)).is_some_and(|(one, other)| one.is_same(&other))
        };
        self.names.len() == other.names.len() && self.names.iter().zip(&other.names).all(is_same)
    }

    /// Takes up a line below the header that has a unit in each column that has one: `C,%,ppm`. False where it is none.
    pub(super) fn take_units(&mut self, text: &str, cells: &mut Vec<Range<usize>>) -> bool {
        // Rows mostly begin with a number.
        let digits = text.trim_start_matches(['-', '+']);
        if digits.starts_with(|c: char| c.is_ascii_digit()) || !self.cells(text, cells) {
            return false;
        }
        let bare = |cell: &Range<usize>| text[cell.clone()].trim_matches(['(', ')', '[', ']']);
        let is_unit = |cell: &Range<usize>| ["", "-"].contains(&bare(cell)) || Unit::of(bare(cell)).is_some();
        if !cells.iter().all(is_unit) || cells.iter().all(|cell| ["", "-"].contains(&bare(cell))) {
            return false;
        }
        for (name, cell) in self.names.iter_mut().zip(cells.iter()) {
            let says_none = Label::of(name).is_some_and(|label| label.unit().is_none());
            if says_none && Unit::of(bare(cell)).is_some() {
                *name = format!("{name} ({})", bare(cell));
            }
        }
        self.revision = None;
        true
    }

    /// Finds the cells of a row after a word that only says what the line is, and that word: `DATA 24.5 55.1 612`.
    pub(super) fn cells_after_tag<'t>(&self, text: &'t str, cells: &mut Vec<Range<usize>>) -> Option<&'t str> {
        let columns = self.names.len();
        self.separators.iter().filter(|_| columns > 1).find_map(|separator| {
            let tag = cut_into(text, *separator, columns + 1, cells).then(|| tag(&text[cells.remove(0)]))??;
            cells.iter().all(|cell| holds_value(&text[cell.clone()])).then_some(tag)
        })
    }

    /// Finds the cells of a row; false where there are more or fewer than columns.
    pub(super) fn cells(&self, text: &str, cells: &mut Vec<Range<usize>>) -> bool {
        self.separators.iter().any(|separator| cut_into(text, *separator, self.names.len(), cells))
    }
}

/// Finds the cells of a row; false where they are more or fewer than `count`. A separator at the end is no cell.
fn cut_into(text: &str, separator: Separator, count: usize, cells: &mut Vec<Range<usize>>) -> bool {
    cut(text, separator, cells);
    if cells.len() == count + 1 {
        cells.pop_if(|last| Range::is_empty(last));
    }
    cells.len() == count
}

/// Whether a line is columns of which at least one is a number, a word for a missing one, or a time.
pub(super) fn is_row(text: &str) -> bool {
    let Some(delimiter) = delimiter(text) else { return false };
    text.split(delimiter).any(|cell| holds_value(unquoted(cell)))
}

/// Whether a line is two numbers or more with blanks between them and nothing else; tells how many.
pub(super) fn numbers(text: &str) -> Option<usize> {
    let words = || text.split_ascii_whitespace();
    let is_numbers = words().all(|word| holds_value(word) && !word.is_empty());
    Some(words().count()).filter(|count| is_numbers && *count >= 2)
}

/// Whether a line is numbers between wide blanks, or the answer of a sensor of SDI-12: its address, and numbers with their signs.
pub(super) fn is_spread(text: &str) -> bool {
    let mut cells = Vec::new();
    cut(text, Separator::WideBlanks, &mut cells);
    if cells.len() > 1 {
        return cells.iter().all(|cell| holds_value(&text[cell.clone()]));
    }
    cut(text, Separator::SignedNumbers, &mut cells);
    let is_number = |cell: &Range<usize>| text[cell.clone()].parse::<f64>().is_ok();
    cells.len() > 1 && cells[0].len() == 1 && cells[1..].iter().all(is_number)
}

/// Whether a line is one word and then numbers between blanks.
pub(super) fn is_tagged(text: &str) -> bool {
    text.split_once([' ', '\t']).is_some_and(|(first, rest)| tag(first).is_some() && numbers(rest).is_some())
}

/// The word that says what a line is; nothing where it says that the line holds something else: `MAX`, `ERR`.
fn tag(text: &str) -> Option<&str> {
    let word = text.trim().trim_end_matches([':', '=']);
    let others =
        [words::NOT_A_MEASUREMENT, words::NOT_A_MEASUREMENT_AFTER, words::ERRORS, words::LOG_LEVELS, words::DERIVED];
    let is_not_a_measurement = || others.iter().any(|words| words.has(word));
    (pairs::is_name(word) && number::parsed(word) == Parsed::Text && !is_not_a_measurement()).then_some(word)
}

fn holds_value(cell: &str) -> bool {
    match number::parsed(cell) {
        Parsed::Number(..) | Parsed::Bool(_) => true,
        Parsed::Empty => !cell.is_empty(),
        Parsed::Text => matches!(number::time(cell, false), Time::At(_)),
    }
}

/// The delimiter of the columns of a line, if it has columns.
pub(super) fn delimiter(text: &str) -> Option<char> {
    DELIMITERS.into_iter().find(|delimiter| text.contains(*delimiter))
}

/// How many columns a row of bare numbers has.
pub(super) fn width(text: &str) -> usize {
    let cells = texts(text, Separator::of(text).unwrap_or(Separator::Blanks));
    let cells = if cells.len() > 1 { cells } else { texts(text, Separator::SignedNumbers) };
    // A separator at the end is no cell.
    cells.len() - usize::from(cells.len() > 1 && cells.last().is_some_and(String::is_empty))
}

/// The cells of a line, by where they are, without blanks and quotes.
pub(super) fn cut(text: &str, separator: Separator, cells: &mut Vec<Range<usize>>) {
    cells.clear();
    let mut from = 0;
    let mut push = |range: Range<usize>| {
        let cell = unquoted(&text[range.clone()]);
        let start = cell.as_ptr() as usize - text.as_ptr() as usize;
        cells.push(start..start + cell.len());
    };
    match separator {
        Separator::Delimiter(delimiter) => {
            let mut quoted = false;
            let has_quotes = text.contains('"');
            for (at, found) in text.match_indices([delimiter, '"']) {
                match found {
                    "\"" => quoted = !quoted && has_quotes,
                    _ if quoted => {}
                    _ => {
                        push(from..at);
                        from = at + found.len();
                    }
                }
            }
            push(from..text.len());
        }
        Separator::Tabs => between_blanks(text, |run| run.contains('\t')).for_each(push),
        Separator::WideBlanks => between_blanks(text, |run| run.len() >= 2 || run.contains('\t')).for_each(push),
        Separator::Blanks => between_blanks(text, |_| true).for_each(push),
        Separator::SignedNumbers => {
            for (at, _) in text.match_indices(['+', '-']) {
                push(from..at);
                from = at;
            }
            push(from..text.len());
        }
    }
}

/// What lies between runs of blanks that part.
fn between_blanks(text: &str, is_separator: impl Fn(&str) -> bool) -> impl Iterator<Item = Range<usize>> {
    let is_blank = |c: char| matches!(c, ' ' | '\t');
    let mut from = Some(0);
    std::iter::from_fn(move || {
        let begin = from?;
        let mut at = begin;
        loop {
            let Some(run) = text[at..].find(is_blank).map(|run| at + run) else {
                from = None;
                return Some(begin..text.len());
            };
            let end = text[run..].find(|c| !is_blank(c)).map_or(text.len(), |end| run + end);
            if is_separator(&text[run..end]) {
                from = Some(end);
                return Some(begin..run);
            }
            at = end;
        }
    })
}

fn texts(text: &str, separator: Separator) -> Vec<String> {
    let mut cells = Vec::new();
    cut(text, separator, &mut cells);
    cells.into_iter().map(|cell| text[cell].to_owned()).collect()
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_names_and_nothing_else() {
        for (text, expected) in [
            ("temp,hum", Some("temp|hum")),
            ("Time (ms),Temperature (C),Humidity (%)", Some("Time (ms)|Temperature (C)|Humidity (%)")),
            ("# time, Air Temp ,hum,", Some("time|Air Temp|hum")),
            ("#1,#2", Some("#1|#2")),
            ("// a;b", Some("a|b")),
            ("Time\t\tAir Temp\t\tHum", Some("Time|Air Temp|Hum")),
            ("Temp, C\tHum, %", Some("Temp, C|Hum, %")),
            ("\"a\",\"b, c\"", Some("a|b, c")),
            ("a,,b", Some("a||b")),
            ("a | b", Some("a|b")),
            ("temp", None),
            ("temp,", None),
            ("temp,1", None),
            ("temp,nan", None),
            ("temp: 5, hum: 6", None),
            ("a\u{7},b", None),
        ] {
            assert_eq!(Header::parse(text).map(|header| header.names.join("|")).as_deref(), expected, "{text:?}");
        }
        for (text, columns, expected) in [
            ("Temp Hum CO2", 3, Some("Temp|Hum|CO2")),
            ("Air Temp   Water Temp   Hum", 3, Some("Air Temp|Water Temp|Hum")),
            ("Air Temp", 3, None),
        ] {
            assert_eq!(Header::of_words(text, columns).map(|header| header.names.join("|")).as_deref(), expected);
        }
    }

    #[test]
    fn a_line_of_units_goes_with_the_header_above() {
        for (names, units, expected) in [
            ("temp,hum,co2", "F,%,ppm", Some("temp (F)|hum (%)|co2 (ppm)")),
            ("node,temp,hum", "-,[F],[%]", Some("node|temp (F)|hum (%)")),
            ("time,temp (C)", "ms,F", Some("time (ms)|temp (C)")),
            ("temp\tflow", "F\tL/min", Some("temp (F)|flow (L/min)")),
            ("temp,hum", "on,off", None),
            ("temp,hum", "21,F", None),
            ("temp,hum", ",", None),
            ("temp,hum", "F,%,ppm", None),
        ] {
            let mut header = Header::parse(names).unwrap();
            let found = header.take_units(units, &mut Vec::new()).then(|| header.names.join("|"));
            assert_eq!(found.as_deref(), expected, "{names}: {units}");
        }
    }

    #[test]
    fn rows_have_as_many_cells_as_there_are_columns() {
        let row = |header: &Header, text: &str| {
            let mut cells = Vec::new();
            let fits = header.cells(text, &mut cells);
            fits.then(|| cells.into_iter().map(|cell| text[cell].to_owned()).collect::<Vec<_>>().join("|"))
        };
        let comma = Header::parse("a,b,c").unwrap();
        let tabs = Header::parse("a\t\tb\t\tc").unwrap();
        let named = Header::configured(["a", "b", "c"].map(str::to_owned).to_vec());
        for (header, text, expected) in [
            (&comma, "1, 2 ,3", Some("1|2|3")),
            (&comma, "1,2,3,", Some("1|2|3")),
            (&comma, "1,2,", Some("1|2|")),
            (&comma, "\"1\",,3", Some("1||3")),
            (&comma, "1,2", None),
            (&comma, "1,2,3,4", None),
            (&tabs, "1\t2\t3", Some("1|2|3")),
            (&tabs, "1\t\t2\t\t3", Some("1|2|3")),
            (&tabs, "1\t\t3", Some("1||3")),
            (&named, "1;2;3", Some("1|2|3")),
            (&named, "1 2   3", Some("1|2|3")),
            (&named, "1,5;2;3", Some("1,5|2|3")),
            (&named, "1 2", None),
            (&named, "0+21.5-3.25", Some("0|+21.5|-3.25")),
        ] {
            assert_eq!(row(header, text).as_deref(), expected, "{text:?}");
        }
        assert!(is_spread("0+21.5-3.25") && is_spread("21.5 C   55%"));
        assert!(!is_spread("-3.25") && !is_spread("12-30") && !is_spread("a+b") && !is_spread("a   5"));
        assert_eq!(numbers("21.5 55 nan"), Some(3));
        assert_eq!((numbers("21.5"), numbers("21.5 C"), numbers("")), (None, None, None));
    }
}
