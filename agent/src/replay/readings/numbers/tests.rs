//! Cells as files write their numbers.

use super::*;

#[test]
fn values_with_points_and_with_commas() {
    use DecimalMark::{Comma, Point};
    for (text, mark, expected) in [
        ("21.5", Point, Ok(Some(21.5))),
        ("21,5", Comma, Ok(Some(21.5))),
        ("-0,25", Comma, Ok(Some(-0.25))),
        ("1.234,5", Comma, Ok(Some(1234.5))),
        ("1,234.5", Point, Ok(Some(1234.5))),
        ("1,234,567", Point, Ok(Some(1_234_567.0))),
        ("1.234", Comma, Ok(Some(1234.0))),
        ("1'234.5", Point, Ok(Some(1234.5))),
        ("1\u{a0}234,5", Comma, Ok(Some(1234.5))),
        ("21,5 °C", Comma, Ok(Some(21.5))),
        ("1,234", Point, Err(Reason::ValueMark)),
        ("7,4", Point, Err(Reason::ValueForm)),
        ("21.5", Comma, Err(Reason::ValueForm)),
        ("1,2,3", Point, Err(Reason::ValueForm)),
        ("6 1", Point, Err(Reason::ValueForm)),
        ("1 2", Comma, Err(Reason::ValueForm)),
        ("NA", Point, Ok(None)),
        ("null", Point, Ok(None)),
        ("-", Point, Ok(None)),
        ("--", Comma, Ok(None)),
        ("--.-", Point, Ok(None)),
        ("#N/A", Point, Ok(None)),
        ("unavailable", Point, Ok(None)),
        ("inf", Point, Err(Reason::ValueInfinite)),
        ("wet", Point, Err(Reason::ValueForm)),
    ] {
        assert_eq!(read(text.as_bytes(), mark).map(|cell| cell.map(|(number, _)| number)), expected, "{text:?}");
    }
}

#[test]
fn cells_show_how_numbers_are_written() {
    for (cells, separator, expected) in [
        (&["21,5", "1.234,5"][..], b';', DecimalMark::Comma),
        (&["21,5"], b',', DecimalMark::Comma),
        (&["21,500", "22,125"], b';', DecimalMark::Comma),
        (&["1,234"], b',', DecimalMark::Point),
        (&["1,234", "21.5"], b';', DecimalMark::Point),
        (&["7.4", "7,4"], b',', DecimalMark::Point),
        (&["21", "ok", "10:30"], b';', DecimalMark::Point),
        (&["0,125"], b',', DecimalMark::Comma),
        (&["21,5 °C"], b'\t', DecimalMark::Comma),
        (&["7.125"], b';', DecimalMark::Point),
    ] {
        let mut marks = DecimalMarks::default();
        cells.iter().for_each(|cell| marks.add(cell));
        assert_eq!(marks.mark(separator), expected, "{cells:?}");
    }
}

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
        let mut thousands = Thousands { is_open: true, ..Thousands::default() };
        let found: Vec<bool> = cells.iter().map(|cell| thousands.is_doubtful(2, cell.as_bytes())).collect();
        assert_eq!(found, expected, "{cells:?}");
        let mut told = Thousands::default();
        assert!(cells.iter().all(|cell| !told.is_doubtful(2, cell.as_bytes())), "{cells:?}");
    }
}
