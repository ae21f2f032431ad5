//! Fingerprints: hashes over the named fields of a row, by which the hub recognises a row that comes again. The function has a version.
//!
//! A range keeps the version of its fingerprints, so that rows of an earlier hub are compared by its function. A function is never
//! changed: a new field gets a new version, in which a row without the field keeps its fingerprint. No version hashes the time of
//! day of a stamp: a row that is stamped again, because its boot's clock became known or was corrected, is the same row. Other times of
//! day in a body are hashed, such as `at`, `since` and `until` of an alert: the agent stores a body once, as text, and sends that.

use std::fmt::Write;
use std::ops::RangeInclusive;

use serde_json::{Map, Value as Json, json};
use tilth_config::sha256;
use tilth_core::time::Stamp;
use tilth_protocol::{Batch, Event, Extent, Gap, Lane, Lanes, Sequenced, WindowRow};

use super::ranges::{Content, SeqRange};
use super::received::ParsedBatch;

/// The first bytes of a SHA-256.
pub(crate) type Fingerprint = [u8; 8];

/// Version of the fingerprint function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Hashes a row as one JSON object. Used until schema 6.
    One,
    /// Hashes the named fields of a row, one per line; the body of an event is canonical JSON.
    Two,
}

impl Version {
    /// Version for new rows.
    pub(crate) const NEWEST: Version = Version::Two;

    /// Number of the version in the database.
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

/// Fingerprints of the rows of a range, in rising order of sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprints {
    pub(crate) version: Version,
    pub(crate) fingerprints: Vec<Fingerprint>,
}

impl Fingerprints {
    /// The part for `span`, of a range that begins at `first`; it must be inside.
    pub(super) fn part(&self, first: u64, span: &RangeInclusive<u64>) -> Fingerprints {
        // A range of rows is no longer than a batch.
        let part = (span.start() - first) as usize..=(span.end() - first) as usize;
        Fingerprints { version: self.version, fingerprints: self.fingerprints[part].to_vec() }
    }
}

/// Maximum number of rows of a stored range: one row that comes again costs reading the fingerprints of its whole range.
const MAX_RANGE: usize = 500;

/// Maximum length of a stored reason, in characters.
const MAX_REASON: usize = 200;

/// Rows and gaps of one lane of a batch.
fn lane_of(batch: &Batch, lane: Lane) -> Option<(Vec<&dyn Fingerprinted>, &[Gap])> {
    fn parts<R: Fingerprinted>(extent: &Extent<R>) -> (Vec<&dyn Fingerprinted>, &[Gap]) {
        (extent.rows.iter().map(|row| row as &dyn Fingerprinted).collect(), &extent.gaps)
    }
    let Lanes { events, windows, diagnostics } = &batch.lanes;
    match lane {
        Lane::Events => events.as_ref().map(parts),
        Lane::Windows => windows.as_ref().map(parts),
        Lane::Diagnostics => diagnostics.as_ref().map(parts),
    }
}

/// The ranges of a checked batch, by lane.
pub(crate) fn ranges(received: &ParsedBatch) -> Vec<(Lane, Vec<SeqRange>)> {
    let of_lane = |lane| {
        let (rows, gaps) = lane_of(&received.batch, lane)?;
        let reason = |gap: &Gap| gap.reason.chars().take(MAX_REASON).collect();
        let gaps = gaps.iter().map(|gap| (gap.first, gap.last, Content::Gap(gap.kind, reason(gap))));
        let unreadable = received.unreadable.iter().filter(|row| row.lane == lane);
        let unreadable = unreadable.map(|row| (row.seq, row.seq, Content::Unreadable));
        let in_a_row = rows.chunk_by(|row, next| row.seq() + 1 == next.seq());
        let rows = in_a_row.flat_map(|rows| rows.chunks(MAX_RANGE)).filter_map(|rows| {
            let version = Version::NEWEST;
            let of_rows = rows.iter().map(|row| fingerprint(*row, version)).collect();
            let content = Content::Rows(Fingerprints { version, fingerprints: of_rows });
            Some((rows.first()?.seq(), rows.last()?.seq(), content))
        });
        let ranges = rows.chain(gaps).chain(unreadable).map(|(first, last, content)| SeqRange { first, last, content });
        let mut ranges: Vec<SeqRange> = ranges.collect();
        ranges.sort_by_key(|range| range.first);
        Some((lane, ranges))
    };
    Lane::ALL.into_iter().filter_map(of_lane).collect()
}

/// Fingerprints of the rows of `span`, all of which the batch has.
pub(crate) fn of(batch: &Batch, lane: Lane, version: Version, span: &RangeInclusive<u64>) -> Vec<Fingerprint> {
    let rows = lane_of(batch, lane).map_or(Vec::new(), |(rows, _)| rows);
    rows.into_iter().filter(|row| span.contains(&row.seq())).map(|row| fingerprint(row, version)).collect()
}

fn fingerprint(row: &dyn Fingerprinted, version: Version) -> Fingerprint {
    let text = match version {
        Version::One => row.object().to_string(),
        Version::Two => row.fields().iter().fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "{name}={value}");
            text
        }),
    };
    sha256(text.as_bytes())[..8].try_into().expect("SHA-256 is longer")
}

/// A row with fingerprints.
trait Fingerprinted: Sequenced {
    /// Input of version 1: JSON with sorted keys.
    fn object(&self) -> Json;

    /// Input of version 2, in this order; absent fields are left out.
    fn fields(&self) -> Vec<(&'static str, Json)>;
}

impl Fingerprinted for Event {
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

impl Fingerprinted for WindowRow {
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

/// Canonical JSON: sorted keys, which objects here always have, and 20.0 as 20.
fn canonical(json: Json) -> Json {
    /// Beyond this, floating point numbers are not exact.
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
