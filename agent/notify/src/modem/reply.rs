//! Replies by SMS: `ACK 31` takes alert 31 on, and what is answered. Pure.

use std::fmt::Write as _;

use tilth_core::alert::AlertId;
use tilth_core::plan::Severity;
use tilth_core::time::Span;

/// Longest text of which a reply is looked for; the number comes first.
const MAX_TEXT: usize = 200;

/// Longest time for which a reply keeps an alert quiet.
const LONGEST: Span = Span::from_mins(24 * 60);

/// Alerts that an answer lists; as many as fit one SMS.
const MAX_LISTED: usize = 4;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Takes an alert on; for this long, where the reply says so.
    Acknowledge(AlertId, Option<Span>),
    /// Wants to take one on, and does not say which.
    WhichOne,
}

/// An open alert, in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAlert {
    /// Number of the alert.
    pub alert: AlertId,
    /// Severity now.
    pub severity: Severity,
    /// Sensor that it is about.
    pub sensor: String,
}

impl Reply {
    /// The reply of a text such as `ACK 31`, `ack #31`, `Ack31, thanks` or `ACK 31 2h`; none where it is none.
    #[must_use]
    pub fn of(text: &str) -> Option<Reply> {
        let text: String = text.trim().chars().take(MAX_TEXT).collect::<String>().to_ascii_lowercase();
        let rest = text.strip_prefix("ack")?;
        // A word such as "acknowledged", which is as clear.
        let rest = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let span = rest[end..].split_whitespace().next().and_then(tilth_config::parse_duration);
        let span = span.filter(|span| *span > Span::ZERO && *span <= LONGEST);
        Some(rest[..end].parse().map_or(Reply::WhichOne, |number| Reply::Acknowledge(AlertId(number), span)))
    }
}

/// Answer to who took an alert on; `quiet` is how long: `until 22:40`, or `for 1 h` where the clock is not set.
#[must_use]
pub fn acknowledged(alert: AlertId, by: &str, quiet: &str) -> String {
    format!("{alert} taken by {by}, quiet {quiet}")
}

/// Answer to a reply whose alert is not open.
#[must_use]
pub fn not_open(asked: Option<AlertId>, open: &[OpenAlert]) -> String {
    let mut text = asked.map_or(String::new(), |alert| format!("{alert} is not open. "));
    let Some(first) = open.first() else { return text + "No alert is open." };
    text.push_str("Open:");
    for (index, OpenAlert { alert, severity, sensor }) in open.iter().take(MAX_LISTED).enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma} {alert} {} {sensor}", severity.name());
    }
    if open.len() > MAX_LISTED {
        let _ = write!(text, " and {} more", open.len() - MAX_LISTED);
    }
    let _ = write!(text, ". Reply ACK {}", first.alert);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_however_a_thumb_writes_them() {
        let acknowledges = |number| Some(Reply::Acknowledge(AlertId(number), None));
        for (text, expected) in [
            ("ACK 31", acknowledges(31)),
            (" ack #31\n", acknowledges(31)),
            ("Ack31, on my way", acknowledges(31)),
            ("ACK: 31 35", acknowledges(31)),
            ("acknowledge no. 31", acknowledges(31)),
            ("ACK 31 2h", Some(Reply::Acknowledge(AlertId(31), Some(Span::from_mins(120))))),
            ("ACK 31 99d", acknowledges(31)),
            ("ACK", Some(Reply::WhichOne)),
            ("ack 99999999999999999999999", Some(Reply::WhichOne)),
            ("Urgent 31: tower-1/ph. Reply ACK 31", None),
            ("31", None),
            ("", None),
        ] {
            assert_eq!(Reply::of(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_answer_says_what_is_open() {
        let open = |count: u64| -> Vec<OpenAlert> {
            let open =
                |alert| OpenAlert { alert: AlertId(alert), severity: Severity::Urgent, sensor: "tower-1/ph".into() };
            (33..33 + count).map(open).collect()
        };
        let asked = Some(AlertId(31));
        assert_eq!(not_open(asked, &[]), "31 is not open. No alert is open.");
        assert_eq!(not_open(asked, &open(1)), "31 is not open. Open: 33 urgent tower-1/ph. Reply ACK 33");
        let many = not_open(None, &open(6));
        assert!(many.ends_with("36 urgent tower-1/ph and 2 more. Reply ACK 33") && many.len() <= 160, "{many}");
        assert_eq!(acknowledged(AlertId(31), "+49..5678", "until 22:40"), "31 taken by +49..5678, quiet until 22:40");
    }
}
