//! Whether it happened, by what the hub tells a reader and nothing else.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};
use jiff::Timestamp;
use serde::Deserialize;

use crate::farm::{RULE, SENSORS};
use crate::hub::Hub;
use crate::time::read;

/// A minute, as `GET /api/data` tells it.
#[derive(Debug, Deserialize)]
struct Window {
    #[serde(deserialize_with = "read")]
    start: Timestamp,
    count: u64,
    bad: u64,
}

/// What happened to an alert, as `GET /api/events` tells it.
#[derive(Debug, Deserialize)]
struct Event {
    body: Body,
}

#[derive(Debug, Deserialize)]
struct Body {
    event: String,
    rule: String,
    alert: Option<u64>,
}

/// Where an alert stands, as `GET /api/alerts` tells it.
#[derive(Debug, Deserialize)]
struct Alert {
    rule: String,
    alert: Option<u64>,
    state: String,
    source: String,
}

const MINUTE: i64 = 60_000;

/// A span of the demo's time of day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Span {
    /// The beginnings of the whole minutes in it.
    fn minutes(self) -> impl Iterator<Item = i64> {
        let begins = |minute: &i64| minute * MINUTE;
        let first = (self.from.as_millisecond() + MINUTE - 1).div_euclid(MINUTE);
        let end = self.to.as_millisecond().div_euclid(MINUTE);
        (first..end).map(move |minute| begins(&minute))
    }
}

fn windows(hub: &Hub, sensor: &str, span: Span) -> anyhow::Result<Vec<Window>> {
    let (from, to) = (span.from.as_millisecond(), span.to.as_millisecond());
    hub.list(&format!("/api/data?sensor={sensor}&from={from}&to={to}"), "windows")
}

/// How many windows of a span the hub has, and how many it lacks.
pub(crate) fn caught_up(hub: &Hub, span: Span) -> anyhow::Result<(usize, usize)> {
    let (mut there, mut lacking) = (0, 0);
    for sensor in SENSORS {
        let found: BTreeSet<i64> =
            windows(hub, sensor, span)?.iter().map(|window| window.start.as_millisecond()).collect();
        let has = span.minutes().filter(|minute| found.contains(minute)).count();
        there += has;
        lacking += span.minutes().count() - has;
    }
    Ok((there, lacking))
}

/// The last line of a bounded run; fails with what is short.
pub(crate) fn prove(hub: &Hub, all: Span, away: Option<Span>) -> anyhow::Result<String> {
    let mut readings = 0;
    for sensor in SENSORS {
        let found = windows(hub, sensor, all)?;
        let starts: BTreeSet<Timestamp> = found.iter().map(|window| window.start).collect();
        ensure!(starts.len() == found.len(), "the hub has a window of {sensor} twice");
        let of_sensor: u64 = found.iter().map(|window| window.count + window.bad).sum();
        ensure!(of_sensor > 0, "the hub has no reading of {sensor}");
        readings += of_sensor;
    }
    let alert = whole_alert(hub)?;
    let alerts: Vec<Alert> = hub.list("/api/alerts?state=all", "alerts")?;
    let state =
        alerts.iter().find(|found| found.source == "device" && found.rule == RULE && found.alert == Some(alert));
    match state.map(|found| found.state.as_str()) {
        Some("resolved") => {}
        Some(other) => bail!("the hub has alert {alert} as {other}; expected resolved"),
        None => bail!("the hub does not list alert {alert}"),
    }
    let Some(away) = away else { bail!("the hub was not away") };
    let (there, lacking) = caught_up(hub, away)?;
    ensure!(lacking == 0, "the hub lacks {lacking} windows of its absence and has {there}");
    ensure!(there > 0, "the hub was not away for a whole minute");
    Ok(format!("readings {readings}, fired, escalated, resolved, caught up {there} windows"))
}

/// The number of an alert of the rule that went all the way.
fn whole_alert(hub: &Hub) -> anyhow::Result<u64> {
    let events: Vec<Event> = hub.list("/api/events?kind=alert", "events")?;
    let of_rule: Vec<&Body> = events.iter().map(|event| &event.body).filter(|body| body.rule == RULE).collect();
    let at = |alert: u64, what: &str| of_rule.iter().position(|body| body.alert == Some(alert) && body.event == what);
    let mut lacks = "firing";
    for alert in of_rule.iter().filter(|body| body.event == "firing").filter_map(|body| body.alert) {
        // In this order, since within a lane the hub takes nothing in out of turn.
        let way = ["firing", "escalated", "acknowledged", "resolved"].map(|what| (what, at(alert, what)));
        let missing = way.iter().find(|(_, at)| at.is_none()).map(|(what, _)| *what);
        match missing {
            None if way.is_sorted_by_key(|(_, at)| *at) => return Ok(alert),
            None => bail!("the hub has the events of alert {alert} in another order"),
            Some(what) => lacks = what,
        }
    }
    bail!("the hub knows of no \"{lacks}\" of {RULE}")
}
