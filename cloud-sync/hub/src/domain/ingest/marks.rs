//! The mark by which a row is known when it comes again: a hash over its named fields, by a function that has a version.
//!
//! A run keeps the version of its marks, so that rows which an earlier program took are compared as that one did. A function is never
//! changed: a protocol with another field gets another version, and a row that lacks the field keeps its mark in it. The time of day
//! counts in none: a row that is stamped anew, because its boot's clock became known or was set right, is the same row.

use std::fmt::Write;
use std::ops::RangeInclusive;

use serde_json::{Map, Value as Json, json};
use tilth_config::sha256;
use tilth_core::time::Stamp;
use tilth_protocol::{Event, Extent, Lane, Sequenced, WindowRow};

use super::account::{Content, Run};
use super::received::Received;

/// The first bytes of a SHA-256.
pub(crate) type Mark = [u8; 8];

/// The function that made a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Over a row as one JSON object: rows that a hub of schema 6 or before took.
    One,
    /// Over the named fields of a row, one a line; the body of an event is canonical JSON.
    Two,
}

impl Version {
    /// Marks new rows.
    pub(crate) const NEWEST: Version = Version::Two;

    /// The number that the database keeps.
    pub(crate) const fn number(self) -> i64 {
        match self {
            Version::One => 1,
            Version::Two => 2,
        }
    }

    pub(crate) fn of_number(number: i64) -> Option<Version> {
        [Version::One, Version::Two].into_iter().find(|version| version.number() == number)
    }
}

/// The marks of a run, in the order of its sequences, all by one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) version: Version,
    pub(crate) marks: Vec<Mark>,
}

impl Marks {
    /// Those of some sequences of a run that begins at `first`; they must be inside.
    pub(super) fn part(&self, first: u64, span: &RangeInclusive<u64>) -> Marks {
        // A run of rows is no longer than a batch.
        let part = (span.start() - first) as usize..=(span.end() - first) as usize;
        Marks { version: self.version, marks: self.marks[part].to_vec() }
    }
}

/// The longest run of rows that is kept as one: whoever sends one row of it again has the marks of all read.
const MAX_RUN: usize = 500;

/// The longest reason of a gap that is kept, in characters.
const MAX_REASON: usize = 200;

/// The lanes of a batch, each with its runs.
pub(crate) fn runs(received: &Received) -> Vec<(Lane, Vec<Run>)> {
    let lanes = &received.batch.lanes;
    let events = lanes.events.as_ref().map(|extent| (Lane::Events, runs_of(extent)));
    let windows = lanes.windows.as_ref().map(|extent| (Lane::Windows, runs_of(extent)));
    let diagnostics = lanes.diagnostics.as_ref().map(|extent| (Lane::Diagnostics, runs_of(extent)));
    let mut lanes: Vec<(Lane, Vec<Run>)> = events.into_iter().chain(windows).chain(diagnostics).collect();
    for (lane, runs) in &mut lanes {
        let unread = received.unread.iter().filter(|row| row.lane == *lane);
        runs.extend(unread.map(|row| Run { first: row.seq, last: row.seq, content: Content::Unread }));
        runs.sort_by_key(|run| run.first);
    }
    lanes
}

/// The extent was checked: its rows and gaps account for each sequence at most once, in rising order.
fn runs_of<R: Marked>(extent: &Extent<R>) -> Vec<Run> {
    let reason = |text: &str| text.chars().take(MAX_REASON).collect();
    let gaps = extent.gaps.iter();
    let gaps =
        gaps.map(|gap| Run { first: gap.first, last: gap.last, content: Content::Gap(gap.kind, reason(&gap.reason)) });
    let mut runs: Vec<Run> = gaps.collect();
    let in_a_row = extent.rows.chunk_by(|row, next| row.seq() + 1 == next.seq());
    for rows in in_a_row.flat_map(|rows| rows.chunks(MAX_RUN)) {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { continue };
        let version = Version::NEWEST;
        let marks = Marks { version, marks: rows.iter().map(|row| mark(row, version)).collect() };
        runs.push(Run { first: first.seq(), last: last.seq(), content: Content::Rows(marks) });
    }
    runs
}

/// The marks of some rows of a batch, all of which it brings, by the function of a version.
pub(crate) fn of(received: &Received, lane: Lane, version: Version, span: &RangeInclusive<u64>) -> Vec<Mark> {
    fn marks<R: Marked>(extent: Option<&Extent<R>>, version: Version, span: &RangeInclusive<u64>) -> Vec<Mark> {
        let rows = extent.map_or(&[][..], |extent| extent.rows.as_slice());
        let from = rows.partition_point(|row| row.seq() < *span.start());
        rows[from..].iter().take_while(|row| row.seq() <= *span.end()).map(|row| mark(row, version)).collect()
    }
    let lanes = &received.batch.lanes;
    match lane {
        Lane::Events => marks(lanes.events.as_ref(), version, span),
        Lane::Windows => marks(lanes.windows.as_ref(), version, span),
        Lane::Diagnostics => marks(lanes.diagnostics.as_ref(), version, span),
    }
}

fn mark(row: &impl Marked, version: Version) -> Mark {
    let text = match version {
        Version::One => row.object().to_string(),
        Version::Two => row.fields().iter().fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "{name}={value}");
            text
        }),
    };
    sha256(text.as_bytes())[..8].try_into().expect("SHA-256 is longer")
}

/// A row that has marks.
trait Marked: Sequenced {
    /// What version 1 hashes, as JSON with sorted keys.
    fn object(&self) -> Json;

    /// What version 2 hashes, in this order; a field that is absent is left out.
    fn fields(&self) -> Vec<(&'static str, Json)>;
}

impl Marked for Event {
    fn object(&self) -> Json {
        let Event { seq, at, kind, body } = self;
        json!({"seq": seq, "at": place(at), "kind": kind, "body": without_wall(body)})
    }

    fn fields(&self) -> Vec<(&'static str, Json)> {
        let Event { seq, at: Stamp { boot, uptime, .. }, kind, body } = self;
        let body = canonical(without_wall(body));
        vec![
            ("seq", json!(seq)),
            ("boot", json!(boot)),
            ("uptime", json!(uptime)),
            ("kind", json!(kind)),
            ("body", body),
        ]
    }
}

impl Marked for WindowRow {
    fn object(&self) -> Json {
        let WindowRow { seq, sensor, quantity, resolution, grain, start, revision, bad, count, sums } = self;
        let mut object = json!({
            "seq": seq, "sensor": sensor, "quantity": quantity, "resolution": resolution, "grain": grain,
            "start": place(start), "revision": revision, "bad": bad, "count": count,
        });
        if let Some(sums) = sums {
            object["sums"] = json!({
                "sum": sums.sum, "sum_sq": sums.sum_sq.to_string(), "min": sums.min, "max": sums.max,
                "last": sums.last, "last_at": sums.last_at,
            });
        }
        object
    }

    fn fields(&self) -> Vec<(&'static str, Json)> {
        let WindowRow { seq, sensor, quantity, resolution, grain, start, revision, bad, count, sums } = self;
        let mut fields = vec![
            ("seq", json!(seq)),
            ("sensor", json!(sensor)),
            ("quantity", json!(quantity)),
            ("resolution", canonical(json!(resolution))),
            ("grain", json!(grain)),
            ("boot", json!(start.boot)),
            ("uptime", json!(start.uptime)),
            ("revision", json!(revision)),
            ("bad", json!(bad)),
            ("count", json!(count)),
        ];
        if let Some(sums) = sums {
            fields.extend([
                ("sum", json!(sums.sum)),
                ("sum_sq", json!(sums.sum_sq.to_string())),
                ("min", json!(sums.min)),
                ("max", json!(sums.max)),
                ("last", json!(sums.last)),
                ("last_at", json!(sums.last_at)),
            ]);
        }
        fields
    }
}

/// A stamp without its time of day.
fn place(at: &Stamp) -> Json {
    json!({"boot": at.boot, "uptime": at.uptime})
}

/// A body without the times of day of the stamps in it.
fn without_wall(body: &Map<String, Json>) -> Json {
    let mut json = Json::Object(body.clone());
    forget_wall(&mut json);
    json
}

fn forget_wall(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            if fields.contains_key("boot") && fields.contains_key("uptime") {
                fields.remove("wall");
            }
            fields.values_mut().for_each(forget_wall);
        }
        Json::Array(items) => items.iter_mut().for_each(forget_wall),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// JSON whose text is the same for the same value: keys sorted, which objects here always are, and 20.0 as 20.
fn canonical(json: Json) -> Json {
    /// Integers beyond have no exact floating form.
    const EXACT: f64 = (1_u64 << 53) as f64;
    match json {
        Json::Object(fields) => fields.into_iter().map(|(key, value)| (key, canonical(value))).collect(),
        Json::Array(items) => items.into_iter().map(canonical).collect(),
        Json::Number(number) if number.is_f64() => match number.as_f64() {
            Some(value) if value.fract() == 0.0 && value.abs() < EXACT => Json::from(value as i64),
            _ => Json::Number(number),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: &Json, body: &Json) -> Event {
        serde_json::from_value(json!({"seq": 7, "at": at, "kind": "alert", "body": body})).unwrap()
    }

    fn window(change: impl Fn(&mut Json)) -> WindowRow {
        let mut row = json!({
            "seq": 3, "sensor": "tower-1/ph", "quantity": "ph", "resolution": 0.01, "grain": "minute",
            "start": {"boot": 1, "uptime": 60_000, "wall": null}, "revision": 0, "bad": 1, "count": 2,
            "sums": {"sum": 1370, "sum_sq": "938500", "min": 680, "max": 690, "last": 690, "last_at": 59_000},
        });
        change(&mut row);
        serde_json::from_value(row).unwrap()
    }

    fn hex(mark: Mark) -> String {
        mark.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Of an event, a window and an empty one, by version.
    const GOLDEN: [[&str; 2]; 3] = [
        ["33378f50394d559b", "e7223ec5ce9c9477"],
        ["95a54e0cd6d945e8", "f16906065bbeb6a6"],
        ["68846290c759c7fa", "c9da129c1a2f1d30"],
    ];

    /// Databases hold these marks: whatever the types become, they stay.
    #[test]
    fn the_marks_of_each_version_stay() {
        let stamp = json!({"boot": 1, "uptime": 61_000, "wall": 1_763_683_261_000_i64});
        let body = json!({"z": "21.5 °C", "since": stamp, "value": 20.0, "list": [1, null, true, {"boot": 2, "uptime": 3, "wall": 4}]});
        let (event, whole, empty) = (
            event(&stamp, &body),
            window(|_| ()),
            window(|row| {
                row["count"] = json!(0);
                row["resolution"] = json!(1);
                row.as_object_mut().unwrap().remove("sums");
            }),
        );
        let both = |marks: [Mark; 2]| marks.map(hex);
        let of_event = both([Version::One, Version::Two].map(|version| mark(&event, version)));
        let of_whole = both([Version::One, Version::Two].map(|version| mark(&whole, version)));
        let of_empty = both([Version::One, Version::Two].map(|version| mark(&empty, version)));
        assert_eq!([of_event, of_whole, of_empty], GOLDEN);
    }

    #[test]
    fn a_mark_is_of_everything_but_the_time_of_day() {
        for version in [Version::One, Version::Two] {
            let row = |wall: Json, value: i64| {
                let at = json!({"boot": 1, "uptime": 2, "wall": wall});
                mark(&event(&at, &json!({"value": value, "since": at, "wall": 1})), version)
            };
            assert_eq!(row(json!(null), 1), row(json!(5), 1));
            assert_ne!(row(json!(5), 1), row(json!(5), 2));
            let at = json!({"boot": 1, "uptime": 2, "wall": null});
            let other = mark(&event(&at, &json!({"value": 1, "since": at, "wall": 2})), version);
            assert_ne!(other, row(json!(5), 1), "what only looks like a stamp's time counts");
            let same = mark(&window(|row| row["start"]["wall"] = json!(9)), version);
            assert_eq!(same, mark(&window(|_| ()), version));
            for (field, value) in
                [("seq", json!(4)), ("revision", json!(1)), ("bad", json!(2)), ("resolution", json!(0.1))]
            {
                let other = window(|row| row[field] = value.clone());
                assert_ne!(mark(&other, version), mark(&window(|_| ()), version), "{field}");
            }
        }
    }

    #[test]
    fn a_body_is_the_same_whatever_its_form() {
        let at = json!({"boot": 1, "uptime": 2, "wall": null});
        let read = |body: &str| mark(&event(&at, &serde_json::from_str(body).unwrap()), Version::Two);
        assert_eq!(read(r#"{"b":20.0,"a":[1e0,0.5]}"#), read(r#"{ "a": [1, 5e-1], "b": 20 }"#));
        assert_ne!(read(r#"{"b":20.0}"#), read(r#"{"b":"20"}"#));
        assert_ne!(read(r#"{"b":9007199254740993}"#), read(r#"{"b":9007199254740992}"#));
    }
}
