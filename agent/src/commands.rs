//! The commands that ask the running agent.

mod client;
mod text;

use anyhow::Context;
use hyper::Method;
use serde::de::DeserializeOwned;

use self::client::{Ask, Client, ask, post};
use self::text::{Table, Times};
use crate::api::rows::{
    Acknowledge, AlertRow, Connected, Missed, Note, RetryRow, SensorRow, Silence, SilenceRow, StatusRow,
};
use crate::cli;
use crate::exit::Exit;
use crate::output::{Output, tell};

/// `tilth-agent status`.
pub(crate) fn status(wanted: &cli::Status) -> anyhow::Result<Exit> {
    show(&wanted.agent, ask(Method::GET, "/api/v1/status")?, wanted.json, |rows: &[StatusRow], times, output| {
        rows.iter().flat_map(|row| text::status(row, times)).try_for_each(|line| output.line(line))
    })
}

/// `tilth-agent sensors`.
pub(crate) fn sensors(wanted: &cli::Sensors) -> anyhow::Result<Exit> {
    show(&wanted.agent, ask(Method::GET, "/api/v1/sensors")?, wanted.json, |rows: &[SensorRow], _, output| {
        table(&text::sensors(rows), "no sensor is watched", output)
    })
}

/// `tilth-agent alerts`.
pub(crate) fn alerts(wanted: &cli::Alerts) -> anyhow::Result<Exit> {
    let request = ask(Method::GET, if wanted.all { "/api/v1/alerts?all=true" } else { "/api/v1/alerts" })?;
    show(&wanted.agent, request, wanted.json, |rows: &[AlertRow], times, output| {
        table(&text::alerts(rows, times), "no alert is open", output)
    })
}

/// `tilth-agent ack`.
pub(crate) fn ack(wanted: &cli::Ack) -> anyhow::Result<Exit> {
    let body = Acknowledge { for_s: wanted.span.as_secs_f64(), by: by(wanted.by.as_deref()) };
    let request = post(&format!("/api/v1/alerts/{}/acknowledge", wanted.alert), &body)?;
    show(&wanted.agent, request, wanted.json, |rows: &[AlertRow], times, output| {
        rows.iter().try_for_each(|row| output.line(text::acknowledged(row, wanted.span, times)))
    })
}

/// `tilth-agent silence`.
pub(crate) fn silence(wanted: &cli::Silence) -> anyhow::Result<Exit> {
    if let Some(silence) = wanted.end {
        let request = ask(Method::DELETE, &format!("/api/v1/silences/{silence}"))?;
        return show(&wanted.agent, request, wanted.json, |rows: &[SilenceRow], _, output| {
            rows.iter().try_for_each(|row| output.line(text::silence_ended(row)))
        });
    }
    let Some(span) = wanted.span else {
        return show(
            &wanted.agent,
            ask(Method::GET, "/api/v1/silences")?,
            wanted.json,
            |rows: &[SilenceRow], times, output| table(&text::silences(rows, times), "nothing is silenced", output),
        );
    };
    let (zone, rule, sensor) = (wanted.zone.clone(), wanted.rule.clone(), wanted.sensor.clone());
    if zone.is_none() && rule.is_none() && sensor.is_none() && !wanted.everything {
        tell(
            "tilth-agent: which alerts? Expected --rule RULE, --sensor SENSOR or --zone ZONE, or --everything to silence \
             the whole farm",
        );
        return Ok(Exit::Refused);
    }
    let (for_s, by) = (span.as_secs_f64(), by(wanted.by.as_deref()));
    let request = post("/api/v1/silences", &Silence { zone, rule, sensor, everything: wanted.everything, for_s, by })?;
    show(&wanted.agent, request, wanted.json, |rows: &[SilenceRow], times, output| {
        rows.iter().try_for_each(|row| output.line(text::silenced(row, &wanted.agent, times)))
    })
}

/// `tilth-agent note`.
pub(crate) fn note(wanted: &cli::Note) -> anyhow::Result<Exit> {
    let request = post("/api/v1/notes", &Note { text: wanted.text.clone(), by: by(wanted.by.as_deref()) })?;
    show(&wanted.agent, request, wanted.json, |_: &[serde_json::Value], _, output| output.line("noted"))
}

/// `tilth-agent retry`.
pub(crate) fn retry(wanted: &cli::Retry) -> anyhow::Result<Exit> {
    let request = post("/api/v1/configuration/retry", &())?;
    show(&wanted.agent, request, wanted.json, |rows: &[RetryRow], _, output| {
        rows.iter().try_for_each(|row| output.line(format_args!("bundle {} is in force, on probation", row.bundle)))
    })
}

/// `tilth-agent tail`: each line goes out at once, until the agent ends.
pub(crate) fn tail(wanted: &cli::Tail) -> anyhow::Result<Exit> {
    let request = ask(Method::GET, if wanted.json { "/api/v1/events" } else { "/api/v1/events?text=true" })?;
    let mut events = Client::connect(&wanted.agent)?.watch(request)?;
    let mut output = Output::new();
    loop {
        let event = events.next()?;
        match event.name.as_str() {
            "connected" if !wanted.json => {
                let Connected { device, version, .. } =
                    serde_json::from_str(&event.data).context("the agent's event")?;
                output.line(format_args!("connected to {device} (tilth-agent {version}); Ctrl-C ends"))?;
            }
            "missed" if !wanted.json => {
                let Missed { lines, .. } = serde_json::from_str(&event.data).context("the agent's event")?;
                output.line(format_args!("... {lines} lines were left out: too slow to read them"))?;
            }
            _ => output.line(event.data)?,
        }
        output.flush()?;
    }
}

/// Asks, and prints the rows: as they came, or for people.
fn show<T: DeserializeOwned>(
    agent: &cli::Agent,
    request: Ask,
    json: bool,
    people: impl FnOnce(&[T], &Times, &mut Output) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let is_change = request.method() != Method::GET;
    let answer = Client::connect(agent)?.ask(request)?;
    if let Some(why) = answer.trouble.as_ref().filter(|_| is_change) {
        tell(format_args!("tilth-agent: this ends with a restart as long as nothing can be written: {why}"));
    }
    let mut output = Output::new();
    if json {
        answer.rows.iter().try_for_each(|row| output.line(row.get()))?;
    } else {
        let rows: Result<Vec<T>, _> = answer.rows.iter().map(|row| serde_json::from_str(row.get())).collect();
        people(&rows.context("the agent's answer")?, &Times::of(&answer), &mut output)?;
    }
    output.flush()?;
    Ok(Exit::Done)
}

fn table(table: &Table, none: &str, output: &mut Output) -> anyhow::Result<()> {
    if table.is_empty() {
        return output.line(none);
    }
    table.lines().try_for_each(|line| output.line(line))
}

/// Who does it, where nobody says so.
fn by(named: Option<&str>) -> String {
    named.map_or_else(|| std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()), str::to_owned)
}
