//! Lines of columns under a header line, parted by commas, semicolons or tabs.

use super::number::{self, Cell, Time};
use super::pairs;

/// The columns that a header line named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    separator: char,
    names: Vec<String>,
    columns: Vec<Column>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// A value that a sensor wants, by its place in the list of those.
    Field(usize),
    /// The line's own time.
    Time,
    /// Nothing that anybody wants.
    Unused,
}

impl Header {
    /// The header that a line is, if it is one: two or more names and nothing else. `place` finds what sensors want.
    pub(super) fn parse(text: &str, place: impl Fn(&str) -> Option<usize>) -> Option<Header> {
        let separator = separator(text)?;
        let names: Vec<&str> = text.split(separator).map(unquoted).collect();
        if !names.iter().all(|name| pairs::is_name(name) && number::cell(name) == Cell::Text) {
            return None;
        }
        let names = names.into_iter().map(str::to_owned).collect();
        let mut header = Header { separator, names, columns: Vec::new() };
        header.bind(place);
        Some(header)
    }

    /// Finds what sensors want among the columns.
    pub(super) fn bind(&mut self, place: impl Fn(&str) -> Option<usize>) {
        let column = |name: &String| match place(name) {
            Some(field) => Column::Field(field),
            None if number::is_time_name(name) => Column::Time,
            None => Column::Unused,
        };
        self.columns = self.names.iter().map(column).collect();
    }

    /// What the columns are called.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether any sensor wants a column of it.
    pub(super) fn is_wanted(&self) -> bool {
        self.columns.iter().any(|column| matches!(column, Column::Field(_)))
    }

    /// The cells of a row with what their columns hold; nothing where there are more or fewer than the header has.
    pub(super) fn cells<'a>(&'a self, text: &'a str) -> Option<impl Iterator<Item = (Column, &'a str)>> {
        let fits = text.split(self.separator).count() == self.columns.len();
        fits.then(|| self.columns.iter().copied().zip(text.split(self.separator).map(unquoted)))
    }
}

/// Whether a line is columns of which at least one is a number, a word for a missing one, or a time.
pub(super) fn is_row(text: &str) -> bool {
    let holds_value = |cell: &str| match number::cell(cell) {
        Cell::Number(_) => true,
        Cell::Missing => !cell.is_empty(),
        Cell::Text => matches!(number::time(cell), Time::At(_)),
    };
    separator(text).is_some_and(|separator| text.split(separator).map(unquoted).any(holds_value))
}

fn separator(text: &str) -> Option<char> {
    [',', ';', '\t'].into_iter().find(|separator| text.contains(*separator))
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}
