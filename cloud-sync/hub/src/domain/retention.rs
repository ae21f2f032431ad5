//! How long a tenant's data is kept, counted from when the hub received it.

use std::fmt;
use std::str::FromStr;

use tilth_config::parse_duration;
use tilth_core::time::{Span, WallTime};

/// How long one kind of row is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Keep {
    #[default]
    Forever,
    /// At least [`MIN_KEEP`].
    For(Span),
}

/// Minimum retention: a device that was offline sends its rows again for a day.
const MIN_KEEP: Span = Span::from_mins(24 * 60);

/// How long each kind of a tenant's rows is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Retention {
    pub(crate) windows: Keep,
    /// Events and diagnostics, except the state of alerts and the last report of each device about its configuration.
    pub(crate) events: Keep,
    /// Fingerprints of rows.
    pub(crate) batches: Keep,
}

impl Keep {
    /// Rows received before this time are expired; none if they are kept forever.
    pub(crate) fn due_before(self, now: WallTime) -> Option<WallTime> {
        match self {
            Keep::Forever => None,
            Keep::For(span) => Some(WallTime(now.0.saturating_sub(span.0))),
        }
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Keep, String> {
        match parse_duration(text) {
            _ if text == "forever" => Ok(Keep::Forever),
            Some(span) if span >= MIN_KEEP => Ok(Keep::For(span)),
            _ => Err(format!("expected forever, or at least {MIN_KEEP}, such as 400d")),
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keep::Forever => f.write_str("forever"),
            Keep::For(span) => span.fmt(f),
        }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Retention { windows, events, batches } = self;
        write!(f, "windows kept {windows}, events {events}, batches {batches}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_shortest() {
        for (text, expected) in [
            ("forever", Some("forever")),
            ("1d", Some("1d")),
            ("36h", Some("1d12h")),
            ("400 days", Some("400d")),
            ("23h", None),
            ("", None),
            ("never", None),
        ] {
            let keep = text.parse::<Keep>().map(|keep| keep.to_string());
            assert_eq!(keep.as_deref().ok(), expected, "{text}");
        }
    }
}
