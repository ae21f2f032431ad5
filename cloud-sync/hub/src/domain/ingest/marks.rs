//! What a batch brings, as runs, with the mark by which each row is known when it comes again.

use ring::digest;
use serde::Serialize;
use serde_json::Value as Json;
use tilth_protocol::{Batch, Extent, Lane, Sequenced};

use super::account::{Content, Mark, Run};

/// The longest run of rows that is kept as one: whoever sends one row of it again has the marks of all read.
const MAX_RUN: usize = 500;

/// The longest reason of a gap that is kept, in characters.
const MAX_REASON: usize = 200;

/// The lanes of a batch, each with its runs.
pub(crate) fn runs(batch: &Batch) -> Vec<(Lane, Vec<Run>)> {
    let lanes = &batch.lanes;
    let events = lanes.events.as_ref().map(|extent| lane(Lane::Events, extent));
    let windows = lanes.windows.as_ref().map(|extent| lane(Lane::Windows, extent));
    let diagnostics = lanes.diagnostics.as_ref().map(|extent| lane(Lane::Diagnostics, extent));
    events.into_iter().chain(windows).chain(diagnostics).collect()
}

/// The extent was checked: its rows and gaps account for each sequence once, in rising order.
fn lane<R: Sequenced + Serialize>(lane: Lane, extent: &Extent<R>) -> (Lane, Vec<Run>) {
    let reason = |text: &str| text.chars().take(MAX_REASON).collect();
    let gaps = extent.gaps.iter();
    let gaps =
        gaps.map(|gap| Run { first: gap.first, last: gap.last, content: Content::Gap(gap.kind, reason(&gap.reason)) });
    let mut runs: Vec<Run> = gaps.collect();
    let in_a_row = extent.rows.chunk_by(|row, next| row.seq() + 1 == next.seq());
    for rows in in_a_row.flat_map(|rows| rows.chunks(MAX_RUN)) {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { continue };
        let content = Content::Rows(rows.iter().map(mark).collect());
        runs.push(Run { first: first.seq(), last: last.seq(), content });
    }
    runs.sort_by_key(|run| run.first);
    (lane, runs)
}

/// A row that is stamped anew, because its boot's clock became known or was set right, is the same row.
fn mark(row: &impl Serialize) -> Mark {
    let mut json = serde_json::to_value(row).expect("a row that was read from JSON is JSON");
    forget_wall(&mut json);
    let text = json.to_string();
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref()[..8].try_into().expect("SHA-256 is longer")
}

/// Takes the time of day out of every stamp, in bodies of events too.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mark_is_of_everything_but_the_time_of_day() {
        let row = |wall: Json, value: i64| {
            let at = json!({"boot": 1, "uptime": 2, "wall": wall});
            mark(&json!({"seq": 1, "at": at, "body": {"value": value, "since": at, "wall": 1}}))
        };
        assert_eq!(row(json!(null), 1), row(json!(5), 1));
        assert_ne!(row(json!(5), 1), row(json!(5), 2));
        let other = json!({"seq": 1, "at": {"boot": 1, "uptime": 2}, "body": {"value": 1, "since": {"boot": 1, "uptime": 2}, "wall": 2}});
        assert_ne!(mark(&other), row(json!(5), 1), "what only looks like a stamp's time counts");
    }
}
