//! A configuration drafted from what a line or a board says: a bus for `agent.toml`, sensors for `config.d`. Pure.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use tilth_core::id::{Id, SensorId};
use tilth_core::quantity::Quantity;

use super::guess;
use crate::sense::board::Identity;
use crate::sense::line::survey::Survey;

/// Longest name of a sensor within its zone.
const MAX_NAME: usize = 40;

/// Fewer values say nothing of how often they come.
const VALUES_FOR_INTERVAL: u32 = 3;

/// A bus and its sensors, as they may be written into files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Draft {
    pub(super) bus: Id,
    /// `line` or `board`.
    pub(super) kind: &'static str,
    pub(super) port: String,
    /// Bits a second; none over TCP.
    pub(super) baud: Option<u32>,
    /// Names of columns to be given, for lines of bare numbers.
    pub(super) columns: Vec<String>,
    #[serde(skip)]
    pub(super) sensors: Vec<DraftSensor>,
}

/// A sensor, as far as what came says what it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct DraftSensor {
    pub(super) sensor: SensorId,
    /// None where a person must say what it measures.
    pub(super) quantity: Option<Quantity>,
    pub(super) input: String,
    pub(super) unit: Option<&'static str>,
    /// The newest value, in the unit of the quantity.
    pub(super) value: Option<f64>,
    pub(super) interval_s: Option<u64>,
}

impl Draft {
    /// Draft of lines of text. A line of bare numbers has sensors only once its columns are named.
    pub(super) fn of_lines(
        bus: Id,
        zone: &Id,
        port: String,
        baud: Option<u32>,
        columns: Vec<String>,
        survey: &Survey,
    ) -> Draft {
        let (ranges, mut taken) = (guess::ranges(), BTreeSet::new());
        let sensors = survey.values.iter().filter_map(|found| {
            let guess = guess::guess(found, &ranges);
            let value = guess.map(|guess| guess.value).or(found.readable.last().map(|(_, value)| *value));
            let selected: String = found.name.selectors.iter().map(|(_, text)| format!(" {text}")).collect();
            Some(DraftSensor {
                sensor: name(zone, &format!("{}{selected}", found.name.label), &mut taken)?,
                quantity: guess.map(|guess| guess.quantity),
                input: format!("line:{bus}/{}", found.name),
                unit: guess.and_then(|guess| guess.unit),
                value,
                interval_s: interval(found.count, found.span),
            })
        });
        let sensors = sensors.collect();
        Draft { bus, kind: "line", port, baud, columns, sensors }
    }

    /// Draft of a board with Tilth's firmware: its channels.
    pub(super) fn of_board(bus: Id, zone: &Id, port: String, board: &Identity) -> Draft {
        let mut taken = BTreeSet::new();
        let sensors = board.channels().enumerate().filter_map(|(number, channel)| {
            let (kind, quantity) = channel?;
            Some(DraftSensor {
                sensor: name(zone, &format!("{kind} {number}"), &mut taken)?,
                quantity,
                input: format!("board:{bus}/{number}"),
                unit: None,
                value: None,
                interval_s: None,
            })
        });
        let sensors = sensors.collect();
        Draft { bus, kind: "board", port, baud: None, columns: Vec::new(), sensors }
    }

    /// Lines for `agent.toml`.
    pub(super) fn agent_toml(&self) -> String {
        let mut text = format!("[bus.{}]\nkind = \"{}\"\nport = {}\n", self.bus, self.kind, quoted(&self.port));
        if let Some(baud) = self.baud {
            let _ = writeln!(text, "baud = {baud}");
        }
        if !self.columns.is_empty() {
            let names: Vec<String> = self.columns.iter().map(|name| quoted(name)).collect();
            let _ = writeln!(text, "columns = [{}]   # name them as the sketch means them", names.join(", "));
        }
        text
    }

    /// A file for `config.d`. What a person must say first is commented out.
    pub(super) fn config_d(&self) -> String {
        let mut text = String::new();
        for DraftSensor { sensor, quantity, input, unit, value, interval_s } in &self.sensors {
            let off = if quantity.is_some() { "" } else { "# " };
            let mut line = |line: String| {
                let _ = writeln!(text, "{off}{line}");
            };
            line(format!("[sensors.\"{sensor}\"]"));
            let said = value.map_or(String::new(), |value| match quantity.map(Quantity::unit) {
                None | Some("") => format!("   # {value} now"),
                Some(unit) => format!("   # {value} {unit} now"),
            });
            match quantity {
                Some(quantity) => line(format!("quantity = \"{quantity}\"{said}")),
                None => line(format!(
                    "quantity = \"\"{said}; what is it? see /usr/share/doc/tilth-agent/configuration.md, quantities"
                )),
            }
            line(format!("input = {}", quoted(input)));
            if let Some(unit) = unit {
                line(format!("unit = \"{unit}\"   # the lines say none; check this"));
            }
            if let Some(interval) = interval_s {
                line(format!("interval = \"{interval}s\""));
            }
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// How often a value comes, in whole seconds, upwards.
fn interval(count: u32, span: Duration) -> Option<u64> {
    (count >= VALUES_FOR_INTERVAL).then(|| (span / (count - 1)).as_secs_f64().ceil().max(1.0) as u64)
}

/// A name for a sensor by its label, in the form of an id and another than those taken.
fn name(zone: &Id, label: &str, taken: &mut BTreeSet<String>) -> Option<SensorId> {
    let plain: String =
        label.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    let words = plain.split_whitespace().collect::<Vec<_>>().join("-");
    let words = if words.is_empty() { "value" } else { &words };
    let is_free = |name: &String| !taken.contains(name);
    let name = (1..).map(|number| match number {
        1 => words.chars().take(MAX_NAME).collect(),
        number => format!("{}-{number}", words.chars().take(MAX_NAME - 4).collect::<String>()),
    });
    let name = name.take(1000).find(is_free)?;
    let sensor = SensorId::new(&format!("{zone}/{name}")).ok();
    taken.insert(name);
    sensor
}

/// A text as a TOML string: the escapes of JSON are escapes of TOML as well.
pub(in crate::commands) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
