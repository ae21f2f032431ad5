//! What people read: a line for each thing that happens, with the demo's time of day.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Deserialize;
use tilth_tests::demo::room::{Happening, Readings};

use crate::time::{hour, read_any};

/// Says a line. Where nobody reads it any more, the demo has nobody to show anything to.
pub(crate) fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Says what happened, when, and where.
pub(crate) fn tell(at: Timestamp, place: &str, what: &str) -> io::Result<()> {
    say(&format!("{}  {place:<5}  {what}", hour(at)))
}

/// A line of `tilth-agent tail --json`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Transition {
    #[serde(default, deserialize_with = "read_any")]
    pub(crate) at: Option<Timestamp>,
    pub(crate) event: String,
    pub(crate) rule: Option<String>,
    sensor: Option<String>,
    severity: Option<String>,
    pub(crate) alert: Option<u64>,
    #[serde(default)]
    message: String,
    reason: Option<String>,
    by: Option<String>,
    #[serde(default, deserialize_with = "read_any")]
    until: Option<Timestamp>,
    page: Option<String>,
    #[serde(default)]
    channels: Vec<String>,
}

impl Transition {
    /// In a sentence; none for what nobody needs to follow.
    pub(crate) fn sentence(&self) -> Option<String> {
        let Transition { message, .. } = self;
        let name = self.alert.map_or("an alert".to_owned(), |number| format!("alert {number}"));
        let severity = self.severity.as_deref().unwrap_or("-");
        Some(match self.event.as_str() {
            "pending" => format!("{message}. If that lasts, it is an alert."),
            "firing" => format!("ALERT: {message}. This is {name}, {severity}."),
            "escalated" => {
                format!("ESCALATED: nobody acknowledged {name} in time, so it is {severity} now. {message}.")
            }
            "acknowledged" => {
                let until = self.until.map_or(String::new(), |until| format!(" until {}", hour(until)));
                format!("{} takes on {name}: nobody is paged{until}.", self.by.as_deref().unwrap_or("somebody"))
            }
            "resolved" => {
                let (rule, sensor) = (self.rule.as_deref().unwrap_or("-"), self.sensor.as_deref().unwrap_or("-"));
                format!("RESOLVED: {name} ({rule} of {sensor}) is over: {}.", self.reason.as_deref().unwrap_or("-"))
            }
            "notify" => {
                let to = if self.channels.is_empty() { "nobody".to_owned() } else { self.channels.join(", ") };
                format!("Page {} of {name} goes to: {to}.", self.page.as_deref().unwrap_or("-"))
            }
            "fault" | "recovered" => format!("{message}."),
            _ => return None,
        })
    }
}

/// What somebody in the room would say.
pub(crate) fn of_room(happening: Happening) -> &'static str {
    match happening {
        Happening::LampsOn => "The lamps come on.",
        Happening::LampsOff => "The lamps go off for the night.",
        Happening::PumpOn => "The circulation pump starts: water rises into the pipes, the tank falls.",
        Happening::PumpOff => "The circulation pump rests.",
        Happening::AcidDosed => "The doser gives acid: the pH will fall.",
        Happening::AcidEmpty => "The acid canister is empty. Nothing holds the pH down any more.",
        Happening::AcidRefilled => "Somebody puts a full acid canister in its place.",
        Happening::FeedDosed => "The plants have drunk the EC down, so the doser gives feed.",
        Happening::WaterIn => "The tank is low: fresh water runs in.",
        Happening::Sticks => "The humidity sensor sticks: from now on it says the same, whatever the air does.",
        Happening::MovesAgain => "The humidity sensor moves again.",
        Happening::FallsSilent => "The air board falls silent: somebody kicked its plug out.",
        Happening::SpeaksAgain => "The air board has its plug back and speaks again.",
    }
}

/// What stands on the displays.
pub(crate) fn of_displays(readings: &Readings) -> String {
    let t = readings.tank;
    let air = readings.air.map_or("nothing from the air".to_owned(), |a| {
        format!("air {:.1} C, {:.0} %, {:.0} lux", a.temperature, a.humidity, a.light)
    });
    format!(
        "pH {:.2}, EC {:.2} mS/cm, water {:.1} C and {:.1} cm, flow {:.1} L/min; {air}.",
        t.ph, t.ec, t.temperature, t.level, t.flow
    )
}
