use super::super::times::utc;
use super::*;

fn minutes(values: &[Option<(f64, f64)>]) -> Vec<Bar> {
    let count = values.len() as f64;
    let bar = |(number, value): (usize, &Option<(f64, f64)>)| {
        let (lowest, highest) = (*value)?;
        let from_s = (count - number as f64) * 60.0;
        Some(Bar { from_s, until_s: from_s - 60.0, lowest, highest })
    };
    values.iter().enumerate().filter_map(bar).collect()
}

fn drawn(values: &[Option<(f64, f64)>]) -> Vec<String> {
    draw(&minutes(values), (values.len() as f64 * 60.0, 0.0), &utc())
}

#[test]
fn a_bar_reaches_from_lowest_to_highest_and_a_gap_stays_empty() {
    let values: Vec<_> = (0..66)
        .map(|number| match number {
            0..20 => Some((6.0, 6.0)),
            40 => Some((6.0, 8.0)),
            41..66 => Some((8.0, 8.0)),
            _ => None,
        })
        .collect();
    let lines = drawn(&values);
    assert_eq!(lines.len(), ROWS + 1);
    let cells = |line: &str| line.chars().skip(10).collect::<Vec<_>>();
    let (top, bottom) = (cells(&lines[0]), cells(&lines[ROWS - 1]));
    assert_eq!(bottom.iter().collect::<String>().trim_end(), format!("{}{}█", "▄".repeat(20), " ".repeat(20)));
    assert_eq!(top.iter().collect::<String>(), format!("{}█{}", " ".repeat(40), "▀".repeat(25)));
    for line in &lines[1..ROWS - 1] {
        assert_eq!(cells(line).iter().collect::<String>().trim(), "█", "{lines:#?}");
    }
    assert!(lines[0].starts_with("      8.0 ") && lines[ROWS - 1].starts_with("      6.0 "), "{lines:#?}");
    assert_eq!(lines[ROWS].trim_start(), format!("-1h6m{:>62}", "-0s"));
}

#[test]
fn more_windows_than_columns_share_them_and_fewer_are_wide() {
    let spike: Vec<_> = (0..1440).map(|minute| Some(if minute == 700 { (5.0, 9.0) } else { (5.0, 5.0) })).collect();
    let lines = drawn(&spike);
    let of_spike: Vec<usize> = lines[..ROWS].iter().map(|line| line.chars().skip(10).count()).collect();
    // Minute 700 of 1440 is in column 32 of 66.
    assert!(of_spike[..ROWS - 1].iter().all(|count| *count == 33), "{lines:#?}");
    let wide = drawn(&[Some((5.0, 5.0)), None, Some((9.0, 9.0))]);
    assert_eq!(wide[0].chars().skip(10).filter(|cell| *cell == '▀').count(), 22, "{wide:#?}");
    assert_eq!(wide[ROWS - 1].chars().skip(10).filter(|cell| *cell == '▄').count(), 22, "{wide:#?}");
}

#[test]
fn a_value_that_stays_is_a_line_in_the_middle() {
    let lines = drawn(&[Some((20.0, 20.0)); 66]);
    let rows: Vec<usize> = (0..ROWS).filter(|row| lines[*row].chars().count() > 10).collect();
    assert!(rows == [5] || rows == [6], "{lines:#?}");
    assert!(draw(&[], (60.0, 0.0), &utc()).is_empty());
    let bars = minutes(&[Some((5.0, 6.0)), Some((7.0, 8.0))]);
    for (from, until) in [(60.0, 60.0), (0.0, 60.0), (f64::NAN, 0.0)] {
        assert!(draw(&bars, (from, until), &utc()).is_empty(), "{from} to {until}");
    }
    assert!(!draw(&bars, (1e-300, 0.0), &utc()).is_empty());
    let huge = drawn(&[Some((-1e9, 1e9)), Some((f64::MIN_POSITIVE, 1e-9))]);
    assert_eq!(huge.len(), ROWS + 1);
}
