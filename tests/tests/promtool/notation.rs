//! The notation of Prometheus' own tests: durations, series and their samples, and comparisons.

use std::collections::BTreeMap;

/// Labels, the name of the series not among them.
pub(crate) type Labels = BTreeMap<String, String>;

/// What a scrape gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sample {
    Value(f64),
    /// `_`: the scrape gave nothing.
    Missing,
    /// `stale`: the scrape said that the series has ended.
    Stale,
}

/// A comparison of a series with a number, such as `up == 0`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) series: String,
    pub(crate) labels: Labels,
    pub(crate) operator: &'static str,
    pub(crate) number: f64,
}

/// `1d`, `4m59s`, `2m59s999ms`, `0`, in milliseconds.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    let mut total = 0;
    let mut rest = text.trim();
    if rest == "0" {
        return Some(0);
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return None,
        };
        total += number.parse::<i64>().ok()? * unit_ms;
        rest = after;
    }
    Some(total)
}

/// `up{job="test"}` as its name and labels.
pub(crate) fn series(text: &str) -> Option<(String, Labels)> {
    let (name, labels) = match text.trim().split_once('{') {
        None => (text.trim(), ""),
        Some((name, labels)) => (name.trim(), labels.strip_suffix('}')?.trim()),
    };
    let labels: Option<Labels> = labels
        .split(',')
        .filter(|label| !label.trim().is_empty())
        .map(|label| {
            let (name, value) = label.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned()))
        })
        .collect();
    let mut labels = labels?;
    let name = if name.is_empty() { labels.remove("__name__")? } else { name.to_owned() };
    Some((name, labels))
}

/// `1 2+3x2 _ _x2 stale`; nothing for what is no plain number, such as a histogram.
pub(crate) fn samples(text: &str) -> Option<Vec<Sample>> {
    let mut samples = Vec::new();
    for word in text.split_whitespace() {
        let (start, times) = match word.rsplit_once('x') {
            Some((start, times)) => (start, times.parse::<u32>().ok()?),
            None => (word, 0),
        };
        match start {
            // Alone of all, this is not one more than it says.
            "_" => samples.extend((0..times.max(1)).map(|_| Sample::Missing)),
            "stale" => samples.push(Sample::Stale),
            _ => {
                let (first, step) = first_and_step(start)?;
                samples.extend((0..=times).map(|time| Sample::Value(first + f64::from(time) * step)));
            }
        }
    }
    Some(samples)
}

/// `2`, `2+3` or `2-3`.
fn first_and_step(text: &str) -> Option<(f64, f64)> {
    if let Ok(number) = text.parse() {
        return Some((number, 0.0));
    }
    let sign = text.char_indices().skip(1).filter(|(_, letter)| matches!(letter, '+' | '-')).map(|(at, _)| at);
    sign.filter_map(|at| Some((text[..at].parse().ok()?, text[at..].parse().ok()?))).next()
}

/// A comparison; nothing for any other expression.
pub(crate) fn comparison(text: &str) -> Option<Comparison> {
    // The longer first, so that `>=` is not taken for `>`; and those within labels are none.
    let after_labels = text.rfind('}').map_or(0, |end| end + 1);
    let operator =
        ["==", "!=", ">=", "<=", ">", "<"].into_iter().find(|operator| text[after_labels..].contains(operator))?;
    let (left, right) = text.rsplit_once(operator)?;
    let (series, labels) = series(left)?;
    let name =
        !series.is_empty() && series.chars().all(|letter| letter.is_ascii_alphanumeric() || "_:".contains(letter));
    name.then_some(Comparison { series, labels, operator, number: right.trim().parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::Sample::{Missing, Stale, Value};
    use super::*;

    #[test]
    fn samples_are_expanded_as_promtool_documents_it() {
        for (text, expected) in [
            ("-2+4x3", vec![Value(-2.0), Value(2.0), Value(6.0), Value(10.0)]),
            ("1-2x2", vec![Value(1.0), Value(-1.0), Value(-3.0)]),
            ("1x2", vec![Value(1.0); 3]),
            ("1 _x3 stale", vec![Value(1.0), Missing, Missing, Missing, Stale]),
            ("1e-3 _", vec![Value(0.001), Missing]),
        ] {
            assert_eq!(samples(text), Some(expected), "{text}");
        }
        assert_eq!(samples("{{sum:3 count:2}}"), None);
    }

    #[test]
    fn durations_are_sums() {
        for (text, ms) in [("0", 0), ("1d", 86_400_000), ("4m59s", 299_000), ("2m59s999ms", 179_999)] {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn comparisons_are_told_from_other_expressions() {
        let of = |text| comparison(text).map(|found| (found.series, found.operator, found.number));
        assert_eq!(of("up == 0"), Some(("up".to_owned(), "==", 0.0)));
        assert_eq!(of("up{job=\"a>b\"} >= 1.5"), Some(("up".to_owned(), ">=", 1.5)));
        for other in ["1", "sum(up) == 0", "up == down", "count_over_time(up[5m:])"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
