//! Handlers that look back: windows of a sensor, alerts, actuations and notes of a period.
//!
//! `since` and `until` are a time ago, such as `24h`, or a time of day on the farm's clocks, such as `2026-06-01T20:00`.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::extract::{Query, State};
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value as Json};
use tilth_config::{nearest, parse_duration};
use tilth_core::id::SensorId;
use tilth_core::rules::DisplayValue;
use tilth_core::time::{Span, Stamp, WallTime};
use tilth_core::value::{Steps, Value};
use tilth_core::windows::{Grain, Sums};
use tilth_protocol::Event;

use super::actuators;
use super::changes::MAX_NAMED;
use super::handlers::{Answered, Api, Parameters};
use super::problem::Problem;
use super::rows::{ActuationRow, AlertRow, HistoryRow, NoteRow, PastAlertRow};
use super::views::{self, digits};
use crate::console::listed;
use crate::store::{Contents, Period, StoreError, StoreReader, StoredWindow, Table, Unanswered, tenths};
use crate::transition::between;

/// Longest period of which the minutes are shown; a longer one is shown by quarters of an hour.
const BY_MINUTE: Span = Span::from_mins(25 * 60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowsQuery {
    sensor: SensorId,
    since: String,
    until: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeriodQuery {
    since: String,
    until: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActuationsQuery {
    /// Of all actuators, where there is none.
    actuator: Option<String>,
    since: String,
    until: Option<String>,
}

/// Of what the store holds all, or a part.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredQuery {
    since: Option<String>,
    until: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowsQuery {
    table: Table,
    from: u64,
    through: u64,
}

/// Windows of a sensor, oldest first.
pub(super) async fn windows(State(api): Api, parameters: Parameters<WindowsQuery>) -> Answered<HistoryRow> {
    let Query(WindowsQuery { sensor, since, until }) = parameters?;
    let period = period(&api, &since, until.as_deref()).await?;
    let grain = if period.from.0 - period.until.0 <= BY_MINUTE.0 { Grain::Minute } else { Grain::Quarter };
    let wanted = sensor.clone();
    let found = read(&api, move |store, deadline| {
        let windows = store.windows_within(&wanted, grain, &period, deadline)?;
        Ok(windows.map(|windows| if windows.is_empty() { Err(store.sensors_with_history()) } else { Ok(windows) }))
    });
    match found.await? {
        Ok(windows) => api.answer(windows.iter().map(|window| history_row(window, grain)).collect()),
        Err(known) => {
            let known = known.map_err(unanswered)?;
            if known.contains(&sensor) {
                return api.answer(Vec::new());
            }
            Err(Problem::not_found(no_history(&sensor, known.iter().map(SensorId::as_str))))
        }
    }
}

/// What to say of a sensor that none of those with a history is.
pub(crate) fn no_history<'a>(sensor: &SensorId, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(sensor.as_str(), known.clone()) {
        Some(near) => format!("{sensor} has no history; did you mean {near}?"),
        None => format!("{sensor} has no history; sensors with one: {}", listed(known, MAX_NAMED)),
    }
}

/// What the store holds of a span: its boots and sensors, and the keys of its rows; one row.
pub(super) async fn stored(State(api): Api, parameters: Parameters<StoredQuery>) -> Answered<Contents> {
    let Query(StoredQuery { since, until }) = parameters?;
    let now = api.query(|engine, _, clock| views::now(engine, clock)).await?;
    let local = api.config.local();
    let period = period_of(since.as_deref(), until.as_deref(), now, |shown| local.instant(shown))?;
    let found =
        api.store.read(move |store, deadline| store.contents(period.as_ref(), deadline)).await.map_err(unanswered)?;
    api.answer(vec![found])
}

/// A page of rows as they are stored; one row. It is put into words on the thread that reads it.
pub(super) async fn stored_rows(State(api): Api, parameters: Parameters<RowsQuery>) -> Answered<Box<RawValue>> {
    let Query(RowsQuery { table, from, through }) = parameters?;
    let page =
        api.store.read(move |store, deadline| Ok(to_raw_value(&store.page(table, (from, through), deadline)?)));
    let page = page.await.map_err(unanswered)?;
    api.answer(vec![page.map_err(|error| Problem::unavailable(error.to_string()))?])
}

/// Alerts that had a transition within the period, and those that fired before it and are open, by number.
pub(super) async fn alerts(State(api): Api, parameters: Parameters<PeriodQuery>) -> Answered<PastAlertRow> {
    let Query(PeriodQuery { since, until }) = parameters?;
    let (period, events) = events(&api, "alert", &since, until.as_deref()).await?;
    let open = api.query(|engine, context, clock| views::alerts(engine, context, clock, false)).await?;
    api.answer(with_open(past_alerts(&events), open, &period))
}

/// What actuators did, oldest first.
pub(super) async fn actuations(State(api): Api, parameters: Parameters<ActuationsQuery>) -> Answered<ActuationRow> {
    let Query(ActuationsQuery { actuator, since, until }) = parameters?;
    let (_, events) = events(&api, "actuation", &since, until.as_deref()).await?;
    let mut rows = past_actuations(&events);
    if let Some(wanted) = actuator {
        rows.retain(|row| row.actuator == wanted);
        if rows.is_empty() {
            // One that is no longer configured has its past; else its name is misspelt.
            api.query(move |engine, _, _| actuators::find(engine, &wanted)).await??;
        }
    }
    api.answer(rows)
}

/// Notes, oldest first.
pub(super) async fn notes(State(api): Api, parameters: Parameters<PeriodQuery>) -> Answered<NoteRow> {
    let Query(PeriodQuery { since, until }) = parameters?;
    let (_, events) = events(&api, "note", &since, until.as_deref()).await?;
    let note = |Event { at, body, .. }: &Event| NoteRow {
        at: views::wall(at.wall),
        boot: at.boot,
        uptime_s: Span(at.uptime.0).as_secs_f64(),
        by: text(body, "by").unwrap_or_default(),
        text: text(body, "text").unwrap_or_default(),
    };
    api.answer(events.iter().map(note).collect())
}

async fn events(
    api: &super::ApiState,
    kind: &'static str,
    since: &str,
    until: Option<&str>,
) -> Result<(Period, Vec<Event>), Problem> {
    let period = period(api, since, until).await?;
    Ok((period, read(api, move |store, deadline| store.events_within(kind, &period, deadline)).await?))
}

/// Has the store read something that it gives up at its deadline.
async fn read<T: Send + 'static>(
    api: &super::ApiState,
    question: impl FnOnce(&StoreReader, Instant) -> Result<Option<T>, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let found = api.store.read(question).await.map_err(unanswered)?;
    found.ok_or_else(|| Problem::unavailable("the disk is too slow for this much history: ask for a shorter time"))
}

fn unanswered(error: impl Into<Unanswered>) -> Problem {
    Problem::unavailable(error.into().to_string())
}

async fn period(api: &super::ApiState, since: &str, until: Option<&str>) -> Result<Period, Problem> {
    let now = api.query(|engine, _, clock| views::now(engine, clock)).await?;
    let local = api.config.local();
    let period = period_of(Some(since), until, now, |shown| local.instant(shown))?;
    period.ok_or_else(|| Problem::bad_request("expected since"))
}

/// The period that people name; `None` where they name none. `instant` says when local clocks show a time.
pub(crate) fn period_of(
    since: Option<&str>,
    until: Option<&str>,
    now: Stamp,
    instant: impl Fn(DateTime) -> Option<WallTime>,
) -> Result<Option<Period>, Problem> {
    if since.is_none() && until.is_none() {
        return Ok(None);
    }
    // What is older than the clocks of farms is in no store.
    let from = since.map_or(Ok(Span::from_mins(100 * 366 * 24 * 60)), |since| ago(since, now, &instant))?;
    let until = until.map_or(Ok(Span::ZERO), |until| ago(until, now, &instant))?;
    if from <= until {
        return Err(Problem::bad_request("since is not before until; expected a period of the past"));
    }
    Ok(Some(Period { now, from, until }))
}

/// How long before the present a time is.
fn ago(text: &str, now: Stamp, instant: impl Fn(DateTime) -> Option<WallTime>) -> Result<Span, Problem> {
    if let Some(span) = parse_duration(text) {
        return Ok(span);
    }
    let at = text.parse::<Timestamp>().ok().map(|at| WallTime(at.as_millisecond()));
    let Some(at) = at.or_else(|| instant(text.parse().ok()?)) else {
        let expected = "expected a time ago, such as 24h or 7d, or a time of day, such as 2026-06-01T20:00";
        return Err(Problem::bad_request(format!("{text:?}: {expected}")));
    };
    let Some(now) = now.wall else {
        let detail = format!("{text}: the time of day is not known on this device; give a time ago, such as 24h");
        return Err(Problem::conflict(detail));
    };
    Ok(Span(now.0.saturating_sub(at.0)).max(Span::ZERO))
}

fn history_row(window: &StoredWindow, grain: Grain) -> HistoryRow {
    let StoredWindow { start, ago, series, row } = window;
    let good = row.window.good;
    let value = |steps: fn(&Sums) -> Steps| {
        digits(Some(DisplayValue::Value(Value { steps: steps(&good?), resolution: series.resolution })))
    };
    HistoryRow {
        sensor: series.sensor.clone(),
        unit: series.quantity.unit().to_owned(),
        at: views::wall(start.wall),
        ago_s: ago.as_secs_f64(),
        for_s: grain.span().as_secs_f64(),
        count: good.map_or(0, |sums| sums.count),
        bad: row.window.bad,
        lowest: value(|sums| sums.min),
        highest: value(|sums| sums.max),
        mean: good.and_then(|sums| digits(Some(DisplayValue::Value(tenths(sums.mean(), series.resolution))))),
        last: value(|sums| sums.last),
    }
}

/// One row for each alert that fired, from its transitions, oldest first. Pure.
fn past_alerts(transitions: &[Event]) -> Vec<PastAlertRow> {
    let mut alerts = BTreeMap::<u64, PastAlertRow>::new();
    for Event { at, body, .. } in transitions {
        // An alert that resolved before it fired has no number.
        let Some(number) = body.get("alert").and_then(Json::as_u64) else { continue };
        let row = alerts.entry(number).or_insert_with(|| PastAlertRow { alert: number, ..PastAlertRow::default() });
        let said = |key: &str| text(body, key);
        for (field, key) in [
            (&mut row.zone, "zone"),
            (&mut row.rule, "rule"),
            (&mut row.sensor, "sensor"),
            (&mut row.severity, "severity"),
            (&mut row.message, "message"),
        ] {
            if let Some(said) = said(key) {
                *field = said;
            }
        }
        row.since = row.since.take().or_else(|| said("since"));
        let at = views::wall(at.wall);
        match said("event").as_deref() {
            Some("firing") => row.fired = at,
            Some("acknowledged") => row.by = said("by"),
            Some("resolved") => (row.resolved, row.reason) = (at, said("reason")),
            _ => {}
        }
        row.is_over |= said("event").as_deref() == Some("resolved");
    }
    alerts.into_values().collect()
}

/// With the alerts that are open and have no transition in the period: of a period that lasts until now all of them, of an earlier one those
/// whose condition held when it began.
fn with_open(mut rows: Vec<PastAlertRow>, open: Vec<AlertRow>, period: &Period) -> Vec<PastAlertRow> {
    let of_period = |row: &AlertRow| period.until == Span::ZERO || row.for_s >= period.from.as_secs_f64();
    for AlertRow { alert, zone, rule, sensor, severity, since, by, message, .. } in open.into_iter().filter(of_period) {
        let Some(alert) = alert.filter(|alert| rows.iter().all(|row| row.alert != *alert)) else { continue };
        let (zone, rule, sensor) = (zone.to_string(), rule.to_string(), sensor.to_string());
        rows.push(PastAlertRow { alert, zone, rule, sensor, severity, since, by, message, ..PastAlertRow::default() });
    }
    rows.sort_by_key(|row| row.alert);
    rows
}

/// One row for each time on and each refusal, by its begin. Pure.
fn past_actuations(events: &[Event]) -> Vec<ActuationRow> {
    let mut rows = Vec::new();
    // The row of each actuator that is on, and since when.
    let mut on = BTreeMap::<String, (usize, Stamp)>::new();
    for Event { at, body, .. } in events {
        let (Some(actuator), Some(action)) = (text(body, "actuator"), text(body, "action")) else { continue };
        let begun = on.get(&actuator).copied().filter(|_| matches!(action.as_str(), "off" | "lost"));
        let ix = begun.map_or(rows.len(), |(ix, _)| ix);
        if begun.is_none() {
            rows.push(actuation_row(*at, body));
        }
        let row = &mut rows[ix];
        (row.reason, row.message) = (text(body, "reason"), text(body, "message").unwrap_or_default());
        if action == "off" {
            row.on_s = begun.and_then(|(_, since)| between(since, *at)).map(Span::as_secs_f64);
            on.remove(&actuator);
        } else if action == "on" {
            on.insert(actuator, (ix, *at));
        }
        // What is lost is switched off as well.
        if row.outcome != "lost" {
            row.outcome = action;
        }
    }
    rows
}

/// What the first event of an actuation says.
fn actuation_row(at: Stamp, body: &Map<String, Json>) -> ActuationRow {
    let number = |key: &str| body.get(key).and_then(Json::as_f64);
    ActuationRow {
        actuator: text(body, "actuator").unwrap_or_default(),
        zone: text(body, "zone"),
        at: views::wall(at.wall),
        boot: at.boot,
        uptime_s: Span(at.uptime.0).as_secs_f64(),
        for_s: number("for_s"),
        hour_s: number("hour_s"),
        day_s: number("day_s"),
        by: text(body, "by"),
        rule: text(body, "rule"),
        sensor: text(body, "sensor"),
        ..ActuationRow::default()
    }
}

fn text(body: &Map<String, Json>, key: &str) -> Option<String> {
    body.get(key)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests;
