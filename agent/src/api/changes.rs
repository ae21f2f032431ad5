//! Handlers of requests that change something: acknowledge, silence, note, retry.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use tilth_config::nearest;
use tilth_core::alert::AlertId;
use tilth_core::engine::{Engine, Input};
use tilth_core::id::{Id, SensorId};
use tilth_core::plan::AlertKey;
use tilth_core::site::{MAX_SILENCES, Matcher};
use tilth_core::time::Span;
use tilth_notify::notification::Notification;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::caller::MayChange;
use super::handlers::{Answered, Api, Body, InPath};
use super::problem::Problem;
use super::rows::{Acknowledge, AlertRow, Note, Person, RetryRow, Silence, SilenceRow, TestRow};
use super::views;
use crate::cli::LONGEST;
use crate::console::listed;
use crate::decide::DecideRequest;
use crate::{notify, random};

/// Longest wait for what takes its time, a test of a channel, a step of a calibration or a bundle that is compiled and saved: less than a client waits.
pub(super) const LONG_PATIENCE: Duration = Duration::from_secs(12);

/// Longest name, in characters; the rest is cut off.
const MAX_NAME: usize = 80;

/// Longest note, in characters: a page of a notebook.
const MAX_NOTE: usize = 4000;

/// Upper limit of names in a message about one that does not exist.
pub(super) const MAX_NAMED: usize = 12;

/// Acknowledges an alert; answers with the alert as it is then.
pub(super) async fn acknowledge(
    State(api): Api,
    _: MayChange,
    alert: InPath<u64>,
    body: Body<Acknowledge>,
) -> Answered<AlertRow> {
    let (Path(alert), Json(Acknowledge { for_s, by })) = (alert?, body?);
    let (span, by) = (span(for_s)?, name(&by)?);
    let input = Input::Acknowledge { alert: AlertId(alert), span, by };
    let found = api.change_and_query(input, move |engine, context, clock| {
        let mut alerts = views::alerts(engine, context, clock, false).into_iter();
        alerts.find(|row| row.alert == Some(alert)).ok_or_else(|| open_alerts(engine))
    });
    let row = found
        .await?
        .map_err(|open| Problem::not_found(format!("no alert {alert} is open{}", known("alert", &open))))?;
    api.answer(vec![row])
}

pub(super) async fn silence(State(api): Api, _: MayChange, body: Body<Silence>) -> Answered<SilenceRow> {
    let Json(Silence { zone, rule, sensor, everything, for_s, by }) = body?;
    let (of, span, by) = (Matcher { zone, rule, sensor }, span(for_s)?, name(&by)?);
    if everything != (of == Matcher::default()) {
        let expected = "expected zone, rule or sensor, or \"everything\": true to silence the whole farm";
        return Err(Problem::bad_request(format!("which alerts? {expected}")));
    }
    let meant = of.clone();
    api.query(move |engine, _, _| check_matcher(&meant, engine.plan().rules().map(|rule| &rule.key))).await??;
    let silence = api.change(|answer| DecideRequest::Silence { of, span, by, answer }).await?;
    let full = || format!("there are {MAX_SILENCES} silences, as many as there may be; end one first");
    let view = silence.ok_or_else(|| Problem::conflict(full()))?;
    api.answer(vec![views::silence(view, api.clock.uptime())])
}

/// Ends a silence early; answers with the silence as it was.
pub(super) async fn end_silence(State(api): Api, _: MayChange, silence: InPath<u32>) -> Answered<SilenceRow> {
    let Path(silence) = silence?;
    let Some(view) = api.change(|answer| DecideRequest::EndSilence { silence, answer }).await? else {
        let numbers = |engine: &Engine| engine.silences().map(|view| view.number.into()).collect::<Vec<u64>>();
        let there = known("silence", &api.query(move |engine, _, _| numbers(engine)).await?);
        return Err(Problem::not_found(format!("there is no silence {silence}{there}")));
    };
    api.answer(vec![views::silence(view, api.clock.uptime())])
}

pub(super) async fn note(State(api): Api, _: MayChange, body: Body<Note>) -> Answered<()> {
    let Json(Note { text, by }) = body?;
    let (text, by) = (text.trim().to_owned(), name(&by)?);
    match text.chars().count() {
        0 => return Err(Problem::bad_request("an empty note")),
        length if length > MAX_NOTE => {
            let detail = format!("a note of {length} characters; expected at most {MAX_NOTE}");
            return Err(Problem::bad_request(detail));
        }
        _ => {}
    }
    api.change(|answer| DecideRequest::Note { text, by, answer }).await?;
    api.answer(Vec::new())
}

/// Tries a channel; answers once it delivered, or after a while that it still tries.
pub(super) async fn test(
    State(api): Api,
    _: MayChange,
    channel: InPath<String>,
    body: Body<Person>,
) -> Answered<TestRow> {
    let (Path(channel), Json(Person { by })) = (channel?, body?);
    let by = name(&by)?;
    let (at, local) = api.query(|engine, _, _| (engine.now(), engine.plan().local().clone())).await?;
    let channels: Vec<Id> = api.channels().await.into_iter().map(|state| state.channel).collect();
    let Some(channel) = channels.iter().find(|known| known.as_str() == channel).cloned() else {
        let known = listed(channels.iter().map(Id::as_str), MAX_NAMED);
        return Err(Problem::not_found(format!("there is no channel {channel}; channels: {known}")));
    };
    let id = format!("{}-test-{}", api.device, random::command());
    let hangs = || Problem::unavailable("the channels do not answer");
    let notification = Notification::test(id, &channel, &by, at, local).ok_or_else(hangs)?;
    let (answer, answered) = oneshot::channel();
    let test = notify::NotifyRequest::Test(channel.clone(), Box::new(notification), answer);
    api.limits.change(Instant::now())?;
    api.notify.upgrade().and_then(|notify| notify.try_send(test).ok()).ok_or_else(hangs)?;
    match timeout(LONG_PATIENCE, answered).await {
        Ok(Ok(Ok(numbers))) => api.answer(vec![TestRow { channel, delivered: true, numbers }]),
        Ok(Ok(Err(why))) => Err(Problem::conflict(format!("channel {channel}: {why}"))),
        Ok(Err(_)) => Err(hangs()),
        Err(_) => api.answer(vec![TestRow { channel, delivered: false, numbers: Vec::new() }]),
    }
}

/// Tries the bundle that was rejected or reverted last once more.
pub(super) async fn retry(State(api): Api, _: MayChange) -> Answered<RetryRow> {
    let (answer, answered) = oneshot::channel();
    api.limits.change(Instant::now())?;
    let asked = timeout(LONG_PATIENCE, async {
        api.retries.send(answer).await.ok()?;
        answered.await.ok()
    });
    let tried = asked.await.ok().flatten();
    let tried = tried
        .ok_or_else(|| Problem::unavailable("the configuration does not answer; tilth-agent status may say more"))?;
    let bundle = tried.map_err(Problem::conflict)?;
    api.answer(vec![RetryRow { bundle }])
}

/// Zone, rule and sensor of a matcher in words.
pub(crate) fn matcher(of: &Matcher) -> String {
    let parts = [
        of.zone.as_ref().map(|zone| format!("zone {zone}")),
        of.rule.as_ref().map(|rule| format!("rule {rule}")),
        of.sensor.as_ref().map(|sensor| format!("sensor {sensor}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

fn open_alerts(engine: &Engine) -> Vec<u64> {
    let numbers: BTreeSet<AlertId> = engine.alerts().filter_map(|view| view.details.alert).collect();
    numbers.into_iter().map(|AlertId(number)| number).collect()
}

/// The numbers that exist, for a message about one that does not.
fn known(of: &str, numbers: &[u64]) -> String {
    match numbers {
        [] => String::new(),
        [one] => format!("; {of} {one} is"),
        numbers => format!("; {of}s {} are", listed(numbers, MAX_NAMED)),
    }
}

/// Checks that a matcher matches at least one of the rules that have these keys.
///
/// # Errors
/// Which name does not exist, the one that was probably meant, and those that exist.
fn check_matcher<'a>(of: &Matcher, keys: impl Iterator<Item = &'a AlertKey>) -> Result<(), Problem> {
    let keys: Vec<&AlertKey> = keys.collect();
    if keys.iter().any(|key| of.matches(key)) {
        return Ok(());
    }
    let names = |of: fn(&AlertKey) -> &str| keys.iter().map(|key| of(key)).collect::<BTreeSet<&str>>();
    let (zones, rules, sensors) =
        (names(|key| key.zone.as_str()), names(|key| key.rule.as_str()), names(|key| key.sensor.as_str()));
    for (lack, wanted, all, known) in [
        ("no rule watches zone", of.zone.as_ref().map(Id::as_str), "zones with rules", zones),
        ("there is no rule", of.rule.as_ref().map(Id::as_str), "rules", rules),
        ("no rule watches sensor", of.sensor.as_ref().map(SensorId::as_str), "sensors with rules", sensors),
    ] {
        if let Some(wanted) = wanted.filter(|wanted| !known.contains(wanted)) {
            let near = nearest(wanted, known.iter().copied());
            let near = near.map_or(String::new(), |near| format!("did you mean {near}? "));
            return Err(Problem::not_found(format!("{lack} {wanted}; {near}{all}: {}", listed(known, MAX_NAMED))));
        }
    }
    Err(Problem::not_found(format!("no rule matches {}: each of them exists, and not together", matcher(of))))
}

pub(super) fn span(seconds: f64) -> Result<Span, Problem> {
    let span = Span((seconds * 1000.0).round() as i64);
    if span > Span::ZERO && span <= LONGEST {
        return Ok(span);
    }
    let detail = format!("{span} is no time to wait; expected more than nothing and at most {LONGEST}");
    Err(Problem::bad_request(detail))
}

pub(super) fn name(by: &str) -> Result<String, Problem> {
    let name: String = by.trim().chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let unknown = || Problem::bad_request("expected the name of the person: --by NAME");
    if name.is_empty() { Err(unknown()) } else { Ok(name) }
}

#[cfg(test)]
mod tests;
