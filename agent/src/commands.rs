//! Commands that ask the running agent.

mod client;
mod diag;
mod doctor;
mod enroll;
mod export;
mod flash;
mod init;
mod listen;
mod port;
pub(crate) mod stored;
mod text;
mod update;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;
use hyper::Method;
use serde::de::DeserializeOwned;
use tilth_config::bundle::TrustedKey;
use tilth_config::plain_file;
use tilth_core::time::Span;

pub(crate) use self::diag::diag;
pub(crate) use self::doctor::doctor;
pub(crate) use self::enroll::enroll;
pub(crate) use self::export::export;
pub(crate) use self::flash::flash;
pub(crate) use self::init::init;
pub(crate) use self::listen::listen;
pub(crate) use self::update::update;

use self::client::{ApiRequest, Client, post, request};
use self::text::Times;
use crate::api::rows::{
    Acknowledge, Actuate, ActuatorRow, AlertRow, Calibrate, CalibrationRow, Hold, HoldRow, Note, Person, RetryRow,
    Silence, SilenceRow, StatusRow, TestRow,
};
use crate::cli;
use crate::console::{Console, tell};
use crate::exit::{Exit, Refused};

/// Largest file of a public key, in bytes.
const MAX_KEY: u64 = 4096;

pub(crate) fn status(agent: &cli::AgentOptions) -> anyhow::Result<Exit> {
    print(agent, request(Method::GET, "/api/v1/status")?, |row: &StatusRow, times| text::status(row, times))
}

pub(crate) fn sensors(agent: &cli::AgentOptions) -> anyhow::Result<Exit> {
    let request = request(Method::GET, "/api/v1/sensors")?;
    print_table(agent, request, "no sensor is watched", |rows, _| text::sensors(rows))
}

/// `tilth-agent history`: what a sensor measured.
pub(crate) fn history(wanted: &cli::History) -> anyhow::Result<Exit> {
    let cli::Period { since, until } = &wanted.period;
    let until = until.as_deref().map_or(String::new(), |until| format!("&until={}", in_address(until)));
    let path =
        format!("/api/v1/history?sensor={}&since={}{until}", in_address(wanted.sensor.as_str()), in_address(since));
    let lines = if wanted.table { text::history::table } else { text::history::chart };
    let none = format!("{} has no history in this time", wanted.sensor);
    print_table(&wanted.agent, request(Method::GET, &path)?, &none, lines)
}

pub(crate) fn notes(wanted: &cli::Notes) -> anyhow::Result<Exit> {
    let request = request(Method::GET, &format!("/api/v1/notes?since={}", in_address(&wanted.since)))?;
    print_table(&wanted.agent, request, "no note in this time", text::history::notes)
}

pub(crate) fn alerts(wanted: &cli::Alerts) -> anyhow::Result<Exit> {
    if let Some(since) = &wanted.since {
        let request = request(Method::GET, &format!("/api/v1/alerts/past?since={}", in_address(since)))?;
        return print_table(&wanted.agent, request, "no alert in this time", text::history::alerts);
    }
    let path = if wanted.all { "/api/v1/alerts?all=true" } else { "/api/v1/alerts" };
    print_table(&wanted.agent, request(Method::GET, path)?, "no alert is open", text::alerts)
}

pub(crate) fn ack(wanted: &cli::Ack) -> anyhow::Result<Exit> {
    let body = Acknowledge { for_s: wanted.span.as_secs_f64(), by: wanted.change.by.clone() };
    let request = post(&format!("/api/v1/alerts/{}/acknowledge", wanted.alert), &body)?;
    print(&wanted.change.agent, request, |row: &AlertRow, times| [text::acknowledged(row, wanted.span, times)])
}

/// `tilth-agent silence`: begins a silence, ends one, or lists them.
pub(crate) fn silence(wanted: &cli::Silence) -> anyhow::Result<Exit> {
    let agent = &wanted.change.agent;
    if let Some(silence) = wanted.end {
        let request = request(Method::DELETE, &format!("/api/v1/silences/{silence}"))?;
        return print(agent, request, |row: &SilenceRow, _| [text::silence_ended(row)]);
    }
    let Some(span) = wanted.span else {
        return print_table(agent, request(Method::GET, "/api/v1/silences")?, "nothing is silenced", text::silences);
    };
    let (zone, rule, sensor) = (wanted.zone.clone(), wanted.rule.clone(), wanted.sensor.clone());
    if zone.is_none() && rule.is_none() && sensor.is_none() && !wanted.everything {
        let expected = "--rule RULE, --sensor SENSOR or --zone ZONE, or --everything to silence the whole farm";
        return Err(Refused(format!("which alerts? Expected {expected}")).into());
    }
    let (everything, for_s, by) = (wanted.everything, span.as_secs_f64(), wanted.change.by.clone());
    let request = post("/api/v1/silences", &Silence { zone, rule, sensor, everything, for_s, by })?;
    print(agent, request, |row: &SilenceRow, times| [text::silenced(row, &agent.address, times)])
}

/// `tilth-agent actuators`: what they do, or what they did.
pub(crate) fn actuators(wanted: &cli::Actuators) -> anyhow::Result<Exit> {
    let cli::Actuators { agent, actuator, since } = wanted;
    if actuator.is_none() && since.is_none() {
        let request = request(Method::GET, "/api/v1/actuators")?;
        return print_table(agent, request, "no actuator is configured", |rows, _| text::actuators::table(rows));
    }
    let since = in_address(since.as_deref().unwrap_or("24h"));
    let of = actuator.as_ref().map_or(String::new(), |actuator| format!("&actuator={actuator}"));
    let request = request(Method::GET, &format!("/api/v1/actuators/past?since={since}{of}"))?;
    print_table(agent, request, "nothing was switched in this time", text::actuators::past)
}

pub(crate) fn actuate(wanted: &cli::Actuate) -> anyhow::Result<Exit> {
    let (on, for_s) = (wanted.switch == cli::OnOff::On, wanted.span.map(Span::as_secs_f64));
    let body = Actuate { on, for_s, by: wanted.change.by.clone(), command: None };
    let request = post(&format!("/api/v1/actuators/{}/switch", wanted.actuator), &body)?;
    print(&wanted.change.agent, request, |row: &ActuatorRow, _| [text::actuators::switched(row)])
}

/// `tilth-agent hold`: begins a hold, ends one, or lists them.
pub(crate) fn hold(wanted: &cli::Hold) -> anyhow::Result<Exit> {
    let agent = &wanted.change.agent;
    let Some(zone) = &wanted.zone else {
        let request = request(Method::GET, "/api/v1/holds")?;
        return print_table(agent, request, "no zone is on hold", text::actuators::holds);
    };
    if wanted.end {
        let request = request(Method::DELETE, &format!("/api/v1/holds/{zone}?by={}", in_address(&wanted.change.by)))?;
        return print(agent, request, |row: &HoldRow, _| [text::actuators::ended(row)]);
    }
    let (for_s, by) = (wanted.span.map(Span::as_secs_f64), wanted.change.by.clone());
    let request = post("/api/v1/holds", &Hold { zone: zone.clone(), for_s, by })?;
    print(agent, request, |row: &HoldRow, times| [text::actuators::held(row, &agent.address, times)])
}

/// A text as a part of an address: bytes that have a meaning there in hex.
fn in_address(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

pub(crate) fn calibrate(wanted: &cli::Calibrate) -> anyhow::Result<Exit> {
    let (sensor, by) = (wanted.sensor.clone(), wanted.change.by.clone());
    let request = post("/api/v1/calibrations", &Calibrate { sensor, step: wanted.step, value: wanted.value, by })?;
    print(&wanted.change.agent, request, |row: &CalibrationRow, _| [text::calibrated(row)])
}

pub(crate) fn notify_test(wanted: &cli::NotifyTest) -> anyhow::Result<Exit> {
    let body = Person { by: wanted.change.by.clone() };
    let request = post(&format!("/api/v1/channels/{}/test", wanted.channel), &body)?;
    print(&wanted.change.agent, request, |TestRow { channel, delivered, numbers }: &TestRow, _| {
        let said = match delivered {
            true => format!("channel {channel} delivered the test"),
            false => format!("channel {channel} still tries; tilth-agent status shows what becomes of it"),
        };
        std::iter::once(said).chain(numbers.iter().map(|number| format!("  {number}"))).collect::<Vec<String>>()
    })
}

pub(crate) fn note(wanted: &cli::Note) -> anyhow::Result<Exit> {
    let request = post("/api/v1/notes", &Note { text: wanted.text.clone(), by: wanted.change.by.clone() })?;
    show(&wanted.change.agent, request, |_: &[serde_json::Value], _, console| console.line("noted"))
}

pub(crate) fn retry(agent: &cli::AgentOptions) -> anyhow::Result<Exit> {
    let request = post("/api/v1/configuration/retry", &())?;
    print(agent, request, |row: &RetryRow, _| [format!("bundle {} is running, on probation", row.bundle)])
}

/// `tilth-agent tail`: prints each line at once, until the agent ends.
pub(crate) fn tail(agent: &cli::AgentOptions) -> anyhow::Result<Exit> {
    let request = request(Method::GET, if agent.json { "/api/v1/events" } else { "/api/v1/events?text=true" })?;
    let mut events = Client::connect(&agent.address)?.watch(request)?;
    let mut console = Console::new();
    loop {
        let (name, data) = events.next()?;
        let hint = if name == "connected" && !agent.json { "; Ctrl-C ends" } else { "" };
        console.line(format_args!("{data}{hint}"))?;
        console.flush()?;
    }
}

/// The public key in a file, by which what is released must be signed.
fn trusted_key(path: &Path) -> anyhow::Result<TrustedKey> {
    let text = plain_file::read_text(path, MAX_KEY).map_err(anyhow::Error::from);
    let key = text.and_then(|text| Ok(TrustedKey::parse(&text)?));
    key.with_context(|| format!("the trusted key: {}", path.display()))
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Sends a request and prints lines for each row of the answer.
fn print<T: DeserializeOwned, L: IntoIterator<Item = String>>(
    agent: &cli::AgentOptions,
    request: ApiRequest,
    text: impl Fn(&T, &Times) -> L,
) -> anyhow::Result<Exit> {
    show(agent, request, |rows: &[T], times, console| {
        rows.iter().flat_map(|row| text(row, times)).try_for_each(|line| console.line(line))
    })
}

/// Sends a request and prints the answer as a table, or `none` where there is no row.
fn print_table<T: DeserializeOwned>(
    agent: &cli::AgentOptions,
    request: ApiRequest,
    none: &str,
    table: impl FnOnce(&[T], &Times) -> Vec<String>,
) -> anyhow::Result<Exit> {
    show(agent, request, |rows: &[T], times, console| {
        if rows.is_empty() {
            return console.line(none);
        }
        table(rows, times).iter().try_for_each(|line| console.line(line))
    })
}

/// Sends a request and prints the rows of the answer: as they came, or for people.
fn show<T: DeserializeOwned>(
    agent: &cli::AgentOptions,
    request: ApiRequest,
    people: impl FnOnce(&[T], &Times, &mut Console) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let is_change = request.method() != Method::GET;
    let answer = Client::connect(&agent.address)?.send(request)?;
    if let Some(why) = answer.trouble.as_ref().filter(|_| is_change) {
        tell(format_args!("tilth-agent: this ends with a restart as long as nothing can be written: {why}"));
    }
    let mut console = Console::new();
    if agent.json {
        answer.rows.iter().try_for_each(|row| console.line(row.get()))?;
    } else {
        let rows: Result<Vec<T>, _> =
            answer.rows.iter().map(|row| serde_json::from_slice(row.get().as_bytes())).collect();
        people(&rows.context("the agent's answer")?, &Times::of(&answer), &mut console)?;
    }
    console.flush()?;
    Ok(Exit::Done)
}
