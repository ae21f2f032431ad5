//! The commands that ask the running agent.

mod client;
mod text;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tilth_core::site::Matcher;

use self::client::{Answers, ask};
use self::text::Table;
use self::text::times::{Timed, Times};
use crate::api::rows::{AlertRow, Answer, Missed, Request, SensorRow, SilenceRow, StatusRow};
use crate::api::socket;
use crate::cli;
use crate::exit::Exit;
use crate::output::{Output, tell};

/// `tilth-agent status`.
pub(crate) fn status(wanted: &cli::Status) -> anyhow::Result<Exit> {
    show(&wanted.agent, &Request::Status, wanted.json, |rows: &[StatusRow], output| {
        rows.iter().flat_map(text::status).try_for_each(|line| output.line(line))
    })
}

/// `tilth-agent sensors`.
pub(crate) fn sensors(wanted: &cli::Sensors) -> anyhow::Result<Exit> {
    show(&wanted.agent, &Request::Sensors, wanted.json, |rows: &[SensorRow], output| {
        table(&text::sensors(rows), "no sensor is watched", output)
    })
}

/// `tilth-agent alerts`.
pub(crate) fn alerts(wanted: &cli::Alerts) -> anyhow::Result<Exit> {
    let request = Request::Alerts { all: wanted.all };
    show(&wanted.agent, &request, wanted.json, |rows: &[AlertRow], output| {
        table(&text::alerts(rows), "no alert is open", output)
    })
}

/// `tilth-agent ack`.
pub(crate) fn ack(wanted: &cli::Ack) -> anyhow::Result<Exit> {
    let request = Request::Acknowledge { alert: wanted.alert, span: wanted.span, by: by(wanted.by.as_deref()) };
    show(&wanted.agent, &request, wanted.json, |rows: &[AlertRow], output| {
        rows.iter().try_for_each(|row| output.line(text::acknowledged(row, wanted.span)))
    })
}

/// `tilth-agent silence`.
pub(crate) fn silence(wanted: &cli::Silence) -> anyhow::Result<Exit> {
    let by = by(wanted.by.as_deref());
    let request = match (wanted.end, wanted.span) {
        (Some(silence), _) => Request::EndSilence { silence },
        (None, Some(span)) => {
            let (zone, rule, sensor) = (wanted.zone.clone(), wanted.rule.clone(), wanted.sensor.clone());
            let of = Matcher { zone, rule, sensor };
            if of == Matcher::default() && !wanted.everything {
                tell(
                    "tilth-agent: which alerts? Expected --rule RULE, --sensor SENSOR or --zone ZONE, or --everything to silence \
                     the whole farm",
                );
                return Ok(Exit::Refused);
            }
            Request::Silence { of, span, by }
        }
        (None, None) => Request::Silences,
    };
    show(&wanted.agent, &request, wanted.json, |rows: &[SilenceRow], output| match &request {
        Request::Silences => table(&text::silences(rows), "nothing is silenced", output),
        Request::EndSilence { .. } => rows.iter().try_for_each(|row| output.line(text::silence_ended(row))),
        _ => rows.iter().try_for_each(|row| output.line(text::silenced(row, &wanted.agent))),
    })
}

/// `tilth-agent note`.
pub(crate) fn note(wanted: &cli::Note) -> anyhow::Result<Exit> {
    let request = Request::Note { text: wanted.text.clone(), by: by(wanted.by.as_deref()) };
    show(&wanted.agent, &request, wanted.json, |_: &[serde_json::Value], output| output.line("noted"))
}

/// `tilth-agent tail`: each line goes out at once.
pub(crate) fn tail(wanted: &cli::Tail) -> anyhow::Result<Exit> {
    let mut answers = connect(&wanted.agent, &Request::Tail { text: !wanted.json })?;
    let mut output = Output::new();
    while let Some(answer) = answers.next()? {
        match answer {
            Answer::Row(row) => output.line(row.get())?,
            Answer::Text(text) => output.line(text)?,
            Answer::Missed(lines) if wanted.json => {
                output.json(&Missed { event: "missed".to_owned(), lines })?;
            }
            Answer::Missed(lines) => {
                output.line(format_args!("... {lines} lines were left out: too slow to read them"))?;
            }
            Answer::Done(_) | Answer::Failed(_) => {}
        }
        output.flush()?;
    }
    Ok(Exit::Done)
}

/// Asks, and prints the rows: as they came, or for people.
fn show<T: DeserializeOwned + Serialize + Timed>(
    agent: &cli::Agent,
    request: &Request,
    json: bool,
    people: impl FnOnce(&[T], &mut Output) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let mut answers = connect(agent, request)?;
    let (mut output, mut rows) = (Output::new(), Vec::new());
    while let Some(answer) = answers.next()? {
        match answer {
            Answer::Row(row) if json => output.line(row.get())?,
            Answer::Row(row) => rows.push(serde_json::from_str(row.get()).context("the agent's answer")?),
            _ => {}
        }
    }
    if let Some(why) = answers.asked_at.trouble.as_ref().filter(|_| request.is_change()) {
        tell(format_args!("tilth-agent: this ends with a restart as long as nothing can be written: {why}"));
    }
    if !json {
        let times = Times::of(&answers.asked_at);
        rows.iter_mut().for_each(|row: &mut T| row.each_time(&mut |time, form| times.show(time, form)));
        people(&rows, &mut output)?;
    }
    output.flush()?;
    Ok(Exit::Done)
}

fn connect(agent: &cli::Agent, request: &Request) -> anyhow::Result<Answers> {
    ask(&socket::of(agent.socket.as_deref(), &agent.data), agent.elsewhere(), request)
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
