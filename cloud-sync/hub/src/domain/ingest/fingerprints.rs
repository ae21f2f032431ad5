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
use tilth_protocol::{Batch, Event, Extent, Gap, Lane, Lanes, Sequenced, WindowRow};

use super::ranges::{Content, Run};
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

/// Rows and gaps of one lane of a batch.
fn lane_of(batch: &Batch, lane: Lane) -> Option<(Vec<&dyn Marked>, &[Gap])> {
    fn parts<R: Marked>(extent: &Extent<R>) -> (Vec<&dyn Marked>, &[Gap]) {
        (extent.rows.iter().map(|row| row as &dyn Marked).collect(), &extent.gaps)
    }
    let Lanes { events, windows, diagnostics } = &batch.lanes;
    match lane {
        Lane::Events => events.as_ref().map(parts),
        Lane::Windows => windows.as_ref().map(parts),
        Lane::Diagnostics => diagnostics.as_ref().map(parts),
    }
}

/// The lanes of a batch, each with its runs. The batch was checked: rows and gaps account for each sequence once, in rising order.
pub(crate) fn runs(received: &Received) -> Vec<(Lane, Vec<Run>)> {
    let of_lane = |lane| {
        let (rows, gaps) = lane_of(&received.batch, lane)?;
        let reason = |gap: &Gap| gap.reason.chars().take(MAX_REASON).collect();
        let gaps = gaps.iter().map(|gap| (gap.first, gap.last, Content::Gap(gap.kind, reason(gap))));
        let unread = received.unread.iter().filter(|row| row.lane == lane);
        let unread = unread.map(|row| (row.seq, row.seq, Content::Unread));
        let in_a_row = rows.chunk_by(|row, next| row.seq() + 1 == next.seq());
        let rows = in_a_row.flat_map(|rows| rows.chunks(MAX_RUN)).filter_map(|rows| {
            let version = Version::NEWEST;
            let marks = Marks { version, marks: rows.iter().map(|row| mark(*row, version)).collect() };
            Some((rows.first()?.seq(), rows.last()?.seq(), Content::Rows(marks)))
        });
        let runs = rows.chain(gaps).chain(unread).map(|(first, last, content)| Run { first, last, content });
        let mut runs: Vec<Run> = runs.collect();
        runs.sort_by_key(|run| run.first);
        Some((lane, runs))
    };
    Lane::ALL.into_iter().filter_map(of_lane).collect()
}

/// The marks of some rows of a batch, all of which it brings, by the function of a version.
pub(crate) fn of(batch: &Batch, lane: Lane, version: Version, span: &RangeInclusive<u64>) -> Vec<Mark> {
    let rows = lane_of(batch, lane).map_or(Vec::new(), |(rows, _)| rows);
    rows.into_iter().filter(|row| span.contains(&row.seq())).map(|row| mark(row, version)).collect()
}

fn mark(row: &dyn Marked, version: Version) -> Mark {
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
mod tests;
