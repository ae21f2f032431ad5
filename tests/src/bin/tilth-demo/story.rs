//! What people read: a line for each thing that happens, with the time of day at the farm.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Deserialize;
use tilth_tests::demo::room::Readings;

use crate::farm::Farm;
use crate::hub::Hub;
use crate::time::{FACTOR, Place, read_any};

/// Says a line. Once its reader is gone, the demo has no one to show anything to.
pub(crate) fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// A line of `tilth-agent tail --json`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Transition {
    #[serde(default, deserialize_with = "read_any")]
    pub(crate) at: Option<Timestamp>,
    pub(crate) event: String,
    pub(crate) rule: Option<String>,
    pub(crate) severity: Option<String>,
    pub(crate) alert: Option<u64>,
    #[serde(default)]
    message: String,
    by: Option<String>,
    #[serde(default, deserialize_with = "read_any")]
    until: Option<Timestamp>,
    #[serde(default)]
    channels: Vec<String>,
}

impl Transition {
    /// In a sentence; none for a step of no interest to the viewer.
    pub(crate) fn sentence(&self, place: &Place) -> Option<String> {
        let Transition { message, .. } = self;
        let name = self.alert.map_or("an alert".to_owned(), |number| format!("alert {number}"));
        let severity = self.severity.as_deref().unwrap_or("-");
        Some(match self.event.as_str() {
            "firing" => format!("ALERT {}, {severity}: {message}.", self.alert.unwrap_or_default()),
            "escalated" => format!("ESCALATED to {severity}: nobody has taken {name}. {message}."),
            "acknowledged" => {
                let until = self.until.map_or(String::new(), |until| format!(" until {}", place.hour(until)));
                format!("{} has taken {name}: siren and pages stop{until}.", self.by.as_deref().unwrap_or("somebody"))
            }
            "resolved" => format!("RESOLVED: {name} is over. {message}."),
            "notify" => format!("Notifies: {}.", self.channels.join(", ")),
            "fault" | "recovered" => format!("{message}."),
            _ => return None,
        })
    }
}

/// What the sensors of the room show.
pub(crate) fn of_readings(readings: &Readings) -> String {
    let Readings { ph, ec, water, air, humidity } = readings;
    format!("pH {ph:.2}, EC {ec:.2} mS/cm, water {water:.1} C, air {air:.1} C, humidity {humidity:.0} %.")
}

/// Says what this is and where to look.
pub(crate) fn introduce(farm: &Farm, hub: &Hub, agent: &str, place: &Place) -> anyhow::Result<()> {
    let (root, socket) = (farm.root().display(), farm.socket());
    let (socket, city) = (socket.display(), place.name());
    say(&format!(
        "\
The night the internet was cut, in a hydroponic room in {city}, where it is evening. An hour takes {} seconds.

Real: agent and hub; the board's firmware, built for this machine; everything they say to each other.
Simulated: the room with its probes, pump and siren, the modem, the phone, Anna.

While this runs, in another terminal ({root} has configuration, data and logs):
  {agent} status --socket {socket}
  {agent} alerts --socket {socket}
  {agent} actuators --socket {socket}
  {agent} tail --socket {socket}
  curl -s -H 'X-Device-Key: {}' http://{}/api/data/latest

Ctrl-C ends everything.
",
        3600 / FACTOR,
        hub.read_key,
        hub.address
    ))?;
    Ok(())
}
