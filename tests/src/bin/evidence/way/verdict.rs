//! What is at the hub, against the rows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value as Json;
use tilth_tests::live::hub::Hub;

use super::Kill;
use super::rows::{self, COLUMNS, GRAINS, Place, Row, Steps, Window};

/// What was fed, and how.
pub(super) struct Truth<'a> {
    pub(super) rows: &'a [Row],
    pub(super) kills: &'a [Kill],
}

/// What was at the hub.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) windows: BTreeMap<Place, Window>,
    /// Windows that were at the hub before some kill.
    pub(super) confirmed: BTreeMap<Place, Window>,
    pub(super) events: Vec<Json>,
    pub(super) alerts: usize,
}

/// How much was compared.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) windows: usize,
    pub(super) equal: usize,
    pub(super) touched: usize,
    /// Readings, of all sensors.
    pub(super) missing: u64,
    pub(super) could_miss: u64,
    pub(super) confirmed: usize,
}

/// All windows of the hub; none while it is down.
///
/// # Panics
/// When one is there twice, or out of order.
pub(super) fn windows(hub: &Hub, rows: &[Row]) -> BTreeMap<Place, Window> {
    let mut found = BTreeMap::new();
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return found };
    for (column, sensor) in ["temperature", "humidity", "light", "co2"].into_iter().enumerate() {
        for (grain, length) in GRAINS {
            let path = format!(
                "/api/data?sensor=room/{sensor}&grain={grain}&exact=true&from={}&to={}",
                first.at_ms - length,
                last.at_ms + 1
            );
            let mut before = i64::MIN;
            for window in hub.list(&path, "windows") {
                let start = time(&window["start"]).expect("a window has a start");
                assert!(start > before, "twice or out of order: {window}");
                before = start;
                found.insert((column, grain, start), read(&window));
            }
        }
    }
    found
}

fn read(window: &Json) -> Window {
    let number = |name: &str| window["steps"][name].as_i64().expect("an exact window");
    let steps = window["steps"].is_object().then(|| Steps {
        sum: number("sum"),
        sum_sq: window["steps"]["sum_sq"].as_str().and_then(|text| text.parse().ok()).expect("a number as text"),
        min: number("min"),
        max: number("max"),
        last: number("last"),
        last_at: number("last_at"),
    });
    let count = |name: &str| window[name].as_u64().expect("a count");
    Window { count: count("count"), bad: count("bad"), steps }
}

fn time(text: &Json) -> Option<i64> {
    let time: Timestamp = text.as_str()?.parse().ok()?;
    Some(time.as_millisecond())
}

/// Compares everything.
///
/// # Errors
/// The first thing that is not as it must be.
pub(super) fn judge(truth: &Truth<'_>, found: &Found) -> Result<Tally, String> {
    let gaps = said_gaps(truth, &found.events)?;
    let is_heard = |row: &&Row| !gaps.iter().any(|(from, to)| *from < row.at_ms && row.at_ms < *to);
    let is_heard_whole = |row: &&Row| !gaps.iter().any(|(from, to)| *from <= row.at_ms && row.at_ms < *to);
    let all = rows::windows(truth.rows);
    // What the agent says that it did not hear is exactly what is missing. Of the last row before it stopped hearing it may
    // have heard some sensors.
    let heard =
        [rows::windows(truth.rows.iter().filter(is_heard)), rows::windows(truth.rows.iter().filter(is_heard_whole))];
    let touched = touched(truth);
    let mut tally = Tally { windows: found.windows.len(), ..Tally::default() };
    for (place, window) in &all {
        let at_hub = found.windows.get(place);
        if !touched.contains(place) {
            if at_hub != Some(window) {
                return Err(format!("{} is {at_hub:?} at the hub and {window:?} in truth", name(place)));
            }
            tally.equal += 1;
            continue;
        }
        tally.touched += 1;
        if !heard.iter().any(|heard| heard.get(place) == at_hub) {
            return Err(format!(
                "{}, touched by a kill, is {at_hub:?} at the hub; what was said to be heard is {:?}",
                name(place),
                heard[0].get(place)
            ));
        }
        if place.1 == GRAINS[0].0 {
            tally.missing += window.readings() - at_hub.map_or(0, Window::readings);
        }
    }
    if let Some(place) = found.windows.keys().find(|place| !all.contains_key(*place)) {
        return Err(format!("{} is at the hub and has no rows", name(place)));
    }
    for (place, window) in &found.confirmed {
        let now = found.windows.get(place);
        // A quarter that was open at the kill is not there yet; none that is there changes.
        if now != Some(window) {
            return Err(format!("{} was {window:?} at the hub before a kill and is {now:?}", name(place)));
        }
    }
    tally.confirmed = found.confirmed.len();
    let spans = truth.kills.iter().map(|kill| kill.on_the_way.len() + kill.unheard.len());
    tally.could_miss = (spans.sum::<usize>() * COLUMNS.len()) as u64;
    in_order(&found.events)?;
    Ok(tally)
}

/// Windows of rows that were on their way at a kill or that were lost.
fn touched(truth: &Truth<'_>) -> BTreeSet<Place> {
    let rows = truth.kills.iter().flat_map(|kill| &truth.rows[kill.on_the_way.start..kill.unheard.end]);
    rows::windows(rows).into_keys().collect()
}

/// Between what time and what time the agent says at its starts that it heard nothing. Each must lie within a kill's span.
fn said_gaps(truth: &Truth<'_>, events: &[Json]) -> Result<Vec<(i64, i64)>, String> {
    let starts: Vec<&Json> = events.iter().filter(|event| event["kind"] == "start").collect();
    if starts.len() != truth.kills.len() + 1 {
        return Err(format!("{} starts were said after {} kills", starts.len(), truth.kills.len()));
    }
    let mut gaps = Vec::new();
    for (start, kill) in starts[1..].iter().zip(truth.kills) {
        let (Some(from), Some(to)) = (time(&start["body"]["heard_until"]), time(&start["at"])) else {
            return Err(format!("a start does not say since when nothing was heard: {start}"));
        };
        let committed = truth.rows[kill.on_the_way.start - 1].at_ms;
        let back = truth.rows[kill.unheard.end].at_ms;
        if from < committed || to > back {
            return Err(format!("a kill's gap is said to be {from} to {to}, and was within {committed} and {back}"));
        }
        gaps.push((from, to));
    }
    Ok(gaps)
}

/// Events of each lane came in the order in which they happened, none missing and none twice.
fn in_order(events: &[Json]) -> Result<(), String> {
    let mut lanes: BTreeMap<&str, (u64, i64)> = BTreeMap::new();
    for event in events {
        let (Some(lane), Some(seq), Some(at)) = (event["lane"].as_str(), event["seq"].as_u64(), time(&event["at"]))
        else {
            return Err(format!("an event without its place or time: {event}"));
        };
        let before = lanes.entry(lane).or_insert((0, i64::MIN));
        if seq != before.0 + 1 || at < before.1 {
            return Err(format!("out of order: {event}, after sequence {}", before.0));
        }
        *before = (seq, at);
    }
    Ok(())
}

fn name((column, grain, start): &Place) -> String {
    let start = Timestamp::from_millisecond(*start).map_or_else(|_| start.to_string(), |start| start.to_string());
    format!("the {grain} of {} at {start}", COLUMNS[*column])
}
