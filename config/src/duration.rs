//! Lengths of time as people write them.

use tilth_core::time::Span;

/// `1h30m`, `1.5h`, `45s`, `250ms`, `2d`, `5 minutes`; there may be spaces between all parts. Nothing where it is no length of time.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Span> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit_ms = match unit {
            "ms" => 1.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1000.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
            "h" | "hour" | "hours" => 3_600_000.0,
            "d" | "day" | "days" => 86_400_000.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * unit_ms;
        rest = after.trim_start();
    }
    (!text.is_empty() && total < 1e15).then(|| Span((total.round()) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, expected) in [
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("1h 30min", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("250ms", Some(250)),
            ("0s", Some(0)),
            ("2d", Some(172_800_000)),
            ("", None),
            ("5", None),
            ("m", None),
            ("5 m", Some(300_000)),
            ("5 minutes", Some(300_000)),
            ("1 hour 30 min", Some(5_400_000)),
            ("5M", None),
            ("5m -3s", None),
            ("1..5h", None),
            ("5 months", None),
            ("m5", None),
            ("9999999999999999999d", None),
        ] {
            assert_eq!(parse_duration(text).map(|span| span.0), expected, "{text:?}");
        }
    }
}
