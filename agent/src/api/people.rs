//! What people do: take an alert on, silence some, write something down.

use std::collections::BTreeSet;
use std::fmt::Display;

use axum::http::StatusCode;
use tilth_config::nearest;
use tilth_core::alert::AlertId;
use tilth_core::engine::Engine;
use tilth_core::id::{Id, SensorId};
use tilth_core::plan::AlertKey;
use tilth_core::site::{MAX_SILENCES, Matcher};
use tilth_core::time::Span;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::problem::Problem;
use super::rows::{Acknowledge, AlertRow, Note, RetryRow, Silence, SilenceRow};
use super::state::{ApiState, PATIENCE};
use super::views;
use crate::cli::LONGEST;
use crate::clock::Clock;
use crate::decide::{Command, EngineContext};

/// As much of a name is kept.
const MAX_NAME: usize = 80;

/// As much of a note is kept: a page of a notebook.
const MAX_NOTE: usize = 4000;

/// Upper limit of names in a message about one that does not exist.
const MAX_NAMED: usize = 12;

impl ApiState {
    /// Somebody takes an alert on; gives it as it is then.
    pub(super) async fn acknowledge(&self, alert: u64, wanted: &Acknowledge) -> Result<AlertRow, Problem> {
        let (span, by) = (span(wanted.for_s)?, name(&wanted.by)?);
        self.change(|answer| Command::Acknowledge { alert: AlertId(alert), span, by, answer }).await?;
        let look = move |engine: &Engine, context: &EngineContext<'_>, clock: &Clock| {
            views::alert_of(engine, context, clock, alert).ok_or_else(|| open_alerts(engine))
        };
        self.look(look)
            .await?
            .map_err(|open| Problem::not_found(format!("no alert {alert} is open{}", known("alert", &open))))
    }

    /// Somebody silences alerts; gives the silence.
    pub(super) async fn silence(&self, wanted: Silence) -> Result<SilenceRow, Problem> {
        let Silence { zone, rule, sensor, everything, for_s, by } = wanted;
        let (of, span, by) = (Matcher { zone, rule, sensor }, span(for_s)?, name(&by)?);
        if everything != (of == Matcher::default()) {
            let expected = "expected zone, rule or sensor, or \"everything\": true to silence the whole farm";
            return Err(Problem::bad_request(format!("which alerts? {expected}")));
        }
        let meant = of.clone();
        self.look(move |engine, _, _| check_rules(&meant, engine)).await??;
        let silence = self.change(|answer| Command::Silence { of, span, by, answer }).await?;
        silence.map(|view| views::silence(view, self.clock.uptime())).ok_or_else(|| {
            let detail = format!("there are {MAX_SILENCES} silences, as many as there may be; end one first");
            Problem::new(StatusCode::CONFLICT, detail)
        })
    }

    /// Somebody ends a silence early; gives it as it was.
    pub(super) async fn end_silence(&self, silence: u32) -> Result<SilenceRow, Problem> {
        let ended = self.change(|answer| Command::EndSilence { silence, answer }).await?;
        if let Some(view) = ended {
            return Ok(views::silence(view, self.clock.uptime()));
        }
        let there = self.look(|engine, _, _| engine.silences().map(|view| view.number.into()).collect::<Vec<u64>>());
        let there = known("silence", &there.await?);
        Err(Problem::not_found(format!("there is no silence {silence}{there}")))
    }

    /// Somebody wants the bundle that was rejected or reverted last tried once more.
    pub(super) async fn retry(&self) -> Result<RetryRow, Problem> {
        let silent = || Problem::unavailable("the configuration does not answer; tilth-agent status may say more");
        let (answer, answered) = oneshot::channel();
        let asked = timeout(PATIENCE, async {
            self.retries.send(answer).await.ok()?;
            answered.await.ok()
        });
        let tried = asked.await.ok().flatten().ok_or_else(silent)?;
        let bundle = tried.map_err(|why| Problem::new(StatusCode::CONFLICT, why))?;
        Ok(RetryRow { bundle })
    }

    /// Somebody writes something down.
    pub(super) async fn note(&self, wanted: &Note) -> Result<(), Problem> {
        let (text, by) = (wanted.text.trim().to_owned(), name(&wanted.by)?);
        let length = text.chars().count();
        if text.is_empty() {
            return Err(Problem::bad_request("an empty note"));
        }
        if length > MAX_NOTE {
            let detail = format!("a note of {length} characters; expected at most {MAX_NOTE}");
            return Err(Problem::bad_request(detail));
        }
        self.change(|answer| Command::Note { text, by, answer }).await
    }
}

/// What a matcher names, in the words of the command.
pub(crate) fn matcher(of: &Matcher) -> String {
    let parts = [
        of.zone.as_ref().map(|zone| format!("zone {zone}")),
        of.rule.as_ref().map(|rule| format!("rule {rule}")),
        of.sensor.as_ref().map(|sensor| format!("sensor {sensor}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

/// Numbers of the alerts that are open, in ascending order.
fn open_alerts(engine: &Engine) -> Vec<u64> {
    let numbers: BTreeSet<AlertId> = engine.alerts().filter_map(|view| view.report.alert).collect();
    numbers.into_iter().map(|AlertId(number)| number).collect()
}

/// The numbers that exist, for a message about one that does not.
fn known(of: &str, numbers: &[u64]) -> String {
    match numbers {
        [] => String::new(),
        [one] => format!("; {of} {one} is"),
        numbers => format!("; {of}s {} are", listed(numbers)),
    }
}

/// The first [`MAX_NAMED`] of these, and how many more there are.
fn listed(names: impl IntoIterator<Item = impl Display>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(MAX_NAMED).map(|name| name.to_string()).collect();
    let more = match names.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

fn check_rules(of: &Matcher, engine: &Engine) -> Result<(), Problem> {
    let keys: Vec<&AlertKey> = engine.plan().rules().map(|rule| &rule.key).collect();
    check_matcher(of, &keys)
}

/// Whether any rule is meant, of the rules that have these keys.
///
/// # Errors
/// Which name does not exist, the one that was probably meant, and those that exist.
fn check_matcher(of: &Matcher, keys: &[&AlertKey]) -> Result<(), Problem> {
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
            return Err(Problem::not_found(format!("{lack} {wanted}; {near}{all}: {}", listed(&known))));
        }
    }
    Err(Problem::not_found(format!("no rule matches {}: each of them exists, and not together", matcher(of))))
}

fn span(seconds: f64) -> Result<Span, Problem> {
    let span = Span((seconds * 1000.0).round() as i64);
    if span > Span::ZERO && span <= LONGEST {
        return Ok(span);
    }
    let detail = format!("{span} is no time to wait; expected more than nothing and at most {LONGEST}");
    Err(Problem::bad_request(detail))
}

/// A name on one line.
fn name(by: &str) -> Result<String, Problem> {
    let name: String = by.trim().chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let unknown = || Problem::bad_request("nobody says who does this; expected --by NAME");
    if name.is_empty() { Err(unknown()) } else { Ok(name) }
}

#[cfg(test)]
mod tests;
