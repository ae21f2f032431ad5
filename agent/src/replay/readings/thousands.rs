//! Numbers whose only mark may part thousands: 1.012 in a column that has 998, too.

use crate::replay::entry;

/// In files that nowhere show which mark is that of decimals: which columns mean thousands by theirs. Their marked numbers are
/// refused, as `1,012` is in a file of commas.
#[derive(Debug, Clone, Default)]
pub(super) struct Thousands {
    is_open: bool,
    columns: Vec<Column>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Column {
    /// The least whole number of three digits.
    least_hundreds: Option<u32>,
    /// A number has four digits and no mark.
    has_bare_thousands: bool,
    means_thousands: bool,
}

/// What a number shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Three digits and no mark.
    Hundreds(u32),
    /// Four digits or more and no mark.
    BareThousands,
    /// So much before an only mark, and three digits behind it.
    LoneMark(u32),
    Other,
}

impl Thousands {
    /// For a file that does not show which mark is that of decimals.
    pub(super) fn open() -> Thousands {
        Thousands { is_open: true, columns: Vec::new() }
    }

    /// Looks at a cell, and says whether its mark parts thousands as likely as decimals.
    pub(super) fn is_doubtful(&mut self, column: usize, text: &[u8]) -> bool {
        if !self.is_open {
            return false;
        }
        let column = entry(&mut self.columns, column, Column::default());
        match shape(text) {
            Shape::Other => false,
            Shape::BareThousands => {
                column.has_bare_thousands = true;
                false
            }
            Shape::Hundreds(number) => {
                column.least_hundreds = Some(column.least_hundreds.map_or(number, |least| least.min(number)));
                false
            }
            // As decimals, numbers such as 1.012 and 998 would not be of one sensor.
            Shape::LoneMark(whole) => {
                column.means_thousands |= column.least_hundreds.is_some_and(|least| 2 * whole < least);
                column.means_thousands && !column.has_bare_thousands
            }
        }
    }

    /// Whether a number has an only mark before three digits, and nothing in the file tells what that means.
    pub(super) fn is_untold(&self, text: &[u8]) -> bool {
        self.is_open && matches!(shape(text), Shape::LoneMark(_))
    }
}

fn shape(text: &[u8]) -> Shape {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let end = text.iter().position(|byte| !byte.is_ascii_digit() && !matches!(byte, b'.' | b',')).unwrap_or(text.len());
    let number = &text[..end];
    let mut parts = number.split(|byte| matches!(byte, b'.' | b','));
    let whole = parts.next().unwrap_or_default();
    let value = || str::from_utf8(whole).ok().and_then(|whole| whole.parse().ok()).unwrap_or(0);
    match (parts.next(), parts.next()) {
        (None, _) if whole.len() == 3 && !whole.starts_with(b"0") => Shape::Hundreds(value()),
        (None, _) if whole.len() > 3 => Shape::BareThousands,
        (Some(behind), None) if behind.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with(b"0") => {
            Shape::LoneMark(value())
        }
        _ => Shape::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_beside_numbers_of_three_digits_part_thousands() {
        for (cells, expected) in [
            (&["998", "1.012", "1.013"][..], &[false, true, true][..]),
            (&["998", "1,012", "12,345"], &[false, true, true]),
            (&["-998", "-1.012 ppm"], &[false, true]),
            (&["120", "0", "64.000", "1.200", "64.000"], &[false, false, false, true, true]),
            (&["7.125", "7", "8.250"], &[false; 3]),
            (&["100", "99.875", "99.125"], &[false; 3]),
            (&["998", "1.012", "1013", "1.014"], &[false, true, false, false]),
            (&["998", "1.01", "0.998", "1.0125"], &[false; 4]),
            (&["998", "", "NA", "x", "1.2.3", "12:30"], &[false; 6]),
        ] {
            let mut thousands = Thousands::open();
            let found: Vec<bool> = cells.iter().map(|cell| thousands.is_doubtful(2, cell.as_bytes())).collect();
            assert_eq!(found, expected, "{cells:?}");
            let mut told = Thousands::default();
            assert!(cells.iter().all(|cell| !told.is_doubtful(2, cell.as_bytes())), "{cells:?}");
        }
    }
}
