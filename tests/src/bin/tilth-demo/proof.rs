//! Whether it happened: by what the hub tells a reader, and for what people hear, by what the modem sent and the board switched.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{bail, ensure};
use jiff::Timestamp;
use serde::Deserialize;

use crate::farm::{DOSER, RULE, SENSORS};
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

/// What happened, as `GET /api/events` tells it.
#[derive(Debug, Deserialize)]
struct Event {
    body: Body,
}

#[derive(Debug, Deserialize)]
struct Body {
    event: String,
    rule: Option<String>,
    alert: Option<u64>,
    severity: Option<String>,
    by: Option<String>,
    actuator: Option<String>,
    action: Option<String>,
}

/// State of an alert, as `GET /api/alerts` tells it.
#[derive(Debug, Deserialize)]
struct Alert {
    rule: String,
    alert: Option<u64>,
    state: String,
    source: String,
}

/// What was heard and done in the room.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Witness {
    /// SMS that the modem sent, and those of them that repeat one before without saying so.
    pub(crate) sms: usize,
    pub(crate) repeated: usize,
    /// How long the siren sounded, and how often it was switched on after the kill and after the acknowledgement.
    pub(crate) siren: Duration,
    pub(crate) after_kill: usize,
    pub(crate) after_acknowledgement: usize,
    pub(crate) kills: usize,
}

/// Readings of a sensor in a minute.
const A_MINUTE: u64 = 6;

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
pub(crate) fn prove(hub: &Hub, all: Span, away: Option<Span>, witness: &Witness) -> anyhow::Result<String> {
    let Some(away) = away else { bail!("the link to the hub was not cut and back") };
    let (there, lacking) = caught_up(hub, away)?;
    ensure!(lacking == 0, "the hub lacks {lacking} one-minute records of the outage and has {there}");
    ensure!(there > 0, "the hub was not away for a whole minute");
    let readings = readings(hub, all, away)?;
    let doses = doses(hub)?;
    let steps = whole_alert(hub)?;
    let Witness { sms, repeated, siren, after_kill, after_acknowledgement, kills } = *witness;
    ensure!(sms > 0, "no SMS was sent");
    ensure!(repeated == 0, "{repeated} SMS came twice");
    ensure!(!siren.is_zero(), "the siren did not sound");
    ensure!(kills > 0, "the agent was not killed");
    ensure!(after_kill > 0, "the siren did not sound again after the agent was killed");
    ensure!(after_acknowledgement == 0, "the siren sounded {after_acknowledgement} times after the acknowledgement");
    let count = |what: &str| steps.iter().filter(|step| *step == what).count();
    let (fired, escalated, acknowledged, resolved) =
        (count("firing"), count("escalated"), count("acknowledged"), count("resolved"));
    let minutes = siren.as_secs_f64() / 60.0;
    Ok(format!(
        "readings {readings}, doses {doses}, fired {fired}, escalated {escalated}, sms sent {sms}, acknowledged by sms \
         {acknowledged}, siren {minutes:.1} min, kills {kills}, resolved {resolved}, caught up {there} windows"
    ))
}

/// Readings at the hub: none of the outage is missing, although the agent was killed in it.
fn readings(hub: &Hub, all: Span, away: Span) -> anyhow::Result<u64> {
    let mut readings = 0;
    for sensor in SENSORS {
        let found = windows(hub, sensor, all)?;
        let starts: BTreeSet<Timestamp> = found.iter().map(|window| window.start).collect();
        ensure!(starts.len() == found.len(), "the hub has a window of {sensor} twice");
        let minutes: BTreeSet<i64> = away.minutes().collect();
        let of_outage = found.iter().filter(|window| minutes.contains(&window.start.as_millisecond()));
        let of_outage: u64 = of_outage.map(|window| window.count + window.bad).sum();
        // The first and the last one may be a moment outside.
        let expected = A_MINUTE * minutes.len() as u64 - 2;
        ensure!(of_outage >= expected, "the hub has {of_outage} readings of {sensor} of the outage, not {expected}");
        readings += found.iter().map(|window| window.count + window.bad).sum::<u64>();
    }
    Ok(readings)
}

/// Doses that the interlock allowed and the board gave.
fn doses(hub: &Hub) -> anyhow::Result<usize> {
    let events: Vec<Event> = hub.list("/api/events?kind=actuation", "events")?;
    let is_dose = |body: &Body| body.actuator.as_deref() == Some(DOSER) && body.action.as_deref() == Some("on");
    let doses = events.iter().filter(|event| is_dose(&event.body)).count();
    ensure!(doses > 0, "the doser gave no dose");
    Ok(doses)
}

/// Steps of the alert of the night at the hub: each one once, in order, up to its end.
fn whole_alert(hub: &Hub) -> anyhow::Result<Vec<String>> {
    let events: Vec<Event> = hub.list("/api/events?kind=alert", "events")?;
    let of_rule = || events.iter().map(|event| &event.body).filter(|body| body.rule.as_deref() == Some(RULE));
    let Some(alert) = of_rule().find(|body| body.event == "firing").and_then(|body| body.alert) else {
        bail!("the hub knows of no alert of {RULE}");
    };
    let way: Vec<&Body> = of_rule().filter(|body| body.alert == Some(alert) && body.event != "pending").collect();
    let told = way.iter().map(|body| match body.event.as_str() {
        "escalated" => body.severity.as_deref().unwrap_or_default(),
        other => other,
    });
    let told: Vec<&str> = told.collect();
    let expected = ["firing", "warning", "critical", "urgent", "acknowledged", "resolved"];
    ensure!(told == expected, "the hub has of alert {alert}: {}; expected {}", told.join(", "), expected.join(", "));
    let by = way[4].by.as_deref().unwrap_or_default();
    ensure!(by.starts_with("+49"), "alert {alert} was acknowledged by {by:?}; expected by SMS");
    let alerts: Vec<Alert> = hub.list("/api/alerts?state=all", "alerts")?;
    let state =
        alerts.iter().find(|found| found.source == "device" && found.rule == RULE && found.alert == Some(alert));
    let state = state.map(|found| found.state.as_str());
    ensure!(state == Some("resolved"), "the hub has alert {alert} as {state:?}; expected resolved");
    Ok(way.iter().map(|body| body.event.clone()).collect())
}
