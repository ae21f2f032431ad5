//! Values for readers: names, units, and times of day in RFC 3339.

use serde::Serialize;
use serde_json::{Map, Value as Json};
use tilth_core::time::WallTime;
use tilth_core::windows::Grain;

use crate::db::StoredWindow;

/// A time of day as text.
pub(super) fn time(time: Option<WallTime>) -> Json {
    time.map_or(Json::Null, |time| Json::String(time.to_string()))
}

/// One window; without figures if it has no good reading.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Window {
    start: String,
    count: u32,
    bad: u32,
    #[serde(flatten)]
    figures: Option<Figures>,
    revision: u32,
    #[serde(flatten)]
    exact: Option<Exact>,
}

/// In the sensor's unit.
#[derive(Debug, Clone, Serialize)]
struct Figures {
    /// Absent for a direction, like the spread: the mean of 350 and 10 degrees is not south.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
    min: f64,
    max: f64,
    last: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    spread: Option<f64>,
}

/// Figures as they were sent, to merge and compare windows.
#[derive(Debug, Clone, Serialize)]
struct Exact {
    boot: u32,
    uptime: i64,
    steps: Option<Steps>,
}

/// In steps of the sensor's resolution; the sum of squares as text: larger than the numbers of some JSON parsers.
#[derive(Debug, Clone, Serialize)]
struct Steps {
    sum: i64,
    sum_sq: String,
    min: i64,
    max: i64,
    last: i64,
    last_at: i64,
}

impl Window {
    pub(super) fn of(stored: &StoredWindow, is_exact: bool) -> Window {
        let good = stored.window.good.as_ref();
        let has_mean = stored.quantity.circle().is_none();
        let figures = good.map(|sums| Figures {
            mean: has_mean.then(|| stored.value(tilth_core::value::Steps(sums.sum)) / f64::from(sums.count)),
            min: stored.value(sums.min),
            max: stored.value(sums.max),
            last: stored.value(sums.last),
            spread: has_mean.then(|| sums.spread() * stored.value(tilth_core::value::Steps(1))),
        });
        let steps = good.map(|sums| Steps {
            sum: sums.sum,
            sum_sq: sums.sum_sq.to_string(),
            min: sums.min.0,
            max: sums.max.0,
            last: sums.last.0,
            last_at: sums.last_at.0,
        });
        Window {
            start: stored.wall.to_string(),
            count: good.map_or(0, |sums| sums.count),
            bad: stored.window.bad,
            figures,
            revision: stored.revision,
            exact: is_exact.then_some(Exact { boot: stored.boot, uptime: stored.start.0, steps }),
        }
    }
}

/// Parses a grain.
pub(super) fn grain(word: &str) -> Option<Grain> {
    [Grain::Minute, Grain::Quarter].into_iter().find(|grain| grain.to_string() == word)
}

/// Body of an event. Stamps of its boot are dated by the boot's clock, other stamps as they were sent.
pub(super) fn body(text: &str, boot: u32, offset: Option<i64>) -> Map<String, Json> {
    match serde_json::from_str(text) {
        Ok(Json::Object(fields)) => fields.into_iter().map(|(key, value)| (key, dated(value, boot, offset))).collect(),
        _ => Map::new(),
    }
}

fn dated(value: Json, boot: u32, offset: Option<i64>) -> Json {
    match value {
        Json::Object(fields) => match stamp(&fields) {
            Some((of, uptime, wall)) => {
                let own = offset.filter(|_| of == i64::from(boot)).map(|offset| offset.saturating_add(uptime));
                time(own.or(wall).map(WallTime))
            }
            None => fields.into_iter().map(|(key, value)| (key, dated(value, boot, offset))).collect(),
        },
        Json::Array(items) => items.into_iter().map(|item| dated(item, boot, offset)).collect(),
        other => other,
    }
}

/// Boot, uptime and time of day of an object that is a stamp.
fn stamp(fields: &Map<String, Json>) -> Option<(i64, i64, Option<i64>)> {
    let number = |key| fields.get(key).and_then(Json::as_i64);
    let is_stamp = fields.keys().all(|key| matches!(key.as_str(), "boot" | "uptime" | "wall"));
    is_stamp.then_some(())?;
    Some((number("boot")?, number("uptime")?, number("wall")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stamps_in_a_body_become_times() {
        let text = r#"{"since":{"boot":2,"uptime":1000,"wall":null},"until":{"boot":1,"uptime":5,"wall":60000},
            "old":{"boot":1,"uptime":5,"wall":null},"n":{"boot":2,"uptime":0,"more":1},"list":[{"boot":2,"uptime":0,"wall":7}]}"#;
        let expected = json!({
            "since": "1970-01-01T00:00:11Z", "until": "1970-01-01T00:01:00Z", "old": null,
            "n": {"boot": 2, "uptime": 0, "more": 1}, "list": ["1970-01-01T00:00:10Z"],
        });
        assert_eq!(Json::Object(body(text, 2, Some(10_000))), expected);
        assert_eq!(body(text, 2, None)["since"], Json::Null);
        assert_eq!(body("[]", 2, None), Map::new());
    }
}
